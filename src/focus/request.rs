//! The front door: every request is checked here and shown to its room (RFC 3261 §8.2).

use super::dialog::{Dialog, DialogKey};
use super::listeners::Towards;
use super::refusal::{ALLOW, ALLOW_EVENTS, Refusal, SUPPORTED, Verdict, no_room};
use super::timers::Timer;
use super::{
    Arrival, CANCEL_MEMORY, Focus, MAX_CANCELS, Socket, TransactionId, Usage, offer_answer,
};
use crate::control::{RoomUri, UserUri};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::multipart::ACCEPT;
use crate::wire::sip::{CSeq, Headers, Message, Method, NameAddr, Request, Uri};

/// A request with what is needed to answer it.
pub(super) struct Incoming {
    pub(super) request: Request,
    pub(super) transaction: TransactionId,
    pub(super) arrival: Arrival,
}

impl Focus {
    pub(super) fn request(&mut self, now: Moment, arrival: Arrival) {
        let request = match Message::parse(&arrival.message) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Response(_)) => return,
            Err(error) => {
                if let Some(transaction) = arrival.transaction {
                    let refusal = Refusal::new(400).because(error);
                    self.refuse(transaction, refusal, arrival.to_tag);
                }
                return;
            }
        };
        if request.method == Method::Ack {
            self.ack(now, &request, arrival.source.ip());
            return;
        }
        let Some(transaction) = arrival.transaction else {
            self.log(
                Level::Debug,
                format_args!("{} without a transaction", request.method),
            );
            return;
        };
        self.may_send_from(&arrival.socket);
        let incoming = Incoming {
            request,
            transaction,
            arrival,
        };
        if let Err(refusal) = self.dispatch(now, &incoming) {
            self.refuse(transaction, refusal, incoming.arrival.to_tag);
        }
    }

    fn dispatch(&mut self, now: Moment, incoming: &Incoming) -> Verdict<()> {
        let request = &incoming.request;
        if request.method == Method::Invite && self.cancelled.remove(&incoming.transaction) {
            return Err(Refusal::new(487));
        }
        acceptable(request)?;
        let to: NameAddr = request
            .headers
            .first("To")
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| Refusal::new(400).because("Malformed or Missing To"))?;
        if to.tag().is_some() {
            return self.in_dialog(now, incoming);
        }
        if request.method == Method::Invite && self.repeat_answer(incoming) {
            return Ok(());
        }
        self.check_merged(request)?;
        let room = room_uri(&incoming.arrival.request_uri)?;
        match request.method {
            Method::Invite => self.invite(now, incoming, room),
            Method::Subscribe => self.subscribe(now, incoming, room),
            Method::Options => self.options(incoming, &room),
            Method::Publish => self.publish(now, incoming, &room),
            Method::Refer => self.refer(now, incoming, &room, None),
            _ => Err(Refusal::new(481)),
        }
    }

    /// The last dialog of a peer's call (its Call-ID and From tag).
    pub(super) fn known_dialog(&self, request: &Request) -> Option<Usage> {
        let from = request.headers.first("From");
        let from = from.and_then(|value| value.parse::<NameAddr>().ok());
        let tag = from.as_ref().and_then(|from| from.tag());
        let call_id = request.headers.first("Call-ID").unwrap_or_default();
        let call = (call_id.to_owned(), tag.unwrap_or_default().to_owned());
        self.dialogs.get(self.calls.get(&call)?).copied()
    }

    /// The same request that came a second time, by another way (RFC 3261 §8.2.2.2): its
    /// first copy made the dialog.
    fn check_merged(&self, request: &Request) -> Verdict<()> {
        let number = request
            .headers
            .first("CSeq")
            .and_then(|value| value.parse::<CSeq>().ok())
            .map(|cseq| cseq.number);
        let known = self.known_dialog(request).and_then(|usage| match usage {
            Usage::Endpoint(id) => self.endpoints.get(&id).map(|e| &e.dialog),
            Usage::Subscription(id) => self.subscriptions.get(&id).map(|s| &s.dialog),
            Usage::Referral(id) => self.dialog_of_referral(id),
        });
        match known {
            Some(dialog) if Some(dialog.remote_cseq) == number => Err(Refusal::new(482)),
            _ => Ok(()),
        }
    }

    /// Which dialog a request with a To tag belongs to.
    pub(super) fn usage(&self, request: &Request) -> Option<Usage> {
        let key = DialogKey::of_request(request)?;
        self.dialogs.get(&key).copied()
    }

    /// The answer an INVITE would get, with what we can do (RFC 3261 §11.2, RFC 4579 §5.13).
    pub(super) fn options(&mut self, incoming: &Incoming, room: &RoomUri) -> Verdict<()> {
        let create = incoming.arrival.options.create;
        let policy = self.policy(room, create).ok_or_else(no_room)?;
        let towards = Towards {
            socket: &incoming.arrival.socket,
            secure: self.terms(&policy).secure(),
            theirs: None,
        };
        let local = self.local(towards, &policy, "");
        let origin = offer_answer::Origin {
            session: 0,
            version: 0,
        };
        let body = offer_answer::offer(&local, origin).write();
        let contact = contact(&incoming.request.uri, &incoming.arrival.socket);
        let mut headers = capabilities(&contact).with("Content-Type", "application/sdp");
        headers.set("Contact", feature_tags(&contact));
        let to_tag = incoming.arrival.to_tag.clone();
        self.reply(incoming.transaction, 200, headers, body, to_tag);
        Ok(())
    }

    /// The dialog that our 2xx to this request makes; its tag is the one the host will put
    /// into answers of its own, where it has one.
    pub(super) fn new_dialog(&mut self, incoming: &Incoming, contact: String) -> Verdict<Dialog> {
        let Incoming {
            request, arrival, ..
        } = incoming;
        let local_tag = match &arrival.to_tag {
            Some(tag) => tag.clone(),
            None => self.new_tag(),
        };
        Dialog::accept(request, arrival, local_tag, contact)
            .map_err(|error| Refusal::new(400).because(error))
    }

    /// A CANCEL the host has answered: 487 for its INVITE (RFC 3261 §9.2) unless the 2xx has
    /// left; also when the INVITE comes only now.
    pub(super) fn cancel(&mut self, now: Moment, transaction: TransactionId) {
        if let Some(id) = self.answering.get(&transaction).copied() {
            self.abandon(now, id, Refusal::new(487));
        } else if let Some(id) = self.unacknowledged.get(&transaction).copied() {
            self.cancel_granted(now, id);
        } else if self.cancelled.len() < MAX_CANCELS && self.cancelled.insert(transaction) {
            self.timers
                .arm(now + CANCEL_MEMORY, Timer::ForgetCancel(transaction));
        }
    }
}

