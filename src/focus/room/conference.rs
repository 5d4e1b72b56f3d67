//! Conferences, their participants and the endpoints these talk from.

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

/// What a conference is about, and which group session it is to RCS clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Subject.
    pub(in crate::focus) subject: Option<String>,
    /// Contribution-ID: kept over every rejoin.
    pub(in crate::focus) contribution: Option<String>,
    /// Conversation-ID: the thread.
    pub(in crate::focus) conversation: Option<String>,
}

impl Identity {
    /// What these headers say.
    pub(in crate::focus) fn of(headers: &Headers) -> Self {
        let value = |name| headers.first(name).map(str::to_owned);
        Self {
            subject: value("Subject").map(shortened),
            contribution: value("Contribution-ID"),
            conversation: value("Conversation-ID"),
        }
    }

    /// The same, for whom the focus invites.
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

/// Who is remembered to have left a conference by BYE: an RCS group is smaller, and whoever is
/// not may come back by INVITE instead of being told that they left.
const MAX_LEFT: usize = 1_000;

/// A running conference of a room.
#[derive(Debug)]
pub(in crate::focus) struct Conference {
    pub(in crate::focus) room: RoomUri,
    pub(in crate::focus) policy: Arc<Policy>,
    pub(in crate::focus) locked: bool,
    /// What the INVITE that made it said it is about.
    pub(in crate::focus) identity: Identity,
    /// Who left by BYE, where the conference has a Contribution-ID.
    pub(in crate::focus) left: DirtyMap<UserUri, ()>,
    /// Who came in first, where that decides when it ends or who moderates.
    pub(in crate::focus) creator: Option<UserUri>,
    /// Whose INVITE made it, where the room is not there without one.
    pub(in crate::focus) maker: Option<UserUri>,
    /// Who is in or invited, by address of record; the invited have no endpoints.
    pub(in crate::focus) participants: DirtyMap<UserUri, Participant>,
    /// The devices in it, those that are just joining included.
    pub(in crate::focus) endpoints: BTreeSet<EndpointId>,
    /// Parties on their way in.
    pub(in crate::focus::room) invitations: BTreeMap<InvitationId, Invitation>,
    /// Users whose first join still waits for the switch; they count against the maximum.
    pub(in crate::focus) joining: BTreeMap<EndpointId, UserUri>,
    /// How many of the invitations each user is the inviter of.
    ringing: BTreeMap<UserUri, usize>,
    /// What subscribers must see.
    pub(in crate::focus) changes: Changes,
    /// There are too many to list everybody (`roster_limit`).
    crowded: bool,
    pub(in crate::focus) publications: Publications,
    /// When the first participant came in; `None` while nobody is in.
    pub(in crate::focus) begun: Option<Moment>,
    /// Messages sent, while the room does not last.
    pub(in crate::focus) messages: u64,
    /// The run of the switch that was given the room's history.
    pub(in crate::focus) recalled: Option<SwitchRun>,
    /// Sessions that wait until the room's history has been looked up.
    pub(in crate::focus) recalling: Option<Vec<Admission>>,
    /// The last NOTIFYs are on their way.
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

    /// Whether one more user fits in; a further device of a participant always does. The
    /// invited hold no place.
    pub(in crate::focus) fn has_place_for(&self, user: &UserUri) -> bool {
        let joining = self.joining.values();
        let new: BTreeSet<_> = joining.filter(|it| *it != user && !self.has(it)).collect();
        self.has(user) || self.present() + new.len() < self.policy.max_participants
    }

    /// Somebody comes in: who is first is the creator, where there is one. Of several who were
    /// on their way to be that (`leads`), the others are what the room's lists say.
    pub(in crate::focus) fn take_lead(&mut self, user: &UserUri, role: Role, leads: bool) -> Role {
        if self.begun.is_none() && self.policy.rules.lifetime != Lifetime::Forever {
            self.creator.get_or_insert_with(|| user.clone());
        }
        match leads && self.creator.as_ref() != Some(user) {
            true => self.policy.role(user),
            false => role,
        }
    }

    /// How many devices a user has, those that are just joining included.
    pub(in crate::focus) fn devices(&self, user: &UserUri) -> usize {
        let joined = self
            .participants
            .get(user)
            .map_or(0, |it| it.endpoints.len());
        joined + self.joining.values().filter(|it| *it == user).count()
    }

    /// Whether somebody is in with at least one device.
    pub(in crate::focus) fn has(&self, user: &UserUri) -> bool {
        self.participants
            .get(user)
            .is_some_and(|participant| !participant.endpoints.is_empty())
    }

    /// Parties on their way in that a user has had invited.
    pub(in crate::focus) fn ringing_of(&self, user: &UserUri) -> usize {
        self.ringing.get(user).copied().unwrap_or_default()
    }

    /// The number of a user who is in under privacy (RFC 4575 §8.2).
    pub(in crate::focus) fn mask_of(&self, user: &UserUri) -> Option<u32> {
        let participant = self.participants.get(user)?;
        participant
            .anonymous
            .filter(|_| !participant.endpoints.is_empty())
    }

    /// Whether a user is known by a number here, and nobody is to learn by which.
    pub(in crate::focus) fn is_anonymous(&self, user: &UserUri) -> bool {
        let participant = self.participants.get(user);
        participant.is_some_and(|it| it.anonymous.is_some())
    }

