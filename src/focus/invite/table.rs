//! Who is being invited, and who follows it.

use std::collections::HashMap;

use crate::control::RoomUri;
use crate::focus::ids::InvitationId;
use crate::focus::invite::referral::Referrals;
use crate::focus::room::invitation_limit::InvitationLimit;

/// All invitations and REFERs.
#[derive(Debug, Default)]
pub(in crate::focus) struct Invites {
    /// Where each invitation is.
    pub(in crate::focus) rooms: HashMap<InvitationId, RoomUri>,
    /// Invitations by REFER, by its Call-ID.
    pub(in crate::focus) referred: HashMap<String, InvitationId>,
    pub(in crate::focus) referrals: Referrals,
    pub(in crate::focus) limit: InvitationLimit,
}

impl Invites {
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
