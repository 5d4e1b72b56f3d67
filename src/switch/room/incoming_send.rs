//! SEND: what a participant says (RFC 7701 §6).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::control::SessionId;
use crate::time::Moment;
use crate::wire::cpim::{CpimError, MESSAGE_CPIM, Message};
use crate::wire::media_type;
use crate::wire::msrp::Flag;

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, RoomKey, SessionKey};
use crate::switch::line::replies;
use crate::switch::message::entry::{Audience, Entry};
use crate::switch::message::plain_text::{self, Text};
use crate::switch::message::{Code, RequestHead, imdn};
use crate::switch::room::log::Position;
use crate::switch::room::session::canonical;
use crate::switch::threads::Speaker;
use crate::switch::threads::guests;

/// Some clients send this every few seconds when they see a wildcard in accept-types.
const HEARTBEAT: &str = "text/x-msrp-heartbeat";

/// For whom a message is, and what it is.
pub(in crate::switch) struct Addressed {
    pub(in crate::switch) audience: Audience,
    /// Where the wrapped content type stands.
    pub(in crate::switch) wrapped_type: Range<usize>,
    /// Where the wrapped content begins.
    pub(in crate::switch) content: usize,
    /// The content can be shown to who reads plain text.
    pub(in crate::switch) is_text: bool,
    /// It is called a disposition notification.
    pub(in crate::switch) is_notification: bool,
    /// The member it is for, as its URI is compared; none: everybody.
    pub(in crate::switch) to: Option<String>,
    /// CPIM From and To of a private message, for its report (G44).
    pub(in crate::switch) addresses: Option<Vec<u8>>,
}

impl Addressed {
    /// It is not for the whole room.
    pub(in crate::switch) fn is_private(&self) -> bool {
        self.audience != Audience::Room
    }
}

impl Switch {
    /// A SEND whose end has come.
    pub(in crate::switch) fn send(
        &mut self,
        now: Moment,
        id: ConnectionId,
        key: SessionKey,
        head: &RequestHead<'_>,
        body: Option<Cow<'_, [u8]>>,
        flag: Flag,
    ) {
        // G20: a SEND without a body binds or keeps alive; some write an empty one instead.
        let Some(body) = body.filter(|body| !is_keep_alive(head, body)) else {
            return match self.has_begun(key, head) {
                // RFC 4975 §7.1: the end of a message under way needs no octets.
                true => self.chunk_ends(now, id, key, head, None, flag),
                false => self.reply(id, head, Code::Ok),
            };
        };
        if flag == Flag::Abort {
            return self.chunk_ends(now, id, key, head, None, flag);
        }
        if let Err(code) = self.screen(key, head) {
            return self.reply(id, head, code);
        }
        let small = body.len() <= self.config.forward_whole_below;
        if small && self.is_whole(key, head, flag) {
            let (body, shift) = self.wrapped(now, key, head, body);
            return self.take(now, id, key, head, (head, shift), body);
        }
        let end = head.offset().saturating_add(body.len() as u64);
        match self.take_piece(now, key, head, head.offset(), &body) {
            Ok(()) => self.chunk_ends(now, id, key, head, Some(end), flag),
            Err(code) => {
                self.skip_end(key, head.message_key(), flag);
                self.reply(id, head, code);
            }
        }
    }

    /// A message that came with the INVITE of a session, which may not be bound yet. What the
    /// sender is not allowed is told as a message, since no SEND is there to be answered.
    pub(in crate::switch) fn submit(&mut self, now: Moment, id: &SessionId, message: &[u8]) {
        let Some(&key) = self.by_session.get(id) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (_, transaction) = session.ids.next_id();
        let head = RequestHead::of_submitted(transaction);
        let fits = message.len() <= self.config.forward_whole_below;
        let screened = self.screen(key, &head).and(match fits {
            true => Ok(()),
            false => Err(Code::TooLarge),
        });
        let taken = screened.and_then(|()| self.deliver(now, key, &head, 0, message.into()));
        if let Err(code) = taken {
            let (code, comment) = code.line();
            let text = format!("Your first message was not delivered: {code} {comment}.");
            self.tell(key, text.into());
        }
    }

