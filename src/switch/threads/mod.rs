//! Several instances, one on each thread, and what they tell each other. A connection lives
//! on one of them with all its sessions; a room is ordered by one of them, its owner.
//!
//! What one instance tells another arrives in the order in which it was said. How much of it
//! is on its way is bounded by those who wait for it: a connection for what it has said
//! (`guests`), the speakers of a room for its replicas (`replicas`), a large message for its
//! slowest thread (`stream`). So nothing ever has to be dropped between two threads.

pub(in crate::switch) mod guests;
pub(in crate::switch) mod replicas;
pub(in crate::switch) mod streams;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::control::{Admission, LossCause, RoomPolicy, SessionId};
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, RoomKey, SessionKey, StreamKey, Thread};
use crate::switch::line::connection::Security;
use crate::switch::message::Code;
use crate::switch::message::entry::Entry;
use crate::switch::threads::guests::{Answer, Back, Newcomer, Utterance, Wish};
use crate::switch::threads::streams::{Beginning, Ended, Opens};
use crate::time::Moment;

/// Parcels that are dealt with before what they brought is written.
const PARCELS: usize = 256;

/// Where the sessions of all instances are found.
pub trait Threads: Send {
    /// The one that asks.
    fn own(&self) -> Thread;
    /// How many there are.
    fn count(&self) -> u16;
    /// The one that owns the room of a session.
    fn owner(&self, session: &str) -> Option<Thread>;
    /// A session's connection is to be placed there, and not with the owner of its room.
    fn place(&self, session: &SessionId, on: Thread);
    /// A session has ended.
    fn forget(&self, session: &SessionId);
}

/// The only instance there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Threads for Alone {
    fn own(&self) -> Thread {
        Thread::default()
    }
    fn count(&self) -> u16 {
        1
    }
    fn owner(&self, _session: &str) -> Option<Thread> {
        None
    }
    fn place(&self, _session: &SessionId, _on: Thread) {}
    fn forget(&self, _session: &SessionId) {}
}

/// A connection, wherever it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::switch) struct Speaker {
    pub(in crate::switch) thread: Thread,
    pub(in crate::switch) connection: ConnectionId,
}

/// Octets of a message that count for who said it until it is where it belongs.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct Credit {
    pub(in crate::switch) speaker: Speaker,
    pub(in crate::switch) octets: usize,
}

/// What one instance tells another. Sessions, rooms and streams are the receiver's in what
/// goes to the owner of a room; in what comes from one they are the owner's.
#[derive(Debug)]
pub(in crate::switch) enum Parcel {
    /// A connection names a session of yours, and is not decoded until [`Parcel::Claimed`].
    Claim(SessionId, ConnectionId, Security),
    /// Somebody whose session is here has said something.
    Said(Box<Utterance>),
    /// The same of a nickname.
    Wishes(Box<Wish>),
    /// The session has ended here.
    Left(SessionKey, Option<LossCause>),
    /// It is no more here, as was asked for.
    Back(SessionKey, Back),
    /// So many octets of a room's messages wait for nobody here any more.
    Taken(RoomKey, usize),

    /// What becomes of a claim.
    Claimed(ConnectionId, Answer),
    /// The session is yours, for the connection that claimed it.
    Comes(ConnectionId, Box<Newcomer>),
    /// The focus says this of it; there may be something to tell it.
    Amended(Box<Admission>, Option<Box<str>>),
    /// The room's rules have changed.
    Policy(RoomKey, RoomPolicy),
    /// It ends in good order.
    Expel(SessionId),
    /// It is in its room no more, and is to stay a moment.
    Part(SessionId),
    /// It is to be told this.
    Tell(SessionId, Box<str>),
    /// It is to come back: its peer has another path now.
    Recall(SessionId),
    /// A message to a room.
    Entry(RoomKey, Arc<Entry>),
    /// A message to one session.
    Private(SessionId, Arc<Entry>, Option<Credit>),
    /// Octets for a connection there.
    Reply(ConnectionId, Vec<u8>),
    /// So many octets of what it said are where they belong.
    Done(ConnectionId, usize),
    /// The room it speaks in is behind: it is not to be read.
    Hold(ConnectionId),
    /// It may go on.
    Resume(ConnectionId),
    /// What it said could not be dealt with.
    Failed(ConnectionId),

    /// A large message begins, from a session here.
    Opens(StreamKey, Box<Opens>),
    /// It is in order.
    Accepted(StreamKey),
    /// It is not.
    Refused(StreamKey, Code),
    /// Everything of it has come.
    Ended(StreamKey, Box<Ended>),
    /// A large message begins in a room.
    Begins(StreamKey, Arc<Beginning>),
    /// The next octets of either.
    Piece(StreamKey, Bytes),
    /// Its sender waits for those who are behind, who certainly are there, or may be.
    Waits(StreamKey, bool),
    /// Somebody is behind with it.
    Behind(StreamKey),
    /// There is no more of the room's.
    Whole(StreamKey),
    /// The rest will not come.
    Aborted(StreamKey),
    /// So many octets wait for nobody here any more.
    Passed(StreamKey, u64),
}

/// What goes to one instance in one turn.
#[derive(Debug)]
pub struct Post(Vec<Parcel>);

/// What goes to other instances, and what has come from them.
pub(in crate::switch) struct Exchange {
    pub(in crate::switch) threads: Box<dyn Threads>,
    pub(in crate::switch) own: Thread,
    outgoing: Vec<Vec<Parcel>>,
    arrived: VecDeque<(Thread, Parcel)>,
    /// For whom something is done at the moment, and what that counts.
    pub(in crate::switch) serving: Option<Credit>,
}

