//! The policy of a room: its rules, limits and origin.

use std::sync::Arc;

use crate::control::UserUri;
use crate::focus::record::Decisions;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::rejection::Verdict;
use crate::focus::{Lifetime, Pattern, Role, RoomRules};

/// The rules of one room, and the consequences of their origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) struct Policy {
    pub(in crate::focus) rules: RoomRules,
    /// The limit of the rules, else that of the configuration.
    pub(in crate::focus) max_participants: usize,
    /// Management keeps the room.
    pub(in crate::focus) kept: bool,
    /// The room's first caller makes it: ad hoc, or at a factory.
    pub(in crate::focus) made: bool,
}

impl Policy {
    /// The policy of a configured room.
    pub(in crate::focus) fn configured(rules: RoomRules, max_participants: usize) -> Self {
        Self {
            max_participants: rules.max_participants.unwrap_or(max_participants),
            rules,
            kept: false,
            made: false,
        }
    }

    /// The policy of a room kept by management.
    pub(in crate::focus) fn kept(rules: RoomRules, max_participants: usize) -> Self {
        Self {
            kept: true,
            ..Self::configured(rules, max_participants)
        }
    }

    /// The policy of a room made by its first caller.
    pub(in crate::focus) fn made(rules: RoomRules, max_participants: usize) -> Self {
        Self {
            made: true,
            ..Self::configured(rules, max_participants)
        }
    }

    /// The policy of an ad hoc room.
    pub(in crate::focus) fn adhoc(max_participants: usize) -> Self {
        let rules = RoomRules {
            lifetime: Lifetime::WhileOccupied,
            ..RoomRules::default()
        };
        Self::made(rules, max_participants)
    }

    /// The same with other rules.
    pub(in crate::focus) fn with(&self, change: impl FnOnce(&mut RoomRules)) -> Arc<Self> {
        let mut policy = self.clone();
        change(&mut policy.rules);
        Arc::new(policy)
    }

    /// The same policy with decisions of management applied.
    pub(in crate::focus) fn decided(&self, decisions: &Decisions) -> Arc<Self> {
        self.with(|rules| decisions.amend(rules))
    }

    /// The role that management gave a user.
    pub(in crate::focus) fn given_role(&self, user: &UserUri) -> Option<Role> {
        let given = self.rules.roles.iter().find(|(known, _)| known == user);
        given.map(|(_, role)| *role)
    }

    /// The role of a user by the room's lists.
    pub(in crate::focus) fn role(&self, user: &UserUri) -> Role {
        if let Some(role) = self.given_role(user) {
            role
        } else if any(&self.rules.moderators, user) {
            Role::Moderator
        } else if any(&self.rules.observers, user) {
            Role::Observer
        } else {
            Role::Participant
        }
    }

    /// Whether a user may come in at all.
    pub(in crate::focus) fn admits(&self, user: &UserUri) -> Verdict<()> {
        if any(&self.rules.deny, user) {
            return Err(Cause::Denied.into());
        }
        if !self.rules.allow.is_empty()
            && !any(&self.rules.allow, user)
            && !any(&self.rules.moderators, user)
        {
            return Err(Cause::NotListed.into());
        }
        Ok(())
    }
}

fn any(patterns: &[Pattern], user: &UserUri) -> bool {
    patterns.iter().any(|pattern| pattern.matches(user))
}
