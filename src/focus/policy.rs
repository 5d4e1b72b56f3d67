//! Who may do what in a room.

use std::sync::Arc;

use super::RoomEntry;
use super::config::About;
use super::refusal::{Refusal, Verdict};
use crate::control::{RoomUri, UserUri};

/// What somebody is in a conference.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Role {
    /// Reads only (`a=recvonly` seen from it).
    Observer,
    /// Talks.
    Participant,
    /// May also invite lists, remove, lock.
    Moderator,
}

impl Role {
    /// Its name in conference-info and in the script.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Observer, Self::Participant, Self::Moderator]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// When a conference ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Lifetime {
    /// Never: the room outlives its participants.
    Forever,
    /// With its last participant.
    WhileOccupied,
    /// When its creator leaves (RFC 4579 §5.12), or everybody.
    WhileCreatorStays,
}

/// Addresses of record, with `*` for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Pattern(String);

impl Pattern {
    /// Takes a pattern as the operator wrote it; without scheme `sip:` is meant.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        if text.starts_with("sip:") || text.starts_with("tel:") || text.starts_with('*') {
            Self(text.to_owned())
        } else {
            Self(format!("sip:{text}"))
        }
    }

    /// The pattern, with its scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a user fits.
    pub fn matches(&self, user: &UserUri) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts
            .next()
            .and_then(|first| user.as_str().strip_prefix(first))
        else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

/// The rules of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) max_participants: usize,
    pub(super) nicknames: bool,
    pub(super) private_messages: bool,
    pub(super) subscribe_participants_only: bool,
    pub(super) moderators: Vec<Pattern>,
    pub(super) observers: Vec<Pattern>,
    /// Roles the operator gave, before what the lists say.
    pub(super) roles: Vec<(UserUri, Role)>,
    pub(super) allow: Vec<Pattern>,
    pub(super) deny: Vec<Pattern>,
    pub(super) locked: bool,
    pub(super) one_device: bool,
    pub(super) only_moderators_invite: bool,
    pub(super) lifetime: Lifetime,
    pub(super) only_tls: bool,
    pub(super) plain_text: bool,
    /// How many of the last messages a newcomer is given.
    pub(super) history: u16,
    pub(super) about: About,
    /// It is that of a room which management keeps.
    pub(super) kept: bool,
}

impl Policy {
    /// The policy of a configured room or factory.
    pub(super) fn of_entry(entry: &RoomEntry, max_participants: usize) -> Arc<Self> {
        Arc::new(Self {
            max_participants: entry.max_participants.unwrap_or(max_participants),
            nicknames: entry.nicknames,
            private_messages: entry.private_messages,
            subscribe_participants_only: entry.subscribe_participants_only,
            moderators: entry.moderators.clone(),
            observers: entry.observers.clone(),
            roles: entry.roles.clone(),
            allow: entry.allow.clone(),
            deny: entry.deny.clone(),
            locked: entry.locked,
            one_device: entry.one_device,
            only_moderators_invite: entry.only_moderators_invite,
            lifetime: entry.lifetime,
            only_tls: entry.only_tls,
            plain_text: entry.plain_text,
            history: entry.history,
            about: entry.about.clone(),
            kept: false,
        })
    }

    /// The policy of a room that management keeps.
    pub(super) fn of_kept(entry: &RoomEntry, max_participants: usize) -> Arc<Self> {
        let mut policy = Self::of_entry(entry, max_participants);
        Arc::make_mut(&mut policy).kept = true;
        policy
    }

    /// The rules as an entry for a room.
    pub(super) fn entry(&self, uri: RoomUri) -> RoomEntry {
        RoomEntry {
            uri,
            max_participants: Some(self.max_participants),
            nicknames: self.nicknames,
            private_messages: self.private_messages,
            subscribe_participants_only: self.subscribe_participants_only,
            moderators: self.moderators.clone(),
            observers: self.observers.clone(),
            roles: self.roles.clone(),
            allow: self.allow.clone(),
            deny: self.deny.clone(),
            locked: self.locked,
            one_device: self.one_device,
            only_moderators_invite: self.only_moderators_invite,
            lifetime: self.lifetime,
            only_tls: self.only_tls,
            plain_text: self.plain_text,
            history: self.history,
            about: self.about.clone(),
            made: None,
        }
    }

    /// The policy of an ad hoc room.
    pub(super) fn adhoc(room: &RoomUri, max_participants: usize) -> Arc<Self> {
        let entry = RoomEntry {
            lifetime: Lifetime::WhileOccupied,
            ..RoomEntry::new(room.clone())
        };
        Self::of_entry(&entry, max_participants)
    }

    /// The role somebody has by the room's lists.
    pub(super) fn role(&self, user: &UserUri) -> Role {
        let given = self.roles.iter().find(|(known, _)| known == user);
        if let Some((_, role)) = given {
            *role
        } else if any(&self.moderators, user) {
            Role::Moderator
        } else if any(&self.observers, user) {
            Role::Observer
        } else {
            Role::Participant
        }
    }

    /// Whether somebody may come in at all.
    pub(super) fn admits(&self, user: &UserUri) -> Verdict<()> {
        if any(&self.deny, user) {
            return Err(Refusal::new(403).because("not welcome in this room"));
        }
        if !self.allow.is_empty() && !any(&self.allow, user) && !any(&self.moderators, user) {
            return Err(Refusal::new(403).because("not on the list of this room"));
        }
        Ok(())
    }
}

fn any(patterns: &[Pattern], user: &UserUri) -> bool {
    patterns.iter().any(|pattern| pattern.matches(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_addresses() {
        let alice = UserUri::new("sip:alice@example.com");
        for pattern in [
            "sip:alice@example.com",
            "alice@example.com",
            "*@example.com",
            "*",
            "sip:al*@*.com",
            "*alice*",
        ] {
            assert!(Pattern::new(pattern).matches(&alice), "{pattern}");
        }
        for pattern in [
            "sip:alice@example.co",
            "*@example.org",
            "sip:bob*",
            "lice@example.com",
            "sip:a*b*c*d",
        ] {
            assert!(!Pattern::new(pattern).matches(&alice), "{pattern}");
        }
    }
}
