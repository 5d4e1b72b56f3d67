//! What subscribers are shown of a room: pure functions from its state to documents.

pub(in crate::focus) mod cache;
pub(in crate::focus) mod document;
pub(in crate::focus) mod view;
