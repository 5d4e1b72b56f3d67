//! What an endpoint and we have agreed on by SDP.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::focus::sip::cause::Cause;
use crate::focus::sip::offer_answer::{self, Accepted, Local, Origin, Terms};
use crate::wire::sdp::Description;

/// The agreed SDP of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Media {
    pub(in crate::focus) local: Local,
    pub(in crate::focus) origin: Origin,
    /// What we said last, as written.
    pub(in crate::focus) ours: Box<str>,
    /// What the peer said last; `None` until its answer comes in the ACK.
    pub(in crate::focus) theirs: Option<Accepted>,
    /// The peer takes a message in one SEND only (`one_send_agents`).
    pub(in crate::focus) one_send: bool,
}

impl Media {
    /// Reads the answer to what we said last. That an observer does not send is our word, not
    /// the peer's: it is not held against who becomes a participant.
    pub(in crate::focus) fn read_answer(
        &self,
        answer: &Description,
        source: Option<IpAddr>,
    ) -> Result<Accepted, Cause> {
        let terms = Terms::again(&self.local);
        let mut accepted = offer_answer::evaluate_answer(answer, terms, source)?;
        accepted.peer.sends |= self.local.observer;
        Ok(accepted)
    }

    /// What counts as the source of the peer's description, where we connect to it.
    pub(in crate::focus) fn dialled_source(&self) -> Option<IpAddr> {
        self.theirs.as_ref()?.peer.dial.as_ref()?.source
    }
}
