//! A large message on its way through a room, passed on while it comes in (RFC 7701 §6.1,
//! G26–G28): to those who were there when its CPIM headers were complete, and to nobody else.
//!
//! # A receiver slower than the sender
//! A message holds at most `outbox_bytes`. When half of that waits, the sender's connection is
//! not read: TCP slows him down to the slowest receiver, which costs no memory and loses
//! nothing; to give the copy up at once would give up nearly every one, since a sender in the
//! same network is always faster than somebody's telephone. The pause is bounded by
//! [`PATIENCE`], since it also holds the sender's other messages back and keeps the other
//! receivers waiting: whoever still lags then loses the message (`#`) and is told. A receiver
//! that takes 128 KiB a second at the default outbox never does.

use crate::control::LossCause;
use crate::time::Moment;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::backlog::Audience;
use super::guests;
use super::ids::{ConnectionId, RoomKey, SessionKey, StreamKey, Thread};
use super::message::{Code, Facts, Opening, OwnedFacts, Window};
use super::outgoing::Copy;
use super::threads::{Credit, Parcel, Speaker};
use super::timers::Timer;
use super::{SlowReader, Switch};

/// How long a sender waits for his slowest receiver at a time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Part of an outbox: so much is passed before the thread it came from is told.
const STEP: u64 = 16;

/// Receivers that are looked for one by one.
const FEW: usize = 8;

/// A large message of which somebody has still to get something.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) room: RoomKey,
    /// Who sends it, while the session is known here.
    from: Option<SessionKey>,
    pub(super) window: Window,
    /// Its length, as its sender has announced it.
    announced: Option<u64>,
    /// The same, once the chunk that ends it has come.
    pub(super) total: Option<u64>,
    /// Everything has come.
    pub(super) whole: bool,
    /// The recipients here, fixed when it began, without those who left (G27).
    pub(super) receivers: Vec<SessionKey>,
    /// CPIM From and To, when the report must carry them (G44).
    addresses: Option<Vec<u8>>,
    /// Identifies it when it comes again (C32).
    fingerprint: u64,
    /// Its sender waits for the receivers to catch up.
    pause: Option<Pause>,
    /// It is among those to be looked at.
    touched: bool,
    /// How it goes from thread to thread, if it does.
    route: Option<Box<Route>>,
}

/// What a sender waits for.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// The connection that is not read meanwhile, if it is here.
    connection: Option<ConnectionId>,
    until: Moment,
    /// More than half of an outbox waits for somebody. If not, that may only be on its way to
    /// another thread, which is asked.
    certain: bool,
}

/// A large message goes from the sender's thread to the owner of the room, and from there to
/// each thread that has receivers.
#[derive(Debug, Default)]
struct Route {
    /// Where it comes from, and what it is called there.
    from: Option<(Thread, StreamKey)>,
    /// Octets of it that the thread it comes from knows to wait for nobody.
    reported: u64,
    /// Where it goes to, and how many octets wait there.
    to: Vec<(Thread, u64)>,
    /// Octets that have gone there.
    gone: u64,
    /// The owner has not said whether it takes it: what its end says waits for that.
    pending: Option<Pending>,
}

/// What the sender's thread waits for.
#[derive(Debug, Default)]
struct Pending {
    name: Box<str>,
    ended: Option<Box<Ended>>,
}

/// A large message of a session that lives elsewhere, as far as it must be known for it to
/// begin.
#[derive(Debug)]
pub(super) struct Opens {
    session: SessionKey,
    connection: ConnectionId,
    name: Box<str>,
    opening: Opening,
}

/// The end of a large message.
#[derive(Debug)]
pub(super) struct Ended {
    connection: ConnectionId,
    /// Of the chunk that ends it, which is answered.
    last: OwnedFacts,
    /// Of the chunk that came first, if a report is wanted.
    first: Option<OwnedFacts>,
    shift: u64,
}

