//! Message/CPIM (RFC 3862). Messages are read tolerantly and forwarded byte for byte, so there is
//! no writer for them; `compose` writes our own messages.
//!
//! Nothing is copied: a [`Message`] borrows its octets. Lines may end in LF, display names
//! may lack quotes; names of CPIM headers are case-exact (§2.2), those of the MIME part not.

use std::borrow::Cow;

use super::{has_control, trimmed};
use crate::time::Moment;

/// The media type of a message in CPIM (RFC 3862 §1).
pub const MESSAGE_CPIM: &str = "message/cpim";
/// The most octets of CPIM headers and MIME headers together. RFC 3862 gives no bound; real
/// ones stay below 2 KiB.
pub const MAX_HEAD: usize = 8 * 1024;
/// The most `To` headers that are counted; one is allowed in a room (RFC 7701 §6.1).
pub const MAX_RECIPIENTS: usize = 16;

/// The reason why octets cannot be used as message/cpim.
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
    /// The text between the angle brackets (or alone), as written.
    pub uri: &'a str,
}

impl<'a> Address<'a> {
    /// The display name without quotes and escapes (P02).
    pub fn name(&self) -> Cow<'a, str> {
        let inner = self
            .display
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(self.display);
        unescaped(inner)
    }

    fn parse(value: &'a str) -> Result<Self, CpimError> {
        // A quoted display name may hold an angle bracket.
        let name_end = quoted_length(value);
        let Some(open) = value[name_end..].find('<').map(|place| name_end + place) else {
            return match value.is_empty() || value.contains([' ', '"']) {
                true => Err(CpimError::Address),
                false => Ok(Self {
                    display: "",
                    uri: value,
                }),
            };
        };
        let close = value.rfind('>').filter(|&close| close > open + 1);
        Ok(Self {
            display: value[..open].trim(),
            uri: &value[open + 1..close.ok_or(CpimError::Address)?],
        })
    }
}

/// The length of the quoted string at the front, 0 when there is none.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (place, octet) in text.bytes().enumerate() {
        match octet {
            b'"' if place > 0 && !escaped => return place + 1,
            b'"' if place == 0 => {}
            _ if place == 0 => return 0,
            _ => escaped = octet == b'\\' && !escaped,
        }
    }
    0
}

/// Text with the escapes of §2.3 resolved; an unknown escape stands for its character.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        plain.push_str(&rest[..place]);
        let (character, length) = escape(&rest[place + 1..]);
        plain.push(character);
        rest = &rest[place + 1 + length..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The character of an escape, and the length of the escape after its backslash.
fn escape(text: &str) -> (char, usize) {
    let unit = |text: &str| {
        let digits = text.strip_prefix('u').and_then(|rest| rest.get(..4))?;
        digits
            .bytes()
            .all(|digit| digit.is_ascii_hexdigit())
            .then_some(())?;
        u16::from_str_radix(digits, 16).ok()
    };
    match text.chars().next() {
        None => ('\\', 0),
        Some('b') => ('\u{8}', 1),
        Some('t') => ('\t', 1),
        Some('n') => ('\n', 1),
        Some('r') => ('\r', 1),
        Some('u') => match unit(text) {
            None => ('u', 1),
            Some(first) => {
                // Characters beyond the first plane are written as two UTF-16 units.
                let second = text
                    .get(5..)
                    .and_then(|rest| rest.strip_prefix('\\'))
                    .and_then(unit);
                let pair = [Some(first), second].into_iter().flatten();
                match char::decode_utf16(pair).next() {
                    Some(Ok(character)) => (character, if character > '\u{ffff}' { 11 } else { 5 }),
                    _ => (char::REPLACEMENT_CHARACTER, 5),
                }
            }
        },
        Some(other) => (other, other.len_utf8()),
    }
}

/// A message with complete headers.
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
    /// Reads the headers from the first octets of a message. `None`: the headers are incomplete
    /// (they may be split over chunks, P06). At the end of the message that means it is malformed.
    ///
    /// # Errors
    /// See [`CpimError`].
    pub fn parse(octets: &'a [u8]) -> Result<Option<Self>, CpimError> {
        let Some(blocks) = Blocks::find(octets)? else {
            return Ok(None);
        };
        let text = |from: usize, to: usize| {
            std::str::from_utf8(&octets[from..to]).map_err(|_| CpimError::Header)
        };
        let cpim = text(0, blocks.cpim_end)?;
        let mime = text(blocks.mime_start, blocks.mime_end)?;
        let (mut from, mut to) = (None, Vec::with_capacity(1));
        for line in lines(cpim) {
            match field(line)? {
                ("From", value) if from.is_none() => from = Some(Address::parse(value)?),
                ("From", _) => return Err(CpimError::Address),
                ("To", _) if to.len() == MAX_RECIPIENTS => return Err(CpimError::Recipients),
                ("To", value) => to.push(Address::parse(value)?),
                _ => {}
            }
        }
        // A folded MIME line has no name of its own.
        for line in lines(mime).filter(|line| !line.starts_with([' ', '\t'])) {
            field(line)?;
        }
        if to.is_empty() {
            return Err(CpimError::Address);
        }
        Ok(Some(Message {
            from: from.ok_or(CpimError::Address)?,
            to,
            content_type: find(mime, "Content-Type").unwrap_or_default(),
            content: blocks.content,
            cpim,
            mime,
        }))
    }

    /// The CPIM headers in order as `(name, value)`, escapes kept.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        lines(self.cpim).filter_map(|line| field(line).ok())
    }

    /// The first value of a header without prefix, case-exact.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// The first value of header `name` of the namespace `uri`, whatever prefix it got (P04).
    pub fn header_in(&self, uri: &str, name: &str) -> Option<&'a str> {
        let mut prefix = None;
        for (found, value) in self.headers() {
            if found == "NS" {
                let (declared, rest) = value.split_once('<')?;
                let declared = declared.trim();
                if rest.trim_end().strip_suffix('>') == Some(uri) {
                    prefix = Some(declared);
                } else if prefix == Some(declared) {
                    prefix = None;
                }
            }
            let matches = match prefix {
                Some("") => found == name,
                Some(prefix) => found
                    .strip_prefix(prefix)
                    .and_then(|rest| rest.strip_prefix('.'))
                    .is_some_and(|rest| rest == name),
                None => false,
            };
            if matches {
                return Some(value);
            }
        }
        None
    }

    /// The first value of a header of the MIME part, names without case.
    pub fn mime_header(&self, name: &str) -> Option<&'a str> {
        find(self.mime, name)
    }

    /// `type/subtype` of the wrapped part, lower case, without parameters.
    pub fn media_type(&self) -> String {
        let (media_type, _) = self
            .content_type
            .split_once(';')
            .unwrap_or((self.content_type, ""));
        media_type.trim().to_ascii_lowercase()
    }
}

