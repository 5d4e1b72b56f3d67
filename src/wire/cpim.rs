//! Message/CPIM (RFC 3862): read tolerantly, forwarded byte for byte, so there is no
//! writer for what passes through; `compose` is for what we say ourselves.
//!
//! Nothing is copied: a [`Message`] borrows its octets. Lines may end in LF, display names
//! may lack quotes; names of CPIM headers are case-exact (§2.2), those of the MIME part not.

use crate::time::Moment;
use std::borrow::Cow;

/// The most octets of CPIM headers and MIME headers together. RFC 3862 gives no bound; real
/// ones stay below 2 KiB.
pub const MAX_HEAD: usize = 8 * 1024;
/// The most `To` headers that are counted; one is allowed in a room (RFC 7701 §6.1).
pub const MAX_RECIPIENTS: usize = 16;

/// Why octets are no usable message/cpim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpimError {
    /// The headers do not end within [`MAX_HEAD`].
    #[error("CPIM headers too large")]
    TooLarge,
    /// A line is no header, or not UTF-8.
    #[error("malformed CPIM header")]
    Header,
    /// From or To is missing (RFC 4975 §13, P06), or From stands twice.
    #[error("CPIM From or To missing")]
    Address,
    /// More than [`MAX_RECIPIENTS`] recipients.
    #[error("too many recipients")]
    Recipients,
}

/// `From`, `To`, `cc`: a display name and a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The display name as written, quotes included; empty when absent.
    pub display: &'a str,
    /// What stands between the angle brackets (or alone), as written.
    pub uri: &'a str,
}

impl<'a> Address<'a> {
    /// The display name without quotes and escapes (P02).
    pub fn name(&self) -> Cow<'a, str> {
        todo!()
    }
}

/// A message whose headers have all come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// From.
    pub from: Address<'a>,
    /// Every To, at least one.
    pub to: Vec<Address<'a>>,
    /// Content-Type of the wrapped part as written; empty when absent (P03).
    pub content_type: &'a str,
    /// Where the wrapped content starts in the octets given.
    pub content: usize,
    cpim: &'a str,
    mime: &'a str,
}

impl<'a> Message<'a> {
    /// Reads the headers from the first octets of a message. `None`: their end has not come
    /// yet (they may be split over chunks, P06); when no more octets will come, that is a
    /// malformed message.
    ///
    /// # Errors
    /// See [`CpimError`].
    pub fn parse(_octets: &'a [u8]) -> Result<Option<Self>, CpimError> {
        todo!()
    }
    /// The CPIM headers in order as `(name, value)`, escapes kept.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        std::iter::empty()
    }
    /// The first value of a header without prefix, case-exact.
    pub fn header(&self, _name: &str) -> Option<&'a str> {
        todo!()
    }
    /// The first value of header `name` of the namespace `uri`, whatever prefix it got (P04).
    pub fn header_in(&self, _uri: &str, _name: &str) -> Option<&'a str> {
        todo!()
    }
    /// The first value of a header of the MIME part, names without case.
    pub fn mime_header(&self, _name: &str) -> Option<&'a str> {
        todo!()
    }
    /// `type/subtype` of the wrapped part, lower case, without parameters.
    pub fn media_type(&self) -> String {
        todo!()
    }
}

/// What we say ourselves.
#[derive(Clone, Copy, Debug)]
pub struct Composition<'a> {
    /// Display name (plain, unescaped; may be empty) and URI of From.
    pub from: (&'a str, &'a str),
    /// The same of To.
    pub to: (&'a str, &'a str),
    /// DateTime, when wanted.
    pub date_time: Option<Moment>,
    /// Further CPIM headers, NS before use (P04), written as given.
    pub headers: &'a [(&'a str, &'a str)],
    /// Content-Type of the wrapped part.
    pub content_type: &'a str,
    /// The wrapped content.
    pub content: &'a [u8],
}

/// The octets of a message/cpim body.
pub fn compose(_message: &Composition<'_>) -> Vec<u8> {
    todo!()
}
