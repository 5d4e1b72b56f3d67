//! Offer and answer for the one MSRP stream of a room (RFC 3264, 4975 §8, 6135, 7701 §5.2).

use crate::control::{Peer, Setup};
use crate::wire::msrp;
use crate::wire::sdp::{Attribute, Description, Media};

/// The only root type of a room (RFC 7701 §5.2).
const CPIM: &str = "message/cpim";
const PROTOCOL: &str = "TCP/MSRP";

/// Why a description cannot be used; each is answered 488 with this text as Warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unacceptable {
    /// Nothing to chat over.
    #[error("no m=message stream over TCP/MSRP")]
    NoMessageStream,
    /// The stream wants TLS, which no listener offers.
    #[error("MSRP over TLS is not offered here, use TCP/MSRP")]
    Tls,
    /// RFC 7701 §5.2.
    #[error("a=accept-types must allow message/cpim")]
    NoCpim,
    /// RFC 4975 §8.2.
    #[error("a=path is missing or malformed")]
    Path,
}

/// What a usable description says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Which `m=` section.
    pub(super) index: usize,
    /// What the switch must know.
    pub(super) peer: Peer,
    /// Our side of a=setup.
    pub(super) setup: Setup,
}

/// What our description says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// Host of `own_uri`, IPv6 in brackets.
    pub(super) host: String,
    /// Port of `own_uri`.
    pub(super) port: u16,
    /// The MSRP URI of this session.
    pub(super) own_uri: String,
    /// Largest message we take, octets.
    pub(super) max_size: u64,
    /// `a=chatroom:nickname` (RFC 7701 §8; the token is singular on the wire, row G09).
    pub(super) nicknames: bool,
    /// `a=chatroom:private-messages`.
    pub(super) private_messages: bool,
    /// The peer only reads.
    pub(super) observer: bool,
}

/// The `o=` line: one session id, a version that grows with each change (RFC 3264 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) session: u64,
    pub(super) version: u64,
}

/// Reads an offer of the peer.
pub(super) fn evaluate_offer(offer: &Description) -> Result<Accepted, Unacceptable> {
    evaluate(offer, |setup| match setup {
        Some("passive") => Setup::Active,
        // RFC 4975 §5.4: without a=setup the offerer connects.
        _ => Setup::Passive,
    })
}

/// Reads the peer's answer to an offer of ours, which said `actpass`.
pub(super) fn evaluate_answer(answer: &Description) -> Result<Accepted, Unacceptable> {
    evaluate(answer, |setup| match setup {
        Some("active") => Setup::Passive,
        // Without a=setup the offerer connects, and that is us (row C88).
        _ => Setup::Active,
    })
}

fn evaluate(
    description: &Description,
    setup: impl Fn(Option<&str>) -> Setup,
) -> Result<Accepted, Unacceptable> {
    let mut problem = Unacceptable::NoMessageStream;
    for (index, media) in description.media.iter().enumerate() {
        match peer_of(description, media) {
            Ok(peer) => {
                let said = value(media, "setup").map(str::to_ascii_lowercase);
                return Ok(Accepted {
                    index,
                    peer,
                    setup: setup(said.as_deref()),
                });
            }
            Err(found) if found > problem => problem = found,
            Err(_) => {}
        }
    }
    Err(problem)
}

impl PartialOrd for Unacceptable {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        // The problem of the stream that came furthest is the one worth telling.
        (*self as u8).partial_cmp(&(*other as u8))
    }
}

fn peer_of(description: &Description, media: &Media) -> Result<Peer, Unacceptable> {
    // A file transfer is no chat (row T07).
    if media.kind != "message" || media.port == 0 || media.attribute("file-selector").is_some() {
        return Err(Unacceptable::NoMessageStream);
    }
    if media.protocol.eq_ignore_ascii_case("TCP/TLS/MSRP") {
        return Err(Unacceptable::Tls);
    }
    if !media.protocol.eq_ignore_ascii_case(PROTOCOL) {
        return Err(Unacceptable::NoMessageStream);
    }
    let accept_types = words(media, "accept-types");
    if !accept_types.iter().any(|range| covers(range, CPIM)) {
        return Err(Unacceptable::NoCpim);
    }
    let path = words(media, "path");
    if path.is_empty() || path.iter().any(|uri| uri.parse::<msrp::Uri>().is_err()) {
        return Err(Unacceptable::Path);
    }
    let tokens = words(media, "chatroom");
    let (sends, receives) = direction(description, media);
    Ok(Peer {
        path,
        accept_types,
        accept_wrapped_types: words(media, "accept-wrapped-types"),
        max_size: value(media, "max-size").and_then(|text| text.trim().parse().ok()),
        chatroom: media.attribute("chatroom").is_some(),
        private_messages: tokens
            .iter()
            .any(|token| token.eq_ignore_ascii_case("private-messages")),
        sends,
        receives,
        fingerprints: Vec::new(),
        dial: None,
    })
}