/// A large message as its receivers' threads must know it when it begins.
#[derive(Debug)]
pub(super) struct Beginning {
    room: RoomKey,
    from: SessionKey,
    audience: Audience,
    announced: Option<u64>,
    wrapped_type: Box<[u8]>,
    is_text: bool,
    /// For who reads plain text: what stands in front, and where the text begins.
    opening: Box<str>,
    content: u64,
}

impl Ended {
    pub(super) fn new(
        connection: ConnectionId,
        last: &Facts<'_>,
        first: &Facts<'_>,
        shift: u64,
    ) -> Self {
        Self {
            connection,
            last: last.keep(),
            first: first.success_report.then(|| first.keep()),
            shift,
        }
    }
}

impl Stream {
    fn new(room: RoomKey, from: Option<SessionKey>) -> Self {
        Self {
            room,
            from,
            window: Window::default(),
            announced: None,
            total: None,
            whole: false,
            receivers: Vec::new(),
            addresses: None,
            fingerprint: 0,
            pause: None,
            touched: false,
            route: None,
        }
    }

    fn route(&mut self) -> &mut Route {
        self.route.get_or_insert_default()
    }

    /// Octets that wait for the thread that is behind most.
    fn waiting_abroad(&self) -> u64 {
        let to = self.route.iter().flat_map(|route| &route.to);
        to.map(|(_, waiting)| *waiting).max().unwrap_or(0)
    }

    /// Octets of it that are held, here or on another thread.
    pub(super) fn octets(&self) -> usize {
        let abroad = usize::try_from(self.waiting_abroad()).unwrap_or(usize::MAX);
        self.window.octets().max(abroad)
    }

    fn comes_from_elsewhere(&self) -> bool {
        self.route
            .as_ref()
            .is_some_and(|route| route.from.is_some())
    }

    /// It is to stay here until the owner has said whether it takes it.
    fn is_pending(&self) -> bool {
        let route = self.route.as_ref();
        route.is_some_and(|route| route.pending.is_some())
    }
}

impl Switch {
    /// Fixes the recipients of the message of this name.
    pub(super) fn begin_stream(
        &mut self,
        now: Moment,
        key: SessionKey,
        name: &str,
        opening: &Opening,
    ) -> Result<StreamKey, Code> {
        let session = self.sessions.get(key).ok_or(Code::NoSession)?;
        match (self.home(key), session.connection) {
            (Some(home), Some(id)) => Ok(self.open_stream(id, key, home, name, opening)),
            _ => self.admit_stream(now, key, name, opening),
        }
    }

    /// The same of a message to a room here.
    fn admit_stream(
        &mut self,
        now: Moment,
        key: SessionKey,
        name: &str,
        opening: &Opening,
    ) -> Result<StreamKey, Code> {
        let front = &opening.front[..];
        // Some clients announce the same range for whatever they send.
        let announced = opening
            .announced
            .filter(|total| *total > front.len() as u64);
        let size = announced.unwrap_or(0);
        let addressed = self.address(key, front, size, opening.report)?;
        let session = self.sessions.get(key).ok_or(Code::NoSession)?;
        let room = self.rooms.get_mut(session.room).ok_or(Code::NoSession)?;
        if addressed.is_notification && session.is_anonymous() {
            // It cannot be read (RFC 5438 §14.2, P13), and is none.
            return Err(Code::TooLarge);
        }
        let own = front.get(opening.shift..).unwrap_or_default();
        let fingerprint = room.fingerprint(&session.user, name, own);
        let (thread, connections, abroad) = (self.exchange.own, &self.connections, &self.abroad);
        let lives = |speaker| guests::lives(speaker, thread, connections, abroad);
        let again = room.is_repeated(now, fingerprint, session.speaker(thread), lives);
        let room_key = session.room;
        let wrapped_type = front.get(addressed.wrapped_type.clone());
        let wrapped_type = wrapped_type.unwrap_or_default();
        self.counters.messages_in += 1;
        self.count(now, room_key);
        self.tell_said(now, key, size, wrapped_type, &addressed.audience);
        let private = addressed.is_private();
        let stream = self.streams.insert(Stream {
            addresses: addressed.addresses,
            announced,
            fingerprint,
            ..Stream::new(room_key, Some(key))
        });
        if again {
            return Ok(stream);
        }
        let beginning = Beginning {
            room: room_key,
            from: key,
            audience: addressed.audience,
            announced,
            wrapped_type: wrapped_type.into(),
            is_text: addressed.is_text,
            opening: self.opening(key, private).into(),
            content: addressed.content as u64,
        };
        self.begin_copies(now, stream, room_key, &beginning);
        self.send_beginning(stream, room_key, beginning);
        Ok(stream)
    }

