//! The sessions in a room, by place and by address. No operation costs more in a room of thousands
//! than in a small one.

use std::collections::{BTreeMap, HashMap};

use crate::control::UserUri;
use crate::switch::ids::{SessionKey, SessionKeys};

/// The sessions of one room.
#[derive(Debug, Default)]
pub(in crate::switch) struct Members {
    here: Vec<SessionKey>,
    /// Sessions whose connection lives on another thread.
    abroad: Vec<SessionKey>,
    /// Sessions of each user, as the roster shows them.
    users: BTreeMap<UserUri, u32>,
    /// Sessions by each address of their users.
    by_uri: HashMap<UserUri, SessionKeys>,
}

impl Members {
    /// Adds a session; its place is valid until another session takes it.
    pub(in crate::switch) fn enter(&mut self, key: SessionKey) -> usize {
        self.here.push(key);
        self.here.len() - 1
    }

    /// Adds a session that lives on another thread; its place is one among these.
    pub(in crate::switch) fn enter_abroad(&mut self, key: SessionKey) -> usize {
        self.abroad.push(key);
        self.abroad.len() - 1
    }

    /// Removes a session; the last one, which is returned, takes its place.
    pub(in crate::switch) fn leave(&mut self, place: usize, key: SessionKey) -> Option<SessionKey> {
        take_out(&mut self.here, place, key)
    }

    /// Removes one that lives on another thread.
    pub(in crate::switch) fn leave_abroad(
        &mut self,
        place: usize,
        key: SessionKey,
    ) -> Option<SessionKey> {
        take_out(&mut self.abroad, place, key)
    }

    /// Indexes a session by these addresses.
    pub(in crate::switch) fn name(&mut self, key: SessionKey, user: &UserUri, uris: &[UserUri]) {
        *self.users.entry(user.clone()).or_default() += 1;
        for uri in uris {
            self.by_uri.entry(uri.clone()).or_default().push(key);
        }
    }

    /// Removes a session from the index of these addresses.
    pub(in crate::switch) fn unname(&mut self, key: SessionKey, user: &UserUri, uris: &[UserUri]) {
        if let Some(sessions) = self.users.get_mut(user) {
            *sessions -= 1;
            if *sessions == 0 {
                self.users.remove(user);
            }
        }
        for uri in uris {
            if let Some(sessions) = self.by_uri.get_mut(uri) {
                sessions.remove(key);
                if sessions.is_empty() {
                    self.by_uri.remove(uri);
                }
            }
        }
    }

    /// Number of sessions, on this thread and others.
    pub(in crate::switch) fn len(&self) -> usize {
        self.here.len() + self.abroad.len()
    }

    pub(in crate::switch) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sessions without a connection, or with one on this thread.
    pub(in crate::switch) fn here(&self) -> &[SessionKey] {
        &self.here
    }

    pub(in crate::switch) fn all(&self) -> impl Iterator<Item = SessionKey> {
        self.here.iter().chain(&self.abroad).copied()
    }

    /// The sessions of the user with this address.
    pub(in crate::switch) fn called(&self, uri: &str) -> &[SessionKey] {
        self.by_uri.get(uri).map_or(&[], |keys| keys)
    }

    pub(in crate::switch) fn has(&self, user: &UserUri) -> bool {
        self.users.contains_key(user)
    }

    /// The users, in the order of their addresses.
    pub(in crate::switch) fn users(&self) -> impl ExactSizeIterator<Item = &UserUri> {
        self.users.keys()
    }
}

fn take_out(places: &mut Vec<SessionKey>, place: usize, key: SessionKey) -> Option<SessionKey> {
    if places.get(place) != Some(&key) {
        return None;
    }
    places.swap_remove(place);
    places.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::ids::{RoomKey, Seat, Table};

    #[test]
    fn who_leaves_is_found_no_more_and_nobody_else_is_lost() {
        let mut table: Table<Seat, ()> = Table::default();
        let mut members = Members::default();
        let uri = |number: usize| UserUri::new(format!("sip:user{number}@x"));
        let mut places = HashMap::new();
        let keys: Vec<_> = (0..100)
            .map(|number| {
                let seat = table.insert(());
                let room = RoomKey::default();
                let key = SessionKey { room, seat };
                let user = uri(number / 2);
                let place = members.enter(key);
                members.name(key, &user, std::slice::from_ref(&user));
                places.insert(key, place);
                key
            })
            .collect();
        assert_eq!((members.len(), members.users().len()), (100, 50));
        for number in (0..100).step_by(3) {
            let (key, user) = (keys[number], uri(number / 2));
            members.unname(key, &user, std::slice::from_ref(&user));
            if let Some(moved) = members.leave(places[&key], key) {
                places.insert(moved, places[&key]);
            }
            assert!(!members.called(user.as_str()).contains(&key));
        }
        for (number, key) in keys.iter().enumerate() {
            let stays = number % 3 != 0;
            let user = uri(number / 2);
            assert_eq!(members.called(user.as_str()).contains(key), stays);
            assert_eq!(members.here().get(places[key]) == Some(key), stays);
        }
        assert!(members.has(&uri(1)) && !members.has(&uri(50)));
    }
}
