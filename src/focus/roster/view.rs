//! Visibility of users: the users a subscriber sees, and the names they see (RFC 4575 §5.6, §8.2).

use crate::control::UserUri;
use crate::focus::Role;
use crate::focus::ids::EndpointId;
use crate::focus::room::participant::shown_uri;

/// The state a subscriber has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::focus) struct Seen {
    /// Changes up to this revision were shown.
    pub(in crate::focus) shown: u64,
    /// Departures up to this revision were deleted.
    pub(in crate::focus) buried: u64,
}

impl Seen {
    /// State after a full document at this revision: it lacks users who left before, so they need
    /// no deletion.
    pub(in crate::focus) fn all(revision: u64) -> Self {
        Self {
            shown: revision,
            buried: revision,
        }
    }

    /// State after the next partial document at this revision.
    pub(in crate::focus) fn after_partial(self, revision: u64) -> Self {
        Self {
            shown: revision,
            buried: self.shown,
        }
    }
}

/// The part of the roster that a subscriber may see. Subscribers with the same view share their
/// documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) struct View {
    /// Shows the addresses of anonymous participants; for moderators.
    pub(in crate::focus) unmasked: bool,
    /// The users listed.
    pub(in crate::focus) extent: Extent,
}

/// The users a document lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Extent {
    /// Everybody.
    Everybody,
    /// In a crowd: the moderators, and the subscriber if they are in.
    Crowd(Option<UserUri>),
}

impl View {
    /// The view of a user. Moderators see the addresses of anonymous participants. In a crowd
    /// everybody sees the moderators, and participants see their own element.
    pub(in crate::focus) fn of(user: &UserUri, role: Role, is_in: bool, crowded: bool) -> Self {
        let unmasked = role == Role::Moderator;
        Self {
            unmasked,
            extent: match crowded {
                true => Extent::Crowd(is_in.then(|| user.clone())),
                false => Extent::Everybody,
            },
        }
    }

    /// Whether the view lists only some of the users.
    pub(in crate::focus) fn is_crowd(&self) -> bool {
        self.extent != Extent::Everybody
    }

    /// Whether the documents of this view list a user.
    pub(in crate::focus) fn lists(&self, user: &UserUri, role: Role) -> bool {
        match &self.extent {
            Extent::Everybody => true,
            Extent::Crowd(own) => role == Role::Moderator || own.as_ref() == Some(user),
        }
    }
}

/// The display name of a user.
pub(in crate::focus) fn shown_name(
    name: &str,
    nickname: Option<&str>,
    anonymous: Option<u32>,
    unmasked: bool,
) -> Option<String> {
    // A nickname is chosen to be seen (RFC 7701 §7.1).
    let name = match (nickname, anonymous) {
        (Some(nickname), _) => nickname.to_owned(),
        (None, Some(number)) if !unmasked => format!("Anonymous {number}"),
        (None, _) => name.to_owned(),
    };
    (!name.is_empty()).then_some(name)
}

/// The key of an endpoint: its Contact, which would reveal an anonymous user.
pub(in crate::focus) fn shown_endpoint(
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
