//! The INVITE dialogs of participants: joining, changing, refreshing, losing, leaving.
//!
//! A join passes through these files: `access` and `offer` check the INVITE, `join` makes the
//! endpoint, `admission` has the switch admit its session and then sends the 2xx, and
//! `unacknowledged` follows the 2xx until its ACK. `in_dialog` handles later requests of the peer,
//! `refresh` our own session refreshes. `link` handles the loss of a session, `session_renewal`
//! and `reconcile` the restart of a switch, and `leave` has all ways out, in one table.
//!
//! The switch admits a session before the focus sends its 2xx. A 2xx that the host did not send
//! leaves no effect of its request behind.

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