/// Where the three blocks stand: CPIM headers, MIME headers, content (P03).
struct Blocks {
    cpim_end: usize,
    mime_start: usize,
    mime_end: usize,
    content: usize,
}

impl Blocks {
    fn find(octets: &[u8]) -> Result<Option<Self>, CpimError> {
        let (mut cpim, mut line) = (None, 0);
        while line <= MAX_HEAD {
            let rest = &octets[line..];
            let Some(length) = memchr::memchr(b'\n', rest).map(|place| place + 1) else {
                return match octets.len() > MAX_HEAD {
                    true => Err(CpimError::TooLarge),
                    false => Ok(None),
                };
            };
            let blank = matches!(&rest[..length], b"\n" | b"\r\n");
            match cpim {
                None if blank => cpim = Some((line, line + length)),
                // The example of RFC 4975 §11.4 leaves out the blank line before the part.
                None if is_mime(rest) => cpim = Some((line, line)),
                Some((cpim_end, mime_start)) if blank => {
                    let (mime_end, content) = (line, line + length);
                    return Ok(Some(Self {
                        cpim_end,
                        mime_start,
                        mime_end,
                        content,
                    }));
                }
                _ => {}
            }
            line += length;
        }
        Err(CpimError::TooLarge)
    }
}

fn is_mime(line: &[u8]) -> bool {
    const PREFIX: &[u8] = b"Content-";
    line.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The lines of a block, as [`str::lines`] gives them, but searched many octets at a time.
fn lines(block: &str) -> impl Iterator<Item = &str> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let length = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end + 1);
        let (line, after) = rest.split_at_checked(length)?;
        rest = after;
        let text = line
            .strip_suffix('\n')
            .map(|it| it.strip_suffix('\r').unwrap_or(it));
        (length > 0).then(|| text.unwrap_or(line))
    })
}

fn field(line: &str) -> Result<(&str, &str), CpimError> {
    let colon = memchr::memchr(b':', line.as_bytes()).ok_or(CpimError::Header)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let spaced = name.bytes().any(|octet| octet == b' ' || octet == b'\t');
    match name.is_empty() || spaced || has_control(line.as_bytes()) {
        true => Err(CpimError::Header),
        false => Ok((name, trimmed(value))),
    }
}

fn find<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = lines(block).filter_map(|line| field(line).ok());
    fields
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A message of our own.
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
pub fn compose(message: &Composition<'_>) -> Vec<u8> {
    let mut out = String::with_capacity(256);
    let mut line = |name: &str, value: &str| {
        out.push_str(name);
        out.push_str(": ");
        // No value may contain a line end.
        out.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
        out.push_str("\r\n");
    };
    line("From", &address(message.from));
    line("To", &address(message.to));
    if let Some(moment) = message.date_time {
        line("DateTime", &date_time(moment));
    }
    for (name, value) in message.headers {
        line(name, value);
    }
    out.push_str("\r\nContent-Type: ");
    out.extend(message.content_type.chars().filter(|c| !c.is_control()));
    out.push_str("\r\n\r\n");
    let mut octets = out.into_bytes();
    octets.extend_from_slice(message.content);
    octets
}

/// The same message with a DateTime added (RFC 3862 §4.4); `None` if it has one or is malformed.
pub fn dated(octets: &[u8], moment: Moment) -> Option<Vec<u8>> {
    let message = Message::parse(octets).ok().flatten()?;
    if message.header("DateTime").is_some() {
        return None;
    }
    // §4.6: a later NS may make names without prefix those of another namespace.
    let lines = message.cpim.split_inclusive('\n');
    let before = lines.take_while(|line| !line.starts_with("NS:"));
    let place = before.map(str::len).sum();
    let (front, rest) = octets.split_at_checked(place)?;
    let line = format!("DateTime: {}\r\n", date_time(moment));
    Some([front, line.as_bytes(), rest].concat())
}

fn address((name, uri): (&str, &str)) -> String {
    let uri: String = uri.chars().filter(|c| !matches!(c, '<' | '>')).collect();
    match name {
        "" => format!("<{uri}>"),
        _ => format!("\"{}\" <{uri}>", escaped(name)),
    }
}

/// Text with the escapes of §2.3, suitable for a quoted string.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character.is_control() => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out
}

/// UTC as RFC 3339 writes it, to the second.
fn date_time(moment: Moment) -> String {
    let seconds = moment.since_epoch().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that the leap day ends its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests;
