//! Certificates made for one test, in a folder of its own.

// Each test program uses only a part of it.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use graviola::hashing::{Hash, Sha256, Sha512};
use graviola::signing::ecdsa::{self, P256};
use msrp_conference::net::TlsFiles;
use msrp_conference::wire::fingerprint::{Fingerprint, HashFunction};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, PublicKeyData, SerialNumber,
    SignatureAlgorithm, SigningKey,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

static COUNTER: AtomicU64 = AtomicU64::new(1);

/// A key pair.
pub(crate) struct Key {
    key: ecdsa::SigningKey<P256>,
    point: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let key = ecdsa::SigningKey::<P256>::generate().unwrap();
        let mut buffer = [0; 256];
        let spki = key.to_spki_der(&mut buffer).unwrap();
        // The uncompressed point is at the end.
        let point = spki[spki.len() - 65..].to_vec();
        Self { key, point }
    }

    fn der(&self) -> Vec<u8> {
        let mut buffer = [0; 512];
        self.key.to_pkcs8_der(&mut buffer).unwrap().to_vec()
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut buffer = [0; 128];
        let signature = self.key.sign_asn1::<Sha256>(&[message], &mut buffer);
        Ok(signature.expect("a signature").to_vec())
    }
}

fn parameters(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    parameters.serial_number = Some(SerialNumber::from(number));
    parameters.key_identifier_method = KeyIdMethod::PreSpecified(number.to_be_bytes().to_vec());
    parameters
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, Key>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = Key::new();
        let mut parameters = parameters(&[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(parameters, key),
            certificate,
        }
    }

    /// A certificate for these names.
    pub(crate) fn certify(&self, names: &[&str]) -> Certified {
        let key = Key::new();
        let certificate = parameters(names).signed_by(&key, &self.issuer).unwrap();
        Certified {
            certificate: certificate.der().clone(),
            key: key.der(),
        }
    }

    pub(crate) fn roots(&self) -> Arc<rustls::RootCertStore> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(roots)
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certified {
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let key = Key::new();
        let certificate = parameters(names).self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            key: key.der(),
        }
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::hash(&self.certificate);
        Fingerprint::new(HashFunction::Sha256, digest.as_ref()).unwrap()
    }

    pub(crate) fn sha512_fingerprint(&self) -> Fingerprint {
        let digest = Sha512::hash(&self.certificate);
        Fingerprint::new(HashFunction::Sha512, digest.as_ref()).unwrap()
    }
}

/// A folder that is deleted with the test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The files of a server with this certificate.
    pub(crate) fn files(&self, own: &Certified) -> TlsFiles {
        TlsFiles {
            certificate: self.write("certificate.pem", &pem("CERTIFICATE", &own.certificate)),
            private_key: self.write("key.pem", &pem("PRIVATE KEY", &own.key)),
            ca_list: None,
            verify_client: false,
        }
    }

    pub(crate) fn ca_list(&self, authority: &Authority) -> PathBuf {
        self.write("ca.pem", &pem("CERTIFICATE", &authority.certificate))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

fn pem(tag: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {tag}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let word = (0..3).fold(0, |word, at| {
                word << 8 | u32::from(group.get(at).copied().unwrap_or(0))
            });
            for at in 0..4 {
                text.push(if at <= group.len() {
                    ALPHABET[(word >> (18 - 6 * at)) as usize & 63] as char
                } else {
                    '='
                });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {tag}-----\n")
}
