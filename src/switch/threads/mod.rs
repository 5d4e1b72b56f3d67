//! Communication between the instances, one on each thread. A connection lives on one of them with
//! all its sessions. Each room has an owner, the instance that orders its messages.
//!
//! Parcels from one instance to another arrive in order. The amount in transit is limited by
//! pausing its source: a connection for its messages (`guests`), the speakers of a room for its
//! replicas (`replicas`), a large message for its slowest thread (`stream`). So parcels never have
//! to be dropped.

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

/// The register of the sessions of all instances.
pub trait Threads: Send {
    /// This instance.
    fn own(&self) -> Thread;
    /// Number of instances.
    fn count(&self) -> u16;
    /// The owner of the room of a session.
    fn owner(&self, session: &str) -> Option<Thread>;
    /// Places a session's connection on that thread rather than with the owner of its room.
    fn place(&self, session: &SessionId, on: Thread);
    /// A session has ended.
    fn forget(&self, session: &SessionId);
}

/// The register of a single instance.
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

/// The parcels for one instance in one turn.
#[derive(Debug)]
pub struct Post(Vec<Parcel>);

/// Parcels to other instances, and those that arrived from them.
pub(in crate::switch) struct Exchange {
    pub(in crate::switch) threads: Box<dyn Threads>,
    pub(in crate::switch) own: Thread,
    outgoing: Vec<Vec<Parcel>>,
    pub(in crate::switch) arrived: VecDeque<(Thread, Parcel)>,
    /// Connections elsewhere with sessions of our rooms, and how many.
    pub(in crate::switch) abroad: HashMap<Speaker, usize>,
    /// The connection that current work is done for, and the octets it counts.
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

    /// Queues a parcel for another instance.
    pub(in crate::switch) fn post(&mut self, to: Thread, parcel: Parcel) {
        let index = usize::from(to.0);
        if self.outgoing.len() <= index {
            self.outgoing.resize_with(index + 1, Vec::new);
        }
        if let Some(parcels) = self.outgoing.get_mut(index) {
            parcels.push(parcel);
        }
    }

    /// The parcels for one other thread, all at once.
    pub(in crate::switch) fn next_post(&mut self) -> Option<(Thread, Post)> {
        let mut outgoing = (0..).zip(&mut self.outgoing);
        let (thread, parcels) = outgoing.find(|(_, parcels)| !parcels.is_empty())?;
        Some((Thread(thread), Post(std::mem::take(parcels))))
    }

    /// Takes parcels from another thread.
    pub(in crate::switch) fn arrive(&mut self, from: Thread, Post(parcels): Post) {
        let parcels = parcels.into_iter().map(|parcel| (from, parcel));
        self.arrived.extend(parcels);
    }

    /// Puts waiting messages before everything else.
    pub(in crate::switch) fn arrive_again(&mut self, said: VecDeque<(Thread, Utterance)>) {
        for (from, said) in said.into_iter().rev() {
            let parcel = Parcel::Said(Box::new(said));
            self.arrived.push_front((from, parcel));
        }
    }

    /// The global name of a connection here.
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

    /// Whether a connection on which a message came may still have its speaker.
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