/// Whether a media range (`*`, `text/*`, `text/plain`) holds a type (RFC 4975 §8.6).
fn covers(range: &str, media_type: &str) -> bool {
    if range == "*" || range == "*/*" {
        return true;
    }
    match range.strip_suffix("/*") {
        Some(kind) => media_type
            .split_once('/')
            .is_some_and(|(of, _)| of.eq_ignore_ascii_case(kind)),
        None => range.eq_ignore_ascii_case(media_type),
    }
}

/// Whether the peer sends and whether it receives content (RFC 8866 §6.7, row C87).
fn direction(description: &Description, media: &Media) -> (bool, bool) {
    let named = |attributes: &[Attribute]| {
        attributes.iter().find_map(
            |attribute| match attribute.name.to_ascii_lowercase().as_str() {
                "sendrecv" => Some((true, true)),
                "sendonly" => Some((true, false)),
                "recvonly" => Some((false, true)),
                "inactive" => Some((false, false)),
                _ => None,
            },
        )
    };
    named(&media.attributes)
        .or_else(|| named(&description.attributes))
        .unwrap_or((true, true))
}

/// Our answer: the accepted stream, every other one refused in its place (RFC 3264 §6).
pub(super) fn answer(
    offer: &Description,
    accepted: &Accepted,
    local: &Local,
    origin: Origin,
) -> Description {
    let setup = match accepted.setup {
        Setup::Passive => "passive",
        Setup::Active => "active",
    };
    let media = offer.media.iter().enumerate().map(|(index, offered)| {
        if index == accepted.index {
            let mut stream = message_stream(local, setup);
            stream.attributes.extend(mirrored_direction(&accepted.peer));
            stream
        } else {
            refused(offered)
        }
    });
    description(local, origin, media.collect())
}

/// Our offer: `actpass`, never `passive` (RFC 6135 §4.2.2).
pub(super) fn offer(local: &Local, origin: Origin) -> Description {
    let mut stream = message_stream(local, "actpass");
    if local.observer {
        stream.attributes.push(attribute("sendonly", None));
    }
    description(local, origin, vec![stream])
}

fn description(local: &Local, origin: Origin, media: Vec<Media>) -> Description {
    let address = address(&local.host);
    Description {
        origin: format!("- {} {} {address}", origin.session, origin.version),
        name: "-".to_owned(),
        connection: Some(address),
        attributes: Vec::new(),
        other: vec![('t', "0 0".to_owned())],
        media,
    }
}

/// The order matters: opensips-js reads `a=path` only right after `a=accept-types`.
fn message_stream(local: &Local, setup: &str) -> Media {
    let mut tokens = Vec::new();
    if local.nicknames {
        tokens.push("nickname");
    }
    if local.private_messages {
        tokens.push("private-messages");
    }
    Media {
        kind: "message".to_owned(),
        port: local.port,
        protocol: PROTOCOL.to_owned(),
        formats: "*".to_owned(),
        connection: None,
        attributes: vec![
            attribute("accept-types", Some(CPIM)),
            attribute("path", Some(&local.own_uri)),
            attribute("accept-wrapped-types", Some("*")),
            attribute("setup", Some(setup)),
            attribute(
                "chatroom",
                (!tokens.is_empty()).then(|| tokens.join(" ")).as_deref(),
            ),
            attribute("max-size", Some(&local.max_size.to_string())),
        ],
        other: Vec::new(),
    }
}

fn mirrored_direction(peer: &Peer) -> Option<Attribute> {
    match (peer.sends, peer.receives) {
        (true, true) => None,
        (true, false) => Some(attribute("recvonly", None)),
        (false, true) => Some(attribute("sendonly", None)),
        (false, false) => Some(attribute("inactive", None)),
    }
}

fn refused(offered: &Media) -> Media {
    Media {
        port: 0,
        connection: None,
        attributes: Vec::new(),
        other: Vec::new(),
        ..offered.clone()
    }
}

/// `IN IP4 192.0.2.1`; a host name is announced as IP4 (RFC 8866 §5.7 allows an FQDN).
fn address(host: &str) -> String {
    match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(v6) => format!("IN IP6 {v6}"),
        None => format!("IN IP4 {host}"),
    }
}

fn attribute(name: &str, value: Option<&str>) -> Attribute {
    Attribute {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    }
}

fn value<'a>(media: &'a Media, name: &str) -> Option<&'a str> {
    media.attribute(name).flatten().map(str::trim)
}

fn words(media: &Media, name: &str) -> Vec<String> {
    value(media, name)
        .into_iter()
        .flat_map(str::split_ascii_whitespace)
        .map(str::to_owned)
        .collect()
}
