//! SEND requests: the messages of participants (RFC 7701 §6).

use std::borrow::Cow;
use std::sync::Arc;

use crate::control::SessionId;
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, RoomKey, SessionKey, Speaker};
use crate::switch::line::replies;
use crate::switch::message::code::Code;
use crate::switch::message::entry::{Audience, Entry};
use crate::switch::message::request_head::RequestHead;
use crate::time::Moment;
use crate::wire::msrp::Flag;

impl Switch {
    /// Handles a SEND that is complete.
    pub(in crate::switch) fn send(
        &mut self,
        now: Moment,
        id: ConnectionId,
        key: SessionKey,
        head: &RequestHead<'_>,
        body: Option<Cow<'_, [u8]>>,
        flag: Flag,
    ) {
        // G20: a SEND without a body binds or keeps alive; some clients send an empty body instead.
        let Some(body) = body.filter(|body| !is_keep_alive(head, body)) else {
            return match self.has_begun(key, head) {
                // RFC 4975 §7.1: the final chunk of a message may be empty.
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

    /// Delivers a message that came with the INVITE of a session, which may not be bound yet. There
    /// is no SEND to answer, so a refusal goes to the sender as a message.
    pub(in crate::switch) fn submit(&mut self, now: Moment, id: &SessionId, message: &[u8]) {
        let Some(key) = self.rooms.named(id.as_str()) else {
            return;
        };
        let Some(session) = self.rooms.session_mut(key) else {
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

    /// A whole message as message/cpim, and the number of octets the switch added to it.
    fn wrapped<'a>(
        &self,
        now: Moment,
        key: SessionKey,
        head: &RequestHead<'_>,
        body: Cow<'a, [u8]>,
    ) -> (Cow<'a, [u8]>, u64) {
        match self.rooms.session(key) {
            Some(session) if head.is_plain_text() => {
                let mut octets = session.wrapping(head.content_type.unwrap_or_default(), now);
                let shift = octets.len() as u64;
                octets.extend_from_slice(&body);
                (Cow::Owned(octets), shift)
            }
            _ => (body, 0),
        }
    }

    /// Checks the head of a message before its body arrives.
    pub(in crate::switch) fn screen(
        &self,
        key: SessionKey,
        head: &RequestHead<'_>,
    ) -> Result<(), Code> {
        let room = self.rooms.get(key.room).ok_or(Code::NoSession)?;
        room.screen(key, head)
    }

    /// Handles a message in one SEND.
    fn is_whole(&self, key: SessionKey, head: &RequestHead<'_>, flag: Flag) -> bool {
        flag == Flag::Last && head.range.start <= 1 && !self.has_begun(key, head)
    }

    /// An earlier part of the message has arrived.
    fn has_begun(&self, key: SessionKey, head: &RequestHead<'_>) -> bool {
        let session = self.rooms.session(key);
        let begun = session.and_then(|session| session.assemblies.get());
        begun.is_some_and(|begun| begun.has(head.message_key()))
    }

    /// Handles a whole message: the owner of its room orders it.
    pub(in crate::switch) fn take(
        &mut self,
        now: Moment,
        id: ConnectionId,
        key: SessionKey,
        last: &RequestHead<'_>,
        first: (&RequestHead<'_>, u64),
        body: Cow<'_, [u8]>,
    ) {
        match self.rooms.home(key) {
            Some(home) => self.pass_to_owner(id, key, home, last, first, body),
            None => self.take_here(now, self.exchange.here(id), key, last, first, body),
        }
    }

    /// Passes a whole message to the room, answers `last`, and reports about `first`. The message
    /// starts with `shift` octets that the switch added.
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
        let result = match first.is_heartbeat() {
            true => Ok(None),
            false => self.deliver(now, key, first, shift, body),
        };
        let addresses = match result {
            Ok(addresses) => addresses,
            Err(code) => return self.respond(speaker, last, code),
        };
        self.respond(speaker, last, Code::Ok);
        self.report(speaker, key, first, octets, addresses);
    }

    /// Reports a whole message, if the sender asked for a report.
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
        let Some(session) = self.rooms.session_mut(key) else {
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
        let (exchange, connections) = (&self.exchange, &self.connections);
        let lives = |speaker| exchange.lives(speaker, connections);
        let room = self.rooms.get_mut(key.room).ok_or(Code::NoSession)?;
        let accepted = room.accept(now, key, first, (shift, body), (exchange.own, lives))?;
        let Some(entry) = accepted.entry else {
            return Ok(accepted.addresses);
        };
        let keeps = room.policy.history > 0;
        let size = entry.body.len() as u64;
        self.count_message(now, key, size, entry.wrapped_type(), &entry.audience);
        if keeps {
            let most = self.history_octets();
            self.rooms
                .add_to_history(now, key.room, &entry, most, &mut self.agenda);
        }
        self.pass_on(now, key, Arc::new(entry));
        Ok(accepted.addresses)
    }

    /// Notifies the focus of a message.
    pub(in crate::switch) fn count_message(
        &mut self,
        now: Moment,
        key: SessionKey,
        size: u64,
        wrapped_type: &[u8],
        audience: &Audience,
    ) {
        self.totals.messages_in += 1;
        if let Some(room) = self.rooms.get_mut(key.room) {
            room.count(now, key.room, &mut self.agenda);
        }
        if let Some(session) = self.rooms.session(key) {
            let events = &mut self.message_events;
            events.tell_said(now, session, size, wrapped_type, audience, &mut self.agenda);
        }
    }

    /// Puts a message where its receivers find it. A private message goes into their own queues, so
    /// that it costs other members nothing.
    fn pass_on(&mut self, now: Moment, key: SessionKey, entry: Arc<Entry>) {
        let Audience::Sessions(sessions) = &entry.audience else {
            self.append(now, key.room, entry);
            self.said_in(key, key.room);
            return self.hold_speaker(now, key);
        };
        for &member in sessions {
            self.give_to(now, key, member, &entry);
        }
    }

    /// Records the room of a session's last message on its connection.
    pub(in crate::switch) fn said_in(&mut self, key: SessionKey, room: RoomKey) {
        let connection = self.rooms.session(key).and_then(|it| it.connection);
        if let Some(connection) = connection.and_then(|id| self.connections.get_mut(id)) {
            connection.said_in = Some(room);
        }
    }
}

/// Whether the body is empty and Byte-Range announces none: a keep-alive with a Content-Type.
fn is_keep_alive(head: &RequestHead<'_>, body: &[u8]) -> bool {
    body.is_empty() && head.range.start <= 1 && head.range.total.unwrap_or(0) == 0
}
