//! MSRP URIs (RFC 4975 §6): read tolerantly, kept octet for octet, compared by §6.1.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Text that is no MSRP URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Neither msrp nor msrps.
    #[error("unsupported URI scheme")]
    Scheme,
    /// Anything else.
    #[error("malformed MSRP URI")]
    Malformed,
}

/// What RFC 4975 §6 and §8.2 forbid in the URI of an SDP path, though it can be read (C66).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriFlaw {
    /// No transport parameter.
    #[error("no transport parameter")]
    Transport,
    /// No port.
    #[error("no port")]
    Port,
    /// No session-id.
    #[error("no session-id")]
    SessionId,
    /// A password in the user part.
    #[error("a password in the user part")]
    Password,
}

/// A URI that borrows its text. Equality and hash follow RFC 4975 §6.1 (C65).
#[derive(Clone, Copy)]
pub struct UriRef<'a> {
    text: &'a str,
}

impl<'a> UriRef<'a> {
    /// Reads a URI that fills the whole text.
    pub fn parse(_text: &'a str) -> Result<Self, UriError> {
        todo!()
    }
    /// The text as written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }
    /// `msrps`.
    pub fn secure(&self) -> bool {
        todo!()
    }
    /// Host as written, IPv6 in brackets.
    pub fn host(&self) -> &'a str {
        todo!()
    }
    /// Port.
    pub fn port(&self) -> Option<u16> {
        todo!()
    }
    /// Session-id, without the slash; compared with case.
    pub fn session_id(&self) -> Option<&'a str> {
        todo!()
    }
    /// Transport as written; empty when absent.
    pub fn transport(&self) -> &'a str {
        todo!()
    }
    /// What §6 and §8.2 forbid in SDP (C66).
    pub fn check(&self) -> Result<(), UriFlaw> {
        todo!()
    }
    /// An owned copy.
    pub fn to_owned(&self) -> Uri {
        todo!()
    }
}

impl PartialEq for UriRef<'_> {
    fn eq(&self, _other: &Self) -> bool {
        todo!()
    }
}

impl Eq for UriRef<'_> {}

impl Hash for UriRef<'_> {
    fn hash<H: Hasher>(&self, _state: &mut H) {
        todo!()
    }
}

impl fmt::Display for UriRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Debug for UriRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// A URI that owns its text.
#[derive(Clone)]
pub struct Uri {
    text: Box<str>,
}

impl Uri {
    /// The borrowed form, which has all the parts.
    pub fn view(&self) -> UriRef<'_> {
        todo!()
    }
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Uri {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Self, UriError> {
        UriRef::parse(text).map(|uri| uri.to_owned())
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl Eq for Uri {}

impl Hash for Uri {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.view().hash(state);
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
