//! Rooms that management made: rows looked up on demand, so that a room nobody is in costs no
//! memory.

use crate::focus::Lifetime;
use std::collections::BTreeMap;

use crate::control::{PastMessage, RoomUri};
use crate::focus::record::{Change, Key, Record};
use crate::focus::room::policy::Policy;
use crate::focus::{Focus, Output, RoomEntry};
use crate::time::Moment;

/// Where such rooms are found. Every change of them goes out as [`Output::Store`] too; what
/// `keep` and `forget` say must be seen by `find` at once.
pub trait Rooms: Send {
    /// A room, if management made it.
    fn find(&self, room: &RoomUri) -> Option<RoomEntry>;
    /// There is this room from now on, in the place of one with the same URI.
    fn keep(&mut self, entry: &RoomEntry);
    /// There is no such room any more.
    fn forget(&mut self, room: &RoomUri);
    /// At most `limit` rooms after the first `offset`, by URI.
    fn page(&self, offset: usize, limit: usize) -> Vec<RoomEntry>;
    /// How many there are.
    fn count(&self) -> usize;
    /// The last messages of a room's history, `most` at most and [`HISTORY_OCTETS`], in
    /// order. Of any room: it need not be one that management made.
    ///
    /// [`HISTORY_OCTETS`]: crate::control::HISTORY_OCTETS
    fn history(&self, room: &RoomUri, most: u16) -> Vec<PastMessage>;
    /// A room's history is gone; `history` must see that at once.
    fn forget_history(&mut self, room: &RoomUri);
}

/// Rooms that last as long as the process.
#[derive(Debug, Default)]
pub struct MemoryRooms(BTreeMap<RoomUri, RoomEntry>);

impl Rooms for MemoryRooms {
    fn find(&self, room: &RoomUri) -> Option<RoomEntry> {
        self.0.get(room).cloned()
    }

    fn keep(&mut self, entry: &RoomEntry) {
        self.0.insert(entry.uri.clone(), entry.clone());
    }

    fn forget(&mut self, room: &RoomUri) {
        self.0.remove(room);
    }

    fn page(&self, offset: usize, limit: usize) -> Vec<RoomEntry> {
        self.0.values().skip(offset).take(limit).cloned().collect()
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    /// What the switch has is all there is.
    fn history(&self, _room: &RoomUri, _most: u16) -> Vec<PastMessage> {
        Vec::new()
    }

    fn forget_history(&mut self, _room: &RoomUri) {}
}

impl Focus {
    /// Looks rooms up there from now on.
    pub fn use_rooms(&mut self, rooms: Box<dyn Rooms>) {
        self.rooms.kept = rooms;
    }

    /// The rooms that management made.
    pub fn kept_rooms(&self) -> &dyn Rooms {
        self.rooms.kept.as_ref()
    }

    /// There is this room from now on, over restarts too; its rules take the place of those
    /// in the configuration. A running conference of it goes on under the new rules.
    pub fn keep_room(&mut self, now: Moment, entry: RoomEntry) {
        let room = entry.uri.clone();
        let policy = Policy::of_kept(&entry, self.config.max_participants);
        self.rooms.kept.keep(&entry);
        let change = Change::Put(Record::Room(Box::new(entry)));
        self.out.push(Output::Store(vec![change]));
        if let Some(conference) = self.rooms.conference_mut(&room) {
            conference.policy = policy;
            conference.described = conference.change();
            self.conference_changed(now, &room);
        }
    }

    /// Takes back [`Focus::keep_room`]; false when management has not made this room. A
    /// running conference of it ends with its last participant, unless the configuration has
    /// the room too.
    pub fn forget_room(&mut self, now: Moment, room: &RoomUri) -> bool {
        let Some(entry) = self.rooms.kept.find(room) else {
            return false;
        };
        self.rooms.kept.forget(room);
        let change = Change::Delete(Key::Room(room.clone()));
        self.out.push(Output::Store(vec![change]));
        let configured = self.rooms.configured.get(room).cloned();
        if let Some(conference) = self.rooms.conference_mut(room) {
            let passing = RoomEntry {
                lifetime: Lifetime::WhileOccupied,
                ..entry
            };
            let most = self.config.max_participants;
            conference.policy = configured.unwrap_or_else(|| Policy::of_entry(&passing, most));
            conference.described = conference.change();
            self.conference_changed(now, room);
            self.end_if_empty(now, room);
        }
        true
    }
}
