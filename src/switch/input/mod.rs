//! What comes in on a connection: requests, and what becomes of them.

pub(in crate::switch) mod chunk_input;
pub(in crate::switch) mod decoding;
pub(in crate::switch) mod incoming_send;
pub(in crate::switch) mod nicknames;
