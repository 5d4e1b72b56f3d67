//! The incremental decoder: octets in, events out, no buffer of its own.

use super::head::three_digits;
use super::{
    HeadError, MAX_FRAMED_IDENTIFIER, MAX_HEAD, MAX_NON_SEND_BODY, Malformed, Method, Request,
    Response, TransactionId, fields,
};
use memchr::memmem::Finder;
use once_cell::sync::Lazy;

/// How a chunk ends (RFC 4975 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `$`: the last chunk.
    Last,
    /// `+`: more chunks follow.
    More,
    /// `#`: the sender gave the message up.
    Abort,
}

impl Flag {
    /// The octet on the wire.
    pub const fn octet(self) -> u8 {
        match self {
            Flag::Last => b'$',
            Flag::More => b'+',
            Flag::Abort => b'#',
        }
    }
}

/// The meaning of a stretch of input. All fields borrow from the input.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A whole request.
    Message {
        /// Its head.
        request: Request<'a>,
        /// Its body; `None` when it has none, which is not the same as an empty one (C05).
        body: Option<&'a [u8]>,
        /// How it ends.
        flag: Flag,
    },
    /// The head of a SEND whose body is incomplete.
    Begin(Request<'a>),
    /// A piece of that body, not empty.
    Body(&'a [u8]),
    /// The end of the body.
    End(Flag),
    /// A whole response.
    Response(Response<'a>),
    /// A request to be answered 400; its rest will be skipped.
    Malformed(Malformed<'a>),
    /// Octets without content: line ends between messages, the rest of a malformed request.
    Skipped,
}

/// An event and how much of the input it took.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// Octets to drop from the front of the input; never zero.
    pub used: usize,
    /// The event.
    pub event: Event<'a>,
}

/// The stream cannot be framed any more: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No MSRP start line.
    #[error("not an MSRP start line")]
    StartLine,
    /// A head above [`super::MAX_HEAD`].
    #[error("header block too large")]
    HeadTooLarge,
}

/// The longest end-line with its line end.
const MAX_END_LINE: usize = 7 + MAX_FRAMED_IDENTIFIER + 1 + 2;

/// The start of every end-line. Building a searcher costs as much as a short search, so one is
/// kept; the transaction id is compared afterwards.
static END_OF_BODY: Lazy<Finder<'static>> = Lazy::new(|| Finder::new(b"\r\n-------"));

/// Decodes one connection's input.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    /// Where the first unfinished line of the current head starts.
    scanned: usize,
}

/// Boxed, because most connections are between two messages.
#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Start,
    Body(Box<Reading>),
    Skip(Box<Reading>),
}

/// A body in progress.
#[derive(Clone, Copy, Debug)]
struct Reading {
    transaction: TransactionId,
    /// None of it has been returned yet.
    fresh: bool,
}

