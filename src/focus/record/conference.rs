//! The record of a running conference.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::{RoomUri, UserUri};
use crate::focus::RoomRules;
use crate::focus::room::conference::{Conference, Identity};
use crate::focus::room::policy::Policy;

/// A running conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConferenceRecord {
    /// Its room.
    pub room: RoomUri,
    /// Its rules.
    pub rules: RoomRules,
    /// Only moderators come in.
    pub locked: bool,
    /// Identity from the INVITE that made the conference.
    pub identity: Identity,
    /// Its creator.
    pub creator: Option<UserUri>,
}

impl ConferenceRecord {
    /// The record of a conference.
    pub(in crate::focus) fn of(conference: &Conference) -> Self {
        Self {
            room: conference.room.clone(),
            rules: conference.policy.rules.clone(),
            locked: conference.locked,
            identity: conference.identity.clone(),
            creator: conference.creator.clone(),
        }
    }

    /// The conference with the rules of this run, without participants.
    pub(in crate::focus) fn restored(self, policy: Arc<Policy>) -> Conference {
        let Self {
            room,
            rules: _,
            locked,
            identity,
            creator,
        } = self;
        let maker = creator.clone().filter(|_| policy.made);
        let mut conference = Conference::new(room, policy);
        conference.locked = locked;
        conference.identity = identity;
        conference.maker = maker;
        conference.creator = creator;
        conference
    }
}
