//! The dialog state of RFC 3261 §12: enough to recognise requests and to write ours.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::focus::sip::face::MAX_URI_LENGTH;
use crate::focus::{Arrival, OutgoingRequest, RequestId, Socket};
use crate::wire::sip::{Headers, Method, NameAddr, Request, Response, Uri};

/// What makes a dialog unique (RFC 3261 §12): three texts in one, for a dialog and every index of
/// it hold one. In order, the dialogs of one call of a peer stand together.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "KeyParts", into = "KeyParts")]
pub(in crate::focus) struct DialogKey {
    /// Call-ID, remote tag, local tag.
    text: Arc<str>,
    /// Where the tags begin.
    remote_at: u32,
    local_at: u32,
}

impl DialogKey {
    /// The dialog of this Call-ID and these tags.
    pub(in crate::focus) fn new(call_id: &str, local_tag: &str, remote_tag: &str) -> Self {
        // What is longer has come in no message.
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            text: [call_id, remote_tag, local_tag].concat().into(),
            remote_at: place(call_id.len()),
            local_at: place(call_id.len() + remote_tag.len()),
        }
    }

    pub(in crate::focus) fn call_id(&self) -> &str {
        self.text.get(..self.remote_at as usize).unwrap_or_default()
    }

    pub(in crate::focus) fn remote_tag(&self) -> &str {
        let place = self.remote_at as usize..self.local_at as usize;
        self.text.get(place).unwrap_or_default()
    }

    pub(in crate::focus) fn local_tag(&self) -> &str {
        self.text.get(self.local_at as usize..).unwrap_or_default()
    }

    /// What orders dialogs: the call of the peer first.
    fn parts(&self) -> (&str, &str, &str) {
        (self.call_id(), self.remote_tag(), self.local_tag())
    }

    /// Whether both are dialogs of one call of a peer.
    pub(in crate::focus) fn is_of_call(&self, other: &Self) -> bool {
        self.call_id() == other.call_id() && self.remote_tag() == other.remote_tag()
    }

    /// The dialog a request of the peer claims to belong to.
    pub(in crate::focus) fn of_request(request: &Request) -> Option<Self> {
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

/// A dialog key as it is kept.
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

/// One dialog. Its texts are those of others, too: of further dialogs of the same user or room.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dialog {
    pub(in crate::focus) key: DialogKey,
    pub(in crate::focus) local_uri: Arc<str>,
    pub(in crate::focus) remote_uri: Arc<str>,
    pub(in crate::focus) remote_target: Arc<str>,
    pub(in crate::focus) route_set: Box<[String]>,
    /// Where the peer itself was last heard from, when its Contact may not lead there.
    pub(in crate::focus) flow: Option<Arc<str>>,
    /// On whose behalf requests of it are sent.
    #[serde(skip)]
    pub(in crate::focus) principal: Arc<str>,
    pub(in crate::focus) local_cseq: u32,
    /// Empty until the peer has sent a request in it (RFC 3261 §12.1.2).
    pub(in crate::focus) remote_cseq: Option<u32>,
    pub(in crate::focus) socket: Arc<Socket>,
    /// Our Contact, the same in every message of the dialog.
    pub(in crate::focus) contact: Arc<str>,
}

/// Why a request cannot start a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::focus) enum DialogError {
    #[error("Malformed or Missing From")]
    From,
    #[error("Malformed or Missing To")]
    To,
    #[error("Missing Call-ID")]
    CallId,
    #[error("Malformed or Missing CSeq")]
    CSeq,
    #[error("Malformed or Missing Contact")]
    Contact,
    #[error("Contact Is Too Long")]
    LongContact,
}

impl Dialog {
    /// The dialog that our 2xx to this request creates (RFC 3261 §12.1.1).
    pub(in crate::focus) fn accept(
        request: &Request,
        arrival: &Arrival,
        local_tag: &str,
        contact: String,
    ) -> Result<Self, DialogError> {
        let headers = &request.headers;
        let parsed = |name: &str| headers.first(name)?.parse::<NameAddr>().ok();
        let from = parsed("From").ok_or(DialogError::From)?;
        let to = parsed("To").ok_or(DialogError::To)?;
        let remote_target = contact_uri(headers).ok_or(DialogError::Contact)?;
        if remote_target.len() > MAX_URI_LENGTH {
            return Err(DialogError::LongContact);
        }
        Ok(Self {
            key: DialogKey::new(
                headers.first("Call-ID").ok_or(DialogError::CallId)?,
                local_tag,
                from.tag().unwrap_or_default(),
            ),
            local_uri: to.uri.into(),
            remote_uri: from.uri.into(),
            remote_target: remote_target.into(),
            route_set: headers
                .elements("Record-Route")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            flow: flow(request, arrival).map(Arc::from),
            principal: address_of_record(&arrival.identity).into(),
            local_cseq: 0,
            remote_cseq: Some(cseq(request).ok_or(DialogError::CSeq)?),
            socket: Arc::new(arrival.socket.clone()),
            contact: contact.into(),
        })
    }

    /// Takes a target refresh request's CSeq and Contact (RFC 3261 §12.2.2). False when the
    /// CSeq is not higher than the last: the request is out of order.
    pub(in crate::focus) fn advance(&mut self, request: &Request, arrival: &Arrival) -> bool {
        let number = cseq(request);
        if number.is_none() || number <= self.remote_cseq {
            return false;
        }
        self.remote_cseq = number;
        let flow = flow(request, arrival);
        if self.flow.as_deref() != flow.as_deref() {
            self.flow = flow.map(Arc::from);
        }
        if *self.socket != arrival.socket {
            self.socket = Arc::new(arrival.socket.clone());
        }
        if matches!(
            request.method,
            Method::Invite | Method::Update | Method::Subscribe
        ) && let Some(target) = contact_uri(&request.headers)
        {
            self.turn_to(&target);
        }
        true
    }

