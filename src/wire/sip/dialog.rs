//! Dialogs (RFC 3261 §12) for either side: their identifiers, the destination of their requests,
//! and the order of the peer's requests.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{CSeq, Headers, Method, NameAddr, Request, Uri};

/// The identifiers of a dialog (RFC 3261 §12). The three texts share one allocation, because the
/// dialog and each of its indexes hold a key. Sorting puts the dialogs of one call of a peer next
/// to each other.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "KeyParts", into = "KeyParts")]
pub struct DialogKey {
    /// Call-ID, remote tag, local tag.
    text: Arc<str>,
    /// The offsets of the tags.
    remote_at: u32,
    local_at: u32,
}

impl DialogKey {
    /// The dialog of this Call-ID and these tags.
    pub fn new(call_id: &str, local_tag: &str, remote_tag: &str) -> Self {
        // No received message can hold longer ones.
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            text: [call_id, remote_tag, local_tag].concat().into(),
            remote_at: place(call_id.len()),
            local_at: place(call_id.len() + remote_tag.len()),
        }
    }

    /// Call-ID.
    pub fn call_id(&self) -> &str {
        self.text.get(..self.remote_at as usize).unwrap_or_default()
    }

    /// The peer's tag; empty for peers of RFC 2543 (RFC 3261 §12.1.1).
    pub fn remote_tag(&self) -> &str {
        let place = self.remote_at as usize..self.local_at as usize;
        self.text.get(place).unwrap_or_default()
    }

    /// Our tag.
    pub fn local_tag(&self) -> &str {
        self.text.get(self.local_at as usize..).unwrap_or_default()
    }

    /// The parts in sort order: the peer's call first.
    fn parts(&self) -> (&str, &str, &str) {
        (self.call_id(), self.remote_tag(), self.local_tag())
    }

    /// Whether both dialogs belong to one call of a peer.
    pub fn is_of_call(&self, other: &Self) -> bool {
        self.call_id() == other.call_id() && self.remote_tag() == other.remote_tag()
    }

    /// The dialog that a request of the peer names.
    pub fn of_request(request: &Request) -> Option<Self> {
        let name_addr = |name: &str| request.headers.first(name)?.parse::<NameAddr>().ok();
        let (to, from) = (name_addr("To")?, name_addr("From")?);
        // RFC 2543 peers send no From tag (RFC 3261 §12.1.1).
        let remote_tag = from.tag().unwrap_or_default();
        let call_id = request.headers.first("Call-ID")?;
        Some(Self::new(call_id, to.tag()?, remote_tag))
    }
}

impl PartialOrd for DialogKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DialogKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl fmt::Debug for DialogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

/// The stored form of a dialog key.
#[derive(Serialize, Deserialize)]
struct KeyParts {
    call_id: String,
    local_tag: String,
    remote_tag: String,
}

impl From<KeyParts> for DialogKey {
    fn from(parts: KeyParts) -> Self {
        Self::new(&parts.call_id, &parts.local_tag, &parts.remote_tag)
    }
}

impl From<DialogKey> for KeyParts {
    fn from(key: DialogKey) -> Self {
        Self {
            call_id: key.call_id().to_owned(),
            local_tag: key.local_tag().to_owned(),
            remote_tag: key.remote_tag().to_owned(),
        }
    }
}

/// The URI of the first Contact, valid as a Request-URI: the remote target (RFC 3261 §12.1, §12.2).
/// `None` when it is absent, malformed or `*`.
pub fn remote_target(headers: &Headers) -> Option<String> {
    let value = headers.elements("Contact").into_iter().next()?;
    let contact: NameAddr = value.parse().ok()?;
    let uri: Uri = contact.uri.parse().ok()?;
    Some(uri.for_request().to_string())
}

/// The route set from a request of the peer: its Record-Route (RFC 3261 §12.1.1).
pub fn routes_of_request(headers: &Headers) -> Vec<String> {
    let routes = headers.elements("Record-Route").into_iter();
    routes.map(str::to_owned).collect()
}

