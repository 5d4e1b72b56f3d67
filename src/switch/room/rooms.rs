//! The rooms of one thread and their sessions, with their only owner.

use std::collections::HashMap;

use crate::control::{RoomPolicy, RoomUri, SessionId};
use crate::entropy::Entropy;
use crate::switch::ids::{RoomKey, SessionKey, Table, Thread};
use crate::switch::room::Room;
use crate::switch::room::history::{Histories, History};
use crate::switch::room::replica::Original;
use crate::switch::room::reservations::{Reservations, Reserved};
use crate::switch::room::session::Session;
use crate::time::Moment;

/// Every room and session of this thread.
#[derive(Debug, Default)]
pub(in crate::switch) struct Rooms {
    /// For fingerprints of messages.
    secret: u64,
    table: Table<RoomKey, Room>,
    /// The rooms that this thread owns.
    by_uri: HashMap<RoomUri, RoomKey>,
    /// Replicas, by their owners' keys.
    replicas: HashMap<(Thread, RoomKey), RoomKey>,
    by_session: HashMap<SessionId, SessionKey>,
    /// Sessions that have left their room and whose connection stays for a moment.
    parting: HashMap<SessionId, SessionKey>,
    sessions: usize,
    /// Number of sessions that have left their room.
    pub(in crate::switch) leaving: usize,
    /// Number of sessions in rooms of other threads.
    pub(in crate::switch) guests: usize,
    /// State kept of rooms without sessions.
    pub(in crate::switch) reservations: Reservations,
    pub(in crate::switch) histories: Histories,
}

impl Rooms {
    pub(in crate::switch) fn new(entropy: &mut dyn Entropy) -> Self {
        let mut secret = [0; 8];
        entropy.fill(&mut secret);
        Self {
            secret: u64::from_le_bytes(secret),
            ..Self::default()
        }
    }

    pub(in crate::switch) fn get(&self, key: RoomKey) -> Option<&Room> {
        self.table.get(key)
    }

    pub(in crate::switch) fn get_mut(&mut self, key: RoomKey) -> Option<&mut Room> {
        self.table.get_mut(key)
    }

    pub(in crate::switch) fn keys(&self) -> Vec<RoomKey> {
        self.table.keys()
    }

    pub(in crate::switch) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Room> {
        self.table.iter_mut()
    }

    /// The room with this name, if this thread is its owner.
    pub(in crate::switch) fn called(&self, uri: &RoomUri) -> Option<RoomKey> {
        self.by_uri.get(uri).copied()
    }

    pub(in crate::switch) fn replica(&self, owner: Thread, room: RoomKey) -> Option<RoomKey> {
        self.replicas.get(&(owner, room)).copied()
    }

    pub(in crate::switch) fn session(&self, key: SessionKey) -> Option<&Session> {
        self.table.get(key.room)?.sessions.get(key.seat)
    }

