//! The record of a user in a conference.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::{RoomUri, UserUri};
use crate::focus::Role;
use crate::focus::room::participant::Participant;

/// A user in a conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ParticipantRecord {
    /// The conference's room.
    pub room: RoomUri,
    /// The user.
    pub user: UserUri,
    /// Display name, empty for none.
    pub display: String,
    /// The nickname, as the user wrote it.
    pub nickname: Option<String>,
    /// Their role.
    pub role: Role,
    /// The number shown instead of the address.
    pub anonymous: Option<u32>,
}

impl ParticipantRecord {
    /// The record of a user; `None` for a user who is only invited.
    pub(in crate::focus) fn of(
        room: &RoomUri,
        user: &UserUri,
        participant: &Participant,
    ) -> Option<Self> {
        (!participant.endpoints.is_empty()).then(|| Self {
            room: room.clone(),
            user: user.clone(),
            display: participant.display.to_string(),
            nickname: participant.nickname.as_deref().map(str::to_owned),
            role: participant.role,
            anonymous: participant.anonymous,
        })
    }

    /// The user with their role in this run, without endpoints.
    pub(in crate::focus) fn restored(self, role: Role) -> Participant {
        let Self {
            room: _,
            user: _,
            display,
            nickname,
            role: _,
            anonymous,
        } = self;
        let mut participant = Participant::new(display.into(), role, 0);
        participant.nickname = nickname.map(Arc::from);
        participant.anonymous = anonymous;
        participant
    }
}
