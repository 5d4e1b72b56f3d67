//! Who says much waits for those who hear it: when half of an outbox waits for somebody in a
//! room, whoever speaks there is not read for the moment. TCP slows the speakers down to
//! their readers, which costs no memory and loses nothing.
//!
//! Nobody waits for a member that takes less than an eighth of an outbox a second, until it
//! has caught up: it loses what an outbox does not hold (RFC 7701 §6.4).

use std::collections::VecDeque;
use std::time::Duration;

use crate::switch::Switch;
use crate::switch::ids::{RoomKey, SessionKey, Thread};
use crate::switch::threads::Speaker;
use crate::switch::threads::guests::Utterance;
use crate::switch::threads::replicas::STEP;
use crate::switch::timers::Timer;
use crate::time::Moment;

/// How often it is looked whether all have caught up, where that is not seen at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the pace of the slowest is measured: less would take a busy machine for a slow
/// reader.
const PACE_OVER: Duration = Duration::from_secs(2);

/// The speakers of a room who wait.
#[derive(Debug, Default)]
pub(in crate::switch) struct Held {
    speakers: Vec<Speaker>,
    /// Messages from other threads: the first one's speaker must wait and did not know it yet.
    /// Each connection has at most [`MAX_UNORDERED`] octets here.
    ///
    /// [`MAX_UNORDERED`]: crate::switch::threads::guests::MAX_UNORDERED
    said: VecDeque<(Thread, Utterance)>,
    timed: bool,
    /// Octets the slowest had passed when its pace was last looked at, and when that was.
    passed: (u64, Moment),
    /// Members nobody waits for.
    pub(in crate::switch) stragglers: usize,
    /// When there are such, the others are looked at from so many octets on.
    look_from: u64,
}

#[cfg(test)]
impl Held {
    /// Nobody waits.
    pub(in crate::switch) fn is_free(&self) -> bool {
        self.speakers.is_empty() && self.said.is_empty() && self.stragglers == 0
    }
}

impl Held {
    /// Takes the first message that waits, if its speaker may go on.
    fn next(&mut self) -> Option<(Thread, Utterance)> {
        let (thread, said) = self.said.front()?;
        match self.speakers.contains(&said.speaker(*thread)) {
            true => None,
            false => self.said.pop_front(),
        }
    }

    /// Takes what a session has said.
    fn said_by(&mut self, key: SessionKey) -> VecDeque<(Thread, Utterance)> {
        let said = std::mem::take(&mut self.said).into_iter();
        let (own, others) = said.partition(|(_, it)| it.session == key);
        self.said = others;
        own
    }
}

impl Switch {
    /// Something was said in a room.
    pub(in crate::switch) fn hold_speaker(&mut self, now: Moment, key: SessionKey, room: RoomKey) {
        let session = self.sessions.get(key);
        let Some(speaker) = session.and_then(|session| session.speaker(self.exchange.own)) else {
            return;
        };
        if !self.is_behind(room, self.config.outbox_bytes / 2) {
            return;
        }
        let Some(known) = self.rooms.get_mut(room) else {
            return;
        };
        if known.held.speakers.contains(&speaker) {
            return;
        }
        known.held.speakers.push(speaker);
        self.hold(speaker);
        self.keep_pace(now, room);
    }

    /// Looks from now on whether all have caught up, and how fast the slowest is.
    pub(in crate::switch) fn keep_pace(&mut self, now: Moment, key: RoomKey) {
        if let Some(room) = self.rooms.get_mut(key)
            && !std::mem::replace(&mut room.held.timed, true)
        {
            room.held.passed = (room.log.passed(), now);
            self.timers.arm(now + LOOK_EVERY, Timer::Held(key));
        }
    }

    /// Whether more than so much waits for somebody who is waited for.
    pub(in crate::switch) fn is_behind(&mut self, key: RoomKey, octets: usize) -> bool {
        let step = self.config.outbox_bytes as u64 / 16;
        let Some(room) = self.rooms.get_mut(key) else {
            return false;
        };
        if room.waiting_abroad() > octets {
            return true;
        }
        if room.log.octets() <= octets {
            return false;
        }
        if room.held.stragglers == 0 {
            return true;
        }
        // To look at everybody for every message would be dear.
        let pushed = room.log.pushed();
        if room.held.speakers.is_empty() {
            if pushed < room.held.look_from {
                return false;
            }
            room.held.look_from = pushed + step;
        }
        self.slowest(key) > octets as u64
    }