    /// A whole message as message/cpim, and how many octets of it are not the sender's.
    fn wrapped<'a>(
        &self,
        now: Moment,
        key: SessionKey,
        head: &RequestHead<'_>,
        body: Cow<'a, [u8]>,
    ) -> (Cow<'a, [u8]>, u64) {
        match self.sessions.get(key) {
            Some(session) if head.is_plain_text() => {
                let mut octets = session.wrapping(head.content_type.unwrap_or_default(), now);
                let shift = octets.len() as u64;
                octets.extend_from_slice(&body);
                (Cow::Owned(octets), shift)
            }
            _ => (body, 0),
        }
    }

    /// What can be said before the body has come.
    pub(in crate::switch) fn screen(
        &self,
        key: SessionKey,
        head: &RequestHead<'_>,
    ) -> Result<(), Code> {
        let Some(session) = self.sessions.get(key) else {
            return Err(Code::NoSession);
        };
        let media = head.content_type.map_or("", media_type);
        if media.eq_ignore_ascii_case(HEARTBEAT) {
            return Ok(());
        }
        if !session.sends {
            return Err(Code::MayNotSend);
        }
        let room = self.rooms.get(session.room);
        let plain = head.is_plain_text() && room.is_some_and(|it| it.policy.plain_text);
        // G20: nothing but message/cpim, unless the room says so.
        if !media.eq_ignore_ascii_case(MESSAGE_CPIM) && !plain {
            return Err(Code::UnsupportedMedia);
        }
        let limit = room.map_or(0, |room| room.policy.max_message_size);
        if head.range.total.is_some_and(|total| total > limit) {
            return Err(Code::TooLarge);
        }
        Ok(())
    }

    /// A message in one SEND.
    fn is_whole(&self, key: SessionKey, head: &RequestHead<'_>, flag: Flag) -> bool {
        flag == Flag::Last && head.range.start <= 1 && !self.has_begun(key, head)
    }

    /// Some of the message has come before.
    fn has_begun(&self, key: SessionKey, head: &RequestHead<'_>) -> bool {
        let session = self.sessions.get(key);
        let begun = session.and_then(|session| session.assemblies.get());
        begun.is_some_and(|begun| begun.has(head.message_key()))
    }

    /// A whole message: it is put in order by the owner of its room.
    pub(in crate::switch) fn take(
        &mut self,
        now: Moment,
        id: ConnectionId,
        key: SessionKey,
        last: &RequestHead<'_>,
        first: (&RequestHead<'_>, u64),
        body: Cow<'_, [u8]>,
    ) {
        match self.home(key) {
            Some(home) => self.pass_to_owner(id, key, home, last, first, body),
            None => self.take_here(now, self.exchange.here(id), key, last, first, body),
        }
    }

    /// A whole message: passes it to the room, answers `last`, reports about `first`, before
    /// which so many octets are not the sender's.
    pub(in crate::switch) fn take_here(
        &mut self,
        now: Moment,
        speaker: Speaker,
        key: SessionKey,
        last: &RequestHead<'_>,
        (first, shift): (&RequestHead<'_>, u64),
        body: Cow<'_, [u8]>,
    ) {
        let octets = (body.len() as u64).saturating_sub(shift);
        let media = first.content_type.map_or("", media_type);
        let result = if media.eq_ignore_ascii_case(HEARTBEAT) {
            Ok(None)
        } else {
            self.deliver(now, key, first, shift, body)
        };
        let addresses = match result {
            Ok(addresses) => addresses,
            Err(code) => return self.respond(speaker, last, code),
        };
        self.respond(speaker, last, Code::Ok);
        self.report(speaker, key, first, octets, addresses);
    }

    /// Reports a whole message, if that is wanted.
    pub(in crate::switch) fn report(
        &mut self,
        speaker: Speaker,
        key: SessionKey,
        first: &RequestHead<'_>,
        octets: u64,
        addresses: Option<Vec<u8>>,
    ) {
        if !first.success_report {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (_, transaction) = session.ids.next_id();
        self.reply_to(speaker, |out| {
            replies::report_success(out, first, &transaction, octets, addresses.as_deref());
        });
    }

    /// Puts a whole message into the room's log. Returns the CPIM addresses of a private
    /// message when a report must carry them.
    fn deliver(
        &mut self,
        now: Moment,
        key: SessionKey,
        first: &RequestHead<'_>,
        shift: u64,
        body: Cow<'_, [u8]>,
    ) -> Result<Option<Vec<u8>>, Code> {
        let addressed = self.address(key, &body, body.len() as u64, first.success_report)?;
        let octets = (body.len() as u64).saturating_sub(shift);
        let session = self.sessions.get(key).ok_or(Code::NoSession)?;
        let room_key = session.room;
        let room = self.rooms.get_mut(room_key).ok_or(Code::NoSession)?;
        if octets > room.policy.max_message_size {
            return Err(Code::TooLarge);
        }
        // What is ours is another each time (DateTime).
        let own = usize::try_from(shift)
            .ok()
            .and_then(|shift| body.get(shift..));
        let fingerprint =
            room.fingerprint(&session.user, first.message_key(), own.unwrap_or_default());
        let keeps = room.policy.history > 0;
        let (own, connections, abroad) = (self.exchange.own, &self.connections, &self.abroad);
        let lives = |speaker| guests::lives(speaker, own, connections, abroad);
        let on = session.speaker(own);
        if !room.is_repeated(now, fingerprint, on, lives) {
            let mut body = body.into_owned();
            if session.is_anonymous() && addressed.is_notification {
                // Who, and how many of them, the reader is not to learn.
                let to = addressed.to.as_deref().unwrap_or_default();
                let gist = conceal(to, &mut body).ok_or(Code::BadRequest)?;
                if gist.0.is_some_and(|gist| room.is_notified(gist)) {
                    return Ok(addressed.addresses);
                }
            }
            room.note(now, fingerprint, on);
            let text = self.text_of(key, room_key, &addressed, &body);
            let body = Bytes::from(body);
            let mut entry = Entry::new(body, addressed.wrapped_type, key, addressed.audience);
            entry.text = text;
            self.totals.messages_in += 1;
            self.count(now, room_key);
            let size = entry.body.len() as u64;
            self.tell_said(now, key, size, entry.wrapped_type(), &entry.audience);
            if keeps {
                self.add_to_history(now, room_key, &entry);
            }
            self.pass_on_to(now, key, room_key, Arc::new(entry));
        }
        Ok(addressed.addresses)
    }

    /// The message for who reads plain text, if somebody does.
    fn text_of(
        &self,
        key: SessionKey,
        room: RoomKey,
        addressed: &Addressed,
        body: &[u8],
    ) -> Option<Box<Text>> {
        let room = self.rooms.get(room).filter(|it| it.policy.plain_text)?;
        if !addressed.is_text || !self.some_read_plain_text(room.members.all()) {
            return None;
        }
        let opening = self.opening(key, addressed.is_private());
        let content = body.get(addressed.content..).unwrap_or_default();
        Some(Box::new(Text::new(&opening, content)))
    }

    /// Whom a message of `size` octets is for (RFC 7701 §6.1, §6.2); `octets` hold at least
    /// its CPIM headers. With `report`, a report about it will be wanted.
    pub(in crate::switch) fn address(
        &mut self,
        key: SessionKey,
        octets: &[u8],
        size: u64,
        report: bool,
    ) -> Result<Addressed, Code> {
        let session = self.sessions.get_mut(key).ok_or(Code::NoSession)?;
        let room_key = session.room;
        let room = self.rooms.get(room_key).ok_or(Code::NoSession)?;
        let message = match Message::parse(octets) {
            Ok(Some(message)) => message,
            Err(CpimError::Recipients) => return Err(Code::SeveralRecipients),
            Ok(None) | Err(_) => return Err(Code::BadRequest),
        };
        if !session.is_from(message.from.uri) {
            return Err(Code::ForeignFrom);
        }
        let [to] = &message.to[..] else {
            return Err(Code::SeveralRecipients);
        };
        let to_room = to.uri == room.uri.as_str() || canonical(to.uri) == room.uri.as_str();
        let audience = if to_room {
            Audience::Room
        } else {
            self.recipients(key, room_key, &message, size)?
        };
        Ok(Addressed {
            audience,
            wrapped_type: range_of(octets, message.content_type),
            content: message.content,
            is_text: plain_text::is_text(&message),
            is_notification: imdn::is_notification(message.content_type),
            to: (!to_room).then(|| canonical(to.uri)),
            addresses: (report && !to_room).then(|| addresses(&message)),
        })
    }

    /// The sessions a private message is for (G40–G45).
    fn recipients(
        &self,
        key: SessionKey,
        room_key: RoomKey,
        message: &Message<'_>,
        size: u64,
    ) -> Result<Audience, Code> {
        let room = self.rooms.get(room_key).ok_or(Code::NoSession)?;
        // P11: a disposition notification is addressed to a member, but is no private message.
        let notification = imdn::is_disposition(message);
        if !room.policy.private_messages && !notification {
            return Err(Code::NoPrivateMessagesHere);
        }
        let to = message
            .to
            .first()
            .map_or(String::new(), |to| canonical(to.uri));
        let mut known = false;
        // Why it cannot be given to those who are able (RFC 4975 §7.1.3).
        let mut refused = Code::NoPrivateMessages;
        let mut able = false;
        let mut sessions = Vec::new();
        for &member in room.members.called(&to) {
            let Some(session) = self.sessions.get(member) else {
                continue;
            };
            known = true;
            if !session.private_messages && !notification {
                continue;
            }
            match session.refuses(size, message) {
                Some(code) => refused = code,
                None => able = true,
            }
            if member != key {
                sessions.push(member);
            }
        }
        match (known, able) {
            (false, _) => Err(Code::NotFound),
            (true, false) => Err(refused),
            (true, true) => Ok(Audience::Sessions(sessions.into())),
        }
    }

    /// Puts a message where its receivers find it: a private one into their own queues, so
    /// that it costs nobody else anything.
    fn pass_on_to(&mut self, now: Moment, key: SessionKey, room_key: RoomKey, entry: Arc<Entry>) {
        let Audience::Sessions(sessions) = &entry.audience else {
            self.append(now, room_key, entry);
            self.said_in(key, room_key);
            return self.hold_speaker(now, key, room_key);
        };
        for &member in sessions {
            self.give_to(now, key, member, &entry);
        }
    }

    /// Puts a message into a session's own queue.
    pub(in crate::switch) fn give(&mut self, now: Moment, key: SessionKey, entry: Arc<Entry>) {
        let outbox = self.config.outbox_bytes;
        let session = self.sessions.get_mut(key);
        let Some(session) = session.filter(|session| session.takes_entry(&entry)) else {
            return;
        };
        let room = self.rooms.get(session.room);
        session.own.push(
            room.map_or(Position::default(), |room| room.log.end()),
            entry,
        );
        let mut lost = 0;
        while session.own.octets() > outbox && session.own.len() > 1 {
            session.own.pop();
            lost += 1;
        }
        self.mark_session_dirty(key);
        if lost > 0 {
            self.lost_by_slowness(now, key, lost);
        }
    }

    /// Puts a message into a room's log, here and wherever members of it are.
    pub(in crate::switch) fn append(&mut self, now: Moment, key: RoomKey, entry: Arc<Entry>) {
        self.send_abroad(key, &entry);
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let octets = entry.body.len();
        room.log.push(entry, room.members.here().len());
        let full = room.log.octets() > self.config.outbox_bytes;
        self.spread(key, octets);
        if full {
            self.shed(now, key);
        }
    }

    /// A session has something on its way to its room.
    pub(in crate::switch) fn said_in(&mut self, key: SessionKey, room: RoomKey) {
        let session = self.sessions.get(key);
        let connection = session.and_then(|session| session.connection);
        if let Some(connection) = connection.and_then(|id| self.connections.get_mut(id)) {
            connection.said_in = Some(room);
        }
    }

    /// Those who lag by more than an outbox lose what is oldest for them. A quarter of the
    /// outbox is freed at once, so that this is not done for every message.
    fn shed(&mut self, now: Moment, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let keep = self.config.outbox_bytes - self.config.outbox_bytes / 4;
        let from = room.log.position_within(keep);
        let mut losers = Vec::new();
        for &member in room.members.here() {
            let Some(session) = self.sessions.get_mut(member) else {
                continue;
            };
            let lost = session.skip_to(from, &mut room.log);
            if lost > 0 {
                losers.push((member, lost));
            }
        }
        room.log.trim();
        for (member, lost) in losers {
            self.lost_by_slowness(now, member, lost);
        }
    }

    /// What stands before the text of a session for who reads plain text.
    pub(in crate::switch) fn opening(&self, key: SessionKey, private: bool) -> String {
        let Some(session) = self.sessions.get(key) else {
            return String::new();
        };
        let room = self.rooms.get(session.room);
        let nickname = room.and_then(|room| room.nickname_of(&session.user));
        let user = session.user.as_str();
        let name = match nickname {
            Some(nickname) => &nickname.written,
            None if !session.display.is_empty() => &session.display,
            None => user.strip_prefix("sip:").unwrap_or(user),
        };
        let name = plain_text::shown(name);
        let mark = if private { " (privately)" } else { "" };
        format!("{name}{mark}: ")
    }

    /// Whether one of these reads plain text.
    pub(in crate::switch) fn some_read_plain_text(
        &self,
        members: impl Iterator<Item = SessionKey>,
    ) -> bool {
        let mut sessions = members.filter_map(|key| self.sessions.get(key));
        sessions.any(|session| session.plain_text)
    }
}

/// Blanks out who received a message, in its notification by somebody anonymous.
fn conceal(to: &str, octets: &mut [u8]) -> Option<imdn::Gist> {
    let headers = octets.to_vec();
    let message = Message::parse(&headers).ok().flatten()?;
    imdn::conceal(to, &message, octets.get_mut(message.content..)?)
}

/// Whether a wrapped content type is that of a heartbeat.
pub(in crate::switch) fn is_heartbeat(written: &[u8]) -> bool {
    let written = std::str::from_utf8(written).unwrap_or_default();
    media_type(written).eq_ignore_ascii_case(HEARTBEAT)
}

/// An empty body where nothing is announced: a keep-alive with a Content-Type.
fn is_keep_alive(head: &RequestHead<'_>, body: &[u8]) -> bool {
    body.is_empty() && head.range.start <= 1 && head.range.total.unwrap_or(0) == 0
}

/// From and To as they were written, and an empty part (RFC 7701 §6.2, G44).
fn addresses(message: &Message<'_>) -> Vec<u8> {
    let from = message.header("From").unwrap_or_default();
    let to = message.header("To").unwrap_or_default();
    format!("From: {from}\r\nTo: {to}\r\n\r\nContent-Type: text/plain\r\n\r\n").into_bytes()
}

/// Where `part`, which was cut out of `whole`, stands in it.
pub(in crate::switch) fn range_of(whole: &[u8], part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    match start.checked_add(part.len()) {
        Some(end) if end <= whole.len() => start..end,
        _ => 0..0,
    }
}
