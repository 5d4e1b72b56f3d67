//! Output: which connection writes next, and what it writes.
//!
//! A room's log holds each message once, and every member a position in the log. A copy is written
//! only when the connection of its receiver has its turn. Rooms take turns of a few members each,
//! alternating with single connections (`turns`). In its turn a connection fills one batch
//! (`transmit`): first responses and reports, then the messages of its sessions (`deliveries`), and
//! last a share of its large messages (`large_copies`).
//!
//! Large messages never enter a log. They are passed on while they arrive: `stream` holds them,
//! `streaming` and `stream_route` move them through the room and between threads, and
//! `copy_writer` writes the SENDs of one receiver.
//!
//! Two rules hold throughout. While a SEND is open on a connection, nothing else is written there
//! before its end-line. Queues are bounded by an outbox per receiver: first the senders wait
//! (`backpressure`, `stream_pause`), then receivers that stay behind lose messages.

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
