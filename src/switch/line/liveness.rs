//! Detection of dead peers. A connection has one deadline: while an action of its peer is
//! outstanding, the connection closes once the peer has neither sent nor accepted data for
//! [`SILENCE`].
//!
//! Outstanding actions are the response to a probe (RFC 4975 §7.1.1, C48), the end of a request
//! that has begun, and the reading of queued output. A peer in the middle of a long SEND cannot
//! answer, and one on a slow line answers late, but both send or accept data. With `idle_timeout`
//! the switch sends a probe after half of it has passed in silence.

use std::time::Duration;

use crate::control::LossCause;
use crate::switch::ids::ConnectionId;
use crate::switch::timers::Timer;
use crate::switch::{SILENCE, Switch};
use crate::time::Moment;

impl Switch {
    /// The peer has shown that it is alive, without octets of MSRP.
    pub fn sign_of_life(&mut self, now: Moment, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.lives(now);
        }
    }

    /// An action of the peer is outstanding from now on.
    pub(in crate::switch) fn owe(&mut self, now: Moment, id: ConnectionId) {
        let limit = self.silence();
        if let Some(connection) = self.connections.get_mut(id) {
            connection.heard = now;
            self.look_at(now + limit, id);
        }
    }

    /// Watches a connection that has got its first session for silence (`idle_timeout`).
    pub(in crate::switch) fn watch(&mut self, now: Moment, id: ConnectionId) {
        if !self.config.idle_timeout.is_zero() {
            self.look_at(now + self.config.idle_timeout / 2, id);
        }
    }

    fn look_at(&mut self, due: Moment, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.look_at.is_none_or(|other| due < other)
        {
            connection.look_at = Some(due);
            self.agenda.arm(due, Timer::Silence(id));
        }
    }

    fn silence(&self) -> Duration {
        match self.config.idle_timeout {
            Duration::ZERO => SILENCE,
            idle => SILENCE.min(idle / 2),
        }
    }

    pub(in crate::switch) fn silence_due(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.closing || connection.look_at.is_none_or(|due| due > now) {
            return;
        }
        connection.look_at = None;
        let heard = connection.heard;
        if let Some(cause) = self.owed(id) {
            let due = heard + self.silence();
            if due > now {
                return self.look_at(due, id);
            }
            self.lose_sessions_of(now, id, cause);
            return self.connections.closes.push_back(id);
        }
        if self.config.idle_timeout.is_zero() {
            return;
        }
        let due = heard + self.config.idle_timeout / 2;
        match due > now {
            true => self.look_at(due, id),
            false => self.ask(now, id),
        }
    }

    /// The outstanding action of the peer, as the cause of its loss.
    fn owed(&self, id: ConnectionId) -> Option<LossCause> {
        let connection = self.connections.get(id)?;
        let probed = |key| self.rooms.session(key).is_some_and(|it| it.probe.is_some());
        if connection.blocked.is_some() {
            Some(LossCause::TooSlow)
        } else if connection.asked || connection.has_begun() {
            Some(LossCause::Disconnected)
        } else if connection.sessions.iter().any(|&key| probed(key)) {
            Some(LossCause::Undeliverable)
        } else {
            None
        }
    }

    /// An empty SEND, which every client answers.
    fn ask(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let first = connection.sessions.first().copied();
        let Some(session) = first.and_then(|key| self.rooms.session_mut(key)) else {
            return;
        };
        session.write_empty_send(&mut connection.replies);
        connection.asked = true;
        self.owe(now, id);
        self.connections.mark_dirty(id);
    }
}
