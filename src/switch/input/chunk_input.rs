//! Handling of messages that arrive in several pieces: carries out the steps of the assembly
//! machine, and enforces the limits on incomplete messages.

use std::borrow::Cow;

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey, SessionKeys, StreamKey};
use crate::switch::line::replies;
use crate::switch::message::assembly::{Assemblies, Ending, Limits, Lost, Step, Whole};
use crate::switch::message::code::Code;
use crate::switch::message::request_head::{KeptHead, RequestHead};
use crate::switch::out::stream::Stream;
use crate::switch::room::session::Session;
use crate::switch::threads::parcel::Ended;
use crate::switch::timers::Timer;
use crate::time::Moment;
use crate::wire::msrp::{FailureReport, Flag};

impl Switch {
    /// Takes octets of a message from offset `at`; the end of their chunk may still be to come.
    pub(in crate::switch) fn take_piece(
        &mut self,
        now: Moment,
        key: SessionKey,
        head: &RequestHead<'_>,
        at: u64,
        octets: &[u8],
    ) -> Result<(), Code> {
        let result = self.try_piece(now, key, head, at, octets);
        let result = result.and_then(|()| self.keep_to_quota(key, head.message_key()));
        if let Err(code) = result {
            self.refuse(now, key, head.message_key(), code);
        }
        result
    }

    fn try_piece(
        &mut self,
        now: Moment,
        key: SessionKey,
        head: &RequestHead<'_>,
        at: u64,
        octets: &[u8],
    ) -> Result<(), Code> {
        let limits = Limits {
            whole_below: self.config.forward_whole_below as u64,
            ahead: self.config.outbox_bytes / 4,
        };
        let room = self.rooms.get_mut(key.room).ok_or(Code::NoSession)?;
        let session = room.sessions.get_mut(key.seat).ok_or(Code::NoSession)?;
        let end = at.checked_add(octets.len() as u64).ok_or(Code::TooLarge)?;
        if end > room.policy.max_message_size {
            return Err(Code::TooLarge);
        }
        let assemblies = session.assemblies.get();
        if !assemblies.is_some_and(|it| it.has(head.message_key())) {
            // Messages of plain-text clients begin with headers that the switch adds.
            let opening = match head.content_type {
                Some(media) if head.is_plain_text() => session.wrapping(media, now),
                _ => Vec::new(),
            };
            session
                .assemblies
                .get_or_default()
                .begin(now, head, &opening)?;
        }
        let step = session
            .assemblies
            .get_or_default()
            .piece(now, head, at, octets, limits);
        self.recount(key);
        self.time_chunks(now, key);
        match step? {
            Step::Kept => Ok(()),
            Step::Flows(stream, at) => self.flow(now, stream, at, octets),
            Step::Opens(opening) => {
                let stream = self.begin_stream(now, key, head.message_key(), &opening)?;
                let session = self.rooms.session_mut(key).ok_or(Code::NoSession)?;
                let so_far = session
                    .assemblies
                    .get_or_default()
                    .flow(head.message_key(), stream);
                if let Some((buffer, total)) = so_far
                    && let Some(stream) = self.streams.get_mut(stream)
                {
                    (stream.buffer, stream.total) = (buffer, total);
                }
                self.flowed(now, stream);
                Ok(())
            }
        }
    }

    /// Takes the end of a chunk whose octets are in place; `end` is the offset after the last one,
    /// `None` if there were none.
    pub(in crate::switch) fn chunk_ends(
        &mut self,
        now: Moment,
        id: ConnectionId,
        key: SessionKey,
        head: &RequestHead<'_>,
        end: Option<u64>,
        flag: Flag,
    ) {
        let Some(session) = self.rooms.session_mut(key) else {
            return self.reply(id, head, Code::NoSession);
        };
        let ending = session
            .assemblies
            .get_or_default()
            .end(head.message_key(), end, flag);
        self.recount(key);
        match ending {
            Ending::Goes => self.reply(id, head, Code::Ok),
            Ending::Whole(whole) => self.take_collected(now, id, key, head, whole),
            Ending::Flows(stream, end, last) => match self.flow_ends(now, stream, end, last) {
                true => self.streamed(id, key, head, stream),
                false => self.reply(id, head, Code::Ok),
            },
            Ending::Over(code, stream) => {
                if let Some(stream) = stream {
                    self.abort_stream(stream);
                }
                self.reply(id, head, code);
            }
        }
    }

