//! Rooms: their rules, their running conferences, participants and endpoints.
//!
//! A room is a lasting name with rules (`policy`). It comes from the configuration, from management
//! (`rooms`), or from its first caller, ad hoc or at a factory. A conference is one running
//! instance of a room: it has participants (users), endpoints (their devices) and invitations. A
//! room has at most one conference at a time.
//!
//! `table` owns all of them, with the index from sessions at the switch to their owners. Every
//! change that subscribers must see gets a revision in `changes`. `permission` answers every
//! question whether a user may do something in a room.

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
