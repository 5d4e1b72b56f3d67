//! Sizes and times that both ends share.

use std::io;
use std::time::Duration;

/// Longest frame. An admission is made of one SDP body, which the host's own limit of 64 KiB
/// for a request bounds; a full `Reconcile` and its answer stay below a quarter of this, the
/// whole history of a room below five eighths.
pub const MAX_FRAME: usize = 1 << 20;

/// How long a peer may take from connect to hello.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval of signs of life on an otherwise silent connection.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(3);

/// A side that sends nothing, or reads nothing, for this long counts as dead.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(12);

/// Octets read per call; writes are about as large.
pub(super) const READ_OCTETS: usize = 64 * 1024;

/// A socket with a time-out reports it in either of two ways.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
