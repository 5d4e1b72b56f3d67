//! When something is due. One entry a connection or session and purpose, never one a message;
//! an entry that no longer holds is found out when it comes up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ids::{ConnectionId, RoomKey, SessionKey, StreamKey};
use crate::time::Moment;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A connection must have bound a session by now, or be closed.
    Connection(ConnectionId),
    /// A session that has left its room stays connected no longer.
    Farewell(SessionKey),
    /// A session must have been bound by now (`bind_timeout`).
    Bind(SessionKey),
    /// Something must have been heard on a connection by now, if its peer owes something.
    Silence(ConnectionId),
    /// A session that left its room must have been written to by now.
    Leave(SessionKey),
    /// The next chunk of a message must have come by now (RFC 7701 §6.1).
    Chunk(SessionKey),
    /// Sessions that no focus has claimed end.
    Orphans,
    /// What waits for the end of a SEND that may not be interrupted has waited long enough.
    HeldUp(ConnectionId),
    /// The pace of the slowest for whom speakers of a room wait is looked at.
    Held(RoomKey),
    /// The sender of a large message has waited long enough for its receivers.
    Pause(StreamKey),
    /// The messages of a room since the last time are told.
    Count(RoomKey),
    /// What was added to the history of a room since the last time is told.
    History(RoomKey),
}

/// The deadlines of one switch.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Moment, Timer)>>,
}

impl Timers {
    pub(super) fn arm(&mut self, due: Moment, timer: Timer) {
        self.heap.push(Reverse((due, timer)));
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes the next entry that is due.
    pub(super) fn pop(&mut self, now: Moment) -> Option<Timer> {
        if self.deadline()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}
