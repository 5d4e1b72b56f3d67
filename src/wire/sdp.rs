//! SDP as a list of lines (RFC 8866): nothing is lost between reading and writing.
//!
//! Tolerates LF line ends, a missing `s=`, `IN IP4 null`, unknown lines and attributes.

use std::fmt::Write;

/// The reason why octets cannot be read as SDP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// No `v=0` first line, or not UTF-8.
    #[error("not a session description")]
    NotSdp,
    /// A line that is not `x=value`.
    #[error("malformed line {0}")]
    Line(usize),
    /// An `m=` line without media, port, protocol and format.
    #[error("malformed m= line")]
    Media,
    /// More octets, lines or media sections than the limits.
    #[error("session description too large")]
    TooLarge,
}

/// Size limit of a description, in octets: a UDP datagram holds no more, and a chat offer is below
/// 2 KiB.
pub const MAX_OCTETS: usize = 64 * 1024;
/// Limit of lines; browsers with every codec write some 300.
pub const MAX_LINES: usize = 2048;
/// Limit of `m=` sections; the answer must repeat every one (RFC 3264 §6).
pub const MAX_MEDIA: usize = 64;

/// `a=name` or `a=name:value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name, as written.
    pub name: String,
    /// Value, `None` for a flag.
    pub value: Option<String>,
}

impl Attribute {
    /// `a=name`.
    pub fn flag(name: &str) -> Self {
        Attribute {
            name: name.to_owned(),
            value: None,
        }
    }

    /// `a=name:value`.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Attribute {
            name: name.to_owned(),
            value: Some(value.into()),
        }
    }
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `message`, `audio`, …
    pub kind: String,
    /// Port; 0 refuses the stream. A number of ports (`49170/2`) is dropped: we refuse all media
    /// that could have one.
    pub port: u16,
    /// `TCP/MSRP`, `TCP/TLS/MSRP`, …
    pub protocol: String,
    /// The formats, as written (`*`).
    pub formats: String,
    /// `c=` of this section, after `c=`.
    pub connection: Option<String>,
    /// Attributes in order.
    pub attributes: Vec<Attribute>,
    /// Other lines of the section (`i=`, `b=`, `k=`) as `(letter, value)`, in order.
    pub other: Vec<(char, String)>,
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `o=` after `o=`.
    pub origin: String,
    /// `s=`; `-` when absent.
    pub name: String,
    /// Session-level `c=`.
    pub connection: Option<String>,
    /// Session-level attributes.
    pub attributes: Vec<Attribute>,
    /// Other session-level lines in order, `t=` among them.
    pub other: Vec<(char, String)>,
    /// The media sections in order.
    pub media: Vec<Media>,
}

impl Description {
    /// Reads a description.
    pub fn parse(octets: &[u8]) -> Result<Self, SdpError> {
        if octets.len() > MAX_OCTETS {
            return Err(SdpError::TooLarge);
        }
        let text = std::str::from_utf8(octets).map_err(|_| SdpError::NotSdp)?;
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line.trim_end()) != Some("v=0") {
            return Err(SdpError::NotSdp);
        }
        let mut description = Description::empty();
        for (at, line) in lines {
            if at >= MAX_LINES {
                return Err(SdpError::TooLarge);
            }
            // RFC 8866 §9: byte-string. Writing would change these octets.
            if line.trim_end().contains(['\0', '\r']) {
                return Err(SdpError::Line(at + 1));
            }
            // Some clients write an empty line at the end.
            if !line.trim_end().is_empty() {
                let (letter, value) = split_line(line).ok_or(SdpError::Line(at + 1))?;
                description.take(letter, value)?;
            }
        }
        Ok(description)
    }

    /// Writes the description with CRLF: v, o, s, other lines in order (with t=; `t=0 0` when
    /// absent), c where the grammar requires it, attributes, media.
    pub fn write(&self) -> String {
        let mut text = String::from("v=0\r\n");
        line(&mut text, 'o', &self.origin);
        line(&mut text, 's', &self.name);
        // RFC 8866 §9: i, u, e, p precede c; b, t, r, z, k follow it.
        let is_early = |letter: &char| "iuep".contains(*letter);
        let early = self.other.iter().filter(|(letter, _)| is_early(letter));
        early.for_each(|(letter, value)| line(&mut text, *letter, value));
        if let Some(connection) = &self.connection {
            line(&mut text, 'c', connection);
        }
        let late = self.other.iter().filter(|(letter, _)| !is_early(letter));
        late.for_each(|(letter, value)| line(&mut text, *letter, value));
        if !self.other.iter().any(|(letter, _)| *letter == 't') {
            line(&mut text, 't', "0 0");
        }
        attributes(&mut text, &self.attributes);
        self.media.iter().for_each(|media| media.write(&mut text));
        text
    }

    /// The first session-level attribute of this name; see [`Media::attribute`].
    pub fn attribute(&self, name: &str) -> Option<Option<&str>> {
        find(&self.attributes, name)
    }

    fn empty() -> Self {
        Description {
            origin: "- 0 0 IN IP4 0.0.0.0".to_owned(),
            name: "-".to_owned(),
            connection: None,
            attributes: Vec::new(),
            other: Vec::new(),
            media: Vec::new(),
        }
    }

    fn take(&mut self, letter: char, value: &str) -> Result<(), SdpError> {
        if letter == 'm' {
            if self.media.len() >= MAX_MEDIA {
                return Err(SdpError::TooLarge);
            }
            self.media.push(Media::parse(value)?);
            return Ok(());
        }
        let (connection, attributes, other) = match self.media.last_mut() {
            Some(m) => (&mut m.connection, &mut m.attributes, &mut m.other),
            None if letter == 'o' => {
                self.origin = value.to_owned();
                return Ok(());
            }
            None if letter == 's' => {
                self.name = value.to_owned();
                return Ok(());
            }
            None => (&mut self.connection, &mut self.attributes, &mut self.other),
        };
        match letter {
            'c' if connection.is_none() => *connection = Some(value.to_owned()),
            'a' => attributes.push(parse_attribute(value)),
            _ => other.push((letter, value.to_owned())),
        }
        Ok(())
    }
}

