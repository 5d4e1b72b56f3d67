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
mod limits;
mod link;
mod protocol;
mod serve;
mod tally;

#[cfg(test)]
mod tests;

pub use frame::{FrameError, Frames, encode};
pub use limits::MAX_FRAME;
pub use link::{Link, check_listeners};
pub use protocol::{
    FocusHello, FocusRun, PREAMBLE_OCTETS, PreambleError, SwitchHello, ToFocus, ToSwitch, VERSION,
    check_preamble, preamble,
};
pub use serve::{Options, serve};
