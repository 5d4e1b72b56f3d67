//! Opening and closing of connections.

use std::time::Duration;

use crate::control::LossCause;
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey};
use crate::switch::line::connection::Connection;
use crate::switch::security::Security;
use crate::switch::timers::Timer;
use crate::time::Moment;

/// Time limit for a connection without a session.
const UNBOUND_TIMEOUT: Duration = Duration::from_secs(32);
/// Time limit for a closing connection to write its queued output.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

impl Switch {
    /// A connection has come; its octets follow.
    pub fn opened(&mut self, now: Moment) -> ConnectionId {
        self.opened_over(now, Security::Plain)
    }

    /// A connection has come, secured like this; its octets follow.
    pub fn opened_over(&mut self, now: Moment, security: Security) -> ConnectionId {
        let due = now + UNBOUND_TIMEOUT;
        let id = self.connections.insert(Connection {
            security,
            close_by: Some(due),
            ..Connection::default()
        });
        self.agenda.arm(due, Timer::Connection(id));
        id
    }

    /// The connection has failed or was closed: all sessions on it are lost (C63).
    pub fn closed(&mut self, now: Moment, id: ConnectionId) {
        self.lose_sessions_of(now, id, LossCause::Disconnected);
        self.connections.remove(id);
    }

    /// The peer will send nothing more, but may still read: it gets its queued output, then the
    /// connection closes.
    pub fn ended(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        for &key in &*connection.sessions.clone() {
            self.expel(now, key, Some(LossCause::Disconnected));
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.deaf = true;
            connection.seeking = false;
        }
        self.close_if_idle(now, id);
    }

    /// Whether a session was bound to a connection.
    pub fn is_bound(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|it| it.bound)
    }

    /// Whether a connection must not be read for now: its sender waits for slow receivers or does
    /// not read its answers, or its input is no longer processed.
    pub fn paused(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(Connection::is_paused)
    }

    /// Number of octets of a connection that were not decoded because the sender had to wait. They
    /// precede the next input.
    pub fn unread(&self, id: ConnectionId) -> usize {
        self.connections.get(id).map_or(0, Connection::waiting)
    }

    /// The ACK of an offerless INVITE may bring the fingerprint after the bind (C70): `false`
    /// if the connection is not that of the session's peer.
    pub(in crate::switch) fn still_knows(&mut self, now: Moment, key: SessionKey) -> bool {
        let session = self.rooms.session(key);
        let Some((session, id)) = session.and_then(|it| Some((it, it.connection?))) else {
            return true;
        };
        let connection = self.connections.get(id);
        let knows = connection.is_none_or(|it| session.knows(&it.security));
        if !knows {
            self.protocol_error(now, id);
        }
        knows
    }

    /// The session no longer lives on the connection.
    pub(in crate::switch) fn detach(&mut self, now: Moment, id: ConnectionId, key: SessionKey) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.sessions.remove(key);
        }
        self.close_if_idle(now, id);
    }

    /// C64: a connection closes when no session lives on it any more.
    pub(in crate::switch) fn close_if_idle(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.is_idle() && !connection.closing {
            let due = now + CLOSE_GRACE;
            connection.closing = true;
            connection.close_by = Some(due);
            self.agenda.arm(due, Timer::Connection(id));
            self.connections.mark_dirty(id);
        }
    }

    pub(in crate::switch) fn lose_sessions_of(
        &mut self,
        now: Moment,
        id: ConnectionId,
        cause: LossCause,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        for &key in &*std::mem::take(&mut connection.sessions) {
            self.end(now, key, Some(cause));
        }
    }

    /// The peer sent invalid input, or too much of it.
    pub(in crate::switch) fn protocol_error(&mut self, now: Moment, id: ConnectionId) {
        self.totals.not_msrp += 1;
        self.lose_sessions_of(now, id, LossCause::ProtocolError);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.closing = true;
        }
        self.connections.closes.push_back(id);
    }

    /// The peer sent input that cannot be framed: answers it, and closes the connection.
    pub(in crate::switch) fn give_up(&mut self, now: Moment, id: ConnectionId) {
        self.totals.not_msrp += 1;
        self.lose_sessions_of(now, id, LossCause::ProtocolError);
        self.close_if_idle(now, id);
    }

    pub(in crate::switch) fn connection_due(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        if connection.close_by.is_some_and(|due| due <= now) {
            self.lose_sessions_of(now, id, LossCause::Disconnected);
            self.connections.closes.push_back(id);
        }
    }
}
