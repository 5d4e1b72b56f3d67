//! A dialog (RFC 3261 §12): the fields of requests within it.

use super::Hop;
use bytes::Bytes;
use msrp_conference::entropy::{Entropy, token};
use msrp_conference::wire::sip::dialog::{
    self, DialogKey, Routing, remote_target, routes_of_request, routes_of_response,
};
use msrp_conference::wire::sip::{CSeq, Headers, Method, NameAddr, Params, Request, Response, Uri};

/// Length of tags and Call-IDs: 80 random bits.
const TAG_CHARACTERS: usize = 16;
/// Via branches start with this (RFC 3261 §8.1.1.7).
const BRANCH_COOKIE: &str = "z9hG4bK";

/// One dialog, possibly not established yet.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    local: NameAddr,
    remote: NameAddr,
    /// The target of requests: the room at first, then the peer's Contact.
    pub(crate) target: String,
    routes: Vec<String>,
    cseq: u32,
    /// The highest CSeq the peer has used.
    pub(crate) remote_cseq: Option<u32>,
}

impl Dialog {
    pub(crate) fn new(local: &NameAddr, target: &str, entropy: &mut dyn Entropy) -> Self {
        let tag = token(entropy, TAG_CHARACTERS);
        Self {
            call_id: token(entropy, TAG_CHARACTERS),
            local: NameAddr {
                params: Params::default().with("tag", Some(&tag)),
                ..local.clone()
            },
            remote: NameAddr {
                display: String::new(),
                uri: target.to_owned(),
                params: Params::default(),
            },
            target: target.to_owned(),
            routes: Vec::new(),
            cseq: 0,
            remote_cseq: None,
        }
    }

    /// The next request; the caller adds Via, Contact and the method's own headers.
    pub(crate) fn request(&mut self, method: Method) -> Request {
        self.cseq += 1;
        self.request_numbered(method, self.cseq)
    }

    /// A request with a given CSeq: ACK and CANCEL.
    pub(crate) fn request_numbered(&self, method: Method, number: u32) -> Request {
        let cseq = CSeq {
            number,
            method: method.clone(),
        };
        let mut headers = Headers::new()
            .with("Max-Forwards", "70")
            .with("From", self.local.to_string())
            .with("To", self.remote.to_string())
            .with("Call-ID", self.call_id.as_str())
            .with("CSeq", cseq.to_string());
        let routing = self.routing();
        for route in routing.routes {
            headers.push("Route", route);
        }
        Request {
            method,
            uri: routing.request_uri,
            headers,
            body: Bytes::new(),
        }
    }

    fn routing(&self) -> Routing {
        Routing::new(&self.target, &self.routes)
    }

    /// Whether the peer's tag is known.
    pub(crate) fn established(&self) -> bool {
        self.remote.tag().is_some()
    }

    /// A 2xx establishes the dialog; the target is refreshed by every one (§12.2.1.2).
    pub(crate) fn confirm(&mut self, response: &Response) {
        let headers = &response.headers;
        if !self.established() {
            self.take_remote(headers.first("To"));
            self.routes = routes_of_response(headers);
        }
        self.take_target(headers);
    }

    /// A NOTIFY establishes it when it comes first (RFC 6665 §4.4.1).
    pub(crate) fn confirm_by(&mut self, request: &Request) {
        let headers = &request.headers;
        if !self.established() {
            self.take_remote(headers.first("From"));
            self.routes = routes_of_request(headers);
        }
        self.take_target(headers);
    }

    fn take_remote(&mut self, value: Option<&str>) {
        if let Some(remote) = value.and_then(|text| text.parse().ok()) {
            self.remote = remote;
        }
    }

    fn take_target(&mut self, headers: &Headers) {
        if let Some(target) = remote_target(headers) {
            self.target = target;
        }
    }

    /// Whether a request of the peer belongs to this dialog.
    pub(crate) fn holds(&self, request: &Request) -> bool {
        DialogKey::of_request(request).is_some_and(|key| {
            key.call_id() == self.call_id
                && Some(key.local_tag()) == self.local.tag()
                && self.remote.tag().is_none_or(|tag| tag == key.remote_tag())
        })
    }

    /// Whether a response belongs to this dialog.
    pub(crate) fn holds_response(&self, response: &Response) -> bool {
        response.headers.first("Call-ID") == Some(&self.call_id)
    }

    /// Accepts the CSeq of a request of the peer; false when it is out of order.
    pub(crate) fn in_order(&mut self, request: &Request) -> bool {
        dialog::advance(&mut self.remote_cseq, request)
    }

    /// The next hop of a request: the first route, else the target. An address without port at the
    /// host of the server means the server itself: a room's Contact may leave out the port its
    /// proxy listens on.
    pub(crate) fn hop(&self, server_host: &str) -> Hop {
        let uri: Option<Uri> = self.routing().next_hop.parse().ok();
        match uri {
            Some(uri) if !self.established() || uri.host.is_empty() => Hop::Server,
            Some(uri) if uri.port.is_none() && uri.host.eq_ignore_ascii_case(server_host) => {
                Hop::Server
            }
            Some(uri) => Hop::Host(uri.host, uri.port.unwrap_or(5060)),
            None => Hop::Server,
        }
    }
}

/// A fresh Via branch.
pub(crate) fn branch(entropy: &mut dyn Entropy) -> String {
    format!("{BRANCH_COOKIE}{}", token(entropy, TAG_CHARACTERS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use msrp_conference::entropy::Seeded;

    fn dialog() -> Dialog {
        let local: NameAddr = "<sip:alice@h>".parse().unwrap();
        Dialog::new(&local, "sip:lobby@conf.example.com:5070", &mut Seeded(1))
    }

    fn answer(dialog: &Dialog) -> Response {
        Response {
            code: 200,
            reason: "OK".into(),
            headers: Headers::new()
                .with("To", "<sip:lobby@conf.example.com>;tag=focus")
                .with("Call-ID", dialog.call_id.as_str())
                .with("Record-Route", "<sip:far;lr>, <sip:near:5062;lr>")
                .with("Contact", "<sip:lobby@conf.example.com>;isfocus"),
            body: Bytes::new(),
        }
    }

    #[test]
    fn a_200_gives_tag_target_and_routes() {
        let mut dialog = dialog();
        assert_eq!(dialog.hop("conf.example.com"), Hop::Server);
        let ok = answer(&dialog);
        dialog.confirm(&ok);
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri, "sip:lobby@conf.example.com");
        assert_eq!(
            bye.headers.first("To"),
            Some("<sip:lobby@conf.example.com>;tag=focus")
        );
        assert_eq!(
            bye.headers.all("Route").collect::<Vec<_>>(),
            ["<sip:near:5062;lr>", "<sip:far;lr>"]
        );
        assert_eq!(
            dialog.hop("conf.example.com"),
            Hop::Host("near".into(), 5062)
        );
    }

    #[test]
    fn a_contact_without_port_stays_with_the_server() {
        let mut dialog = dialog();
        let mut ok = answer(&dialog);
        ok.headers.remove("Record-Route");
        dialog.confirm(&ok);
        assert_eq!(dialog.hop("CONF.example.com"), Hop::Server);
        assert_eq!(
            dialog.hop("other"),
            Hop::Host("conf.example.com".into(), 5060)
        );
    }
}
