//! Ids of places in the switch's tables. Places are reused, so each id carries the number of its
//! use: a stale id finds nothing.

use std::num::NonZeroU32;
use std::ops::Deref;

use slab::Slab;

macro_rules! place {
    ($(#[$doc:meta])* $visibility:vis $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name {
            slot: u32,
            /// Never zero, so that an `Option` takes no more room.
            generation: NonZeroU32,
        }

        /// Matches no entry: no table has so many places.
        impl Default for $name {
            fn default() -> Self {
                Self::new(u32::MAX, NonZeroU32::MIN)
            }
        }

        impl Place for $name {
            fn new(slot: u32, generation: NonZeroU32) -> Self {
                Self { slot, generation }
            }
            fn slot(self) -> usize {
                self.slot as usize
            }
            fn generation(self) -> NonZeroU32 {
                self.generation
            }
        }
    };
}

place! {
    /// A connection, as the switch and its driver call it. Two connections have different ids
    /// unless 2³² openings lie between them.
    pub ConnectionId
}
place! {
    /// A session's place in its room.
    pub(super) Seat
}
place! {
    /// A room inside the switch.
    pub(super) RoomKey
}
place! {
    /// A large message that is passed on while it comes in.
    pub(super) StreamKey
}

/// A session inside the switch: its room, and its place there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SessionKey {
    pub(super) room: RoomKey,
    pub(super) seat: Seat,
}

/// A set of sessions, mostly of one: a single session takes no extra memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum SessionKeys {
    #[default]
    None,
    One(SessionKey),
    #[expect(
        clippy::box_collection,
        reason = "a vector in place would double the size"
    )]
    Many(Box<Vec<SessionKey>>),
}

impl SessionKeys {
    pub(super) fn push(&mut self, key: SessionKey) {
        match self {
            Self::None => *self = Self::One(key),
            Self::One(first) => *self = Self::Many(Box::new(vec![*first, key])),
            Self::Many(keys) => keys.push(key),
        }
    }

    pub(super) fn remove(&mut self, key: SessionKey) {
        match self {
            Self::One(only) if *only == key => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(keys) => {
                keys.retain(|it| *it != key);
                if let [only] = keys[..] {
                    *self = Self::One(only);
                } else if keys.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }
}

impl Deref for SessionKeys {
    type Target = [SessionKey];

    fn deref(&self) -> &[SessionKey] {
        match self {
            Self::None => &[],
            Self::One(key) => std::slice::from_ref(key),
            Self::Many(keys) => keys,
        }
    }
}

/// An instance of the switch: one on each thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thread(pub u16);

impl ConnectionId {
    /// The place in a table; small, dense, used again after the connection closed.
    pub fn index(self) -> usize {
        self.slot as usize
    }
}

/// A connection, wherever it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Speaker {
    pub(super) thread: Thread,
    pub(super) connection: ConnectionId,
}

/// Octets of a message that count for the speaker's connection until the message is delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    pub(super) speaker: Speaker,
    pub(super) octets: usize,
}

/// An id that names a place and its use.
pub(super) trait Place: Copy {
    fn new(slot: u32, generation: NonZeroU32) -> Self;
    fn slot(self) -> usize;
    fn generation(self) -> NonZeroU32;
}

/// A table whose ids go stale safely.
#[derive(Debug)]
pub(super) struct Table<K, T> {
    slab: Slab<(NonZeroU32, T)>,
    generation: NonZeroU32,
    key: std::marker::PhantomData<fn() -> K>,
}

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Self {
            slab: Slab::new(),
            generation: NonZeroU32::MIN,
            key: std::marker::PhantomData,
        }
    }
}

impl<K: Place, T> Table<K, T> {
    /// Grows by an eighth: doubling would waste memory in most rooms.
    pub(super) fn insert(&mut self, value: T) -> K {
        if self.slab.len() == self.slab.capacity() {
            self.slab.reserve_exact(1 + self.slab.len() / 8);
        }
        self.generation = self.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let slot = self.slab.insert((self.generation, value));
        K::new(u32::try_from(slot).unwrap_or(u32::MAX), self.generation)
    }

    pub(super) fn get(&self, key: K) -> Option<&T> {
        match self.slab.get(key.slot()) {
            Some((generation, value)) if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        match self.slab.get_mut(key.slot()) {
            Some((generation, value)) if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slab.iter_mut().map(|(_, (_, value))| value)
    }

    pub(super) fn keys(&self) -> Vec<K> {
        let places = self.slab.iter();
        places
            .map(|(slot, (generation, _))| K::new(slot as u32, *generation))
            .collect()
    }

    pub(super) fn remove(&mut self, key: K) -> Option<T> {
        self.get(key)?;
        self.slab.try_remove(key.slot()).map(|(_, value)| value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_outlived_its_thing_finds_nothing() {
        let mut table: Table<Seat, &str> = Table::default();
        let first = table.insert("first");
        assert_eq!(table.remove(first), Some("first"));
        let second = table.insert("second");
        assert_eq!(first.slot(), second.slot());
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&"second"));
    }
}
