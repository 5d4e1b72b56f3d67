//! Who is shown to whom, and under which name (RFC 4575 §5.6, §8.2).

use crate::control::UserUri;
use crate::focus::Role;
use crate::focus::ids::EndpointId;
use crate::focus::room::participant::shown_uri;

/// What a subscriber has been shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::focus) struct Seen {
    /// Changes up to this revision were shown.
    pub(in crate::focus) shown: u64,
    /// Departures up to this revision were deleted.
    pub(in crate::focus) buried: u64,
}

impl Seen {
    /// What a subscriber knows after a full document at this revision: those who had gone
    /// before are not in it and need no deletion.
    pub(in crate::focus) fn all(revision: u64) -> Self {
        Self {
            shown: revision,
            buried: revision,
        }
    }

    /// What it knows after the next partial document at this revision.
    pub(in crate::focus) fn after_partial(self, revision: u64) -> Self {
        Self {
            shown: revision,
            buried: self.shown,
        }
    }
}

/// What a subscriber may see. Subscribers with the same view share their documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) struct View {
    /// Sees who the anonymous are: moderators do.
    pub(in crate::focus) unmasked: bool,
    /// Who is listed.
    pub(in crate::focus) extent: Extent,
}

/// Whom a document lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Extent {
    /// Everybody.
    Everybody,
    /// Of a crowd the moderators, and the subscriber if it is in.
    Crowd(Option<UserUri>),
}

impl View {
    /// The view of a user: moderators see who the anonymous are. Of a crowd, everybody sees the
    /// moderators, and whoever is in sees their own element.
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

    /// Whether only some are listed.
    pub(in crate::focus) fn is_crowd(&self) -> bool {
        self.extent != Extent::Everybody
    }

    /// Whether a user stands in the documents of this view.
    pub(in crate::focus) fn lists(&self, user: &UserUri, role: Role) -> bool {
        match &self.extent {
            Extent::Everybody => true,
            Extent::Crowd(own) => role == Role::Moderator || own.as_ref() == Some(user),
        }
    }
}

/// The name under which a user is shown.
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

/// The key of an endpoint: its Contact, which would tell who it is.
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
