//! What management keeps of rooms, and the questions about it: the rows are looked up by whoever
//! keeps them, on a thread of its own, so that a room nobody is in costs no memory and nobody
//! waits for a disk.

use crate::control::{PastMessage, RoomUri, UserUri};
use crate::focus::{Pattern, Role, RoomEntry, RoomRules};
use serde::{Deserialize, Serialize};

/// What management keeps of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It has made the room.
    Made(Box<RoomEntry>),
    /// It has decided something about a room of the configuration.
    Decided(Box<Decisions>),
}

/// What management has decided about a room of the configuration: a difference, so that whatever
/// else stands in the configuration entry counts as it is edited.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decisions {
    /// The room.
    pub uri: RoomUri,
    /// Roles given.
    #[serde(default)]
    pub roles: Vec<(UserUri, Role)>,
    /// Patterns of who may not come in.
    #[serde(default)]
    pub denied: Vec<Pattern>,
    /// Patterns of the configuration's `deny` that do not count.
    #[serde(default)]
    pub undenied: Vec<Pattern>,
    /// Locked or unlocked.
    #[serde(default)]
    pub locked: Option<bool>,
}

/// One decision of management.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// A user has this role.
    Role(UserUri, Role),
    /// Nobody matching this may come in.
    Ban(Pattern),
    /// They may again.
    Unban(Pattern),
    /// Only moderators come in, or everybody.
    Lock(bool),
}

impl Ruling {
    /// Changes a room's own rules.
    pub(in crate::focus) fn change(&self, rules: &mut RoomRules) {
        match self {
            Self::Role(user, role) => give_role(&mut rules.roles, user, *role),
            Self::Ban(pattern) => add(&mut rules.deny, pattern),
            Self::Unban(pattern) => rules.deny.retain(|it| it != pattern),
            Self::Lock(locked) => rules.locked = *locked,
        }
    }
}

impl Decisions {
    /// None yet.
    pub fn new(uri: RoomUri) -> Self {
        Self {
            uri,
            roles: Vec::new(),
            denied: Vec::new(),
            undenied: Vec::new(),
            locked: None,
        }
    }

    /// The configuration's rules with all of them.
    pub(in crate::focus) fn amend(&self, rules: &mut RoomRules) {
        rules.roles.clone_from(&self.roles);
        rules.deny.retain(|it| !self.undenied.contains(it));
        rules.deny.extend(self.denied.iter().cloned());
        rules.locked = self.locked.unwrap_or(rules.locked);
    }

    /// One more, which takes the place of what it contradicts.
    pub(in crate::focus) fn decide(&mut self, ruling: &Ruling) {
        match ruling {
            Ruling::Role(user, role) => give_role(&mut self.roles, user, *role),
            Ruling::Ban(pattern) => {
                self.undenied.retain(|it| it != pattern);
                add(&mut self.denied, pattern);
            }
            Ruling::Unban(pattern) => {
                self.denied.retain(|it| it != pattern);
                add(&mut self.undenied, pattern);
            }
            Ruling::Lock(locked) => self.locked = Some(*locked),
        }
    }
}

fn give_role(roles: &mut Vec<(UserUri, Role)>, user: &UserUri, role: Role) {
    roles.retain(|(known, _)| known != user);
    roles.push((user.clone(), role));
}

fn add(patterns: &mut Vec<Pattern>, pattern: &Pattern) {
    if !patterns.contains(pattern) {
        patterns.push(pattern.clone());
    }
}

/// A question to whoever keeps records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// What management keeps of a room, and whether it has a history.
    Room(RoomUri),
    /// So many of the last messages of a room's history, and [`HISTORY_OCTETS`] at most.
    ///
    /// [`HISTORY_OCTETS`]: crate::control::HISTORY_OCTETS
    History(RoomUri, u16),
    /// Rooms that management made, by URI.
    Page {
        /// How many to leave out first.
        offset: usize,
        /// How many at most.
        limit: usize,
    },
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The question.
    pub query: Query,
    /// What there is.
    pub answer: Result<Content, Unreadable>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Of a room.
    Room {
        /// What management keeps.
        kept: Option<Kept>,
        /// It has a history.
        remembers: bool,
    },
    /// A history, in order.
    History(Vec<PastMessage>),
    /// A part of the rooms.
    Page(Vec<RoomEntry>),
}

/// It cannot be read. That is not the same as that there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database cannot be read")]
pub struct Unreadable;
