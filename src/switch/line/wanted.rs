//! A connection that a session waits for.

use std::time::Duration;

use crate::control::{Dial, RoomUri, SessionId};
use crate::wire::fingerprint::Fingerprint;

/// A connection that is wanted. `connected` or `unreachable` answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// For whom.
    pub session: SessionId,
    /// For which room.
    pub room: RoomUri,
    /// Where to.
    pub target: Dial,
    /// What the peer's certificate is announced by.
    pub fingerprints: Vec<Fingerprint>,
    /// How long it may take to come, the peer's port to open, and so on.
    pub within: Duration,
}
