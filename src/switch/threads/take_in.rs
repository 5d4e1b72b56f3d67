//! Handling of parcels from other threads, and output for a connection on any thread.

use crate::switch::Switch;
use crate::switch::ids::{Credit, Speaker, Thread};
use crate::switch::threads::parcel::Parcel;
use crate::time::Moment;

/// Limit of parcels handled before their output is written.
const PARCELS: usize = 256;

impl Switch {
    /// Handles parcels that have arrived, until output should be written first.
    pub fn take_in(&mut self, now: Moment) {
        for _ in 0..PARCELS {
            // Existing output is written first: a fast reader must lose nothing.
            if self.exchange.arrived.is_empty() || self.pressed() {
                break;
            }
            if let Some((from, parcel)) = self.exchange.arrived.pop_front() {
                self.unpack(now, from, parcel);
            }
        }
    }

    fn unpack(&mut self, now: Moment, from: Thread, parcel: Parcel) {
        let speaker = |connection| Speaker {
            thread: from,
            connection,
        };
        match parcel {
            Parcel::Claim(session, by, security) => {
                self.claimed(now, speaker(by), &session, &security);
            }
            Parcel::Said(said) => self.heard(now, from, *said),
            Parcel::Wishes(wish) => self.wished(now, from, *wish),
            Parcel::Left(key, cause) => self.left(now, key, cause),
            Parcel::Back(key, back) => self.back(now, key, back),
            Parcel::Taken(room, octets) => self.replica_took(from, room, octets),
            Parcel::Claimed(id, answer) => self.answered(now, id, answer),
            Parcel::Comes(id, newcomer) => self.comes(now, from, id, *newcomer),
            Parcel::Amended(admission, notice) => self.amended(now, from, &admission, notice),
            Parcel::Policy(room, policy) => self.replica_policy(from, room, policy),
            Parcel::Expel(session) => match self.rooms.guest(from, &session) {
                Some(key) => self.expel(now, key, None),
                None => self.farewell_ends(now, &session),
            },
            Parcel::Part(session) => {
                if self.rooms.guest(from, &session).is_some() {
                    self.part_from_room(now, session);
                }
            }
            Parcel::Tell(session, text) => {
                if let Some(key) = self.rooms.guest(from, &session) {
                    self.tell(key, text);
                }
            }
            Parcel::Recall(session) => self.go_back(now, from, &session),
            Parcel::Entry(room, entry) => self.replicate(now, from, room, entry),
            Parcel::Private(session, entry, credit) => {
                if let Some(key) = self.rooms.guest(from, &session) {
                    self.give(now, key, entry);
                }
                self.done(credit);
            }
            Parcel::Reply(id, octets) => self.connections.reply(id, |out| out.extend(octets)),
            Parcel::Done(connection, octets) => self.done(Some(Credit {
                speaker: self.exchange.here(connection),
                octets,
            })),
            Parcel::Hold(id) => self.connections.pause(id),
            Parcel::Resume(id) => self.connections.resume(id),
            Parcel::Failed(id) => self.connections.closes.push_back(id),
            Parcel::Opens(stream, opens) => self.stream_opens(now, from, stream, &opens),
            Parcel::Accepted(stream) => self.stream_accepted(stream),
            Parcel::Refused(stream, code) => self.stream_refused(now, stream, code),
            Parcel::Ended(stream, ended) => self.stream_ended(now, from, stream, &ended),
            Parcel::Begins(stream, beginning) => {
                self.stream_begins(now, from, stream, &beginning);
            }
            Parcel::Piece(stream, octets) => self.stream_piece(now, from, stream, &octets),
            Parcel::Waits(stream, certain) => self.stream_waits(now, from, stream, certain),
            Parcel::Behind(stream) => self.stream_behind(now, stream),
            Parcel::Whole(stream) => self.stream_whole(now, from, stream),
            Parcel::Aborted(stream) => self.stream_aborted(from, stream),
            Parcel::Passed(stream, octets) => self.stream_passed(from, stream, octets),
        }
    }

    /// Queues octets for a connection on any thread.
    pub(in crate::switch) fn reply_to(&mut self, to: Speaker, write: impl FnOnce(&mut Vec<u8>)) {
        if to.thread == self.exchange.own {
            return self.connections.reply(to.connection, write);
        }
        let mut octets = Vec::new();
        write(&mut octets);
        if !octets.is_empty() {
            let parcel = Parcel::Reply(to.connection, octets);
            self.exchange.post(to.thread, parcel);
        }
    }

    /// A message is delivered: its octets no longer count for the speaker's connection.
    pub(in crate::switch) fn done(&mut self, credit: Option<Credit>) {
        let Some(Credit { speaker, octets }) = credit else {
            return;
        };
        if speaker.thread != self.exchange.own {
            let parcel = Parcel::Done(speaker.connection, octets);
            return self.exchange.post(speaker.thread, parcel);
        }
        self.connections.discharge(speaker.connection, octets);
    }

    /// A connection is not read until its sender may go on.
    pub(in crate::switch) fn hold(&mut self, speaker: Speaker) {
        match speaker.thread == self.exchange.own {
            true => self.connections.pause(speaker.connection),
            false => {
                let parcel = Parcel::Hold(speaker.connection);
                self.exchange.post(speaker.thread, parcel);
            }
        }
    }

    /// Removes one reason not to read a connection, on any thread.
    pub(in crate::switch) fn let_go_on(&mut self, speaker: Speaker) {
        match speaker.thread == self.exchange.own {
            true => self.connections.resume(speaker.connection),
            false => {
                let parcel = Parcel::Resume(speaker.connection);
                self.exchange.post(speaker.thread, parcel);
            }
        }
    }

    /// A panic has interrupted work: it costs the connection that the work was for.
    pub(in crate::switch) fn fail_served(&mut self) {
        let own = self.exchange.own;
        if let Some(Credit { speaker, .. }) = self.exchange.serving.take()
            && speaker.thread != own
        {
            let parcel = Parcel::Failed(speaker.connection);
            self.exchange.post(speaker.thread, parcel);
        }
    }
}
