//! Admission policy of an INVITE: whether the caller may come in, in which role, and in place of
//! which device.

use crate::focus::Role;
use crate::focus::ids::EndpointId;
use crate::focus::room::participant::anonymous_uri;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::Usage;
use crate::focus::sip::face::{Incoming, identity, other_identities};
use std::sync::Arc;

use crate::control::{RoomUri, UserUri};
use crate::entropy::is_token;
use crate::focus::Focus;
use crate::focus::room::conference::Conference;
use crate::focus::room::permission::{Ask, Caller, leads};
use crate::focus::room::policy::Policy;
use crate::focus::sip::rejection::{Refusal, Verdict};
use crate::wire::sip::{DialogReference, Headers, Join, Privacy, Replaces};

/// Running rooms that one user's INVITEs made, ad hoc or at a factory.
const MAX_ROOMS_OF_MAKER: usize = 1_000;
/// Characters of the random part of a factory-made room's name.
const ROOM_NAME_LENGTH: usize = 16;

/// The accepted terms of a caller's entry into a conference.
pub(in crate::focus) struct Access {
    pub(in crate::focus) room: RoomUri,
    pub(in crate::focus) policy: Arc<Policy>,
    pub(in crate::focus) user: UserUri,
    /// Further addresses of the caller.
    pub(in crate::focus) other_uris: Vec<UserUri>,
    pub(in crate::focus) role: Role,
    /// They have this role only because they started the conference.
    pub(in crate::focus) leads: bool,
    /// The device that the new one replaces (RFC 3891).
    pub(in crate::focus) replaces: Option<EndpointId>,
    /// The caller requested privacy (RFC 3323, 3325).
    pub(in crate::focus) private: bool,
    /// The caller's only address is the one all strangers share (RFC 3323 §4.1.1.3): its number,
    /// which is part of the caller's address in the room.
    pub(in crate::focus) stranger: Option<u32>,
}

impl Focus {
    /// Policy of a room that exists or may be created.
    pub(in crate::focus) fn policy(
        &self,
        room: &RoomUri,
        create: Option<bool>,
    ) -> Option<Arc<Policy>> {
        let most = self.config.max_participants;
        if let Some(conference) = self.rooms.conference(room) {
            return Some(Arc::clone(&conference.policy));
        }
        if let Some(policy) = self.ruled(room) {
            return Some(policy);
        }
        if let Some(policy) = self.rooms.factories.get(room) {
            return Some(Arc::clone(policy));
        }
        create
            .unwrap_or(self.config.adhoc)
            .then(|| Arc::new(Policy::adhoc(most)))
    }

    /// The rules that management or the configuration has for a room. Decisions of management
    /// during this run come first.
    pub(in crate::focus) fn ruled(&self, room: &RoomUri) -> Option<Arc<Policy>> {
        if let Some(made) = self.rooms.kept.made(room) {
            let policy = Policy::kept(made.rules.clone(), self.config.max_participants);
            return Some(Arc::new(policy));
        }
        let configured = self.rooms.configured.get(room)?;
        Some(match self.rooms.kept.decisions(room) {
            Some(decisions) => configured.decided(decisions),
            None => Arc::clone(configured),
        })
    }

    /// Policy of a room that exists; a factory is not a room.
    pub(in crate::focus) fn room_policy(&self, room: &RoomUri) -> Verdict<Arc<Policy>> {
        let policy = self.policy(room, Some(false));
        policy
            .filter(|_| {
                self.rooms.conferences().contains_key(room)
                    || !self.rooms.factories.contains_key(room)
            })
            .ok_or(Cause::NoRoom.into())
    }

    /// Checks an INVITE outside any dialog.
    pub(in crate::focus) fn check_access(
        &mut self,
        incoming: &Incoming,
        room: RoomUri,
    ) -> Verdict<Access> {
        let headers = &incoming.request.headers;
        let user = identity(&incoming.arrival)?;
        let stranger = user
            .as_str()
            .ends_with("@anonymous.invalid")
            .then(|| self.rooms.next_anonymous());
        let user = stranger.map_or(user, anonymous_uri);
        let replaces = self.replaced(headers, &room, &user)?;
        let create = incoming.arrival.options.create;
        let policy = self.policy(&room, create).ok_or(Cause::NoRoom)?;
        self.check_rejoin(headers, &room, &user)?;
        let room = self.room_of_factory(room);
        let (role, leads) = self.role(incoming, &room, &user, &policy);
        Ok(Access {
            room,
            policy,
            user,
            other_uris: other_identities(&incoming.arrival),
            role,
            leads,
            replaces,
            private: Privacy::of(headers).hides_identity(),
            stranger,
        })
    }

