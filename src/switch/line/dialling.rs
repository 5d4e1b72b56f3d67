//! The active side (RFC 4975 §5.4): sessions that wait for a connection of ours, and the
//! empty SEND that binds it.

use crate::control::{Dial, LossCause, Notice, SessionId};
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey};
use crate::switch::line::wanted::Wanted;
use crate::switch::room::session::Session;
use crate::time::Moment;

impl Switch {
    /// Requests a connection if the session needs one from us and has none.
    pub(in crate::switch) fn want(&mut self, now: Moment, key: SessionKey, target: Option<&Dial>) {
        let (Some(session), Some(target)) = (self.rooms.session_mut(key), target) else {
            return;
        };
        if session.is_tied()
            || session.recalled.is_some()
            || session.dialled.as_deref() == Some(target)
        {
            return;
        }
        session.dialled = Some(Box::new(target.clone()));
        self.wanted.push_back(Wanted {
            session: session.id.clone(),
            room: session.room_uri.clone(),
            target: target.clone(),
            fingerprints: session.fingerprints().to_vec(),
            within: session.bind_by.saturating_since(now),
        });
    }

    /// The connection for a session is established, or one to the same peer already was (C64). An
    /// empty SEND binds the session (C60); other output waits for its answer.
    pub fn connected(&mut self, now: Moment, session: &SessionId, id: ConnectionId) {
        let key = self.rooms.named(session.as_str());
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let found = key.and_then(|key| Some((key, self.rooms.session_mut(key)?)));
        let Some((key, session)) = found.filter(|(_, it)| !it.is_tied()) else {
            // The session has ended meanwhile, or the peer has connected to us.
            return self.close_if_idle(now, id);
        };
        if !session.fits(&connection.security) || !session.knows(&connection.security) {
            self.end(now, key, Some(LossCause::NeverBound));
            return self.close_if_idle(now, id);
        }
        session.connection = Some(id);
        session.greeting = Some(session.write_empty_send(&mut connection.replies));
        self.connections.attach(id, key);
        self.watch(now, id);
        self.connections.mark_dirty(id);
    }

    /// The connection for a session cannot be made.
    pub fn unreachable(&mut self, now: Moment, session: &SessionId) {
        let Some(key) = self.rooms.named(session.as_str()) else {
            return;
        };
        let waits = |session: &Session| !session.is_tied();
        if self.rooms.session(key).is_some_and(waits) {
            self.end(now, key, Some(LossCause::NeverBound));
        }
    }

    /// Handles the answer to an empty SEND of ours; returns whether it was one.
    pub(in crate::switch) fn greeted(
        &mut self,
        now: Moment,
        key: SessionKey,
        number: u64,
        code: u16,
    ) -> bool {
        let Some(session) = self.rooms.session_mut(key) else {
            return false;
        };
        if session.greeting != Some(number) {
            return false;
        }
        session.greeting = None;
        if code != 200 {
            self.end(now, key, Some(LossCause::NeverBound));
            return true;
        }
        self.agenda.tell(Notice::Bound {
            room: session.room_uri.clone(),
            session: session.id.clone(),
        });
        let connection = session.connection;
        self.rooms.welcome(key);
        if let Some(id) = connection {
            self.connections.mark_dirty(id);
        }
        true
    }
}
