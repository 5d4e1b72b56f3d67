//! The security of connections.

use std::sync::Arc;

use crate::wire::fingerprint::Fingerprint;

/// The security of a connection, as far as its sessions need to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// None.
    #[default]
    Plain,
    /// TLS, with the fingerprints of the peer's certificate; empty if it showed none.
    Tls(Arc<[Fingerprint]>),
}
