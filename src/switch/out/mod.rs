//! What goes out: whose turn it is to write, and what is written.

pub(crate) mod backpressure;
pub(crate) mod batch;
pub(crate) mod copy_writer;
pub(crate) mod deliveries;
pub(crate) mod large_copies;
pub(crate) mod stream;
pub(crate) mod stream_pause;
pub(crate) mod stream_route;
pub(crate) mod streaming;
pub(crate) mod transmit;
pub(crate) mod turns;
pub(crate) mod unchunked;
