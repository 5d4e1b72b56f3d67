//! A request of which the head has come, and not the end.

use crate::switch::ids::SessionKey;
use crate::switch::message::request_head::{KeptHead, RequestHead};

/// A SEND with a body of which the end has not come.
#[derive(Debug)]
pub(in crate::switch) enum Incoming {
    /// It has been answered; the rest is of no use.
    Skip,
    /// It is for this session.
    Send(Box<Sending>),
}

/// What of a SEND for a session here has come.
#[derive(Debug)]
pub(in crate::switch) struct Sending {
    pub(in crate::switch) session: SessionKey,
    pub(in crate::switch) head: KeptHead,
    /// Octets of the body so far.
    pub(in crate::switch) length: u64,
    /// It has been answered with an error: the rest of the body is of no use.
    pub(in crate::switch) refused: bool,
}

impl Sending {
    pub(in crate::switch) fn new(session: SessionKey, head: &RequestHead<'_>) -> Self {
        Self {
            session,
            head: head.keep(),
            length: 0,
            refused: false,
        }
    }
}
