//! The dialog state of RFC 3261 §12: enough to recognise requests and to write ours.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::focus::sip::face::MAX_URI_LENGTH;
use crate::focus::{Arrival, OutgoingRequest, RequestId, Socket};
use crate::wire::sip::dialog::{
    DialogKey, Routing, advance, cseq_number, remote_target, routes_of_request, routes_of_response,
};
use crate::wire::sip::{Headers, Method, NameAddr, Request, Response, Uri};

/// One dialog. It shares its texts with other dialogs of the same user or room.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dialog {
    pub(in crate::focus) key: DialogKey,
    pub(in crate::focus) local_uri: Arc<str>,
    pub(in crate::focus) remote_uri: Arc<str>,
    pub(in crate::focus) remote_target: Arc<str>,
    pub(in crate::focus) route_set: Box<[String]>,
    /// Address the peer was last heard from, if its Contact may not lead there.
    pub(in crate::focus) flow: Option<Arc<str>>,
    /// The user on whose behalf we send its requests.
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
        let remote_target = remote_target(headers).ok_or(DialogError::Contact)?;
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
            route_set: routes_of_request(headers).into(),
            flow: flow(request, arrival).map(Arc::from),
            principal: address_of_record(&arrival.identity).into(),
            local_cseq: 0,
            remote_cseq: Some(cseq_number(request).ok_or(DialogError::CSeq)?),
            socket: Arc::new(arrival.socket.clone()),
            contact: contact.into(),
        })
    }

    /// Takes CSeq and Contact from a target refresh request (RFC 3261 §12.2.2). `false` when the
    /// request is out of order: its CSeq is not higher than the last.
    pub(in crate::focus) fn advance(&mut self, request: &Request, arrival: &Arrival) -> bool {
        if !advance(&mut self.remote_cseq, request) {
            return false;
        }
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
        ) && let Some(target) = remote_target(&request.headers)
        {
            self.turn_to(&target);
        }
        true
    }

    /// Takes the Contact of a 2xx to a target refresh request of ours (RFC 3261 §12.2.1.2).
    pub(in crate::focus) fn refresh_target(&mut self, response: &Response) {
        if let Some(target) = remote_target(&response.headers) {
            self.turn_to(&target);
        }
    }

    fn turn_to(&mut self, target: &str) {
        if *self.remote_target != *target {
            self.remote_target = target.into();
        }
    }

    /// Establishes the dialog by the peer's 2xx to our INVITE (RFC 3261 §12.1.2).
    pub(in crate::focus) fn established(&mut self, response: &Response) {
        let headers = &response.headers;
        let to = headers
            .first("To")
            .and_then(|to| to.parse::<NameAddr>().ok());
        if let Some(tag) = to.as_ref().and_then(|to| to.tag()) {
            self.key = DialogKey::new(self.key.call_id(), self.key.local_tag(), tag);
        }
        self.refresh_target(response);
        self.route_set = routes_of_response(headers).into();
        // From now on the party itself decides where it leads, not its inviter.
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
        } = Routing::new(&self.remote_target, &self.route_set);
        OutgoingRequest {
            id,
            method,
            request_uri,
            next_hop,
            // A proxy on the route knows the way to the peer.
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
}

/// The address of record of a URI.
pub(in crate::focus) fn address_of_record(uri: &str) -> String {
    let parsed = uri.parse::<Uri>();
    parsed.map_or_else(|_| uri.to_owned(), |uri| uri.address_of_record())
}

/// The flow to a neighbouring peer: the connection it opened, or the way through the NAT between us
/// if its Contact names another address than the source.
fn flow(request: &Request, arrival: &Arrival) -> Option<String> {
    if request.headers.elements("Via").len() != 1 {
        return None;
    }
    let source = arrival.source;
    let transport = arrival.socket.transport.as_str();
    if transport != "udp" {
        return Some(format!("sip:{source};transport={transport}"));
    }
    let contact: Uri = remote_target(&request.headers)?.parse().ok()?;
    let host = contact.host.trim_start_matches('[').trim_end_matches(']');
    let same = host.parse::<IpAddr>().is_ok_and(|host| host == source.ip());
    (!same).then(|| format!("sip:{source}"))
}
