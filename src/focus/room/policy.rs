//! Who may do what in a room.

use crate::focus::About;
use crate::focus::Lifetime;
use crate::focus::Pattern;
use crate::focus::Role;
use crate::focus::sip::cause::Cause;
use std::sync::Arc;

use crate::control::{RoomUri, UserUri};
use crate::focus::RoomEntry;
use crate::focus::record::Decisions;
use crate::focus::sip::rejection::Verdict;

/// The rules of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) struct Policy {
    pub(in crate::focus) max_participants: usize,
    pub(in crate::focus) nicknames: bool,
    pub(in crate::focus) private_messages: bool,
    pub(in crate::focus) subscribe_participants_only: bool,
    pub(in crate::focus) moderators: Vec<Pattern>,
    pub(in crate::focus) observers: Vec<Pattern>,
    /// Roles the operator gave, before what the lists say.
    pub(in crate::focus) roles: Vec<(UserUri, Role)>,
    pub(in crate::focus) allow: Vec<Pattern>,
    pub(in crate::focus) deny: Vec<Pattern>,
    pub(in crate::focus) locked: bool,
    pub(in crate::focus) one_device: bool,
    pub(in crate::focus) only_moderators_invite: bool,
    pub(in crate::focus) lifetime: Lifetime,
    pub(in crate::focus) only_tls: bool,
    pub(in crate::focus) plain_text: bool,
    /// How many of the last messages a newcomer is given.
    pub(in crate::focus) history: u16,
    pub(in crate::focus) about: About,
    /// It is that of a room which management keeps.
    pub(in crate::focus) kept: bool,
    /// Its first caller makes the room: ad hoc, or at a factory.
    pub(in crate::focus) made: bool,
}

impl Policy {
    /// The policy of a configured room or factory.
    pub(in crate::focus) fn of_entry(entry: &RoomEntry, max_participants: usize) -> Arc<Self> {
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
            made: false,
        })
    }

    /// The policy of a room that management keeps.
    pub(in crate::focus) fn of_kept(entry: &RoomEntry, max_participants: usize) -> Arc<Self> {
        let mut policy = Self::of_entry(entry, max_participants);
        Arc::make_mut(&mut policy).kept = true;
        policy
    }

    /// The same rules with what management decided on top of them.
    pub(in crate::focus) fn with(&self, decisions: &Decisions) -> Self {
        let mut rules = self.clone();
        let Decisions {
            uri: _,
            roles,
            denied,
            undenied,
            locked,
        } = decisions;
        rules.roles.clone_from(roles);
        rules.deny.retain(|pattern| !undenied.contains(pattern));
        rules.deny.extend(denied.iter().cloned());
        rules.locked = locked.unwrap_or(self.locked);
        rules
    }

    /// The rules as an entry for a room.
    pub(in crate::focus) fn entry(&self, uri: RoomUri) -> RoomEntry {
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
    pub(in crate::focus) fn adhoc(room: &RoomUri, max_participants: usize) -> Arc<Self> {
        let entry = RoomEntry {
            lifetime: Lifetime::WhileOccupied,
            ..RoomEntry::new(room.clone())
        };
        Self::of_made(&entry, max_participants)
    }

    /// The policy of a room that its first caller makes.
    pub(in crate::focus) fn of_made(entry: &RoomEntry, max_participants: usize) -> Arc<Self> {
        let mut policy = Self::of_entry(entry, max_participants);
        Arc::make_mut(&mut policy).made = true;
        policy
    }

    /// The role that management gave somebody.
    pub(in crate::focus) fn given_role(&self, user: &UserUri) -> Option<Role> {
        let given = self.roles.iter().find(|(known, _)| known == user);
        given.map(|(_, role)| *role)
    }

    /// The role somebody has by the room's lists.
    pub(in crate::focus) fn role(&self, user: &UserUri) -> Role {
        if let Some(role) = self.given_role(user) {
            role
        } else if any(&self.moderators, user) {
            Role::Moderator
        } else if any(&self.observers, user) {
            Role::Observer
        } else {
            Role::Participant
        }
    }

    /// Whether somebody may come in at all.
    pub(in crate::focus) fn admits(&self, user: &UserUri) -> Verdict<()> {
        if any(&self.deny, user) {
            return Err(Cause::Denied.into());
        }
        if !self.allow.is_empty() && !any(&self.allow, user) && !any(&self.moderators, user) {
            return Err(Cause::NotListed.into());
        }
        Ok(())
    }
}

fn any(patterns: &[Pattern], user: &UserUri) -> bool {
    patterns.iter().any(|pattern| pattern.matches(user))
}