    /// Takes the end of a refused chunk; the last chunk ends the refused message.
    pub(in crate::switch) fn skip_end(&mut self, key: SessionKey, name: &str, flag: Flag) {
        let session = self.rooms.session_mut(key);
        if let Some(assemblies) = session.and_then(|it| it.assemblies.get_mut()) {
            assemblies.end(name, None, flag);
        }
    }

    fn take_collected(
        &mut self,
        now: Moment,
        id: ConnectionId,
        key: SessionKey,
        last: &RequestHead<'_>,
        whole: Whole,
    ) {
        let first = (&whole.head.view(), whole.shift);
        self.take(now, id, key, last, first, Cow::Owned(whole.body));
    }

    /// A large message is complete (C46). The owner of its room answers.
    fn streamed(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        last: &RequestHead<'_>,
        stream: StreamKey,
    ) {
        let session = self.rooms.session_mut(key);
        let Some(message) =
            session.and_then(|it| it.assemblies.get_mut()?.remove(last.message_key()))
        else {
            return;
        };
        self.recount(key);
        let ended = Ended::new(id, last, &message.head.view(), message.shift);
        match self.rooms.home(key) {
            Some(_) => self.pass_end(stream, ended),
            None => self.take_streamed(self.exchange.here(id), stream, &ended),
        }
    }

    /// Refuses a message and its further chunks; its receivers get no more of it.
    pub(in crate::switch) fn refuse(
        &mut self,
        now: Moment,
        key: SessionKey,
        name: &str,
        code: Code,
    ) {
        let session = self.rooms.session_mut(key);
        let Some(lost) = session.map(|it| it.assemblies.get_or_default().refuse(name, code)) else {
            return;
        };
        if let Some(stream) = lost.stream {
            self.abort_stream(stream);
        }
        self.recount(key);
        self.time_chunks(now, key);
    }

    /// Starts the chunk timer of a session unless it runs (G28).
    fn time_chunks(&mut self, now: Moment, key: SessionKey) {
        if let Some(session) = self.rooms.session_mut(key)
            && let Some(assemblies) = session.assemblies.get_mut()
            && !assemblies.is_empty()
            && !std::mem::replace(&mut assemblies.timed, true)
        {
            let due = now + self.config.chunk_timeout;
            self.agenda.arm(due, Timer::Chunk(key));
        }
    }

    pub(in crate::switch) fn chunk_due(&mut self, now: Moment, key: SessionKey) {
        let timeout = self.config.chunk_timeout;
        let session = self.rooms.session_mut(key);
        let Some(assemblies) = session.and_then(|it| it.assemblies.get_mut()) else {
            return;
        };
        let (lost, again) = assemblies.expire(now, timeout);
        assemblies.timed = again.is_some();
        for message in lost {
            self.lose(key, message, Code::TooLate);
        }
        self.recount(key);
        if let Some(due) = again {
            self.agenda.arm(due, Timer::Chunk(key));
        }
    }

    /// Drops a message of which chunks may have been answered 200.
    fn lose(&mut self, key: SessionKey, message: Lost, code: Code) {
        if let Some(stream) = message.stream {
            self.abort_stream(stream);
        }
        if let Some(head) = message.believed {
            self.report_failure(key, &head, code);
        }
    }

    fn report_failure(&mut self, key: SessionKey, head: &KeptHead, code: Code) {
        let head = head.view();
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let (_, transaction) = session.ids.next_id();
        if let Some(id) = session.connection
            && head.failure_report != FailureReport::No
        {
            self.connections.reply(id, |out| {
                replies::report_failure(out, &head, &transaction, code);
            });
        }
    }

