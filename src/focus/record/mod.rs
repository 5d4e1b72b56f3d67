//! What of the focus survives a restart, one record a thing. Whoever keeps records knows how;
//! the focus only says what has changed.

use crate::control::RoomUri;
use crate::focus::RoomEntry;

/// One change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This is what it is from now on.
    Put(Record),
    /// It is gone.
    Delete(Key),
}

/// One thing that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A room that management made.
    Room(RoomEntry),
}

/// What a record is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A room that management made.
    Room(RoomUri),
}

impl Record {
    /// What it is found by.
    pub fn key(&self) -> Key {
        match self {
            Record::Room(entry) => Key::Room(entry.uri.clone()),
        }
    }
}