    /// Takes the Contact of a 2xx to a target refresh request of ours (RFC 3261 §12.2.1.2).
    pub(in crate::focus) fn refresh_target(&mut self, response: &Response) {
        if let Some(target) = contact_uri(&response.headers) {
            self.turn_to(&target);
        }
    }

    fn turn_to(&mut self, target: &str) {
        if *self.remote_target != *target {
            self.remote_target = target.into();
        }
    }

    /// The peer's 2xx to our INVITE makes the dialog (RFC 3261 §12.1.2).
    pub(in crate::focus) fn established(&mut self, response: &Response) {
        let headers = &response.headers;
        let to = headers
            .first("To")
            .and_then(|to| to.parse::<NameAddr>().ok());
        if let Some(tag) = to.as_ref().and_then(|to| to.tag()) {
            self.key = DialogKey::new(self.key.call_id(), self.key.local_tag(), tag);
        }
        self.refresh_target(response);
        let routes = headers.elements("Record-Route").into_iter().rev();
        self.route_set = routes.map(str::to_owned).collect();
        // Where it leads is the party's own doing from now on, not its inviter's.
        self.principal = address_of_record(&self.remote_uri).into();
    }

    /// A request of ours inside the dialog (RFC 3261 §12.2.1.1).
    pub(in crate::focus) fn request(
        &mut self,
        id: RequestId,
        method: Method,
        headers: Headers,
        body: impl Into<Bytes>,
    ) -> OutgoingRequest {
        self.local_cseq += 1;
        let Routing {
            request_uri,
            routes,
            next_hop,
        } = self.routing();
        OutgoingRequest {
            id,
            method,
            request_uri,
            next_hop,
            // Whoever put itself on the route knows the way to the peer.
            flow: self
                .flow
                .as_deref()
                .filter(|_| self.route_set.is_empty())
                .map(str::to_owned),
            principal: self.principal.to_string(),
            routes,
            call_id: self.key.call_id().to_owned(),
            cseq: self.local_cseq,
            local_uri: self.local_uri.to_string(),
            local_tag: self.key.local_tag().to_owned(),
            remote_uri: self.remote_uri.to_string(),
            remote_tag: self.key.remote_tag().to_owned(),
            socket: Socket::clone(&self.socket),
            headers,
            body: body.into(),
        }
    }

    /// The ACK of a 2xx to the INVITE of this number (RFC 3261 §13.2.2.4).
    pub(in crate::focus) fn acknowledge(&self, id: RequestId, cseq: u32) -> OutgoingRequest {
        let mut dialog = self.clone();
        dialog.local_cseq = cseq.saturating_sub(1);
        dialog.request(id, Method::Ack, Headers::new(), Bytes::new())
    }

    /// A strict router on top gets what it expects.
    fn routing(&self) -> Routing {
        let target = || self.remote_target.to_string();
        let first = self.route_set.first().and_then(|route| route_uri(route));
        let Some((first, rest)) = first.zip(self.route_set.get(1..)) else {
            return Routing {
                request_uri: target(),
                routes: self.route_set.to_vec(),
                next_hop: target(),
            };
        };
        if first.parse::<Uri>().is_ok_and(|uri| !uri.params.has("lr")) {
            let mut routes = rest.to_vec();
            routes.push(format!("<{}>", self.remote_target));
            return Routing {
                request_uri: first.clone(),
                routes,
                next_hop: first,
            };
        }
        Routing {
            request_uri: target(),
            routes: self.route_set.to_vec(),
            next_hop: first,
        }
    }
}

/// How a request is addressed (RFC 3261 §12.2.1.1).
struct Routing {
    request_uri: String,
    routes: Vec<String>,
    /// Where it goes first.
    next_hop: String,
}

/// Who somebody is, however they write themselves.
pub(in crate::focus) fn address_of_record(uri: &str) -> String {
    let parsed = uri.parse::<Uri>();
    parsed.map_or_else(|_| uri.to_owned(), |uri| uri.address_of_record())
}

/// The URI of the only Contact, as it may stand in a Request-URI; `None` when absent,
/// malformed or `*`.
fn contact_uri(headers: &Headers) -> Option<String> {
    let value = headers.elements("Contact").into_iter().next()?;
    let contact: NameAddr = value.parse().ok()?;
    let uri: Uri = contact.uri.parse().ok()?;
    Some(uri.for_request().to_string())
}

/// The CSeq number, when its method is the request's own.
pub(in crate::focus) fn cseq(request: &Request) -> Option<u32> {
    let value: crate::wire::sip::CSeq = request.headers.first("CSeq")?.parse().ok()?;
    (value.method == request.method || request.method == Method::Ack).then_some(value.number)
}

/// Where to send to a peer that is our neighbour: over the connection it opened, or, when
/// its Contact names another address than it sends from, through the NAT between us.
fn flow(request: &Request, arrival: &Arrival) -> Option<String> {
    if request.headers.elements("Via").len() != 1 {
        return None;
    }
    let source = arrival.source;
    let transport = arrival.socket.transport.as_str();
    if transport != "udp" {
        return Some(format!("sip:{source};transport={transport}"));
    }
    let contact: Uri = contact_uri(&request.headers)?.parse().ok()?;
    let host = contact.host.trim_start_matches('[').trim_end_matches(']');
    let same = host.parse::<IpAddr>().is_ok_and(|host| host == source.ip());
    (!same).then(|| format!("sip:{source}"))
}

fn route_uri(route: &str) -> Option<String> {
    Some(route.parse::<NameAddr>().ok()?.uri)
}