impl Exchange {
    pub(in crate::switch) fn new(threads: Box<dyn Threads>) -> Self {
        Self {
            own: threads.own(),
            threads,
            outgoing: Vec::new(),
            arrived: VecDeque::new(),
            serving: None,
        }
    }

    /// To another instance.
    pub(in crate::switch) fn post(&mut self, to: Thread, parcel: Parcel) {
        let index = usize::from(to.0);
        if self.outgoing.len() <= index {
            self.outgoing.resize_with(index + 1, Vec::new);
        }
        if let Some(parcels) = self.outgoing.get_mut(index) {
            parcels.push(parcel);
        }
    }

    /// Messages that had to wait come before everything else.
    pub(in crate::switch) fn arrive_again(&mut self, said: VecDeque<(Thread, Utterance)>) {
        for (from, said) in said.into_iter().rev() {
            self.arrived
                .push_front((from, Parcel::Said(Box::new(said))));
        }
    }

    /// A connection here.
    pub(in crate::switch) fn here(&self, connection: ConnectionId) -> Speaker {
        Speaker {
            thread: self.own,
            connection,
        }
    }

    #[cfg(test)]
    pub(in crate::switch) fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.outgoing.iter().all(Vec::is_empty)
    }
}

impl Switch {
    /// What is to go to another instance, all of it at once.
    pub fn poll_post(&mut self) -> Option<(Thread, Post)> {
        let outgoing = (0..).zip(&mut self.exchange.outgoing);
        let (thread, parcels) = outgoing
            .into_iter()
            .find(|(_, parcels)| !parcels.is_empty())?;
        Some((Thread(thread), Post(std::mem::take(parcels))))
    }

    /// It has come from another instance; see [`Self::take_in`].
    pub fn arrived(&mut self, from: Thread, Post(parcels): Post) {
        let parcels = parcels.into_iter().map(|parcel| (from, parcel));
        self.exchange.arrived.extend(parcels);
    }

    /// Whether something has come that was not dealt with.
    pub fn has_arrivals(&self) -> bool {
        !self.exchange.arrived.is_empty()
    }

    /// Deals with some of what has come, as long as nothing should be written first.
    pub fn take_in(&mut self, now: Moment) {
        for _ in 0..PARCELS {
            // What is there is written first: a fast reader must lose nothing.
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
            Parcel::Expel(session) => match self.guest(from, &session) {
                Some(key) => self.expel(now, key, None),
                None => self.farewell_ends(now, &session),
            },
            Parcel::Part(session) => {
                if self.guest(from, &session).is_some() {
                    self.part_from_room(now, session);
                }
            }
            Parcel::Tell(session, text) => {
                if let Some(key) = self.guest(from, &session) {
                    self.tell(key, text);
                }
            }
            Parcel::Recall(session) => self.go_back(now, from, &session),
            Parcel::Entry(room, entry) => self.replicate(now, from, room, entry),
            Parcel::Private(session, entry, credit) => {
                if let Some(key) = self.guest(from, &session) {
                    self.give(now, key, entry);
                }
                self.done(credit);
            }
            Parcel::Reply(id, octets) => self.reply_with(id, |out| out.extend(octets)),
            Parcel::Done(connection, octets) => self.done(Some(Credit {
                speaker: self.exchange.here(connection),
                octets,
            })),
            Parcel::Hold(id) => self.pause_reading(id),
            Parcel::Resume(id) => self.resume(id),
            Parcel::Failed(id) => self.closes.push_back(id),
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

    /// Octets for a connection, wherever it lives.
    pub(in crate::switch) fn reply_to(&mut self, to: Speaker, write: impl FnOnce(&mut Vec<u8>)) {
        if to.thread == self.exchange.own {
            return self.reply_with(to.connection, write);
        }
        let mut octets = Vec::new();
        write(&mut octets);
        if !octets.is_empty() {
            let parcel = Parcel::Reply(to.connection, octets);
            self.exchange.post(to.thread, parcel);
        }
    }

    /// What was said is where it belongs.
    pub(in crate::switch) fn done(&mut self, credit: Option<Credit>) {
        let Some(Credit { speaker, octets }) = credit else {
            return;
        };
        if speaker.thread != self.exchange.own {
            let parcel = Parcel::Done(speaker.connection, octets);
            return self.exchange.post(speaker.thread, parcel);
        }
        if let Some(connection) = self.connections.get_mut(speaker.connection) {
            let paused = connection.is_paused();
            connection.unordered = connection.unordered.saturating_sub(octets);
            if paused && !connection.is_paused() {
                self.resumes.push_back(speaker.connection);
            }
        }
    }

    /// A connection is not read until its sender may go on.
    pub(in crate::switch) fn hold(&mut self, speaker: Speaker) {
        match speaker.thread == self.exchange.own {
            true => self.pause_reading(speaker.connection),
            false => {
                let parcel = Parcel::Hold(speaker.connection);
                self.exchange.post(speaker.thread, parcel);
            }
        }
    }

    /// One reason less not to read a connection, wherever it lives.
    pub(in crate::switch) fn let_go_on(&mut self, speaker: Speaker) {
        match speaker.thread == self.exchange.own {
            true => self.resume(speaker.connection),
            false => {
                let parcel = Parcel::Resume(speaker.connection);
                self.exchange.post(speaker.thread, parcel);
            }
        }
    }

    fn pause_reading(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.pauses += 1;
        }
    }

    /// A panic has interrupted something: it costs the connection it was done for.
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
