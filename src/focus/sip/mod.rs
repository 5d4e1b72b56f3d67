//! SIP: dialogs, offers and answers, refusals. It does not know about rooms.

pub(in crate::focus) mod bye_reason;
pub(in crate::focus) mod cause;
pub(in crate::focus) mod credentials;
pub(in crate::focus) mod dialog;
pub(in crate::focus) mod dialogs;
pub(in crate::focus) mod face;
pub(in crate::focus) mod media;
pub(in crate::focus) mod offer_answer;
pub(in crate::focus) mod rejection;
pub(in crate::focus) mod session_timer;
pub(in crate::focus) mod shared;
pub(in crate::focus) mod targets;
pub(in crate::focus) mod unacknowledged;
