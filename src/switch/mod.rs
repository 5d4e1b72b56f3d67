//! The MSRP switch (RFC 4975, RFC 7701): sessions, rooms, fan-out, reports. There is one
//! instance for each thread; see `threads` for what they have to do with each other.
//!
//! A pure state machine. Its driver hands in orders, octets and the time, and asks for
//! notices, for connections that have something to write and what that is. No sockets, no
//! clock, no threads here, and nothing of the focus but `control`.
//!
//! A message stands once in its room's log; every member holds a position in it. A copy
//! is written when its receiver's turn to write comes, so a turn costs each receiver one
//! write, and an idle or slow one no buffer of its own.

mod ids;
mod line;
mod message;
mod on_demand;
mod out;
mod reconcile;
mod room;
mod threads;
mod timers;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::control::{
    Admission, AdmitError, LossCause, Notice, Order, RoomPolicy, RoomUri, SessionId,
};
use crate::counters::Totals;
use crate::entropy::Entropy;
use crate::time::Moment;
use crate::wire::msrp::TransactionIds;

pub use ids::{ConnectionId, Thread};
pub use line::connection::Security;
pub use line::dialling::Wanted;
pub use line::liveness::SILENCE;
pub use out::batch::Batch;
pub use out::transmit::After;
pub use threads::{Alone, Post, Threads};

use ids::{RoomKey, SessionKey, StreamKey, Table};
use line::connection::Connection;
use message::Budget;
use out::stream::Stream;
use out::turns::Turns;
use room::Room;
use room::history::Histories;
use room::message_events::MessageEvents;
use room::pending_nickname::PendingNicknames;
use room::reservations::{Reservations, Reserved};
use room::session::Session;
use threads::{Exchange, Parcel, Speaker};
use timers::{Timer, Timers};

/// How long a connection may stay without a session.
const UNBOUND_TIMEOUT: Duration = Duration::from_secs(32);
/// What may be read from a connection before it has bound a session: a few refused requests.
const UNBOUND_OCTETS: usize = 64 * 1024;
/// How long a connection that is to close may take to write what is queued.
const CLOSE_GRACE: Duration = Duration::from_secs(5);
/// How long the connection of a session outlives its place in the room, for its peer to learn
/// by SIP why it ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// Sessions that leave together, before others have their turn.
const EXPELLED_AT_ONCE: usize = 256;
/// Settings of the switch: what the operator decides, and one bound of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most octets that may wait for one receiver.
    pub outbox_bytes: usize,
    /// Longest pause between two chunks of a message (RFC 7701 §6.1).
    pub chunk_timeout: Duration,
    /// Messages up to so many octets are delivered as one SEND, even if they came in chunks;
    /// larger ones are passed on while they come in.
    pub forward_whole_below: usize,
    /// What becomes of who does not take what waits for him (RFC 7701 §6.4).
    pub slow_reader: SlowReader,
    /// Nicknames that look like one in use are refused (UTS 39).
    pub nickname_confusables: bool,
    /// A connection silent for so long is gone; zero: nobody looks.
    pub idle_timeout: Duration,
    /// Most sessions of one thread; more are refused as full. No parameter sets it: a peer
    /// cannot make the switch grow without end.
    pub max_sessions: usize,
}

/// What becomes of a receiver for whom more waits than an outbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowReader {
    /// He loses messages and is told so.
    #[default]
    Drop,
    /// He loses his connection.
    Disconnect,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            outbox_bytes: 1 << 20,
            chunk_timeout: Duration::from_secs(540),
            forward_whole_below: 64 * 1024,
            slow_reader: SlowReader::Drop,
            nickname_confusables: false,
            idle_timeout: Duration::ZERO,
            max_sessions: 1_000_000,
        }
    }
}

