//! The life of a session: admitted, amended, expelled, parted from its room, ended.

use std::time::Duration;

use crate::control::{
    Admission, AdmitError, HISTORY_OCTETS, LossCause, Notice, RoomPolicy, RoomUri, SessionId,
};
use crate::switch::Switch;
use crate::switch::ids::{RoomKey, SessionKey};
use crate::switch::room::session::Session;
use crate::switch::room::status_text;
use crate::switch::threads::parcel::Parcel;
use crate::switch::timers::Timer;
use crate::time::Moment;
use crate::wire::msrp::TransactionIds;

/// Time limit for a session that has left its room to receive its queued output.
const CLOSE_GRACE: Duration = Duration::from_secs(5);
/// How long a connection outlives its session's place in the room, so that the peer learns by SIP
/// why the session ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// Number of sessions that leave before other work gets its turn.
const EXPELLED_AT_ONCE: usize = 256;

impl Switch {
    pub(in crate::switch) fn admit(&mut self, now: Moment, admission: &Admission) {
        let (room, session) = (admission.room.clone(), admission.session.clone());
        let error = if self.stopping {
            Some(AdmitError::Stopping)
        } else if self.sessions() >= self.config.max_sessions {
            Some(AdmitError::Full)
        } else {
            None
        };
        if let Some(error) = error {
            self.exchange.threads.forget(&session);
            return self.agenda.tell(Notice::Refused {
                room,
                session,
                error,
            });
        }
        match self.rooms.named(session.as_str()) {
            Some(_) => self.amend(now, admission),
            None => self.insert(now, admission),
        }
        self.agenda.tell(Notice::Admitted { room, session });
    }

    fn insert(&mut self, now: Moment, admission: &Admission) {
        let history_octets = self.history_octets();
        let room_key = self.rooms.open(now, &admission.room, &admission.policy);
        self.set_policy(room_key, &admission.policy);
        let ids = TransactionIds::new(&mut *self.entropy);
        let Some(room) = self.rooms.get_mut(room_key) else {
            return;
        };
        let position = room.log.end();
        let mut session = Session::new(admission, room.uri.clone(), position, now, ids);
        if admission.newcomer {
            let most = room.policy.history;
            let before = room.history.octets();
            for entry in room.history.for_newcomer(most, history_octets) {
                session.own.push(position, entry);
            }
            let after = room.history.octets();
            self.rooms.histories.changed(before, after);
        }
        let bind_by = session.bind_by;
        let key = self.rooms.enter(room_key, session);
        let confusables = self.config.nickname_confusables;
        if let Some(room) = self.rooms.get_mut(room_key)
            && let Some(session) = room.sessions.get_mut(key.seat)
        {
            session.said_as = key;
            room.members.name(key, &session.user, session.uris());
            let user = session.user.clone();
            if let Some(nickname) = &admission.nickname
                && !room.give_back_nickname(&user, nickname, confusables)
            {
                self.tell_nickname(admission.room.clone(), user, None);
            }
        }
        self.agenda.arm(bind_by, Timer::Bind(key));
        self.place(key);
        self.want(now, key, admission.peer.dial.as_ref());
    }

    /// Size limit of one room's history, in octets: at most half of the queue of a newcomer.
    pub(in crate::switch) fn history_octets(&self) -> usize {
        HISTORY_OCTETS.min(self.config.outbox_bytes / 2)
    }

    /// The rules of a room, on every thread.
    fn set_policy(&mut self, key: RoomKey, policy: &RoomPolicy) {
        if let Some(room) = self.rooms.get_mut(key)
            && room.policy != *policy
        {
            room.policy = policy.clone();
            for thread in room.abroad() {
                let parcel = Parcel::Policy(key, policy.clone());
                self.exchange.post(thread, parcel);
            }
        }
    }

