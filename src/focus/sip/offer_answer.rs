//! Offer and answer for the one MSRP stream of a room (RFC 3264, 4975 §8, 6135, 7701 §5.2).

mod read;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::control::{Peer, Setup};
use crate::wire::fingerprint::Fingerprint;
use crate::wire::msrp::UriRef;
use crate::wire::sdp::{Attribute, Description, Media};

pub(in crate::focus) use read::{evaluate_answer, evaluate_offer};

/// The only root type of a room (RFC 7701 §5.2), unless `plain_text` is set.
const CPIM: &str = "message/cpim";
const PLAIN: &str = "text/plain";
/// Protocols of a stream (RFC 4975 §8.1).
const TCP: &str = "TCP/MSRP";
const TLS: &str = "TCP/TLS/MSRP";

/// The streams we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) struct Terms {
    /// `TCP/MSRP`.
    pub(in crate::focus) tcp: bool,
    /// `TCP/TLS/MSRP`.
    pub(in crate::focus) tls: bool,
    /// A browser may use `ws:`. A proxy before us may do the TLS.
    pub(in crate::focus) ws: bool,
    /// A browser may use `wss:`.
    pub(in crate::focus) wss: bool,
    /// text/plain without message/cpim is acceptable.
    pub(in crate::focus) plain_text: bool,
}

impl Terms {
    /// The terms for a session that already exists.
    pub(in crate::focus) fn again(local: &Local) -> Self {
        let web = is_web(&local.own_uri);
        Self {
            tcp: !web && !local.secure,
            tls: !web && local.secure,
            ws: web && !local.secure,
            wss: web && local.secure,
            plain_text: local.plain_text,
        }
    }

    /// Whether our own offers use TLS: only if TCP is not allowed, because every client can do TCP.
    pub(in crate::focus) fn secure(self) -> bool {
        !self.tcp
    }
}

/// The contents of a usable description.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::focus) struct Accepted {
    /// Index of its `m=` section.
    pub(in crate::focus) index: usize,
    /// The part for the switch.
    pub(in crate::focus) peer: Peer,
    /// Our side of a=setup.
    pub(in crate::focus) setup: Setup,
    /// The stream runs over TLS.
    pub(in crate::focus) secure: bool,
    /// Both sides do CEMA (RFC 6714).
    pub(in crate::focus) cema: bool,
}

impl Accepted {
    /// Whether the peer comes over WebSocket without a relay: its path begins with a URI of its
    /// own.
    pub(in crate::focus) fn is_web(&self) -> bool {
        self.peer.path.first().is_some_and(|uri| is_web(uri))
    }
}

/// Whether a URI is for MSRP over WebSocket (RFC 7977 §5.2, W05).
pub(in crate::focus) fn is_web(uri: &str) -> bool {
    UriRef::parse(uri).is_ok_and(|uri| uri.transport().eq_ignore_ascii_case("ws"))
}

/// The contents of our description.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::focus) struct Local {
    /// Host of `own_uri`, IPv6 in brackets.
    pub(in crate::focus) host: String,
    /// Port of `own_uri`.
    pub(in crate::focus) port: u16,
    /// The MSRP URI of this session.
    pub(in crate::focus) own_uri: String,
    /// The stream runs over TLS.
    pub(in crate::focus) secure: bool,
    /// Fingerprint of our certificate (RFC 8122), if the stream runs over TLS.
    pub(in crate::focus) fingerprint: Option<Fingerprint>,
    /// Largest message we take, in octets.
    pub(in crate::focus) max_size: u64,
    /// `a=chatroom:nickname` (RFC 7701 §8; the token is singular on the wire, row G09).
    pub(in crate::focus) nicknames: bool,
    /// `a=chatroom:private-messages`.
    pub(in crate::focus) private_messages: bool,
    /// Peers with text/plain but without message/cpim are admitted.
    pub(in crate::focus) plain_text: bool,
    /// The peer only reads.
    pub(in crate::focus) observer: bool,
}

/// The `o=` line: one session id, a version that grows with each change (RFC 3264 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::focus) struct Origin {
    /// Its session id.
    pub(in crate::focus) session: u64,
    /// Its version.
    pub(in crate::focus) version: u64,
}

/// Our answer: accepts one stream and refuses every other in its place (RFC 3264 §6).
pub(in crate::focus) fn answer(
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
            let plain = accepted.peer.plain_text;
            let types: &[_] = if plain { &[PLAIN] } else { &[CPIM] };
            let mut stream = message_stream(local, types, setup);
            // RFC 3264 §6: the protocol of the offer, even if its path says otherwise.
            stream.protocol.clone_from(&offered.protocol);
            stream
                .attributes
                .extend(mirrored_direction(local, &accepted.peer));
            if accepted.cema {
                stream.attributes.push(attribute("msrp-cema", None));
            }
            stream
        } else {
            refused(offered)
        }
    });
    description(local, origin, media.collect())
}

/// Our offer: `actpass`, never `passive` (RFC 6135 §4.2.2, U02). It never contains msrp-cema, so
/// that no answer can require another offer without it (RFC 6714 §4.2, U13).
pub(in crate::focus) fn offer(local: &Local, origin: Origin) -> Description {
    let types: &[_] = if local.plain_text {
        &[CPIM, PLAIN]
    } else {
        &[CPIM]
    };
    let mut stream = message_stream(local, types, "actpass");
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
fn message_stream(local: &Local, types: &[&str], setup: &str) -> Media {
    let wraps = types.contains(&CPIM);
    let mut tokens = Vec::new();
    if local.nicknames {
        tokens.push("nickname");
    }
    // Without message/cpim a message has no recipient.
    if local.private_messages && wraps {
        tokens.push("private-messages");
    }
    let mut stream = Media {
        kind: "message".to_owned(),
        port: local.port,
        protocol: if local.secure { TLS } else { TCP }.to_owned(),
        formats: "*".to_owned(),
        connection: None,
        attributes: vec![
            attribute("accept-types", Some(&types.join(" "))),
            attribute("path", Some(&local.own_uri)),
            attribute("setup", Some(setup)),
            attribute(
                "chatroom",
                (!tokens.is_empty()).then(|| tokens.join(" ")).as_deref(),
            ),
            attribute("max-size", Some(&local.max_size.to_string())),
        ],
        other: Vec::new(),
    };
    if wraps {
        let any = attribute("accept-wrapped-types", Some("*"));
        stream.attributes.insert(2, any);
    }
    if let Some(fingerprint) = local.fingerprint.as_ref().filter(|_| local.secure) {
        let value = fingerprint.to_string();
        stream
            .attributes
            .push(attribute("fingerprint", Some(&value)));
    }
    stream
}

/// The direction in our answer. An observer may not send, even if they offer it.
fn mirrored_direction(local: &Local, peer: &Peer) -> Option<Attribute> {
    match (peer.sends && !local.observer, peer.receives) {
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