impl Media {
    /// The first attribute of this name (without case): `Some(Some(value))`, `Some(None)`
    /// for a flag.
    pub fn attribute(&self, name: &str) -> Option<Option<&str>> {
        find(&self.attributes, name)
    }

    /// `message 2855 TCP/MSRP *`.
    fn parse(value: &str) -> Result<Self, SdpError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next())
        else {
            return Err(SdpError::Media);
        };
        let port = port.split('/').next().unwrap_or_default();
        let formats = words.collect::<Vec<_>>().join(" ");
        if formats.is_empty() || !port.bytes().all(|d| d.is_ascii_digit()) {
            return Err(SdpError::Media);
        }
        Ok(Media {
            kind: kind.to_owned(),
            port: port.parse().map_err(|_| SdpError::Media)?,
            protocol: protocol.to_owned(),
            formats,
            connection: None,
            attributes: Vec::new(),
            other: Vec::new(),
        })
    }

    fn write(&self, text: &mut String) {
        let Media {
            kind,
            port,
            protocol,
            formats,
            ..
        } = self;
        line(text, 'm', &format!("{kind} {port} {protocol} {formats}"));
        let title = |(letter, _): &&(char, String)| *letter == 'i';
        let titles = self.other.iter().filter(title);
        titles.for_each(|(letter, value)| line(text, *letter, value));
        if let Some(connection) = &self.connection {
            line(text, 'c', connection);
        }
        let rest = self.other.iter().filter(|entry| !title(entry));
        rest.for_each(|(letter, value)| line(text, *letter, value));
        attributes(text, &self.attributes);
    }
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<Option<&'a str>> {
    let found = attributes
        .iter()
        .find(|a| a.name.eq_ignore_ascii_case(name))?;
    Some(found.value.as_deref())
}

/// `x=value`, where `x` is one ASCII letter.
fn split_line(line: &str) -> Option<(char, &str)> {
    let (letter, value) = line.split_once('=')?;
    let mut letters = letter.chars();
    match (letters.next(), letters.next()) {
        // A session without a name is written `s= `.
        (Some('s'), None) => Some(('s', value)),
        (Some(letter), None) if letter.is_ascii_alphabetic() => Some((letter, value.trim_end())),
        _ => None,
    }
}

/// The value keeps its leading white space; the name is trimmed.
fn parse_attribute(text: &str) -> Attribute {
    match text.split_once(':') {
        Some((name, value)) => Attribute::new(name.trim(), value),
        None => Attribute::flag(text.trim()),
    }
}

fn attributes(text: &mut String, attributes: &[Attribute]) {
    for attribute in attributes {
        match &attribute.value {
            Some(value) => line(text, 'a', &format!("{}:{value}", attribute.name)),
            None => line(text, 'a', &attribute.name),
        }
    }
}

