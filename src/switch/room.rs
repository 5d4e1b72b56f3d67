//! One room at the switch: who is in it, and what is on its way to them.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use crate::control::{RoomPolicy, RoomUri, UserUri};

use super::backlog::Backlog;
use super::ids::SessionKey;

/// How many of the last messages of a room are known again when they come a second time: what
/// a client may have had on the way when its connection broke.
const REMEMBERED: usize = 128;
/// How much of a message tells it from another one with the same Message-ID.
const TOLD_BY: usize = 512;

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
    /// Fingerprints of the last messages.
    seen: VecDeque<u64>,
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
            seen: VecDeque::new(),
        }
    }

    /// What a message is known by when it is sent again, on a replacement session with the
    /// same Message-ID (RFC 4975 §5.4, C32). Clients that never change their Message-ID exist:
    /// the first octets must be the same, too.
    pub(super) fn fingerprint(&self, user: &UserUri, name: &str, octets: &[u8]) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        (user, name).hash(&mut hasher);
        hasher.write(octets.get(..TOLD_BY).unwrap_or(octets));
        hasher.finish()
    }

    pub(super) fn has_seen(&self, fingerprint: u64) -> bool {
        self.seen.contains(&fingerprint)
    }

    /// Takes note of a message that has come whole.
    pub(super) fn note(&mut self, fingerprint: u64) {
        if self.seen.len() >= REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(fingerprint);
    }
}
