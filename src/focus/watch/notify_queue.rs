//! Fair scheduling of NOTIFYs: rooms take turns, so that a storm in one does not delay the others.

use crate::focus::ids::SubscriptionId;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::control::RoomUri;
use crate::time::Moment;

/// Subscriptions with a NOTIFY to send.
#[derive(Debug, Default)]
pub(in crate::focus) struct NotifyQueue {
    /// Rooms with such subscriptions, next one first.
    rooms: VecDeque<RoomUri>,
    waiting: HashMap<RoomUri, VecDeque<SubscriptionId>>,
    since: Option<Moment>,
}

impl NotifyQueue {
    /// Puts a subscription at the end of its room's queue.
    pub(in crate::focus) fn push(&mut self, now: Moment, room: &RoomUri, id: SubscriptionId) {
        self.since.get_or_insert(now);
        let waiting = self.waiting.entry(room.clone()).or_default();
        if waiting.is_empty() {
            self.rooms.push_back(room.clone());
        }
        waiting.push_back(id);
    }

    /// The next subscription, from the room that has waited longest, and whether it was the last of
    /// that room.
    pub(in crate::focus) fn pop(&mut self) -> Option<(SubscriptionId, RoomUri, bool)> {
        let room = self.rooms.pop_front()?;
        let waiting = self.waiting.get_mut(&room)?;
        let id = waiting.pop_front()?;
        let last = waiting.is_empty();
        if last {
            self.waiting.remove(&room);
        } else {
            self.rooms.push_back(room.clone());
        }
        if self.rooms.is_empty() {
            self.since = None;
        }
        Some((id, room, last))
    }

    /// Number of waiting subscriptions.
    pub(in crate::focus) fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    /// When the longest wait began.
    pub(in crate::focus) fn since(&self) -> Option<Moment> {
        self.since
    }
}

/// Time a host's transaction layer keeps a request after its answer (`wt_timer`).
const KEPT: Duration = Duration::from_secs(5);
/// Octets the transaction layer keeps of a small request: the request twice and its bookkeeping.
const OVERHEAD: usize = 10_000;

/// Budget of the host's memory for NOTIFYs: large documents for many subscribers wait instead of
/// filling the memory.
#[derive(Debug)]
pub(in crate::focus) struct Budget {
    /// Octets available at once, and again every [`KEPT`].
    octets: usize,
    /// Octets in use at the time `at`.
    taken: usize,
    at: Option<Moment>,
}

impl Budget {
    pub(in crate::focus) fn new(octets: usize) -> Self {
        Self {
            octets: octets.max(1),
            taken: 0,
            at: None,
        }
    }

    /// Takes the memory for a NOTIFY with a body of this size.
    pub(in crate::focus) fn take(&mut self, now: Moment, body: usize) {
        let passed = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_since(at));
        let given_back = passed.as_secs_f64() / KEPT.as_secs_f64() * self.octets as f64;
        self.taken = self.taken.saturating_sub(given_back as usize) + body + OVERHEAD;
        self.at = Some(now);
    }

    /// When memory is available again.
    pub(in crate::focus) fn free_at(&self) -> Option<Moment> {
        let excess = self.taken.checked_sub(self.octets)? + 1;
        let wait = KEPT.mul_f64(excess as f64 / self.octets as f64);
        Some(self.at? + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_and_comes_back() {
        let start = Moment::from_epoch(Duration::from_secs(1));
        let mut budget = Budget::new(100_000);
        for _ in 0..9 {
            budget.take(start, 0);
            assert_eq!(budget.free_at(), None);
        }
        budget.take(start, 90_000);
        let free = budget.free_at().expect("it is used up");
        let wait = free.saturating_since(start).as_secs_f64();
        assert!((4.4..4.6).contains(&wait), "{wait}");
        budget.take(free, 0);
        let again = budget.free_at().expect("it is used up again");
        let wait = again.saturating_since(free).as_secs_f64();
        assert!((0.4..0.6).contains(&wait), "{wait}");
        budget.take(again + Duration::from_secs(60), 0);
        assert_eq!(budget.free_at(), None);
    }

    #[test]
    fn rooms_take_turns() {
        let (storm, calm) = (RoomUri::new("sip:storm@h"), RoomUri::new("sip:calm@h"));
        let now = Moment::from_epoch(std::time::Duration::from_secs(1));
        let mut turns = NotifyQueue::default();
        for id in 1..=3 {
            turns.push(now, &storm, SubscriptionId(id));
        }
        turns.push(now, &calm, SubscriptionId(9));
        assert_eq!(turns.since(), Some(now));
        let order: Vec<_> = std::iter::from_fn(|| turns.pop())
            .map(|(id, _, last)| (id.0, last))
            .collect();
        assert_eq!(order, [(1, false), (9, true), (2, false), (3, true)]);
        assert_eq!(turns.since(), None);
    }
}
