//! Certificate fingerprints (RFC 8122 §5).

use std::fmt;
use std::str::FromStr;

use graviola::hashing::{Hash, Sha256, Sha384, Sha512};
use serde::{Deserialize, Serialize};

/// Limit of fingerprints considered in one description: a few hash functions, a few certificates.
pub const MAX_FINGERPRINTS: usize = 16;

/// The supported hash functions, weakest first. RFC 8122 §5 keeps SHA-1 for old peers and forbids
/// MD5; both are unsupported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HashFunction {
    /// SHA-256, which everybody must support.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashFunction {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// Octets of a digest.
    fn octets(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Text that is not a fingerprint of a supported hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// Another hash function.
    #[error("unknown hash function")]
    HashFunction,
    /// Not octets in hexadecimal, or not as many as the hash function makes.
    #[error("malformed fingerprint")]
    Malformed,
}

/// The digest of a certificate in DER.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    hash: HashFunction,
    digest: Box<[u8]>,
}

impl Fingerprint {
    /// `None`: the digest has the wrong length for this function.
    pub fn new(hash: HashFunction, digest: &[u8]) -> Option<Self> {
        (digest.len() == hash.octets()).then(|| Self {
            hash,
            digest: digest.into(),
        })
    }

    /// The hash function.
    pub fn hash(&self) -> HashFunction {
        self.hash
    }
}

/// Whether one of these digests of a certificate is announced. Only the strongest hash function
/// announced counts (RFC 8122 §5). An empty announcement matches nothing.
pub fn matches(announced: &[Fingerprint], certificate: &[Fingerprint]) -> bool {
    let Some(strongest) = announced.iter().map(Fingerprint::hash).max() else {
        return false;
    };
    let mut own = certificate.iter().filter(|it| it.hash == strongest);
    own.any(|own| announced.contains(own))
}

/// Every fingerprint by which a certificate, in DER, could be announced; that of SHA-256 first.
pub fn every(certificate: &[u8]) -> Vec<Fingerprint> {
    [
        (HashFunction::Sha256, Sha256::hash(certificate)),
        (HashFunction::Sha384, Sha384::hash(certificate)),
        (HashFunction::Sha512, Sha512::hash(certificate)),
    ]
    .into_iter()
    .filter_map(|(hash, digest)| Fingerprint::new(hash, digest.as_ref()))
    .collect()
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (name, value) = text
            .trim()
            .split_once(' ')
            .ok_or(FingerprintError::Malformed)?;
        let hash = HashFunction::ALL
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))
            .ok_or(FingerprintError::HashFunction)?;
        let octet = |pair: &str| {
            let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            digits.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        };
        let digest: Option<Vec<u8>> = value.trim().split(':').map(octet).collect();
        let digest = digest.ok_or(FingerprintError::Malformed)?;
        Self::new(hash, &digest).ok_or(FingerprintError::Malformed)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (at, octet) in self.digest.iter().enumerate() {
            let before = if at == 0 { ' ' } else { ':' };
            write!(f, "{before}{octet:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(hash: HashFunction, octet: u8) -> Fingerprint {
        Fingerprint::new(hash, &vec![octet; hash.octets()]).unwrap()
    }

    #[test]
    fn the_strongest_hash_function_decides() {
        use HashFunction::{Sha256, Sha512};
        let certificate = [of(Sha256, 1), of(Sha512, 2)];
        assert!(matches(&[of(Sha256, 1)], &certificate));
        assert!(matches(&[of(Sha256, 9), of(Sha256, 1)], &certificate));
        assert!(!matches(&[of(Sha256, 2)], &certificate));
        assert!(!matches(&[of(Sha256, 1), of(Sha512, 1)], &certificate));
        assert!(!matches(&[of(Sha256, 1)], &[]));
        assert!(!matches(&[], &certificate));
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        let parse = |text: &str| text.parse::<Fingerprint>().map(drop);
        assert_eq!(parse("sha-1 4A:AD"), Err(FingerprintError::HashFunction));
        for text in [
            "",
            "SHA-256",
            "SHA-256 4A:AD",
            "SHA-256 4A::AD",
            "SHA-256 +1:AD",
        ] {
            assert_eq!(parse(text), Err(FingerprintError::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_and_read_it_is_the_same(which in 0..3usize, octet: u8) {
            let fingerprint = of(HashFunction::ALL[which], octet);
            let text = fingerprint.to_string();
            prop_assert_eq!(&text.parse::<Fingerprint>().unwrap(), &fingerprint);
            prop_assert_eq!(text.to_lowercase().parse::<Fingerprint>().unwrap(), fingerprint);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}|sha-256 [0-9a-fA-F:]{0,99}") {
            let _ = text.parse::<Fingerprint>();
        }
    }
}
