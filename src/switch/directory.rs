//! What instances know of each other: who has which session, and what came for it.

use super::ids::ConnectionId;
use crate::control::SessionId;

/// Another instance, as the directory numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub usize);

/// Which instance has which session, for connections that carry sessions of several.
pub trait Directory: Send {
    /// The other instance that has the session.
    fn owner(&self, session: &str) -> Option<Owner>;
    /// This instance's session has ended.
    fn forget(&self, session: &SessionId);
}

/// The directory of the only instance there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Directory for Alone {
    fn owner(&self, _session: &str) -> Option<Owner> {
        None
    }
    fn forget(&self, _session: &SessionId) {}
}

/// What another instance must learn of a connection here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Octets that came for one of its sessions.
    Octets {
        /// Where they came.
        connection: ConnectionId,
        /// Whose session.
        owner: Owner,
        /// Part of a stream of whole messages.
        octets: Vec<u8>,
    },
    /// The connection is gone.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Who has sessions on it.
        owner: Owner,
    },
}
