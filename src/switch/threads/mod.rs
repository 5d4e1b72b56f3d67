//! Several instances, one on each thread, and what they tell each other. A connection lives
//! on one of them with all its sessions; a room is ordered by one of them, its owner.
//!
//! What one instance tells another arrives in the order in which it was said. How much of it
//! is on its way is bounded by those who wait for it: a connection for what it has said
//! (`guests`), the speakers of a room for its replicas (`replicas`), a large message for its
//! slowest thread (`stream`). So nothing ever has to be dropped between two threads.

pub(in crate::switch) mod guests;
pub(in crate::switch) mod parcel;
pub(in crate::switch) mod replicas;
pub(in crate::switch) mod take_in;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::control::SessionId;
use crate::switch::ids::{ConnectionId, Credit, RoomKey, Speaker, Thread};
use crate::switch::line::connection::Connection;
use crate::switch::line::connections::Connections;
use crate::switch::message::entry::Entry;
use crate::switch::message::utterance::Utterance;
use crate::switch::room::Room;
use crate::switch::threads::parcel::Parcel;

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

/// What goes to one instance in one turn.
#[derive(Debug)]
pub struct Post(Vec<Parcel>);

/// What goes to other instances, and what has come from them.
pub(in crate::switch) struct Exchange {
    pub(in crate::switch) threads: Box<dyn Threads>,
    pub(in crate::switch) own: Thread,
    outgoing: Vec<Vec<Parcel>>,
    pub(in crate::switch) arrived: VecDeque<(Thread, Parcel)>,
    /// Connections elsewhere with sessions of our rooms, and how many.
    pub(in crate::switch) abroad: HashMap<Speaker, usize>,
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
            abroad: HashMap::new(),
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

    /// What is to go to another thread, all of it at once.
    pub(in crate::switch) fn next_post(&mut self) -> Option<(Thread, Post)> {
        let mut outgoing = (0..).zip(&mut self.outgoing);
        let (thread, parcels) = outgoing.find(|(_, parcels)| !parcels.is_empty())?;
        Some((Thread(thread), Post(std::mem::take(parcels))))
    }

    /// It has come from another thread.
    pub(in crate::switch) fn arrive(&mut self, from: Thread, Post(parcels): Post) {
        let parcels = parcels.into_iter().map(|parcel| (from, parcel));
        self.arrived.extend(parcels);
    }

    /// Messages that had to wait come before everything else.
    pub(in crate::switch) fn arrive_again(&mut self, said: VecDeque<(Thread, Utterance)>) {
        for (from, said) in said.into_iter().rev() {
            let parcel = Parcel::Said(Box::new(said));
            self.arrived.push_front((from, parcel));
        }
    }

    /// A connection here.
    pub(in crate::switch) fn here(&self, connection: ConnectionId) -> Speaker {
        Speaker {
            thread: self.own,
            connection,
        }
    }

    /// One session less on a connection elsewhere.
    pub(in crate::switch) fn not_abroad(&mut self, speaker: Speaker) {
        if let Some(sessions) = self.abroad.get_mut(&speaker) {
            *sessions -= 1;
            if *sessions == 0 {
                self.abroad.remove(&speaker);
            }
        }
    }

    /// Whether somebody who spoke on a connection may still be behind it.
    pub(in crate::switch) fn lives(&self, speaker: Speaker, connections: &Connections) -> bool {
        match speaker.thread == self.own {
            true => connections
                .get(speaker.connection)
                .is_some_and(Connection::lives_on),
            false => self.abroad.contains_key(&speaker),
        }
    }

    /// Sends a message to every thread that has members of the room.
    pub(in crate::switch) fn send_abroad(
        &mut self,
        key: RoomKey,
        room: &mut Room,
        entry: &Arc<Entry>,
    ) {
        for replica in room.replicas.iter_mut().filter(|it| it.members > 0) {
            replica.waiting += entry.cost();
            let parcel = Parcel::Entry(key, Arc::clone(entry));
            self.post(replica.thread, parcel);
        }
    }

    #[cfg(test)]
    pub(in crate::switch) fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.outgoing.iter().all(Vec::is_empty)
    }
}
