//! Updates the histories of rooms, and reports them to the focus.

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
    /// Adds a whole message to the room's history, unless it is a typing indication or a
    /// disposition notification. `most`: limit of the history, in octets.
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
        // Later readers must see when it was sent.
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

    /// Reports to the focus, if it is the room's turn.
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

    /// Reports a room's new entries now that its pause is over.
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

    /// The room is empty: reports the rest at once, since other rooms may push the history out of
    /// memory. One such report takes a join and a leave.
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

    /// The store has the entries up to this number.
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

    /// The focus has gone: its unconfirmed reports may be lost, and must be repeated.
    pub(in crate::switch) fn untell_histories(&mut self) {
        self.histories.under_way = 0;
        self.histories.waiting.clear();
        for room in self.iter_mut() {
            room.history.untell();
        }
        self.reservations.untell_histories();
    }

    /// The focus is back for this room: repeats reports that it may have missed.
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

    /// Restores the history of an earlier run. A room with members, or with members until just now,
    /// keeps the history it has.
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
