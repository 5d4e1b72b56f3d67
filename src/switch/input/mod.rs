//! Input of a connection: requests and their processing.

pub(in crate::switch) mod chunk_input;
pub(in crate::switch) mod decoding;
pub(in crate::switch) mod incoming_send;
pub(in crate::switch) mod nicknames;
