//! SEND: what a participant says (RFC 7701 §6).

use std::borrow::Cow;

use bytes::Bytes;

use crate::time::Moment;
use crate::wire::cpim::{CpimError, Message};
use crate::wire::msrp::Flag;

use super::assembly::{Added, WHOLE};
use super::backlog::{Audience, Entry};
use super::ids::{ConnectionId, RoomKey, SessionKey};
use super::incoming::Facts;
use super::replies::{self, Code};
use super::session::{canonical, media_type};
use super::timers::Timer;
use super::{HELD_OCTETS, Switch};

/// Some clients send this every few seconds when they see a wildcard in accept-types.
const HEARTBEAT: &str = "text/x-msrp-heartbeat";

impl Switch {
    /// A SEND whose end has come.
    pub(super) fn send(
        &mut self,
        now: Moment,
        id: ConnectionId,
        key: SessionKey,
        facts: &Facts<'_>,
        body: Option<Cow<'_, [u8]>>,
        flag: Flag,
    ) {
        // G20: a SEND without a body binds or keeps alive; some write an empty one instead.
        let Some(body) = body.filter(|body| !is_keep_alive(facts, body)) else {
            return self.reply(id, facts, Code::Ok);
        };
        if flag == Flag::Abort {
            self.abort(key, facts);
            return self.reply(id, facts, Code::Ok);
        }
        if let Err(code) = self.screen(key, facts) {
            return self.reply(id, facts, code);
        }
        if self.is_whole(key, facts, flag) {
            return self.take(id, key, facts, facts, body);
        }
        match self.assemble(now, key, facts, &body, flag) {
            Ok(Added::Incomplete) => self.reply(id, facts, Code::Ok),
            Ok(Added::Whole(first, octets)) => {
                self.take(id, key, facts, &first.view(), Cow::Owned(octets));
            }
            Ok(Added::TooLarge) => self.reply(id, facts, Code::TooLarge),
            Err(code) => self.reply(id, facts, code),
        }
    }

    /// What can be said before the body has come.
    pub(super) fn screen(&self, key: SessionKey, facts: &Facts<'_>) -> Result<(), Code> {
        let Some(session) = self.sessions.get(key) else {
            return Err(Code::NoSession);
        };
        let media = facts.content_type.map_or("", media_type);
        if media.eq_ignore_ascii_case(HEARTBEAT) {
            return Ok(());
        }
        if !session.sends {
            return Err(Code::Forbidden);
        }
        // G20: nothing but message/cpim.
        if !media.eq_ignore_ascii_case("message/cpim") {
            return Err(Code::UnsupportedMedia);
        }
        let room = self.rooms.get(session.room);
        let limit = room.map_or(0, |room| room.policy.max_message_size);
        if facts.range.total.is_some_and(|total| total > limit) {
            return Err(Code::TooLarge);
        }
        Ok(())
    }

    /// The most octets of one SEND. The largest message, since one SEND may be a whole one.
    pub(super) fn largest_chunk(&self, key: SessionKey) -> usize {
        let session = self.sessions.get(key);
        let room = session.and_then(|session| self.rooms.get(session.room));
        let limit = room.map_or(0, |room| room.policy.max_message_size);
        usize::try_from(limit).unwrap_or(usize::MAX).max(WHOLE)
    }

    /// A message in one SEND.
    fn is_whole(&self, key: SessionKey, facts: &Facts<'_>, flag: Flag) -> bool {
        let started = facts.message_id.is_some_and(|name| {
            let session = self.sessions.get(key);
            session.is_some_and(|session| session.assemblies.holds(name))
        });
        flag == Flag::Last && facts.range.start <= 1 && !started
    }

    /// The sender gave the message up (C30).
    fn abort(&mut self, key: SessionKey, facts: &Facts<'_>) {
        if let (Some(session), Some(name)) = (self.sessions.get_mut(key), facts.message_id) {
            self.held = self.held.saturating_sub(session.assemblies.octets());
            session.assemblies.abort(name);
            self.held += session.assemblies.octets();
        }
    }

    fn assemble(
        &mut self,
        now: Moment,
        key: SessionKey,
        facts: &Facts<'_>,
        octets: &[u8],
        flag: Flag,
    ) -> Result<Added, Code> {
        let Some(session) = self.sessions.get_mut(key) else {
            return Err(Code::NoSession);
        };
        let Some(name) = facts.message_id else {
            return Err(Code::BadRequest);
        };
        if self.held + octets.len() > HELD_OCTETS {
            return Err(Code::TooLarge);
        }
        self.held = self.held.saturating_sub(session.assemblies.octets());
        let added = session.assemblies.add(now, facts, name, octets, flag);
        self.held += session.assemblies.octets();
        if !session.assemblies.is_empty() && !session.assemblies.timed {
            session.assemblies.timed = true;
            let due = now + self.config.chunk_timeout;
            self.timers.arm(due, Timer::Chunk(key));
        }
        Ok(added)
    }

