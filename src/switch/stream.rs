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

use std::time::Duration;

use super::connection::Connection;
use super::ids::{ConnectionId, RoomKey, SessionKey, StreamKey};
use super::message::{Code, Opening, Window};
use super::outgoing::Copy;
use super::timers::Timer;
use super::{SlowReader, Switch};

/// How long a sender waits for his slowest receiver at a time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Receivers that are looked for one by one.
const FEW: usize = 8;

/// A large message of which somebody has still to get something.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) room: RoomKey,
    /// Who sends it.
    pub(super) from: SessionKey,
    pub(super) window: Window,
    /// Its length, once the chunk that ends it has come.
    pub(super) total: Option<u64>,
    /// Everything has come.
    pub(super) whole: bool,
    /// The recipients, fixed when it began, without those who left (G27).
    pub(super) receivers: Vec<SessionKey>,
    /// CPIM From and To, when the report must carry them (G44).
    pub(super) addresses: Option<Vec<u8>>,
    /// Identifies it when it comes again (C32).
    pub(super) fingerprint: u64,
    /// The connection that is not read until the receivers have caught up, and until when.
    pause: Option<(ConnectionId, Moment)>,
    /// It is among those to be looked at.
    touched: bool,
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
        let (on, connections) = (session.connection, &self.connections);
        let lives = |id| connections.get(id).is_some_and(Connection::lives_on);
        let again = room.is_repeated(now, fingerprint, on, lives);
        let wrapped_type = front.get(addressed.wrapped_type.clone());
        let wrapped_type = wrapped_type.unwrap_or_default();
        let members = room.members.all().iter().copied().filter(|member| {
            let receiver = self.sessions.get(*member);
            receiver.is_some_and(|receiver| {
                // C61: nothing waits so long for who is not there yet.
                receiver.connection.is_some()
                    && receiver.takes(announced.unwrap_or(0), wrapped_type)
                    && (addressed.is_text || !receiver.plain_text)
            }) && addressed.audience.includes(key, *member)
        });
        let receivers: Vec<SessionKey> = if again { Vec::new() } else { members.collect() };
        let private = addressed.is_private();
        let (content, addresses) = (addressed.content as u64, addressed.addresses);
        let stream = self.streams.insert(Stream {
            room: session.room,
            from: key,
            window: Window::default(),
            total: None,
            whole: false,
            receivers: Vec::new(),
            addresses,
            fingerprint,
            pause: None,
            touched: false,
        });
        let room_key = session.room;
        self.counters.messages_in += 1;
        self.count(now, room_key);
        self.tell_said(
            now,
            key,
            announced.unwrap_or(0),
            wrapped_type,
            &addressed.audience,
        );
        for receiver in receivers {
            if self.has_stalled(now, receiver) {
                self.lost_by_slowness(now, receiver, 1);
                continue;
            }
            self.make_room(now, receiver);
            let plain = self.sessions.get(receiver).is_some_and(|it| it.plain_text);
            let opening = plain.then(|| self.opening(key, private));
            if let Some(session) = self.sessions.get_mut(receiver) {
                let (message, _) = session.ids.next_id();
                let text = opening.map(|opening| (opening.into(), content));
                session.put_copy(Copy::new(stream, message, announced, text));
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.receivers.push(receiver);
                }
            }
        }
        Ok(stream)
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
        self.recount(from);
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
        let waiting = stream.window.octets();
        self.mark_receivers(key);
        self.said_in(from, room);
        self.touch(key);
        self.turns.pressed_by_stream |= waiting > outbox / 4;
        if waiting > outbox / 2 {
            self.pause(now, key);
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
        self.mark_receivers(key);
        self.release(key);
        self.touch(key);
        let on = self.sessions.get(from).and_then(|it| it.connection);
        if let Some(room) = self.rooms.get_mut(room) {
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
            let over = stream.whole && stream.receivers.is_empty();
            if over || waiting <= self.config.outbox_bytes as u64 / 4 {
                self.release(key);
            }
            if over {
                self.streams.remove(key);
            }
            self.recount(from);
        }
    }

    /// The sender is not read until the receivers have caught up.
    fn pause(&mut self, now: Moment, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let sender = self.sessions.get(stream.from);
        let connection = sender.and_then(|session| session.connection);
        let (None, Some(id)) = (stream.pause, connection) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.pauses += 1;
            stream.pause = Some((id, now + PATIENCE));
            self.timers.arm(now + PATIENCE, Timer::Pause(key));
        }
    }

    /// The sender may go on.
    fn release(&mut self, key: StreamKey) {
        let stream = self.streams.get_mut(key);
        let Some((id, _)) = stream.and_then(|stream| stream.pause.take()) else {
            return;
        };
        self.resume(id);
    }

    /// The sender has waited long enough: who still lags loses the message.
    pub(super) fn pause_due(&mut self, now: Moment, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if stream.pause.is_none_or(|(_, until)| until > now) {
            return;
        }
        let from = stream.window.end();
        let from = from.saturating_sub(self.config.outbox_bytes as u64 / 4);
        for receiver in stream.receivers.clone() {
            let copy = self.sessions.get(receiver).and_then(|it| it.copy(key));
            if copy.is_some_and(|copy| copy.sent < from) {
                self.leave_stream(key, receiver);
                self.abort_copy(receiver, key);
                self.lost_by_slowness(now, receiver, 1);
            }
        }
        self.release(key);
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
