//! Messages of which some chunks have come (RFC 4975 §7.3.1): small ones are put together
//! whatever the order of their chunks, large ones are passed on while they come.

use std::time::Duration;

use super::ids::StreamKey;
use super::incoming::{Facts, OwnedFacts};
use super::replies::Code;
use super::window::Window;
use crate::time::Moment;

/// Messages under way in one session; one more is answered 413.
const MAX_MESSAGES: usize = 8;
/// Separate pieces of one message: a sender that skips about is not a client.
const MAX_PIECES: usize = 64;

/// The messages of one session of which some chunks have come.
#[derive(Debug, Default)]
pub(super) struct Assemblies {
    messages: Vec<Assembly>,
    /// The chunk timer runs.
    pub(super) timed: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Assembly {
    /// Of the chunk that came first.
    pub(super) facts: Box<OwnedFacts>,
    pub(super) state: State,
    /// Octets in front that are ours and not the sender's (`plain_text`).
    pub(super) shift: u64,
    last: Moment,
}

/// What becomes of it.
#[derive(Debug)]
pub(super) enum State {
    /// It is put together.
    Collecting(Pieces),
    /// It is large, and its CPIM headers are not complete.
    Heading(Box<Heading>),
    /// It is passed on.
    Flowing(StreamKey),
    /// It was refused; so is every further chunk of it (C31).
    Refused(Code),
}

impl Assemblies {
    pub(super) fn get(&self, name: &str) -> Option<&Assembly> {
        self.messages.iter().find(|message| message.facts.is(name))
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Assembly> {
        self.messages
            .iter_mut()
            .find(|message| message.facts.is(name))
    }

    /// The message of this chunk, old or new; `None` when there are too many.
    pub(super) fn place(&mut self, now: Moment, facts: &Facts<'_>) -> Option<&mut Assembly> {
        let known = self
            .messages
            .iter()
            .position(|message| message.facts.is(facts.name()));
        let index = match known {
            Some(index) => index,
            None if self.messages.len() >= MAX_MESSAGES => return None,
            None => {
                self.messages.push(Assembly {
                    facts: Box::new(facts.keep()),
                    state: State::Collecting(Pieces::default()),
                    shift: 0,
                    last: now,
                });
                self.messages.len() - 1
            }
        };
        let message = self.messages.get_mut(index)?;
        message.last = now;
        Some(message)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Assembly> {
        let index = self
            .messages
            .iter()
            .position(|message| message.facts.is(name))?;
        Some(self.messages.swap_remove(index))
    }

    /// Takes out messages without a chunk for `timeout`; says when to look again.
    pub(super) fn expire(
        &mut self,
        now: Moment,
        timeout: Duration,
    ) -> (Vec<Assembly>, Option<Moment>) {
        let expired = self
            .messages
            .extract_if(.., |message| message.last + timeout <= now);
        let expired = expired.collect();
        let earliest = self.messages.iter().map(|message| message.last).min();
        (expired, earliest.map(|last| last + timeout))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Octets held.
    pub(super) fn octets(&self) -> usize {
        self.messages.iter().map(Assembly::octets).sum()
    }

    /// The large ones.
    pub(super) fn streams(&self) -> Vec<StreamKey> {
        let streams = self.messages.iter().filter_map(Assembly::stream);
        streams.collect()
    }
}

impl Assembly {
    pub(super) fn stream(&self) -> Option<StreamKey> {
        match self.state {
            State::Flowing(key) => Some(key),
            _ => None,
        }
    }

    fn octets(&self) -> usize {
        match &self.state {
            State::Collecting(pieces) => pieces.octets.len(),
            State::Heading(heading) => heading.window.octets(),
            _ => 0,
        }
    }
}

/// A small message so far.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    octets: Vec<u8>,
    /// What has come, as `start..end`, in order and apart.
    ranges: Vec<(usize, usize)>,
    total: Option<usize>,
}

impl Pieces {
    /// Puts octets in their place; `false` when they lie about too much. The caller has
    /// checked that they are small.
    pub(super) fn write(&mut self, start: usize, octets: &[u8]) -> bool {
        // C09: the end is counted, not read.
        let end = start + octets.len();
        if self.octets.len() < end {
            self.octets.resize(end, 0);
        }
        // C28: of what overlaps, the last wins.
        if let Some(place) = self.octets.get_mut(start..end) {
            place.copy_from_slice(octets);
        }
        self.note(start, end);
        self.ranges.len() <= MAX_PIECES
    }

    fn note(&mut self, mut start: usize, mut end: usize) {
        if start == end {
            return;
        }
        self.ranges.retain(|&(from, to)| {
            let apart = to < start || from > end;
            if !apart {
                start = start.min(from);
                end = end.max(to);
            }
            apart
        });
        let at = self.ranges.partition_point(|&(from, _)| from < start);
        self.ranges.insert(at, (start, end));
    }

    /// The chunk that ends the message has come: it fixes the length (C27).
    pub(super) fn ends_at(&mut self, total: u64) {
        self.total = usize::try_from(total).ok();
    }

    /// The offset behind the last octet that has come.
    pub(super) fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |(_, end)| *end as u64)
    }

    pub(super) fn is_whole(&self) -> bool {
        match (self.total, &self.ranges[..]) {
            (Some(total), [(0, end)]) => *end >= total,
            (Some(0), []) => true,
            _ => false,
        }
    }

    pub(super) fn into_message(mut self) -> Vec<u8> {
        self.octets.truncate(self.total.unwrap_or(usize::MAX));
        self.octets
    }

    /// Everything that has come, with its offsets.
    fn parts(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.ranges.iter().filter_map(|&(from, to)| {
            let part = self.octets.get(from..to)?;
            Some((from as u64, part))
        })
    }
}

/// A large message of which the CPIM headers have not all come.
#[derive(Debug)]
pub(super) struct Heading {
    pub(super) window: Window,
    /// Its length, once the chunk that ends it has come.
    pub(super) total: Option<u64>,
}

impl Heading {
    /// Goes on with what was collected.
    pub(super) fn of(pieces: &Pieces) -> Self {
        let mut window = Window::default();
        for (at, octets) in pieces.parts() {
            // They are small, and few.
            window.write(at, octets, usize::MAX);
        }
        Self {
            window,
            total: pieces.total.map(|total| total as u64),
        }
    }

    /// Nothing more will come.
    pub(super) fn is_whole(&self) -> bool {
        self.total == Some(self.window.end())
    }
}
