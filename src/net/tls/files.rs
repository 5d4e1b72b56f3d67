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
    /// Authorities whose certificates are believed.
    pub ca_list: Option<PathBuf>,
    /// A client without a certificate of one of them is turned away.
    pub verify_client: bool,
}

/// What is wrong with the files, each named by the parameter it stands in.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not there, or not readable.
    #[error("cannot read {path}: {source}{mend}")]
    Read {
        /// Its parameter.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// Whose the file is, and the command that mends it; empty for other reasons.
        mend: String,
    },
    /// Nothing of the kind in it.
    #[error("{path} holds no {wanted} in PEM")]
    Empty {
        /// Its parameter.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The key is of no kind that can be used.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The two do not belong together.
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
        /// Why.
        problem: String,
    },
    /// `tls_verify_client` needs authorities.
    #[error("tls_verify_client needs tls_ca_list")]
    NoAuthorities,
    /// The cryptography needs instructions this processor has not.
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
    /// Reads and checks everything, as the start does.
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

    /// Changes whenever one of the files does.
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

/// What makes a file readable, behind what the operating system said.
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

/// What was made of the files at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Material {
    /// For our listeners.
    pub(crate) server: Option<Arc<ServerConfig>>,
    /// Of our certificate.
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

    /// What to connect with: to a peer that announced these fingerprints, or without any to
    /// one whose certificate an authority of ours vouches for.
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
    // A participant connects once a conference: nothing is kept to make that cheaper, and
    // nobody comes in on what another certificate file allowed.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The name a peer's certificate must have; `None`: text that can be no name.
pub(super) fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    ServerName::try_from(bare.unwrap_or(host).to_owned()).ok()
}

/// The files, and what was last made of them. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Tls {
    files: Option<TlsFiles>,
    current: Mutex<Arc<Material>>,
    stamp: Mutex<Vec<Option<(SystemTime, u64)>>>,
}

impl Tls {
    /// Reads the files; without any there is no TLS listener and no certificate to show.
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

    /// What to use for a new connection.
    pub(crate) fn material(&self) -> Arc<Material> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again if they have changed. A change that cannot be used (half of it
    /// written, say) is told once, and the old certificate stays.
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

    /// Reads the files again in any case.
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
