//! Bodies of several parts (RFC 2046 §5.1, RFC 5621): reading, writing, and the contents of an
//! INVITE to the focus (RFC 5366 §3).
//!
//! Tolerant of LF line ends, preambles, epilogues and unquoted boundaries; every part,
//! level and octet is bounded. No body is decoded, no reference followed.

mod invite;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use invite::{ACCEPT, BodyError, InviteBody};
pub use read::{MAX_DEPTH, MAX_PARTS, ReadError};
pub use write::{BoundaryError, OutgoingPart, write};

use crate::wire::sip::{Headers, Params};
use bytes::Bytes;

/// The media type of a message body of one or several parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype`, lower case.
    pub essence: String,
    /// `charset`, `boundary`, …
    pub params: Params,
}

impl MediaType {
    /// Reads the value of a Content-Type; any text is accepted as a type.
    pub fn parse(text: &str) -> Self {
        let (essence, params) = text.split_once(';').unwrap_or((text, ""));
        MediaType {
            essence: essence
                .split_ascii_whitespace()
                .collect::<String>()
                .to_ascii_lowercase(),
            params: Params::parse(params),
        }
    }

    /// Whether this is a multipart type.
    pub fn is_multipart(&self) -> bool {
        self.essence.starts_with("multipart/")
    }
}

/// `Content-Disposition` (RFC 3261 §20.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// `session`, `render`, `recipient-list`, …, lower case.
    pub kind: String,
    /// The handling of an unsupported body: `true` refuses the message. An absent or unknown
    /// `handling` counts as `true`.
    pub required: bool,
    /// All parameters.
    pub params: Params,
}

impl Disposition {
    /// Reads the value of a Content-Disposition.
    pub fn parse(text: &str) -> Self {
        let (kind, params) = text.split_once(';').unwrap_or((text, ""));
        let params = Params::parse(params);
        let optional = params
            .value("handling")
            .is_some_and(|handling| handling.eq_ignore_ascii_case("optional"));
        Disposition {
            kind: kind.trim().to_ascii_lowercase(),
            required: !optional,
            params,
        }
    }

    /// The disposition in a body's header fields, or the default without one (RFC 3261 §20.11).
    pub fn of(headers: &Headers, content_type: &MediaType) -> Self {
        match headers.first("Content-Disposition") {
            Some(value) => Disposition::parse(value),
            None if content_type.essence == SDP => Disposition::parse("session"),
            None => Disposition::parse("render"),
        }
    }
}

/// A body, or one part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its type; by default `text/plain`, or `message/rfc822` in a digest (RFC 2046 §5.1).
    pub content_type: MediaType,
    /// Its purpose.
    pub disposition: Disposition,
    /// `Content-ID` without its angle brackets, as a `cid:` URI names it (RFC 2392).
    pub content_id: Option<String>,
    /// All its header fields.
    pub headers: Headers,
    /// Its content.
    pub content: Content,
}

/// The content of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Octets, as they came.
    Octets(Bytes),
    /// Parts of its own, in order.
    Parts(Vec<Part>),
}

/// The media type of a session description (RFC 8866 §8.1).
const SDP: &str = "application/sdp";
