//! The focus as SIP sees it: the identity of callers, and the capabilities in every answer.

use crate::control::UserUri;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::rejection::{ALLOW, ALLOW_EVENTS, Refusal, SUPPORTED, Verdict};
use crate::focus::{Arrival, Socket, TransactionId};
use crate::wire::multipart::ACCEPT;
use crate::wire::sip::{Headers, NameAddr, Params, Request, Uri};

/// The event package.
pub(in crate::focus) const PACKAGE: &str = "conference";

/// Most addresses per caller; further ones are ignored.
const MAX_IDENTITIES: usize = 8;
/// Header whose syntax a list of addresses has (RFC 3325 §9.1).
const ASSERTED: &str = "P-Asserted-Identity";

/// Longest URI of a peer that we keep and show to others, in octets: its Contact is the key of its
/// device in everybody's roster.
pub(in crate::focus) const MAX_URI_LENGTH: usize = 512;
/// Most characters of a display name; a longer one is cut.
pub(in crate::focus) const MAX_NAME_LENGTH: usize = 128;

/// A display name, cut to its limit.
pub(in crate::focus) fn shortened(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(MAX_NAME_LENGTH) {
        name.truncate(end);
    }
    name
}

/// A request, with the data needed to answer it.
pub(in crate::focus) struct Incoming {
    pub(in crate::focus) request: Request,
    pub(in crate::focus) transaction: TransactionId,
    pub(in crate::focus) arrival: Arrival,
}

/// The caller's identity as the host names it. A user part with a password, or header fields behind
/// the URI, come from a faulty concatenation: such a text is no identity.
pub(in crate::focus) fn identity(arrival: &Arrival) -> Verdict<UserUri> {
    let mut all = identities(arrival);
    match all.next().flatten() {
        Some(user) => Ok(user),
        None => Err(Cause::NoIdentity.into()),
    }
}

/// Further addresses of the caller (G05): the host may name several, the first of which is the
/// user.
pub(in crate::focus) fn other_identities(arrival: &Arrival) -> Vec<UserUri> {
    let mut all = identities(arrival);
    let user = all.next().flatten();
    let mut others: Vec<UserUri> = all
        .flatten()
        .filter(|it| Some(it) != user.as_ref())
        .collect();
    others.sort_unstable();
    others.dedup();
    others
}

fn identities(arrival: &Arrival) -> impl Iterator<Item = Option<UserUri>> {
    let text = arrival.identity.trim();
    let texts = match text.parse::<Uri>() {
        // A comma may be part of a display name.
        Ok(_) => vec![text.to_owned()],
        // The first address is the user: if it is missing, there is no user.
        Err(_) if text.starts_with(',') => Vec::new(),
        Err(_) => {
            let list = Headers::new().with(ASSERTED, text);
            list.elements(ASSERTED).into_iter().map(uri_of).collect()
        }
    };
    let texts = texts.into_iter().take(MAX_IDENTITIES);
    texts.map(|text| user_of(&text))
}

/// The URI in a text that is a URI alone or a header value: `"Alice" <sip:alice@example.com>`.
fn uri_of(text: &str) -> String {
    let address = text.parse::<NameAddr>();
    address.map_or_else(|_| text.to_owned(), |address| address.uri)
}

fn user_of(text: &str) -> Option<UserUri> {
    let uri = text.trim().parse::<Uri>().ok();
    let plain = |uri: &Uri| {
        let password = uri.scheme != "tel" && uri.user.as_ref().is_some_and(|it| it.contains(':'));
        !password && uri.headers.is_none()
    };
    let uri = uri.filter(plain)?;
    let user = uri.address_of_record();
    (user.len() <= MAX_URI_LENGTH).then(|| UserUri::new(user))
}

/// Our Contact: the room URI as the caller dialled it, because that URI reaches us; with port and
/// transport of the socket if the URI alone would lead elsewhere.
pub(in crate::focus) fn contact(request_uri: &str, socket: &Socket) -> String {
    let Ok(mut uri) = request_uri.parse::<Uri>() else {
        return request_uri.to_owned();
    };
    let default_port = if socket.transport == "tls" {
        5061
    } else {
        5060
    };
    if uri.port.is_none() && socket.port != default_port && uri.host == socket.host {
        uri.port = Some(socket.port);
    }
    uri = uri.without_password();
    uri.headers = None;
    uri.params.0.clear();
    if socket.transport != "udp" {
        let transport = socket.uri_transport().to_owned();
        let transport = ("transport".to_owned(), Some(transport));
        uri.params.0.push(transport);
    }
    uri.to_string()
}

/// Contact with the feature tags of a room (RFC 3840 §9, §10): messages only.
pub(in crate::focus) fn feature_tags(contact: &str) -> String {
    let methods = ALLOW.replace(' ', "");
    let events = ALLOW_EVENTS.replace(' ', "");
    format!("<{contact}>;isfocus;message;methods=\"{methods}\";events=\"{events}\"")
}

/// Whether these headers come from a conference (RFC 4579 §4.1).
pub(in crate::focus) fn is_focus(headers: &Headers) -> bool {
    let contacts = headers.elements("Contact").into_iter();
    let mut parsed = contacts.filter_map(|contact| contact.parse::<NameAddr>().ok());
    parsed.any(|contact| contact.params.has("isfocus"))
}

/// Capabilities of the focus in every 2xx (RFC 4579 §4.2, §5.13; RFC 3840).
pub(in crate::focus) fn capabilities(contact: &str) -> Headers {
    Headers::new()
        .with("Contact", format!("<{contact}>;isfocus"))
        .with("Allow", ALLOW)
        .with("Allow-Events", ALLOW_EVENTS)
        .with("Supported", SUPPORTED.join(", "))
        .with("Accept", ACCEPT)
}

/// The parameters of the Event header; refuses other packages than ours (RFC 6665 §4.2.1.1).
pub(in crate::focus) fn check_package(request: &Request) -> Verdict<Params> {
    let bad_event = || Refusal::new(Cause::UnknownPackage).with("Allow-Events", ALLOW_EVENTS);
    let event = request.headers.first("Event").ok_or_else(bad_event)?;
    let (package, params) = event.split_once(';').unwrap_or((event, ""));
    if !package.trim().eq_ignore_ascii_case(PACKAGE) {
        return Err(bad_event());
    }
    Ok(Params::parse(params))
}

/// The topmost Via, which names the transaction (RFC 3261 §17.2.3).
pub(in crate::focus) fn top_via(request: &Request) -> String {
    let vias = request.headers.elements("Via");
    vias.first()
        .map(|via| (*via).to_owned())
        .unwrap_or_default()
}