/// The sessions and rooms of one thread.
pub struct Switch {
    config: Config,
    entropy: Box<dyn Entropy + Send>,
    /// What goes to other instances, and comes from them.
    exchange: Exchange,
    connections: Table<ConnectionId, Connection>,
    sessions: Table<SessionKey, Session>,
    rooms: Table<RoomKey, Room>,
    /// Large messages that are passed on while they come in.
    streams: Table<StreamKey, Stream>,
    by_session: HashMap<SessionId, SessionKey>,
    /// Sessions in no room whose connection is still to stay.
    parting: HashMap<SessionId, SessionKey>,
    /// The rooms of which this is the owner.
    by_room: HashMap<RoomUri, RoomKey>,
    /// The others, by what their owners call them.
    replicas: HashMap<(Thread, RoomKey), RoomKey>,
    /// Large messages from other instances, by what these call them.
    inflows: HashMap<(Thread, StreamKey), StreamKey>,
    /// Connections elsewhere with sessions of our rooms, and how many.
    abroad: HashMap<Speaker, usize>,
    /// Sessions here of rooms of other instances.
    guests: usize,
    /// What is kept of rooms without sessions.
    reservations: Reservations,
    histories: Histories,
    timers: Timers,
    notices: VecDeque<Notice>,
    wanted: VecDeque<Wanted>,
    /// Connections to close at once.
    closes: VecDeque<ConnectionId>,
    /// Connections that may be read again.
    resumes: VecDeque<ConnectionId>,
    /// Large messages of which somebody got something.
    touched: Vec<StreamKey>,
    turns: Turns,
    /// What messages that are not whole yet cost.
    budget: Budget,
    /// Sessions that are in no room any more.
    leaving: usize,
    /// Sessions that are to leave.
    expelled: VecDeque<SessionKey>,
    /// Of those that left, whom everything was written to.
    left: Vec<SessionKey>,
    stopping: bool,
    /// When sessions that no focus has claimed end, and how long they may stay.
    orphans_end: Option<(Moment, Duration)>,
    message_events: MessageEvents,
    pending_nicknames: PendingNicknames,
    totals: Totals,
}

impl Switch {
    /// An instance without rooms.
    pub fn new(
        config: Config,
        entropy: Box<dyn Entropy + Send>,
        threads: Box<dyn Threads>,
    ) -> Self {
        Self {
            config,
            entropy,
            exchange: Exchange::new(threads),
            connections: Table::default(),
            sessions: Table::default(),
            rooms: Table::default(),
            streams: Table::default(),
            by_session: HashMap::new(),
            parting: HashMap::new(),
            by_room: HashMap::new(),
            replicas: HashMap::new(),
            inflows: HashMap::new(),
            abroad: HashMap::new(),
            guests: 0,
            reservations: Reservations::default(),
            histories: Histories::default(),
            timers: Timers::default(),
            notices: VecDeque::new(),
            wanted: VecDeque::new(),
            closes: VecDeque::new(),
            resumes: VecDeque::new(),
            touched: Vec::new(),
            turns: Turns::default(),
            budget: Budget::new(config.outbox_bytes),
            leaving: 0,
            expelled: VecDeque::new(),
            left: Vec::new(),
            stopping: false,
            orphans_end: None,
            message_events: MessageEvents::default(),
            pending_nicknames: PendingNicknames::default(),
            totals: Totals::default(),
        }
    }

