//! Reading, in one pass over the octets per level.

use super::{Content, Disposition, MediaType, Part};
use crate::wire::sip::{Headers, MAX_MESSAGE, ParseError, parse_headers};
use bytes::Bytes;
use memchr::memchr;

/// The reason why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No boundary, or one that RFC 2046 §5.1.1 does not allow.
    #[error("multipart body without a usable boundary")]
    Boundary,
    /// The boundary that ends the parts is missing.
    #[error("multipart body without end")]
    Unfinished,
    /// Header fields of a part are malformed.
    #[error("malformed header of a body part")]
    Header,
    /// More octets, parts or levels than the limits.
    #[error("multipart body too large")]
    TooLarge,
}

/// Limit of parts in a body, on all levels together. A list in an INVITE needs two, and some
/// clients add a picture, a location and a first message.
pub const MAX_PARTS: usize = 64;
/// Deepest nesting: `alternative` in `related` in `mixed`, and one more.
pub const MAX_DEPTH: usize = 4;
/// Longest boundary (RFC 2046 §5.1.1).
pub(super) const MAX_BOUNDARY: usize = 70;

impl Part {
    /// Reads the body of a message or of a part, whose header fields these are.
    pub fn read(headers: Headers, body: Bytes) -> Result<Part, ReadError> {
        if body.len() > MAX_MESSAGE {
            return Err(ReadError::TooLarge);
        }
        Budget { parts: MAX_PARTS }.part(headers, body, "text/plain", 0)
    }
}

/// The number of parts that may still be read.
struct Budget {
    parts: usize,
}

impl Budget {
    fn part(
        &mut self,
        headers: Headers,
        body: Bytes,
        default_type: &str,
        depth: usize,
    ) -> Result<Part, ReadError> {
        self.parts = self.parts.checked_sub(1).ok_or(ReadError::TooLarge)?;
        let content_type = MediaType::parse(headers.first("Content-Type").unwrap_or(default_type));
        let content = match content_type.is_multipart() {
            true => Content::Parts(self.parts(&content_type, &body, depth)?),
            false => Content::Octets(body),
        };
        Ok(Part {
            disposition: Disposition::of(&headers, &content_type),
            content_id: headers.first("Content-ID").map(content_id),
            content_type,
            headers,
            content,
        })
    }

    fn parts(
        &mut self,
        content_type: &MediaType,
        body: &Bytes,
        depth: usize,
    ) -> Result<Vec<Part>, ReadError> {
        let boundary = content_type.params.value("boundary");
        let boundary = boundary.filter(|b| is_boundary(b));
        let boundary = boundary.ok_or(ReadError::Boundary)?;
        if depth >= MAX_DEPTH {
            return Err(ReadError::TooLarge);
        }
        let default_type = match content_type.essence.as_str() {
            "multipart/digest" => "message/rfc822",
            _ => "text/plain",
        };
        let mut parts = Vec::new();
        let mut delimiters = Delimiters::new(body, boundary);
        // The text before the first delimiter is the preamble.
        let mut open = delimiters.next().ok_or(ReadError::Unfinished)?;
        while !open.last {
            let next = delimiters.next().ok_or(ReadError::Unfinished)?;
            // The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1); two
            // delimiters in a row enclose nothing.
            let octets = body.slice(open.after..next.before.max(open.after));
            let (headers, body) = split_part(octets)?;
            parts.push(self.part(headers, body, default_type, depth + 1)?);
            open = next;
        }
        Ok(parts)
    }
}

/// A line that separates parts.
struct Delimiter {
    /// The end of the part before it.
    before: usize,
    /// The start of the line after it.
    after: usize,
    /// Whether it ends the last part.
    last: bool,
}

/// The delimiter lines of one boundary, in order.
struct Delimiters<'a> {
    octets: &'a [u8],
    boundary: &'a [u8],
    at: usize,
}

impl<'a> Delimiters<'a> {
    fn new(octets: &'a [u8], boundary: &'a str) -> Self {
        Delimiters {
            octets,
            boundary: boundary.as_bytes(),
            at: 0,
        }
    }
}

impl Iterator for Delimiters<'_> {
    type Item = Delimiter;

    fn next(&mut self) -> Option<Delimiter> {
        while self.at < self.octets.len() {
            let (start, rest) = (self.at, self.octets.get(self.at..)?);
            let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            self.at += length;
            let line = rest.get(..length)?.trim_ascii_end();
            let after = line
                .strip_prefix(b"--")
                .and_then(|line| line.strip_prefix(self.boundary));
            if let Some(after @ (b"" | b"--")) = after {
                return Some(Delimiter {
                    before: without_line_end(self.octets, start),
                    after: self.at,
                    last: after == b"--",
                });
            }
        }
        None
    }
}

fn without_line_end(octets: &[u8], end: usize) -> usize {
    let before = octets.get(..end).unwrap_or_default();
    let before = before.strip_suffix(b"\n").unwrap_or(before);
    before.strip_suffix(b"\r").unwrap_or(before).len()
}

/// Header fields and body of a part. A part may have no fields (an empty line comes first)
/// or no body (no empty line comes).
fn split_part(octets: Bytes) -> Result<(Headers, Bytes), ReadError> {
    match parse_headers(&octets) {
        Ok((headers, rest)) => Ok((headers, octets.slice(octets.len() - rest.len()..))),
        Err(ParseError::Truncated) => {
            let mut block = octets.to_vec();
            block.extend_from_slice(b"\r\n\r\n");
            let (headers, _) = parse_headers(&block).map_err(|_| ReadError::Header)?;
            Ok((headers, Bytes::new()))
        }
        Err(ParseError::TooLarge) => Err(ReadError::TooLarge),
        Err(_) => Err(ReadError::Header),
    }
}

fn content_id(text: &str) -> String {
    let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
    inner.unwrap_or(text).to_owned()
}

/// Whether RFC 2046 §5.1.1 allows this boundary. Two readers may disagree about any other, and no
/// sender needs one.
pub(super) fn is_boundary(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "'()+_,-./:=? ".contains(c);
    (1..=MAX_BOUNDARY).contains(&text.len()) && text.chars().all(allowed) && !text.ends_with(' ')
}
