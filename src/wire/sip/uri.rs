//! `sip:`, `sips:` and `tel:` URIs (RFC 3261 §19.1, RFC 3966).

use super::Params;
use std::fmt;
use std::str::FromStr;

/// Why text is no URI we understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Neither sip, sips nor tel.
    #[error("unsupported URI scheme")]
    Scheme,
    /// Anything else.
    #[error("malformed URI")]
    Malformed,
}

/// A parsed URI. `Display` writes what was read, octet for octet where it was well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// `sip`, `sips` or `tel`, lower case.
    pub scheme: String,
    /// User part as written (percent-escapes kept); for `tel` the number.
    pub user: Option<String>,
    /// Host as written, IPv6 in brackets; empty for `tel`.
    pub host: String,
    /// Port.
    pub port: Option<u16>,
    /// `;name=value` parameters.
    pub params: Params,
    /// `?name=value&…` headers without the question mark.
    pub headers: Option<String>,
}

impl Uri {
    /// The canonical address of record, by which rooms and users are compared: `sip:` (also
    /// for `sips:`), user percent-decoded where that is safe, host in lower case; no
    /// password, port, parameters, headers.
    pub fn address_of_record(&self) -> String {
        todo!()
    }
}

impl FromStr for Uri {
    type Err = UriError;
    fn from_str(_text: &str) -> Result<Self, UriError> {
        todo!()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
