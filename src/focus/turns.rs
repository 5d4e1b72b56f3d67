//! Rooms take turns: a storm in one of them must not delay what others have to say.

use std::collections::{HashMap, VecDeque};

use super::subscription::SubscriptionId;
use crate::control::RoomUri;
use crate::time::Moment;

/// Subscriptions whose NOTIFY is due.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The rooms that have some, next one first.
    rooms: VecDeque<RoomUri>,
    waiting: HashMap<RoomUri, VecDeque<SubscriptionId>>,
    since: Option<Moment>,
}

impl Turns {
    /// Puts a subscription at the end of its room's queue.
    pub(super) fn push(&mut self, now: Moment, room: &RoomUri, id: SubscriptionId) {
        self.since.get_or_insert(now);
        let waiting = self.waiting.entry(room.clone()).or_default();
        if waiting.is_empty() {
            self.rooms.push_back(room.clone());
        }
        waiting.push_back(id);
    }

    /// The next one, of the room that has waited longest; and whether it was the last of it.
    pub(super) fn pop(&mut self) -> Option<(SubscriptionId, RoomUri, bool)> {
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

    /// Since when somebody has waited.
    pub(super) fn since(&self) -> Option<Moment> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_take_turns() {
        let (storm, calm) = (RoomUri::new("sip:storm@h"), RoomUri::new("sip:calm@h"));
        let now = Moment::from_epoch(std::time::Duration::from_secs(1));
        let mut turns = Turns::default();
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
