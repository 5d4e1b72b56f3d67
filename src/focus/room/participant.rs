//! Users in a conference, and departures.

use std::sync::Arc;

use crate::control::UserUri;
use crate::focus::Role;
use crate::focus::ids::EndpointId;
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;

/// A user in a conference.
#[derive(Debug)]
pub(in crate::focus) struct Participant {
    pub(in crate::focus) display: Arc<str>,
    pub(in crate::focus) nickname: Option<Arc<str>>,
    pub(in crate::focus) role: Role,
    /// Number of a user who wants privacy; it appears instead of their address.
    pub(in crate::focus) anonymous: Option<u32>,
    pub(in crate::focus) endpoints: Vec<EndpointId>,
    /// The revision of the last change of the user or one of its endpoints.
    changed: u64,
    /// The revision of the last change of the elements under the user's real address, if they
    /// appear by a number. The two must not seem to change together.
    address_changed: u64,
}

impl Participant {
    /// A user without endpoints.
    pub(in crate::focus) fn new(display: Arc<str>, role: Role, since: u64) -> Self {
        Self {
            display,
            nickname: None,
            role,
            anonymous: None,
            endpoints: Vec::new(),
            changed: since,
            address_changed: 0,
        }
    }

    /// Notes a change of the user or one of their endpoints.
    pub(in crate::focus) fn change(&mut self, revision: u64) {
        self.changed = revision;
    }

    /// The revision of the last change of the user or one of its endpoints.
    pub(in crate::focus) fn changed(&self) -> u64 {
        self.changed
    }

    /// The revision of the last change of the elements under the user's real address, if they
    /// appear by a number.
    pub(in crate::focus) fn address_changed(&self) -> u64 {
        self.address_changed
    }

    /// Notes a change of the elements under the user's address: invitations, and publications of
    /// others.
    pub(in crate::focus) fn change_address(&mut self, revision: u64) {
        match self.anonymous {
            Some(_) => self.address_changed = revision,
            None => self.changed = revision,
        }
    }

    /// Whether the user has an element in rosters. An anonymous user who is only invited has none:
    /// the invited address appears instead.
    pub(in crate::focus) fn is_shown(&self) -> bool {
        self.anonymous.is_none() || !self.endpoints.is_empty()
    }
}

/// An endpoint that has gone: one document shows it as disconnected, the next as deleted.
#[derive(Clone, Debug)]
pub(in crate::focus) struct Departure {
    pub(in crate::focus) user: UserUri,
    pub(in crate::focus) display: Arc<str>,
    pub(in crate::focus) nickname: Option<Arc<str>>,
    pub(in crate::focus) role: Role,
    pub(in crate::focus) anonymous: Option<u32>,
    pub(in crate::focus) id: EndpointId,
    pub(in crate::focus) endpoint: Arc<str>,
    pub(in crate::focus) method: DisconnectionMethod,
    pub(in crate::focus) reason: Option<String>,
    /// We had dialled it.
    pub(in crate::focus) dialed_out: bool,
    pub(in crate::focus) at: Moment,
    pub(in crate::focus) joined_at: Option<Moment>,
    pub(in crate::focus) revision: u64,
}

/// The address under which everybody sees a user, moderators included: messages to and from it must
/// match the roster.
pub(in crate::focus) fn shown_uri(user: &UserUri, anonymous: Option<u32>) -> String {
    match anonymous {
        Some(number) => anonymous_uri(number).to_string(),
        None => user.to_string(),
    }
}

/// The URI of an anonymous participant (row E13).
pub(in crate::focus) fn anonymous_uri(number: u32) -> UserUri {
    UserUri::new(format!("sip:anonymous{number}@anonymous.invalid"))
}
