//! Heads of requests and responses as values that borrow from the input.

use super::{MAX_NICKNAME, MAX_PATH_URIS, TransactionId, UriRef};
use std::borrow::Cow;

/// A method; case-sensitive capitals (RFC 4975 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// SEND.
    Send,
    /// REPORT.
    Report,
    /// NICKNAME (RFC 7701 §7).
    Nickname,
    /// AUTH (RFC 4976).
    Auth,
    /// Any other; answered 501 (C08).
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// As on the wire.
    pub fn as_str(&self) -> &'a str {
        match self {
            Method::Send => "SEND",
            Method::Report => "REPORT",
            Method::Nickname => "NICKNAME",
            Method::Auth => "AUTH",
            Method::Other(name) => name,
        }
    }

    pub(super) fn from_token(text: &'a str) -> Self {
        match text {
            "SEND" => Method::Send,
            "REPORT" => Method::Report,
            "NICKNAME" => Method::Nickname,
            "AUTH" => Method::Auth,
            _ => Method::Other(text),
        }
    }
}

/// `Failure-Report` (§7.1.4); absent means `Yes` (C40).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureReport {
    /// Every request is answered.
    #[default]
    Yes,
    /// Nothing is answered, not even a failure (C42).
    No,
    /// Only failures are answered (C43).
    Partial,
}

/// `Byte-Range: start-end/total`; positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First octet; 0 in the keep-alives of some clients.
    pub start: u64,
    /// Last octet as announced, `None` for `*`. Never trusted: count the body (C09).
    pub end: Option<u64>,
    /// Octets of the whole message, `None` for `*`.
    pub total: Option<u64>,
}

impl ByteRange {
    /// `1-*/*`: what a chunk without the header is.
    pub const OPEN: ByteRange = ByteRange {
        start: 1,
        end: None,
        total: None,
    };
    /// `1-length/length`: a whole message; `1-0/0` when empty (C25).
    pub const fn whole(length: u64) -> Self {
        ByteRange {
            start: 1,
            end: Some(length),
            total: Some(length),
        }
    }
    /// Reads a header value.
    pub fn parse(text: &str) -> Option<Self> {
        let (start, rest) = text.split_once('-')?;
        let (end, total) = rest.split_once('/')?;
        Some(ByteRange {
            start: number(start)?,
            end: number_or_star(end)?,
            total: number_or_star(total)?,
        })
    }
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a plus sign.
    text.bytes()
        .all(|octet| octet.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn number_or_star(text: &str) -> Option<Option<u64>> {
    match text {
        "*" => Some(None),
        _ => number(text).map(Some),
    }
}

/// `Status: 000 200 OK` (§7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// Namespace; 0 for the codes of RFC 4975.
    pub namespace: u16,
    /// Code.
    pub code: u16,
    /// Comment, empty when absent.
    pub comment: &'a str,
}

impl<'a> Status<'a> {
    /// Reads a header value.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (namespace, rest) = text.split_once(' ')?;
        let (code, comment) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Status {
            namespace: three_digits(namespace)?,
            code: three_digits(code)?,
            comment,
        })
    }
}

pub(super) fn three_digits(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// A `To-Path` or `From-Path` value: one to [`super::MAX_PATH_URIS`] URIs, all readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a>(&'a str);

impl<'a> Path<'a> {
    /// Reads a header value; URIs stand apart by spaces.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut count = 0;
        for uri in text.split(' ').filter(|uri| !uri.is_empty()) {
            count += 1;
            if count > MAX_PATH_URIS || UriRef::parse(uri).is_err() {
                return None;
            }
        }
        (count > 0).then_some(Self(text))
    }
    /// The value as written, valid for writing again.
    pub fn as_str(&self) -> &'a str {
        self.0
    }
    /// The URIs, left to right.
    pub fn uris(&self) -> impl Iterator<Item = UriRef<'a>> + use<'a> {
        self.0
            .split_ascii_whitespace()
            .filter_map(|text| UriRef::parse(text).ok())
    }
    /// Number of URIs.
    pub fn count(&self) -> usize {
        self.0.split_ascii_whitespace().count()
    }
    /// The left-most URI, as text: of a From-Path the previous hop (C44).
    pub fn first(&self) -> &'a str {
        self.0.split_ascii_whitespace().next().unwrap_or_default()
    }
    /// The right-most URI, as text: of a From-Path the sender.
    pub fn last(&self) -> &'a str {
        self.0
            .split_ascii_whitespace()
            .next_back()
            .unwrap_or_default()
    }
}

/// A `Use-Nickname` value as written, quoted or bare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseNickname<'a>(&'a str);

/// A nickname that is answered 424 (RFC 7701 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NicknameError {
    /// Quotes or escapes are broken.
    #[error("malformed nickname")]
    Malformed,
    /// More than [`super::MAX_NICKNAME`] octets.
    #[error("nickname too long")]
    TooLong,
}

impl<'a> UseNickname<'a> {
    /// A value as it was written.
    pub fn new(value: &'a str) -> Self {
        Self(value)
    }

