//! Reads the peer's description and checks whether it is usable.

use std::net::IpAddr;

use super::{Accepted, CPIM, PLAIN, TCP, TLS, Terms, is_web};
use crate::control::{Dial, Peer, Setup};
use crate::focus::sip::cause::Cause;
use crate::wire::fingerprint::{Fingerprint, FingerprintError, MAX_FINGERPRINTS};
use crate::wire::msrp::UriRef;
use crate::wire::sdp::{Attribute, Description, Media};

/// The port of a peer that only connects (RFC 4145 §4.1).
const DISCARD: u16 = 9;

/// Whether a description is offer or answer; a=setup and a=msrp-cema depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Offer,
    Answer,
}

/// Evaluates an offer that came from `source`.
pub(in crate::focus) fn evaluate_offer(
    offer: &Description,
    terms: Terms,
    source: Option<IpAddr>,
) -> Result<Accepted, Cause> {
    evaluate(offer, Side::Offer, terms, source)
}

/// Evaluates the answer to an offer of ours with `actpass`.
pub(in crate::focus) fn evaluate_answer(
    answer: &Description,
    terms: Terms,
    source: Option<IpAddr>,
) -> Result<Accepted, Cause> {
    evaluate(answer, Side::Answer, terms, source)
}

/// Takes the first usable stream. Without one it reports the problem of the stream that passed most
/// checks.
fn evaluate(
    description: &Description,
    side: Side,
    terms: Terms,
    source: Option<IpAddr>,
) -> Result<Accepted, Cause> {
    let mut problem = Cause::NoMessageStream;
    for (index, media) in description.media.iter().enumerate() {
        let stream = Stream {
            description,
            media,
            side,
        };
        match stream.accept(index, terms, source) {
            Ok(accepted) => return Ok(accepted),
            Err(found) => problem = problem.max(found),
        }
    }
    Err(problem)
}

/// One `m=` section of the peer's description.
#[derive(Clone, Copy)]
struct Stream<'a> {
    description: &'a Description,
    media: &'a Media,
    side: Side,
}

impl<'a> Stream<'a> {
    fn accept(self, index: usize, terms: Terms, source: Option<IpAddr>) -> Result<Accepted, Cause> {
        let secure = self.secure(terms)?;
        let accept_types = self.words("accept-types");
        let takes = |media_type| accept_types.iter().any(|range| covers(range, media_type));
        let plain_text = !takes(CPIM);
        if plain_text && !(terms.plain_text && takes(PLAIN)) {
            return Err(Cause::NoCpim);
        }
        let uris = self.path()?;
        if !self.msrp_cema() && self.side == Side::Offer && self.rewritten(&uris) {
            return Err(Cause::RewrittenAddress);
        }
        let cema = self.cema(&uris);
        let setup = self.setup();
        let dial = match setup {
            Setup::Passive => None,
            Setup::Active => Some(self.dial(&uris, secure, cema, source)?),
        };
        let fingerprints = match secure {
            // Behind a relay we see the relay's certificate, not the peer's (RFC 6135 §4.3).
            // A browser has no certificate to show on a WebSocket (RFC 7977 §7).
            true if uris.len() == 1 && !self.is_web() => self.fingerprints()?,
            _ => Vec::new(),
        };
        let (sends, receives) = self.direction();
        let peer = Peer {
            path: uris.iter().map(|uri| uri.as_str().to_owned()).collect(),
            accept_types,
            accept_wrapped_types: self.words("accept-wrapped-types"),
            max_size: self.value("max-size").and_then(|text| text.parse().ok()),
            chatroom: self.media.attribute("chatroom").is_some(),
            private_messages: self
                .words("chatroom")
                .iter()
                .any(|token| token.eq_ignore_ascii_case("private-messages")),
            plain_text,
            one_send: false,
            sends,
            receives,
            fingerprints,
            dial,
        };
        Ok(Accepted {
            index,
            peer,
            setup,
            secure,
            cema,
        })
    }

    /// Whether the stream runs over TLS; an error if it is not an acceptable stream.
    fn secure(self, terms: Terms) -> Result<bool, Cause> {
        let media = self.media;
        // A file transfer is no chat (row T07).
        if media.kind != "message" || media.port == 0 || media.attribute("file-selector").is_some()
        {
            return Err(Cause::NoMessageStream);
        }
        if (terms.ws || terms.wss) && self.is_web() {
            return self.secure_web(terms);
        }
        match media.protocol.as_str() {
            // Some clients write this even with a path without TLS (opensips-js): then the path
            // counts.
            it if it.eq_ignore_ascii_case(TLS) && terms.tcp && self.is_plain(terms) => Ok(false),
            it if it.eq_ignore_ascii_case(TLS) => {
                terms.tls.then_some(true).ok_or(Cause::TlsNotOffered)
            }
            it if it.eq_ignore_ascii_case(TCP) => terms.tcp.then_some(false).ok_or(Cause::OnlyTls),
            _ => Err(Cause::NoMessageStream),
        }
    }

