//! Our side of the media, in offers and answers (RFC 4975 §8, RFC 6135, RFC 7701 §8).

use msrp_conference::wire::fingerprint::{Fingerprint, MAX_FINGERPRINTS};
use msrp_conference::wire::msrp::UriRef;
use msrp_conference::wire::sdp::{Attribute, Description, Media};
use std::net::IpAddr;

/// The port of an endpoint that does not listen: we always connect (RFC 4145 §4.1).
const DISCARD_PORT: u16 = 9;

/// The chat stream of one call.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    address: IpAddr,
    /// MSRP over TLS.
    secure: bool,
    /// Our MSRP URI.
    pub(crate) own_uri: String,
    id: u64,
    version: u64,
    sent: Option<Description>,
    /// The room's latest description.
    pub(crate) peer: Option<Peer>,
}

/// The room's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its path as it goes into To-Path.
    pub(crate) path: String,
    /// Whether it accepts message/cpim; otherwise messages are sent as plain text.
    pub(crate) cpim: bool,
    /// The room's features: `nickname`, `private-messages` (RFC 7701 §8).
    pub(crate) chatroom: Option<String>,
    /// Fingerprints of its certificate (RFC 8122).
    pub(crate) fingerprints: Vec<Fingerprint>,
}

/// Why we cannot use the room's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the answer is no session description")]
    NotSdp,
    #[error("the server offers no chat at this address")]
    NoChat,
    #[error("the server wants TLS for the chat: give --msrps")]
    Tls,
    #[error("the server does not encrypt the chat, and --msrps was given")]
    NoTls,
    #[error("the server has no WebSocket listener for the chat, and --websocket was given")]
    NoWebSocket,
    #[error("the server waits for us to listen, which this client does not do")]
    Direction,
    #[error("the server gave no usable chat address")]
    Path,
}

impl StreamError {
    /// Advice to the user.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::NoWebSocket => {
                "Is there a `ws:` or, with --msrps, a `wss:` listener (docs/browsers.md)? Without \
                 one leave --websocket out."
            }
            _ => "Ask the operator of the server.",
        }
    }
}

impl Stream {
    /// `session` is the random session-id, `id` the number in `o=`.
    pub(crate) fn new(address: IpAddr, secure: bool, session: &str, id: u64) -> Self {
        Self::over(address, secure, "tcp", session, id)
    }

    /// The same in the form of a browser.
    pub(crate) fn over_websocket(address: IpAddr, secure: bool, session: &str, id: u64) -> Self {
        Self::over(address, secure, "ws", session, id)
    }

    fn over(address: IpAddr, secure: bool, transport: &str, session: &str, id: u64) -> Self {
        let scheme = if secure { "msrps" } else { "msrp" };
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Self {
            address,
            secure,
            own_uri: format!("{scheme}://{host}:{DISCARD_PORT}/{session};{transport}"),
            id,
            version: 0,
            sent: None,
            peer: None,
        }
    }

    /// Our media line; the same text every time, so that a refresh changes nothing.
    pub(crate) fn offer(&mut self) -> String {
        let protocol = if self.secure {
            "TCP/TLS/MSRP"
        } else {
            "TCP/MSRP"
        };
        let media = self.media(protocol);
        self.describe(vec![media])
    }

    /// The answer to an offer in a re-INVITE: as many media lines as the offer has, ours filled in.
    pub(crate) fn answer(&mut self, offer: &[u8]) -> Result<String, StreamError> {
        self.read(offer)?;
        let offered = Description::parse(offer).map_err(|_| StreamError::NotSdp)?;
        let mut taken = false;
        let media = offered.media.iter().map(|media| {
            if !taken && is_chat(media) {
                taken = true;
                return self.media(&media.protocol);
            }
            Media {
                port: 0,
                connection: None,
                attributes: Vec::new(),
                other: Vec::new(),
                ..media.clone()
            }
        });
        let media = media.collect();
        Ok(self.describe(media))
    }

