//! Half-open connections: a peer that says nothing for half of `idle_timeout` is asked by an
//! empty SEND, and is gone when the other half passes in silence too.

use super::Switch;
use super::dial::empty_send;
use super::ids::ConnectionId;
use super::timers::Timer;
use crate::control::LossCause;
use crate::time::Moment;

impl Switch {
    /// Watches a connection that has got its first session. Connections that only carry
    /// sessions of other instances are watched there.
    pub(super) fn watch(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !self.config.idle_timeout.is_zero() && !connection.watched {
            connection.watched = true;
            connection.heard = Some(now);
            let due = now + self.config.idle_timeout / 2;
            self.timers.arm(due, Timer::Idle(id));
        }
    }

    pub(super) fn idle_due(&mut self, now: Moment, id: ConnectionId) {
        let whole = self.config.idle_timeout;
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.watched = false;
        let Some(&first) = connection.sessions.first() else {
            return;
        };
        let Some(heard) = connection.heard.filter(|_| !connection.closing) else {
            return;
        };
        let due = if now >= heard + whole {
            self.lose_sessions_of(now, id, LossCause::Disconnected);
            return self.closes.push_back(id);
        } else if now < heard + whole / 2 {
            heard + whole / 2
        } else {
            if let Some(session) = self.sessions.get_mut(first) {
                let (_, transaction) = session.ids.next_id();
                empty_send(&mut connection.replies, session, &transaction);
            }
            heard + whole
        };
        connection.watched = true;
        self.timers.arm(due, Timer::Idle(id));
        self.mark_dirty(id);
    }
}
