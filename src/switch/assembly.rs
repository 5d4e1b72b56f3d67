//! Messages of which some chunks have come (RFC 4975 §7.3.1): small ones are put together
//! whatever the order of their chunks, large ones are passed on while they come.

use std::collections::BTreeMap;
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
            State::Collecting(pieces) => pieces.octets,
            State::Heading(heading) => heading.window.octets(),
            _ => 0,
        }
    }
}

/// A small message so far: only what has come is held, wherever it belongs.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// By the offset of the first octet, apart from each other.
    parts: BTreeMap<usize, Vec<u8>>,
    octets: usize,
    total: Option<usize>,
}

impl Pieces {
    /// Puts octets in their place; `false` when they lie about too much. The caller has
    /// checked that they are small.
    pub(super) fn write(&mut self, start: usize, octets: &[u8]) -> bool {
        if octets.is_empty() {
            return true;
        }
        // C09: the end is counted, not read.
        let end = start + octets.len();
        self.cut(start, end);
        let before = self.parts.range_mut(..start).next_back();
        let before = before.filter(|(from, part)| *from + part.len() == start);
        let (from, part) = match before {
            Some((from, part)) => (*from, part),
            None => (start, self.parts.entry(start).or_default()),
        };
        part.extend_from_slice(octets);
        self.octets += octets.len();
        if let Some(after) = self.parts.remove(&end)
            && let Some(part) = self.parts.get_mut(&from)
        {
            part.extend_from_slice(&after);
        }
        self.parts.len() <= MAX_PIECES
    }

    /// C28: of what overlaps, the last wins.
    fn cut(&mut self, start: usize, end: usize) {
        let overlaps = |(from, part): (&usize, &Vec<u8>)| {
            let meets = *from < end && from + part.len() > start;
            meets.then_some(*from)
        };
        let old: Vec<usize> = self.parts.iter().filter_map(overlaps).collect();
        for from in old {
            let Some(mut part) = self.parts.remove(&from) else {
                continue;
            };
            self.octets -= part.len();
            let behind = part.split_off(part.len().min(end.saturating_sub(from)));
            part.truncate(start.saturating_sub(from));
            for (at, rest) in [(from, part), (end, behind)] {
                if !rest.is_empty() {
                    self.octets += rest.len();
                    self.parts.insert(at, rest);
                }
            }
        }
    }

    /// The chunk that ends the message has come: it fixes the length (C27).
    pub(super) fn ends_at(&mut self, total: u64) {
        self.total = usize::try_from(total).ok();
    }

    /// The offset behind the last octet that has come.
    pub(super) fn end(&self) -> u64 {
        let last = self.parts.last_key_value();
        last.map_or(0, |(from, part)| (from + part.len()) as u64)
    }

    pub(super) fn is_whole(&self) -> bool {
        let front = self.parts.get(&0).map_or(0, Vec::len);
        self.total.is_some_and(|total| front >= total)
    }

    pub(super) fn into_message(mut self) -> Vec<u8> {
        let mut front = self.parts.remove(&0).unwrap_or_default();
        front.truncate(self.total.unwrap_or(usize::MAX));
        front
    }

    /// Everything that has come, with its offsets.
    fn parts(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let parts = self.parts.iter();
        parts.map(|(from, part)| (*from as u64, part.as_slice()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_pieces_anywhere_are_what_the_last_of_them_said(
            writes in prop::collection::vec((0usize..200, 1usize..40, any::<u8>()), 1..30),
        ) {
            let mut pieces = Pieces::default();
            let mut model = vec![None; 240];
            for (start, length, octet) in writes {
                pieces.write(start, &vec![octet; length]);
                model[start..start + length].fill(Some(octet));
                let come = model.iter().flatten().count();
                prop_assert_eq!(pieces.octets, come, "only what has come is held");
                let end = model.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
                prop_assert_eq!(pieces.end(), end as u64);
                for (from, part) in pieces.parts() {
                    let from = from as usize;
                    let there: Vec<_> = part.iter().copied().map(Some).collect();
                    prop_assert_eq!(&model[from..from + part.len()], &there[..]);
                }
            }
            let front = model.iter().take_while(|it| it.is_some()).count();
            pieces.ends_at(front as u64);
            prop_assert!(pieces.is_whole());
            let whole: Vec<u8> = model.into_iter().map_while(|it| it).collect();
            prop_assert_eq!(pieces.into_message(), whole);
        }
    }
}
