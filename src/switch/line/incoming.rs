//! A request whose head has arrived and whose end has not.

use crate::switch::ids::SessionKey;
use crate::switch::message::request_head::{KeptHead, RequestHead};

/// A SEND whose body is incomplete.
#[derive(Debug)]
pub(in crate::switch) enum Incoming {
    /// It has been answered; the rest is discarded.
    Skip,
    /// It is for this session.
    Send(Box<Sending>),
}

/// The received part of a SEND for a session here.
#[derive(Debug)]
pub(in crate::switch) struct Sending {
    pub(in crate::switch) session: SessionKey,
    pub(in crate::switch) head: KeptHead,
    /// Octets of the body so far.
    pub(in crate::switch) length: u64,
    /// It was answered with an error: the rest of the body is discarded.
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
