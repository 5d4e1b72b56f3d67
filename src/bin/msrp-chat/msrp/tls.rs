//! TLS for the chat (RFC 4975 §14): the records of one connection, and the decision whether to
//! trust the room's certificate: by an authority for the host in its path, or by the fingerprint
//! that its session description announced (RFC 8122).

use crate::failure::Failure;
use msrp_conference::wire::fingerprint::{self, Fingerprint};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore};
use rustls::{Error, SignatureScheme};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

/// Name of the operation in a TLS failure.
pub(crate) const ENCRYPT: &str = "encrypt the chat";
/// The authorities that a Debian machine trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why the certificate is trusted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trust {
    /// An authority confirms the host's name.
    Vouched,
    /// It is the announced one; the error is what an authority check would report.
    Announced(Error),
}

/// A connection's TLS: its state and the result of the certificate check.
pub(crate) struct Tls {
    pub(crate) records: ClientConnection,
    seen: Arc<Seen>,
}

/// Records the result of the authority check instead of ending the handshake: the announced
/// fingerprint may be enough. Signatures are always checked.
#[derive(Debug)]
struct Seen {
    provider: Arc<CryptoProvider>,
    authorities: Authorities,
    verdict: Mutex<Result<(), Error>>,
}

impl Tls {
    /// For a connection to `host`.
    pub(crate) fn new(host: &str, authorities: Option<&Path>) -> Result<Self, Failure> {
        let provider = Arc::new(rustls_graviola::default_provider());
        let seen = Arc::new(Seen {
            authorities: known_authorities(authorities, &provider)?,
            provider: provider.clone(),
            verdict: Mutex::new(Err(Error::General("it was not shown".to_owned()))),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| broken(&error))?
            .dangerous()
            .with_custom_certificate_verifier(seen.clone())
            .with_no_client_auth();
        let bare = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(bare).map_err(|error| {
            let advice = "The room's path names a host that is none: ask the operator.";
            Failure::unusable(ENCRYPT, &error.to_string(), advice)
        })?;
        let records = ClientConnection::new(Arc::new(config), name);
        Ok(Self {
            records: records.map_err(|error| broken(&error))?,
            seen,
        })
    }

    /// Decides after the handshake whether to go on.
    pub(crate) fn trust(&self, announced: &[Fingerprint]) -> Result<Trust, Failure> {
        let verdict = self.seen.verdict.lock();
        let broken = || Err(Error::General("it broke down".to_owned()));
        let verdict = verdict.map_or_else(|_| broken(), |it| it.clone());
        let Err(against) = verdict else {
            return Ok(Trust::Vouched);
        };
        let chain = self.records.peer_certificates();
        let shown = chain
            .and_then(<[_]>::first)
            .map(|it| fingerprint::every(it));
        if fingerprint::matches(announced, &shown.unwrap_or_default()) {
            return Ok(Trust::Announced(against));
        }
        let advice = match announced.is_empty() {
            true => {
                "A certificate of an authority for the host in a=path is needed, or --ca FILE \
                with the authority of a certificate of your own (docs/tls.md)."
            }
            false => "And it is not the announced one: does something between break TLS up?",
        };
        let reason = format!("the certificate is not good: {against}");
        Err(Failure::unusable(ENCRYPT, &reason, advice))
    }
}

fn broken(error: &Error) -> Failure {
    let advice = "This machine's processor may lack what TLS needs.";
    Failure::unusable(ENCRYPT, &error.to_string(), advice)
}

type Authorities = Option<Arc<WebPkiServerVerifier>>;

/// Read once: a command line names one file for all participants.
fn known_authorities(
    file: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Authorities, Failure> {
    static KNOWN: OnceLock<Authorities> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let read = read_authorities(file, provider)?;
    Ok(KNOWN.get_or_init(|| read).clone())
}

/// The absence of any is not a failure: the fingerprint may be enough.
fn read_authorities(
    file: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Authorities, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        let place = file.unwrap_or(Path::new(AUTHORITIES)).display();
        let advice = "Give a PEM file with certificates to --ca.";
        Failure::unusable(ENCRYPT, &format!("{place}: {error}"), advice)
    };
    let found = CertificateDer::pem_file_iter(file.unwrap_or(Path::new(AUTHORITIES)));
    let mut roots = RootCertStore::empty();
    match (found, file) {
        (Ok(found), _) => {
            let found: Vec<_> = found.filter_map(Result::ok).collect();
            roots.add_parsable_certificates(found);
        }
        (Err(error), Some(_)) => return Err(unreadable(&error)),
        (Err(_), None) => {}
    }
    if file.is_some() && roots.is_empty() {
        return Err(unreadable(&"no certificate in it"));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    Ok(verifier.build().ok())
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = match &self.authorities {
            Some(authorities) => authorities
                .verify_server_cert(end_entity, intermediates, name, ocsp, now)
                .map(drop),
            None => Err(Error::General("no authorities are known here".to_owned())),
        };
        if let Ok(mut noted) = self.verdict.lock() {
            *noted = verdict;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