    /// As it was written.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// The nickname without quotes and escapes; empty asks to remove it (G66).
    ///
    /// # Errors
    /// See [`NicknameError`].
    pub fn decode(&self) -> Result<Cow<'a, str>, NicknameError> {
        let nickname = match self.0.strip_prefix('"') {
            Some(rest) => unquoted(rest.strip_suffix('"').ok_or(NicknameError::Malformed)?)?,
            None if self.0.contains('"') => return Err(NicknameError::Malformed),
            None => Cow::Borrowed(self.0),
        };
        match nickname.len() {
            0..=MAX_NICKNAME => Ok(nickname),
            _ => Err(NicknameError::TooLong),
        }
    }
}

/// The content of a quoted string; only `\\\\` and `\\"` are escapes (RFC 4975 §9, `qd-esc`).
fn unquoted(text: &str) -> Result<Cow<'_, str>, NicknameError> {
    if !text.contains(['\\', '"']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Err(NicknameError::Malformed),
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | '"')) => plain.push(escaped),
                _ => return Err(NicknameError::Malformed),
            },
            _ => plain.push(character),
        }
    }
    Ok(Cow::Owned(plain))
}

pub(super) fn lines(block: &str) -> impl Iterator<Item = (&str, &str)> {
    block
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            // The grammar requires one space (C02); none or several are accepted.
            (name, value.trim_matches([' ', '\t']))
        })
}

fn find<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    lines(block)
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Transaction id.
    pub transaction: TransactionId,
    /// Method.
    pub method: Method<'a>,
    /// To-Path.
    pub to_path: Path<'a>,
    /// From-Path.
    pub from_path: Path<'a>,
    /// Message-ID, a token; `None` when absent.
    pub message_id: Option<&'a str>,
    /// Byte-Range; `None` when absent, see [`Request::range`].
    pub byte_range: Option<ByteRange>,
    /// `Success-Report: yes`.
    pub success_report: bool,
    /// Failure-Report.
    pub failure_report: FailureReport,
    /// Status, in a REPORT.
    pub status: Option<Status<'a>>,
    /// Content-Type as written.
    pub content_type: Option<&'a str>,
    /// Use-Nickname, in a NICKNAME.
    pub use_nickname: Option<UseNickname<'a>>,
    pub(super) headers: &'a str,
}

impl<'a> Request<'a> {
    /// The Byte-Range, `1-*/*` when absent.
    pub fn range(&self) -> ByteRange {
        self.byte_range.unwrap_or(ByteRange::OPEN)
    }
    /// Every header line in order, as `(name, value)`.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        lines(self.headers)
    }
    /// The first value of a header; names compare without case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        find(self.headers, name)
    }
}

/// A whole response; its headers are parsed only on request.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Transaction id of the request.
    pub transaction: TransactionId,
    /// Status code, 100 to 999.
    pub code: u16,
    /// Comment, empty when absent.
    pub comment: &'a str,
    pub(super) headers: &'a [u8],
}

impl<'a> Response<'a> {
    /// Parsed only on request: most responses are read for their code alone.
    fn text(&self) -> &'a str {
        std::str::from_utf8(self.headers).unwrap_or_default()
    }

    /// To-Path, if present and readable.
    pub fn to_path(&self) -> Option<Path<'a>> {
        self.header("To-Path").and_then(Path::parse)
    }
    /// From-Path, if present and readable.
    pub fn from_path(&self) -> Option<Path<'a>> {
        self.header("From-Path").and_then(Path::parse)
    }
    /// Every header line in order, as `(name, value)`.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        lines(self.text())
    }
    /// The first value of a header; names compare without case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        find(self.text(), name)
    }
}

/// An error in a framed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// More than a transaction id and a method in the start line.
    #[error("malformed start line")]
    StartLine,
    /// The transaction id breaks the grammar.
    #[error("malformed transaction id")]
    TransactionId,
    /// A header line without name, or with control characters.
    #[error("malformed header line")]
    Header,
    /// Not UTF-8 (C10).
    #[error("head is not UTF-8")]
    Encoding,
    /// To-Path or From-Path is missing or unreadable.
    #[error("missing or malformed path")]
    Path,
    /// A header of RFC 4975 stands twice.
    #[error("repeated header")]
    Repeated,
    /// Byte-Range.
    #[error("malformed Byte-Range")]
    ByteRange,
    /// Message-ID.
    #[error("malformed Message-ID")]
    MessageId,
    /// Success-Report or Failure-Report.
    #[error("malformed report header")]
    Report,
    /// Status.
    #[error("malformed Status")]
    Status,
    /// The body of a request other than SEND exceeds [`super::MAX_NON_SEND_BODY`] (C07).
    #[error("body too large")]
    BodyTooLarge,
}

/// A framed request that cannot be used, with the data needed to answer 400 (C11).
#[derive(Clone, Copy, Debug)]
pub struct Malformed<'a> {
    /// Transaction id.
    pub transaction: TransactionId,
    /// Method; a REPORT is never answered (C45).
    pub method: Method<'a>,
    /// To-Path, if readable.
    pub to_path: Option<Path<'a>>,
    /// From-Path, if readable; without it an answer has no destination.
    pub from_path: Option<Path<'a>>,
    /// `No` forbids the 400 (C42).
    pub failure_report: FailureReport,
    /// The first error found.
    pub error: HeadError,
}
