//! Permissions in a room: answers every such question by the rules of the room and its present
//! participants.

use crate::control::UserUri;
use crate::focus::Role;
use crate::focus::room::conference::Conference;
use crate::focus::room::policy::Policy;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::face::MAX_URI_LENGTH;
use crate::focus::sip::rejection::Verdict;

/// Devices of one user in one conference; a device is a dialog, a session and a place in
/// everybody's roster.
const MAX_ENDPOINTS: usize = 16;
/// Subscriptions of one user to one conference; the oldest clients re-subscribe without
/// unsubscribing after a crash.
const MAX_SUBSCRIPTIONS: usize = 32;
/// Subscriptions to one conference. Participants may always watch: `max_participants` and the limit
/// per user bound them.
pub(in crate::focus) const MAX_WATCHERS: usize = 10_000;
/// Parties being invited into one conference at a time.
const MAX_INVITATIONS: usize = 1_000;
/// Parties that one user may invite at a time into a conference, however short lists must be.
const LEAST_RINGING: usize = 50;

/// An action of a user in a room.
#[derive(Clone, Copy, Debug)]
pub(in crate::focus) enum Ask<'a> {
    /// Come in, as a further device or in place of one of the user's own.
    Join { replaces: bool },
    /// Add a subscription to the conference event package, with these numbers of existing ones.
    Watch { theirs: usize, all: usize },
    /// Refresh a subscription.
    KeepWatching,
    /// Publish: about everything, or about the publisher only.
    Publish { everything: bool },
    /// Invite a list of parties, where a list may have `most`.
    Bring { parties: usize, most: usize },
    /// Invite one party by REFER, where a list may have `most`.
    Add { most: usize },
    /// Remove a user by REFER.
    Remove(&'a UserUri),
    /// Be invited.
    BeInvited,
}

/// A user inside or outside a room, who wants to do something there.
pub(in crate::focus) struct Caller<'a> {
    pub(in crate::focus) user: &'a UserUri,
    pub(in crate::focus) role: Role,
    pub(in crate::focus) policy: &'a Policy,
    /// The conference of the room, if there is one.
    pub(in crate::focus) conference: Option<&'a Conference>,
}

impl Caller<'_> {
    /// Whether the user may do this; if not, the cause of the refusal. The first line that applies
    /// counts.
    pub(in crate::focus) fn may(&self, ask: Ask) -> Verdict<()> {
        let (user, policy) = (self.user, self.policy);
        let of = |count: fn(&Conference, &UserUri) -> usize| {
            self.conference.map_or(0, |it| count(it, user))
        };
        let moderator = self.role == Role::Moderator;
        let observer = self.role == Role::Observer;
        let is_in = self.conference.is_some_and(|it| it.has(user));
        let expected = self
            .conference
            .is_some_and(|it| it.participants.contains_key(user));
        let full = self.conference.is_some_and(|it| !it.has_place_for(user));
        let locked = self.conference.map_or(policy.rules.locked, |it| it.locked);
        let led = self.is_led() || policy.rules.only_moderators_invite;
        let ringing = of(Conference::ringing_of);
        match ask {
            Ask::Join { replaces } => {
                policy.admits(user)?;
                no(locked && !moderator && !expected, Cause::Locked)?;
                no(full, Cause::RoomFull)?;
                let most = MAX_ENDPOINTS + usize::from(replaces);
                let devices = of(Conference::devices);
                no(devices >= most, Cause::TooManyDevices)
            }
            Ask::Watch { theirs, all } => {
                self.may(Ask::KeepWatching)?;
                let many = theirs >= MAX_SUBSCRIPTIONS;
                no(many, Cause::TooManySubscriptions)?;
                no(all >= MAX_WATCHERS && !is_in, Cause::TooManyWatchers)
            }
            Ask::KeepWatching if is_in => Ok(()),
            Ask::KeepWatching => {
                let private = policy.rules.subscribe_participants_only;
                no(private, Cause::WatchByParticipants)?;
                policy.admits(user)
            }
            Ask::Publish { everything } => {
                policy.admits(user)?;
                let may = moderator || (is_in && !everything);
                no(!may, Cause::PublishByParticipants)
            }
            Ask::Bring { parties: 0, .. } => Ok(()),
            Ask::Bring { parties, most } => {
                no(parties > most, Cause::LongList)?;
                let may = moderator || (!led && !observer);
                no(!may, Cause::ListByModerators)?;
                let most = most.max(LEAST_RINGING);
                let many = ringing + parties > most;
                no(many, Cause::TooManyRinging)
            }
            Ask::Add { most } => {
                no(!is_in, Cause::ReferByParticipants)?;
                let closed = policy.rules.only_moderators_invite || locked;
                let may = moderator || (!closed && !observer);
                no(!may, Cause::AddByModerators)?;
                let many = ringing >= most.max(LEAST_RINGING);
                no(many, Cause::TooManyRinging)
            }
            Ask::Remove(target) => {
                no(!is_in, Cause::ReferByParticipants)?;
                let may = moderator || user == target;
                no(!may, Cause::RemoveByModerators)?;
                let conference = self.conference;
                let known = conference.is_some_and(|it| it.participants.contains_key(target));
                no(!known, Cause::NotInRoom)
            }
            Ask::BeInvited => {
                let long = user.as_str().len() > MAX_URI_LENGTH;
                no(long, Cause::LongAddress)?;
                policy.admits(user)?;
                let itself = self
                    .conference
                    .is_some_and(|it| user.as_str() == it.room.as_str());
                no(itself, Cause::RoomInItself)?;
                let invited = of(|it, _| it.invitations().len());
                no(full || invited >= MAX_INVITATIONS, Cause::RoomFull)
            }
        }
    }

    /// Whether the room has moderators: named ones, or its creator.
    fn is_led(&self) -> bool {
        let started = self.conference.is_some_and(|it| it.creator.is_some());
        !self.policy.rules.moderators.is_empty() || (self.policy.made && started)
    }
}

