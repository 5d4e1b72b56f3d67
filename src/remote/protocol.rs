//! The messages of the two sides.

use serde::{Deserialize, Serialize};

use crate::control::{Listen, Notice, Order, SwitchRun};
use crate::counters::Totals;

/// Version of everything after the preamble, `control` included. Every change that an older side
/// would misread adds one.
pub const VERSION: u8 = 5;

const MARK: &[u8; 7] = b"msrpctl";

/// Octets of a preamble.
pub const PREAMBLE_OCTETS: usize = MARK.len() + 1;

/// The first octets each side sends. The same in every version.
pub fn preamble() -> [u8; PREAMBLE_OCTETS] {
    let mut octets = [VERSION; PREAMBLE_OCTETS];
    octets[..MARK.len()].copy_from_slice(MARK);
    octets
}

/// Why a peer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreambleError {
    /// It does not speak this protocol.
    #[error("the other side does not speak the control protocol")]
    Foreign,
    /// It speaks another version.
    #[error(
        "the other side speaks version {0} of the control protocol, this one {VERSION}: \
         install module and msrp-switchd of the same release"
    )]
    Version(u8),
}

/// Checks the preamble of the peer.
///
/// # Errors
/// It is not one of this version.
pub fn check_preamble(octets: &[u8; PREAMBLE_OCTETS]) -> Result<(), PreambleError> {
    match octets.split_last() {
        Some((version, mark)) if mark == MARK => match *version {
            VERSION => Ok(()),
            other => Err(PreambleError::Version(other)),
        },
        _ => Err(PreambleError::Foreign),
    }
}

/// One run of a focus: the same after a lost connection, another after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FocusRun(pub u128);

/// The focus that wants to drive the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FocusHello {
    /// Its run.
    pub run: FocusRun,
    /// Its process, for the log.
    pub pid: u32,
}

/// The switch's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchHello {
    /// Its run: another run has none of the sessions.
    pub run: SwitchRun,
    /// Totals of its run so far.
    pub totals: Totals,
    /// Its MSRP listeners.
    pub listen: Vec<Listen>,
}

/// A message from the focus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSwitch {
    /// The first message.
    Hello(FocusHello),
    /// An order to carry out.
    Order(Order),
    /// A sign of life.
    Alive,
    /// The last message, when the focus stops in good order.
    Goodbye,
    /// A query for the switch's listeners, instead of a hello.
    Look,
}

/// A message from the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToFocus {
    /// The focus drives the switch from now on.
    Hello(SwitchHello),
    /// Another focus drives it; the connection closes.
    Busy {
        /// The other's process.
        pid: u32,
    },
    /// A notice to the focus.
    Notice(Notice),
    /// The switch's totals so far.
    Totals(Totals),
    /// A sign of life.
    Alive,
    /// The answer to [`ToSwitch::Look`]; the connection closes.
    Listens(Vec<Listen>),
}