    /// Carries out what the focus asks.
    pub fn order(&mut self, now: Moment, order: Order) {
        match order {
            Order::Admit(admission) => self.admit(now, &admission),
            Order::Amend(admission) => self.amend(now, &admission),
            Order::Expel { session, .. } => {
                if let Some(&key) = self.by_session.get(&session) {
                    self.expel(now, key, None);
                } else {
                    self.farewell_ends(now, &session);
                }
            }
            Order::Part { session, .. } => self.part_from_room(now, session),
            Order::Submit {
                session, message, ..
            } => self.submit(now, &session, &message),
            Order::Close { room } => self.close_room(&room),
            Order::Say { room, text } => self.say(now, &room, &text),
            Order::ReportMessages(on) => self.listen(on),
            Order::Hold { room, nicknames } => self.hold_nicknames(now, room, &nicknames),
            Order::Kept { change, .. } => self.nickname_kept(change),
            Order::Recall { room, messages } => self.recall(now, room, messages),
            Order::Remembered {
                room,
                up_to,
                octets,
            } => self.history_kept(now, &room, up_to, octets),
            Order::Forget { room } => self.forget_history(room),
            Order::Reconcile {
                room,
                sessions,
                last,
            } => self.reconcile(now, room, sessions, last),
        }
    }

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
        self.timers.arm(due, Timer::Connection(id));
        id
    }

    /// The connection has failed or was closed: all sessions on it are lost (C63).
    pub fn closed(&mut self, now: Moment, id: ConnectionId) {
        self.lose_sessions_of(now, id, LossCause::Disconnected);
        self.connections.remove(id);
    }

    /// The peer will send nothing more, but may still read: it gets what waits for it, then
    /// the connection closes.
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

    /// The next notice for the focus.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The next connection to close at once, without writing anything more. [`Self::closed`]
    /// must follow.
    pub fn poll_close(&mut self) -> Option<ConnectionId> {
        self.closes.pop_front()
    }

    /// Whether a session was bound to a connection.
    pub fn is_bound(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|it| it.bound)
    }

    /// Whether a connection is not to be read for now: its sender waits for slow receivers,
    /// does not read what it is answered, or is not heard any more.
    pub fn paused(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(Connection::is_paused)
    }

    /// Octets of a connection that were not decoded, as its sender had to wait: they come
    /// before what is read next.
    pub fn unread(&self, id: ConnectionId) -> usize {
        self.connections.get(id).map_or(0, Connection::waiting)
    }

    /// The next connection that may be read again.
    pub fn poll_resume(&mut self) -> Option<ConnectionId> {
        self.resumes.pop_front()
    }

    /// One reason less not to read a connection.
    fn resume(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.pauses = connection.pauses.saturating_sub(1);
            if !connection.is_paused() {
                self.resumes.push_back(id);
            }
        }
    }

    /// Nobody is admitted any more.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// When [`Self::tick`] is due.
    pub fn deadline(&self) -> Option<Moment> {
        self.timers.deadline()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Moment) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Connection(id) => self.connection_due(now, id),
                Timer::Silence(id) => self.silence_due(now, id),
                Timer::Bind(key) => self.bind_due(now, key),
                Timer::Chunk(key) => self.chunk_due(now, key),
                Timer::Orphans => self.orphans_due(now),
                Timer::HeldUp(id) => self.held_up_due(now, id),
                Timer::Leave(key) => self.leave_due(now, key),
                Timer::Farewell(key) => self.stop_lingering(now, key),
                Timer::Held(key) => self.held_due(now, key),
                Timer::Pause(key) => self.pause_due(now, key),
                Timer::Count(key) => self.count_due(now, key),
                Timer::History(key) => self.history_due(now, key),
            }
        }
    }

    /// Sessions of rooms of this instance that were admitted and have not ended.
    pub fn sessions(&self) -> usize {
        self.sessions.len() - self.leaving - self.guests
    }

    /// What was counted so far.
    pub fn totals(&self) -> Totals {
        Totals {
            sessions: self.sessions() as u64,
            ..self.totals
        }
    }

    fn admit(&mut self, now: Moment, admission: &Admission) {
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
            self.notices.push_back(Notice::Refused {
                room,
                session,
                error,
            });
            return;
        }
        if self.by_session.contains_key(&session) {
            self.amend(now, admission);
        } else {
            self.insert(now, admission);
        }
        self.notices.push_back(Notice::Admitted { room, session });
    }

    fn insert(&mut self, now: Moment, admission: &Admission) {
        let history_octets = self.history_octets();
        let room_key = match self.by_room.get(&admission.room) {
            Some(&key) => key,
            None => {
                let mut room = Room::new(admission.room.clone(), admission.policy.clone());
                let left = self.reservations.take(now, &admission.room);
                room.nicknames = left.nicknames;
                room.history = left.history;
                self.histories.changed(0, room.history.octets());
                room.free_nicknames(now);
                let key = self.rooms.insert(room);
                self.by_room.insert(admission.room.clone(), key);
                key
            }
        };
        self.set_policy(room_key, &admission.policy);
        let ids = TransactionIds::new(&mut *self.entropy);
        let Some(room) = self.rooms.get_mut(room_key) else {
            return;
        };
        let position = room.log.end();
        let mut session = Session::new(admission, (room_key, room.uri.clone()), position, now, ids);
        if admission.newcomer {
            let most = room.policy.history;
            let before = room.history.octets();
            for entry in room.history.for_newcomer(most, history_octets) {
                session.own.push(position, entry);
            }
            self.histories.changed(before, room.history.octets());
        }
        let bind_by = session.bind_by;
        let key = self.sessions.insert(session);
        if let Some(session) = self.sessions.get_mut(key) {
            session.said_as = key;
            session.place = room.members.enter(key);
            room.members.name(key, &session.user, session.uris());
        }
        self.by_session.insert(admission.session.clone(), key);
        if let Some(nickname) = &admission.nickname {
            self.give_back_nickname(key, nickname);
        }
        self.timers.arm(bind_by, Timer::Bind(key));
        self.place(key);
        self.want(now, key, admission.peer.dial.as_ref());
    }

    /// The rules of a room, on every thread.
    fn set_policy(&mut self, key: RoomKey, policy: &RoomPolicy) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        if room.policy != *policy {
            room.policy = policy.clone();
            for thread in room.abroad() {
                self.exchange
                    .post(thread, Parcel::Policy(key, policy.clone()));
            }
        }
    }

    fn amend(&mut self, now: Moment, admission: &Admission) {
        let Some(&key) = self.by_session.get(&admission.session) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.unclaimed = None;
        let room = session.room;
        self.set_policy(room, &admission.policy);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.path().is_empty() && !session.is_tied() && !admission.peer.path.is_empty() {
            // Its peer has answered; until then it may have rung for minutes.
            session.bind_by = session.bind_by.min(now + admission.policy.bind_timeout);
            self.timers.arm(session.bind_by, Timer::Bind(key));
        }
        if let Some(room) = self.rooms.get_mut(room) {
            room.members.unname(key, &session.user, session.uris());
            room.members.name(key, &admission.user, &admission.uris);
        }
        let unnamed = session.path().is_empty() && session.is_tied();
        let (moved, away) = (session.amend(admission), session.away);
        if unnamed && !moved {
            self.welcome(key);
        }
        match (moved, away) {
            (false, Some(away)) => {
                let session = self.sessions.get_mut(key);
                let notice = session.and_then(|session| session.notice.take());
                let parcel = Parcel::Amended(Box::new(admission.clone()), notice);
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

    /// The ACK of an offerless INVITE may bring the fingerprint after the bind (C70): `false`
    /// if the connection is not that of the session's peer.
    fn still_knows(&mut self, now: Moment, key: SessionKey) -> bool {
        let session = self.sessions.get(key);
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

    /// C63: new URIs; what is queued waits for the new connection.
    fn unbind(&mut self, now: Moment, key: SessionKey, admission: &Admission) {
        self.end_copies(key);
        self.refuse_claimants(now, key);
        self.recall_session(key, admission.peer.dial.clone());
        self.forget_unfinished(key);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.probe = None;
        session.greeting = None;
        session.dialled = None;
        session.bind_by = now + admission.policy.bind_timeout;
        let bind_by = session.bind_by;
        let before = session.connection.take();
        self.timers.arm(bind_by, Timer::Bind(key));
        if let Some(id) = before {
            self.detach(now, id, key);
        }
        self.want(now, key, admission.peer.dial.as_ref());
    }

    /// Ends a session in good order: it is in its room no more, and what is queued for it is
    /// still written. With a cause, the focus is told.
    fn expel(&mut self, now: Moment, key: SessionKey, cause: Option<LossCause>) {
        self.end_copies(key);
        let Some(session) = self.sessions.get_mut(key).filter(|it| !it.leaving) else {
            return;
        };
        if let Some(away) = session.away {
            let parcel = Parcel::Expel(session.id.clone());
            self.exchange.post(away.thread, parcel);
        }
        if session.connection.is_none() || !session.is_ready() {
            return self.end(now, key, cause);
        }
        if let Some(room) = self.rooms.get_mut(session.room) {
            session.drain_log(&mut room.log);
        }
        self.part(now, key, cause);
        if let Some(session) = self.sessions.get_mut(key) {
            session.leaving = true;
            self.leaving += 1;
            self.guests -= usize::from(session.home.take().is_some());
            self.timers.arm(now + CLOSE_GRACE, Timer::Leave(key));
        }
        self.mark_session_dirty(key);
    }

    /// Takes a session out of its room; its connection is closed when it is expelled.
    fn part_from_room(&mut self, now: Moment, session: SessionId) {
        let Some(&key) = self.by_session.get(&session) else {
            return;
        };
        match self.sessions.get(key).and_then(|it| it.away) {
            None => self.expel(now, key, None),
            Some(away) => {
                let parcel = Parcel::Part(session.clone());
                self.exchange.post(away.thread, parcel);
                self.part(now, key, None);
                if let Some(session) = self.sessions.get_mut(key) {
                    // Where it says farewell.
                    session.away = Some(away);
                    session.leaving = true;
                    self.leaving += 1;
                }
            }
        }
        if let Some(leaving) = self.sessions.get_mut(key).filter(|it| it.leaving) {
            leaving.lingers = true;
            self.parting.insert(session, key);
            self.timers.arm(now + FAREWELL, Timer::Farewell(key));
        }
    }

    /// The connection of a session that is in no room is to stay no longer.
    fn farewell_ends(&mut self, now: Moment, session: &SessionId) {
        if let Some(&key) = self.parting.get(session) {
            self.stop_lingering(now, key);
        }
    }

    fn stop_lingering(&mut self, now: Moment, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key).filter(|it| it.lingers) else {
            return;
        };
        session.lingers = false;
        self.parting.remove(&session.id);
        match session.away {
            None => self.mark_session_dirty(key),
            Some(away) => {
                let parcel = Parcel::Expel(session.id.clone());
                self.exchange.post(away.thread, parcel);
                self.end(now, key, None);
            }
        }
    }

    fn leave_due(&mut self, now: Moment, key: SessionKey) {
        if self.sessions.get(key).is_some_and(|it| it.leaving) {
            self.end(now, key, None);
        }
    }

    /// Everybody who is in a room leaves it. A room may have thousands: see [`Self::go_on`].
    fn close_room(&mut self, uri: &RoomUri) {
        let room = self.by_room.get(uri).and_then(|&key| self.rooms.get(key));
        if let Some(room) = room {
            self.expelled.extend(room.members.all());
        }
    }

    /// Goes on with what takes long; whether there is more.
    pub fn go_on(&mut self, now: Moment) -> bool {
        for _ in 0..EXPELLED_AT_ONCE {
            match self.expelled.pop_front() {
                Some(key) => self.expel(now, key, None),
                None => return false,
            }
        }
        !self.expelled.is_empty()
    }

    /// Forgets a session; with a cause, the focus is told.
    fn end(&mut self, now: Moment, key: SessionKey, cause: Option<LossCause>) {
        self.end_copies(key);
        let leaving = self.sessions.get(key).is_some_and(|it| it.leaving);
        if !leaving {
            self.part(now, key, cause);
        }
        let Some(session) = self.sessions.remove(key) else {
            return;
        };
        self.leaving -= usize::from(leaving);
        self.guests -= usize::from(session.home.is_some());
        if session.lingers {
            self.parting.remove(&session.id);
        }
        if let Some(id) = session.connection {
            self.detach(now, id, key);
        }
        if let Some(recalled) = session.recalled {
            self.settle_claims(now, &session.id, *recalled);
        }
    }

    /// A session says nothing more, and is in its room no more. With a cause, the focus is
    /// told: by the owner of the room, so that it hears of a session in order.
    fn part(&mut self, now: Moment, key: SessionKey, cause: Option<LossCause>) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (id, room) = (session.id.clone(), session.room);
        let room = self.rooms.get(room);
        let is_guest = room.is_some_and(|room| room.original.is_some());
        self.forget_unfinished(key);
        self.by_session.remove(&id);
        self.leave_room(now, key);
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        if is_guest {
            // One that goes back has no home any more.
            if let Some(home) = session.home {
                let parcel = Parcel::Left(session.said_as, cause);
                self.exchange.post(home, parcel);
            }
            return;
        }
        self.exchange.threads.forget(&id);
        if let Some(cause) = cause {
            self.notices.push_back(Notice::Lost {
                room: session.room_uri.clone(),
                session: id,
                cause,
            });
        }
    }

    fn leave_room(&mut self, now: Moment, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(session.room) else {
            return;
        };
        let straggles = std::mem::take(&mut session.straggles);
        let (user, room_key, place) = (session.user.clone(), session.room, session.place);
        let away = session.away.take();
        if room.original.is_none() {
            room.members.unname(key, &user, session.uris());
        }
        if let Some(away) = away {
            self.not_abroad(away);
            self.comes_home(key, room_key, away.thread, false);
        } else {
            room.log.pass_all(session.position);
            session.position = room.log.end();
            room.held.stragglers -= usize::from(straggles);
            let moved = room.members.leave(place, key);
            if let Some(moved) = moved.and_then(|key| self.sessions.get_mut(key)) {
                moved.place = place;
            }
        }
        self.members_moved(room_key);
        self.release_speakers(room_key);
        let Some(room) = self.rooms.get_mut(room_key) else {
            return;
        };
        if room.members.is_empty() {
            self.tell_count(room_key);
        }
        let Some(room) = self.rooms.get_mut(room_key) else {
            return;
        };
        if let Some(original) = room.original {
            if room.members.is_empty()
                && let Some(room) = self.rooms.remove(room_key)
            {
                self.ends_spread(&room.spread);
                self.replica_ends(original, room.log.pushed());
            }
            return;
        }
        if room.members.is_empty() {
            room.quarantine(now, &user);
            room.free_nicknames(now);
            self.by_room.remove(&room.uri);
            if let Some(mut room) = self.rooms.remove(room_key) {
                self.histories.changed(room.history.octets(), 0);
                self.ends_spread(&room.spread);
                self.ends_held(std::mem::take(&mut room.held));
                self.tell_all_history(&room.uri, &mut room.history);
                let left = Reserved {
                    nicknames: room.nicknames,
                    history: room.history,
                };
                self.reservations.keep(now, room.uri, left);
            }
            return;
        }
        if !room.members.has(&user) {
            room.quarantine(now, &user);
        }
    }

    /// The session no longer lives on the connection.
    fn detach(&mut self, now: Moment, id: ConnectionId, key: SessionKey) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.sessions.remove(key);
        }
        self.close_if_idle(now, id);
    }

    /// C64: a connection closes when no session lives on it any more.
    fn close_if_idle(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.is_idle() && !connection.closing {
            let due = now + CLOSE_GRACE;
            connection.closing = true;
            connection.close_by = Some(due);
            self.timers.arm(due, Timer::Connection(id));
            self.mark_dirty(id);
        }
    }

    fn lose_sessions_of(&mut self, now: Moment, id: ConnectionId, cause: LossCause) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        for &key in &*std::mem::take(&mut connection.sessions) {
            self.end(now, key, Some(cause));
        }
    }

    /// The peer sent what cannot be understood, or too much of it.
    fn protocol_error(&mut self, now: Moment, id: ConnectionId) {
        self.totals.not_msrp += 1;
        self.lose_sessions_of(now, id, LossCause::ProtocolError);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.closing = true;
        }
        self.closes.push_back(id);
    }

    /// The peer sent what cannot be followed: it is answered, and the connection closes.
    fn give_up(&mut self, now: Moment, id: ConnectionId) {
        self.totals.not_msrp += 1;
        self.lose_sessions_of(now, id, LossCause::ProtocolError);
        self.close_if_idle(now, id);
    }

    fn connection_due(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        if connection.close_by.is_some_and(|due| due <= now) {
            self.lose_sessions_of(now, id, LossCause::Disconnected);
            self.closes.push_back(id);
        }
    }

    fn bind_due(&mut self, now: Moment, key: SessionKey) {
        let unbound = self
            .sessions
            .get(key)
            .is_some_and(|session| !session.is_bound() && session.bind_by <= now);
        if unbound {
            self.end(now, key, Some(LossCause::NeverBound));
        }
    }
}
