//! A large message on its way through a room, passed on while it arrives (RFC 7701 §6.1, G26–G28).
//! Its receivers are the members present when its CPIM headers were complete, and no others.

use crate::switch::Switch;
use crate::switch::ids::{RoomKey, SessionKey, StreamKey};
use crate::switch::message::assembly::Opening;
use crate::switch::message::code::Code;
use crate::switch::out::stream::Stream;
use crate::switch::out::stream_pause::STEP;
use crate::switch::room::large_copy::LargeCopy;
use crate::switch::room::session::Session;
use crate::switch::threads::parcel::{Beginning, Parcel};
use crate::time::Moment;

/// Limit of receivers that are looked up one by one.
const FEW: usize = 8;

impl Switch {
    /// Fixes the recipients of the message with this name.
    pub(in crate::switch) fn begin_stream(
        &mut self,
        now: Moment,
        key: SessionKey,
        name: &str,
        opening: &Opening,
    ) -> Result<StreamKey, Code> {
        let session = self.rooms.session(key).ok_or(Code::NoSession)?;
        match (self.rooms.home(key), session.connection) {
            (Some(home), Some(id)) => Ok(self.open_stream(id, key, home, name, opening)),
            _ => self.admit_stream(now, key, name, opening),
        }
    }

    /// Fixes the recipients of a message to a room of this thread.
    pub(in crate::switch) fn admit_stream(
        &mut self,
        now: Moment,
        key: SessionKey,
        name: &str,
        opening: &Opening,
    ) -> Result<StreamKey, Code> {
        let front = &opening.front[..];
        // Some clients announce the same range for every message.
        let announced = opening
            .announced
            .filter(|total| *total > front.len() as u64);
        let size = announced.unwrap_or(0);
        let (exchange, connections) = (&self.exchange, &self.connections);
        let lives = |speaker| exchange.lives(speaker, connections);
        let room = self.rooms.get_mut(key.room).ok_or(Code::NoSession)?;
        let addressed = room.address(key, front, size, opening.report)?;
        let session = room.session(key).ok_or(Code::NoSession)?;
        if addressed.is_notification && session.is_anonymous() {
            // It cannot be read as a notification (RFC 5438 §14.2, P13), and is none.
            return Err(Code::TooLarge);
        }
        let own = front.get(opening.shift..).unwrap_or_default();
        let fingerprint = room.fingerprint(&session.user, name, own);
        let speaker = session.speaker(exchange.own);
        let again = room.is_repeated(now, fingerprint, speaker, lives);
        let said_by = room.opening(key, &addressed.audience);
        let wrapped_type = front.get(addressed.wrapped_type.clone());
        let wrapped_type = wrapped_type.unwrap_or_default();
        self.count_message(now, key, size, wrapped_type, &addressed.audience);
        let stream = self.streams.insert(Stream {
            addresses: addressed.addresses,
            announced,
            fingerprint,
            ..Stream::new(key.room, Some(key))
        });
        if again {
            return Ok(stream);
        }
        let beginning = Beginning {
            room: key.room,
            from: key,
            audience: addressed.audience,
            announced,
            wrapped_type: wrapped_type.into(),
            is_text: addressed.is_text,
            opening: said_by.into(),
            content: addressed.content as u64,
        };
        self.begin_copies(now, stream, key.room, &beginning);
        self.send_beginning(stream, beginning);
        Ok(stream)
    }

    /// Its receivers among the members on this thread.
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
        let takes = |receiver: &Session| {
            let audience = &beginning.audience;
            // C61: a message this large does not wait for a member that is not connected yet.
            receiver.connection.is_some()
                && receiver.takes(announced.unwrap_or(0), &beginning.wrapped_type)
                && (beginning.is_text || !receiver.plain_text)
                && audience.includes(beginning.from, receiver.said_as)
        };
        let members = room.members.here().iter().copied();
        let members = members.filter(|key| room.session(*key).is_some_and(takes));
        for receiver in members.collect::<Vec<_>>() {
            if self.has_stalled(now, receiver) {
                self.lost_by_slowness(now, receiver, 1);
                continue;
            }
            self.make_room(now, receiver);
            if let Some(session) = self.rooms.session_mut(receiver) {
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

    /// Takes octets of a message that is passed on.
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

    /// More of it has arrived.
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
        self.streams.touch(key);
        self.turns.pressed_by_stream |= waiting > outbox / 4;
        // At least as much is queued on the previous thread, which checks itself (`stream_waits`).
        if waiting > outbox / 2 && !comes {
            self.pause(now, key, here > outbox / 2);
        }
    }

    /// Marks its receivers as having output; all members of a room take turns with other rooms.
    pub(in crate::switch) fn mark_receivers(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if stream.receivers.len() > FEW {
            let room = stream.room;
            if let Some(known) = self.rooms.get_mut(room) {
                self.turns.spread(room, known, 0, self.config.outbox_bytes);
            }
            return;
        }
        for receiver in stream.receivers.clone() {
            self.mark_session_dirty(receiver);
        }
    }

    /// Takes the end of a chunk; if it is the last, the message ends at `end`. `true`: the message
    /// is complete.
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
        // For a guest, `pass_end` tells the owner more.
        let follows = self.rooms.get(room).is_none_or(|it| it.original.is_some());
        if let Some(route) = stream.route.as_ref().filter(|_| !follows) {
            for (thread, _) in &route.to {
                self.exchange.post(*thread, Parcel::Whole(key));
            }
        }
        self.mark_receivers(key);
        self.release(key);
        self.streams.touch(key);
        let session = from.and_then(|from| self.rooms.session(from));
        let on = session.and_then(|session| session.speaker(self.exchange.own));
        if let Some(room) = self.rooms.get_mut(room).filter(|_| !follows) {
            room.note(now, fingerprint, on);
        }
        true
    }

    /// Aborts a message whose rest will not arrive: receivers get `#` (RFC 4975 §7.1).
    pub(in crate::switch) fn abort_stream(&mut self, key: StreamKey) {
        self.release(key);
        let Some(stream) = self.streams.remove(key) else {
            return;
        };
        for receiver in stream.receivers {
            self.abort_copy(receiver, key);
        }
        let Some(route) = stream.route else { return };
        for (thread, _) in route.to {
            self.exchange.post(thread, Parcel::Aborted(key));
        }
    }

    /// Frees octets that every receiver has, and messages that all have.
    pub(in crate::switch) fn tidy_streams(&mut self) {
        for key in self.streams.take_touched() {
            let Some(stream) = self.streams.get_mut(key) else {
                continue;
            };
            stream.touched = false;
            let sent = stream.receivers.iter().filter_map(|receiver| {
                let session = self.rooms.session(*receiver)?;
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
            // The previous thread may wait for the last octets of this one.
            let step = match stream.pause.is_some() && caught_up {
                true => 1,
                false => outbox / STEP,
            };
            self.report_passed(key, waiting, step);
            if over || caught_up {
                self.release(key);
            }
            if over {
                self.streams.remove(key);
            }
            if let Some(from) = from {
                self.recount(from);
            }
        }
    }
}
