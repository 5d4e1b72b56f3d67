//! Rooms made by management, and its decisions about other rooms. They are looked up on a request,
//! so that an empty room costs no memory. A request for an unknown room waits for the answer; a
//! room that cannot be read does not count as missing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::control::RoomUri;
use crate::focus::record::{Change, Content, Decisions, Found, Kept, Key, Query, Record};
use crate::focus::room::policy::Policy;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::face::Incoming;
use crate::focus::sip::rejection::Verdict;
use crate::focus::timers::Timer;
use crate::focus::{Arrival, Focus, Lifetime, Output, RoomEntry, RoomRules, TransactionId};
use crate::time::Moment;

/// Most rooms remembered after a look-up; a page of memory or two each.
const MAX_KNOWN: usize = 10_000;
/// Most requests that wait for a look-up: one second of a busy proxy.
const MAX_WAITING: usize = 1_000;
/// Longest wait of a request. A store that hangs is given up before.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Known rooms and decisions of management. Only the focus changes them, so a look-up stays valid.
#[derive(Debug, Default)]
pub struct KeptRooms {
    known: HashMap<RoomUri, Option<Kept>>,
    /// The known rooms, oldest first.
    order: VecDeque<RoomUri>,
    /// A store exists, which may have more rooms.
    is_stored: bool,
    /// Number of rooms made by management.
    made: usize,
    /// The room of the last look-up, if it has a history.
    remembers: Option<RoomUri>,
    /// The last page of rooms looked up, and its offset.
    page: (usize, Vec<RoomEntry>),
}

impl KeptRooms {
    /// Whether the focus knows what management keeps of a room.
    fn knows(&self, room: &RoomUri) -> bool {
        !self.is_stored || self.known.contains_key(room)
    }

    /// The known entry or decisions of management for a room.
    fn find(&self, room: &RoomUri) -> Option<&Kept> {
        self.known.get(room)?.as_ref()
    }

    /// The room, if management made it.
    pub(in crate::focus) fn made(&self, room: &RoomUri) -> Option<&RoomEntry> {
        match self.find(room)? {
            Kept::Made(entry) => Some(entry),
            Kept::Decided(_) => None,
        }
    }

    /// The decisions of management about a room of the configuration.
    pub(in crate::focus) fn decisions(&self, room: &RoomUri) -> Option<&Decisions> {
        match self.find(room)? {
            Kept::Decided(decisions) => Some(decisions),
            Kept::Made(_) => None,
        }
    }

    /// Whether a store exists, which may have more rooms.
    pub(in crate::focus) fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Number of known rooms.
    #[cfg(test)]
    pub(in crate::focus) fn known_count(&self) -> usize {
        self.known.len()
    }

    /// Number of rooms made by management.
    pub fn count(&self) -> usize {
        self.made
    }

    /// Whether the room of the last look-up has a stored history.
    pub(in crate::focus) fn remembers(&self, room: &RoomUri) -> bool {
        self.remembers.as_ref() == Some(room)
    }

    /// Takes over the result of a look-up.
    pub(in crate::focus) fn learn(&mut self, room: RoomUri, kept: Option<Kept>) {
        if self.known.insert(room.clone(), kept).is_none() {
            self.order.push_back(room);
        }
        if self.is_stored && self.order.len() > MAX_KNOWN {
            let oldest = self.order.pop_front();
            oldest.map(|room| self.known.remove(&room));
        }
    }

    /// Changes what management keeps of a room.
    fn change(&mut self, room: &RoomUri, kept: Option<Kept>) {
        let before = usize::from(self.made(room).is_some());
        let now = usize::from(matches!(kept, Some(Kept::Made(_))));
        self.made = (self.made + now).saturating_sub(before);
        self.learn(room.clone(), kept);
    }

    /// The page of rooms that [`Query::Page`] looked up, and its offset.
    pub(in crate::focus) fn page(&self, offset: usize, limit: usize) -> (usize, Vec<RoomEntry>) {
        if self.is_stored {
            return self.page.clone();
        }
        let made = self.known.values().flatten().filter_map(|kept| match kept {
            Kept::Made(entry) => Some(entry.as_ref().clone()),
            Kept::Decided(_) => None,
        });
        let mut made: Vec<RoomEntry> = made.collect();
        made.sort_by(|one, other| one.uri.cmp(&other.uri));
        (offset, made.into_iter().skip(offset).take(limit).collect())
    }
}

