//! The assembly machine for every SEND that does not arrive whole (RFC 4975 §5.1, §7.3.1), whether
//! in several reads, several chunks, or both. It takes pieces and ends of chunks, and returns the
//! step to carry out. Small messages are assembled whatever the order of their chunks. Large ones
//! are passed on as soon as their CPIM headers are complete (RFC 7701 §6.1, G26).

use std::time::Duration;

use bytes::Bytes;

use crate::switch::ids::StreamKey;
use crate::switch::message::budget::Charge;
use crate::switch::message::code::Code;
use crate::switch::message::request_head::{KeptHead, RequestHead};
use crate::switch::message::stream_buffer::StreamBuffer;
use crate::time::Moment;
use crate::wire::cpim;
use crate::wire::msrp::{Flag, Pieces};

/// Limit of one session's messages that are between two chunks.
const MAX_MESSAGES: usize = 8;
/// Octets of a message that are searched for its CPIM headers.
const FRONT: usize = 2 * cpim::MAX_HEAD;
/// Octets beyond a gap before the CPIM headers are complete.
const MAX_AHEAD: usize = 256 * 1024;

/// The incomplete messages of one session.
#[derive(Debug, Default)]
pub(in crate::switch) struct Assemblies {
    messages: Vec<Assembly>,
    /// The chunk timer runs.
    pub(in crate::switch) timed: bool,
    /// Their charge in the budget.
    pub(in crate::switch) charge: Charge,
}

/// An incomplete message.
#[derive(Debug)]
pub(in crate::switch) struct Assembly {
    /// The head of the chunk that came first.
    pub(in crate::switch) head: Box<KeptHead>,
    state: State,
    /// Octets at the front that the switch added (`plain_text`).
    pub(in crate::switch) shift: u64,
    /// When the last octets of it arrived.
    pub(in crate::switch) last: Moment,
    /// A chunk of it is in progress.
    open: bool,
    /// A chunk of it was answered 200.
    answered: bool,
}

#[derive(Debug)]
enum State {
    /// It is being assembled; a large one until its CPIM headers are complete.
    Collecting { pieces: Pieces, large: bool },
    /// It is being passed on.
    Flowing(StreamKey),
    /// It was refused; so is every further chunk of it (C31).
    Refused(Code),
}

/// The limits of messages.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct Limits {
    /// Messages up to this many octets are assembled.
    pub(in crate::switch) whole_below: u64,
    /// Octets of a large message that may lie beyond a gap.
    pub(in crate::switch) ahead: usize,
}

/// The step to carry out for a piece.
#[derive(Debug)]
pub(in crate::switch) enum Step {
    /// None: the machine keeps the piece.
    Kept,
    /// The CPIM headers of a large message are complete: see [`Assemblies::flow`].
    Opens(Opening),
    /// Pass the piece on, from this offset.
    Flows(StreamKey, u64),
}

/// The front of a large message.
#[derive(Clone, Debug)]
pub(in crate::switch) struct Opening {
    /// Its CPIM headers and some content.
    pub(in crate::switch) front: Vec<u8>,
    /// Its length, if announced.
    pub(in crate::switch) announced: Option<u64>,
    /// Octets of the front that the switch added.
    pub(in crate::switch) shift: usize,
    /// The sender asked for a report.
    pub(in crate::switch) report: bool,
}

/// The step to carry out at the end of a chunk.
#[derive(Debug)]
pub(in crate::switch) enum Ending {
    /// The message continues.
    Goes,
    /// A chunk of a message that is passed on: its end offset, and whether it is the last.
    Flows(StreamKey, u64, bool),
    /// The message is complete.
    Whole(Whole),
    /// The message is over or refused; one that was passed on must be aborted.
    Over(Code, Option<StreamKey>),
}

/// A message that was dropped.
#[derive(Debug, Default)]
pub(in crate::switch) struct Lost {
    /// Its stream, if it was passed on.
    pub(in crate::switch) stream: Option<StreamKey>,
    /// Its first head, if a chunk was answered 200, so that its sender counts on delivery.
    pub(in crate::switch) believed: Option<Box<KeptHead>>,
}

