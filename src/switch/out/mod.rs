//! Output: the order of writers, and their octets.

pub(in crate::switch) mod backpressure;
pub(in crate::switch) mod batch;
pub(in crate::switch) mod copy_writer;
pub(in crate::switch) mod deliveries;
pub(in crate::switch) mod large_copies;
pub(in crate::switch) mod stream;
pub(in crate::switch) mod stream_pause;
pub(in crate::switch) mod stream_route;
pub(in crate::switch) mod streaming;
pub(in crate::switch) mod transmit;
pub(in crate::switch) mod turns;
pub(in crate::switch) mod unchunked;