/// Requests that wait for the look-up of their room.
#[derive(Debug, Default)]
pub(in crate::focus) struct Lookups {
    rooms: HashMap<RoomUri, Waiting>,
    is_timed: bool,
}

#[derive(Debug)]
struct Waiting {
    since: Moment,
    arrivals: Vec<Arrival>,
}

impl Lookups {
    /// Number of waiting requests.
    pub(in crate::focus) fn len(&self) -> usize {
        self.rooms.values().map(|it| it.arrivals.len()).sum()
    }

    /// Takes a cancelled request out.
    fn take(&mut self, transaction: TransactionId) -> Option<Arrival> {
        let mut waiting = self.rooms.values_mut();
        waiting.find_map(|it| {
            let is_meant = |arrival: &Arrival| arrival.transaction == Some(transaction);
            let at = it.arrivals.iter().position(is_meant)?;
            Some(it.arrivals.swap_remove(at))
        })
    }
}

impl Focus {
    /// Announces a store that answers [`Output::Ask`], and its number of rooms made by management.
    pub fn use_store(&mut self, made: usize) {
        self.rooms.kept.is_stored = true;
        self.rooms.kept.made = made;
    }

    /// The rooms that management made.
    pub fn kept_rooms(&self) -> &KeptRooms {
        &self.rooms.kept
    }

    /// Whether the focus knows what management keeps of a room.
    pub(in crate::focus) fn is_known(&self, room: &RoomUri) -> bool {
        self.rooms.kept.knows(room)
    }

    /// Whether a request must wait for the look-up of its room. A running conference has its rules,
    /// and a factory is in the configuration.
    pub(in crate::focus) fn must_look_up(&self, room: &RoomUri) -> bool {
        let governed =
            self.rooms.conferences().contains_key(room) || self.rooms.factories.contains_key(room);
        !governed && !self.rooms.kept.knows(room)
    }

    /// The look-up needed before an operator's request about a room; with `always` also for its
    /// history.
    pub fn room_needed(&self, room: &RoomUri, always: bool) -> Option<Query> {
        let asks = (always && self.rooms.kept.is_stored) || !self.rooms.kept.knows(room);
        asks.then(|| Query::Room(room.clone()))
    }

    /// The look-up needed before [`Focus::rooms_page`].
    pub fn page_needed(&self, offset: usize, limit: usize) -> Option<Query> {
        let (offset, limit) = self.kept_page(offset, limit);
        let asks = self.rooms.kept.is_stored;
        asks.then_some(Query::Page { offset, limit })
    }

    /// Lets a request wait for the store; without an answer in time it is refused.
    pub(in crate::focus) fn wait_for_room(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: RoomUri,
    ) -> Verdict<()> {
        if self.stopping {
            return Err(Cause::Stopping.into());
        }
        if self.lookups.len() >= MAX_WAITING {
            return Err(Cause::StoreBehind.into());
        }
        let waiting = self.lookups.rooms.entry(room.clone()).or_insert(Waiting {
            since: now,
            arrivals: Vec::new(),
        });
        waiting.arrivals.push(incoming.arrival.clone());
        if waiting.arrivals.len() == 1 {
            self.out.push(Output::Ask(Query::Room(room)));
        }
        if !std::mem::replace(&mut self.lookups.is_timed, true) {
            self.timers.arm(now + LOOKUP_TIMEOUT, Timer::Lookup);
        }
        Ok(())
    }

    /// Refuses requests that have waited too long, with Retry-After.
    pub(in crate::focus) fn lookups_timed_out(&mut self, now: Moment) {
        self.lookups.is_timed = false;
        let late = |waiting: &Waiting| waiting.since + LOOKUP_TIMEOUT <= now;
        let rooms = self.lookups.rooms.iter();
        let late: Vec<RoomUri> = rooms
            .filter(|(_, waiting)| late(waiting))
            .map(|(room, _)| room.clone())
            .collect();
        for room in late {
            self.refuse_waiting(&room, Cause::StoreSilent);
        }
        if let Some(since) = self.lookups.rooms.values().map(|it| it.since).min() {
            self.lookups.is_timed = true;
            self.timers.arm(since + LOOKUP_TIMEOUT, Timer::Lookup);
        }
    }

    fn refuse_waiting(&mut self, room: &RoomUri, why: Cause) {
        let waiting = self.lookups.rooms.remove(room);
        for arrival in waiting.into_iter().flat_map(|it| it.arrivals) {
            if let Some(transaction) = arrival.transaction {
                self.out.refuse(transaction, why, arrival.to_tag);
            }
        }
    }

