//! The queue of a single session.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::switch::message::entry::Entry;
use crate::switch::room::log::Position;

/// The room's history and private messages for one session, in order; each comes before what
/// stands in the room's log at its position. An empty one owns nothing.
#[derive(Debug, Default)]
pub(in crate::switch) struct OwnQueue(Option<Box<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<(Position, Arc<Entry>)>,
    octets: usize,
}

impl OwnQueue {
    pub(in crate::switch) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(in crate::switch) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.entries.len())
    }

    /// Octets of the messages, overhead included.
    pub(in crate::switch) fn octets(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.octets)
    }

    /// The position in the log at which the first message is due.
    pub(in crate::switch) fn next_position(&self) -> Option<Position> {
        let (position, _) = self.0.as_ref()?.entries.front()?;
        Some(*position)
    }

    #[cfg(test)]
    pub(in crate::switch) fn first(&self) -> Option<&Arc<Entry>> {
        let (_, entry) = self.0.as_ref()?.entries.front()?;
        Some(entry)
    }

    /// Adds a message, due after the log's entries up to this position.
    pub(in crate::switch) fn push(&mut self, position: Position, entry: Arc<Entry>) {
        let waiting = self.0.get_or_insert_default();
        waiting.octets += entry.cost();
        waiting.entries.push_back((position, entry));
    }

    pub(in crate::switch) fn pop(&mut self) -> Option<Arc<Entry>> {
        let waiting = self.0.as_mut()?;
        let (_, entry) = waiting.entries.pop_front()?;
        waiting.octets -= entry.cost();
        if waiting.entries.is_empty() {
            self.0 = None;
        }
        Some(entry)
    }

    /// Makes every message due before the log's entries.
    pub(in crate::switch) fn comes_first(&mut self) {
        for (position, _) in self.0.iter_mut().flat_map(|waiting| &mut waiting.entries) {
            *position = Position::default();
        }
    }

    pub(in crate::switch) fn into_entries(self) -> impl Iterator<Item = (Position, Arc<Entry>)> {
        self.0.into_iter().flat_map(|waiting| waiting.entries)
    }
}
