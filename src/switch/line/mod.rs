//! Connections: their sessions, replies and liveness.

pub(in crate::switch) mod binding;
pub(in crate::switch) mod connection;
pub(in crate::switch) mod connections;
pub(in crate::switch) mod dialling;
pub(in crate::switch) mod incoming;
pub(in crate::switch) mod lifecycle;
pub(in crate::switch) mod liveness;
pub(in crate::switch) mod replies;
pub(in crate::switch) mod wanted;
