//! From the host's worker processes to the conference process: frames in AF_UNIX datagrams.
//!
//! Two lanes, each a socket pair made before the fork and inherited by every process: one
//! for requests, which are refused with 503 when it is full, one for cancels and outcomes,
//! which a flood of requests must not starve. Neither side ever blocks. Management asks on a
//! third, and alone waits for its answer.

mod frame;
mod lane;
mod question;

pub use frame::{Frame, FrameError, MAX_FRAME};
pub use lane::{Bridge, Buffer, LANE_OCTETS, SendError};
pub use question::{AskError, MAX_QUESTION, Question};
