//! Pauses of a large message's sender for a slower receiver.
//!
//! A message holds at most `outbox_bytes`. When half of that is queued, the sender's connection is
//! not read: TCP slows the sender down to the slowest receiver, which costs no memory and loses
//! nothing. Aborting the copy at once would abort nearly every copy, since a sender in the same
//! network is always faster than a receiver on a telephone. [`PATIENCE`] limits the pause, because
//! it also holds back the sender's other messages and the other receivers. A receiver that still
//! lags then loses the message (`#`) and gets a notice. A receiver that accepts 128 KiB a second at
//! the default outbox never lags.

use std::time::Duration;

use crate::switch::Switch;
use crate::switch::ids::{SessionKey, StreamKey};
use crate::switch::out::stream::Pause;
use crate::switch::threads::parcel::Parcel;
use crate::switch::timers::Timer;
use crate::time::Moment;

/// Longest time that a sender waits for its slowest receiver at once.
pub(in crate::switch) const PATIENCE: Duration = Duration::from_secs(2);

/// Fraction of an outbox after which progress is reported to the previous thread.
pub(in crate::switch) const STEP: u64 = 16;

impl Switch {
    /// No sender waits again for a receiver that accepts nothing.
    pub(in crate::switch) fn has_stalled(&self, now: Moment, receiver: SessionKey) -> bool {
        let on = self.rooms.session(receiver).and_then(|it| it.connection);
        let connection = on.and_then(|id| self.connections.get(id));
        let blocked = connection.and_then(|connection| connection.blocked);
        blocked.is_some_and(|since| since + PATIENCE <= now)
    }

    /// Drops a receiver's oldest large messages until the rest fits half an outbox.
    pub(in crate::switch) fn make_room(&mut self, now: Moment, receiver: SessionKey) {
        let limit = self.config.outbox_bytes as u64 / 2;
        while let Some(session) = self.rooms.session(receiver) {
            let copies = session.copies.get().into_iter().flatten();
            let live = copies.filter(|copy| !copy.aborted);
            let waiting = live.clone().filter_map(|copy| {
                let stream = self.streams.get(copy.stream)?;
                Some(stream.buffer.end().saturating_sub(copy.sent))
            });
            if waiting.sum::<u64>() <= limit {
                return;
            }
            let oldest = live.clone().next();
            let Some(oldest) = oldest.map(|copy| copy.stream) else {
                return;
            };
            self.streams.leave(oldest, receiver);
            self.abort_copy(receiver, oldest);
            self.lost_by_slowness(now, receiver, 1);
        }
    }

    /// Stops reading the sender until the receivers have caught up. They are certainly behind, or
    /// may be, as far as this thread knows of others.
    pub(in crate::switch) fn pause(&mut self, now: Moment, key: StreamKey, certain: bool) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.announced == Some(stream.buffer.end()) {
            // The time limit is used up.
            return;
        }
        let connection = match &stream.pause {
            Some(pause) if pause.certain || !certain => return,
            Some(pause) => pause.connection,
            None => {
                let sender = stream.from.and_then(|from| self.rooms.session(from));
                let id = sender.and_then(|session| session.connection);
                if let Some(id) = id {
                    self.connections.pause(id);
                }
                id
            }
        };
        let until = now + PATIENCE;
        stream.pause = Some(Pause {
            connection,
            until,
            certain,
        });
        self.agenda.arm(until, Timer::Pause(key));
        let Some(route) = &stream.route else { return };
        for (thread, _) in &route.to {
            self.exchange.post(*thread, Parcel::Waits(key, certain));
        }
        if let Some((thread, there)) = route.from.filter(|_| certain) {
            self.exchange.post(thread, Parcel::Behind(there));
        }
    }

    /// Resumes the sender.
    pub(in crate::switch) fn release(&mut self, key: StreamKey) {
        let stream = self.streams.get_mut(key);
        let pause = stream.and_then(|stream| stream.pause.take());
        if let Some(id) = pause.and_then(|pause| pause.connection) {
            self.connections.resume(id);
        }
    }

    /// The sender has waited long enough: receivers that still lag lose the message.
    pub(in crate::switch) fn pause_due(&mut self, now: Moment, key: StreamKey) {
        let quarter = self.config.outbox_bytes as u64 / 4;
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let Some(pause) = stream.pause.as_mut().filter(|pause| pause.until <= now) else {
            return;
        };
        let certain = pause.certain;
        pause.until = now + PATIENCE;
        self.agenda.arm(pause.until, Timer::Pause(key));
        let from = stream.buffer.end().saturating_sub(quarter);
        let receivers = stream.receivers.clone();
        for receiver in receivers.into_iter().filter(|_| certain) {
            let copy = self.rooms.session(receiver).and_then(|it| it.copy(key));
            if copy.is_some_and(|copy| copy.sent < from) {
                self.streams.leave(key, receiver);
                self.abort_copy(receiver, key);
                self.lost_by_slowness(now, receiver, 1);
            }
        }
        // Other threads do the same, and report it.
        if self
            .streams
            .get(key)
            .is_some_and(|it| it.waiting_abroad() <= quarter)
        {
            self.release(key);
        }
        self.streams.touch(key);
        self.tidy_streams();
    }
}
