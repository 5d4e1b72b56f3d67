//! Output: what a connection writes when it is its turn.

use crate::time::Moment;

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey};
use crate::switch::out::batch::Batch;
use crate::switch::out::deliveries::{self, Drained};
use crate::switch::room::log::Log;

/// What one write takes at most: enough that its fixed cost no longer counts, little enough
/// to stay in the cache and to be a small part of an outbox.
const BATCH_OCTETS: usize = 256 * 1024;

/// What follows once a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing more for now.
    Idle,
    /// Ask again.
    More,
    /// Close the connection; [`Switch::closed`] must follow.
    Close,
}

impl Switch {
    /// Fills `batch` with what the connection is to write next.
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

    /// Whether something else than large messages waits for a connection.
    fn waits(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get(id) else {
            return false;
        };
        if !connection.replies.is_empty() {
            return true;
        }
        connection.sessions.iter().any(|&key| {
            let session = self.sessions.get_mut(key);
            session.is_some_and(|session| {
                let room = self.rooms.get_mut(session.room);
                if !session.is_ready() {
                    return false;
                }
                session.lost > 0
                    || session.notice.is_some()
                    || !session.own.is_empty()
                    || room.is_some_and(|it| deliveries::waits(session, &mut it.log))
            })
        })
    }

    fn has_copies(&self, id: ConnectionId) -> bool {
        let connection = self.connections.get(id);
        connection.is_some_and(|connection| {
            let mut sessions = connection.sessions.iter();
            let session = |key: &SessionKey| self.sessions.get(*key);
            sessions.any(|key| {
                session(key).is_some_and(|it| it.is_ready() && it.copies.get().is_some())
            })
        })
    }

    /// Writes responses, reports and messages of the logs; says whether there is more.
    fn write_small(&mut self, now: Moment, id: ConnectionId, batch: &mut Batch) -> bool {
        let Some(connection) = self.connections.get_mut(id) else {
            return false;
        };
        if !connection.replies.is_empty() {
            let paused = connection.is_paused();
            batch.push(&std::mem::take(&mut connection.replies));
            if paused && !connection.is_paused() {
                self.resumes.push_back(id);
            }
        }
        let count = connection.sessions.len();
        // C22: several sessions on one connection take turns.
        let share = BATCH_OCTETS / count.max(1);
        let first = connection.turn;
        connection.turn = if count == 0 { 0 } else { (first + 1) % count };
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

    /// The connection took something, and takes nothing more at the moment or all there is.
    pub fn blocked(&mut self, now: Moment, id: ConnectionId, blocked: bool) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.lives(now);
            connection.blocked = blocked.then_some(now);
            match blocked {
                true => self.owe(now, id),
                false => self.mark_dirty(id),
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
        let Some(session) = self.sessions.get_mut(key) else {
            return Drained::default();
        };
        if !session.is_ready() {
            return Drained::default();
        }
        let mut nothing = Log::default();
        let room = self
            .rooms
            .get_mut(session.room)
            .filter(|_| !session.leaving);
        let (log, held) = match room {
            Some(room) => (&mut room.log, Some(&mut room.held)),
            None => (&mut nothing, None),
        };
        let congested_above = congestion(self.config.outbox_bytes);
        let drained = deliveries::drain(session, log, now, limit, congested_above, batch);
        self.totals.messages_out += drained.copies;
        if let Some(held) = held
            && session.position == log.end()
            && std::mem::take(&mut session.straggles)
        {
            held.stragglers -= 1;
        }
        let room = session.room;
        if session.leaving && !session.lingers && session.own.is_empty() {
            self.left.push(key);
        }
        let on = session.connection;
        if drained.probed
            && let Some(id) = on
        {
            self.owe(now, id);
        }
        self.release_speakers(room);
        drained
    }
}

/// What waits for a receiver who counts as slow: four fifths of an outbox (RFC 7701 §6.4).
fn congestion(outbox_bytes: usize) -> u64 {
    outbox_bytes as u64 / 5 * 4
}
