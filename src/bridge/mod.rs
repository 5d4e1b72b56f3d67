//! Between the host's worker processes and the conference process: AF_UNIX datagrams.
//!
//! Channels, each a socket pair made before the fork and inherited by every process: one for
//! requests, which are refused with 503 when it is full; one for ACKs, which nobody repeats
//! once tm has seen them, so that requests must not fill it; one for cancels and outcomes,
//! which no flood of either may starve; and one the other way, for errands that any worker may
//! run. Neither side ever blocks. Management asks on a fifth, and alone waits for its answer.

mod channel;
mod frame;
mod query;

pub use channel::{Bridge, Buffer, CHANNEL_OCTETS, MAX_ERRAND, SendError};
pub use frame::{Frame, FrameError, MAX_FRAME};
pub use query::{MAX_QUERY, Query, QueryError};