/// Writes one line. Line ends in the value become blanks, so that no value can end its line.
fn line(text: &mut String, letter: char, value: &str) {
    let value = value.replace(['\r', '\n', '\0'], " ");
    let _ = write!(text, "{letter}={value}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFER: &str = "v=0\r\n\
        o=alice 2890844526 2890844527 IN IP4 alice.example.com\r\n\
        s= \r\n\
        i=chat\r\n\
        c=IN IP4 alice.example.com\r\n\
        b=AS:64\r\n\
        t=0 0\r\n\
        a=tool:x\r\n\
        m=message 7394 TCP/MSRP *\r\n\
        i=room\r\n\
        c=IN IP6 ::1\r\n\
        b=TIAS:1\r\n\
        a=accept-types:message/cpim text/plain\r\n\
        a=path:msrp://alice.example.com:7394/2s93i9ek2a;tcp\r\n\
        a=chatroom\r\n\
        a=setup:actpass\r\n\
        m=audio 0 RTP/AVP 0 8\r\n";

    #[test]
    fn a_chat_offer_is_read_and_written_as_it_was() {
        let offer = Description::parse(OFFER.as_bytes()).unwrap();
        assert_eq!(offer.media.len(), 2);
        let chat = &offer.media[0];
        assert_eq!((chat.port, chat.formats.as_str()), (7394, "*"));
        assert_eq!(chat.connection.as_deref(), Some("IN IP6 ::1"));
        assert_eq!(chat.attribute("SETUP"), Some(Some("actpass")));
        assert_eq!(chat.attribute("chatroom"), Some(None));
        assert_eq!(chat.attribute("max-size"), None);
        assert_eq!(offer.attribute("tool"), Some(Some("x")));
        assert_eq!(offer.media[1].port, 0);
        assert_eq!(offer.write(), OFFER);
    }

    #[test]
    fn path_directly_follows_accept_types() {
        // opensips-js reads its path only there.
        let written = Description::parse(OFFER.as_bytes()).unwrap().write();
        assert!(written.contains("text/plain\r\na=path:msrp:"));
    }

    #[test]
    fn careless_descriptions_are_read() {
        let text = "v=0\no=- 1 1 IN IP4 null\nc=IN IP4 null\nx=what\nm=message  2855/1  TCP/TLS/MSRP *\n\
                    a=path: msrp://x.invalid:2855/a;ws \n\n";
        let read = Description::parse(text.as_bytes()).unwrap();
        assert_eq!(read.name, "-");
        assert_eq!(read.connection.as_deref(), Some("IN IP4 null"));
        assert_eq!(read.other, [('x', "what".to_owned())]);
        assert_eq!(
            read.media[0].attribute("path"),
            Some(Some(" msrp://x.invalid:2855/a;ws"))
        );
        assert!(
            read.write()
                .contains("\r\nx=what\r\nt=0 0\r\nm=message 2855 ")
        );
    }

    #[test]
    fn what_is_no_description_is_refused() {
        let parse = |text: &str| Description::parse(text.as_bytes()).map(|_| ());
        assert_eq!(parse(""), Err(SdpError::NotSdp));
        assert_eq!(parse("v=1\r\n"), Err(SdpError::NotSdp));
        assert_eq!(Description::parse(b"v=0\r\ns=\xff"), Err(SdpError::NotSdp));
        assert_eq!(parse("v=0\r\no=-\r\nnonsense\r\n"), Err(SdpError::Line(3)));
        assert_eq!(parse("v=0\r\nab=x\r\n"), Err(SdpError::Line(2)));
        assert_eq!(parse("v=0\nm=message 1 a\0 *\n"), Err(SdpError::Line(2)));
        assert_eq!(parse("v=0\na=x:\ra=y\n"), Err(SdpError::Line(2)));
        for media in [
            "message",
            "message 1 TCP/MSRP",
            "m 70000 a *",
            "m x a *",
            "m +1 a *",
        ] {
            assert_eq!(
                parse(&format!("v=0\r\nm={media}\r\n")),
                Err(SdpError::Media)
            );
        }
    }

    #[test]
    fn size_is_bounded() {
        let repeat = |line: &str, times: usize| {
            let text = format!("v=0\r\n{}", line.repeat(times));
            Description::parse(text.as_bytes()).map(|_| ())
        };
        assert_eq!(repeat("a=x\r\n", MAX_LINES - 1), Ok(()));
        assert_eq!(repeat("a=x\r\n", MAX_LINES), Err(SdpError::TooLarge));
        assert_eq!(repeat("m=a 1 b *\r\n", MAX_MEDIA), Ok(()));
        assert_eq!(
            repeat("m=a 1 b *\r\n", MAX_MEDIA + 1),
            Err(SdpError::TooLarge)
        );
        assert_eq!(repeat("a=0123456789\r\n", 5000), Err(SdpError::TooLarge));
    }

    #[test]
    fn no_value_ends_its_line() {
        let mut description = Description::empty();
        description.name = "a\r\na=path:evil".into();
        assert!(!description.write().contains("\na=path"));
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Description::parse(&octets);
            let _ = Description::parse(&[b"v=0\n".as_slice(), &octets].concat());
        }

        #[test]
        fn what_was_read_and_written_reads_the_same(
            lines in "([acimtobxs]=[ -~é]{0,12}(\r\n|\n)|m=[a-z]{1,3} [0-9]{1,4} [A-Z/]{1,4} [*0-9 ]{1,3}\n){0,12}",
        ) {
            if let Ok(read) = Description::parse(format!("v=0\n{lines}").as_bytes()) {
                let written = read.write();
                let mut again = Description::parse(written.as_bytes()).unwrap();
                prop_assert_eq!(again.write(), written);
                // Only the order of lines of different kinds and an absent `t=` may change.
                let sort = |d: &mut Description| {
                    d.other.retain(|(letter, value)| (*letter, value.as_str()) != ('t', "0 0"));
                    d.other.sort();
                    d.media.iter_mut().for_each(|m| m.other.sort());
                };
                let mut read = read;
                sort(&mut read);
                sort(&mut again);
                prop_assert_eq!(again, read);
            }
        }
    }
}