    pub(in crate::switch) fn amend(&mut self, now: Moment, admission: &Admission) {
        let Some(key) = self.rooms.named(admission.session.as_str()) else {
            return;
        };
        self.set_policy(key.room, &admission.policy);
        let Some(room) = self.rooms.get_mut(key.room) else {
            return;
        };
        let Some(session) = room.sessions.get_mut(key.seat) else {
            return;
        };
        session.unclaimed = None;
        if session.path().is_empty() && !session.is_tied() && !admission.peer.path.is_empty() {
            // The peer has answered only now; it may have rung for minutes.
            session.bind_by = session.bind_by.min(now + admission.policy.bind_timeout);
            self.agenda.arm(session.bind_by, Timer::Bind(key));
        }
        room.members.unname(key, &session.user, session.uris());
        room.members.name(key, &admission.user, &admission.uris);
        let unnamed = session.path().is_empty() && session.is_tied();
        let (moved, away) = (session.amend(admission), session.away);
        if unnamed && !moved {
            room.welcome(key);
        }
        match (moved, away) {
            (false, Some(away)) => {
                let session = self.rooms.session_mut(key);
                let status = session.and_then(|session| session.status.take());
                let parcel = Parcel::Amended(Box::new(admission.clone()), status);
                self.exchange.post(away.thread, parcel);
            }
            (false, None) => {
                if self.still_knows(now, key) {
                    self.want(now, key, admission.peer.dial.as_ref());
                    self.mark_session_dirty(key);
                }
            }
            (true, _) => self.unbind(now, key, admission),
        }
    }

    /// C63: new URIs; queued output waits for the new connection.
    fn unbind(&mut self, now: Moment, key: SessionKey, admission: &Admission) {
        self.end_copies(key);
        self.refuse_claimants(now, key);
        self.recall_session(key, admission.peer.dial.clone());
        self.forget_unfinished(key);
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        session.probe = None;
        session.greeting = None;
        session.dialled = None;
        session.bind_by = now + admission.policy.bind_timeout;
        self.agenda.arm(session.bind_by, Timer::Bind(key));
        if let Some(id) = session.connection.take() {
            self.detach(now, id, key);
        }
        self.want(now, key, admission.peer.dial.as_ref());
    }

    pub(in crate::switch) fn bind_due(&mut self, now: Moment, key: SessionKey) {
        let session = self.rooms.session(key);
        if session.is_some_and(|session| !session.is_bound() && session.bind_by <= now) {
            self.end(now, key, Some(LossCause::NeverBound));
        }
    }

    /// Delivers an operator's announcement to everyone in a room.
    pub(in crate::switch) fn say(&mut self, now: Moment, uri: &RoomUri, text: &str) {
        if let Some(key) = self.rooms.called(uri) {
            self.append(now, key, status_text::announcement(uri, text, now).into());
        }
    }

    /// Delivers a status text to a session, wherever it is.
    pub(in crate::switch) fn tell(&mut self, key: SessionKey, text: Box<str>) {
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        match session.away {
            None => {
                session.status = Some(text);
                self.mark_session_dirty(key);
            }
            Some(away) => {
                let parcel = Parcel::Tell(session.id.clone(), text);
                self.exchange.post(away.thread, parcel);
            }
        }
    }

    /// Ends a session in good order: it leaves its room, and its queued output is still written.
    /// With a cause, the focus gets a notice.
    pub(in crate::switch) fn expel(
        &mut self,
        now: Moment,
        key: SessionKey,
        cause: Option<LossCause>,
    ) {
        self.end_copies(key);
        let Some(room) = self.rooms.get_mut(key.room) else {
            return;
        };
        let session = room.sessions.get_mut(key.seat);
        let Some(session) = session.filter(|it| !it.leaving) else {
            return;
        };
        if let Some(away) = session.away {
            let parcel = Parcel::Expel(session.id.clone());
            self.exchange.post(away.thread, parcel);
        }
        if session.connection.is_none() || !session.is_ready() {
            return self.end(now, key, cause);
        }
        session.drain_log(&mut room.log);
        self.part(now, key, cause);
        if self.rooms.leaves(key).is_some() {
            self.agenda.arm(now + CLOSE_GRACE, Timer::Leave(key));
        }
        self.mark_session_dirty(key);
    }

    /// Takes a session out of its room; its connection is closed when it is expelled.
    pub(in crate::switch) fn part_from_room(&mut self, now: Moment, session: SessionId) {
        let Some(key) = self.rooms.named(session.as_str()) else {
            return;
        };
        match self.rooms.session(key).and_then(|it| it.away) {
            None => self.expel(now, key, None),
            Some(away) => {
                let parcel = Parcel::Part(session.clone());
                self.exchange.post(away.thread, parcel);
                self.part(now, key, None);
                if let Some(session) = self.rooms.leaves(key) {
                    // Where it says farewell.
                    session.away = Some(away);
                }
            }
        }
        if self.rooms.lingers(session, key) {
            self.agenda.arm(now + FAREWELL, Timer::Farewell(key));
        }
    }

