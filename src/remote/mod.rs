//! The switch outside the proxy: the control protocol between the conference process and
//! `msrp-switchd`, and both of its ends. [`Link`] is the focus' end, [`serve`] the switch's.
//!
//! On a Unix stream socket each side first sends a [`preamble`]: a fixed mark and the version
//! of the protocol, readable whatever comes later. Then frames: a length of four octets, most
//! significant first, and a message in postcard. The focus says [`ToSwitch::Hello`]; the switch
//! answers [`ToFocus::Hello`], or [`ToFocus::Busy`] while another focus drives it. After that
//! orders and notices as they come, and a sign of life from both sides when there are none.
//!
//! One focus drives a switch. When it goes, by a restart or a crash, sessions and conversation
//! go on; what it missed it learns by reconciling (`control`), and what it does not claim
//! within the orphan timeout ends.
//!
//! Nothing here knows a rule of conferences, and nothing runs tokio: two ends, a few threads.

mod frame;
mod link;
mod protocol;
mod serve;
mod tally;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

pub use frame::{FrameError, Frames, encode};
pub use link::{Link, check_listeners};
pub use protocol::{
    FocusHello, FocusRun, PREAMBLE_OCTETS, PreambleError, SwitchHello, ToFocus, ToSwitch, VERSION,
    check_preamble, preamble,
};
pub use serve::{Options, serve};

/// Longest frame. An admission is made of one SDP body, which the host's own limit of 64 KiB
/// for a request bounds; a full `Reconcile` and its answer stay below a quarter of this, the
/// whole history of a room below five eighths.
pub const MAX_FRAME: usize = 1 << 20;

/// How long a peer may take from connect to hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// A side that has nothing to say says so this often.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// A side that says nothing for this long, or takes nothing for this long, is taken for dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(12);

/// What is read, and about what is written, at once.
const READ_OCTETS: usize = 64 * 1024;

/// A socket with a time-out reports it in either of two ways.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
