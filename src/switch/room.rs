//! One room at the switch: who is in it, and what is on its way to them.

use std::collections::HashMap;

use crate::control::{RoomPolicy, RoomUri, UserUri};

use super::backlog::Backlog;
use super::ids::SessionKey;

/// A room with at least one session.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) uri: RoomUri,
    pub(super) policy: RoomPolicy,
    pub(super) members: Vec<SessionKey>,
    pub(super) backlog: Backlog,
    /// It stands in the list of rooms with something new.
    pub(super) dirty: bool,
    /// Octets appended since the members were last looked at.
    pub(super) fresh_octets: usize,
    pub(super) nicknames: HashMap<UserUri, Nickname>,
}

/// A nickname in use.
#[derive(Debug)]
pub(super) struct Nickname {
    /// As the user wrote it.
    pub(super) written: Box<str>,
    /// The form in which nicknames are compared (RFC 7700).
    pub(super) compared: String,
}

impl Room {
    pub(super) fn new(uri: RoomUri, policy: RoomPolicy) -> Self {
        Self {
            uri,
            policy,
            members: Vec::new(),
            backlog: Backlog::default(),
            dirty: false,
            fresh_octets: 0,
            nicknames: HashMap::new(),
        }
    }
}