    /// Octets that wait for the slowest here who is waited for.
    fn slowest(&self, key: RoomKey) -> u64 {
        let Some(room) = self.rooms.get(key) else {
            return 0;
        };
        let waited_for = room.members.here().iter().filter_map(|key| {
            let session = self.sessions.get(*key)?;
            (!session.straggles).then(|| room.log.waiting(session.position))
        });
        waited_for.max().unwrap_or(0)
    }

    /// Some of a room were written to: its speakers may go on if all have caught up.
    pub(in crate::switch) fn release_speakers(&mut self, key: RoomKey) {
        let quarter = self.config.outbox_bytes / 4;
        let Some(room) = self.rooms.get(key) else {
            return;
        };
        // With stragglers that is looked at now and then only.
        let waiting = room.log.octets();
        if room.original.is_some() {
            if room.held.stragglers == 0 {
                self.report_taken(key, waiting as u64, self.config.outbox_bytes / STEP);
            }
        } else if !room.held.speakers.is_empty()
            && waiting <= quarter
            && room.waiting_abroad() <= quarter
        {
            self.let_speak(key);
        }
    }

    fn let_speak(&mut self, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let said = std::mem::take(&mut room.held.said);
        let speakers = std::mem::take(&mut room.held.speakers);
        self.exchange.arrive_again(said);
        for speaker in speakers {
            self.let_go_on(speaker);
        }
    }

    /// Puts a message from another thread in order, or keeps it while its speaker must wait.
    pub(in crate::switch) fn heard(&mut self, now: Moment, from: Thread, said: Utterance) {
        let key = self.sessions.get(said.session).map(|it| it.room);
        let room = key.and_then(|key| self.rooms.get_mut(key));
        let (Some(key), Some(room)) = (key, room) else {
            return self.take_said(now, from, said);
        };
        let held = &mut room.held;
        if held.said.is_empty() && !held.speakers.contains(&said.speaker(from)) {
            return self.take_said(now, from, said);
        }
        held.said.push_back((from, said));
        while let Some(room) = self.rooms.get_mut(key)
            && let Some((from, said)) = room.held.next()
        {
            self.take_said(now, from, said);
        }
    }

    /// Puts in order what a session has said, before it does anything else.
    pub(in crate::switch) fn hear_out(&mut self, now: Moment, key: SessionKey) {
        let room = self.sessions.get(key).map(|it| it.room);
        let Some(room) = room.and_then(|key| self.rooms.get_mut(key)) else {
            return;
        };
        if room.held.said.is_empty() {
            return;
        }
        for (from, said) in room.held.said_by(key) {
            self.take_said(now, from, said);
        }
    }

    /// The room is no more.
    pub(in crate::switch) fn ends_held(&mut self, held: Held) {
        self.exchange.arrive_again(held.said);
        for speaker in held.speakers {
            self.let_go_on(speaker);
        }
    }

    pub(in crate::switch) fn held_due(&mut self, now: Moment, key: RoomKey) {
        let quarter = self.config.outbox_bytes / 4;
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let follows = room.original.is_some();
        // A replica is looked at until the owner knows all that was taken.
        let waits = !room.held.speakers.is_empty() || (follows && room.log.octets() > 0);
        room.held.timed = waits;
        if !waits {
            return;
        }
        self.timers.arm(now + LOOK_EVERY, Timer::Held(key));
        let passed = room.log.passed();
        let (before, since) = room.held.passed;
        if since + PACE_OVER <= now {
            room.held.passed = (passed, now);
            if passed - before < quarter as u64 {
                self.leave_behind(key, quarter as u64);
            }
        }
        if follows {
            let slowest = self.slowest(key);
            self.report_taken(key, slowest, 1);
        } else if !self.is_behind(key, quarter) {
            self.let_speak(key);
        }
    }

    /// Nobody waits any more for those for whom more than so much waits.
    fn leave_behind(&mut self, key: RoomKey, octets: u64) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        for key in room.members.here() {
            if let Some(session) = self.sessions.get_mut(*key)
                && !session.straggles
                && room.log.waiting(session.position) > octets
            {
                session.straggles = true;
                room.held.stragglers += 1;
            }
        }
    }
}
