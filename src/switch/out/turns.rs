//! The order in which connections are written. A message to a room of thousands causes as many
//! writes, so rooms take turns of a few members each. Between two such turns, single connections
//! write their output (responses, the rest of earlier writes).

use std::collections::VecDeque;

use crate::switch::ids::{ConnectionId, RoomKey};
use crate::switch::line::connections::Connections;
use crate::switch::room::rooms::Rooms;
use crate::switch::room::{Progress, Room};

/// Number of members of one room that are written to before the next room's turn: a few hundred
/// microseconds of work.
const MEMBERS: usize = 16;

/// The connections and rooms with output.
#[derive(Debug, Default)]
pub(in crate::switch) struct Turns {
    rooms: VecDeque<RoomKey>,
    /// Connections of the room that had the last turn.
    of_room: VecDeque<ConnectionId>,
    /// The last write was for a room's member.
    room_was_last: bool,
    /// Number of rooms with so much unwritten output that no more should be read for them.
    pressed: usize,
    /// A large part of a large message is unwritten.
    pub(in crate::switch) pressed_by_stream: bool,
}

impl Turns {
    /// Whether so much output is unwritten that it should be written before reading more.
    pub(in crate::switch) fn is_pressed(&self) -> bool {
        self.pressed > 0 || self.pressed_by_stream
    }

    /// A room has this many new octets.
    pub(in crate::switch) fn spread(
        &mut self,
        key: RoomKey,
        room: &mut Room,
        octets: usize,
        outbox_bytes: usize,
    ) {
        let progress = &mut room.progress;
        progress.fresh += octets;
        if progress.fresh > outbox_bytes / 4 && !progress.pressed {
            progress.pressed = true;
            self.pressed += 1;
        }
        match progress.next {
            None => {
                progress.next = Some(0);
                self.rooms.push_back(key);
            }
            Some(next) => progress.again |= next > 0,
        }
    }

    /// The room is empty.
    pub(in crate::switch) fn ends(&mut self, room: &mut Room) {
        let progress = std::mem::take(&mut room.progress);
        self.pressed -= usize::from(progress.pressed);
    }

    /// A panic may have interrupted anything: every room gets a turn.
    pub(in crate::switch) fn look_at_all(&mut self, rooms: &mut Rooms) {
        *self = Self::default();
        for key in rooms.keys() {
            if let Some(room) = rooms.get_mut(key) {
                room.progress = Progress::default();
                self.spread(key, room, 0, usize::MAX);
            }
        }
    }

    /// The next connection with output.
    pub(in crate::switch) fn next(
        &mut self,
        rooms: &mut Rooms,
        connections: &mut Connections,
    ) -> Option<ConnectionId> {
        self.room_was_last = !self.room_was_last;
        if !self.room_was_last
            && let Some(id) = connections.next_ready()
        {
            return Some(id);
        }
        while self.of_room.is_empty()
            && let Some(key) = self.rooms.pop_front()
        {
            if let Some(room) = rooms.get_mut(key) {
                self.next_members(key, room, connections);
            }
        }
        self.of_room
            .pop_front()
            .or_else(|| connections.next_ready())
    }

    /// Gives some members of a room their turn.
    fn next_members(&mut self, key: RoomKey, room: &mut Room, connections: &mut Connections) {
        let Some(from) = room.progress.next else {
            return;
        };
        if from == 0 {
            room.progress.fresh = 0;
            self.pressed -= usize::from(std::mem::take(&mut room.progress.pressed));
        }
        let members = room.members.here();
        let to = (from + MEMBERS).min(members.len());
        for member in members.get(from..to).unwrap_or_default() {
            let session = room.sessions.get(member.seat);
            if let Some(id) = session.and_then(|session| session.connection)
                && connections.mark(id)
            {
                self.of_room.push_back(id);
            }
        }
        let over = to >= members.len();
        let again = over && std::mem::take(&mut room.progress.again);
        room.progress.next = match (over, again) {
            (false, _) => Some(to),
            (true, true) => Some(0),
            (true, false) => None,
        };
        if room.progress.next.is_some() {
            self.rooms.push_back(key);
        }
    }
}
