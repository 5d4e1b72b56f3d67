//! The INVITE dialogs of participants: joining, changing, refreshing, losing, leaving.

pub(in crate::focus) mod access;
pub(in crate::focus) mod admission;
pub(in crate::focus) mod in_dialog;
pub(in crate::focus) mod join;
pub(in crate::focus) mod leave;
pub(in crate::focus) mod link;
pub(in crate::focus) mod listeners;
pub(in crate::focus) mod offer;
pub(in crate::focus) mod recipients;
pub(in crate::focus) mod reconcile;
pub(in crate::focus) mod refresh;
pub(in crate::focus) mod refused_join;
pub(in crate::focus) mod session_renewal;
pub(in crate::focus) mod unacknowledged;
