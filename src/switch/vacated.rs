//! Nicknames of rooms that nobody is in. They stay their users' as they do while others are
//! there (G67): a room that empties for a moment must not give a name away.

use std::collections::{HashMap, VecDeque};

use crate::control::{QUARANTINE, RoomUri, UserUri};
use crate::time::Moment;

use super::room::Nickname;

/// How many nicknames are kept at most, of all empty rooms together; the oldest go first.
const MAX_KEPT: usize = 16 * 1024;

/// The rooms that have emptied not long ago.
#[derive(Debug, Default)]
pub(super) struct Vacated {
    rooms: HashMap<RoomUri, (Moment, HashMap<UserUri, Nickname>)>,
    /// When each emptied, in order; an entry that no longer holds is found out.
    order: VecDeque<(Moment, RoomUri)>,
    kept: usize,
}

impl Vacated {
    /// The last session of a room has ended.
    pub(super) fn keep(&mut self, now: Moment, room: RoomUri, names: HashMap<UserUri, Nickname>) {
        self.forget_old(now);
        if names.is_empty() {
            return;
        }
        self.kept += names.len();
        self.order.push_back((now, room.clone()));
        self.rooms.insert(room, (now, names));
        while self.kept > MAX_KEPT && self.forget_first() {}
    }

    /// Somebody is in it again.
    pub(super) fn take(&mut self, now: Moment, room: &RoomUri) -> HashMap<UserUri, Nickname> {
        self.forget_old(now);
        let vacated = self.rooms.remove(room);
        let names = vacated.map(|(_, names)| names).unwrap_or_default();
        self.kept -= names.len();
        names
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
        if self.rooms.get(&room).is_some_and(|(own, _)| *own == since)
            && let Some((_, names)) = self.rooms.remove(&room)
        {
            self.kept -= names.len();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn names(count: usize) -> HashMap<UserUri, Nickname> {
        let one = |number| {
            let user = UserUri::new(format!("sip:{number}@example.com"));
            (user, Nickname::new("n", "n".to_owned()))
        };
        (0..count).map(one).collect()
    }

    fn room(number: usize) -> RoomUri {
        RoomUri::new(format!("sip:{number}@example.com"))
    }

    #[test]
    fn g67_what_is_kept_of_empty_rooms_is_bounded_in_number_and_time() {
        let mut vacated = Vacated::default();
        let mut now = Moment::from_epoch(Duration::from_secs(1_000));
        for number in 0..40 {
            vacated.keep(now, room(number), names(1000));
            assert!(vacated.kept <= MAX_KEPT);
            now = now + Duration::from_secs(1);
        }
        assert_eq!(
            vacated.take(now, &room(0)).len(),
            0,
            "the oldest went first"
        );
        assert_eq!(vacated.take(now, &room(39)).len(), 1000);
        // One that was taken and emptied again is not forgotten with its first time.
        vacated.keep(now, room(39), names(7));
        now = now + QUARANTINE - Duration::from_secs(1);
        vacated.keep(now, room(50), HashMap::new());
        assert_eq!(vacated.kept, 7);
        now = now + Duration::from_secs(1);
        assert_eq!(vacated.take(now, &room(39)).len(), 0);
        assert_eq!(
            (vacated.kept, vacated.order.len(), vacated.rooms.len()),
            (0, 0, 0)
        );
    }
}
