//! Trust in certificates. A fingerprint from the signalling outranks every authority. It is checked
//! here on connections we make, and at the bind on connections we accept.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::provider;
use crate::wire::fingerprint::{self, Fingerprint};

/// Requests a certificate from every client and accepts any: only the session it binds determines
/// whether the certificate is right (RFC 4975 §14.4). The handshake proves that the client has its
/// key.
#[derive(Debug)]
pub(super) struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Verifies that the peer is the one its description announced.
#[derive(Debug)]
pub(super) enum ThePeer {
    /// The certificate, self-signed or not, has one of these fingerprints (RFC 4975 §14.4).
    Announced(Vec<Fingerprint>),
    /// A trusted authority vouches for the name (RFC 4975 §14.2, C69).
    Vouched(Arc<WebPkiServerVerifier>),
}

impl ThePeer {
    /// `None`: without a fingerprint and without authorities no peer can be trusted.
    pub(super) fn new(
        announced: Vec<Fingerprint>,
        roots: Option<Arc<RootCertStore>>,
    ) -> Option<Self> {
        if !announced.is_empty() {
            return Some(Self::Announced(announced));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots?, provider()).build();
        verifier.ok().map(Self::Vouched)
    }
}

impl ServerCertVerifier for ThePeer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self {
            Self::Announced(announced) => {
                if fingerprint::matches(announced, &fingerprint::every(end_entity)) {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(CertificateError::ApplicationVerificationFailure.into())
                }
            }
            Self::Vouched(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        AnyClient.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        AnyClient.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        AnyClient.supported_verify_schemes()
    }
}
