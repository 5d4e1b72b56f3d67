//! Messages that come in several chunks, put together whatever the order (RFC 4975 §7.3.1).
//! Above [`WHOLE`] octets a message is refused; forwarding such ones chunk by chunk hooks in
//! where [`Assemblies::add`] says [`Added::TooLarge`].

use std::time::Duration;

use super::incoming::{Facts, OwnedFacts};
use crate::time::Moment;
use crate::wire::msrp::Flag;

/// A message up to this size is delivered as one SEND even if it came in chunks.
pub(super) const WHOLE: usize = 64 * 1024;
/// Messages under assembly in one session: with [`WHOLE`] half a megabyte at most.
const MAX_MESSAGES: usize = 8;
/// Separate pieces of one message: a sender that skips about is not a client.
const MAX_PIECES: usize = 64;

/// What a chunk did.
#[derive(Debug)]
pub(super) enum Added {
    /// More must come.
    Incomplete,
    /// The message is whole.
    Whole(Box<OwnedFacts>, Vec<u8>),
    /// It cannot be kept: 413.
    TooLarge,
}

/// The messages of one session of which some chunks have come.
#[derive(Debug, Default)]
pub(super) struct Assemblies {
    messages: Vec<Assembly>,
    /// The chunk timer runs.
    pub(super) timed: bool,
}

#[derive(Debug)]
struct Assembly {
    facts: Box<OwnedFacts>,
    octets: Vec<u8>,
    /// What has come, as `start..end`, in order and apart.
    pieces: Vec<(usize, usize)>,
    total: Option<usize>,
    refused: bool,
    last: Moment,
}

impl Assemblies {
    /// Whether chunks of this message have come.
    pub(super) fn holds(&self, message_id: &str) -> bool {
        self.messages
            .iter()
            .any(|message| message.facts.is(message_id))
    }

    /// Takes a chunk of message `message_id`, which starts at octet `start` (from 1).
    pub(super) fn add(
        &mut self,
        now: Moment,
        facts: &Facts<'_>,
        message_id: &str,
        octets: &[u8],
        flag: Flag,
    ) -> Added {
        let index = match self.place(now, facts, message_id) {
            Some(index) => index,
            None => return Added::TooLarge,
        };
        let message = &mut self.messages[index];
        message.last = now;
        if !message.refused && !message.write(facts, octets, flag) {
            message.refuse();
        }
        let refused = message.refused;
        let over = if refused {
            flag != Flag::More
        } else {
            message.is_whole()
        };
        match (refused, over) {
            (true, false) => Added::TooLarge,
            (true, true) => {
                self.messages.swap_remove(index);
                Added::TooLarge
            }
            (false, false) => Added::Incomplete,
            (false, true) => {
                let mut message = self.messages.swap_remove(index);
                message.octets.truncate(message.total.unwrap_or(WHOLE));
                Added::Whole(message.facts, message.octets)
            }
        }
    }

    fn place(&mut self, now: Moment, facts: &Facts<'_>, message_id: &str) -> Option<usize> {
        let known = self.messages.iter();
        let known = known
            .clone()
            .position(|message| message.facts.is(message_id));
        if known.is_some() || self.messages.len() >= MAX_MESSAGES {
            return known;
        }
        self.messages.push(Assembly {
            facts: Box::new(facts.keep()),
            octets: Vec::new(),
            pieces: Vec::new(),
            total: None,
            refused: false,
            last: now,
        });
        Some(self.messages.len() - 1)
    }

    /// The sender gave the message up (`#`).
    pub(super) fn abort(&mut self, message_id: &str) {
        self.messages
            .retain(|message| !message.facts.is(message_id));
    }

    /// Lets go of messages without a chunk for `timeout`; says when to look again.
    pub(super) fn expire(&mut self, now: Moment, timeout: Duration) -> Option<Moment> {
        self.messages.retain(|message| message.last + timeout > now);
        let earliest = self.messages.iter().map(|message| message.last).min();
        earliest.map(|last| last + timeout)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Octets held.
    pub(super) fn octets(&self) -> usize {
        self.messages
            .iter()
            .map(|message| message.octets.len())
            .sum()
    }
}

impl Assembly {
    /// Puts a chunk in its place; `false` when it does not fit.
    fn write(&mut self, facts: &Facts<'_>, octets: &[u8], flag: Flag) -> bool {
        let announced = facts.range.total.unwrap_or(0);
        let start = facts.range.start.max(1) - 1;
        let Ok(start) = usize::try_from(start) else {
            return false;
        };
        // C09: the end is counted, not read.
        let Some(end) = start.checked_add(octets.len()) else {
            return false;
        };
        if end > WHOLE || announced > WHOLE as u64 {
            return false;
        }
        if flag == Flag::Last {
            self.total = Some(end);
        }
        if self.octets.len() < end {
            self.octets.resize(end, 0);
        }
        // C28: of what overlaps, the last wins.
        if let Some(place) = self.octets.get_mut(start..end) {
            place.copy_from_slice(octets);
        }
        self.note(start, end);
        self.pieces.len() <= MAX_PIECES
    }

    fn note(&mut self, mut start: usize, mut end: usize) {
        if start == end {
            return;
        }
        self.pieces.retain(|&(from, to)| {
            let apart = to < start || from > end;
            if !apart {
                start = start.min(from);
                end = end.max(to);
            }
            apart
        });
        let at = self.pieces.partition_point(|&(from, _)| from < start);
        self.pieces.insert(at, (start, end));
    }

    fn is_whole(&self) -> bool {
        match (self.total, &self.pieces[..]) {
            (Some(total), [(0, end)]) => *end >= total,
            (Some(0), []) => true,
            _ => false,
        }
    }

    fn refuse(&mut self) {
        self.refused = true;
        self.octets = Vec::new();
        self.pieces = Vec::new();
    }
}
