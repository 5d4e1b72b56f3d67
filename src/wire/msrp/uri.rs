//! MSRP URIs (RFC 4975 §6): read tolerantly, kept octet for octet, compared by §6.1.

use super::MAX_HEAD;
use memchr::{memchr, memchr2, memrchr};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Text that is not an MSRP URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The scheme is neither msrp nor msrps.
    #[error("unsupported URI scheme")]
    Scheme,
    /// Any other error.
    #[error("malformed MSRP URI")]
    Malformed,
}

/// A flaw that makes a readable URI unfit for an SDP path (RFC 4975 §6, §8.2, C66).
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

/// The positions of the parts in the text, so that an owned URI need not be parsed again.
#[derive(Clone, Copy)]
struct Parts {
    secure: bool,
    port: Option<u16>,
    host: (u16, u16),
    session: (u16, u16),
    transport: (u16, u16),
}

/// A URI that borrows its text. Equality and hash follow RFC 4975 §6.1 (C65).
#[derive(Clone, Copy)]
pub struct UriRef<'a> {
    text: &'a str,
    parts: Parts,
}

impl<'a> UriRef<'a> {
    /// Reads a URI that fills the whole text.
    ///
    /// # Errors
    /// See [`UriError`]. Accepts characters that the grammar excludes from a session-id or a
    /// parameter, but neither white space nor characters outside ASCII.
    pub fn parse(text: &'a str) -> Result<Self, UriError> {
        // There is no early exit, so that the compiler can vectorise the loop.
        let graphic = |all, octet: u8| all & octet.is_ascii_graphic();
        if text.len() > MAX_HEAD || !text.bytes().fold(true, graphic) {
            return Err(UriError::Malformed);
        }
        let colon = memchr(b':', text.as_bytes()).ok_or(UriError::Malformed)?;
        let (scheme, rest) = text.split_at(colon);
        let rest = rest.strip_prefix("://").ok_or(UriError::Malformed)?;
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("msrp") => false,
            _ if scheme.eq_ignore_ascii_case("msrps") => true,
            _ => return Err(UriError::Scheme),
        };
        let at = scheme.len() + 3;
        let octets = rest.as_bytes();
        let from = |start: usize, found: Option<usize>| found.map_or(rest.len(), |at| start + at);
        // A user part may hold `;`, so parameters start after its `@`.
        let slash = from(0, memchr(b'/', octets));
        let user = memrchr(b'@', &octets[..slash]).map_or(0, |place| place + 1);
        let authority_end = from(user, memchr2(b'/', b';', &octets[user..]));
        let (host_length, port) = host_and_port(&rest[user..authority_end])?;
        let session_start = authority_end + usize::from(octets.get(authority_end) == Some(&b'/'));
        let session_end = from(session_start, memchr(b';', &octets[session_start..]));
        let transport_start = (session_end + 1).min(rest.len());
        let transport_end = from(transport_start, memchr(b';', &octets[transport_start..]));
        let span = |start: usize, end: usize| ((at + start) as u16, (at + end) as u16);
        Ok(Self {
            text,
            parts: Parts {
                secure,
                port,
                host: span(user, user + host_length),
                session: span(session_start, session_end),
                transport: span(transport_start, transport_end),
            },
        })
    }

    fn part(&self, (start, end): (u16, u16)) -> &'a str {
        self.text
            .get(usize::from(start)..usize::from(end))
            .unwrap_or_default()
    }

    /// The text as written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// `msrps`.
    pub fn secure(&self) -> bool {
        self.parts.secure
    }

    /// Host as written, IPv6 in brackets.
    pub fn host(&self) -> &'a str {
        self.part(self.parts.host)
    }

    /// Port.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// Session-id, without the slash; compared with case.
    pub fn session_id(&self) -> Option<&'a str> {
        Some(self.part(self.parts.session)).filter(|id| !id.is_empty())
    }

    /// Transport as written; empty when absent.
    pub fn transport(&self) -> &'a str {
        self.part(self.parts.transport)
    }

    /// Checks the requirements of §6 and §8.2 on a URI in SDP (C66).
    ///
    /// # Errors
    /// The first flaw found.
    pub fn check(&self) -> Result<(), UriFlaw> {
        let user = &self.text[..usize::from(self.parts.host.0)];
        let after_scheme = user.find("://").map_or(user, |place| &user[place + 3..]);
        match () {
            () if self.transport().is_empty() => Err(UriFlaw::Transport),
            () if self.port().is_none() => Err(UriFlaw::Port),
            () if self.session_id().is_none() => Err(UriFlaw::SessionId),
            () if after_scheme.contains(':') => Err(UriFlaw::Password),
            () => Ok(()),
        }
    }

    /// An owned copy.
    pub fn to_owned(&self) -> Uri {
        Uri {
            text: self.text.into(),
            parts: self.parts,
        }
    }
}

fn host_and_port(authority: &str) -> Result<(usize, Option<u16>), UriError> {
    let host_length = if authority.starts_with('[') {
        authority.find(']').ok_or(UriError::Malformed)? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let port = match &authority[host_length..] {
        "" => None,
        rest => {
            let digits = rest.strip_prefix(':').ok_or(UriError::Malformed)?;
            if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
                return Err(UriError::Malformed);
            }
            Some(digits.parse().map_err(|_| UriError::Malformed)?)
        }
    };
    match host_length {
        0 => Err(UriError::Malformed),
        _ => Ok((host_length, port)),
    }
}

