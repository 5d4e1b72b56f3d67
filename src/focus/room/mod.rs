//! Rooms: their conferences, who is in them, and the rules.

pub(in crate::focus) mod changes;
pub(in crate::focus) mod conference;
pub(in crate::focus) mod endpoint;
pub(in crate::focus) mod fingerprint_memory;
pub(in crate::focus) mod held_nicknames;
pub(in crate::focus) mod history;
pub(in crate::focus) mod invitation;
pub(in crate::focus) mod invitation_limit;
pub(in crate::focus) mod participant;
pub(in crate::focus) mod permission;
pub(in crate::focus) mod policy;
pub(in crate::focus) mod publications;
pub(in crate::focus) mod rooms;
pub(in crate::focus) mod table;
