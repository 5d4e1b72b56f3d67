//! Transport between the host's worker processes and the conference process: AF_UNIX datagrams.
//!
//! Each channel is a socket pair, made before the fork and inherited by every process. There are
//! five: requests, which get 503 when the channel is full; ACKs, apart from requests because nobody
//! repeats an ACK once tm has seen it; cancels and outcomes, which no flood of the other two may
//! delay; errands in the other direction, for any worker to run; and queries of the management
//! interfaces. Neither side ever blocks, except that a management process waits for the answer to
//! its query.

mod channel;
mod frame;
mod query;

pub use channel::{Bridge, Buffer, CHANNEL_OCTETS, MAX_ERRAND, SendError};
pub use frame::{Frame, FrameError, MAX_FRAME};
pub use query::{MAX_QUERY, Query, QueryError};
