//! How connections are secured.

use std::sync::Arc;

use crate::wire::fingerprint::Fingerprint;

/// How a connection is secured, as far as its sessions care.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    #[default]
    Plain,
    /// By TLS. What the peer's certificate could be announced by; empty: it showed none.
    Tls(Arc<[Fingerprint]>),
}
