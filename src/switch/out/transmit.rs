//! Writes a connection's output in its turn.

use crate::time::Moment;

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey};
use crate::switch::out::batch::{After, Batch};
use crate::switch::out::deliveries::{self, Drained};

/// Limit of octets in one write: enough to make its fixed cost negligible, and little enough to fit
/// the cache and a small part of an outbox.
const BATCH_OCTETS: usize = 256 * 1024;

impl Switch {
    /// Fills `batch` with the connection's next output.
    pub fn transmit(&mut self, now: Moment, id: ConnectionId, batch: &mut Batch) -> After {
        let open = self.connections.get(id).is_some_and(|it| it.open.is_some());
        if open && self.waits(id) {
            match self.uninterrupted(id) {
                None => self.interrupt(id, batch),
                Some(_) => self.hold_up(now, id),
            }
        }
        let Some(connection) = self.connections.get(id) else {
            return After::Idle;
        };
        let small = connection.open.is_none() && self.write_small(now, id, batch);
        let streams = self.has_copies(id) && self.write_streams(id, batch);
        for key in std::mem::take(&mut self.left) {
            self.end(now, key, None);
        }
        let ended = open && self.open(id).is_none();
        if ended {
            self.let_go(id);
        }
        match self.connections.get(id) {
            _ if small || streams || ended => After::More,
            Some(connection) if connection.closing => After::Close,
            _ => After::Idle,
        }
    }

    /// Whether a connection has output other than large messages.
    fn waits(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get(id) else {
            return false;
        };
        if !connection.replies.is_empty() {
            return true;
        }
        connection.sessions.iter().any(|&key| {
            let room = self.rooms.get_mut(key.room);
            room.is_some_and(|room| deliveries::some_wait(room, key))
        })
    }

    fn has_copies(&self, id: ConnectionId) -> bool {
        let connection = self.connections.get(id);
        connection.is_some_and(|connection| {
            let mut sessions = connection.sessions.iter();
            let session = |key: &SessionKey| self.rooms.session(*key);
            sessions.any(|key| {
                session(key).is_some_and(|it| it.is_ready() && it.copies.get().is_some())
            })
        })
    }

    /// Writes responses, reports and messages of the logs; returns whether there is more.
    fn write_small(&mut self, now: Moment, id: ConnectionId, batch: &mut Batch) -> bool {
        let Some(connection) = self.connections.get_mut(id) else {
            return false;
        };
        let count = connection.sessions.len();
        // C22: several sessions on one connection take turns.
        let share = BATCH_OCTETS / count.max(1);
        let first = connection.turn;
        connection.turn = if count == 0 { 0 } else { (first + 1) % count };
        let replies = self.connections.take_replies(id);
        if !replies.is_empty() {
            batch.push(&replies);
        }
        let mut more = false;
        for step in 0..count {
            let connection = self.connections.get(id);
            let key = connection.and_then(|it| it.sessions.get((first + step) % count));
            let Some(&key) = key else { break };
            let limit = batch.len() + share;
            more |= self.drain(now, key, limit, batch).more;
        }
        more
    }

    /// The socket has accepted output: all of it, or (`blocked`) as much as it can take for now.
    pub fn blocked(&mut self, now: Moment, id: ConnectionId, blocked: bool) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.lives(now);
            connection.blocked = blocked.then_some(now);
            match blocked {
                true => self.owe(now, id),
                false => self.connections.mark_dirty(id),
            }
        }
    }

    pub(in crate::switch) fn drain(
        &mut self,
        now: Moment,
        key: SessionKey,
        limit: usize,
        batch: &mut Batch,
    ) -> Drained {
        let Some(room) = self.rooms.get_mut(key.room) else {
            return Drained::default();
        };
        let congested_above = congestion(self.config.outbox_bytes);
        let drained = deliveries::drain_member(room, key, now, limit, congested_above, batch);
        self.totals.messages_out += drained.copies;
        if drained.left {
            self.left.push(key);
        }
        if let Some(id) = drained.probed {
            self.owe(now, id);
        }
        self.release_speakers(key.room);
        drained
    }

    /// Whether a room has so much unwritten output that it should be written before taking parcels
    /// from other threads.
    pub fn pressed(&self) -> bool {
        self.turns.is_pressed()
    }

    /// Whether the room of a connection's last message has much new output, or is in the middle of
    /// a round of its members. More is read after that, so that no outbox overflows because other
    /// members had their turn first.
    pub fn holds_back(&self, id: ConnectionId) -> bool {
        let said_in = self.connections.get(id).and_then(|it| it.said_in);
        let room = said_in.and_then(|room| self.rooms.get(room));
        room.is_some_and(|room| {
            let progress = &room.progress;
            progress.pressed || progress.next.is_some_and(|next| next > 0)
        })
    }

    /// A panic may have interrupted anything: every connection gets a turn.
    pub fn look_at_all(&mut self) {
        self.fail_served();
        self.turns.look_at_all(&mut self.rooms);
        self.connections.mark_all_dirty();
    }

    /// A connection has more output than one write could take.
    pub fn goes_on(&mut self, id: ConnectionId) {
        self.connections.mark_dirty(id);
    }

    /// The next connection that has output and can write.
    pub fn poll_dirty(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.turns.next(&mut self.rooms, &mut self.connections) {
            let Some(connection) = self.connections.get_mut(id) else {
                continue;
            };
            connection.dirty = false;
            if connection.blocked.is_none() {
                return Some(id);
            }
        }
        self.written();
        None
    }

    /// The output of [`Self::transmit`] so far is written as far as it will be for now; no more of
    /// it is taken back.
    pub fn written(&mut self) {
        self.turns.pressed_by_stream = false;
        self.tidy_streams();
    }
}

/// Queued octets from which a receiver counts as slow: four fifths of an outbox (RFC 7701 §6.4).
fn congestion(outbox_bytes: usize) -> u64 {
    outbox_bytes as u64 / 5 * 4
}