impl Decoder {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first event of `input`, which starts where the last event ended; `None` when more octets
    /// are needed. The octets left over then number at most [`MAX_HEAD`] plus [`MAX_NON_SEND_BODY`]
    /// plus an end-line.
    ///
    /// # Errors
    /// The stream cannot be framed any more; every further call fails the same way.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Option<Decoded<'a>>, DecodeError> {
        match &self.state {
            State::Start => self.start(input),
            State::Body(reading) => Ok(self.body(**reading, input)),
            State::Skip(reading) => Ok(self.skip(**reading, input)),
        }
    }

    fn start<'a>(&mut self, input: &'a [u8]) -> Result<Option<Decoded<'a>>, DecodeError> {
        let blank = line_ends(input);
        if blank > 0 {
            return Ok(Some(Decoded {
                used: blank,
                event: Event::Skipped,
            }));
        }
        if input == b"\r" {
            return Ok(None);
        }
        let Some(start) = StartLine::read(input)? else {
            return Ok(None);
        };
        let decoded = match start.kind {
            Kind::Response { code, comment } => response(&start, code, comment, input)?,
            Kind::Request { method, exact } => {
                let Some(end) = self.head_end(&start, input)? else {
                    return Ok(None);
                };
                let block = &input[start.length..end.block_end];
                let request = fields::request(start.transaction, method, exact, block);
                self.request(request, &end, input)
            }
        };
        if decoded.is_some() {
            self.scanned = 0;
        }
        Ok(decoded)
    }

    /// Finds the blank line or the end-line, resuming where the last call stopped.
    fn head_end(
        &mut self,
        start: &StartLine<'_>,
        input: &[u8],
    ) -> Result<Option<HeadEnd>, DecodeError> {
        let mut line = self.scanned.max(start.length);
        loop {
            if line > MAX_HEAD {
                return Err(DecodeError::HeadTooLarge);
            }
            let rest = &input[line..];
            if rest.starts_with(b"\r\n") {
                return Ok(Some(HeadEnd {
                    block_end: line,
                    after: line + 2,
                    flag: None,
                }));
            }
            if let Found::Yes(flag, length) = end_line(rest, &start.transaction) {
                let after = line + length;
                return Ok(Some(HeadEnd {
                    block_end: line,
                    after,
                    flag: Some(flag),
                }));
            }
            self.scanned = line;
            match line_length(rest) {
                Some(length) => line += length,
                None if input.len() > MAX_HEAD + MAX_END_LINE => {
                    return Err(DecodeError::HeadTooLarge);
                }
                None => return Ok(None),
            }
        }
    }

    fn request<'a>(
        &mut self,
        request: Result<Request<'a>, Malformed<'a>>,
        end: &HeadEnd,
        input: &'a [u8],
    ) -> Option<Decoded<'a>> {
        let whole = |request, body, flag| Event::Message {
            request,
            body,
            flag,
        };
        let (request, flag) = match (request, end.flag) {
            (Err(malformed), Some(_)) => {
                return Some(Decoded {
                    used: end.after,
                    event: Event::Malformed(malformed),
                });
            }
            (Err(malformed), None) => return Some(self.refuse(malformed, end)),
            (Ok(request), flag) => (request, flag),
        };
        if let Some(flag) = flag {
            return Some(Decoded {
                used: end.after,
                event: whole(request, None, flag),
            });
        }
        let reading = Reading {
            transaction: request.transaction,
            fresh: true,
        };
        let body = &input[end.after..];
        let is_send = request.method == Method::Send;
        match reading.end(body) {
            BodyEnd::Here { data, .. } if !is_send && data > MAX_NON_SEND_BODY => {
                Some(self.refuse(too_large(&request), end))
            }
            BodyEnd::Here { data, used, flag } => Some(Decoded {
                used: end.after + used,
                event: whole(request, Some(&body[..data]), flag),
            }),
            BodyEnd::After(_) if is_send => {
                self.state = State::Body(Box::new(reading));
                Some(Decoded {
                    used: end.after,
                    event: Event::Begin(request),
                })
            }
            BodyEnd::After(_) if body.len() > MAX_NON_SEND_BODY + 2 + MAX_END_LINE => {
                Some(self.refuse(too_large(&request), end))
            }
            BodyEnd::After(_) => None,
        }
    }

    /// Returns the malformed request, and skips the body that follows its head.
    fn refuse<'a>(&mut self, malformed: Malformed<'a>, end: &HeadEnd) -> Decoded<'a> {
        self.state = State::Skip(Box::new(Reading {
            transaction: malformed.transaction,
            fresh: true,
        }));
        Decoded {
            used: end.after,
            event: Event::Malformed(malformed),
        }
    }

    fn body<'a>(&mut self, reading: Reading, input: &'a [u8]) -> Option<Decoded<'a>> {
        let length = match reading.end(input) {
            BodyEnd::Here {
                data: 0,
                used,
                flag,
            } => {
                self.state = State::Start;
                return Some(Decoded {
                    used,
                    event: Event::End(flag),
                });
            }
            BodyEnd::Here { data, .. } => data,
            BodyEnd::After(0) => return None,
            BodyEnd::After(safe) => safe,
        };
        self.continues();
        Some(Decoded {
            used: length,
            event: Event::Body(&input[..length]),
        })
    }

    /// Part of the body has been returned.
    fn continues(&mut self) {
        if let State::Body(reading) | State::Skip(reading) = &mut self.state {
            reading.fresh = false;
        }
    }

    fn skip<'a>(&mut self, reading: Reading, input: &'a [u8]) -> Option<Decoded<'a>> {
        let used = match reading.end(input) {
            BodyEnd::Here { used, .. } => {
                self.state = State::Start;
                used
            }
            BodyEnd::After(0) => return None,
            BodyEnd::After(safe) => {
                self.continues();
                safe
            }
        };
        Some(Decoded {
            used,
            event: Event::Skipped,
        })
    }
}

