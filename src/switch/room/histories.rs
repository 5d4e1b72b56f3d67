//! What is done with the histories of rooms: messages are added, the focus is told.

use crate::control::{PastMessage, RoomUri};
use crate::switch::agenda::Agenda;
use crate::switch::ids::RoomKey;
use crate::switch::message::entry::{Audience, Entry};
use crate::switch::message::imdn::is_notification;
use crate::switch::message::request_head::is_heartbeat;
use crate::switch::room::history::{ALL_OCTETS, LEAST, PACE, past};
use crate::switch::room::rooms::Rooms;
use crate::switch::timers::Timer;
use crate::time::Moment;
use crate::wire::cpim;

impl Rooms {
    /// A whole message to the room; puts it into the history if it is worth that: what is
    /// said, not that somebody is typing or has read something. `most`: octets of the history.
    pub(in crate::switch) fn add_to_history(
        &mut self,
        now: Moment,
        key: RoomKey,
        entry: &Entry,
        most: usize,
        agenda: &mut Agenda,
    ) {
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
        let most = match self.histories.octets > ALL_OCTETS {
            true => most.min(LEAST),
            false => most,
        };
        let Some(room) = self.get_mut(key) else {
            return;
        };
        let history = &mut room.history;
        let before = history.octets();
        history.add(now.millis().max(history.last + 1), entry);
        history.trim(room.policy.history.into(), most);
        let after = history.octets();
        self.histories.changed(before, after);
        self.tell_history(now, key, agenda);
    }

    /// Tells the focus, if it is the room's turn.
    fn tell_history(&mut self, now: Moment, key: RoomKey, agenda: &mut Agenda) {
        let Some(room) = self.get_mut(key) else {
            return;
        };
        let history = &mut room.history;
        if history.paced || !history.is_news() || std::mem::replace(&mut history.waits, true) {
            return;
        }
        self.histories.waiting.push_back(key);
        self.tell_histories(now, agenda);
    }

    /// What came in a room since something was last told may be told now.
    pub(in crate::switch) fn history_due(
        &mut self,
        now: Moment,
        key: RoomKey,
        agenda: &mut Agenda,
    ) {
        if let Some(room) = self.get_mut(key) {
            room.history.paced = false;
        }
        self.tell_history(now, key, agenda);
    }

    fn tell_histories(&mut self, now: Moment, agenda: &mut Agenda) {
        while self.histories.may_tell()
            && let Some(key) = self.histories.waiting.pop_front()
        {
            let Some(room) = self.get_mut(key) else {
                continue;
            };
            let part = room.history.next_part(&room.uri);
            let more = room.history.is_news();
            room.history.waits = more;
            if !more && !std::mem::replace(&mut room.history.paced, true) {
                agenda.arm(now + PACE, Timer::History(key));
            }
            if let Some((notice, octets)) = part {
                self.histories.under_way += octets;
                agenda.tell(notice);
            }
            if more {
                self.histories.waiting.push_back(key);
            }
        }
    }

    /// Nobody is in the room any more: what has not been told is told at once, since others
    /// may push the history out of memory. That takes a join and a leave each time.
    pub(in crate::switch) fn tell_all_history(&mut self, uri: &RoomUri, agenda: &mut Agenda) {
        let Some(history) = self.history_mut(uri) else {
            return;
        };
        let mut under_way = 0;
        while let Some((notice, octets)) = history.next_part(uri) {
            under_way += octets;
            agenda.tell(notice);
        }
        history.waits = false;
        history.paced = false;
        self.histories.under_way += under_way;
    }

    /// The store has what was told up to this.
    pub(in crate::switch) fn history_kept(
        &mut self,
        now: Moment,
        room: &RoomUri,
        (up_to, octets): (u64, usize),
        agenda: &mut Agenda,
    ) {
        self.histories.under_way = self.histories.under_way.saturating_sub(octets);
        if let Some(history) = self.history_mut(room) {
            history.keep(up_to);
        }
        self.tell_histories(now, agenda);
    }

    /// What was told to a focus that has gone may not have been heard.
    pub(in crate::switch) fn untell_histories(&mut self) {
        self.histories.under_way = 0;
        self.histories.waiting.clear();
        for room in self.iter_mut() {
            room.history.untell();
        }
        self.reservations.untell_histories();
    }

    /// The focus is there for this room: it learns what it may have missed.
    pub(in crate::switch) fn retell_history(
        &mut self,
        now: Moment,
        uri: &RoomUri,
        agenda: &mut Agenda,
    ) {
        match self.called(uri) {
            Some(key) => self.tell_history(now, key, agenda),
            None => self.tell_all_history(uri, agenda),
        }
    }

    /// What an earlier run had. Who is in a room, or was just now, has the history with him.
    pub(in crate::switch) fn recall(
        &mut self,
        now: Moment,
        uri: RoomUri,
        messages: Vec<PastMessage>,
    ) {
        if self.called(&uri).is_none() {
            self.reservations.keep_history(now, uri, messages);
        }
    }

    /// A room's history ends.
    pub(in crate::switch) fn forget_history(&mut self, uri: &RoomUri) {
        let Some(key) = self.called(uri) else {
            return self.reservations.forget_history(uri);
        };
        if let Some(room) = self.get_mut(key) {
            let before = room.history.octets();
            room.history.forget();
            self.histories.changed(before, 0);
        }
    }
}
