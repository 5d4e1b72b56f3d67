//! The operator's certificate files: read, checked, and read again when they change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::provider;
use super::trust::{AnyClient, ThePeer};
use crate::access::{self, Wish};
use crate::wire::fingerprint::{self, Fingerprint};

/// The operator's files, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key; may be the same file.
    pub private_key: PathBuf,
    /// Authorities whose certificates are trusted.
    pub ca_list: Option<PathBuf>,
    /// Require clients to show a certificate of one of these authorities.
    pub verify_client: bool,
}

/// An error in the files, with the parameter that names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Missing or unreadable.
    #[error("cannot read {path}: {source}{mend}")]
    Read {
        /// Its parameter.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
        /// The file's owner and a command that fixes its permissions; empty for other causes.
        mend: String,
    },
    /// It contains no PEM item of the kind wanted.
    #[error("{path} holds no {wanted} in PEM")]
    Empty {
        /// Its parameter.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// The kind of item it should contain.
        wanted: &'static str,
    },
    /// The kind of key is not supported.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// The error of rustls.
        source: rustls::Error,
    },
    /// The key does not match the certificate.
    #[error("the key in {path} is not that of the certificate")]
    KeyMismatch {
        /// The file with the key.
        path: PathBuf,
    },
    /// A certificate cannot be used.
    #[error("{path}: {problem}")]
    Certificate {
        /// Its parameter.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        problem: String,
    },
    /// `tls_verify_client` requires authorities.
    #[error("tls_verify_client needs tls_ca_list")]
    NoAuthorities,
    /// The processor lacks instructions that the cryptography needs.
    #[error("TLS needs a processor with AES, AVX2, ADX, BMI2 and PCLMULQDQ")]
    Processor,
}

impl TlsError {
    /// The parameter at fault.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::Read { parameter, .. }
            | Self::Empty { parameter, .. }
            | Self::Certificate { parameter, .. } => parameter,
            Self::Key { .. } | Self::KeyMismatch { .. } => "tls_private_key",
            Self::NoAuthorities => "tls_verify_client",
            Self::Processor => "listen",
        }
    }
}

impl TlsFiles {
    /// Reads and checks all files, as at startup.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn check(&self) -> Result<(), TlsError> {
        Material::read(Some(self)).map(drop)
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let ca_list = self.ca_list.as_deref();
        [self.certificate.as_path(), self.private_key.as_path()]
            .into_iter()
            .chain(ca_list)
    }

    /// A value that changes whenever one of the files changes.
    fn stamp(&self) -> Vec<Option<(SystemTime, u64)>> {
        let stamp = |path| {
            let data = fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        };
        self.paths().map(stamp).collect()
    }

    fn certified_key(&self) -> Result<CertifiedKey, TlsError> {
        let chain = certificates("tls_certificate", &self.certificate)?;
        let path = || self.private_key.clone();
        let text = read("tls_private_key", &self.private_key)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::Empty {
            parameter: "tls_private_key",
            path: path(),
            wanted: "private key",
        })?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|source| match source {
            rustls::Error::InconsistentKeys(_) => TlsError::KeyMismatch { path: path() },
            rustls::Error::InvalidCertificate(problem) => TlsError::Certificate {
                parameter: "tls_certificate",
                path: self.certificate.clone(),
                problem: format!("{problem:?}"),
            },
            source => TlsError::Key {
                path: path(),
                source,
            },
        })
    }

    fn roots(&self) -> Result<Option<Arc<RootCertStore>>, TlsError> {
        let Some(path) = &self.ca_list else {
            return Ok(None);
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("tls_ca_list", path)? {
            roots
                .add(certificate)
                .map_err(|error| TlsError::Certificate {
                    parameter: "tls_ca_list",
                    path: path.clone(),
                    problem: error.to_string(),
                })?;
        }
        Ok(Some(Arc::new(roots)))
    }
}

fn read(parameter: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        parameter,
        path: path.to_owned(),
        source,
        mend: mend(path),
    })
}

/// How to make the file readable, as text to append to the operating system's error.
fn mend(path: &Path) -> String {
    access::obstacle(path, Wish::Read).map_or_else(String::new, |obstacle| {
        format!("; {obstacle}: {}", obstacle.command(path.display()))
    })
}

fn certificates(
    parameter: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(parameter, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Empty {
            parameter,
            path: path.to_owned(),
            wanted: "certificate",
        }),
    }
}