/// Where a head stops.
struct HeadEnd {
    /// The end of the header lines.
    block_end: usize,
    /// Where the octets after the blank line or the end-line start.
    after: usize,
    /// The end-line's flag, if it ended the head.
    flag: Option<Flag>,
}

struct StartLine<'a> {
    transaction: TransactionId,
    kind: Kind<'a>,
    /// With its CRLF.
    length: usize,
}

enum Kind<'a> {
    /// `exact`: nothing follows the method.
    Request {
        method: Method<'a>,
        exact: bool,
    },
    Response {
        code: u16,
        comment: &'a str,
    },
}

impl<'a> StartLine<'a> {
    fn read(input: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        const PROTOCOL: &[u8] = b"MSRP ";
        let known = input.len().min(PROTOCOL.len());
        if input[..known] != PROTOCOL[..known] {
            return Err(DecodeError::StartLine);
        }
        let Some(length) = line_length(input) else {
            return match input.len() > MAX_HEAD + MAX_END_LINE {
                true => Err(DecodeError::HeadTooLarge),
                false => Ok(None),
            };
        };
        if length > MAX_HEAD {
            // The same limit as for a request that arrives in pieces.
            return Err(DecodeError::HeadTooLarge);
        }
        Self::parts(&input[PROTOCOL.len()..length - 2], length)
            .map(Some)
            .ok_or(DecodeError::StartLine)
    }

    fn parts(line: &'a [u8], length: usize) -> Option<Self> {
        let space = memchr::memchr(b' ', line)?;
        let transaction = TransactionId::from_octets(&line[..space])?;
        let rest = std::str::from_utf8(&line[space + 1..]).ok()?;
        let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        let kind = match three_digits(word) {
            Some(code) => Kind::Response {
                code,
                comment: tail,
            },
            None if word.starts_with(|first: char| first.is_ascii_alphabetic())
                && word.bytes().all(|octet| octet.is_ascii_graphic()) =>
            {
                let exact = word.len() == rest.len();
                Kind::Request {
                    method: Method::from_token(word),
                    exact,
                }
            }
            None => return None,
        };
        Some(Self {
            transaction,
            kind,
            length,
        })
    }
}

/// A response has no body, so its end-line is searched for at once. The header lines before it are
/// parsed only on request.
fn response<'a>(
    start: &StartLine<'a>,
    code: u16,
    comment: &'a str,
    input: &'a [u8],
) -> Result<Option<Decoded<'a>>, DecodeError> {
    // From the CRLF of the start line on.
    let rest = &input[start.length - 2..];
    let reading = Reading {
        transaction: start.transaction,
        fresh: false,
    };
    let (headers, used, whole) = match reading.end(rest) {
        BodyEnd::Here { data, used, .. } => (data, used, true),
        BodyEnd::After(sure) => (sure, 0, false),
    };
    if start.length + headers > MAX_HEAD {
        return Err(DecodeError::HeadTooLarge);
    }
    let response = Response {
        transaction: start.transaction,
        code,
        comment,
        headers: rest.get(2..headers + 2).unwrap_or_default(),
    };
    Ok(whole.then_some(Decoded {
        used: start.length - 2 + used,
        event: Event::Response(response),
    }))
}

