//! TLS for MSRP (RFC 4975 §14.2, RFC 8122): certificates, trust, and the records of one connection.
//! TLS 1.2 and 1.3 by rustls, whichever library the host links.
//!
//! The provider is Graviola: among the rustls providers, the one with a suitable licence that
//! builds without a C compiler. It needs a processor of the last decade, see
//! [`TlsError::Processor`].

mod files;
mod stream;
mod trust;

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

pub use files::{TlsError, TlsFiles};

pub(super) use files::Tls;
pub(super) use stream::{Hello, Records};

/// The one provider of the process.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls_graviola::default_provider())))
}