    pub(in crate::switch) fn session_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.table.get_mut(key.room)?.sessions.get_mut(key.seat)
    }

    /// Every session.
    pub(in crate::switch) fn sessions_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.table
            .iter_mut()
            .flat_map(|room| room.sessions.iter_mut())
    }

    /// A session and the room it is in.
    pub(in crate::switch) fn with_session(&self, key: SessionKey) -> Option<(&Room, &Session)> {
        let room = self.table.get(key.room)?;
        Some((room, room.session(key)?))
    }

    /// The session with this name that is in a room.
    pub(in crate::switch) fn named(&self, id: &str) -> Option<SessionKey> {
        self.by_session.get(id).copied()
    }

    /// Those that are in a room.
    pub(in crate::switch) fn present(&self) -> impl Iterator<Item = SessionKey> {
        self.by_session.values().copied()
    }

    /// Sessions that were admitted here and have not ended.
    pub(in crate::switch) fn own_sessions(&self) -> usize {
        self.sessions - self.leaving - self.guests
    }

    /// The room with this name, with its kept state.
    pub(in crate::switch) fn open(
        &mut self,
        now: Moment,
        uri: &RoomUri,
        policy: &RoomPolicy,
    ) -> RoomKey {
        if let Some(key) = self.called(uri) {
            return key;
        }
        let mut room = Room::new(uri.clone(), policy.clone(), self.secret);
        let kept = self.reservations.take(now, uri);
        room.nicknames = kept.nicknames;
        room.history = kept.history;
        self.histories.changed(0, room.history.octets());
        room.free_nicknames(now);
        let key = self.table.insert(room);
        self.by_uri.insert(uri.clone(), key);
        key
    }

    /// The replica of another thread's room.
    pub(in crate::switch) fn open_replica(
        &mut self,
        owner: Thread,
        original: RoomKey,
        uri: &RoomUri,
        policy: RoomPolicy,
    ) -> RoomKey {
        if let Some(key) = self.replica(owner, original) {
            return key;
        }
        let mut room = Room::new(uri.clone(), policy, self.secret);
        room.original = Some(Original {
            owner,
            room: original,
            reported: 0,
        });
        let key = self.table.insert(room);
        self.replicas.insert((owner, original), key);
        key
    }

    /// Puts a session into a room.
    pub(in crate::switch) fn enter(&mut self, room: RoomKey, session: Session) -> SessionKey {
        let id = session.id.clone();
        let Some(known) = self.table.get_mut(room) else {
            return SessionKey::default();
        };
        let seat = known.sessions.insert(session);
        let key = SessionKey { room, seat };
        if let Some(session) = known.sessions.get_mut(seat) {
            session.place = known.members.enter(key);
        }
        self.sessions += 1;
        self.by_session.insert(id, key);
        key
    }

    /// Removes a session from the members of its room and from the index by name.
    pub(in crate::switch) fn unlist(&mut self, id: &SessionId) {
        self.by_session.remove(id);
    }

    /// Forgets a session that has left its room, and the room itself after its last session.
    pub(in crate::switch) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let room = self.table.get_mut(key.room)?;
        let session = room.sessions.remove(key.seat)?;
        if room.sessions.is_empty() {
            self.table.remove(key.room);
        }
        self.sessions -= 1;
        self.leaving -= usize::from(session.leaving);
        self.guests -= usize::from(session.home.is_some());
        if session.lingers {
            self.parting.remove(&session.id);
        }
        Some(session)
    }

    /// Removes a session from its room; its own queue is still written.
    pub(in crate::switch) fn leaves(&mut self, key: SessionKey) -> Option<&mut Session> {
        let session = self.table.get_mut(key.room)?.sessions.get_mut(key.seat)?;
        session.leaving = true;
        self.leaving += 1;
        self.guests -= usize::from(session.home.take().is_some());
        Some(session)
    }

    /// Keeps the connection of a session that has left its room for a moment; `false` if it has not
    /// left.
    pub(in crate::switch) fn lingers(&mut self, id: SessionId, key: SessionKey) -> bool {
        let session = self.session_mut(key).filter(|it| it.leaving);
        let leaving = session.map(|it| it.lingers = true).is_some();
        if leaving {
            self.parting.insert(id, key);
        }
        leaving
    }

    /// A session that has left its room and whose connection stays.
    pub(in crate::switch) fn lingering(&self, id: &SessionId) -> Option<SessionKey> {
        self.parting.get(id).copied()
    }

    /// Stops keeping such a connection.
    pub(in crate::switch) fn stops_lingering(&mut self, key: SessionKey) -> Option<&Session> {
        let session = self.table.get_mut(key.room)?.sessions.get_mut(key.seat)?;
        if !std::mem::take(&mut session.lingers) {
            return None;
        }
        self.parting.remove(&session.id);
        Some(session)
    }

    /// The last member has left a replica.
    pub(in crate::switch) fn close_replica(&mut self, original: &Original) {
        self.replicas.remove(&(original.owner, original.room));
    }

    /// The last session has left a room: closes the room and keeps its nicknames and history.
    pub(in crate::switch) fn close(&mut self, now: Moment, key: RoomKey) {
        let Some(room) = self.table.get_mut(key) else {
            return;
        };
        let kept = Reserved {
            nicknames: std::mem::take(&mut room.nicknames),
            history: std::mem::take(&mut room.history),
        };
        self.histories.changed(kept.history.octets(), 0);
        self.by_uri.remove(&room.uri);
        self.reservations.keep(now, room.uri.clone(), kept);
    }

    /// The history of a room, with or without members.
    pub(in crate::switch) fn history_mut(&mut self, room: &RoomUri) -> Option<&mut History> {
        match self.by_uri.get(room) {
            Some(&key) => self.table.get_mut(key).map(|room| &mut room.history),
            None => self.reservations.history_mut(room),
        }
    }

    /// A session that came from another thread, by its key there.
    pub(in crate::switch) fn guest(&self, from: Thread, id: &SessionId) -> Option<SessionKey> {
        let key = self.named(id.as_str())?;
        (self.session(key)?.home == Some(from)).then_some(key)
    }

    /// The thread that orders a session's messages, if that is another one.
    pub(in crate::switch) fn home(&self, key: SessionKey) -> Option<(Thread, SessionKey)> {
        let session = self.session(key)?;
        Some((session.home?, session.said_as))
    }

    /// See [`Room::welcome`].
    pub(in crate::switch) fn welcome(&mut self, key: SessionKey) {
        if let Some(room) = self.get_mut(key.room) {
            room.welcome(key);
        }
    }

    #[cfg(test)]
    pub(in crate::switch) fn is_empty(&self) -> bool {
        let names = (
            self.by_uri.len(),
            self.replicas.len(),
            self.by_session.len(),
        );
        let counts = (self.sessions, self.leaving, self.guests);
        self.table.is_empty() && names == (0, 0, 0) && counts == (0, 0, 0)
    }

    #[cfg(test)]
    pub(in crate::switch) fn nobody_lingers(&self) -> bool {
        self.parting.is_empty()
    }
}
