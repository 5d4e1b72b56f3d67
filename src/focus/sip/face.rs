//! What the focus is to SIP: who asks, and what it says of itself in every answer.

use crate::control::UserUri;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::rejection::{ALLOW, ALLOW_EVENTS, Refusal, SUPPORTED, Verdict};
use crate::focus::{Arrival, Socket, TransactionId};
use crate::wire::multipart::ACCEPT;
use crate::wire::sip::{Headers, NameAddr, Params, Request, Uri};

/// The event package.
pub(in crate::focus) const PACKAGE: &str = "conference";

/// Addresses of one caller that are looked at.
const MAX_IDENTITIES: usize = 8;
/// The header whose form several addresses have (RFC 3325 §9.1).
const ASSERTED: &str = "P-Asserted-Identity";

/// Longest URI of a peer that is kept and shown to others, in octets: its Contact is the key of
/// its device in everybody's roster.
pub(in crate::focus) const MAX_URI_LENGTH: usize = 512;
/// Characters of a name that others are shown; what is longer is cut.
pub(in crate::focus) const MAX_NAME_LENGTH: usize = 128;

/// A name as others are shown it.
pub(in crate::focus) fn shortened(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(MAX_NAME_LENGTH) {
        name.truncate(end);
    }
    name
}

/// A request with what is needed to answer it.
pub(in crate::focus) struct Incoming {
    pub(in crate::focus) request: Request,
    pub(in crate::focus) transaction: TransactionId,
    pub(in crate::focus) arrival: Arrival,
}

/// The caller, as the host names it. A user part with a password, or header fields behind the
/// URI, come from pieces that were put together wrongly: such a text is nobody.
pub(in crate::focus) fn identity(arrival: &Arrival) -> Verdict<UserUri> {
    let mut all = identities(arrival);
    match all.next().flatten() {
        Some(user) => Ok(user),
        None => Err(Cause::NoIdentity.into()),
    }
}

/// What else the caller may call itself (G05): the host may name several addresses, the first
/// of them is the user.
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
        // A comma may be part of a name.
        Ok(_) => vec![text.to_owned()],
        // The first is who it is: if it is missing, nobody is.
        Err(_) if text.starts_with(',') => Vec::new(),
        Err(_) => {
            let list = Headers::new().with(ASSERTED, text);
            list.elements(ASSERTED).into_iter().map(uri_of).collect()
        }
    };
    let texts = texts.into_iter().take(MAX_IDENTITIES);
    texts.map(|text| user_of(&text))
}

/// A URI alone, or as a header has it: `"Alice" <sip:alice@example.com>`.
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

/// Our Contact: the room URI as the caller dialled it, since that is what reaches us; with
/// the port and transport of the socket where the URI alone would lead elsewhere.
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

/// Contact with what the room takes (RFC 3840 §9, §10): messages, and nothing else.
pub(in crate::focus) fn feature_tags(contact: &str) -> String {
    let methods = ALLOW.replace(' ', "");
    let events = ALLOW_EVENTS.replace(' ', "");
    format!("<{contact}>;isfocus;message;methods=\"{methods}\";events=\"{events}\"")
}

/// Whether who says this is a conference itself (RFC 4579 §4.1).
pub(in crate::focus) fn is_focus(headers: &Headers) -> bool {
    let contacts = headers.elements("Contact").into_iter();
    let mut parsed = contacts.filter_map(|contact| contact.parse::<NameAddr>().ok());
    parsed.any(|contact| contact.params.has("isfocus"))
}

/// What a focus says of itself in every 2xx (RFC 4579 §4.2, §5.13; RFC 3840).
pub(in crate::focus) fn capabilities(contact: &str) -> Headers {
    Headers::new()
        .with("Contact", format!("<{contact}>;isfocus"))
        .with("Allow", ALLOW)
        .with("Allow-Events", ALLOW_EVENTS)
        .with("Supported", SUPPORTED.join(", "))
        .with("Accept", ACCEPT)
}

/// The parameters of the Event header; anything else than our package is refused (RFC 6665
/// §4.2.1.1).
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
