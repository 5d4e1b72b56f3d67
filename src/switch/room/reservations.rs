//! Nicknames and histories of empty rooms. Users keep their nicknames, as they would with others
//! present (G67): a room that empties for a moment must not give a name away. Keeping the history
//! saves a database read when people return; without a database it is the only copy.

use std::collections::{HashMap, VecDeque};

use crate::control::{PastMessage, QUARANTINE, RoomUri, UserUri};
use crate::time::Moment;

use crate::switch::room::Nickname;
use crate::switch::room::history::History;

/// Limit of nicknames kept for all empty rooms together; the oldest rooms go first.
const MAX_KEPT: usize = 16 * 1024;
/// Limit of octets of histories, likewise: some dozens of the longest, or thousands with a few
/// messages.
const MAX_OCTETS: usize = 16 * 1024 * 1024;

/// The remaining state of an empty room.
#[derive(Debug, Default)]
pub(in crate::switch) struct Reserved {
    pub(in crate::switch) nicknames: HashMap<UserUri, Nickname>,
    pub(in crate::switch) history: History,
}

/// The rooms that have emptied not long ago.
#[derive(Debug, Default)]
pub(in crate::switch) struct Reservations {
    rooms: HashMap<RoomUri, (Moment, Reserved)>,
    /// The times at which they emptied, in order; stale entries are recognised.
    order: VecDeque<(Moment, RoomUri)>,
    kept: usize,
    octets: usize,
}

impl Reservations {
    /// The last session of a room has ended.
    pub(in crate::switch) fn keep(&mut self, now: Moment, room: RoomUri, left: Reserved) {
        self.forget_old(now);
        if left.nicknames.is_empty() && left.history.is_empty() {
            return;
        }
        self.kept += left.nicknames.len();
        self.octets += left.history.octets();
        self.order.push_back((now, room.clone()));
        self.rooms.insert(room, (now, left));
        while (self.kept > MAX_KEPT || self.octets > MAX_OCTETS) && self.forget_first() {}
    }

    /// A room has members again.
    pub(in crate::switch) fn take(&mut self, now: Moment, room: &RoomUri) -> Reserved {
        self.forget_old(now);
        self.remove(room)
    }

    /// Adds the history of a room that is about to get members, unless it is known.
    pub(in crate::switch) fn keep_history(
        &mut self,
        now: Moment,
        room: RoomUri,
        messages: Vec<PastMessage>,
    ) {
        let mut left = self.take(now, &room);
        if left.history.is_empty() {
            left.history = History::restored(messages);
        }
        self.keep(now, room, left);
    }

    /// A room's history, for updating its reports.
    pub(in crate::switch) fn history_mut(&mut self, room: &RoomUri) -> Option<&mut History> {
        self.rooms.get_mut(room).map(|(_, left)| &mut left.history)
    }

    /// Marks unconfirmed reports of all histories as possibly lost.
    pub(in crate::switch) fn untell_histories(&mut self) {
        let all = self.rooms.values_mut();
        all.for_each(|(_, left)| left.history.untell());
    }

    pub(in crate::switch) fn forget_history(&mut self, room: &RoomUri) {
        if let Some((_, left)) = self.rooms.get_mut(room) {
            self.octets -= left.history.octets();
            left.history = History::default();
        }
    }

    fn forget_old(&mut self, now: Moment) {
        while let Some((since, _)) = self.order.front()
            && *since + QUARANTINE <= now
        {
            self.forget_first();
        }
    }

    /// Whether there was one.
    fn forget_first(&mut self) -> bool {
        let Some((since, room)) = self.order.pop_front() else {
            return false;
        };
        if self.rooms.get(&room).is_some_and(|(own, _)| *own == since) {
            self.remove(&room);
        }
        true
    }

    fn remove(&mut self, room: &RoomUri) -> Reserved {
        let removed = self.rooms.remove(room);
        let left = removed.map(|(_, left)| left).unwrap_or_default();
        self.kept -= left.nicknames.len();
        self.octets -= left.history.octets();
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn names(count: usize) -> Reserved {
        let one = |number| {
            let user = UserUri::new(format!("sip:{number}@example.com"));
            (user, Nickname::new("n", "n".to_owned()))
        };
        Reserved {
            nicknames: (0..count).map(one).collect(),
            history: History::default(),
        }
    }

    fn room(number: usize) -> RoomUri {
        RoomUri::new(format!("sip:{number}@example.com"))
    }

    #[test]
    fn histories_of_empty_rooms_are_bounded_in_octets() {
        let text = "x".repeat(MAX_OCTETS / 4);
        let message = PastMessage {
            number: 1,
            octets: format!("From: <a:b>\r\nTo: <a:c>\r\n\r\n\r\n{text}").into(),
        };
        let mut reservations = Reservations::default();
        let now = Moment::from_epoch(Duration::from_secs(1_000));
        for number in 0..20 {
            reservations.keep_history(now, room(number), vec![message.clone()]);
            assert!(reservations.octets <= MAX_OCTETS);
        }
        assert!(reservations.take(now, &room(0)).history.is_empty());
        assert!(!reservations.take(now, &room(19)).history.is_empty());
        reservations.forget_history(&room(18));
        assert!(reservations.take(now, &room(18)).history.is_empty());
        assert!(!reservations.take(now, &room(17)).history.is_empty());
        assert_eq!(reservations.octets, 0);
    }

    #[test]
    fn g67_what_is_kept_of_empty_rooms_is_bounded_in_number_and_time() {
        let mut reservations = Reservations::default();
        let mut now = Moment::from_epoch(Duration::from_secs(1_000));
        for number in 0..40 {
            reservations.keep(now, room(number), names(1000));
            assert!(reservations.kept <= MAX_KEPT);
            now = now + Duration::from_secs(1);
        }
        assert_eq!(
            reservations.take(now, &room(0)).nicknames.len(),
            0,
            "the oldest went first"
        );
        assert_eq!(reservations.take(now, &room(39)).nicknames.len(), 1000);
        // A room that was taken and emptied again must not expire by its first time.
        reservations.keep(now, room(39), names(7));
        now = now + QUARANTINE - Duration::from_secs(1);
        reservations.keep(now, room(50), names(0));
        assert_eq!(reservations.kept, 7);
        now = now + Duration::from_secs(1);
        assert_eq!(reservations.take(now, &room(39)).nicknames.len(), 0);
        assert_eq!(
            (
                reservations.kept,
                reservations.order.len(),
                reservations.rooms.len()
            ),
            (0, 0, 0)
        );
    }
}
