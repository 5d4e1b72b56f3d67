//! Which connection is written to next. A message to a room of thousands is as many writes:
//! rooms take turns, a few members each, and between two of them goes what is for a single
//! connection (responses, the rest of what did not fit into one write).

use std::collections::VecDeque;

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, RoomKey};

/// Members of one room that are written to before another room has its turn: a few hundred
/// microseconds.
const MEMBERS: usize = 16;

/// The connections and rooms that have something to write.
#[derive(Debug, Default)]
pub(in crate::switch) struct Turns {
    rooms: VecDeque<RoomKey>,
    /// Connections of the room whose turn it was last.
    of_room: VecDeque<ConnectionId>,
    single: VecDeque<ConnectionId>,
    /// A room's member was written to last.
    room_was_last: bool,
    /// Rooms in which so much is new that nothing more should be read for them.
    pressed: usize,
    /// Much of a large message has not been written to anybody.
    pub(in crate::switch) pressed_by_stream: bool,
}

/// How far a room's news have got.
#[derive(Debug, Default)]
pub(in crate::switch) struct Spread {
    /// The member that is next; none: nothing is new.
    next: Option<usize>,
    /// Something came, or somebody left, while it was under way: everybody once more.
    again: bool,
    /// Octets that came since it last began.
    fresh: usize,
    pressed: bool,
}

impl Switch {
    /// Whether so much is new in some room that it should be written before anything is
    /// taken from other threads.
    pub fn pressed(&self) -> bool {
        self.turns.pressed > 0 || self.turns.pressed_by_stream
    }

    /// Whether what was last read from a connection is on its way to some of its room and not
    /// yet to all, or is much: more is read once it is there, so that nobody's outbox overflows
    /// because others had their turn first.
    pub fn holds_back(&self, id: ConnectionId) -> bool {
        let said_in = self.connections.get(id).and_then(|it| it.said_in);
        let room = said_in.and_then(|room| self.rooms.get(room));
        room.is_some_and(|room| {
            let spread = &room.spread;
            spread.pressed || spread.next.is_some_and(|next| next > 0)
        })
    }

    /// Something is new in a room, so many octets of it.
    pub(in crate::switch) fn spread(&mut self, key: RoomKey, octets: usize) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let spread = &mut room.spread;
        spread.fresh += octets;
        if spread.fresh > self.config.outbox_bytes / 4 && !spread.pressed {
            spread.pressed = true;
            self.turns.pressed += 1;
        }
        match spread.next {
            None => {
                spread.next = Some(0);
                self.turns.rooms.push_back(key);
            }
            Some(next) => spread.again |= next > 0,
        }
    }

    /// Members stand in other places now.
    pub(in crate::switch) fn members_moved(&mut self, key: RoomKey) {
        if let Some(room) = self.rooms.get_mut(key) {
            room.spread.again |= room.spread.next.is_some_and(|next| next > 0);
        }
    }

    /// The room is no more.
    pub(in crate::switch) fn ends_spread(&mut self, spread: &Spread) {
        self.turns.pressed -= usize::from(spread.pressed);
    }

    pub(in crate::switch) fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !std::mem::replace(&mut connection.dirty, true)
        {
            self.turns.single.push_back(id);
        }
    }

    /// A panic may have interrupted anything: everybody has a turn.
    pub fn look_at_all(&mut self) {
        self.fail_served();
        self.turns = Turns::default();
        for key in self.rooms.keys() {
            if let Some(room) = self.rooms.get_mut(key) {
                room.spread = Spread::default();
            }
            self.spread(key, 0);
        }
        for id in self.connections.keys() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.dirty = false;
            }
            self.mark_dirty(id);
        }
    }

    /// There is more to write for a connection than went out with one write.
    pub fn goes_on(&mut self, id: ConnectionId) {
        self.mark_dirty(id);
    }

    /// The next connection that has something to write and can.
    pub fn poll_dirty(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.next_dirty() {
            let Some(connection) = self.connections.get_mut(id) else {
                continue;
            };
            connection.dirty = false;
            if connection.blocked.is_none() {
                return Some(id);
            }
        }
        self.written();
        None
    }

    /// What [`Self::transmit`] gave so far is written, as far as it will be for now: nothing
    /// more of it is taken back.
    pub fn written(&mut self) {
        self.turns.pressed_by_stream = false;
        self.tidy_streams();
    }

    fn next_dirty(&mut self) -> Option<ConnectionId> {
        let turns = &mut self.turns;
        turns.room_was_last = !turns.room_was_last;
        if !turns.room_was_last
            && let Some(id) = turns.single.pop_front()
        {
            return Some(id);
        }
        while self.turns.of_room.is_empty() && !self.turns.rooms.is_empty() {
            self.next_room();
        }
        let turns = &mut self.turns;
        turns
            .of_room
            .pop_front()
            .or_else(|| turns.single.pop_front())
    }

    /// Some members of the next room have their turn.
    fn next_room(&mut self) {
        let Some(key) = self.turns.rooms.pop_front() else {
            return;
        };
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let Some(from) = room.spread.next else {
            return;
        };
        if from == 0 {
            room.spread.fresh = 0;
            self.turns.pressed -= usize::from(std::mem::take(&mut room.spread.pressed));
        }
        let to = (from + MEMBERS).min(room.members.here().len());
        for member in room.members.here().get(from..to).unwrap_or_default() {
            let session = self.sessions.get(*member);
            let connection = session.and_then(|session| session.connection);
            if let Some(id) = connection
                && let Some(connection) = self.connections.get_mut(id)
                && !std::mem::replace(&mut connection.dirty, true)
            {
                self.turns.of_room.push_back(id);
            }
        }
        let over = to >= room.members.here().len();
        let again = over && std::mem::take(&mut room.spread.again);
        room.spread.next = match (over, again) {
            (false, _) => Some(to),
            (true, true) => Some(0),
            (true, false) => None,
        };
        if room.spread.next.is_some() {
            self.turns.rooms.push_back(key);
        }
    }
}