    /// Tells every thread that has members of the room.
    fn send_beginning(&mut self, key: StreamKey, room: RoomKey, beginning: Beginning) {
        let (Some(room), Some(stream)) = (self.rooms.get(room), self.streams.get_mut(key)) else {
            return;
        };
        let beginning = Arc::new(beginning);
        for thread in room.abroad() {
            stream.route().to.push((thread, 0));
            let parcel = Parcel::Begins(key, Arc::clone(&beginning));
            self.exchange.post(thread, parcel);
        }
    }

    /// Its receivers among the members that are here.
    fn begin_copies(&mut self, now: Moment, key: StreamKey, room: RoomKey, beginning: &Beginning) {
        let Some(room) = self.rooms.get(room) else {
            return;
        };
        let announced = beginning.announced;
        let members = room.members.here().iter().copied().filter(|member| {
            let receiver = self.sessions.get(*member);
            receiver.is_some_and(|receiver| {
                // C61: nothing waits so long for who is not there yet.
                receiver.connection.is_some()
                    && receiver.takes(announced.unwrap_or(0), &beginning.wrapped_type)
                    && (beginning.is_text || !receiver.plain_text)
                    && beginning
                        .audience
                        .includes(beginning.from, receiver.said_as)
            })
        });
        for receiver in members.collect::<Vec<_>>() {
            if self.has_stalled(now, receiver) {
                self.lost_by_slowness(now, receiver, 1);
                continue;
            }
            self.make_room(now, receiver);
            if let Some(session) = self.sessions.get_mut(receiver) {
                let (message, _) = session.ids.next_id();
                let text = session.plain_text;
                let text = text.then(|| (beginning.opening.clone(), beginning.content));
                session.put_copy(Copy::new(key, message, announced, text));
                if let Some(stream) = self.streams.get_mut(key) {
                    stream.receivers.push(receiver);
                }
            }
        }
    }

    /// A large message of a guest goes to the owner of its room.
    fn open_stream(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        (owner, session): (Thread, SessionKey),
        name: &str,
        opening: &Opening,
    ) -> StreamKey {
        let room = self.sessions.get(key).map(|session| session.room);
        let mut stream = Stream::new(room.unwrap_or_default(), Some(key));
        stream.announced = opening.announced;
        stream.route().to.push((owner, 0));
        stream.route().pending = Some(Pending {
            name: name.into(),
            ended: None,
        });
        let stream = self.streams.insert(stream);
        let opens = Opens {
            session,
            connection: id,
            name: name.into(),
            opening: opening.clone(),
        };
        let parcel = Parcel::Opens(stream, Box::new(opens));
        self.exchange.post(owner, parcel);
        stream
    }

    /// A session of ours that lives elsewhere begins a large message.
    pub(super) fn stream_opens(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        opens: &Opens,
    ) {
        let speaker = Speaker {
            thread: from,
            connection: opens.connection,
        };
        self.exchange.serving = Some(Credit { speaker, octets: 0 });
        let result = match self.speaks_on(opens.session, speaker) {
            true => self.admit_stream(now, opens.session, &opens.name, &opens.opening),
            false => Err(Code::NoSession),
        };
        self.exchange.serving = None;
        let parcel = match result {
            Ok(stream) => {
                self.comes_from(stream, from, there);
                Parcel::Accepted(there)
            }
            Err(code) => Parcel::Refused(there, code),
        };
        self.exchange.post(from, parcel);
    }

