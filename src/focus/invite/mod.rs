//! Inviting others: our INVITEs and REFERs, and REFERs from participants that request them.
//!
//! An invitation starts from a REFER (`referral`), a recipient list in an INVITE, or the operator.
//! The focus either dials the party by INVITE or asks it by REFER to dial in. Before an INVITE the
//! switch admits a session for the party, because its connection may come right after its answer. A
//! user has at most one invitation per room; a further REFER for the same user follows that
//! invitation and gets its progress. An invitation ends when the party joins, declines, or is
//! called off.

pub(in crate::focus) mod answers;
pub(in crate::focus) mod forked_answers;
pub(in crate::focus) mod invitation;
pub(in crate::focus) mod referral;
pub(in crate::focus) mod table;
