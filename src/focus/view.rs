//! Who is shown to whom, and under which name (RFC 4575 §5.6, §8.2).

use super::conference::{Conference, EndpointId};
use super::policy::Role;
use super::subscription::Subscription;
use crate::control::UserUri;

/// What a subscriber may see. Subscribers with the same view share their documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Sees who the anonymous are: moderators do.
    pub(super) unmasked: bool,
    /// Who is listed.
    pub(super) extent: Extent,
}

/// Whom a document lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Everybody.
    Everybody,
    /// Of a crowd the moderators, and the subscriber if it is in.
    Crowd(Option<UserUri>),
}

impl View {
    /// The view of a subscriber at present.
    pub(super) fn of(conference: &Conference, subscription: &Subscription) -> Self {
        let user = &subscription.user;
        let participant = conference.participants.get(user);
        let role = subscription
            .role
            .or(participant.map(|participant| participant.role))
            .unwrap_or_else(|| conference.policy.role(user));
        let own = || {
            participant
                .filter(|participant| participant.role != Role::Moderator)
                .map(|_| user.clone())
        };
        Self {
            unmasked: role == Role::Moderator,
            extent: match conference.crowded || subscription.narrow {
                true => Extent::Crowd(own()),
                false => Extent::Everybody,
            },
        }
    }

    /// Whether only some are listed.
    pub(super) fn is_crowd(&self) -> bool {
        self.extent != Extent::Everybody
    }

    /// Whether a user stands in the documents of this view.
    pub(super) fn lists(&self, user: &UserUri, role: Role) -> bool {
        match &self.extent {
            Extent::Everybody => true,
            Extent::Crowd(own) => role == Role::Moderator || own.as_ref() == Some(user),
        }
    }
}

/// The address under which a user is shown, to everybody alike: what others write to it and
/// what it writes must fit the roster, for moderators too.
pub(super) fn shown_uri(user: &UserUri, anonymous: Option<u32>) -> String {
    match anonymous {
        Some(number) => format!("sip:anonymous{number}@anonymous.invalid"),
        None => user.to_string(),
    }
}

/// The name under which a user is shown.
pub(super) fn shown_name(
    name: &str,
    nickname: Option<&String>,
    anonymous: Option<u32>,
    unmasked: bool,
) -> Option<String> {
    // A nickname is chosen to be seen (RFC 7701 §7.1).
    let name = match (nickname, anonymous) {
        (Some(nickname), _) => nickname.clone(),
        (None, Some(number)) if !unmasked => format!("Anonymous {number}"),
        (None, _) => name.to_owned(),
    };
    (!name.is_empty()).then_some(name)
}

/// The key of an endpoint: its Contact, which would tell who it is.
pub(super) fn shown_endpoint(
    entity: &str,
    id: EndpointId,
    user: &UserUri,
    anonymous: Option<u32>,
    unmasked: bool,
) -> String {
    match anonymous {
        Some(_) if !unmasked => format!("{};endpoint={}", shown_uri(user, anonymous), id.0),
        _ => entity.to_owned(),
    }
}
