//! The switch outside the proxy: the control protocol between the conference process and
//! `msrp-switchd`, and both of its ends. [`Link`] is the focus' end, [`serve()`] the switch's.
//!
//! Over a Unix stream socket, each side first sends a [`preamble`]: a fixed mark and the version of
//! the protocol, readable in every version. Frames follow: a length of four octets, most
//! significant first, and a message in postcard. The focus sends [`ToSwitch::Hello`]; the switch
//! answers [`ToFocus::Hello`], or [`ToFocus::Busy`] while another focus drives it. After that,
//! orders and notices travel as they arise, and both sides send a sign of life when there are none.
//!
//! One focus drives a switch. When it goes, by a restart or a crash, sessions and conversation go
//! on. The next focus catches up by reconciling (`control`); sessions that it does not claim within
//! the orphan timeout end.
//!
//! This folder knows no rule of conferences and runs no tokio: it is two ends and a few threads.

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
