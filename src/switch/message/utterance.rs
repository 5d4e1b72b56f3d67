//! A message on its way to the owner of its room.

use crate::switch::ids::{ConnectionId, SessionKey, Speaker, Thread};
use crate::switch::message::request_head::KeptHead;

/// A message of a session that lives on another thread.
#[derive(Debug)]
pub(in crate::switch) struct Utterance {
    pub(in crate::switch) session: SessionKey,
    pub(in crate::switch) connection: ConnectionId,
    /// The head of the last chunk, which is answered.
    pub(in crate::switch) last: KeptHead,
    /// The head of the first chunk, if that is another one.
    pub(in crate::switch) first: Option<KeptHead>,
    /// Octets of the body that the switch added.
    pub(in crate::switch) shift: u64,
    pub(in crate::switch) body: Vec<u8>,
}

impl Utterance {
    /// The connection it came on, if it came from this thread.
    pub(in crate::switch) fn speaker(&self, thread: Thread) -> Speaker {
        Speaker {
            thread,
            connection: self.connection,
        }
    }
}