/// The route set from a response to our request: its Record-Route in reverse (RFC 3261 §12.1.2).
pub fn routes_of_response(headers: &Headers) -> Vec<String> {
    let mut routes = routes_of_request(headers);
    routes.reverse();
    routes
}

/// The CSeq number of a request, if its method matches the request or the request is an ACK.
pub fn cseq_number(request: &Request) -> Option<u32> {
    let value: CSeq = request.headers.first("CSeq")?.parse().ok()?;
    (value.method == request.method || request.method == Method::Ack).then_some(value.number)
}

/// Records the CSeq number of a request of the peer; false when it is not higher than the last one,
/// so that the request is out of order (RFC 3261 §12.2.2).
pub fn advance(last: &mut Option<u32>, request: &Request) -> bool {
    let number = cseq_number(request);
    let in_order = number.is_some() && number > *last;
    if in_order {
        *last = number;
    }
    in_order
}

/// The addressing of a request within a dialog (RFC 3261 §12.2.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The Request-URI.
    pub request_uri: String,
    /// The Route headers.
    pub routes: Vec<String>,
    /// The URI of the next hop.
    pub next_hop: String,
}

impl Routing {
    /// Addresses a request to this target along this route set; supports a strict router as the
    /// next hop.
    pub fn new(target: &str, route_set: &[String]) -> Self {
        let first = route_set.first().and_then(|route| {
            let route: NameAddr = route.parse().ok()?;
            Some(route.uri)
        });
        let Some((first, rest)) = first.zip(route_set.get(1..)) else {
            return Self {
                request_uri: target.to_owned(),
                routes: route_set.to_vec(),
                next_hop: target.to_owned(),
            };
        };
        if first.parse::<Uri>().is_ok_and(|uri| !uri.params.has("lr")) {
            let mut routes = rest.to_vec();
            routes.push(format!("<{target}>"));
            return Self {
                request_uri: first.clone(),
                routes,
                next_hop: first,
            };
        }
        Self {
            request_uri: target.to_owned(),
            routes: route_set.to_vec(),
            next_hop: first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(text: &[&str]) -> Vec<String> {
        text.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn requests_follow_the_route_set() {
        let direct = Routing::new("sip:a@h", &[]);
        assert_eq!(
            (direct.request_uri, direct.next_hop),
            ("sip:a@h".into(), "sip:a@h".into())
        );
        let loose = Routing::new("sip:a@h", &routes(&["<sip:near;lr>", "<sip:far;lr>"]));
        assert_eq!(loose.request_uri, "sip:a@h");
        assert_eq!(loose.routes, ["<sip:near;lr>", "<sip:far;lr>"]);
        assert_eq!(loose.next_hop, "sip:near;lr");
        let strict = Routing::new("sip:a@h", &routes(&["<sip:near>", "<sip:far;lr>"]));
        assert_eq!(strict.request_uri, "sip:near");
        assert_eq!(strict.routes, ["<sip:far;lr>", "<sip:a@h>"]);
        assert_eq!(strict.next_hop, "sip:near");
    }

    #[test]
    fn route_sets_start_at_our_end() {
        let headers = Headers::new().with("Record-Route", "<sip:far;lr>, <sip:near;lr>");
        assert_eq!(
            routes_of_response(&headers),
            ["<sip:near;lr>", "<sip:far;lr>"]
        );
        assert_eq!(
            routes_of_request(&headers),
            ["<sip:far;lr>", "<sip:near;lr>"]
        );
    }

    #[test]
    fn numbers_only_grow() {
        let mut last = None;
        let mut take = |text: &str| {
            let request = Request {
                method: Method::Bye,
                uri: "sip:a@h".to_owned(),
                headers: Headers::new().with("CSeq", text),
                body: Default::default(),
            };
            advance(&mut last, &request)
        };
        assert!(take("7 BYE"));
        assert!(!take("7 BYE"), "not higher");
        assert!(!take("9 INVITE"), "another method's");
        assert!(!take("BYE"), "malformed");
        assert!(take("8 BYE"));
    }
}
