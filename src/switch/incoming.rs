//! A request of which the head has come, and not the end.

use super::ids::SessionKey;
use super::message::{Facts, OwnedFacts};

/// A SEND with a body of which the end has not come.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It has been answered; the rest is of no use.
    Skip,
    /// It is for this session.
    Send(Box<Sending>),
}

/// What of a SEND for a session here has come.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) session: SessionKey,
    pub(super) facts: OwnedFacts,
    /// Octets of the body so far.
    pub(super) length: u64,
    /// It has been answered with an error: the rest of the body is of no use.
    pub(super) refused: bool,
}

impl Sending {
    pub(super) fn new(session: SessionKey, facts: &Facts<'_>) -> Self {
        Self {
            session,
            facts: facts.keep(),
            length: 0,
            refused: false,
        }
    }
}
