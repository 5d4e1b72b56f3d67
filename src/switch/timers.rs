//! Deadlines. There is one entry per connection or session and purpose, never one per message.
//! Stale entries are recognised when they come up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ids::{ConnectionId, RoomKey, SessionKey, StreamKey};
use crate::time::Moment;

/// The purpose of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A connection without a session must bind one by now, or be closed.
    Connection(ConnectionId),
    /// The connection of a session that has left its room closes.
    Farewell(SessionKey),
    /// A session must be bound by now (`bind_timeout`).
    Bind(SessionKey),
    /// Something must have arrived on a connection by now, if a response or request of its peer is
    /// outstanding.
    Silence(ConnectionId),
    /// The output for a session that left its room must be written by now.
    Leave(SessionKey),
    /// The next chunk of a message must have arrived by now (RFC 7701 §6.1).
    Chunk(SessionKey),
    /// Sessions that no focus has claimed end.
    Orphans,
    /// Output has waited too long for the end of a SEND that must not be interrupted.
    HeldUp(ConnectionId),
    /// Checks the pace of the slowest member that the room's speakers wait for.
    Held(RoomKey),
    /// The sender of a large message has waited long enough for its receivers.
    Pause(StreamKey),
    /// Reports a room's messages since the last report to the focus.
    Count(RoomKey),
    /// Reports a room's new history entries to the focus.
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
