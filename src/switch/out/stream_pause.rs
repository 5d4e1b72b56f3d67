//! A large message and a receiver slower than its sender.
//!
//! A message holds at most `outbox_bytes`. When half of that waits, the sender's connection is
//! not read: TCP slows him down to the slowest receiver, which costs no memory and loses
//! nothing; to give the copy up at once would give up nearly every one, since a sender in the
//! same network is always faster than somebody's telephone. The pause is bounded by
//! [`PATIENCE`], since it also holds the sender's other messages back and keeps the other
//! receivers waiting: whoever still lags then loses the message (`#`) and is told. A receiver
//! that takes 128 KiB a second at the default outbox never does.

use std::time::Duration;

use crate::switch::Switch;
use crate::switch::ids::{SessionKey, StreamKey};
use crate::switch::out::stream::Pause;
use crate::switch::threads::parcel::Parcel;
use crate::switch::timers::Timer;
use crate::time::Moment;

/// How long a sender waits for his slowest receiver at a time.
pub(in crate::switch) const PATIENCE: Duration = Duration::from_secs(2);

/// Part of an outbox: so much is passed before the thread it came from is told.
pub(in crate::switch) const STEP: u64 = 16;

impl Switch {
    /// A receiver that takes nothing has nobody wait for it again.
    pub(in crate::switch) fn has_stalled(&self, now: Moment, receiver: SessionKey) -> bool {
        let on = self.rooms.session(receiver).and_then(|it| it.connection);
        let connection = on.and_then(|id| self.connections.get(id));
        let blocked = connection.and_then(|connection| connection.blocked);
        blocked.is_some_and(|since| since + PATIENCE <= now)
    }

    /// Who has not taken earlier large messages in time loses the oldest of them: an outbox
    /// bounds what waits for a receiver of these, too.
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

    /// The sender is not read until the receivers have caught up. It is certain that they are
    /// behind, or they may be, as far as is known here of other threads.
    pub(in crate::switch) fn pause(&mut self, now: Moment, key: StreamKey, certain: bool) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.announced == Some(stream.buffer.end()) {
            // There is nothing more to wait with.
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

    /// The sender may go on.
    pub(in crate::switch) fn release(&mut self, key: StreamKey) {
        let stream = self.streams.get_mut(key);
        let pause = stream.and_then(|stream| stream.pause.take());
        if let Some(id) = pause.and_then(|pause| pause.connection) {
            self.connections.resume(id);
        }
    }

    /// The sender has waited long enough: who still lags loses the message.
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
        // Other threads do the same, and say so.
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
