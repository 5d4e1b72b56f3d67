//! Who is being invited, and who follows it.

use std::collections::HashMap;

use crate::control::RoomUri;
use crate::focus::ids::InvitationId;
use crate::focus::invite::referral::Referrals;
use crate::focus::room::invitation_limit::InvitationLimit;

/// All invitations and REFERs.
#[derive(Debug, Default)]
pub(in crate::focus) struct Invites {
    /// Where each invitation is, and the Call-ID of its REFER.
    rooms: HashMap<InvitationId, (RoomUri, Option<String>)>,
    /// Invitations by REFER, by its Call-ID.
    referred: HashMap<String, InvitationId>,
    pub(in crate::focus) referrals: Referrals,
    pub(in crate::focus) limit: InvitationLimit,
}

impl Invites {
    /// A party is on its way into a room; by a REFER of this Call-ID, or called.
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

    /// A party is on its way no more; gives its room.
    pub(in crate::focus) fn end(&mut self, id: InvitationId) -> Option<RoomUri> {
        let (room, referred) = self.rooms.remove(&id)?;
        if let Some(call_id) = referred {
            self.referred.remove(&call_id);
        }
        Some(room)
    }

    /// Where an invitation is.
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

    /// The names of what is not empty, when nobody is invited any more.
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
