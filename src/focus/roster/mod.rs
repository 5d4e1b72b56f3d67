//! The roster as subscribers see it: pure functions from the state of a room to documents.
//!
//! A document depends on the revision of the conference, on its scope (full, or the changes since
//! a revision) and on the view of the subscriber: whether they see the addresses of anonymous
//! participants, and which users of a crowd they see. `cache` shares one rendering between all
//! subscribers with the same view and scope.

pub(in crate::focus) mod cache;
pub(in crate::focus) mod document;
pub(in crate::focus) mod view;