/// Whether a user moderates as the creator of the conference: they start it, or have started it and
/// come back. This holds in rooms that are made by their first caller; named moderators and roles
/// given by management come first.
pub(in crate::focus) fn leads(
    policy: &Policy,
    conference: Option<&Conference>,
    user: &UserUri,
) -> bool {
    let open = conference.is_none_or(|it| match &it.creator {
        Some(creator) => creator == user,
        None => it.begun.is_none(),
    });
    let unled = policy.rules.moderators.is_empty() && policy.given_role(user).is_none();
    policy.made && unled && open
}

/// Refuses with this cause if the condition applies.
fn no(applies: bool, cause: Cause) -> Verdict<()> {
    match applies {
        true => Err(cause.into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::control::RoomUri;
    use crate::focus::RoomEntry;
    use crate::focus::ids::EndpointId;
    use crate::focus::room::participant::Participant;

    /// A room with one participant, `in@h`.
    fn room(change: impl FnOnce(&mut RoomEntry)) -> Conference {
        let mut entry = RoomEntry::new(RoomUri::new("sip:room@h"));
        entry.rules.max_participants = Some(2);
        change(&mut entry);
        let policy = Arc::new(Policy::configured(entry.rules, 10));
        let mut conference = Conference::new(entry.uri, Arc::clone(&policy));
        let mut participant = Participant::new("".into(), Role::Participant, 0);
        participant.endpoints.push(EndpointId(1));
        let user = UserUri::new("sip:in@h");
        conference.participants.insert(user, participant);
        conference
    }

    /// The codes that an observer, a participant and a moderator get, in or outside.
    fn codes(conference: &Conference, user: &str, ask: Ask) -> [u16; 3] {
        let user = UserUri::new(user);
        [Role::Observer, Role::Participant, Role::Moderator].map(|role| {
            let caller = Caller {
                user: &user,
                role,
                policy: &conference.policy,
                conference: Some(conference),
            };
            caller
                .may(ask)
                .map_or_else(|refusal| refusal.cause.code(), |()| 200)
        })
    }

    #[test]
    fn the_table() {
        let plain = room(|_| {});
        let closed = room(|it| {
            it.rules.locked = true;
            it.rules.only_moderators_invite = true;
            it.rules.subscribe_participants_only = true;
            it.rules.deny = vec![crate::focus::Pattern::new("sip:bad@h")];
        });
        let other = UserUri::new("sip:other@h");
        let own = UserUri::new("sip:in@h");
        let (join, list) = (
            Ask::Join { replaces: false },
            Ask::Bring {
                parties: 2,
                most: 5,
            },
        );
        let watch = Ask::Watch { theirs: 0, all: 0 };
        let publish = |everything| Ask::Publish { everything };
        for (room, user, ask, expected) in [
            (&plain, "sip:out@h", join, [200; 3]),
            (&closed, "sip:out@h", join, [480, 480, 200]),
            (&closed, "sip:bad@h", join, [403; 3]),
            (&plain, "sip:out@h", watch, [200; 3]),
            (&closed, "sip:out@h", watch, [403; 3]),
            (&closed, "sip:in@h", watch, [200; 3]),
            (&plain, "sip:in@h", publish(false), [200; 3]),
            (&plain, "sip:in@h", publish(true), [403, 403, 200]),
            (&plain, "sip:out@h", publish(false), [403, 403, 200]),
            (&plain, "sip:out@h", list, [403, 200, 200]),
            (&closed, "sip:in@h", list, [403, 403, 200]),
            (
                &plain,
                "sip:in@h",
                Ask::Bring {
                    parties: 6,
                    most: 5,
                },
                [403; 3],
            ),
            (&plain, "sip:in@h", Ask::Add { most: 5 }, [403, 200, 200]),
            (&closed, "sip:in@h", Ask::Add { most: 5 }, [403, 403, 200]),
            (&plain, "sip:out@h", Ask::Add { most: 5 }, [403; 3]),
            (&plain, "sip:in@h", Ask::Remove(&own), [200; 3]),
            (&plain, "sip:in@h", Ask::Remove(&other), [403, 403, 404]),
            (&plain, "sip:out@h", Ask::Remove(&own), [403; 3]),
            (&plain, "sip:out@h", Ask::BeInvited, [200; 3]),
            (&closed, "sip:bad@h", Ask::BeInvited, [403; 3]),
            (&plain, "sip:room@h", Ask::BeInvited, [403; 3]),
        ] {
            assert_eq!(codes(room, user, ask), expected, "{user} {ask:?}");
        }
    }

    #[test]
    fn l04_the_invitations_of_one_user_are_bounded_however_many_ring() {
        let mut conference = room(|_| {});
        let user = UserUri::new("sip:in@h");
        conference.set_ringing(user, LEAST_RINGING - 1);
        let list = |parties| Ask::Bring { parties, most: 5 };
        assert_eq!(codes(&conference, "sip:in@h", list(1)), [403, 200, 200]);
        assert_eq!(codes(&conference, "sip:in@h", list(2)), [403, 480, 480]);
        assert_eq!(codes(&conference, "sip:other@h", list(2)), [403, 200, 200]);
    }
}
