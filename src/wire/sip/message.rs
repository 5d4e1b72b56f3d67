//! Whole messages: start line, headers, body.

use super::grammar::{is_token, one_line};
use super::{Headers, Method};
use bytes::Bytes;
use memchr::memchr;

/// The reason why octets cannot be read as a SIP message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The first line is neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// A header line has no colon or an empty name.
    #[error("malformed header line")]
    Header,
    /// The header block is incomplete, or Content-Length exceeds the octets available.
    #[error("truncated message")]
    Truncated,
    /// Content-Length is not a number, contradicts itself, or is absent on a stream.
    #[error("malformed Content-Length")]
    ContentLength,
    /// A line, the header block or the message exceeds our limits.
    #[error("message too large")]
    TooLarge,
}

/// Limit of a header field with its folded lines, in octets. A proxy with a dozen Record-Routes
/// writes less than 2 KiB; this is the usual limit of HTTP servers.
pub const MAX_LINE: usize = 8 * 1024;
/// Limit of header fields in a message; both hosts store far fewer.
pub const MAX_HEADERS: usize = 256;
/// Limit of start line and header block together on a stream, in octets, including keep-alives
/// before it.
pub const MAX_HEADER_BLOCK: usize = 64 * 1024;
/// Size limit of a message on a stream, in octets: a full roster of `max_participants` = 1000 with
/// two endpoints each is below 1.5 MiB.
pub const MAX_MESSAGE: usize = 2 * 1024 * 1024;

/// The media type of [`Response::fragment`] (RFC 3420 §3, RFC 3515 §2.4.5).
pub const FRAGMENT_TYPE: &str = "message/sipfrag;version=2.0";

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

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// Parses one datagram or one framed message. Without Content-Length the body is the rest.
    pub fn parse(octets: &[u8]) -> Result<Message, ParseError> {
        let octets = &octets[leading_line_ends(octets)..];
        let (line, header_octets) = next_line(octets).ok_or(ParseError::Truncated)?;
        let start = StartLine::parse(line)?;
        let (headers, rest) = parse_headers(header_octets)?;
        let body = match content_length(&headers)? {
            Some(length) => rest.get(..length).ok_or(ParseError::Truncated)?,
            None => rest,
        };
        let body = Bytes::copy_from_slice(body);
        Ok(match start {
            StartLine::Request { method, uri } => Message::Request(Request {
                method,
                uri,
                headers,
                body,
            }),
            StartLine::Status { code, reason } => Message::Response(Response {
                code,
                reason,
                headers,
                body,
            }),
        })
    }

    /// On a stream: the length of the first whole message in `octets`, `None` when more are needed.
    /// The length includes leading CRLFs (keep-alives). Without Content-Length a stream cannot be
    /// framed (RFC 3261 §18.3); an error means: close the connection.
    pub fn frame(octets: &[u8]) -> Result<Option<usize>, ParseError> {
        let mut rest = &octets[leading_line_ends(octets)..];
        let block_end = loop {
            match next_line(rest) {
                Some((b"", after)) => break octets.len() - after.len(),
                Some((_, after)) => rest = after,
                // A peer must not fill our memory with an endless header block.
                None if octets.len() > MAX_HEADER_BLOCK => {
                    return Err(ParseError::TooLarge);
                }
                None => return Ok(None),
            }
        };
        if block_end > MAX_HEADER_BLOCK {
            // The same limit as for a message that arrives in pieces.
            return Err(ParseError::TooLarge);
        }
        let block = &octets[leading_line_ends(octets)..block_end];
        let (_, header_octets) = next_line(block).ok_or(ParseError::StartLine)?;
        let (headers, _) = parse_headers(header_octets)?;
        let body = content_length(&headers)?.ok_or(ParseError::ContentLength)?;
        match block_end.saturating_add(body) {
            whole if body > MAX_MESSAGE || whole > MAX_MESSAGE => Err(ParseError::TooLarge),
            whole if whole > octets.len() => Ok(None),
            whole => Ok(Some(whole)),
        }
    }

    /// The headers.
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }

    /// The message as octets.
    pub fn write(&self) -> Vec<u8> {
        match self {
            Message::Request(request) => request.write(),
            Message::Response(response) => response.write(),
        }
    }
}

impl Request {
    /// The request as octets, with Content-Length computed from the body.
    pub fn write(&self) -> Vec<u8> {
        let uri: String = self.uri.split_whitespace().collect();
        let line = format!("{} {} SIP/2.0", self.method, one_line(&uri));
        write(&line, &self.headers, &self.body)
    }
}

impl Response {
    /// The response as octets, with Content-Length computed from the body.
    pub fn write(&self) -> Vec<u8> {
        let line = format!("SIP/2.0 {:03} {}", self.code, one_line(&self.reason));
        write(&line, &self.headers, &self.body)
    }

    /// A `message/sipfrag` body: only the status line, so that the receiver learns the outcome and
    /// nothing else of the response (RFC 3515 §2.4.5).
    pub fn fragment(code: u16, reason: &str) -> Bytes {
        format!("SIP/2.0 {code:03} {}\r\n", one_line(reason)).into()
    }

