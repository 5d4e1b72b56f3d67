//! A roster rebuilt from conference-info documents as RFC 4575 §4.6 says.

use std::collections::BTreeSet;

/// What a subscriber knows of a room.
#[derive(Debug, Default)]
pub struct Roster {
    /// `state` of every document so far.
    pub kinds: Vec<String>,
}

impl Roster {
    /// Takes a document in: valid by the schema, in sequence, coherent.
    pub fn apply(&mut self, _body: &[u8]) {
        todo!()
    }

    /// The users with a connected endpoint.
    pub fn connected(&self) -> BTreeSet<String> {
        todo!()
    }

    /// Whether a document deleted this user.
    pub fn was_deleted(&self, _user: &str) -> bool {
        todo!()
    }

    /// The `disconnection-method` this user was last seen with.
    pub fn departure(&self, _user: &str) -> Option<&str> {
        todo!()
    }
}
