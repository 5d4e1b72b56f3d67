//! The octets of messages that come in chunks, to where they belong: small messages are
//! collected, large ones passed on as soon as their CPIM headers are complete (RFC 7701 §6.1,
//! G26).

use crate::time::Moment;
use crate::wire::cpim;

use super::assembly::{Heading, State};
use super::ids::SessionKey;
use super::incoming::Facts;
use super::plain;
use super::replies::Code;
use super::{HELD_OCTETS, Switch};

/// How much of a message is looked at for its CPIM headers.
const FRONT: u64 = 2 * cpim::MAX_HEAD as u64;

impl Switch {
    /// Octets of a message from offset `at`, of a chunk of which the end may still be to come.
    pub(super) fn feed(
        &mut self,
        now: Moment,
        key: SessionKey,
        facts: &Facts<'_>,
        at: u64,
        octets: &[u8],
    ) -> Result<(), Code> {
        let result = self.try_feed(now, key, facts, at, octets);
        if let Err(code) = result {
            self.refuse(now, key, facts.name(), code);
        }
        result
    }

    fn try_feed(
        &mut self,
        now: Moment,
        key: SessionKey,
        facts: &Facts<'_>,
        at: u64,
        octets: &[u8],
    ) -> Result<(), Code> {
        let session = self.sessions.get(key).ok_or(Code::NoSession)?;
        let room = self.rooms.get(session.room).ok_or(Code::NoSession)?;
        let end = at.checked_add(octets.len() as u64).ok_or(Code::TooLarge)?;
        if end > room.policy.max_message_size {
            return Err(Code::TooLarge);
        }
        let known = session.assemblies.get(facts.name());
        let shift = match known.map(|message| message.shift) {
            Some(shift) => shift,
            None if facts.is_plain_text() => self.open_wrapped(now, key, facts)?,
            None => 0,
        };
        self.put(now, key, &facts.shifted(shift), at + shift, octets)
    }

    /// What a client says that knows no message/cpim begins with headers of ours; says how
    /// many octets they are.
    fn open_wrapped(
        &mut self,
        now: Moment,
        key: SessionKey,
        facts: &Facts<'_>,
    ) -> Result<u64, Code> {
        let session = self.sessions.get(key).ok_or(Code::NoSession)?;
        let headers = plain::wrapping(session, facts.content_type.unwrap_or_default(), now);
        let shift = headers.len() as u64;
        self.put(now, key, &facts.shifted(shift), 0, &headers)?;
        let session = self.sessions.get_mut(key);
        if let Some(message) = session.and_then(|it| it.assemblies.get_mut(facts.name())) {
            message.shift = shift;
        }
        Ok(shift)
    }

    fn put(
        &mut self,
        now: Moment,
        key: SessionKey,
        facts: &Facts<'_>,
        at: u64,
        octets: &[u8],
    ) -> Result<(), Code> {
        let whole_below = self.config.forward_whole_below as u64;
        let ahead = self.config.outbox_bytes / 4;
        let full = self.held + octets.len() > HELD_OCTETS;
        let session = self.sessions.get_mut(key).ok_or(Code::NoSession)?;
        let before = session.assemblies.octets();
        let message = session.assemblies.place(now, facts);
        let message = message.ok_or(Code::TooLarge)?;
        let end = at.saturating_add(octets.len() as u64);
        let small = end <= whole_below && facts.range.total.unwrap_or(0) <= whole_below;
        if let State::Collecting(pieces) = &message.state
            && !small
        {
            message.state = State::Heading(Box::new(Heading::of(pieces)));
        }
        let fits = match &mut message.state {
            State::Refused(code) => return Err(*code),
            State::Flowing(stream) => {
                let stream = *stream;
                return self.flow(now, stream, at, octets);
            }
            _ if full => false,
            State::Collecting(pieces) => {
                usize::try_from(at).is_ok_and(|start| pieces.write(start, octets))
            }
            State::Heading(heading) => heading.window.write(at, octets, ahead),
        };
        let heading = matches!(message.state, State::Heading(_));
        self.held = (self.held + session.assemblies.octets()).saturating_sub(before);
        self.time_chunks(now, key);
        match fits {
            false => Err(Code::TooLarge),
            true if heading => self.read_head(now, key, facts),
            true => Ok(()),
        }
    }

    /// A large message is passed on once its CPIM headers are complete, whatever the chunks
    /// they come in and whatever came before them (P06): what bounds them is their own size.
    fn read_head(&mut self, now: Moment, key: SessionKey, facts: &Facts<'_>) -> Result<(), Code> {
        let session = self.sessions.get(key).ok_or(Code::NoSession)?;
        let message = session.assemblies.get(facts.name());
        let Some(State::Heading(heading)) = message.map(|message| &message.state) else {
            return Ok(());
        };
        let front = heading.window.front(FRONT);
        if matches!(cpim::Message::parse(&front), Ok(None)) && !heading.is_whole() {
            return Ok(());
        }
        let stream = self.begin_stream(now, key, facts, &front)?;
        let session = self.sessions.get_mut(key).ok_or(Code::NoSession)?;
        let message = session.assemblies.get_mut(facts.name());
        let message = message.ok_or(Code::TooLarge)?;
        // Its octets are counted as held before and after.
        if let State::Heading(heading) =
            std::mem::replace(&mut message.state, State::Flowing(stream))
            && let Some(stream) = self.streams.get_mut(stream)
        {
            stream.window = heading.window;
            stream.total = heading.total;
        }
        self.flowed(now, stream);
        Ok(())
    }
}
