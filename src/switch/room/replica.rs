//! A room on several threads: what its owner knows of the replicas, and a replica of its owner.

use crate::switch::ids::{RoomKey, Thread};

/// Part of an outbox: so much is taken before a replica says so.
pub(in crate::switch) const STEP: usize = 8;

/// A thread with members of a room, as the room's owner knows it.
#[derive(Debug)]
pub(in crate::switch) struct Replica {
    pub(in crate::switch) thread: Thread,
    pub(in crate::switch) members: usize,
    /// Octets sent there that wait for somebody.
    pub(in crate::switch) waiting: usize,
}

/// Whose replica a room is.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct Original {
    pub(in crate::switch) owner: Thread,
    pub(in crate::switch) room: RoomKey,
    /// Octets, as the log counts them, that the owner knows to wait for nobody.
    pub(in crate::switch) reported: u64,
}
