//! Rooms and decisions kept by management, and the queries for them. The store looks up the rows on
//! a thread of its own: an empty room costs no memory, and no request waits for a disk.

use crate::control::{PastMessage, RoomUri, UserUri};
use crate::focus::{Pattern, Role, RoomEntry, RoomRules};
use serde::{Deserialize, Serialize};

/// The entry of a room in management's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A room that it has made.
    Made(Box<RoomEntry>),
    /// Decisions about a room of the configuration.
    Decided(Box<Decisions>),
}

/// Decisions of management about a room of the configuration. They are stored as a difference, so
/// that edits of the configuration entry take effect otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decisions {
    /// The room.
    pub uri: RoomUri,
    /// Roles given by management.
    #[serde(default)]
    pub roles: Vec<(UserUri, Role)>,
    /// Patterns of banned users.
    #[serde(default)]
    pub denied: Vec<Pattern>,
    /// Patterns of the configuration's `deny` that no longer apply.
    #[serde(default)]
    pub undenied: Vec<Pattern>,
    /// Locked or unlocked; `None` without a decision.
    #[serde(default)]
    pub locked: Option<bool>,
}

/// One decision of management.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Give this role to a user.
    Role(UserUri, Role),
    /// Ban users who match this.
    Ban(Pattern),
    /// Lift such a ban.
    Unban(Pattern),
    /// Lock the room, so that only moderators come in, or unlock it.
    Lock(bool),
}

impl Ruling {
    /// Applies it to a room's own rules.
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
    /// No decisions yet.
    pub fn new(uri: RoomUri) -> Self {
        Self {
            uri,
            roles: Vec::new(),
            denied: Vec::new(),
            undenied: Vec::new(),
            locked: None,
        }
    }

    /// Applies them to the configuration's rules.
    pub(in crate::focus) fn amend(&self, rules: &mut RoomRules) {
        rules.roles.clone_from(&self.roles);
        rules.deny.retain(|it| !self.undenied.contains(it));
        rules.deny.extend(self.denied.iter().cloned());
        rules.locked = self.locked.unwrap_or(rules.locked);
    }

    /// Adds a decision, which replaces the ones it contradicts.
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

/// A query to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Management's entry of a room, and whether the room has a history.
    Room(RoomUri),
    /// The last messages of a room's history, at most this number and [`HISTORY_OCTETS`].
    ///
    /// [`HISTORY_OCTETS`]: crate::control::HISTORY_OCTETS
    History(RoomUri, u16),
    /// Rooms made by management, by URI.
    Page {
        /// Number of rooms to skip.
        offset: usize,
        /// Most rooms in the answer.
        limit: usize,
    },
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The query.
    pub query: Query,
    /// The result.
    pub answer: Result<Content, Unreadable>,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The result for a room.
    Room {
        /// Management's entry of it.
        kept: Option<Kept>,
        /// It has a history.
        remembers: bool,
    },
    /// A history, in order.
    History(Vec<PastMessage>),
    /// A page of rooms.
    Page(Vec<RoomEntry>),
}

/// The store cannot read it. This does not mean that it does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database cannot be read")]
pub struct Unreadable;
