//! The conference event package (RFC 4575): subscriptions, their pace, NOTIFY, PUBLISH.
//!
//! `subscribe` accepts a SUBSCRIBE and makes a subscription, to which `notify` sends documents: a
//! full one first, then partial ones with the changes. A change of a conference wakes the
//! subscriptions that were up to date; each gets a timer by its pace (`event_rate`), then a place
//! in `notify_queue`, where rooms take turns. The document is chosen when the NOTIFY leaves, not
//! when it is queued.
//!
//! A subscription has at most one NOTIFY in flight, except for the last NOTIFY of a conference
//! that has ended. After a NOTIFY that failed without ending the subscription, the next document is
//! full.

pub(in crate::focus) mod event_rate;
pub(in crate::focus) mod notify;
pub(in crate::focus) mod notify_queue;
pub(in crate::focus) mod publish;
pub(in crate::focus) mod subscribe;
pub(in crate::focus) mod subscribers;
pub(in crate::focus) mod subscription;
pub(in crate::focus) mod table;