    /// How many users are in.
    pub(in crate::focus) fn present(&self) -> usize {
        let invited: BTreeSet<_> = self.invitations.values().map(|it| &it.user).collect();
        let waits = |user: &&&UserUri| {
            let user = self.participants.get(**user);
            user.is_some_and(|it| it.endpoints.is_empty())
        };
        self.participants.len() - invited.iter().filter(waits).count()
    }

    /// Takes a user out whose last endpoint or invitation has gone.
    pub(in crate::focus) fn drop_if_gone(&mut self, user: &UserUri) {
        let invited = self.invitations.values().any(|i| i.user == *user);
        if !invited && !self.has(user) {
            self.participants.remove(user);
        }
    }

    /// Whether nobody is in and nobody is on the way.
    pub(in crate::focus) fn is_empty(&self) -> bool {
        self.participants.is_empty() && self.joining.is_empty()
    }

    /// Gives a participant a role. In a crowd that decides who is listed.
    pub(in crate::focus) fn set_role(&mut self, user: &UserUri, role: Role) {
        if let Some(participant) = self.participants.get_mut(user)
            && participant.role != role
        {
            participant.role = role;
            participant.change(self.changes.next());
            self.changes.recast();
        }
    }

    /// Shows a participant under another address from now on. Somebody new was never shown
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
                // Only a full document says that the old address is gone; departures under
                // it would tell that both are the same user.
                self.changes.reshape();
                self.changes.forget_departures();
            }
        }
    }

    /// A user's own change, such as another direction of its medium.
    pub(in crate::focus) fn change_user(&mut self, user: &UserUri) {
        let revision = self.change();
        if let Some(participant) = self.participants.get_mut(user) {
            participant.change(revision);
        }
    }

    /// A change of a user's invitations. Those of somebody who is anonymous here are shown
    /// under the address that was invited, and tell nothing of the number.
    pub(in crate::focus) fn change_invited(&mut self, user: &UserUri) {
        let revision = self.change();
        if let Some(participant) = self.participants.get_mut(user) {
            participant.change_address(revision);
        }
    }

    /// Whether there are too many to list everybody.
    pub(in crate::focus) fn is_crowd(&self) -> bool {
        self.crowded
    }

    /// Whether it is a crowd, at this limit. It takes an eighth less to be none again, so
    /// that nobody is told everything at every coming and going around the limit.
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

    /// The first one comes and says what it is about.
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

    /// What it is about, to everybody: as the operator says, else the first to come.
    pub(in crate::focus) fn identity(&self) -> Identity {
        let subject = self.policy.rules.about.subject.clone();
        Identity {
            subject: subject.or_else(|| self.identity.subject.clone()),
            ..self.identity.clone()
        }
    }

    /// Somebody has left by BYE.
    pub(in crate::focus) fn note_departure(&mut self, user: &UserUri) {
        if self.identity.contribution.is_some() && self.left.len() < MAX_LEFT {
            self.left.insert(user.clone(), ());
        }
    }

    /// Notes a change that subscribers must see and returns its revision.
    pub(in crate::focus) fn change(&mut self) -> u64 {
        self.changes.next()
    }

    /// What it is about, or what it has, is another from now on.
    pub(in crate::focus) fn redescribe(&mut self) {
        self.changes.next();
        self.changes.describe();
    }

    /// Only moderators come in, or everybody again; `false` if that is so already.
    pub(in crate::focus) fn set_locked(&mut self, locked: bool) -> bool {
        let changes = std::mem::replace(&mut self.locked, locked) != locked;
        if changes {
            self.changes.next();
        }
        changes
    }

    /// A participant has another nickname, or none; `false` if it is the one they have.
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

    /// A party is on its way in. Whoever had it invited has one more of them ringing.
    pub(in crate::focus) fn begin_invitation(&mut self, id: InvitationId, invitation: Invitation) {
        count(&mut self.ringing, &invitation.inviter);
        self.invitations.insert(id, invitation);
    }

    /// A party is on its way in no more.
    pub(in crate::focus) fn end_invitation(&mut self, id: InvitationId) -> Option<Invitation> {
        let invitation = self.invitations.remove(&id)?;
        discount(&mut self.ringing, &invitation.inviter);
        Some(invitation)
    }

    /// The party, to note how far it is.
    pub(in crate::focus) fn invitation_mut(&mut self, id: InvitationId) -> Option<&mut Invitation> {
        self.invitations.get_mut(&id)
    }

    /// The parties on their way in.
    pub(in crate::focus) fn invitations(&self) -> &BTreeMap<InvitationId, Invitation> {
        &self.invitations
    }

    #[cfg(test)]
    pub(in crate::focus) fn set_ringing(&mut self, user: UserUri, count: usize) {
        self.ringing.insert(user, count);
    }
}

/// Counts one more.
pub(in crate::focus::room) fn count(counts: &mut BTreeMap<UserUri, usize>, user: &UserUri) {
    *counts.entry(user.clone()).or_default() += 1;
}

/// Counts one less.
pub(in crate::focus::room) fn discount(counts: &mut BTreeMap<UserUri, usize>, user: &UserUri) {
    if let Some(count) = counts.get_mut(user) {
        *count -= 1;
        if *count == 0 {
            counts.remove(user);
        }
    }
}
