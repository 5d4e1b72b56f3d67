//! The facts about a certificate that matter to a person (RFC 5280 §4.1): its names, its issuer,
//! its expiry date. This file does not decide whether to trust it.

use std::fmt;

/// Tags of DER (X.690 §8).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const UTC_TIME: u8 = 0x17;
const OCTETS: u8 = 0x04;
/// Names in subjectAltName.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// Object identifiers: id-at-commonName, id-at-organizationName, id-ce-subjectAltName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// Names to show of a certificate with many.
const NAMES_SHOWN: usize = 4;

/// A description of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The names that a client compares with the host; those of the subject if there are no others.
    names: Vec<String>,
    issuer: String,
    /// `YYYY-MM-DD`.
    until: String,
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.names.len().min(NAMES_SHOWN);
        write!(f, "for {}", self.names[..shown].join(", "))?;
        if shown < self.names.len() {
            write!(f, " and {} more", self.names.len() - shown)?;
        }
        write!(f, ", issued by {}, valid until {}", self.issuer, self.until)
    }
}

impl Certificate {
    /// Reads a certificate; `None` when it does not have the form of one.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, whole) = Elements(der).expect(SEQUENCE)?;
        let (_, signed) = Elements(whole).expect(SEQUENCE)?;
        let mut fields = Elements(signed);
        if fields.0.first() == Some(&VERSION) {
            fields.next()?;
        }
        let _serial = fields.next()?;
        let _algorithm = fields.next()?;
        let (_, issuer) = fields.expect(SEQUENCE)?;
        let (_, validity) = fields.expect(SEQUENCE)?;
        let (_, subject) = fields.expect(SEQUENCE)?;
        let mut extensions = fields.filter(|(tag, _)| *tag == EXTENSIONS);
        let mut names = match extensions.next() {
            Some((_, extensions)) => alternative_names(extensions).unwrap_or_default(),
            None => Vec::new(),
        };
        if names.is_empty() {
            names.push(name(subject));
        }
        let (kind, until) = Elements(validity).nth(1)?;
        Some(Self {
            names,
            issuer: name(issuer),
            until: date(kind, until)?,
        })
    }
}

/// One element after another: tag and content.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The next one, if it is of this kind.
    fn expect(&mut self, tag: u8) -> Option<(u8, &'a [u8])> {
        self.next().filter(|(found, _)| *found == tag)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        // Short form, or the number of length octets: two make 64 KiB, and no certificate is
        // larger.
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81 | 0x82 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let value = |sum: usize, octet: &u8| sum << 8 | usize::from(*octet);
                (length.iter().fold(0, value), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }
}

/// The common name, else the organisation.
fn name(name: &[u8]) -> String {
    let attributes = Elements(name).flat_map(|(_, set)| Elements(set));
    let attributes = attributes.filter_map(|(_, attribute)| {
        let mut parts = Elements(attribute);
        let (_, kind) = parts.next()?;
        let (_, value) = parts.next()?;
        Some((kind, value))
    });
    let attributes: Vec<_> = attributes.collect();
    let of = |wanted: &[u8]| attributes.iter().find(|(kind, _)| *kind == wanted);
    let found = of(COMMON_NAME).or_else(|| of(ORGANISATION));
    match found {
        Some((_, value)) => String::from_utf8_lossy(value).into_owned(),
        None => "nobody by name".to_owned(),
    }
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let (_, list) = Elements(extensions).expect(SEQUENCE)?;
    let found = Elements(list).find_map(|(_, extension)| {
        let mut parts = Elements(extension);
        let (_, id) = parts.next()?;
        let value = parts.find(|(tag, _)| *tag == OCTETS)?.1;
        (id == ALTERNATIVE_NAMES).then_some(value)
    });
    let (_, names) = Elements(found?).expect(SEQUENCE)?;
    let shown = Elements(names).filter_map(|(tag, name)| match tag {
        DNS_NAME => Some(String::from_utf8_lossy(name).into_owned()),
        IP_ADDRESS => match name.len() {
            4 => <[u8; 4]>::try_from(name)
                .ok()
                .map(|it| std::net::Ipv4Addr::from(it).to_string()),
            _ => <[u8; 16]>::try_from(name)
                .ok()
                .map(|it| std::net::Ipv6Addr::from(it).to_string()),
        },
        _ => None,
    });
    Some(shown.collect())
}

