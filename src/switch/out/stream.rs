//! A large message on its way through a room, passed on while it comes in (RFC 7701 §6.1,
//! G26–G28): to those who were there when its CPIM headers were complete, and to nobody else.

use crate::switch::Switch;
use crate::switch::ids::{RoomKey, SessionKey, StreamKey};
use crate::switch::message::{Code, Opening, StreamBuffer};
use crate::switch::out::large_copies::LargeCopy;
use crate::switch::out::stream_pause::{Pause, STEP};
use crate::switch::threads::Parcel;
use crate::switch::threads::guests;
use crate::switch::threads::streams::{Beginning, Route};
use crate::time::Moment;

/// Receivers that are looked for one by one.
const FEW: usize = 8;

/// A large message of which somebody has still to get something.
#[derive(Debug)]
pub(in crate::switch) struct Stream {
    pub(in crate::switch) room: RoomKey,
    /// Who sends it, while the session is known here.
    pub(in crate::switch) from: Option<SessionKey>,
    pub(in crate::switch) buffer: StreamBuffer,
    /// Its length, as its sender has announced it.
    pub(in crate::switch) announced: Option<u64>,
    /// The same, once the chunk that ends it has come.
    pub(in crate::switch) total: Option<u64>,
    /// Everything has come.
    pub(in crate::switch) whole: bool,
    /// The recipients here, fixed when it began, without those who left (G27).
    pub(in crate::switch) receivers: Vec<SessionKey>,
    /// CPIM From and To, when the report must carry them (G44).
    pub(in crate::switch) addresses: Option<Vec<u8>>,
    /// Identifies it when it comes again (C32).
    pub(in crate::switch) fingerprint: u64,
    /// Its sender waits for the receivers to catch up.
    pub(in crate::switch) pause: Option<Pause>,
    /// It is among those to be looked at.
    pub(in crate::switch) touched: bool,
    /// How it goes from thread to thread, if it does.
    pub(in crate::switch) route: Option<Box<Route>>,
}

impl Stream {
    pub(in crate::switch) fn new(room: RoomKey, from: Option<SessionKey>) -> Self {
        Self {
            room,
            from,
            buffer: StreamBuffer::default(),
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

    pub(in crate::switch) fn route(&mut self) -> &mut Route {
        self.route.get_or_insert_default()
    }

    /// Octets that wait for the thread that is behind most.
    pub(in crate::switch) fn waiting_abroad(&self) -> u64 {
        let to = self.route.iter().flat_map(|route| &route.to);
        to.map(|(_, waiting)| *waiting).max().unwrap_or(0)
    }

    /// Octets of it that are held, here or on another thread.
    pub(in crate::switch) fn octets(&self) -> usize {
        let abroad = usize::try_from(self.waiting_abroad()).unwrap_or(usize::MAX);
        self.buffer.octets().max(abroad)
    }

    pub(in crate::switch) fn comes_from_elsewhere(&self) -> bool {
        self.route
            .as_ref()
            .is_some_and(|route| route.from.is_some())
    }

    /// It is to stay here until the owner has said whether it takes it.
    pub(in crate::switch) fn is_pending(&self) -> bool {
        let route = self.route.as_ref();
        route.is_some_and(|route| route.pending.is_some())
    }
}

impl Switch {
    /// Fixes the recipients of the message of this name.
    pub(in crate::switch) fn begin_stream(
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
    pub(in crate::switch) fn admit_stream(
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
        self.totals.messages_in += 1;
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

    /// Its receivers among the members that are here.
    pub(in crate::switch) fn begin_copies(
        &mut self,
        now: Moment,
        key: StreamKey,
        room: RoomKey,
        beginning: &Beginning,
    ) {
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
                session.put_copy(LargeCopy::new(key, message, announced, text));
                if let Some(stream) = self.streams.get_mut(key) {
                    stream.receivers.push(receiver);
                }
            }
        }
    }

    /// Octets of a message that is passed on.
    pub(in crate::switch) fn flow(
        &mut self,
        now: Moment,
        key: StreamKey,
        at: u64,
        octets: &[u8],
    ) -> Result<(), Code> {
        let outbox = self.config.outbox_bytes;
        let stream = self.streams.get_mut(key).ok_or(Code::TooLarge)?;
        let (end, from) = (stream.buffer.end(), stream.from);
        let fits = stream.buffer.write(at, octets, outbox / 4);
        let more = stream.buffer.end() != end;
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
    pub(in crate::switch) fn flowed(&mut self, now: Moment, key: StreamKey) {
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
        let (here, waiting) = (stream.buffer.octets(), stream.octets());
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
    pub(in crate::switch) fn mark_receivers(&mut self, key: StreamKey) {
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
    pub(in crate::switch) fn flow_ends(
        &mut self,
        now: Moment,
        key: StreamKey,
        end: u64,
        last: bool,
    ) -> bool {
        let Some(stream) = self.streams.get_mut(key) else {
            return false;
        };
        if last {
            stream.total = Some(end.max(stream.buffer.end()));
        }
        stream.whole = stream.total == Some(stream.buffer.end());
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
    pub(in crate::switch) fn abort_stream(&mut self, key: StreamKey) {
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
    pub(in crate::switch) fn leave_stream(&mut self, key: StreamKey, receiver: SessionKey) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.receivers.retain(|other| *other != receiver);
            self.touch(key);
        }
    }

    /// It is to be looked at once what is written is known.
    pub(in crate::switch) fn touch(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && !std::mem::replace(&mut stream.touched, true)
        {
            self.touched.push(key);
        }
    }

    /// Lets go of what every receiver has, and of messages that all have.
    pub(in crate::switch) fn tidy_streams(&mut self) {
        for key in std::mem::take(&mut self.touched) {
            let Some(stream) = self.streams.get_mut(key) else {
                continue;
            };
            stream.touched = false;
            let sent = stream.receivers.iter().filter_map(|receiver| {
                let session = self.sessions.get(*receiver)?;
                Some(session.copy(key)?.sent)
            });
            let least = sent.min().unwrap_or(stream.buffer.end());
            stream.buffer.trim(least);
            let from = stream.from;
            let waiting = stream.buffer.end().saturating_sub(least);
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
}
