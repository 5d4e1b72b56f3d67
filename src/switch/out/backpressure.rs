//! Backpressure from receivers to speakers. While more than half of an outbox is queued for a
//! member of a room, the connections of that room's speakers are not read. TCP then slows the
//! speakers down to their readers, which costs no memory and loses nothing.
//!
//! Speakers do not wait for a member that accepts less than an eighth of an outbox a second. Until
//! it has caught up, it loses messages that exceed an outbox (RFC 7701 §6.4).

use std::sync::Arc;
use std::time::Duration;

use crate::control::LossCause;
use crate::switch::ids::{RoomKey, SessionKey, Thread};
use crate::switch::message::entry::Entry;
use crate::switch::message::utterance::Utterance;
use crate::switch::room::replica::STEP;
use crate::switch::timers::Timer;
use crate::switch::{SlowReader, Switch};
use crate::time::Moment;

/// Interval of the checks whether all members have caught up, where no event shows it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time over which the pace of the slowest member is measured. With less, a busy machine would look
/// like a slow reader.
const PACE_OVER: Duration = Duration::from_secs(2);

impl Switch {
    /// A member has spoken in a room.
    pub(in crate::switch) fn hold_speaker(&mut self, now: Moment, key: SessionKey) {
        let (own, outbox) = (self.exchange.own, self.config.outbox_bytes);
        let Some(room) = self.rooms.get_mut(key.room) else {
            return;
        };
        let speaker = room.session(key).and_then(|session| session.speaker(own));
        let Some(speaker) = speaker.filter(|_| room.is_behind(outbox / 2, outbox)) else {
            return;
        };
        if !room.held.speakers.contains(&speaker) {
            room.held.speakers.push(speaker);
            self.hold(speaker);
            self.keep_pace(now, key.room);
        }
    }

    /// Starts checking whether all members have caught up, and how fast the slowest is.
    pub(in crate::switch) fn keep_pace(&mut self, now: Moment, key: RoomKey) {
        if let Some(room) = self.rooms.get_mut(key)
            && !std::mem::replace(&mut room.held.timed, true)
        {
            room.held.passed = (room.log.passed(), now);
            self.agenda.arm(now + LOOK_EVERY, Timer::Held(key));
        }
    }

    /// Members of a room were written to: resumes its speakers if all members have caught up.
    pub(in crate::switch) fn release_speakers(&mut self, key: RoomKey) {
        let quarter = self.config.outbox_bytes / 4;
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        // With stragglers this is checked only now and then.
        let waiting = room.log.octets();
        if room.original.is_some() {
            if room.held.stragglers == 0 {
                self.report_taken(key, waiting as u64, self.config.outbox_bytes / STEP);
            }
        } else if waiting <= quarter && room.waiting_abroad() <= quarter {
            self.let_speak(key);
        }
    }

    /// Resumes the waiting speakers of the room.
    pub(in crate::switch) fn let_speak(&mut self, key: RoomKey) {
        let room = self.rooms.get_mut(key);
        let (speakers, said) = room.map(|room| room.held.take()).unwrap_or_default();
        self.exchange.arrive_again(said);
        for speaker in speakers {
            self.let_go_on(speaker);
        }
    }

    /// Orders a message from another thread, or keeps it while its speaker must wait.
    pub(in crate::switch) fn heard(&mut self, now: Moment, from: Thread, said: Utterance) {
        let key = said.session.room;
        let room = self.rooms.get_mut(key);
        let Some(room) = room.filter(|room| room.session(said.session).is_some()) else {
            return self.take_said(now, from, said);
        };
        if let Some(said) = room.held.keep(from, said) {
            return self.take_said(now, from, said);
        }
        while let Some(room) = self.rooms.get_mut(key)
            && let Some((from, said)) = room.held.next()
        {
            self.take_said(now, from, said);
        }
    }

    /// Orders the waiting messages of a session before its next action.
    pub(in crate::switch) fn hear_out(&mut self, now: Moment, key: SessionKey) {
        let room = self.rooms.get_mut(key.room);
        for (from, said) in room.map(|it| it.held.said_by(key)).unwrap_or_default() {
            self.take_said(now, from, said);
        }
    }

    pub(in crate::switch) fn held_due(&mut self, now: Moment, key: RoomKey) {
        let outbox = self.config.outbox_bytes;
        let quarter = outbox / 4;
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let follows = room.original.is_some();
        // A replica is checked until the owner knows all that was written.
        let waits = !room.held.speakers.is_empty() || (follows && room.log.octets() > 0);
        room.held.timed = waits;
        if !waits {
            return;
        }
        self.agenda.arm(now + LOOK_EVERY, Timer::Held(key));
        let passed = room.log.passed();
        let (before, since) = room.held.passed;
        if since + PACE_OVER <= now {
            room.held.passed = (passed, now);
            if passed - before < quarter as u64 {
                room.leave_behind(quarter as u64);
            }
        }
        if follows {
            let slowest = room.slowest();
            self.report_taken(key, slowest, 1);
        } else if !room.is_behind(quarter, outbox) {
            self.let_speak(key);
        }
    }

    /// Puts a message into a room's log, here and on every thread with members of the room.
    pub(in crate::switch) fn append(&mut self, now: Moment, key: RoomKey, entry: Arc<Entry>) {
        let outbox = self.config.outbox_bytes;
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        self.exchange.send_abroad(key, room, &entry);
        let octets = entry.body.len();
        let losers = room.append(entry, outbox);
        self.turns.spread(key, room, octets, outbox);
        for (member, lost) in losers {
            self.lost_by_slowness(now, member, lost);
        }
    }

    /// Puts a message into a session's own queue.
    pub(in crate::switch) fn give(&mut self, now: Moment, key: SessionKey, entry: Arc<Entry>) {
        let outbox = self.config.outbox_bytes;
        let room = self.rooms.get_mut(key.room);
        let Some(lost) = room.and_then(|room| room.give(key, entry, outbox)) else {
            return;
        };
        self.mark_session_dirty(key);
        if lost > 0 {
            self.lost_by_slowness(now, key, lost);
        }
    }

    /// Counts messages that a slow receiver has lost (G52).
    pub(in crate::switch) fn lost_by_slowness(&mut self, now: Moment, key: SessionKey, count: u64) {
        self.totals.drops_slow_reader += count;
        if self.config.slow_reader == SlowReader::Disconnect {
            return self.end(now, key, Some(LossCause::TooSlow));
        }
        if let Some(session) = self.rooms.session_mut(key) {
            session.lost += count;
        }
    }

    pub(in crate::switch) fn mark_session_dirty(&mut self, key: SessionKey) {
        if let Some(id) = self.rooms.session(key).and_then(|it| it.connection) {
            self.connections.mark_dirty(id);
        }
    }
}
