//! Rooms with members on several threads. The owner sends each message once to every thread that
//! has members of the room, where a replica holds it for them.
//!
//! The owner knows how much is queued at each replica, and speakers wait for a replica that is
//! behind as they do for a member (`backpressure`). A replica gives up waiting for its stragglers,
//! as the owner does for its own.

use std::sync::Arc;

use crate::control::RoomPolicy;
use crate::switch::Switch;
use crate::switch::ids::{RoomKey, Thread};
use crate::switch::message::entry::Entry;
use crate::switch::room::replica::{Original, STEP};
use crate::switch::threads::parcel::Parcel;
use crate::time::Moment;

impl Switch {
    /// A replica has delivered octets sent to it.
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

    pub(in crate::switch) fn replica_policy(
        &mut self,
        from: Thread,
        original: RoomKey,
        policy: RoomPolicy,
    ) {
        let key = self.rooms.replica(from, original);
        if let Some(room) = key.and_then(|key| self.rooms.get_mut(key)) {
            room.policy = policy;
        }
    }

    /// A message for a room that has members here.
    pub(in crate::switch) fn replicate(
        &mut self,
        now: Moment,
        from: Thread,
        original: RoomKey,
        entry: Arc<Entry>,
    ) {
        let Some(key) = self.rooms.replica(from, original) else {
            // The last member has just left.
            let parcel = Parcel::Taken(original, entry.cost());
            return self.exchange.post(from, parcel);
        };
        self.append(now, key, entry);
        // The owner starts to wait at half an outbox, and may lack one report.
        let behind = self.config.outbox_bytes / 2 - self.config.outbox_bytes / STEP;
        let room = self.rooms.get(key);
        if room.is_some_and(|room| room.log.octets() > behind || room.held.stragglers > 0) {
            self.keep_pace(now, key);
        }
    }

    /// Reports delivered octets to the owner once there are enough. Octets queued for members that
    /// the owner should wait for do not count as delivered.
    pub(in crate::switch) fn report_taken(&mut self, key: RoomKey, waiting: u64, least: usize) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        if let Some(octets) = room.newly_taken(waiting, least)
            && let Some(original) = room.original
        {
            let parcel = Parcel::Taken(original.room, octets);
            self.exchange.post(original.owner, parcel);
        }
    }

    /// The last member here of another thread's room has left.
    pub(in crate::switch) fn replica_ends(&mut self, original: Original, pushed: u64) {
        let octets = usize::try_from(pushed - original.reported).unwrap_or(usize::MAX);
        if octets > 0 {
            let parcel = Parcel::Taken(original.room, octets);
            self.exchange.post(original.owner, parcel);
        }
    }
}
