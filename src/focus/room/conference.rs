//! Conferences, their participants and their endpoints.

use crate::focus::ids::{EndpointId, InvitationId};
use crate::focus::room::changes::Changes;
use crate::focus::room::invitation::Invitation;
use crate::focus::room::participant::Participant;
use crate::focus::room::publications::Publications;
use crate::focus::{Lifetime, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::{Admission, RoomUri, SwitchRun, UserUri};
use crate::focus::dirty_map::DirtyMap;
use crate::focus::room::policy::Policy;
use crate::focus::sip::face::shortened;
use crate::time::Moment;
use crate::wire::sip::Headers;

/// Subject of a conference, and its identity as a group session of RCS clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Subject.
    pub(in crate::focus) subject: Option<String>,
    /// Contribution-ID: stays the same over every rejoin.
    pub(in crate::focus) contribution: Option<String>,
    /// Conversation-ID: the thread.
    pub(in crate::focus) conversation: Option<String>,
}

impl Identity {
    /// The identity in these headers.
    pub(in crate::focus) fn of(headers: &Headers) -> Self {
        let value = |name| headers.first(name).map(str::to_owned);
        Self {
            subject: value("Subject").map(shortened),
            contribution: value("Contribution-ID"),
            conversation: value("Conversation-ID"),
        }
    }

    /// Adds it to the headers for an invited party.
    pub(in crate::focus) fn announce(&self, mut headers: Headers) -> Headers {
        for (name, value) in [
            ("Subject", &self.subject),
            ("Contribution-ID", &self.contribution),
            ("Conversation-ID", &self.conversation),
        ] {
            if let Some(value) = value {
                headers.push(name, value.clone());
            }
        }
        headers
    }
}

/// Most users remembered as having left a conference by BYE. An RCS group is smaller; a user beyond
/// the limit may come back by INVITE instead of getting 403.
const MAX_LEFT: usize = 1_000;

/// A running conference of a room.
#[derive(Debug)]
pub(in crate::focus) struct Conference {
    pub(in crate::focus) room: RoomUri,
    pub(in crate::focus) policy: Arc<Policy>,
    pub(in crate::focus) locked: bool,
    /// Identity from the INVITE that made the conference.
    pub(in crate::focus) identity: Identity,
    /// Users who left by BYE, if the conference has a Contribution-ID.
    pub(in crate::focus) left: DirtyMap<UserUri, ()>,
    /// The first participant, where that decides the end of the conference or its moderator.
    pub(in crate::focus) creator: Option<UserUri>,
    /// The user whose INVITE made the conference, unless its room exists without one.
    pub(in crate::focus) maker: Option<UserUri>,
    /// Participants and invited users, by address of record; invited users have no endpoints.
    pub(in crate::focus) participants: DirtyMap<UserUri, Participant>,
    /// Its endpoints, including those that are joining.
    pub(in crate::focus) endpoints: BTreeSet<EndpointId>,
    /// Parties being invited.
    pub(in crate::focus::room) invitations: BTreeMap<InvitationId, Invitation>,
    /// Users whose first join still waits for the switch; they count against the maximum.
    pub(in crate::focus) joining: BTreeMap<EndpointId, UserUri>,
    /// Number of invitations per inviter.
    ringing: BTreeMap<UserUri, usize>,
    /// Changes that subscribers must see.
    pub(in crate::focus) changes: Changes,
    /// It has too many participants to list all of them (`roster_limit`).
    crowded: bool,
    pub(in crate::focus) publications: Publications,
    /// When the first participant joined; `None` without participants.
    pub(in crate::focus) begun: Option<Moment>,
    /// Messages sent, for a room that does not outlast its conference.
    pub(in crate::focus) messages: u64,
    /// The run of the switch that got the room's history.
    pub(in crate::focus) recalled: Option<SwitchRun>,
    /// Sessions that wait for the look-up of the room's history.
    pub(in crate::focus) recalling: Option<Vec<Admission>>,
    /// The last NOTIFYs are being sent.
    pub(in crate::focus) ending: bool,
}

impl Conference {
    /// A conference without participants.
    pub(in crate::focus) fn new(room: RoomUri, policy: Arc<Policy>) -> Self {
        Self {
            room,
            locked: policy.rules.locked,
            policy,
            identity: Identity::default(),
            left: DirtyMap::default(),
            creator: None,
            maker: None,
            participants: DirtyMap::default(),
            endpoints: BTreeSet::new(),
            invitations: BTreeMap::new(),
            joining: BTreeMap::new(),
            ringing: BTreeMap::new(),
            changes: Changes::default(),
            crowded: false,
            publications: Publications::default(),
            begun: None,
            messages: 0,
            recalled: None,
            recalling: None,
            ending: false,
        }
    }