/// The octets by which hosts compare: lower case, unreserved characters percent-decoded.
fn folded(host: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = host.as_bytes();
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        rest = tail;
        let digit = |place: usize| tail.get(place).and_then(|&d| (d as char).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            let decoded = (high * 16 + low) as u8;
            if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) {
                rest = &tail[2..];
                return Some(decoded.to_ascii_lowercase());
            }
        }
        Some(first.to_ascii_lowercase())
    })
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn same_host(left: &str, right: &str) -> bool {
    match (ipv6(left), ipv6(right)) {
        (Some(left), Some(right)) => left == right,
        (None, None) => folded(left).eq(folded(right)),
        _ => false,
    }
}

impl PartialEq for UriRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
            || (self.secure() == other.secure()
                && self.port() == other.port()
                && self.session_id() == other.session_id()
                && self.transport().eq_ignore_ascii_case(other.transport())
                && same_host(self.host(), other.host()))
    }
}

impl Eq for UriRef<'_> {}

impl Hash for UriRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.secure().hash(state);
        self.port().hash(state);
        self.session_id().hash(state);
        match ipv6(self.host()) {
            Some(address) => address.hash(state),
            None => folded(self.host()).for_each(|octet| state.write_u8(octet)),
        }
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
    parts: Parts,
}

impl Uri {
    /// The borrowed form, which has all the parts.
    pub fn view(&self) -> UriRef<'_> {
        UriRef {
            text: &self.text,
            parts: self.parts,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::DefaultHasher;

    fn uri(text: &str) -> UriRef<'_> {
        UriRef::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn digest(uri: UriRef<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        uri.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn parts_are_found() {
        let read = uri("msrps://al;ice@[2001:db8::7]:2855/a/B=+1;TCP;x=y");
        assert!(read.secure());
        assert_eq!(read.host(), "[2001:db8::7]");
        assert_eq!(read.port(), Some(2855));
        assert_eq!(read.session_id(), Some("a/B=+1"));
        assert_eq!(read.transport(), "TCP");
        let bare = uri("msrp://relay.example.net;tcp");
        assert_eq!((bare.port(), bare.session_id()), (None, None));
        assert_eq!(
            (bare.host(), bare.transport()),
            ("relay.example.net", "tcp")
        );
        assert_eq!(
            uri("msrp://h:1/s").to_owned().to_string(),
            "msrp://h:1/s",
            "the octets are kept"
        );
    }

    #[test]
    fn broken_uris_are_refused() {
        for text in [
            "",
            "msrp:",
            "msrp://",
            "msrp:///s;tcp",
            "msrp://h:x/s;tcp",
            "msrp://h:65536/s;tcp",
            "msrp://[::1/s;tcp",
            "msrp://h:1/a b;tcp",
            "msrp://h:1/\u{e9};tcp",
        ] {
            assert_eq!(
                UriRef::parse(text).err(),
                Some(UriError::Malformed),
                "{text}"
            );
        }
        assert_eq!(UriRef::parse("sip://h").err(), Some(UriError::Scheme));
    }

    #[test]
    fn c65_comparison() {
        let own = uri("msrp://chat.example.net:2855/s3Ss;tcp");
        for same in [
            "MSRP://chat.example.net:2855/s3Ss;tcp",
            "msrp://CHAT.Example.net:2855/s3Ss;TCP",
            "msrp://ch%61t.example%2Enet:2855/s3Ss;tcp",
            "msrp://bob@chat.example.net:2855/s3Ss;tcp;other=1",
        ] {
            assert_eq!(own, uri(same), "{same}");
            assert_eq!(digest(own), digest(uri(same)), "{same}");
        }
        for other in [
            "msrps://chat.example.net:2855/s3Ss;tcp",
            "msrp://chat.example.net/s3Ss;tcp",
            "msrp://chat.example.net:2856/s3Ss;tcp",
            "msrp://chat.example.net:2855/S3ss;tcp",
            "msrp://chat.example.net:2855;tcp",
            "msrp://chat.example.net:2855/s3Ss;ws",
            "msrp://chat.example.org:2855/s3Ss;tcp",
        ] {
            assert_ne!(own, uri(other), "{other}");
        }
        let short = uri("msrp://[2001:db8::1]:9/s;tcp");
        let long = uri("msrp://[2001:DB8:0:0::1]:9/s;tcp");
        assert_eq!(short, long);
        assert_eq!(digest(short), digest(long));
    }

    #[test]
    fn c66_sdp_uris() {
        assert_eq!(uri("msrp://10.0.0.1:1/s;tcp").check(), Ok(()));
        assert_eq!(uri("msrp://u@10.0.0.1:1/s;tcp").check(), Ok(()));
        assert_eq!(
            uri("msrp://10.0.0.1/s;tcp").check(),
            Err(UriFlaw::Port),
            "no port"
        );
        assert_eq!(
            uri("msrp://10.0.0.1:1/s").check(),
            Err(UriFlaw::Transport),
            "no transport"
        );
        assert_eq!(
            uri("msrp://10.0.0.1:1;tcp").check(),
            Err(UriFlaw::SessionId)
        );
        assert_eq!(
            uri("msrp://u:pw@10.0.0.1:1/s;tcp").check(),
            Err(UriFlaw::Password)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(msrps?://)?[ -~]{0,60}") {
            if let Ok(read) = UriRef::parse(&text) {
                prop_assert_eq!(read.as_str(), &text);
                prop_assert!(read == read.to_owned().view());
                prop_assert!(read.check().is_ok() || read.check().is_err());
            }
        }

        #[test]
        fn equal_uris_hash_alike(host in "[a-c%61.]{1,8}", upper: bool, port in 1u16..3) {
            let text = format!("msrp://{host}:{port}/s;tcp");
            let twin = if upper { text.replace("tcp", "TCP").replace('a', "A") } else { text.clone() };
            let (one, two) = (uri(&text), uri(&twin));
            prop_assert_eq!(one, two);
            prop_assert_eq!(digest(one), digest(two));
        }
    }
}
