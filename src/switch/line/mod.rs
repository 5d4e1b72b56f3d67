//! Connections: what comes in on them, which sessions they carry, whether their peers live.

pub(in crate::switch) mod chunk_input;
pub(in crate::switch) mod connection;
pub(in crate::switch) mod decoding;
pub(in crate::switch) mod dialling;
pub(in crate::switch) mod incoming;
pub(in crate::switch) mod liveness;
pub(in crate::switch) mod replies;
