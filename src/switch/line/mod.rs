//! Connections: which sessions they carry, what they are answered, whether their peers live.

pub(crate) mod binding;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod dialling;
pub(crate) mod incoming;
pub(crate) mod lifecycle;
pub(crate) mod liveness;
pub(crate) mod replies;
pub(crate) mod wanted;