/// `YYMMDD…`, of this century up to 49 (§4.1.2.5.1), or `YYYYMMDD…`.
fn date(kind: u8, text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let full = match kind {
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        _ => text.to_owned(),
    };
    Some(format!(
        "{}-{}-{}",
        full.get(..4)?,
        full.get(4..6)?,
        full.get(6..8)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    /// A certificate of O=Our Company, CN=Ours, with three alternative names.
    const NAMED: &str = "\
-----BEGIN CERTIFICATE-----
MIIB1jCCAXygAwIBAgIUJ4TafRriDvYeX/km8/33P/Tpi64wCgYIKoZIzj0EAwIw
JTEUMBIGA1UECgwLT3VyIENvbXBhbnkxDTALBgNVBAMMBE91cnMwHhcNMjYxMTMw
MDk0MTAwWhcNMzEwNDA5MDk0MTAwWjAlMRQwEgYDVQQKDAtPdXIgQ29tcGFueTEN
MAsGA1UEAwwET3VyczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIvl3cLCVnrC
oD9vsMW/68sdUZljKbKlO3jirZlPqYZzD0YbMdq0FnDlu/mJMcAgDNRxGCUPhbUP
mfQPQmUxOl+jgYkwgYYwHQYDVR0OBBYEFFYzlTI8K7PwQZKuHNf9fNnqPGXlMB8G
A1UdIwQYMBaAFFYzlTI8K7PwQZKuHNf9fNnqPGXlMA8GA1UdEwEB/wQFMAMBAf8w
MwYDVR0RBCwwKoIQY2hhdC5leGFtcGxlLmNvbYcEwAACBYcQIAENuAAAAAAAAAAA
AAAABTAKBggqhkjOPQQDAgNIADBFAiAT67Oxm/vMN5rR9Zn0Sd/MRhn7/BrenGmL
UyXf1Ev2tgIhAJ54nuSbhgV8IW6sfDsqJZCKMPgX4ZXh7nBz/6ztWjl0
-----END CERTIFICATE-----";
    /// A certificate of O=Our Company, without alternative names, valid beyond 2049.
    const BARE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhDCCASmgAwIBAgIUN/Zwlvk/SP6ho9n7v3cPAXk4k2kwCgYIKoZIzj0EAwIw
FjEUMBIGA1UECgwLT3VyIENvbXBhbnkwIBcNMjYxMTMwMDk0MDI5WhgPMjA1NjEx
MjIwOTQwMjlaMBYxFDASBgNVBAoMC091ciBDb21wYW55MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAE/y1TOl/Xzp/qc1yeYT7V9rxuBB2UwqxUv3gBiaTqo+x//oEC
yxeS+r5jFGeZdKkwG+Nw8SxK1r7hXqN9tDoeu6NTMFEwHQYDVR0OBBYEFOGDfcID
ejySWNWMU4nhxRtGRrKyMB8GA1UdIwQYMBaAFOGDfcIDejySWNWMU4nhxRtGRrKy
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAMFcKbwfCaaqka2F
+L8dQHAc0NYw+8SSS1j5bbSv8fhVAiEAnFiOj88Os0JF9WC2seTXV2uZA1NvDcHk
mM3Shk+ubRE=
-----END CERTIFICATE-----";

    fn der(pem: &str) -> Vec<u8> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
        der.to_vec()
    }

    fn shown(pem: &str) -> String {
        Certificate::read(&der(pem))
            .expect("a certificate")
            .to_string()
    }

    #[test]
    fn a_certificate_is_described() {
        assert_eq!(
            shown(NAMED),
            "for chat.example.com, 192.0.2.5, 2001:db8::5, issued by Ours, valid until 2031-04-09"
        );
        let bare = "for Our Company, issued by Our Company, valid until 2056-11-22";
        assert_eq!(shown(BARE), bare);
    }

    #[test]
    fn what_is_none_does_no_harm() {
        let der = der(NAMED);
        for end in 0..der.len() {
            assert_eq!(Certificate::read(&der[..end]), None, "{end}");
        }
        for place in 0..der.len() {
            let mut bent = der.clone();
            bent[place] ^= 0xff;
            // Whatever the reader makes of it, it must return.
            let _ = Certificate::read(&bent);
        }
    }
}
