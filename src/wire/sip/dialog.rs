//! What RFC 3261 §12 says of a dialog to either end of it: what identifies it, where its
//! requests go, and which of the peer's are in order.

use serde::{Deserialize, Serialize};

use super::{CSeq, Headers, Method, NameAddr, Request, Uri};

/// What makes a dialog unique (RFC 3261 §12).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DialogKey {
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's tag; empty for peers of RFC 2543 (RFC 3261 §12.1.1).
    pub remote_tag: String,
}

impl DialogKey {
    /// The dialog a request of the peer claims to belong to.
    pub fn of_request(request: &Request) -> Option<Self> {
        let name_addr = |name: &str| request.headers.first(name)?.parse::<NameAddr>().ok();
        Some(Self {
            call_id: request.headers.first("Call-ID")?.to_owned(),
            local_tag: name_addr("To")?.tag()?.to_owned(),
            remote_tag: name_addr("From")?.tag().unwrap_or_default().to_owned(),
        })
    }
}

/// The URI of the first Contact, as it may stand in a Request-URI: the remote target (RFC 3261
/// §12.1, §12.2). `None` when there is none, or it is malformed or `*`.
pub fn remote_target(headers: &Headers) -> Option<String> {
    let value = headers.elements("Contact").into_iter().next()?;
    let contact: NameAddr = value.parse().ok()?;
    let uri: Uri = contact.uri.parse().ok()?;
    Some(uri.for_request().to_string())
}

/// The route set that a request of the peer makes: its Record-Route (RFC 3261 §12.1.1).
pub fn routes_of_request(headers: &Headers) -> Vec<String> {
    let routes = headers.elements("Record-Route").into_iter();
    routes.map(str::to_owned).collect()
}

/// The route set that a response to us makes: its Record-Route from the end (RFC 3261 §12.1.2).
pub fn routes_of_response(headers: &Headers) -> Vec<String> {
    let mut routes = routes_of_request(headers);
    routes.reverse();
    routes
}

/// The CSeq number of a request, when its method is the request's own or it is an ACK.
pub fn cseq_number(request: &Request) -> Option<u32> {
    let value: CSeq = request.headers.first("CSeq")?.parse().ok()?;
    (value.method == request.method || request.method == Method::Ack).then_some(value.number)
}

/// Takes the number of a request of the peer as the last; false when it is not higher than the
/// last one: the request is out of order (RFC 3261 §12.2.2).
pub fn advance(last: &mut Option<u32>, request: &Request) -> bool {
    let number = cseq_number(request);
    let in_order = number.is_some() && number > *last;
    if in_order {
        *last = number;
    }
    in_order
}

/// How a request within a dialog is addressed (RFC 3261 §12.2.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The Request-URI.
    pub request_uri: String,
    /// The Route headers.
    pub routes: Vec<String>,
    /// The URI of where it goes first.
    pub next_hop: String,
}

impl Routing {
    /// To this target by this route set. A strict router in front gets what it expects.
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