    /// Drops a session's incomplete messages: the rest of them will not arrive.
    pub(in crate::switch) fn forget_unfinished(&mut self, key: SessionKey) {
        let session = self.rooms.session_mut(key);
        let Some(mut said) = session.and_then(|it| it.assemblies.take()) else {
            return;
        };
        for stream in said.streams() {
            self.abort_stream(stream);
        }
        self.budget.charge(&mut said.charge, None, 0);
    }

    /// Updates the budget after a session's incomplete messages changed.
    pub(in crate::switch) fn recount(&mut self, key: SessionKey) {
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let Some(assemblies) = session.assemblies.get_mut() else {
            return;
        };
        let streams = assemblies.streams().filter_map(|key| self.streams.get(key));
        let streams: usize = streams.map(Stream::octets).sum();
        let octets = assemblies.octets() + streams;
        let charge = &mut assemblies.charge;
        self.budget.charge(charge, session.connection, octets);
        session.assemblies.release_if(Assemblies::is_unused);
    }

    /// Enforces the limits after a piece of message `name`. A session or connection above its share
    /// loses its incomplete messages, those idle longest first. No others are affected.
    fn keep_to_quota(&mut self, key: SessionKey, name: &str) -> Result<(), Code> {
        let Some(session) = self.rooms.session(key) else {
            return Ok(());
        };
        let (kept, connection) = ((key, name), session.connection);
        if session.unfinished_octets() > self.budget.session_limit() {
            self.make_way(&[key], kept, |switch| {
                let session = switch.rooms.session(key);
                let held = session.map_or(0, Session::unfinished_octets);
                held <= switch.budget.session_limit()
            })?;
        }
        if let Some(id) = connection
            && self.budget.share(id) > self.budget.connection_limit()
        {
            let most = self.budget.connection_limit();
            self.make_way_on(id, kept, most)?;
        }
        if self.budget.is_full() {
            while let Some((id, share)) = self.budget.greediest() {
                self.make_way_on(id, kept, share)?;
            }
        }
        Ok(())
    }

    fn make_way_on(
        &mut self,
        id: ConnectionId,
        kept: (SessionKey, &str),
        share: usize,
    ) -> Result<(), Code> {
        let connection = self.connections.get(id);
        let sessions = connection.map_or(SessionKeys::None, |it| it.sessions.clone());
        self.make_way(&sessions, kept, |switch| switch.budget.share(id) <= share)
    }

    /// Drops incomplete messages of these sessions, all but one, until the limit is met. If it is
    /// not met then, that one must go as well.
    fn make_way(
        &mut self,
        sessions: &[SessionKey],
        kept: (SessionKey, &str),
        enough: impl Fn(&Self) -> bool,
    ) -> Result<(), Code> {
        let mut held = Vec::new();
        for &key in sessions {
            let Some(session) = self.rooms.session(key) else {
                continue;
            };
            let assemblies = session.assemblies.get().into_iter();
            for message in assemblies.flat_map(Assemblies::unfinished) {
                let stream = message.stream().and_then(|key| self.streams.get(key));
                let octets = message.octets() + stream.map_or(0, Stream::octets);
                let name = message.head.message_key();
                if octets > 0 && (key, name) != kept {
                    held.push((message.last, key, name.to_owned()));
                }
            }
        }
        held.sort_unstable();
        for (_, key, name) in held {
            if enough(self) {
                return Ok(());
            }
            let Some(session) = self.rooms.session_mut(key) else {
                continue;
            };
            let lost = session.assemblies.get_or_default();
            let lost = lost.refuse(&name, Code::LetGo);
            self.totals.unfinished_dropped += 1;
            self.lose(key, lost, Code::LetGo);
            self.recount(key);
        }
        match enough(self) {
            true => Ok(()),
            false => Err(Code::LetGo),
        }
    }
}
