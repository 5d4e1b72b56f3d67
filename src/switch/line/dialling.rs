//! The active side (RFC 4975 §5.4): sessions that wait for a connection of ours, and the
//! empty SEND that binds it.

use std::time::Duration;

use crate::control::{Dial, LossCause, Notice, RoomUri, SessionId};
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey};
use crate::switch::room::session::Session;
use crate::time::Moment;
use crate::wire::fingerprint::Fingerprint;
use crate::wire::msrp::{ByteRange, Flag, HeadWriter, Method, TransactionId};

/// A connection that is wanted. [`Switch::connected`] or [`Switch::unreachable`] answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// For whom.
    pub session: SessionId,
    /// For which room.
    pub room: RoomUri,
    /// Where to.
    pub target: Dial,
    /// What the peer's certificate is announced by.
    pub fingerprints: Vec<Fingerprint>,
    /// How long it may take to come, the peer's port to open, and so on.
    pub within: Duration,
}

impl Switch {
    /// The next connection that is wanted.
    pub fn poll_wanted(&mut self) -> Option<Wanted> {
        self.wanted.pop_front()
    }

    /// Asks for a connection if the session is to have one from us and has none.
    pub(in crate::switch) fn want(&mut self, now: Moment, key: SessionKey, target: Option<&Dial>) {
        let (Some(session), Some(target)) = (self.sessions.get_mut(key), target) else {
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

    /// The connection a session wanted stands, or one to the same peer already did (C64).
    /// The session is bound by an empty SEND (C60); nothing else goes out before its answer.
    pub fn connected(&mut self, now: Moment, session: &SessionId, id: ConnectionId) {
        let key = self.by_session.get(session).copied();
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let found = key.and_then(|key| Some((key, self.sessions.get_mut(key)?)));
        let Some((key, session)) = found.filter(|(_, it)| !it.is_tied()) else {
            // It has ended meanwhile, or the peer has connected to us.
            return self.close_if_idle(now, id);
        };
        if !session.fits(&connection.security) || !session.knows(&connection.security) {
            self.end(now, key, Some(LossCause::NeverBound));
            return self.close_if_idle(now, id);
        }
        connection.bound = true;
        connection.close_by = None;
        connection.sessions.push(key);
        session.connection = Some(id);
        let (number, transaction) = session.ids.next_id();
        session.greeting = Some(number);
        empty_send(&mut connection.replies, session, &transaction);
        self.watch(now, id);
        self.mark_dirty(id);
    }

    /// The connection a session wanted is not to be had.
    pub fn unreachable(&mut self, now: Moment, session: &SessionId) {
        let Some(&key) = self.by_session.get(session) else {
            return;
        };
        let waits = |session: &Session| !session.is_tied();
        if self.sessions.get(key).is_some_and(waits) {
            self.end(now, key, Some(LossCause::NeverBound));
        }
    }

    /// The answer to an empty SEND of ours; whether this was one.
    pub(in crate::switch) fn greeted(
        &mut self,
        now: Moment,
        key: SessionKey,
        number: u64,
        code: u16,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(key) else {
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
        self.notices.push_back(Notice::Bound {
            room: session.room_uri.clone(),
            session: session.id.clone(),
        });
        let connection = session.connection;
        self.welcome(key);
        if let Some(id) = connection {
            self.mark_dirty(id);
        }
        true
    }
}

/// A SEND without a body (RFC 4975 §5.4, §7.1: no Content-Type either).
pub(in crate::switch) fn empty_send(
    out: &mut Vec<u8>,
    session: &Session,
    transaction: &TransactionId,
) {
    let (to, from) = (session.path(), session.own_uri());
    HeadWriter::request(out, transaction, Method::Send, to, from)
        .message_id(transaction.as_str())
        .byte_range(ByteRange::whole(0))
        .end(Flag::Last);
}