    /// The focus stops: refuses all waiting requests.
    pub(in crate::focus) fn refuse_all_waiting(&mut self) {
        let rooms: Vec<RoomUri> = self.lookups.rooms.keys().cloned().collect();
        for room in rooms {
            self.refuse_waiting(&room, Cause::Stopping);
        }
    }

    /// Cancels a waiting request; `false` if there is none.
    pub(in crate::focus) fn cancel_waiting(&mut self, transaction: TransactionId) -> bool {
        let Some(arrival) = self.lookups.take(transaction) else {
            return false;
        };
        self.out
            .refuse(transaction, Cause::Cancelled, arrival.to_tag);
        true
    }

    /// Handles an answer of the store.
    pub(in crate::focus) fn found(&mut self, now: Moment, found: Found) {
        match (found.query, found.answer) {
            (Query::Room(room), Ok(Content::Room { kept, remembers })) => {
                if !self.rooms.kept.knows(&room) {
                    self.rooms.kept.learn(room.clone(), kept);
                }
                self.rooms.kept.remembers = remembers.then(|| room.clone());
                let waiting = self.lookups.rooms.remove(&room);
                for arrival in waiting.into_iter().flat_map(|it| it.arrivals) {
                    self.request(now, arrival);
                }
            }
            (Query::Room(room), _) => self.refuse_waiting(&room, Cause::StoreUnreadable),
            (Query::History(room, _), Ok(Content::History(messages))) => {
                self.recalled(&room, messages);
            }
            (Query::History(room, _), _) => self.not_recalled(now, &room),
            (Query::Page { offset, .. }, Ok(Content::Page(entries))) => {
                self.rooms.kept.page = (offset, entries);
            }
            (Query::Page { offset, .. }, _) => self.rooms.kept.page = (offset, Vec::new()),
        }
    }

    /// Makes or changes a room, over restarts too; its rules replace those of the configuration. A
    /// running conference goes on under the new rules.
    pub fn keep_room(&mut self, now: Moment, entry: RoomEntry) {
        let room = entry.uri.clone();
        let change = Change::Put(Record::Room(Box::new(entry.clone())));
        self.keep(&room, Some(Kept::Made(Box::new(entry))), change);
        self.rules_changed(now, &room);
    }

    /// Keeps decisions about a room of the configuration, over restarts too.
    pub(in crate::focus) fn keep_decisions(&mut self, now: Moment, decisions: Decisions) {
        let room = decisions.uri.clone();
        let change = Change::Put(Record::Decisions(Box::new(decisions.clone())));
        self.keep(&room, Some(Kept::Decided(Box::new(decisions))), change);
        self.rules_changed(now, &room);
    }

    fn keep(&mut self, room: &RoomUri, kept: Option<Kept>, change: Change) {
        self.rooms.kept.change(room, kept);
        self.out.push(Output::Store(vec![change]));
    }

    /// Applies the room's present rules to its running conference.
    fn rules_changed(&mut self, now: Moment, room: &RoomUri) {
        let Some(policy) = self.ruled(room) else {
            return;
        };
        if let Some(conference) = self.rooms.conference_mut(room) {
            conference.policy = policy;
            conference.redescribe();
            self.conference_changed(now, room);
        }
    }

    /// Undoes [`Focus::keep_room`] and all decisions; `false` when management keeps nothing of this
    /// room. A running conference of a room made by management ends with its last participant,
    /// unless the configuration has the room too.
    pub fn forget_room(&mut self, now: Moment, room: &RoomUri) -> bool {
        let Some(kept) = self.rooms.kept.find(room).cloned() else {
            return false;
        };
        let key = match &kept {
            Kept::Made(_) => Key::Room(room.clone()),
            Kept::Decided(_) => Key::Decisions(room.clone()),
        };
        self.keep(room, None, Change::Delete(key));
        self.rules_changed(now, room);
        if let Kept::Made(entry) = kept
            && !self.rooms.configured.contains_key(room)
            && let Some(conference) = self.rooms.conference_mut(room)
        {
            let passing = RoomRules {
                lifetime: Lifetime::WhileOccupied,
                ..entry.rules
            };
            let policy = Policy::configured(passing, self.config.max_participants);
            conference.policy = Arc::new(policy);
            conference.redescribe();
            self.conference_changed(now, room);
        }
        self.end_if_empty(now, room);
        true
    }
}
