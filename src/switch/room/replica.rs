//! A room on several threads: what its owner knows of the replicas, and a replica of its owner.

use crate::switch::ids::{RoomKey, Thread};

/// Part of an outbox: so much is taken before a replica says so.
pub(crate) const STEP: usize = 8;

/// A thread with members of a room, as the room's owner knows it.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) thread: Thread,
    pub(crate) members: usize,
    /// Octets sent there that wait for somebody.
    pub(crate) waiting: usize,
}

/// Whose replica a room is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Original {
    pub(crate) owner: Thread,
    pub(crate) room: RoomKey,
    /// Octets, as the log counts them, that the owner knows to wait for nobody.
    pub(crate) reported: u64,
}
