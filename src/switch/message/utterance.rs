//! A message on its way to the owner of its room.

use crate::switch::ids::{ConnectionId, SessionKey, Speaker, Thread};
use crate::switch::message::request_head::KeptHead;

/// Something that was said by a session that lives elsewhere.
#[derive(Debug)]
pub(in crate::switch) struct Utterance {
    pub(in crate::switch) session: SessionKey,
    pub(in crate::switch) connection: ConnectionId,
    /// Of the chunk that came last and is answered.
    pub(in crate::switch) last: KeptHead,
    /// Of the chunk that came first, if that is another.
    pub(in crate::switch) first: Option<KeptHead>,
    /// Octets of the body that are not the sender's.
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