    /// A whole message: passes it to the room, answers `last`, reports about `first`.
    fn take(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        last: &Facts<'_>,
        first: &Facts<'_>,
        body: Cow<'_, [u8]>,
    ) {
        let octets = body.len() as u64;
        let media = first.content_type.map_or("", media_type);
        let result = if media.eq_ignore_ascii_case(HEARTBEAT) {
            Ok(None)
        } else {
            self.deliver(key, body, first.success_report)
        };
        let addresses = match result {
            Ok(addresses) => addresses,
            Err(code) => return self.reply(id, last, code),
        };
        self.reply(id, last, Code::Ok);
        if !first.success_report {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (_, transaction) = session.ids.next_id();
        self.reply_with(id, |out| {
            replies::report_success(out, first, &transaction, octets, addresses.as_deref());
        });
    }

    /// RFC 7701 §6.1, §6.2. Returns the CPIM addresses of a private message when they are
    /// `wanted` for a report.
    fn deliver(
        &mut self,
        key: SessionKey,
        body: Cow<'_, [u8]>,
        wanted: bool,
    ) -> Result<Option<Vec<u8>>, Code> {
        let session = self.sessions.get_mut(key).ok_or(Code::NoSession)?;
        let room_key = session.room;
        let room = self.rooms.get(room_key).ok_or(Code::NoSession)?;
        if body.len() as u64 > room.policy.max_message_size {
            return Err(Code::TooLarge);
        }
        let message = match Message::parse(&body) {
            Ok(Some(message)) => message,
            Err(CpimError::Recipients) => return Err(Code::Forbidden),
            Ok(None) | Err(_) => return Err(Code::BadRequest),
        };
        if !session.is_from(message.from.uri) {
            return Err(Code::Forbidden);
        }
        let [to] = &message.to[..] else {
            return Err(Code::Forbidden);
        };
        let to_room = to.uri == room.uri.as_str() || canonical(to.uri) == room.uri.as_str();
        let audience = if to_room {
            Audience::Room
        } else {
            self.recipients(key, room_key, &message)?
        };
        let addresses = (wanted && !to_room).then(|| addresses(&message));
        let wrapped_type = range_of(&body, message.content_type);
        let body = Bytes::from(body.into_owned());
        let entry = Entry::new(body, wrapped_type, key, audience);
        self.append(room_key, entry);
        Ok(addresses)
    }

    /// The sessions a private message is for (G40–G45).
    fn recipients(
        &self,
        key: SessionKey,
        room_key: RoomKey,
        message: &Message<'_>,
    ) -> Result<Audience, Code> {
        let room = self.rooms.get(room_key).ok_or(Code::NoSession)?;
        // P11: a disposition notification is addressed to a member, but is no private message.
        let media = media_type(message.content_type);
        let notification = media.eq_ignore_ascii_case("message/imdn+xml");
        if !room.policy.private_messages && !notification {
            return Err(Code::Forbidden);
        }
        let to = message
            .to
            .first()
            .map_or(String::new(), |to| canonical(to.uri));
        let mut known = false;
        let mut able = false;
        let mut sessions = Vec::new();
        for &member in &room.members {
            let Some(session) = self.sessions.get(member) else {
                continue;
            };
            if !session.answers_to(&to) {
                continue;
            }
            known = true;
            if session.private_messages || notification {
                able = true;
                if member != key {
                    sessions.push(member);
                }
            }
        }
        match (known, able) {
            (false, _) => Err(Code::NotFound),
            (true, false) => Err(Code::NoPrivateMessages),
            (true, true) => Ok(Audience::Sessions(sessions.into())),
        }
    }

    fn append(&mut self, key: RoomKey, entry: Entry) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        self.counters.messages_in += 1;
        room.fresh_octets += entry.body.len();
        self.pressed |= room.fresh_octets > self.config.outbox_bytes / 4;
        room.backlog.push(entry, room.members.len());
        if !std::mem::replace(&mut room.dirty, true) {
            self.dirty_rooms.push(key);
        }
        if room.backlog.octets() > self.config.outbox_bytes {
            self.shed(key);
        }
    }

    /// Those who lag by more than an outbox lose what is oldest for them. A quarter of the
    /// outbox is freed at once, so that this is not done for every message.
    fn shed(&mut self, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let keep = self.config.outbox_bytes - self.config.outbox_bytes / 4;
        let from = room.backlog.position_within(keep);
        for &member in &room.members {
            let Some(session) = self.sessions.get_mut(member) else {
                continue;
            };
            while session.position < from {
                let entry = room.backlog.get(session.position);
                if entry.is_some_and(|entry| entry.is_for(member)) {
                    self.counters.drops_slow_reader += 1;
                }
                room.backlog.pass(session.position);
                session.position = session.position.next();
            }
        }
        room.backlog.trim();
    }
}

/// An empty body where nothing is announced: a keep-alive with a Content-Type.
fn is_keep_alive(facts: &Facts<'_>, body: &[u8]) -> bool {
    body.is_empty() && facts.range.start <= 1 && facts.range.total.unwrap_or(0) == 0
}

/// From and To as they were written, and an empty part (RFC 7701 §6.2, G44).
fn addresses(message: &Message<'_>) -> Vec<u8> {
    let from = message.header("From").unwrap_or_default();
    let to = message.header("To").unwrap_or_default();
    format!("From: {from}\r\nTo: {to}\r\n\r\nContent-Type: text/plain\r\n\r\n").into_bytes()
}

/// Where `part`, which was cut out of `whole`, stands in it.
fn range_of(whole: &[u8], part: &str) -> std::ops::Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    match start.checked_add(part.len()) {
        Some(end) if end <= whole.len() => start..end,
        _ => 0..0,
    }
}
