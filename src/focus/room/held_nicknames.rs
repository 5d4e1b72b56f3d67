//! The nicknames of users who have left. The switch reserves them for a while (RFC 7701 §7.1); the
//! focus keeps them for a switch that has lost them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::control::{HeldNickname, Order, QUARANTINE, RoomUri, SwitchRun, UserUri};
use crate::focus::Focus;
use crate::focus::dirty_map::{DirtyMap, News};
use crate::focus::record::{HeldNicknameRecord, Record};
use crate::focus::room::participant::shown_uri;
use crate::focus::timers::{Timer, TimerKey};
use crate::time::Moment;

/// Most nicknames held per room; further ones are not held, as at the switch.
const MAX_OF_ROOM: usize = 4096;
/// Most nicknames held for all rooms together; the oldest go first.
const MAX_HELD: usize = 16 * 1024;

type Whose = (RoomUri, UserUri);

#[derive(Debug)]
struct Held {
    nickname: String,
    until: Moment,
}

/// The held nicknames of all rooms.
#[derive(Debug, Default)]
pub(in crate::focus) struct HeldNicknames {
    names: DirtyMap<Whose, Held>,
    order: BTreeSet<(Moment, Whose)>,
    of_room: HashMap<RoomUri, usize>,
    timer: Option<TimerKey>,
}

impl HeldNicknames {
    fn hold(&mut self, record: HeldNicknameRecord) {
        let HeldNicknameRecord {
            room,
            user,
            nickname,
            until,
        } = record;
        self.remove(&room, &user);
        let count = self.of_room.entry(room.clone()).or_default();
        if *count >= MAX_OF_ROOM {
            return;
        }
        *count += 1;
        let whose = (room, user);
        self.order.insert((until, whose.clone()));
        self.names.insert(whose, Held { nickname, until });
        if self.names.len() > MAX_HELD
            && let Some((_, (room, user))) = self.order.first().cloned()
        {
            self.remove(&room, &user);
        }
    }

    pub(in crate::focus) fn remove(&mut self, room: &RoomUri, user: &UserUri) {
        let whose = (room.clone(), user.clone());
        let Some(held) = self.names.remove(&whose) else {
            return;
        };
        self.order.remove(&(held.until, whose));
        if let Some(count) = self.of_room.get_mut(room) {
            *count -= 1;
            if *count == 0 {
                self.of_room.remove(room);
            }
        }
    }

    fn free(&mut self, now: Moment) {
        while let Some((until, (room, user))) = self.order.first()
            && *until <= now
        {
            let (room, user) = (room.clone(), user.clone());
            self.remove(&room, &user);
        }
    }

    /// Number of held nicknames.
    pub(in crate::focus) fn len(&self) -> usize {
        self.names.len()
    }

    /// The changes since the last call, as records.
    pub(in crate::focus) fn news(&mut self) -> Vec<News<Whose, Record>> {
        self.names.news(|whose, held| Some(record(whose, held)))
    }

    /// Marks every entry as not yet stored.
    pub(in crate::focus) fn forget_kept(&mut self) {
        self.names.forget_kept();
    }
}

fn record((room, user): &Whose, held: &Held) -> Record {
    Record::HeldNickname(HeldNicknameRecord {
        room: room.clone(),
        user: user.clone(),
        nickname: held.nickname.clone(),
        until: held.until,
    })
}

impl Focus {
    /// Holds the nickname of a user whose last device has left.
    pub(in crate::focus) fn hold_nickname(
        &mut self,
        now: Moment,
        room: &RoomUri,
        user: UserUri,
        nickname: String,
    ) {
        self.rooms.held_nicknames.hold(HeldNicknameRecord {
            room: room.clone(),
            user,
            nickname,
            until: (now + QUARANTINE).in_millis(),
        });
        self.await_free_nickname();
    }

    /// Frees nicknames whose quarantine is over.
    pub(in crate::focus) fn free_nicknames(&mut self, now: Moment) {
        self.rooms.held_nicknames.timer = None;
        self.rooms.held_nicknames.free(now);
        self.await_free_nickname();
    }

