//! Invitations and REFERs that are under way.

use std::collections::HashMap;

use crate::control::RoomUri;
use crate::focus::ids::InvitationId;
use crate::focus::invite::referral::Referrals;
use crate::focus::room::invitation_limit::InvitationLimit;

/// All invitations and REFERs.
#[derive(Debug, Default)]
pub(in crate::focus) struct Invites {
    /// Room of each invitation, and the Call-ID of its REFER.
    rooms: HashMap<InvitationId, (RoomUri, Option<String>)>,
    /// Invitations by REFER, by its Call-ID.
    referred: HashMap<String, InvitationId>,
    pub(in crate::focus) referrals: Referrals,
    pub(in crate::focus) limit: InvitationLimit,
}

impl Invites {
    /// Adds an invitation: by a REFER with this Call-ID, or by INVITE.
    pub(in crate::focus) fn begin(
        &mut self,
        id: InvitationId,
        room: RoomUri,
        referred: Option<String>,
    ) {
        if let Some(call_id) = &referred {
            self.referred.insert(call_id.clone(), id);
        }
        self.rooms.insert(id, (room, referred));
    }

    /// Ends an invitation; returns its room.
    pub(in crate::focus) fn end(&mut self, id: InvitationId) -> Option<RoomUri> {
        let (room, referred) = self.rooms.remove(&id)?;
        if let Some(call_id) = referred {
            self.referred.remove(&call_id);
        }
        Some(room)
    }

    /// The room of an invitation.
    pub(in crate::focus) fn room(&self, id: InvitationId) -> Option<&RoomUri> {
        self.rooms.get(&id).map(|(room, _)| room)
    }

    /// The invitation by a REFER of this Call-ID.
    pub(in crate::focus) fn referred(&self, call_id: &str) -> Option<InvitationId> {
        self.referred.get(call_id).copied()
    }

    /// All invitations.
    pub(in crate::focus) fn ids(&self) -> Vec<InvitationId> {
        self.rooms.keys().copied().collect()
    }

    /// Names of the tables that are not empty although no invitation is under way.
    pub(in crate::focus) fn leftovers(&self) -> Vec<&'static str> {
        let all = [
            ("invitations", self.rooms.len()),
            ("referred", self.referred.len()),
            ("referrals", self.referrals.len()),
        ];
        let left = all.into_iter().filter(|(_, count)| *count > 0);
        left.map(|(name, _)| name).collect()
    }
}