    /// Whether the room has a place for this user. A participant always has one for a further
    /// device; invited users hold none.
    pub(in crate::focus) fn has_place_for(&self, user: &UserUri) -> bool {
        let joining = self.joining.values();
        let new: BTreeSet<_> = joining.filter(|it| *it != user && !self.has(it)).collect();
        self.has(user) || self.present() + new.len() < self.policy.max_participants
    }

    /// Makes the first participant the creator, if the conference has one, and returns the user's
    /// role. Several users may have been joining as its leader (`leads`); the others get the role
    /// that the room's lists give them.
    pub(in crate::focus) fn take_lead(&mut self, user: &UserUri, role: Role, leads: bool) -> Role {
        if self.begun.is_none() && self.policy.rules.lifetime != Lifetime::Forever {
            self.creator.get_or_insert_with(|| user.clone());
        }
        match leads && self.creator.as_ref() != Some(user) {
            true => self.policy.role(user),
            false => role,
        }
    }

    /// Number of a user's devices, including those that are joining.
    pub(in crate::focus) fn devices(&self, user: &UserUri) -> usize {
        let joined = self
            .participants
            .get(user)
            .map_or(0, |it| it.endpoints.len());
        joined + self.joining.values().filter(|it| *it == user).count()
    }

    /// Whether a user is in with at least one device.
    pub(in crate::focus) fn has(&self, user: &UserUri) -> bool {
        self.participants
            .get(user)
            .is_some_and(|participant| !participant.endpoints.is_empty())
    }

    /// Number of parties that a user is inviting.
    pub(in crate::focus) fn ringing_of(&self, user: &UserUri) -> usize {
        self.ringing.get(user).copied().unwrap_or_default()
    }

    /// The number of an anonymous participant (RFC 4575 §8.2).
    pub(in crate::focus) fn mask_of(&self, user: &UserUri) -> Option<u32> {
        let participant = self.participants.get(user)?;
        participant
            .anonymous
            .filter(|_| !participant.endpoints.is_empty())
    }

    /// Whether a participant appears by a number, so that the number must stay unlinked to the
    /// address.
    pub(in crate::focus) fn is_anonymous(&self, user: &UserUri) -> bool {
        let participant = self.participants.get(user);
        participant.is_some_and(|it| it.anonymous.is_some())
    }

    /// Number of participants.
    pub(in crate::focus) fn present(&self) -> usize {
        let invited: BTreeSet<_> = self.invitations.values().map(|it| &it.user).collect();
        let waits = |user: &&&UserUri| {
            let user = self.participants.get(**user);
            user.is_some_and(|it| it.endpoints.is_empty())
        };
        self.participants.len() - invited.iter().filter(waits).count()
    }

    /// Removes a user after their last endpoint or invitation has gone.
    pub(in crate::focus) fn drop_if_gone(&mut self, user: &UserUri) {
        let invited = self.invitations.values().any(|i| i.user == *user);
        if !invited && !self.has(user) {
            self.participants.remove(user);
        }
    }

    /// Whether it has no participants, joining users or invitations.
    pub(in crate::focus) fn is_empty(&self) -> bool {
        self.participants.is_empty() && self.joining.is_empty()
    }

    /// Gives a participant a role. In a crowd the role decides whether they are listed.
    pub(in crate::focus) fn set_role(&mut self, user: &UserUri, role: Role) {
        if let Some(participant) = self.participants.get_mut(user)
            && participant.role != role
        {
            participant.role = role;
            participant.change(self.changes.next());
            self.changes.recast();
        }
    }

    /// Shows a participant under another address from now on. A new participant was never shown
    /// under the old one.
    pub(in crate::focus) fn set_anonymous(
        &mut self,
        user: &UserUri,
        anonymous: Option<u32>,
        is_new: bool,
    ) {
        if let Some(participant) = self.participants.get_mut(user)
            && participant.anonymous != anonymous
        {
            participant.anonymous = anonymous;
            participant.change(self.changes.revision());
            if !is_new {
                // Only a full document removes the old address; departures under it would reveal
                // that both addresses are the same user.
                self.changes.reshape();
                self.changes.forget_departures();
            }
        }
    }

    /// Notes a change of a user, such as a new direction of their medium.
    pub(in crate::focus) fn change_user(&mut self, user: &UserUri) {
        let revision = self.change();
        if let Some(participant) = self.participants.get_mut(user) {
            participant.change(revision);
        }
    }