    /// Reads the room's description; true when its path has changed.
    pub(crate) fn read(&mut self, octets: &[u8]) -> Result<bool, StreamError> {
        let description = Description::parse(octets).map_err(|_| StreamError::NotSdp)?;
        let media = description.media.iter().find(|media| is_chat(media));
        let media = media.ok_or(StreamError::NoChat)?;
        let value = |name| media.attribute(name).flatten();
        let secure = media.protocol.to_ascii_uppercase().contains("TLS");
        self.agree(secure)?;
        if value("setup").is_some_and(|setup| setup.eq_ignore_ascii_case("active")) {
            return Err(StreamError::Direction);
        }
        let path = value("path").ok_or(StreamError::Path)?;
        let hops = path.split_whitespace().map(UriRef::parse);
        let hops: Vec<_> = hops
            .collect::<Result<_, _>>()
            .map_err(|_| StreamError::Path)?;
        let first = hops.first().ok_or(StreamError::Path)?;
        self.agree(first.secure())?;
        let is_web = |uri: &UriRef<'_>| uri.transport().eq_ignore_ascii_case("ws");
        if UriRef::parse(&self.own_uri).is_ok_and(|own| is_web(&own)) && !is_web(first) {
            return Err(StreamError::NoWebSocket);
        }
        if first.port().is_none() {
            return Err(StreamError::Path);
        }
        let types = value("accept-types").unwrap_or("*");
        let cpim = |name: &str| {
            ["message/cpim", "message/*", "*"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
        };
        let peer = Peer {
            path: hops
                .iter()
                .map(UriRef::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            cpim: types.split_whitespace().any(cpim),
            fingerprints: [&media.attributes, &description.attributes]
                .into_iter()
                .flatten()
                .filter(|attribute| attribute.name.eq_ignore_ascii_case("fingerprint"))
                .filter_map(|attribute| attribute.value.as_deref()?.parse().ok())
                .take(MAX_FINGERPRINTS)
                .collect(),
            chatroom: media
                .attribute("chatroom")
                .map(|value| value.unwrap_or_default().to_owned()),
        };
        let changed = self
            .peer
            .as_ref()
            .is_some_and(|known| known.path != peer.path);
        self.peer = Some(peer);
        Ok(changed)
    }

    /// Checks that the room's answer matches our offer.
    fn agree(&self, secure: bool) -> Result<(), StreamError> {
        match (self.secure, secure) {
            (false, true) => Err(StreamError::Tls),
            (true, false) => Err(StreamError::NoTls),
            _ => Ok(()),
        }
    }

    fn media(&self, protocol: &str) -> Media {
        Media {
            kind: "message".into(),
            port: DISCARD_PORT,
            protocol: protocol.into(),
            formats: "*".into(),
            connection: None,
            attributes: vec![
                Attribute::new("accept-types", "message/cpim text/plain"),
                Attribute::new("path", self.own_uri.as_str()),
                Attribute::new("accept-wrapped-types", "text/plain *"),
                // Always present (RFC 6135 §4.2.1); behind NAT nobody could reach us.
                Attribute::new("setup", "active"),
                Attribute::new("chatroom", "nickname private-messages"),
            ],
            other: Vec::new(),
        }
    }

    fn describe(&mut self, media: Vec<Media>) -> String {
        let family = if self.address.is_ipv4() { "IP4" } else { "IP6" };
        let place = format!("IN {family} {}", self.address);
        let mut description = Description {
            origin: format!("- {} {} {place}", self.id, self.version),
            name: "-".into(),
            connection: Some(place.clone()),
            attributes: Vec::new(),
            other: Vec::new(),
            media,
        };
        if self.sent.as_ref().is_some_and(|sent| *sent != description) {
            // A changed description increases its version (RFC 3264 §8).
            self.version += 1;
            description.origin = format!("- {} {} {place}", self.id, self.version);
        }
        let text = description.write();
        self.sent = Some(description);
        text
    }
}

fn is_chat(media: &Media) -> bool {
    media.kind.eq_ignore_ascii_case("message")
        && media.port != 0
        && media.protocol.to_ascii_uppercase().ends_with("MSRP")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0\r\n\
        m=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\n\
        a=path:msrp://192.0.2.1:2855/s3ss;tcp\r\na=setup:passive\r\n";

    fn stream() -> Stream {
        Stream::new("192.0.2.7".parse().unwrap(), false, "own", 42)
    }

    #[test]
    fn c80_our_offer() {
        insta::assert_snapshot!(stream().offer().replace('\r', ""), @r"
        v=0
        o=- 42 0 IN IP4 192.0.2.7
        s=-
        c=IN IP4 192.0.2.7
        t=0 0
        m=message 9 TCP/MSRP *
        a=accept-types:message/cpim text/plain
        a=path:msrp://192.0.2.7:9/own;tcp
        a=accept-wrapped-types:text/plain *
        a=setup:active
        a=chatroom:nickname private-messages
        ");
    }

    #[test]
    fn the_room_is_read() {
        let mut stream = stream();
        assert_eq!(stream.read(ROOM.as_bytes()), Ok(false));
        let peer = stream.peer.clone().unwrap();
        assert_eq!(peer.path, "msrp://192.0.2.1:2855/s3ss;tcp");
        assert!(peer.cpim);
        let moved = ROOM.replace("s3ss", "other");
        assert_eq!(stream.read(moved.as_bytes()), Ok(true));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (from, to, error) in [
            ("m=message 2855", "m=message 0", StreamError::NoChat),
            ("TCP/MSRP", "TCP/TLS/MSRP", StreamError::Tls),
            ("msrp:", "msrps:", StreamError::Tls),
            ("passive", "active", StreamError::Direction),
            (":2855/", "/", StreamError::Path),
        ] {
            let text = ROOM.replace(from, to);
            assert_eq!(stream().read(text.as_bytes()), Err(error), "{to}");
        }
    }

    #[test]
    fn c60_tls_is_offered_and_taken() {
        let mut stream = Stream::new("192.0.2.7".parse().unwrap(), true, "own", 42);
        let offer = stream.offer();
        assert!(offer.contains("TCP/TLS/MSRP") && offer.contains("a=path:msrps://192.0.2.7:9/own"));
        assert_eq!(stream.read(ROOM.as_bytes()), Err(StreamError::NoTls));
        let digest = vec!["07"; 32].join(":");
        let room = ROOM
            .replace("TCP/MSRP", "TCP/TLS/MSRP")
            .replace("msrp://", "msrps://")
            + &format!("a=fingerprint:SHA-256 {digest}\r\n");
        assert_eq!(stream.read(room.as_bytes()), Ok(false));
        assert_eq!(stream.peer.unwrap().fingerprints.len(), 1);
    }

    #[test]
    fn w05_websocket_is_offered_and_taken() {
        let address = "192.0.2.7".parse().unwrap();
        let mut stream = Stream::over_websocket(address, false, "own", 42);
        assert!(
            stream
                .offer()
                .contains("a=path:msrp://192.0.2.7:9/own;ws\r\n")
        );
        assert_eq!(stream.read(ROOM.as_bytes()), Err(StreamError::NoWebSocket));
        let room = ROOM.replace(";tcp", ";ws");
        assert_eq!(stream.read(room.as_bytes()), Ok(false));
    }

    #[test]
    fn f20_an_answer_keeps_the_media_lines() {
        let answer = stream().answer(ROOM.as_bytes()).unwrap();
        let answer = Description::parse(answer.as_bytes()).unwrap();
        let ports: Vec<_> = answer.media.iter().map(|media| media.port).collect();
        assert_eq!(ports, [0, DISCARD_PORT]);
    }

    #[test]
    fn c86_a_refresh_keeps_the_origin() {
        let mut stream = stream();
        let first = stream.offer();
        assert_eq!(first, stream.offer());
        assert_ne!(first, stream.answer(ROOM.as_bytes()).unwrap());
    }
}
