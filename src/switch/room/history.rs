//! The history of rooms (room option `history`): the last messages to the whole room, which
//! whoever comes in is given before what is said from then on.
//!
//! It stands here in memory, and the focus is told of it so that it outlasts this run. That
//! is nothing anybody waits for, and must not pile up between here and a disk: only so much
//! is told as the store can be behind ([`UNDER_WAY`]). What is not told yet waits in the
//! histories, which are bounded; what leaves them before its turn is told to nobody, since it
//! would be gone from the store, too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::control::{HISTORY_OCTETS, Notice, PastMessage, RoomUri};
use crate::time::Moment;
use crate::wire::cpim::{self, Message};

use crate::switch::Switch;
use crate::switch::ids::{RoomKey, SessionKey};
use crate::switch::message::entry::{Audience, Entry};
use crate::switch::message::imdn::is_notification;
use crate::switch::room::incoming_send::{is_heartbeat, range_of};
use crate::switch::timers::Timer;

/// Octets told and not yet in the store, of one instance: what SQLite writes in a few
/// milliseconds, so that no answer waits long behind it. More would only write more of what a
/// flood soon pushes out again.
const UNDER_WAY: usize = 64 * 1024;
/// Between two times that something is told of one room: a commit each time, ten a second at
/// most. The first message after a pause is told at once.
const PACE: Duration = Duration::from_millis(100);
/// Octets told at once, so that rooms take turns.
const AT_ONCE: usize = 32 * 1024;
/// Octets of all histories of one instance: five hundred of the longest, or of 10,000 rooms
/// 26 KiB each. Where there are more, a room that is spoken in keeps [`LEAST`].
const ALL_OCTETS: usize = match cfg!(test) {
    false => 256 * 1024 * 1024,
    true => 1024 * 1024,
};
const LEAST: usize = 16 * 1024;

/// The last messages of a room.
#[derive(Debug, Default)]
pub(in crate::switch) struct History {
    messages: VecDeque<(u64, Arc<Entry>)>,
    octets: usize,
    /// The number of the last message that was in it.
    last: u64,
    /// Messages up to this number are in it no more.
    gone: u64,
    /// The focus was told of messages up to this number.
    told: u64,
    /// The store has messages up to this number.
    kept: u64,
    /// It waits for its turn to be told.
    waits: bool,
    /// Something was told a moment ago.
    paced: bool,
}

/// How much all histories are together, how much of them is on its way to the store, and
/// which rooms wait.
#[derive(Debug, Default)]
pub(in crate::switch) struct Histories {
    pub(in crate::switch) octets: usize,
    under_way: usize,
    waiting: VecDeque<RoomKey>,
}

impl Histories {
    fn may_tell(&self) -> bool {
        self.under_way < UNDER_WAY
    }

    /// One of them had so many octets and has so many now.
    pub(in crate::switch) fn changed(&mut self, before: usize, now: usize) {
        self.octets = (self.octets + now).saturating_sub(before);
    }
}

impl History {
    /// What the store has of a room. What is no message is passed over.
    pub(in crate::switch) fn restored(messages: Vec<PastMessage>) -> Self {
        let mut history = Self::default();
        for PastMessage { number, octets } in messages {
            if let Some(entry) = past(octets)
                && number > history.last
            {
                history.add(number, entry);
            }
        }
        history.told = history.last;
        history.kept = history.last;
        history
    }

    fn add(&mut self, number: u64, entry: Entry) {
        self.last = number;
        self.octets += entry.body.len();
        self.messages.push_back((number, Arc::new(entry)));
    }

    /// The oldest go.
    fn trim(&mut self, messages: usize, octets: usize) {
        while self.messages.len() > messages || self.octets > octets {
            let Some((number, entry)) = self.messages.pop_front() else {
                return;
            };
            self.octets -= entry.body.len();
            self.gone = number;
        }
    }

    fn forget(&mut self) {
        self.trim(0, 0);
        self.messages = VecDeque::new();
        self.told = self.last;
        self.kept = self.last;
    }

    /// What somebody who comes in now is given. The rules may have changed since it was last
    /// added to.
    pub(in crate::switch) fn for_newcomer(
        &mut self,
        messages: u16,
        octets: usize,
    ) -> VecDeque<Arc<Entry>> {
        self.trim(messages.into(), octets);
        let messages = self.messages.iter();
        messages.map(|(_, entry)| Arc::clone(entry)).collect()
    }

    /// Octets of its messages.
    pub(in crate::switch) fn octets(&self) -> usize {
        self.octets
    }

    pub(in crate::switch) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What was told may not have been heard.
    pub(in crate::switch) fn untell(&mut self) {
        self.told = self.kept;
        self.waits = false;
    }

    /// Whether there is something to tell.
    fn is_news(&self) -> bool {
        let last = self.messages.back();
        last.is_some_and(|(number, _)| *number > self.told)
    }

    /// The store has it up to this number.
    fn keep(&mut self, up_to: u64) {
        self.kept = self.kept.max(up_to.min(self.told));
    }

    /// The next part that the focus is to be told, and its octets.
    fn next_part(&mut self, room: &RoomUri) -> Option<(Notice, usize)> {
        let from = self
            .messages
            .partition_point(|(number, _)| *number <= self.told);
        let mut octets = 0;
        let mut messages = Vec::new();
        for (number, entry) in self.messages.range(from..) {
            octets += entry.body.len();
            messages.push(PastMessage {
                number: *number,
                octets: entry.body.clone(),
            });
            if octets >= AT_ONCE {
                break;
            }
        }
        self.told = messages.last()?.number;
        let notice = Notice::Remember {
            room: room.clone(),
            messages,
            gone: self.gone,
        };
        Some((notice, octets))
    }
}