    /// Notes a change of a user's invitations. The invitations of an anonymous participant appear
    /// under the invited address and reveal nothing of the number.
    pub(in crate::focus) fn change_invited(&mut self, user: &UserUri) {
        let revision = self.change();
        if let Some(participant) = self.participants.get_mut(user) {
            participant.change_address(revision);
        }
    }

    /// Whether it has too many participants to list all of them.
    pub(in crate::focus) fn is_crowd(&self) -> bool {
        self.crowded
    }

    /// Updates whether it is a crowd at this limit. Hysteresis: a crowd ends at 7/8 of the limit,
    /// so that joins and leaves near it do not force full documents.
    pub(in crate::focus) fn count_crowd(&mut self, limit: usize) {
        let count = self.present();
        let crowded = match self.crowded {
            true => count > limit - limit / 8,
            false => count > limit,
        };
        if crowded != self.crowded {
            self.crowded = crowded;
            self.changes.reshape();
        }
    }

    /// Starts the conference with the identity from its first participant.
    pub(in crate::focus) fn begin(&mut self, identity: Identity) {
        let left: Vec<UserUri> = self.left.keys().cloned().collect();
        for user in left {
            self.left.remove(&user);
        }
        if self.identity != identity {
            self.identity = identity;
            self.redescribe();
        }
    }

    /// The identity shown to everybody: the operator's subject, else that of the first participant.
    pub(in crate::focus) fn identity(&self) -> Identity {
        let subject = self.policy.rules.about.subject.clone();
        Identity {
            subject: subject.or_else(|| self.identity.subject.clone()),
            ..self.identity.clone()
        }
    }

    /// Notes that a user left by BYE.
    pub(in crate::focus) fn note_departure(&mut self, user: &UserUri) {
        if self.identity.contribution.is_some() && self.left.len() < MAX_LEFT {
            self.left.insert(user.clone(), ());
        }
    }

    /// Notes a change that subscribers must see and returns its revision.
    pub(in crate::focus) fn change(&mut self) -> u64 {
        self.changes.next()
    }

    /// Notes a change of the description.
    pub(in crate::focus) fn redescribe(&mut self) {
        self.changes.next();
        self.changes.describe();
    }

    /// Locks the room, so that only moderators come in, or unlocks it; `false` if nothing changes.
    pub(in crate::focus) fn set_locked(&mut self, locked: bool) -> bool {
        let changes = std::mem::replace(&mut self.locked, locked) != locked;
        if changes {
            self.changes.next();
        }
        changes
    }

    /// Sets or removes a participant's nickname; `false` if nothing changes.
    pub(in crate::focus) fn set_nickname(
        &mut self,
        user: &UserUri,
        nickname: Option<&str>,
    ) -> bool {
        let participant = self.participants.get(user);
        if participant.is_none_or(|it| it.nickname.as_deref() == nickname) {
            return false;
        }
        let revision = self.changes.next();
        if let Some(participant) = self.participants.get_mut(user) {
            participant.nickname = nickname.map(Arc::from);
            participant.change(revision);
        }
        true
    }

    /// Adds an invitation and counts it for its inviter.
    pub(in crate::focus) fn begin_invitation(&mut self, id: InvitationId, invitation: Invitation) {
        count(&mut self.ringing, &invitation.inviter);
        self.invitations.insert(id, invitation);
    }

    /// Removes an invitation.
    pub(in crate::focus) fn end_invitation(&mut self, id: InvitationId) -> Option<Invitation> {
        let invitation = self.invitations.remove(&id)?;
        discount(&mut self.ringing, &invitation.inviter);
        Some(invitation)
    }

    /// An invitation, to record its progress.
    pub(in crate::focus) fn invitation_mut(&mut self, id: InvitationId) -> Option<&mut Invitation> {
        self.invitations.get_mut(&id)
    }

    /// The invitations.
    pub(in crate::focus) fn invitations(&self) -> &BTreeMap<InvitationId, Invitation> {
        &self.invitations
    }

    #[cfg(test)]
    pub(in crate::focus) fn set_ringing(&mut self, user: UserUri, count: usize) {
        self.ringing.insert(user, count);
    }
}

/// Adds one to a user's count.
pub(in crate::focus::room) fn count(counts: &mut BTreeMap<UserUri, usize>, user: &UserUri) {
    *counts.entry(user.clone()).or_default() += 1;
}

/// Subtracts one from a user's count.
pub(in crate::focus::room) fn discount(counts: &mut BTreeMap<UserUri, usize>, user: &UserUri) {
    if let Some(count) = counts.get_mut(user) {
        *count -= 1;
        if *count == 0 {
            counts.remove(user);
        }
    }
}
