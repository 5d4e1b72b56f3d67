//! Inviting others: INVITEs and REFERs of ours, and REFERs that ask for them.

pub(in crate::focus) mod answers;
pub(in crate::focus) mod forked_answers;
pub(in crate::focus) mod invitation;
pub(in crate::focus) mod referral;
pub(in crate::focus) mod table;
