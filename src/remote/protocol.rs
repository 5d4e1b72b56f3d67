//! The messages of the two sides.

use serde::{Deserialize, Serialize};

use crate::control::{Listen, Notice, Order, SwitchRun};
use crate::counters::Totals;

/// Version of everything after the preamble, `control` included: one more with every change
/// that an older side would misread.
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

/// Why a peer is not talked to.
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

/// Looks at the preamble the peer sent.
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

/// One run of a focus: the same after its connection broke, another after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FocusRun(pub u128);

/// The focus that wants to drive the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FocusHello {
    /// Which run.
    pub run: FocusRun,
    /// Its process, for the log.
    pub pid: u32,
}

/// The switch's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchHello {
    /// Which run: another one has none of the sessions.
    pub run: SwitchRun,
    /// Totals of its run so far.
    pub totals: Totals,
    /// Where it takes MSRP connections.
    pub listen: Vec<Listen>,
}

/// From the focus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSwitch {
    /// First of all.
    Hello(FocusHello),
    /// To be carried out.
    Order(Order),
    /// Nothing to say.
    Alive,
    /// Last of all, when the focus stops in good order.
    Goodbye,
    /// Instead of a hello: somebody asks where the switch listens, and nothing else.
    Look,
}

/// From the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToFocus {
    /// The focus drives the switch from now on.
    Hello(SwitchHello),
    /// Another focus, of this process, drives it; the connection closes.
    Busy {
        /// The other's process.
        pid: u32,
    },
    /// Something has happened.
    Notice(Notice),
    /// The switch's totals so far.
    Totals(Totals),
    /// Nothing to say.
    Alive,
    /// The answer to [`ToSwitch::Look`]; the connection closes.
    Listens(Vec<Listen>),
}