/// A message of a history as an entry; none if it is no message.
fn past(octets: Bytes) -> Option<Entry> {
    let message = Message::parse(&octets).ok().flatten()?;
    let wrapped_type = range_of(&octets, message.content_type);
    let nobody = SessionKey::default();
    Some(Entry::new(
        octets,
        wrapped_type,
        nobody,
        Audience::Everybody,
    ))
}

impl Switch {
    /// Octets of one room's history: never more than half of what may wait for a newcomer.
    pub(in crate::switch) fn history_octets(&self) -> usize {
        HISTORY_OCTETS.min(self.config.outbox_bytes / 2)
    }

    /// A whole message to the room; puts it into the history if it is worth that: what is
    /// said, not that somebody is typing or has read something.
    pub(in crate::switch) fn add_to_history(&mut self, now: Moment, key: RoomKey, entry: &Entry) {
        let most = self.history_octets();
        let media = entry.wrapped_type();
        let told = std::str::from_utf8(media).is_ok_and(is_notification);
        let passing = entry.composing || told || is_heartbeat(media);
        if passing || entry.audience != Audience::Room {
            return;
        }
        // Who reads it later must see when it was said.
        let octets = match cpim::dated(&entry.body, now) {
            Some(dated) => dated.into(),
            None => entry.body.clone(),
        };
        let Some(entry) = past(octets).filter(|entry| entry.body.len() <= most) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let history = &mut room.history;
        let before = history.octets;
        history.add(now.millis().max(history.last + 1), entry);
        let most = match self.histories.octets > ALL_OCTETS {
            true => most.min(LEAST),
            false => most,
        };
        history.trim(room.policy.history.into(), most);
        self.histories.changed(before, history.octets);
        self.tell_history(now, key);
    }

    /// Tells the focus, if it is the room's turn.
    fn tell_history(&mut self, now: Moment, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let history = &mut room.history;
        if history.paced || !history.is_news() || std::mem::replace(&mut history.waits, true) {
            return;
        }
        self.histories.waiting.push_back(key);
        self.tell_histories(now);
    }

    /// What came in a room since something was last told may be told now.
    pub(in crate::switch) fn history_due(&mut self, now: Moment, key: RoomKey) {
        if let Some(room) = self.rooms.get_mut(key) {
            room.history.paced = false;
        }
        self.tell_history(now, key);
    }

    fn tell_histories(&mut self, now: Moment) {
        while self.histories.may_tell()
            && let Some(key) = self.histories.waiting.pop_front()
        {
            let Some(room) = self.rooms.get_mut(key) else {
                continue;
            };
            if let Some((notice, octets)) = room.history.next_part(&room.uri) {
                self.histories.under_way += octets;
                self.notices.push_back(notice);
            }
            if room.history.is_news() {
                self.histories.waiting.push_back(key);
                continue;
            }
            room.history.waits = false;
            if !std::mem::replace(&mut room.history.paced, true) {
                self.timers.arm(now + PACE, Timer::History(key));
            }
        }
    }

    /// Nobody is in the room any more: what has not been told is told at once, since others
    /// may push the history out of memory. That takes a join and a leave each time.
    pub(in crate::switch) fn tell_all_history(&mut self, room: &RoomUri, history: &mut History) {
        while let Some((notice, octets)) = history.next_part(room) {
            self.histories.under_way += octets;
            self.notices.push_back(notice);
        }
        history.waits = false;
        history.paced = false;
    }

    /// The store has what was told up to this.
    pub(in crate::switch) fn history_kept(
        &mut self,
        now: Moment,
        room: &RoomUri,
        up_to: u64,
        octets: usize,
    ) {
        self.histories.under_way = self.histories.under_way.saturating_sub(octets);
        if let Some(history) = self.history_of(room) {
            history.keep(up_to);
        }
        self.tell_histories(now);
    }

    fn history_of(&mut self, room: &RoomUri) -> Option<&mut History> {
        match self.by_room.get(room) {
            Some(&key) => self.rooms.get_mut(key).map(|room| &mut room.history),
            None => self.reservations.history_mut(room),
        }
    }

    /// What was told to a focus that has gone may not have been heard.
    pub(in crate::switch) fn untell_histories(&mut self) {
        self.histories.under_way = 0;
        self.histories.waiting.clear();
        for room in self.rooms.iter_mut() {
            room.history.untell();
        }
        self.reservations.untell_histories();
    }

    /// The focus is there for this room: it learns what it may have missed.
    pub(in crate::switch) fn retell_history(&mut self, now: Moment, uri: &RoomUri) {
        if let Some(&key) = self.by_room.get(uri) {
            return self.tell_history(now, key);
        }
        if let Some(history) = self.reservations.history_mut(uri) {
            let mut history = std::mem::take(history);
            self.tell_all_history(uri, &mut history);
            if let Some(place) = self.reservations.history_mut(uri) {
                *place = history;
            }
        }
    }

    /// What an earlier run had. Who is in a room, or was just now, has the history with him.
    pub(in crate::switch) fn recall(
        &mut self,
        now: Moment,
        uri: RoomUri,
        messages: Vec<PastMessage>,
    ) {
        if !self.by_room.contains_key(&uri) {
            self.reservations.keep_history(now, uri, messages);
        }
    }

    /// A room's history ends.
    pub(in crate::switch) fn forget_history(&mut self, uri: RoomUri) {
        match self.by_room.get(&uri) {
            Some(&key) => {
                if let Some(room) = self.rooms.get_mut(key) {
                    self.histories.changed(room.history.octets, 0);
                    room.history.forget();
                }
            }
            None => self.reservations.forget_history(&uri),
        }
        self.notices.push_back(Notice::Forgotten { room: uri });
    }
}
