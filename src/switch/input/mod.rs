//! What comes in on a connection: requests, and what becomes of them.

pub(crate) mod chunk_input;
pub(crate) mod decoding;
pub(crate) mod incoming_send;
pub(crate) mod nicknames;