/// The configuration built from the files at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Material {
    /// For our listeners.
    pub(crate) server: Option<Arc<ServerConfig>>,
    /// Fingerprint of our certificate.
    pub(crate) fingerprint: Option<Fingerprint>,
    own: Option<Arc<SingleCertAndKey>>,
    roots: Option<Arc<RootCertStore>>,
}

impl Material {
    fn read(files: Option<&TlsFiles>) -> Result<Self, TlsError> {
        let Some(files) = files else {
            return Ok(Self::default());
        };
        if !graviola::util::is_cpu_supported() {
            return Err(TlsError::Processor);
        }
        let own = files.certified_key()?;
        let fingerprint = own
            .end_entity_cert()
            .ok()
            .and_then(|certificate| fingerprint::every(certificate).into_iter().next());
        let roots = files.roots()?;
        let own = Arc::new(SingleCertAndKey::from(own));
        let server = server_config(files, Arc::clone(&own), roots.clone())?;
        Ok(Self {
            server: Some(Arc::new(server)),
            fingerprint,
            own: Some(own),
            roots,
        })
    }

    /// The configuration of a TLS client. The peer must show a certificate with one of the
    /// announced fingerprints or, if none was announced, one that a trusted authority vouches for.
    pub(crate) fn client(&self, announced: Vec<Fingerprint>) -> Option<Arc<ClientConfig>> {
        if !graviola::util::is_cpu_supported() {
            return None;
        }
        let verifier = ThePeer::new(announced, self.roots.clone())?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.own {
            Some(own) => builder.with_client_cert_resolver(Arc::clone(own) as _),
            None => builder.with_no_client_auth(),
        };
        config.resumption = rustls::client::Resumption::disabled();
        Some(Arc::new(config))
    }
}

fn server_config(
    files: &TlsFiles,
    own: Arc<SingleCertAndKey>,
    roots: Option<Arc<RootCertStore>>,
) -> Result<ServerConfig, TlsError> {
    let clients = if files.verify_client {
        let roots = roots.ok_or(TlsError::NoAuthorities)?;
        WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| TlsError::Certificate {
                parameter: "tls_ca_list",
                path: files.ca_list.clone().unwrap_or_default(),
                problem: error.to_string(),
            })?
    } else {
        Arc::new(AnyClient)
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(|source| TlsError::Key {
            path: files.private_key.clone(),
            source,
        })?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(own);
    // A participant connects once per conference, so session resumption would save little. Without
    // it, no client resumes a session accepted under another certificate file.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The name a peer's certificate must have; `None` if the text is not a valid name.
pub(super) fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    ServerName::try_from(bare.unwrap_or(host).to_owned()).ok()
}

/// The files and the configuration last built from them, shared by all threads.
#[derive(Debug)]
pub(crate) struct Tls {
    files: Option<TlsFiles>,
    current: Mutex<Arc<Material>>,
    stamp: Mutex<Vec<Option<(SystemTime, u64)>>>,
}

impl Tls {
    /// Reads the files. Without any, there are no TLS listeners and no certificate to show.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub(crate) fn new(files: Option<TlsFiles>) -> Result<Self, TlsError> {
        let stamp = files.as_ref().map(TlsFiles::stamp).unwrap_or_default();
        let material = Material::read(files.as_ref())?;
        Ok(Self {
            files,
            current: Mutex::new(Arc::new(material)),
            stamp: Mutex::new(stamp),
        })
    }

    /// The configuration for new connections.
    pub(crate) fn material(&self) -> Arc<Material> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Rereads the files if they have changed. A change that cannot be used (a half-written file,
    /// for example) is reported once, and the old certificate stays in force.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub(crate) fn refresh(&self) -> Result<Option<Arc<Material>>, TlsError> {
        let Some(files) = &self.files else {
            return Ok(None);
        };
        let stamp = files.stamp();
        let mut known = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == stamp {
            return Ok(None);
        }
        *known = stamp;
        self.read(files).map(Some)
    }

    /// Rereads the files even if they have not changed.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub(crate) fn read_again(&self) -> Result<Option<Arc<Material>>, TlsError> {
        let Some(files) = &self.files else {
            return Ok(None);
        };
        *self.stamp.lock().unwrap_or_else(PoisonError::into_inner) = files.stamp();
        self.read(files).map(Some)
    }

    fn read(&self, files: &TlsFiles) -> Result<Arc<Material>, TlsError> {
        let material = Arc::new(Material::read(Some(files))?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&material);
        Ok(material)
    }
}