/// An assembled message.
#[derive(Debug)]
pub(in crate::switch) struct Whole {
    /// The head of the chunk that came first.
    pub(in crate::switch) head: Box<KeptHead>,
    /// Octets at the front that the switch added.
    pub(in crate::switch) shift: u64,
    pub(in crate::switch) body: Vec<u8>,
}

impl Assemblies {
    /// Whether there is no message, timer or charge left.
    pub(in crate::switch) fn is_unused(&self) -> bool {
        self.messages.is_empty() && !self.timed && self.charge.octets() == 0
    }

    /// Whether part of the message has arrived.
    pub(in crate::switch) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.messages
            .iter()
            .position(|it| it.head.message_key() == name)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Assembly> {
        self.messages
            .iter_mut()
            .find(|it| it.head.message_key() == name)
    }

    /// Begins a message; `opening` precedes the sender's octets.
    pub(in crate::switch) fn begin(
        &mut self,
        now: Moment,
        head: &RequestHead<'_>,
        opening: &[u8],
    ) -> Result<(), Code> {
        // One more than the limit is allowed, because it may end with its first chunk.
        if self.messages.len() >= MAX_MESSAGES {
            match self.messages.iter().position(Assembly::is_refused) {
                // A refused message makes way: its sender has stopped by now.
                Some(place) => drop(self.messages.remove(place)),
                None if self.messages.len() > MAX_MESSAGES => return Err(Code::TooMany),
                None => {}
            }
        }
        let mut pieces = Pieces::default();
        pieces.write(0, opening);
        self.messages.push(Assembly {
            head: Box::new(head.keep()),
            state: State::Collecting {
                pieces,
                large: false,
            },
            shift: opening.len() as u64,
            last: now,
            open: true,
            answered: false,
        });
        Ok(())
    }

    /// Takes octets at offset `at` of a message that has begun.
    pub(in crate::switch) fn piece(
        &mut self,
        now: Moment,
        head: &RequestHead<'_>,
        at: u64,
        octets: &[u8],
        limits: Limits,
    ) -> Result<Step, Code> {
        let message = self.get_mut(head.message_key()).ok_or(Code::BadRequest)?;
        (message.last, message.open) = (now, true);
        let (shift, report) = (message.shift, message.head.view().success_report);
        let at = at.saturating_add(shift);
        let (pieces, large) = match &mut message.state {
            State::Refused(code) => return Err(*code),
            State::Flowing(stream) => return Ok(Step::Flows(*stream, at)),
            State::Collecting { pieces, large } => (pieces, large),
        };
        let announced = head.range.total.map(|total| total.saturating_add(shift));
        let end = at.saturating_add(octets.len() as u64);
        *large |= end.max(announced.unwrap_or(0)) > limits.whole_below;
        let fits = usize::try_from(at).is_ok_and(|start| pieces.write(start, octets));
        if !fits || (*large && pieces.ahead() > limits.ahead.min(MAX_AHEAD)) {
            return Err(Code::TooLarge);
        }
        if !*large {
            return Ok(Step::Kept);
        }
        // However the headers are split, and whatever came before them (P06), only their own size
        // is limited.
        let front = pieces.front();
        let front = front.get(..FRONT).unwrap_or(front);
        if matches!(cpim::Message::parse(front), Ok(None)) {
            return Ok(Step::Kept);
        }
        Ok(Step::Opens(Opening {
            front: front.to_vec(),
            announced,
            shift: usize::try_from(shift).unwrap_or(usize::MAX),
            report,
        }))
    }

    /// Starts passing on a large message: returns the octets received, and its length if the chunk
    /// that ends it has arrived.
    pub(in crate::switch) fn flow(
        &mut self,
        name: &str,
        stream: StreamKey,
    ) -> Option<(StreamBuffer, Option<u64>)> {
        let message = self.get_mut(name)?;
        match std::mem::replace(&mut message.state, State::Flowing(stream)) {
            State::Collecting { pieces, .. } => {
                let (parts, total) = pieces.into_parts();
                let parts = parts.map(|(at, part)| (at, Bytes::from(part)));
                Some((StreamBuffer::of(parts), total))
            }
            _ => None,
        }
    }

