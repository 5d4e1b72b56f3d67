//! A room on several threads: its owner sends each message once to every thread that has
//! members of it, where a replica holds it for them.
//!
//! The owner knows how much of it waits there, and whoever speaks waits for a replica that
//! is behind as for a member (`backpressure`). A replica leaves behind whom nobody should
//! wait for, as the owner does with its own members.

use std::sync::Arc;

use crate::control::{RoomPolicy, RoomUri};
use crate::switch::Switch;
use crate::switch::ids::{RoomKey, SessionKey, Thread};
use crate::switch::message::entry::Entry;
use crate::switch::room::Room;
use crate::switch::threads::Parcel;
use crate::time::Moment;

/// Part of an outbox: so much is taken before a replica says so.
pub(in crate::switch) const STEP: usize = 8;

/// A thread with members of a room, as the room's owner knows it.
#[derive(Debug)]
pub(in crate::switch) struct Replica {
    pub(in crate::switch) thread: Thread,
    pub(in crate::switch) members: usize,
    /// Octets sent there that wait for somebody.
    pub(in crate::switch) waiting: usize,
}

/// Whose replica a room is.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct Original {
    pub(in crate::switch) owner: Thread,
    pub(in crate::switch) room: RoomKey,
    /// Octets, as the log counts them, that the owner knows to wait for nobody.
    reported: u64,
}

impl Room {
    /// A member lives on another thread from now on.
    fn add_abroad(&mut self, thread: Thread) {
        match self.replicas.iter_mut().find(|it| it.thread == thread) {
            Some(replica) => replica.members += 1,
            None => self.replicas.push(Replica {
                thread,
                members: 1,
                waiting: 0,
            }),
        }
    }

    fn remove_abroad(&mut self, thread: Thread) {
        if let Some(replica) = self.replicas.iter_mut().find(|it| it.thread == thread) {
            replica.members = replica.members.saturating_sub(1);
        }
        self.forget_replicas();
    }

    /// What is on its way to a thread is counted to its end.
    fn forget_replicas(&mut self) {
        self.replicas.retain(|it| it.members > 0 || it.waiting > 0);
    }

    /// The threads that have members of it, beside this one.
    pub(in crate::switch) fn abroad(&self) -> impl Iterator<Item = Thread> {
        let replicas = self.replicas.iter().filter(|it| it.members > 0);
        replicas.map(|it| it.thread)
    }

    /// Octets that wait for the thread that is behind most.
    pub(in crate::switch) fn waiting_abroad(&self) -> usize {
        let waiting = self.replicas.iter().map(|it| it.waiting);
        waiting.max().unwrap_or(0)
    }
}

impl Switch {
    /// A session of a room here goes to another thread.
    pub(in crate::switch) fn goes_abroad(&mut self, key: SessionKey, room: RoomKey, to: Thread) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(room) else {
            return;
        };
        let moved = room.members.leave(session.place, key);
        let place = std::mem::replace(&mut session.place, room.members.enter_abroad(key));
        room.add_abroad(to);
        if let Some(moved) = moved.and_then(|key| self.sessions.get_mut(key)) {
            moved.place = place;
        }
    }

    /// One that was elsewhere is not there any more; it may be here again.
    pub(in crate::switch) fn comes_home(
        &mut self,
        key: SessionKey,
        room: RoomKey,
        from: Thread,
        here: bool,
    ) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(room) else {
            return;
        };
        let place = session.place;
        let moved = room.members.leave_abroad(place, key);
        if here {
            session.place = room.members.enter(key);
            session.position = room.log.end();
        }
        room.remove_abroad(from);
        if let Some(moved) = moved.and_then(|key| self.sessions.get_mut(key)) {
            moved.place = place;
        }
    }

    /// Sends a message to every thread that has members of the room.
    pub(in crate::switch) fn send_abroad(&mut self, key: RoomKey, entry: &Arc<Entry>) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        for replica in room.replicas.iter_mut().filter(|it| it.members > 0) {
            replica.waiting += entry.cost();
            let parcel = Parcel::Entry(key, Arc::clone(entry));
            self.exchange.post(replica.thread, parcel);
        }
    }

    /// Something that was sent to a replica waits for nobody there any more.
    pub(in crate::switch) fn replica_took(&mut self, from: Thread, key: RoomKey, octets: usize) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        if let Some(replica) = room.replicas.iter_mut().find(|it| it.thread == from) {
            replica.waiting = replica.waiting.saturating_sub(octets);
        }
        room.forget_replicas();
        self.release_speakers(key);
    }

    /// The replica of another thread's room.
    pub(in crate::switch) fn replica(
        &mut self,
        owner: Thread,
        original: RoomKey,
        uri: RoomUri,
        policy: RoomPolicy,
    ) -> RoomKey {
        if let Some(&key) = self.replicas.get(&(owner, original)) {
            return key;
        }
        let mut room = Room::new(uri, policy);
        room.original = Some(Original {
            owner,
            room: original,
            reported: 0,
        });
        let key = self.rooms.insert(room);
        self.replicas.insert((owner, original), key);
        key
    }

    pub(in crate::switch) fn replica_policy(
        &mut self,
        from: Thread,
        original: RoomKey,
        policy: RoomPolicy,
    ) {
        let key = self.replicas.get(&(from, original));
        if let Some(room) = key.and_then(|key| self.rooms.get_mut(*key)) {
            room.policy = policy;
        }
    }

    /// A message to a room of which members are here.
    pub(in crate::switch) fn replicate(
        &mut self,
        now: Moment,
        from: Thread,
        original: RoomKey,
        entry: Arc<Entry>,
    ) {
        let Some(&key) = self.replicas.get(&(from, original)) else {
            // The last of them has just left.
            let parcel = Parcel::Taken(original, entry.cost());
            return self.exchange.post(from, parcel);
        };
        self.append(now, key, entry);
        // The owner waits from half an outbox on, of which it may not know a step.
        let behind = self.config.outbox_bytes / 2 - self.config.outbox_bytes / STEP;
        let room = self.rooms.get(key);
        if room.is_some_and(|room| room.log.octets() > behind || room.held.stragglers > 0) {
            self.keep_pace(now, key);
        }
    }

    /// Tells the owner what is taken, if that is so much: all but what waits for somebody it
    /// should wait for.
    pub(in crate::switch) fn report_taken(&mut self, key: RoomKey, waiting: u64, least: usize) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let passed = room.log.pushed().saturating_sub(waiting);
        if let Some(original) = &mut room.original
            && passed >= original.reported + least as u64
        {
            let octets = passed - std::mem::replace(&mut original.reported, passed);
            let parcel =
                Parcel::Taken(original.room, usize::try_from(octets).unwrap_or(usize::MAX));
            self.exchange.post(original.owner, parcel);
        }
    }

    /// The last member here of another thread's room has left.
    pub(in crate::switch) fn replica_ends(&mut self, original: Original, pushed: u64) {
        self.replicas.remove(&(original.owner, original.room));
        let octets = usize::try_from(pushed - original.reported).unwrap_or(usize::MAX);
        if octets > 0 {
            let parcel = Parcel::Taken(original.room, octets);
            self.exchange.post(original.owner, parcel);
        }
    }
}