/// Checks that do not depend on a room (RFC 3261 §8.2.1, §8.2.2.3, §8.2.3).
fn acceptable(request: &Request) -> Verdict<()> {
    if !matches!(
        request.method,
        Method::Invite
            | Method::Bye
            | Method::Notify
            | Method::Options
            | Method::Publish
            | Method::Refer
            | Method::Subscribe
            | Method::Update
    ) {
        return Err(Refusal::new(405).with("Allow", ALLOW));
    }
    if request.headers.first("Call-ID").is_none_or(str::is_empty) {
        return Err(Refusal::new(400).because("Empty or Missing Call-ID"));
    }
    let cseq = request
        .headers
        .first("CSeq")
        .and_then(|value| value.parse::<CSeq>().ok());
    if cseq.is_none_or(|cseq| cseq.method != request.method) {
        return Err(Refusal::new(400).because("Malformed or Missing CSeq"));
    }
    // RFC 3891 §3, RFC 3911 §4.
    let names_a_dialog = |name| request.headers.first(name).is_some();
    if request.method != Method::Invite && (names_a_dialog("Replaces") || names_a_dialog("Join")) {
        return Err(Refusal::new(400).because("Replaces and Join are for INVITE"));
    }
    let mut unknown = request.headers.elements("Require");
    unknown.retain(|tag| {
        !SUPPORTED
            .iter()
            .any(|known| tag.eq_ignore_ascii_case(known))
    });
    if !unknown.is_empty() {
        return Err(Refusal::new(420).with("Unsupported", unknown.join(", ")));
    }
    if request.body.is_empty() {
        return Ok(());
    }
    let encodings = request.headers.elements("Content-Encoding");
    if encodings
        .iter()
        .any(|e| !e.eq_ignore_ascii_case("identity"))
    {
        return Err(Refusal::new(415).with("Accept-Encoding", "identity"));
    }
    Ok(())
}

/// The room a Request-URI names.
fn room_uri(text: &str) -> Verdict<RoomUri> {
    let uri: Uri = text.parse().map_err(|error| match error {
        crate::wire::sip::UriError::Scheme => Refusal::new(416),
        crate::wire::sip::UriError::Malformed => Refusal::new(400).because("Malformed Request-URI"),
    })?;
    if uri.scheme == "tel" {
        return Err(Refusal::new(416));
    }
    if uri.user.is_none() {
        return Err(no_room());
    }
    Ok(RoomUri::new(uri.address_of_record()))
}

/// The caller, as the host names it. A user part with a password, or header fields behind the
/// URI, come from pieces that were put together wrongly: such a text is nobody.
pub(super) fn identity(arrival: &Arrival) -> Verdict<UserUri> {
    let uri = arrival.identity.trim().parse::<Uri>().ok();
    let plain = |uri: &Uri| {
        let password = uri.scheme != "tel" && uri.user.as_ref().is_some_and(|it| it.contains(':'));
        !password && uri.headers.is_none()
    };
    match uri.filter(plain) {
        Some(uri) => Ok(UserUri::new(uri.address_of_record())),
        None => Err(Refusal::new(403).because("the caller has no identity")),
    }
}

/// Our Contact: the room URI as the caller dialled it, since that is what reaches us; with
/// the port and transport of the socket where the URI alone would lead elsewhere.
pub(super) fn contact(request_uri: &str, socket: &Socket) -> String {
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
fn feature_tags(contact: &str) -> String {
    let methods = ALLOW.replace(' ', "");
    let events = ALLOW_EVENTS.replace(' ', "");
    format!("<{contact}>;isfocus;message;methods=\"{methods}\";events=\"{events}\"")
}

/// What a focus says of itself in every 2xx (RFC 4579 §4.2, §5.13; RFC 3840).
pub(super) fn capabilities(contact: &str) -> Headers {
    Headers::new()
        .with("Contact", format!("<{contact}>;isfocus"))
        .with("Allow", ALLOW)
        .with("Allow-Events", ALLOW_EVENTS)
        .with("Supported", SUPPORTED.join(", "))
        .with("Accept", ACCEPT)
}
