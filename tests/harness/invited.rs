//! A phone that the room invites: it receives the INVITE or REFER and answers by hand.

use msrp_conference::wire::sip::{Headers, Request};

use super::PATIENCE;
use super::agent::{Agent, Transport, unique};
use super::msrp::{Frame, Link};
use super::participant::{client_path, offer, path_of};
use super::proxy::Proxy;

/// A user whom the room invites.
pub struct Invited {
    /// Its SIP side.
    pub agent: Agent,
    tag: String,
    own_path: String,
}

impl Invited {
    /// A phone on a socket of its own; it leaves INVITEs unanswered.
    pub fn new(proxy: &Proxy, user: &str) -> Self {
        Self::with(Agent::new(user, proxy.sip, Transport::Udp))
    }

    /// The same with an existing agent.
    pub fn with(agent: Agent) -> Self {
        agent.answer("INVITE", None);
        Self {
            agent,
            tag: format!("i{}", unique()),
            own_path: client_path(),
        }
    }

    /// The URI to invite it at.
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", self.agent.user, self.agent.local)
    }

    /// Its address of record.
    pub fn aor(&self) -> String {
        format!("sip:{}@{}", self.agent.user, self.agent.local.ip())
    }

    /// Waits for the INVITE or REFER.
    pub fn asked(&self, method: &str) -> Request {
        self.agent
            .request(method, PATIENCE)
            .unwrap_or_else(|| panic!("{} gets no {method}", self.agent.user))
    }

    /// Answers a request without body.
    pub fn answer(&self, request: &Request, code: u16) {
        self.respond(request, code, Headers::new(), "");
    }

    /// Answers a request with a Contact that redirects it.
    pub fn redirect(&self, request: &Request, target: &str) {
        self.redirect_among(request, format!("<{target}>"));
    }

    /// Answers a request with these Contacts.
    pub fn redirect_among(&self, request: &Request, contacts: String) {
        let headers = Headers::new().with("Contact", contacts);
        self.respond(request, 302, headers, "");
    }

    /// Accepts the INVITE: 200, MSRP connection, bind.
    pub fn accept(&self, proxy: &Proxy, invite: &Request, sdp: &[u8]) -> Link {
        let headers = Headers::new().with("Content-Type", "application/sdp");
        self.respond(invite, 200, headers, &offer(&self.own_path));
        assert!(self.agent.request("ACK", PATIENCE).is_some(), "no ACK");
        let link = Link::connect(proxy.msrp);
        let bind = Frame::request("SEND", &path_of(sdp), &self.own_path)
            .header("Message-ID", format!("m{}", unique()))
            .header("Byte-Range", "1-0/0");
        assert_eq!(link.exchange(&bind).kind, "200");
        link
    }

    fn respond(&self, request: &Request, code: u16, more: Headers, body: &str) {
        let more = match more.first("Contact") {
            Some(_) => more,
            None => more.with("Contact", self.agent.contact()),
        };
        self.agent.respond(request, code, &self.tag, more, body);
    }
}