    /// Code and reason of the status line at the start of a `message/sipfrag` body (RFC 3515
    /// §2.4.5).
    pub fn status_of_fragment(octets: &[u8]) -> Option<(u16, String)> {
        let octets = octets.get(leading_line_ends(octets)..)?;
        let line = octets.split(|octet| *octet == b'\n').next()?;
        match StartLine::parse(line).ok()? {
            StartLine::Status { code, reason } => Some((code, reason)),
            StartLine::Request { .. } => None,
        }
    }
}

fn write(start_line: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{start_line}\r\n");
    let own = headers
        .iter()
        .filter(|h| h.name != "Content-Length" && !h.name.is_empty());
    for header in own {
        text.push_str(&header.name);
        text.push_str(": ");
        text.push_str(&header.value);
        text.push_str("\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut octets = text.into_bytes();
    octets.extend_from_slice(body);
    octets
}

enum StartLine {
    Request { method: Method, uri: String },
    Status { code: u16, reason: String },
}

impl StartLine {
    fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let line = std::str::from_utf8(line).map_err(|_| ParseError::StartLine)?;
        let is_version = |word: &str| word.eq_ignore_ascii_case("SIP/2.0");
        let mut words = line.split_ascii_whitespace();
        let (Some(first), Some(second)) = (words.next(), words.next()) else {
            return Err(ParseError::StartLine);
        };
        if is_version(first) {
            let digits = second.len() == 3 && second.bytes().all(|d| d.is_ascii_digit());
            return match second.parse() {
                Ok(code @ 100..=699) if digits => Ok(StartLine::Status {
                    code,
                    reason: after_words(line, 2).to_owned(),
                }),
                _ => Err(ParseError::StartLine),
            };
        }
        let well_formed = is_token(first)
            && second.contains(':')
            && !second.contains(|c: char| c.is_control() || "<>\"".contains(c));
        match (words.next(), words.next()) {
            (Some(version), None) if is_version(version) && well_formed => Ok(StartLine::Request {
                method: first.into(),
                uri: second.to_owned(),
            }),
            _ => Err(ParseError::StartLine),
        }
    }
}

/// The text after the first `count` words of a line.
fn after_words(line: &str, count: usize) -> &str {
    (0..count).fold(line.trim(), |rest, _| {
        let end = rest.find(|c: char| c.is_ascii_whitespace());
        rest[end.unwrap_or(rest.len())..].trim_start()
    })
}

/// Reads header fields up to and including the empty line; returns the text after it.
pub(crate) fn parse_headers(mut octets: &[u8]) -> Result<(Headers, &[u8]), ParseError> {
    let mut headers = Headers::new();
    let mut field: Vec<u8> = Vec::new();
    loop {
        let (line, rest) = next_line(octets).ok_or(ParseError::Truncated)?;
        octets = rest;
        match line.first() {
            // A line that starts with white space continues the field (§7.3.1).
            Some(b' ' | b'\t') if field.is_empty() => return Err(ParseError::Header),
            Some(b' ' | b'\t') => {
                field.push(b' ');
                field.extend_from_slice(line.trim_ascii());
            }
            _ => {
                push_field(&mut headers, &field)?;
                field.clear();
                field.extend_from_slice(line);
            }
        }
        if line.is_empty() {
            return Ok((headers, rest));
        }
        if field.len() > MAX_LINE {
            return Err(ParseError::TooLarge);
        }
    }
}

fn push_field(headers: &mut Headers, field: &[u8]) -> Result<(), ParseError> {
    if field.is_empty() {
        return Ok(());
    }
    if headers.len() >= MAX_HEADERS {
        return Err(ParseError::TooLarge);
    }
    let colon = memchr(b':', field).ok_or(ParseError::Header)?;
    let (name, value) = field.split_at(colon);
    let name = std::str::from_utf8(name.trim_ascii()).map_err(|_| ParseError::Header)?;
    if !is_token(name) {
        return Err(ParseError::Header);
    }
    headers.push(name, String::from_utf8_lossy(&value[1..]));
    Ok(())
}

/// The body length in the headers. Several values that differ are an error, because two readers
/// could disagree.
fn content_length(headers: &Headers) -> Result<Option<usize>, ParseError> {
    let mut stated = None;
    for value in headers.all("Content-Length") {
        if value.is_empty() || !value.bytes().all(|d| d.is_ascii_digit()) {
            return Err(ParseError::ContentLength);
        }
        let length = value.parse().map_err(|_| ParseError::ContentLength)?;
        if stated.is_some_and(|before: usize| before != length) {
            return Err(ParseError::ContentLength);
        }
        stated = Some(length);
    }
    Ok(stated)
}

/// The first line without its CRLF or LF, and the text after it.
fn next_line(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', octets)?;
    let line = &octets[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &octets[end + 1..]))
}

fn leading_line_ends(octets: &[u8]) -> usize {
    let line_end = |octet: &&u8| matches!(octet, b'\r' | b'\n');
    octets.iter().take_while(line_end).count()
}