    /// Ends the wait of a connection whose session has left its room.
    pub(in crate::switch) fn farewell_ends(&mut self, now: Moment, session: &SessionId) {
        if let Some(key) = self.rooms.lingering(session) {
            self.stop_lingering(now, key);
        }
    }

    pub(in crate::switch) fn stop_lingering(&mut self, now: Moment, key: SessionKey) {
        let Some(session) = self.rooms.stops_lingering(key) else {
            return;
        };
        match session.away {
            None => self.mark_session_dirty(key),
            Some(away) => {
                let parcel = Parcel::Expel(session.id.clone());
                self.exchange.post(away.thread, parcel);
                self.end(now, key, None);
            }
        }
    }

    pub(in crate::switch) fn leave_due(&mut self, now: Moment, key: SessionKey) {
        if self.rooms.session(key).is_some_and(|it| it.leaving) {
            self.end(now, key, None);
        }
    }

    /// Removes everyone from a room. There may be thousands: see [`Self::go_on`].
    pub(in crate::switch) fn close_room(&mut self, uri: &RoomUri) {
        let key = self.rooms.called(uri);
        if let Some(room) = key.and_then(|key| self.rooms.get(key)) {
            self.expelled.extend(room.members.all());
        }
    }

    /// Continues long-running work; returns whether there is more.
    pub fn go_on(&mut self, now: Moment) -> bool {
        for _ in 0..EXPELLED_AT_ONCE {
            match self.expelled.pop_front() {
                Some(key) => self.expel(now, key, None),
                None => return false,
            }
        }
        !self.expelled.is_empty()
    }

    /// Forgets a session; with a cause, the focus gets a notice.
    pub(in crate::switch) fn end(
        &mut self,
        now: Moment,
        key: SessionKey,
        cause: Option<LossCause>,
    ) {
        self.end_copies(key);
        if self.rooms.session(key).is_some_and(|it| !it.leaving) {
            self.part(now, key, cause);
        }
        let Some(session) = self.rooms.remove(key) else {
            return;
        };
        if let Some(id) = session.connection {
            self.detach(now, id, key);
        }
        if let Some(recalled) = session.recalled {
            self.settle_claims(now, &session.id, *recalled);
        }
    }

    /// Ends a session's input and its membership. With a cause, the owner of the room notifies the
    /// focus, so that notices about a session arrive in order.
    fn part(&mut self, now: Moment, key: SessionKey, cause: Option<LossCause>) {
        let Some((room, session)) = self.rooms.with_session(key) else {
            return;
        };
        let (id, is_guest) = (session.id.clone(), room.original.is_some());
        self.forget_unfinished(key);
        self.rooms.unlist(&id);
        self.leave_room(now, key);
        let Some((room, session)) = self.rooms.with_session(key) else {
            return;
        };
        if is_guest {
            // A session that goes back to its owner has no home left to notify.
            if let Some(home) = session.home {
                let parcel = Parcel::Left(session.said_as, cause);
                self.exchange.post(home, parcel);
            }
            return;
        }
        self.exchange.threads.forget(&id);
        if let Some(cause) = cause {
            self.agenda.tell(Notice::Lost {
                room: room.uri.clone(),
                session: id,
                cause,
            });
        }
    }

    fn leave_room(&mut self, now: Moment, key: SessionKey) {
        let Some(room) = self.rooms.get_mut(key.room) else {
            return;
        };
        let Some(away) = room.leave(key) else { return };
        if let Some(away) = away {
            self.exchange.not_abroad(away);
        }
        self.release_speakers(key.room);
        let Some(room) = self.rooms.get_mut(key.room) else {
            return;
        };
        let user = room.session(key).map(|session| session.user.clone());
        if !room.members.is_empty() {
            if let Some(user) = user.filter(|user| !room.members.has(user)) {
                room.quarantine(now, &user);
            }
            return;
        }
        room.tell_count(&mut self.agenda);
        self.turns.ends(room);
        if let Some(original) = room.original {
            let pushed = room.log.pushed();
            self.rooms.close_replica(&original);
            return self.replica_ends(original, pushed);
        }
        if let Some(user) = user {
            room.quarantine(now, &user);
        }
        room.free_nicknames(now);
        let uri = room.uri.clone();
        self.let_speak(key.room);
        self.rooms.tell_all_history(&uri, &mut self.agenda);
        self.rooms.close(now, key.room);
    }
}
