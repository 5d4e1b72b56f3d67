//! The conference event package (RFC 4575): subscriptions, their pace, NOTIFY, PUBLISH.

pub(in crate::focus) mod event_rate;
pub(in crate::focus) mod notify;
pub(in crate::focus) mod notify_queue;
pub(in crate::focus) mod publish;
pub(in crate::focus) mod subscribe;
pub(in crate::focus) mod subscribers;
pub(in crate::focus) mod subscription;
pub(in crate::focus) mod table;
