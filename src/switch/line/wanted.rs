//! A connection that a session needs.

use std::time::Duration;

use crate::control::{Dial, RoomUri, SessionId};
use crate::wire::fingerprint::Fingerprint;

/// A request for a connection. `connected` or `unreachable` answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The session.
    pub session: SessionId,
    /// Its room.
    pub room: RoomUri,
    /// The target.
    pub target: Dial,
    /// The announced fingerprints of the peer's certificate.
    pub fingerprints: Vec<Fingerprint>,
    /// Time limit for the connection, including the wait for the peer's port to open.
    pub within: Duration,
}