fn too_large<'a>(request: &Request<'a>) -> Malformed<'a> {
    Malformed {
        transaction: request.transaction,
        method: request.method,
        to_path: Some(request.to_path),
        from_path: Some(request.from_path),
        failure_report: request.failure_report,
        error: HeadError::BodyTooLarge,
    }
}

enum Found {
    Yes(Flag, usize),
    No,
    /// More octets are needed.
    Perhaps,
}

/// Whether `text` starts with the end-line of `transaction`.
fn end_line(text: &[u8], transaction: &TransactionId) -> Found {
    const HYPHENS: &[u8] = b"-------";
    let id = transaction.as_bytes();
    if text.first().is_some_and(|first| *first != HYPHENS[0]) {
        return Found::No;
    }
    let known = text.len().min(HYPHENS.len());
    if text[..known] != HYPHENS[..known] {
        return Found::No;
    }
    let rest = &text[known..];
    let known = rest.len().min(id.len());
    if rest[..known] != id[..known] {
        return Found::No;
    }
    let flag = match rest.get(id.len()) {
        Some(b'$') => Flag::Last,
        Some(b'+') => Flag::More,
        Some(b'#') => Flag::Abort,
        Some(_) => return Found::No,
        None => return Found::Perhaps,
    };
    match &rest[id.len() + 1..] {
        [] | [b'\r'] => Found::Perhaps,
        [b'\r', b'\n', ..] => Found::Yes(flag, HYPHENS.len() + id.len() + 3),
        _ => Found::No,
    }
}

enum BodyEnd {
    /// `data` octets of body, the end-line within `used` octets.
    Here {
        data: usize,
        used: usize,
        flag: Flag,
    },
    /// This many octets are certainly body.
    After(usize),
}

impl Reading {
    fn end(&self, body: &[u8]) -> BodyEnd {
        // An empty body without its own CRLF: some clients write that.
        match self.fresh.then(|| end_line(body, &self.transaction)) {
            Some(Found::Yes(flag, used)) => {
                return BodyEnd::Here {
                    data: 0,
                    used,
                    flag,
                };
            }
            Some(Found::Perhaps) => return BodyEnd::After(0),
            Some(Found::No) | None => {}
        }
        let mut from = 0;
        // The CRLF before the end-line is not body (C03).
        while let Some(place) = END_OF_BODY.find(&body[from..]) {
            let data = from + place;
            match end_line(&body[data + 2..], &self.transaction) {
                Found::Yes(flag, length) => {
                    return BodyEnd::Here {
                        data,
                        used: data + 2 + length,
                        flag,
                    };
                }
                Found::Perhaps => return BodyEnd::After(data),
                // Hyphens and another id are data (C03).
                Found::No => from = data + 2,
            }
        }
        BodyEnd::After(from + without_possible_end(&body[from..]))
    }
}

/// The length of `body` without a tail that may be the start of CRLF and seven hyphens.
fn without_possible_end(body: &[u8]) -> usize {
    let needle = END_OF_BODY.needle();
    let tail = body.len() - body.len().min(needle.len() - 1);
    memchr::memchr_iter(b'\r', &body[tail..])
        .map(|place| tail + place)
        .find(|&place| needle.starts_with(&body[place..]))
        .unwrap_or(body.len())
}

/// The length of the first line with its CRLF.
fn line_length(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', text)
        .find(|&place| place > 0 && text[place - 1] == b'\r')
        .map(|place| place + 1)
}

/// CRLFs at the front of `text`, as some clients send to keep a connection open.
fn line_ends(text: &[u8]) -> usize {
    text.chunks_exact(2)
        .take_while(|pair| pair == b"\r\n")
        .count()
        * 2
}

#[cfg(test)]
mod tests;
