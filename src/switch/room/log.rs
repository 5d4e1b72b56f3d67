//! The log of one room: every message once, in order, kept until the last member that must see it
//! has passed it. Members hold a position, not a queue.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::switch::message::entry::Entry;

/// A place in a room's log; grows for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::switch) struct Position(u64);

impl Position {
    pub(in crate::switch) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A message in its place.
#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    /// Octets that were pushed before it.
    before: u64,
    /// Members that have not passed it.
    waiting: u32,
}

/// The messages of one room that some member still needs.
#[derive(Debug, Default)]
pub(in crate::switch) struct Log {
    slots: VecDeque<Slot>,
    first: Position,
    octets: usize,
    /// Octets ever pushed.
    pushed: u64,
}

impl Log {
    /// Where the next message will stand.
    pub(in crate::switch) fn end(&self) -> Position {
        Position(self.first.0 + self.slots.len() as u64)
    }

    /// Octets held, with bodies and overhead.
    pub(in crate::switch) fn octets(&self) -> usize {
        self.octets
    }

    /// Octets ever pushed.
    pub(in crate::switch) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Octets that every member has passed, since the beginning.
    pub(in crate::switch) fn passed(&self) -> u64 {
        self.pushed - self.octets as u64
    }

    /// Appends a message that `members` members must pass.
    pub(in crate::switch) fn push(&mut self, entry: Arc<Entry>, members: usize) {
        let waiting = u32::try_from(members).unwrap_or(u32::MAX);
        if waiting == 0 {
            return;
        }
        let before = self.pushed;
        self.octets += entry.cost();
        self.pushed += entry.cost() as u64;
        self.slots.push_back(Slot {
            entry,
            before,
            waiting,
        });
    }

    pub(in crate::switch) fn get(&self, position: Position) -> Option<&Arc<Entry>> {
        Some(&self.slot(position)?.entry)
    }

    fn slot(&self, position: Position) -> Option<&Slot> {
        let index = position.0.checked_sub(self.first.0)?;
        self.slots.get(usize::try_from(index).ok()?)
    }

    /// Octets that wait for a member at `position`.
    pub(in crate::switch) fn waiting(&self, position: Position) -> u64 {
        self.slot(position)
            .map_or(0, |slot| self.pushed - slot.before)
    }

    /// A member has passed the entry at `position`.
    pub(in crate::switch) fn pass(&mut self, position: Position) {
        let index = position.0.checked_sub(self.first.0);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            slot.waiting = slot.waiting.saturating_sub(1);
        }
    }

    /// A member at `from` needs no further entries.
    pub(in crate::switch) fn pass_all(&mut self, from: Position) {
        let mut position = from.max(self.first);
        while position < self.end() {
            self.pass(position);
            position = position.next();
        }
        self.trim();
    }

    /// Frees the entries that every member has passed.
    pub(in crate::switch) fn trim(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.waiting == 0) {
            if let Some(slot) = self.slots.pop_front() {
                self.octets -= slot.entry.cost();
                self.first = self.first.next();
            }
        }
        if self.slots.is_empty() && self.slots.capacity() > 64 {
            self.slots = VecDeque::new();
        }
    }

    /// The first position behind which at most `octets` are held; never the last entry's
    /// successor while there is an entry, so a single large message is not dropped whole.
    pub(in crate::switch) fn position_within(&self, octets: usize) -> Position {
        let mut held = 0;
        let mut position = self.end();
        for slot in self.slots.iter().rev() {
            held += slot.entry.cost();
            if held > octets && position < self.end() {
                break;
            }
            position = Position(position.0 - 1);
        }
        position
    }
}
