//! The roster as subscribers see it: pure functions from the state of a room to documents.

pub(in crate::focus) mod cache;
pub(in crate::focus) mod document;
pub(in crate::focus) mod view;