    fn comes_from(&mut self, key: StreamKey, from: Thread, there: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.route().from = Some((from, there));
            self.inflows.insert((from, there), key);
        }
    }

    /// A large message begins in a room of which members are here.
    pub(super) fn stream_begins(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        beginning: &Beginning,
    ) {
        let Some(&room) = self.replicas.get(&(from, beginning.room)) else {
            return;
        };
        let key = self.streams.insert(Stream {
            announced: beginning.announced,
            ..Stream::new(room, None)
        });
        self.begin_copies(now, key, room, beginning);
        let receivers = self.streams.get(key).map_or(0, |it| it.receivers.len());
        match receivers {
            0 => drop(self.streams.remove(key)),
            _ => self.comes_from(key, from, there),
        }
    }

    /// The owner takes a message of a guest.
    pub(super) fn stream_accepted(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let pending = stream.route().pending.take();
        if let Some(ended) = pending.and_then(|pending| pending.ended) {
            self.pass_end(key, *ended);
        }
    }

    /// The owner does not take it.
    pub(super) fn stream_refused(&mut self, now: Moment, key: StreamKey, code: Code) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.route().to.clear();
        let (from, pending) = (stream.from, stream.route().pending.take());
        let Some(Pending { name, ended }) = pending else {
            return;
        };
        if let Some(ended) = ended {
            self.reply(ended.connection, &ended.last.view(), code);
            return self.abort_stream(key);
        }
        if let Some(from) = from {
            self.refuse(now, from, &name, code);
        }
    }

    /// The end of a message of a guest goes to the owner of its room.
    pub(super) fn pass_end(&mut self, key: StreamKey, ended: Ended) {
        self.touch(key);
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let route = stream.route();
        if let Some(pending) = &mut route.pending {
            pending.ended = Some(Box::new(ended));
        } else if let Some(&(owner, _)) = route.to.first() {
            let parcel = Parcel::Ended(key, Box::new(ended));
            self.exchange.post(owner, parcel);
        }
    }

    /// A message of a session of ours that lives elsewhere has come whole.
    pub(super) fn stream_ended(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        ended: &Ended,
    ) {
        let speaker = Speaker {
            thread: from,
            connection: ended.connection,
        };
        let Some(&key) = self.inflows.get(&(from, there)) else {
            return self.respond(speaker, &ended.last.view(), Code::NoSession);
        };
        self.flow_ends(now, key, 0, true);
        self.take_streamed(speaker, key, ended);
        self.tidy_streams();
    }

    /// A large message to a room here has come whole: it is answered, and a report written.
    pub(super) fn take_streamed(&mut self, speaker: Speaker, key: StreamKey, ended: &Ended) {
        self.respond(speaker, &ended.last.view(), Code::Ok);
        let stream = self.streams.get(key);
        let octets = stream.map_or(0, |stream| stream.window.end());
        let addresses = stream.and_then(|stream| stream.addresses.clone());
        let from = stream.and_then(|stream| stream.from);
        if let (Some(from), Some(first)) = (from, &ended.first) {
            let octets = octets.saturating_sub(ended.shift);
            self.report(speaker, from, &first.view(), octets, addresses);
        }
    }

    /// Octets of a message that comes from another thread.
    pub(super) fn stream_piece(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        octets: &Bytes,
    ) {
        let key = self.inflows.get(&(from, there)).copied();
        let stream = key.and_then(|key| self.streams.get_mut(key));
        let (Some(key), Some(stream)) = (key, stream) else {
            // Nobody here gets it.
            let parcel = Parcel::Passed(there, octets.len() as u64);
            return self.exchange.post(from, parcel);
        };
        stream.window.append(octets.clone());
        self.flowed(now, key);
    }

    /// There is no more of it.
    pub(super) fn stream_whole(&mut self, now: Moment, from: Thread, there: StreamKey) {
        if let Some(&key) = self.inflows.get(&(from, there)) {
            self.flow_ends(now, key, 0, true);
        }
    }

    /// The rest of it will not come.
    pub(super) fn stream_aborted(&mut self, from: Thread, there: StreamKey) {
        if let Some(&key) = self.inflows.get(&(from, there)) {
            self.abort_stream(key);
        }
    }

    /// Its sender waits for those who are behind, if anybody is.
    pub(super) fn stream_waits(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        certain: bool,
    ) {
        let half = self.config.outbox_bytes as u64 / 2;
        let key = self.inflows.get(&(from, there)).copied();
        let stream = key.and_then(|key| self.streams.get(key));
        let (Some(key), Some(stream)) = (key, stream) else {
            return;
        };
        let (here, abroad) = (stream.window.octets() as u64, stream.waiting_abroad());
        if (certain && here.max(abroad) > half / 2) || here > half {
            self.pause(now, key, true);
        } else if abroad > half {
            self.pause(now, key, false);
        } else {
            self.report_passed(key, here.max(abroad), 1);
        }
        self.touch(key);
    }

    /// On a thread it goes to, somebody is behind.
    pub(super) fn stream_behind(&mut self, now: Moment, key: StreamKey) {
        self.pause(now, key, true);
        self.touch(key);
    }

    /// Tells where it comes from what waits for nobody any more, if that is so much.
    fn report_passed(&mut self, key: StreamKey, waiting: u64, least: u64) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let passed = stream.window.end().saturating_sub(waiting);
        if let Some(route) = &mut stream.route
            && let Some((thread, there)) = route.from
            && passed >= route.reported + least
        {
            let octets = passed - std::mem::replace(&mut route.reported, passed);
            let parcel = Parcel::Passed(there, octets);
            self.exchange.post(thread, parcel);
        }
    }

    /// Octets of it wait for nobody any more on a thread it goes to.
    pub(super) fn stream_passed(&mut self, from: Thread, key: StreamKey, octets: u64) {
        if let Some(stream) = self.streams.get_mut(key) {
            let mut to = stream.route().to.iter_mut();
            if let Some((_, waiting)) = to.find(|(thread, _)| *thread == from) {
                *waiting = waiting.saturating_sub(octets);
            }
            self.touch(key);
        }
    }

    /// What has come of it goes on to other threads.
    fn pass_pieces(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let Some(route) = stream.route.as_mut().filter(|it| !it.to.is_empty()) else {
            return;
        };
        while let Some(octets) = stream.window.slice(route.gone, usize::MAX) {
            route.gone += octets.len() as u64;
            for (thread, waiting) in &mut route.to {
                *waiting += octets.len() as u64;
                let parcel = Parcel::Piece(key, octets.clone());
                self.exchange.post(*thread, parcel);
            }
        }
    }

    /// A receiver that takes nothing has nobody wait for it again.
    fn has_stalled(&self, now: Moment, receiver: SessionKey) -> bool {
        let on = self.sessions.get(receiver).and_then(|it| it.connection);
        let connection = on.and_then(|id| self.connections.get(id));
        let blocked = connection.and_then(|connection| connection.blocked);
        blocked.is_some_and(|since| since + PATIENCE <= now)
    }

    /// Who has not taken earlier large messages in time loses the oldest of them: an outbox
    /// bounds what waits for a receiver of these, too.
    fn make_room(&mut self, now: Moment, receiver: SessionKey) {
        let limit = self.config.outbox_bytes as u64 / 2;
        while let Some(session) = self.sessions.get(receiver) {
            let live = session.copies.iter().filter(|copy| !copy.aborted);
            let waiting = live.clone().filter_map(|copy| {
                let stream = self.streams.get(copy.stream)?;
                Some(stream.window.end().saturating_sub(copy.sent))
            });
            if waiting.sum::<u64>() <= limit {
                return;
            }
            let oldest = live.clone().next();
            let Some(oldest) = oldest.map(|copy| copy.stream) else {
                return;
            };
            self.leave_stream(oldest, receiver);
            self.abort_copy(receiver, oldest);
            self.lost_by_slowness(now, receiver, 1);
        }
    }

    /// Octets of a message that is passed on.
    pub(super) fn flow(
        &mut self,
        now: Moment,
        key: StreamKey,
        at: u64,
        octets: &[u8],
    ) -> Result<(), Code> {
        let outbox = self.config.outbox_bytes;
        let stream = self.streams.get_mut(key).ok_or(Code::TooLarge)?;
        let (end, from) = (stream.window.end(), stream.from);
        let fits = stream.window.write(at, octets, outbox / 4);
        let more = stream.window.end() != end;
        if let Some(from) = from {
            self.recount(from);
        }
        if !fits {
            return Err(Code::TooLarge);
        }
        if more {
            self.flowed(now, key);
        }
        Ok(())
    }

    /// There is more of it.
    pub(super) fn flowed(&mut self, now: Moment, key: StreamKey) {
        let outbox = self.config.outbox_bytes;
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        let (room, from) = (stream.room, stream.from);
        self.pass_pieces(key);
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        let comes = stream.comes_from_elsewhere();
        let (here, waiting) = (stream.window.octets(), stream.octets());
        self.mark_receivers(key);
        if let Some(from) = from {
            self.said_in(from, room);
        }
        self.touch(key);
        self.turns.pressed_by_stream |= waiting > outbox / 4;
        // Where it comes from, no less waits, and it says so (`stream_waits`).
        if waiting > outbox / 2 && !comes {
            self.pause(now, key, here > outbox / 2);
        }
    }

    /// Its receivers have something to write: all of a room in turns with other rooms.
    fn mark_receivers(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if stream.receivers.len() > FEW {
            return self.spread(stream.room, 0);
        }
        for receiver in stream.receivers.clone() {
            self.mark_session_dirty(receiver);
        }
    }

    /// The end of a chunk has come; the message reaches to `end`, if it is the last.
    /// `true`: the message is whole.
    pub(super) fn flow_ends(&mut self, now: Moment, key: StreamKey, end: u64, last: bool) -> bool {
        let Some(stream) = self.streams.get_mut(key) else {
            return false;
        };
        if last {
            stream.total = Some(end.max(stream.window.end()));
        }
        stream.whole = stream.total == Some(stream.window.end());
        if !stream.whole {
            return false;
        }
        let (room, from, fingerprint) = (stream.room, stream.from, stream.fingerprint);
        // What a guest's owner hears of its end is more (`pass_end`).
        let follows = self.rooms.get(room).is_none_or(|it| it.original.is_some());
        if let Some(route) = stream.route.as_ref().filter(|_| !follows) {
            for (thread, _) in &route.to {
                self.exchange.post(*thread, Parcel::Whole(key));
            }
        }
        self.mark_receivers(key);
        self.release(key);
        self.touch(key);
        let session = from.and_then(|from| self.sessions.get(from));
        let on = session.and_then(|session| session.speaker(self.exchange.own));
        if let Some(room) = self.rooms.get_mut(room).filter(|_| !follows) {
            room.note(now, fingerprint, on);
        }
        true
    }

    /// The rest will not come: the receivers are told so with `#` (RFC 4975 §7.1).
    pub(super) fn abort_stream(&mut self, key: StreamKey) {
        self.release(key);
        let Some(stream) = self.streams.remove(key) else {
            return;
        };
        for receiver in stream.receivers {
            self.abort_copy(receiver, key);
        }
        let Some(route) = stream.route else { return };
        if let Some(from) = route.from {
            self.inflows.remove(&from);
        }
        for (thread, _) in route.to {
            self.exchange.post(thread, Parcel::Aborted(key));
        }
    }

    /// A receiver needs nothing more of it.
    pub(super) fn leave_stream(&mut self, key: StreamKey, receiver: SessionKey) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.receivers.retain(|other| *other != receiver);
            self.touch(key);
        }
    }

    /// It is to be looked at once what is written is known.
    pub(super) fn touch(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && !std::mem::replace(&mut stream.touched, true)
        {
            self.touched.push(key);
        }
    }

    /// Lets go of what every receiver has, and of messages that all have.
    pub(super) fn tidy_streams(&mut self) {
        for key in std::mem::take(&mut self.touched) {
            let Some(stream) = self.streams.get_mut(key) else {
                continue;
            };
            stream.touched = false;
            let sent = stream.receivers.iter().filter_map(|receiver| {
                let session = self.sessions.get(*receiver)?;
                Some(session.copy(key)?.sent)
            });
            let least = sent.min().unwrap_or(stream.window.end());
            stream.window.trim(least);
            let from = stream.from;
            let waiting = stream.window.end().saturating_sub(least);
            let waiting = waiting.max(stream.waiting_abroad());
            let over = stream.whole && stream.receivers.is_empty() && !stream.is_pending();
            let outbox = self.config.outbox_bytes as u64;
            let enough = match stream.pause {
                Some(pause) if !pause.certain => outbox / 2,
                _ => outbox / 4,
            };
            let caught_up = waiting <= enough;
            // Where it comes from may wait for the last octet of this.
            let step = match stream.pause.is_some() && caught_up {
                true => 1,
                false => outbox / STEP,
            };
            self.report_passed(key, waiting, step);
            if over || caught_up {
                self.release(key);
            }
            let over = over.then(|| self.streams.remove(key)).flatten();
            if let Some(from) = over.and_then(|stream| stream.route?.from) {
                self.inflows.remove(&from);
            }
            if let Some(from) = from {
                self.recount(from);
            }
        }
    }

    /// The sender is not read until the receivers have caught up. It is certain that they are
    /// behind, or they may be, as far as is known here of other threads.
    fn pause(&mut self, now: Moment, key: StreamKey, certain: bool) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.announced == Some(stream.window.end()) {
            // There is nothing more to wait with.
            return;
        }
        let connection = match &stream.pause {
            Some(pause) if pause.certain || !certain => return,
            Some(pause) => pause.connection,
            None => {
                let sender = stream.from.and_then(|from| self.sessions.get(from));
                let id = sender.and_then(|session| session.connection);
                if let Some(connection) = id.and_then(|id| self.connections.get_mut(id)) {
                    connection.pauses += 1;
                }
                id
            }
        };
        let until = now + PATIENCE;
        stream.pause = Some(Pause {
            connection,
            until,
            certain,
        });
        self.timers.arm(until, Timer::Pause(key));
        let Some(route) = &stream.route else { return };
        for (thread, _) in &route.to {
            self.exchange.post(*thread, Parcel::Waits(key, certain));
        }
        if let Some((thread, there)) = route.from.filter(|_| certain) {
            self.exchange.post(thread, Parcel::Behind(there));
        }
    }

    /// The sender may go on.
    fn release(&mut self, key: StreamKey) {
        let stream = self.streams.get_mut(key);
        let pause = stream.and_then(|stream| stream.pause.take());
        if let Some(id) = pause.and_then(|pause| pause.connection) {
            self.resume(id);
        }
    }

    /// The sender has waited long enough: who still lags loses the message.
    pub(super) fn pause_due(&mut self, now: Moment, key: StreamKey) {
        let quarter = self.config.outbox_bytes as u64 / 4;
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let Some(pause) = stream.pause.as_mut().filter(|pause| pause.until <= now) else {
            return;
        };
        let certain = pause.certain;
        pause.until = now + PATIENCE;
        self.timers.arm(pause.until, Timer::Pause(key));
        let from = stream.window.end().saturating_sub(quarter);
        let receivers = stream.receivers.clone();
        for receiver in receivers.into_iter().filter(|_| certain) {
            let copy = self.sessions.get(receiver).and_then(|it| it.copy(key));
            if copy.is_some_and(|copy| copy.sent < from) {
                self.leave_stream(key, receiver);
                self.abort_copy(receiver, key);
                self.lost_by_slowness(now, receiver, 1);
            }
        }
        // Other threads do the same, and say so.
        if self
            .streams
            .get(key)
            .is_some_and(|it| it.waiting_abroad() <= quarter)
        {
            self.release(key);
        }
        self.touch(key);
        self.tidy_streams();
    }

    /// What a receiver did not take in time is lost to him (G52).
    pub(super) fn lost_by_slowness(&mut self, now: Moment, key: SessionKey, count: u64) {
        self.counters.drops_slow_reader += count;
        if self.config.slow_reader == SlowReader::Disconnect {
            return self.end(now, key, Some(LossCause::TooSlow));
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.lost += count;
        }
    }
}
