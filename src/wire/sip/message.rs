//! Whole messages: start line, headers, body.

use super::{Headers, Method};
use bytes::Bytes;

/// Why octets are no SIP message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The first line is neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// A header line has no colon or an empty name.
    #[error("malformed header line")]
    Header,
    /// The header block never ends, or Content-Length exceeds the octets there are.
    #[error("truncated message")]
    Truncated,
    /// Content-Length is no number.
    #[error("malformed Content-Length")]
    ContentLength,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Request-URI as written.
    pub uri: String,
    /// Headers.
    pub headers: Headers,
    /// Body.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub code: u16,
    /// Reason phrase.
    pub reason: String,
    /// Headers.
    pub headers: Headers,
    /// Body.
    pub body: Bytes,
}

/// Either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// Parses one datagram or one framed message. Without Content-Length the body is the rest.
    pub fn parse(_octets: &[u8]) -> Result<Message, ParseError> {
        todo!()
    }
    /// On a stream: the length of the first whole message in `octets`, `None` when more must
    /// come. Leading CRLFs (keep-alives) count into the length.
    pub fn frame(_octets: &[u8]) -> Result<Option<usize>, ParseError> {
        todo!()
    }
}

impl Request {
    /// Octets for the wire; Content-Length is written from the body.
    pub fn write(&self) -> Vec<u8> {
        todo!()
    }
}

impl Response {
    /// Octets for the wire; Content-Length is written from the body.
    pub fn write(&self) -> Vec<u8> {
        todo!()
    }
}