    /// Takes the end of a chunk; `end` is the offset after its last octet, `None` if it was empty.
    pub(in crate::switch) fn end(&mut self, name: &str, end: Option<u64>, flag: Flag) -> Ending {
        let Some(place) = self.place(name) else {
            return Ending::Over(Code::Ok, None);
        };
        if flag == Flag::Abort {
            // C30: the sender aborted the message.
            let message = self.messages.swap_remove(place);
            return Ending::Over(Code::Ok, message.stream());
        }
        let last = flag == Flag::Last;
        let full = self.messages.len() > MAX_MESSAGES;
        let message = &mut self.messages[place];
        message.open = false;
        let end = end.map(|end| end.saturating_add(message.shift));
        let ending = match &mut message.state {
            State::Refused(code) if last => Ending::Over(*code, None),
            State::Refused(code) => return Ending::Over(*code, None),
            State::Flowing(stream) if last || !full => {
                message.answered = true;
                return Ending::Flows(*stream, end.unwrap_or(0), last);
            }
            State::Flowing(stream) => Ending::Over(Code::TooMany, Some(*stream)),
            State::Collecting { pieces, large } => {
                if last {
                    pieces.ends_at(end.unwrap_or(pieces.end()));
                }
                match (pieces.is_whole(), *large) {
                    (true, false) => {
                        let body = std::mem::take(pieces).into_message();
                        let Assembly { head, shift, .. } = self.messages.swap_remove(place);
                        return Ending::Whole(Whole { head, shift, body });
                    }
                    // The headers never ended.
                    (true, true) => Ending::Over(Code::BadRequest, None),
                    (false, _) if full => Ending::Over(Code::TooMany, None),
                    (false, _) => {
                        message.answered = true;
                        return Ending::Goes;
                    }
                }
            }
        };
        self.messages.swap_remove(place);
        ending
    }

    /// Refuses a message and its further chunks.
    pub(in crate::switch) fn refuse(&mut self, name: &str, code: Code) -> Lost {
        let message = self.get_mut(name);
        message.map_or_else(Lost::default, |message| message.refuse(code))
    }

    /// A message is over for its sender.
    pub(in crate::switch) fn remove(&mut self, name: &str) -> Option<Assembly> {
        let place = self.place(name)?;
        Some(self.messages.swap_remove(place))
    }

    /// Drops messages that were idle for `timeout`; returns when to check again.
    pub(in crate::switch) fn expire(
        &mut self,
        now: Moment,
        timeout: Duration,
    ) -> (Vec<Lost>, Option<Moment>) {
        let mut lost = Vec::new();
        self.messages.retain_mut(|message| {
            let expired = message.last + timeout <= now;
            if expired {
                message.last = now;
                lost.push(message.refuse(Code::TooLate));
            }
            // The rest of a chunk in progress is refused.
            !expired || std::mem::take(&mut message.open)
        });
        let earliest = self.messages.iter().map(|message| message.last).min();
        (lost, earliest.map(|last| last + timeout))
    }

    /// Messages in progress that were not refused.
    pub(in crate::switch) fn unfinished(&self) -> impl Iterator<Item = &Assembly> {
        self.messages.iter().filter(|it| !it.is_refused())
    }

    pub(in crate::switch) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Octets collected.
    pub(in crate::switch) fn octets(&self) -> usize {
        self.messages.iter().map(Assembly::octets).sum()
    }

    /// Those that are passed on.
    pub(in crate::switch) fn streams(&self) -> impl Iterator<Item = StreamKey> {
        self.messages.iter().filter_map(Assembly::stream)
    }
}

impl Assembly {
    /// Where it is passed on.
    pub(in crate::switch) fn stream(&self) -> Option<StreamKey> {
        match self.state {
            State::Flowing(key) => Some(key),
            _ => None,
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(_))
    }

    fn refuse(&mut self, code: Code) -> Lost {
        let believed = self.answered && !self.is_refused();
        let stream = self.stream();
        self.state = State::Refused(code);
        Lost {
            stream,
            believed: believed.then(|| self.head.clone()),
        }
    }

    /// Octets collected.
    pub(in crate::switch) fn octets(&self) -> usize {
        match &self.state {
            State::Collecting { pieces, .. } => pieces.octets(),
            _ => 0,
        }
    }
}
