//! A room on several threads: the owner's view of its replicas, and a replica's view of its owner.

use crate::switch::ids::{RoomKey, Thread};

/// Fraction of an outbox after which a replica reports delivered octets.
pub(in crate::switch) const STEP: usize = 8;

/// A thread with members of a room, as the room's owner knows it.
#[derive(Debug)]
pub(in crate::switch) struct Replica {
    pub(in crate::switch) thread: Thread,
    pub(in crate::switch) members: usize,
    /// Octets sent there that are not delivered.
    pub(in crate::switch) waiting: usize,
}

/// The room that a replica belongs to.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct Original {
    pub(in crate::switch) owner: Thread,
    pub(in crate::switch) room: RoomKey,
    /// Octets, as the log counts them, that the owner knows to be delivered.
    pub(in crate::switch) reported: u64,
}
