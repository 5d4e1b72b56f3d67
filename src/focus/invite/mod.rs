//! Inviting others: our INVITEs and REFERs, and REFERs from participants that request them.

pub(in crate::focus) mod answers;
pub(in crate::focus) mod forked_answers;
pub(in crate::focus) mod invitation;
pub(in crate::focus) mod referral;
pub(in crate::focus) mod table;
