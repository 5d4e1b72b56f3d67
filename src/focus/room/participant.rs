//! Users in a conference, and who has gone.

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
    /// Asked for privacy: the number it is shown by instead of its address.
    pub(in crate::focus) anonymous: Option<u32>,
    pub(in crate::focus) endpoints: Vec<EndpointId>,
    /// The revision of the last change of the user or one of its endpoints.
    changed: u64,
    /// The revision of the last change of what is shown under its address, where it is in under
    /// a number: the two must not be seen to change together.
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

    /// It has changed, or one of its endpoints.
    pub(in crate::focus) fn change(&mut self, revision: u64) {
        self.changed = revision;
    }

    /// The revision of the last change of the user or one of its endpoints.
    pub(in crate::focus) fn changed(&self) -> u64 {
        self.changed
    }

    /// The revision of the last change of what is shown under its address, where that is not the
    /// one it is in by.
    pub(in crate::focus) fn address_changed(&self) -> u64 {
        self.address_changed
    }

    /// What is shown under its address has changed: invitations, what others publish.
    pub(in crate::focus) fn change_address(&mut self, revision: u64) {
        match self.anonymous {
            Some(_) => self.address_changed = revision,
            None => self.changed = revision,
        }
    }

    /// Whether it has a place in rosters. Somebody anonymous who is only invited has none:
    /// the address that was invited is shown instead.
    pub(in crate::focus) fn is_shown(&self) -> bool {
        self.anonymous.is_none() || !self.endpoints.is_empty()
    }
}

/// An endpoint that has gone: shown once as disconnected, in the next document as deleted.
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
    /// We had invited it.
    pub(in crate::focus) dialed_out: bool,
    pub(in crate::focus) at: Moment,
    pub(in crate::focus) joined_at: Option<Moment>,
    pub(in crate::focus) revision: u64,
}

/// The address under which a user is shown, to everybody alike: what others write to it and
/// what it writes must fit the roster, for moderators too.
pub(in crate::focus) fn shown_uri(user: &UserUri, anonymous: Option<u32>) -> String {
    match anonymous {
        Some(number) => anonymous_uri(number).to_string(),
        None => user.to_string(),
    }
}

/// The URI under which an anonymous participant is known (row E13).
pub(in crate::focus) fn anonymous_uri(number: u32) -> UserUri {
    UserUri::new(format!("sip:anonymous{number}@anonymous.invalid"))
}