    /// Whether the peer comes over WebSocket without a relay.
    fn is_web(self) -> bool {
        let path = self.path();
        path.is_ok_and(|uris| uris.first().is_some_and(|uri| is_web(uri.as_str())))
    }

    /// The same for WebSocket. The protocol is `TCP/TLS/MSRP` (RFC 7977 §5.2, W05) even if a proxy
    /// before us does the TLS.
    fn secure_web(self, terms: Terms) -> Result<bool, Cause> {
        let msrps = self.path()?.first().is_some_and(|uri| uri.secure());
        match self.media.protocol.as_str() {
            it if it.eq_ignore_ascii_case(TLS) => Ok(terms.wss && (msrps || !terms.ws)),
            it if it.eq_ignore_ascii_case(TCP) => terms.ws.then_some(false).ok_or(Cause::OnlyTls),
            _ => Err(Cause::NoMessageStream),
        }
    }

    /// Whether the path has no `msrps` URI and there is no fingerprint: such a stream runs over TCP
    /// if there is no TLS listener, or if it is a browser's behind a relay.
    fn is_plain(self, terms: Terms) -> bool {
        let secure = |uris: &[UriRef<'_>]| uris.iter().any(|uri| uri.secure());
        let relayed = |uris: &[UriRef<'_>]| {
            let last = uris.last().map(|uri| uri.transport());
            last.is_some_and(|it| it.eq_ignore_ascii_case("ws"))
        };
        let announced = |attributes: &[Attribute]| {
            let named = |it: &Attribute| it.name.eq_ignore_ascii_case("fingerprint");
            attributes.iter().any(named)
        };
        let plain = |uris: &[UriRef<'_>]| !secure(uris) && (!terms.tls || relayed(uris));
        self.path().is_ok_and(|uris| plain(&uris))
            && !announced(&self.media.attributes)
            && !announced(&self.description.attributes)
    }

    /// The URIs of `a=path`, next hop first (C82).
    fn path(self) -> Result<Vec<UriRef<'a>>, Cause> {
        let uris: Result<Vec<_>, _> = self
            .value("path")
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(UriRef::parse)
            .collect();
        match uris {
            Ok(uris) if !uris.is_empty() => Ok(without_ours(uris)),
            _ => Err(Cause::NoPath),
        }
    }

    /// The side that connects. Values that RFC 6135 does not define, including `holdconn`, count as
    /// absent (U01): then the offerer connects (RFC 4975 §5.4, U06). `a=connection` is ignored
    /// (U04), and the peer decides whether it connects to a relay first (U05).
    fn setup(self) -> Setup {
        match (self.said(), self.side) {
            (Said::Passive, _) | (Said::Nothing, Side::Answer) => Setup::Active,
            // We answer `actpass` with passive (RFC 6135 §4.2.2, U03). In an answer it has no
            // meaning.
            (Said::ActPass, Side::Answer) => Setup::Active,
            (Said::Active, _) | (Said::Nothing | Said::ActPass, Side::Offer) => Setup::Passive,
        }
    }

    fn said(self) -> Said {
        match self.value("setup") {
            Some(it) if it.eq_ignore_ascii_case("active") => Said::Active,
            Some(it) if it.eq_ignore_ascii_case("passive") => Said::Passive,
            Some(it) if it.eq_ignore_ascii_case("actpass") => Said::ActPass,
            _ => Said::Nothing,
        }
    }

    fn msrp_cema(self) -> bool {
        self.media.attribute("msrp-cema").is_some()
    }

    /// Whether our answer contains msrp-cema. A peer behind a relay that connects itself gets the
    /// procedure of RFC 4975 (RFC 6714 §4.3, criterion 2; we have no relay for the others; U12).
    fn cema(self, path: &[UriRef<'_>]) -> bool {
        let connects = matches!(self.said(), Said::Active | Said::Nothing);
        self.side == Side::Offer && self.msrp_cema() && !(path.len() > 1 && connects)
    }

    /// Whether a middlebox put another address into the c= and m= lines (RFC 6714 §4.3, U11). Only
    /// literal addresses are compared: names are not resolved here, and a placeholder for "no
    /// address" is no evidence.
    fn rewritten(self, path: &[UriRef<'_>]) -> bool {
        let announced = self.address().and_then(address);
        let Some(announced) = announced.filter(|it| !it.is_unspecified()) else {
            return false;
        };
        let port = self.media.port;
        let connects = self.said() == Said::Active || port == DISCARD;
        !path.iter().any(|uri| match address(uri.host()) {
            Some(host) => host == announced && (connects || uri.port() == Some(port)),
            None => true,
        })
    }

    /// The address we connect to: the first URI of the path (RFC 4975 §5.4, R01), or the c= and m=
    /// lines under CEMA (RFC 6714 §4.3, U10).
    fn dial(
        self,
        path: &[UriRef<'_>],
        secure: bool,
        cema: bool,
        source: Option<IpAddr>,
    ) -> Result<Dial, Cause> {
        let first = path.first().ok_or(Cause::NoPath)?;
        let by_tcp = first.transport().is_empty() || first.transport().eq_ignore_ascii_case("tcp");
        let (host, port) = match (cema, self.address()) {
            (true, Some(host)) => (host, Some(self.media.port)),
            _ => (first.host(), first.port()),
        };
        match port.filter(|port| by_tcp && *port != 0) {
            Some(port) => Ok(Dial {
                host: bare(host).to_owned(),
                port,
                secure: secure || first.secure(),
                name: bare(first.host()).to_owned(),
                source,
            }),
            None => Err(Cause::NoTarget),
        }
    }

    /// `a=fingerprint` of the stream, else of the whole description (RFC 8122 §5). Unknown hash
    /// functions are ignored, unless there are no others.
    fn fingerprints(self) -> Result<Vec<Fingerprint>, Cause> {
        let of = |attributes: &[Attribute]| -> Vec<Result<Fingerprint, FingerprintError>> {
            attributes
                .iter()
                .filter(|attribute| attribute.name.eq_ignore_ascii_case("fingerprint"))
                .filter_map(|attribute| attribute.value.as_deref())
                .take(MAX_FINGERPRINTS)
                .map(str::parse)
                .collect()
        };
        let mut said = of(&self.media.attributes);
        if said.is_empty() {
            said = of(&self.description.attributes);
        }
        let none_said = said.is_empty();
        let known: Vec<Fingerprint> = said.into_iter().filter_map(Result::ok).collect();
        if known.is_empty() && !none_said {
            return Err(Cause::NoFingerprint);
        }
        Ok(known)
    }

    /// Whether the peer sends and whether it receives content (RFC 8866 §6.7, row C87).
    fn direction(self) -> (bool, bool) {
        let named = |attributes: &[Attribute]| {
            attributes.iter().find_map(|attribute| {
                match attribute.name.to_ascii_lowercase().as_str() {
                    "sendrecv" => Some((true, true)),
                    "sendonly" => Some((true, false)),
                    "recvonly" => Some((false, true)),
                    "inactive" => Some((false, false)),
                    _ => None,
                }
            })
        };
        named(&self.media.attributes)
            .or_else(|| named(&self.description.attributes))
            .unwrap_or((true, true))
    }

    /// The address of the c= line: that of the stream, else that of the description.
    fn address(self) -> Option<&'a str> {
        let own = self.media.connection.as_deref();
        let connection = own.or(self.description.connection.as_deref())?;
        let address = connection.split_ascii_whitespace().nth(2)?;
        // Some browsers write `null`.
        (address != "null").then_some(address)
    }

    fn value(self, name: &str) -> Option<&'a str> {
        self.media.attribute(name).flatten().map(str::trim)
    }

    fn words(self, name: &str) -> Vec<String> {
        self.value(name)
            .into_iter()
            .flat_map(str::split_ascii_whitespace)
            .map(str::to_owned)
            .collect()
    }
}

/// The peer's a=setup.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Active,
    Passive,
    ActPass,
    Nothing,
}

/// The path without the URI that the switch gave a browser to put in front of its own (RFC 4976
/// §5.1, W06). A foreign relay comes to us over TCP.
fn without_ours(mut uris: Vec<UriRef<'_>>) -> Vec<UriRef<'_>> {
    let is_web = |uri: &UriRef<'_>| uri.transport().eq_ignore_ascii_case("ws");
    if uris.len() == 2 && uris.iter().all(is_web) {
        uris.remove(0);
    }
    uris
}

/// A host without the brackets of IPv6.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host)
}

fn address(host: &str) -> Option<IpAddr> {
    bare(host)
        .parse::<IpAddr>()
        .ok()
        .map(|it| it.to_canonical())
}

/// Whether a media range (`*`, `text/*`, `text/plain`) covers a type (RFC 4975 §8.6).
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
