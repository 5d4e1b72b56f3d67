//! TLS for MSRP (RFC 4975 §14.2, RFC 8122): certificates, who is believed, and one
//! connection's records. TLS 1.2 and 1.3 by rustls, whatever the host links.
//!
//! The provider is Graviola: of those for rustls the one whose licence fits and that builds
//! without a C compiler. It asks for a processor of the last decade, see
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