    /// The device that the new one replaces (RFC 3891 §3). Like Join (RFC 3911 §4), Replaces counts
    /// only in the room that the script let the caller request: there, a Join without a match is
    /// ignored.
    fn replaced(
        &self,
        headers: &Headers,
        room: &RoomUri,
        user: &UserUri,
    ) -> Verdict<Option<EndpointId>> {
        let malformed = |error| Refusal::new(Cause::MalformedDialogReference).because(error);
        let replaces = Replaces::of(headers).map_err(malformed)?;
        let join = Join::of(headers).map_err(malformed)?;
        let Some(replaces) = replaces else {
            return Ok(None);
        };
        if join.is_some() {
            return Err(Cause::ReplacesAndJoin.into());
        }
        let id = self.named(&replaces.dialog)?;
        let endpoint = self.rooms.endpoint(id).filter(|it| it.room == *room);
        let endpoint = endpoint.ok_or(Cause::NoDialog)?;
        // RFC 3891 §3: an early dialog that we did not start.
        if endpoint.joined.is_none() {
            return Err(Cause::EarlyDialog.into());
        }
        if endpoint.user != *user {
            return Err(Cause::ForeignDialog.into());
        }
        if replaces.early_only {
            return Err(Cause::ConfirmedDialog.into());
        }
        Ok(Some(id))
    }

    fn named(&self, dialog: &DialogReference) -> Verdict<EndpointId> {
        match self.dialogs.usage_named(dialog) {
            Some(Usage::Endpoint(id)) => Ok(id),
            _ => Err(Cause::NoDialog.into()),
        }
    }

    /// The rejoin rules of RCS clients: 404 alone makes them start a new group; 403 means that they
    /// left on purpose.
    fn check_rejoin(&self, headers: &Headers, room: &RoomUri, user: &UserUri) -> Verdict<()> {
        let Some(conference) = self.rooms.conference(room) else {
            // A room once made by a factory is not made again.
            return if self.was_made_by_a_factory(room) {
                Err(Cause::ConferenceEnded.into())
            } else {
                Ok(())
            };
        };
        let same = conference.identity.contribution.as_deref() == headers.first("Contribution-ID")
            && conference.identity.contribution.is_some();
        if same && conference.left.contains_key(user) {
            return Err(Cause::LeftOnPurpose.into());
        }
        Ok(())
    }

    fn was_made_by_a_factory(&self, room: &RoomUri) -> bool {
        let made = room.as_str().split_once('@').and_then(|(user, host)| {
            let (factory, name) = user.rsplit_once('-')?;
            is_token(name, ROOM_NAME_LENGTH).then(|| format!("{factory}@{host}"))
        });
        made.is_some_and(|factory| self.rooms.factories.contains_key(factory.as_str()))
            && !self.lasts(room)
    }

    /// A factory URI makes a new room each time (RFC 4579 §5.4).
    fn room_of_factory(&mut self, room: RoomUri) -> RoomUri {
        if !self.rooms.factories.contains_key(&room) {
            return room;
        }
        let name = self.out.token(ROOM_NAME_LENGTH);
        match room.as_str().split_once('@') {
            Some((user, host)) => RoomUri::new(format!("{user}-{name}@{host}")),
            None => room,
        }
    }

    /// The caller's role, and whether they have it only as the leader of the conference. The script
    /// decides first, then the role of another device of the caller, then leadership, then the
    /// room's lists.
    fn role(
        &self,
        incoming: &Incoming,
        room: &RoomUri,
        user: &UserUri,
        policy: &Policy,
    ) -> (Role, bool) {
        let conference = self.rooms.conference(room);
        let participant = conference.and_then(|it| it.participants.get(user));
        let present = participant.filter(|it| !it.endpoints.is_empty());
        match (incoming.arrival.options.role, present) {
            (Some(role), _) => (role, false),
            (None, Some(present)) => (present.role, false),
            (None, None) if leads(policy, conference, user) => (Role::Moderator, true),
            (None, None) => (policy.role(user), false),
        }
    }

    /// Whether the caller may come in and the room has a place for them.
    pub(in crate::focus) fn check_place(&self, access: &Access) -> Verdict<()> {
        let conference = self.rooms.conference(&access.room);
        let caller = access.caller(conference);
        caller.may(Ask::Join {
            replaces: access.replaces.is_some(),
        })?;
        if conference.is_some() {
            return Ok(());
        }
        if self.rooms.conferences().len() >= self.config.max_conferences {
            return Err(Cause::TooManyConferences.into());
        }
        if access.policy.made && self.rooms.made_by(&access.user) >= MAX_ROOMS_OF_MAKER {
            return Err(Cause::TooManyRoomsOfUser.into());
        }
        Ok(())
    }
}

impl Access {
    /// The user who wants to come in.
    pub(in crate::focus) fn caller<'a>(&'a self, conference: Option<&'a Conference>) -> Caller<'a> {
        Caller {
            user: &self.user,
            role: self.role,
            policy: &self.policy,
            conference,
        }
    }
}