    fn await_free_nickname(&mut self) {
        let held = &mut self.rooms.held_nicknames;
        if held.timer.is_none()
            && let Some((until, _)) = held.order.first()
        {
            held.timer = Some(self.timers.arm(*until, Timer::HeldNickname));
        }
    }

    /// Restores those of an earlier run of the focus; expired ones are dropped.
    pub(in crate::focus) fn restore_held_nicknames(
        &mut self,
        now: Moment,
        mut records: Vec<HeldNicknameRecord>,
    ) {
        records.sort_by_key(|record| record.until);
        for mut one in records {
            let whose = (one.room.clone(), one.user.clone());
            let kept = Record::HeldNickname(one.clone());
            // The clock may have been set back: limit the quarantine to its full length.
            one.until = one.until.min((now + QUARANTINE).in_millis());
            self.rooms.held_nicknames.hold(one);
            self.rooms.held_nicknames.names.kept_as(whose, &kept);
        }
        self.free_nicknames(now);
    }

    /// Sends the nicknames to another run of the switch. It admits users as soon as it is ordered
    /// to, so it must first know the nicknames of users who have left and of users it has not
    /// admitted yet.
    pub(in crate::focus) fn hand_over_nicknames(&mut self, now: Moment, run: SwitchRun) {
        self.rooms.held_nicknames.free(now);
        let mut rooms: BTreeMap<&RoomUri, Vec<HeldNickname>> = BTreeMap::new();
        for ((room, user), held) in self.rooms.held_nicknames.names.iter() {
            rooms.entry(room).or_default().push(HeldNickname {
                user: user.clone(),
                nickname: held.nickname.clone(),
                left: held.until.saturating_since(now),
            });
        }
        for (room, conference) in self.rooms.conferences().iter() {
            for (user, participant) in conference.participants.iter() {
                let theirs = participant.endpoints.iter();
                let mut theirs = theirs.filter_map(|id| self.rooms.endpoint(*id));
                let known = theirs.any(|endpoint| endpoint.run == Some(run));
                if let Some(nickname) = participant.nickname.clone().filter(|_| !known) {
                    rooms.entry(room).or_default().push(HeldNickname {
                        user: UserUri::new(shown_uri(user, participant.anonymous)),
                        nickname: nickname.to_string(),
                        left: QUARANTINE,
                    });
                }
            }
        }
        let orders: Vec<Order> = rooms
            .into_iter()
            .flat_map(|(room, nicknames)| Order::hold(room, &nicknames))
            .collect();
        for order in orders {
            self.out.order(order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn one(room: usize, user: usize) -> HeldNicknameRecord {
        HeldNicknameRecord {
            room: RoomUri::new(format!("sip:r{room}@example.com")),
            user: UserUri::new(format!("sip:u{user}@example.com")),
            nickname: "n".to_owned(),
            until: Moment::from_epoch(Duration::from_secs((room * MAX_OF_ROOM + user) as u64)),
        }
    }

    #[test]
    fn g67_what_is_held_is_bounded_in_a_room_and_in_all() {
        let mut held = HeldNicknames::default();
        for user in 0..=MAX_OF_ROOM {
            held.hold(one(0, user));
        }
        assert_eq!(held.names.len(), MAX_OF_ROOM);
        for (room, user) in (1..5).flat_map(|room| (0..MAX_OF_ROOM).map(move |user| (room, user))) {
            held.hold(one(room, user));
            assert!(held.names.len() <= MAX_HELD);
        }
        let first = one(0, 0);
        assert!(
            !held.of_room.contains_key(&first.room),
            "the oldest went first"
        );
        held.free(Moment::from_epoch(Duration::from_secs(u64::MAX >> 20)));
        assert_eq!(
            (held.names.len(), held.order.len(), held.of_room.len()),
            (0, 0, 0)
        );
    }
}
