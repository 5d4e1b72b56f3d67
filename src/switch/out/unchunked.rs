//! Peers that end their session when a message arrives in two chunks (`one_send_agents`). A large
//! message to such a peer is a single SEND from its first octet to its last. Nothing can overtake
//! it: output for which RFC 4975 §7.1.1 requires an interruption (C21) waits for its end.
//!
//! To keep that wait short, the SEND begins late: when the message is complete, or when half of its
//! receivers' limit has arrived. From then on it is as fast as its sender and its receiver. If
//! queued output waits too long, the message ends (`#`), never the session.

use std::time::Duration;

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey, StreamKey};
use crate::switch::out::copy_writer::LEAST_CHUNK;
use crate::switch::room::session::Session;
use crate::switch::timers::Timer;
use crate::time::Moment;

/// Longest wait of responses and small messages: these clients close when their keep-alive has no
/// answer for 30 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Limit of responses and reports queued meanwhile.
const WAITING_OCTETS: usize = 64 * 1024;
/// The status text for the receiver.
const GIVEN_UP: &str =
    "A large message was not delivered: other messages could not wait for its end.";

impl Switch {
    /// The SEND that is open on a connection, if it must not be interrupted.
    pub(in crate::switch) fn uninterrupted(
        &self,
        id: ConnectionId,
    ) -> Option<(SessionKey, StreamKey)> {
        let connection = self.connections.get(id)?;
        let (key, stream) = connection.open?;
        let session = self.rooms.session(key)?;
        session.one_send.then_some((key, stream))
    }

    /// Octets of a large message that must have arrived before a chunk of it begins.
    pub(in crate::switch) fn least(&self, session: &Session) -> u64 {
        match session.one_send {
            true => (self.config.outbox_bytes as u64 / 4).max(LEAST_CHUNK),
            false => LEAST_CHUNK,
        }
    }

    /// Output waits for the end of the open SEND.
    pub(in crate::switch) fn hold_up(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.replies.len() > WAITING_OCTETS {
            return self.give_up_open(id);
        }
        if connection.held_up.is_none() {
            connection.held_up = Some(now);
            self.agenda.arm(now + PATIENCE, Timer::HeldUp(id));
        }
    }

    pub(in crate::switch) fn is_held_up(&self, id: ConnectionId) -> bool {
        let connection = self.connections.get(id);
        connection.is_some_and(|connection| connection.held_up.is_some())
    }

    /// No output waits any more.
    pub(in crate::switch) fn let_go(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.held_up = None;
        }
    }

    pub(in crate::switch) fn held_up_due(&mut self, now: Moment, id: ConnectionId) {
        let connection = self.connections.get(id);
        let since = connection.and_then(|connection| connection.held_up);
        if since.is_some_and(|since| since + PATIENCE <= now) {
            self.give_up_open(id);
            self.connections.mark_dirty(id);
        }
    }

    fn give_up_open(&mut self, id: ConnectionId) {
        let Some((key, stream)) = self.uninterrupted(id) else {
            return;
        };
        self.streams.leave(stream, key);
        self.abort_copy(key, stream);
        if let Some(session) = self.rooms.session_mut(key) {
            session.status = Some(GIVEN_UP.into());
        }
    }
}
