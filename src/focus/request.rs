//! Entry of requests: checks every request and dispatches it to its room (RFC 3261 §8.2).

use super::sip::dialog::Dialog;
use super::sip::offer_answer;
use super::sip::rejection::{ALLOW, Refusal, SUPPORTED, Verdict};
use super::timers::Timer;
use super::{Arrival, CANCEL_MEMORY, Focus, TransactionId};
use crate::control::RoomUri;
use crate::focus::call::listeners::Towards;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::Awaits;
use crate::focus::sip::face::Incoming;
use crate::focus::sip::face::capabilities;
use crate::focus::sip::face::contact;
use crate::focus::sip::face::feature_tags;
use crate::log::Level;
use crate::time::Moment;
use crate::wire::sip::{CSeq, Message, Method, NameAddr, Request, Uri};

impl Focus {
    pub(super) fn request(&mut self, now: Moment, arrival: Arrival) {
        let request = match Message::parse(&arrival.message) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Response(_)) => return,
            Err(error) => {
                if let Some(transaction) = arrival.transaction {
                    let refusal = Refusal::new(Cause::MalformedMessage).because(error);
                    self.out.refuse(transaction, refusal, arrival.to_tag);
                }
                return;
            }
        };
        if request.method == Method::Ack {
            self.ack(now, &request, arrival.source.ip());
            return;
        }
        let Some(transaction) = arrival.transaction else {
            self.out.log(
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
            self.log_refused_join(now, &incoming, &refusal);
            self.out
                .refuse(transaction, refusal, incoming.arrival.to_tag);
        }
    }

    fn dispatch(&mut self, now: Moment, incoming: &Incoming) -> Verdict<()> {
        let request = &incoming.request;
        if request.method == Method::Invite && self.dialogs.take_cancel(incoming.transaction) {
            return Err(Cause::Cancelled.into());
        }
        acceptable(request)?;
        let to: NameAddr = request
            .headers
            .first("To")
            .and_then(|value| value.parse().ok())
            .ok_or(Cause::MalformedTo)?;
        if to.tag().is_some() {
            return self.in_dialog(now, incoming);
        }
        if request.method == Method::Invite && self.repeat_answer(incoming) {
            return Ok(());
        }
        if self.dialogs.is_merged(now, request) {
            return Err(Cause::Merged.into());
        }
        let room = room_uri(&incoming.arrival.request_uri)?;
        if self.must_look_up(&room) {
            return self.wait_for_room(now, incoming, room);
        }
        match request.method {
            Method::Invite => self.invite(now, incoming, room),
            Method::Subscribe => self.subscribe(now, incoming, room),
            Method::Options => self.options(incoming, &room),
            Method::Publish => self.publish(now, incoming, &room),
            Method::Refer => self.refer(now, incoming, &room, None),
            _ => Err(Cause::NoDialog.into()),
        }
    }

    /// The answer an INVITE would get, with our capabilities (RFC 3261 §11.2, RFC 4579 §5.13).
    pub(super) fn options(&mut self, incoming: &Incoming, room: &RoomUri) -> Verdict<()> {
        let create = incoming.arrival.options.create;
        let policy = self.policy(room, create).ok_or(Cause::NoRoom)?;
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
        self.out
            .reply(incoming.transaction, 200, headers, body, to_tag);
        Ok(())
    }

    /// The dialog that our 2xx to this request makes. Its tag is the one in the host's own answers,
    /// if the host has one.
    pub(super) fn new_dialog(&mut self, incoming: &Incoming, contact: String) -> Verdict<Dialog> {
        let Incoming {
            request, arrival, ..
        } = incoming;
        let local_tag = match &arrival.to_tag {
            Some(tag) => tag.clone(),
            None => self.out.tag(),
        };
        Dialog::accept(request, arrival, &local_tag, contact)
            .map_err(|error| Refusal::new(Cause::MalformedDialog).because(error))
    }

    /// Handles a CANCEL that the host has answered: 487 for its INVITE (RFC 3261 §9.2) unless the
    /// 2xx has left, even if the INVITE arrives later.
    pub(super) fn cancel(&mut self, now: Moment, transaction: TransactionId) {
        match self.dialogs.awaits(transaction) {
            Some(Awaits::Admission(id)) => self.abandon(now, id, Cause::Cancelled),
            Some(Awaits::Ack(id)) => self.cancel_granted(now, id),
            Some(Awaits::Departure(_)) => {}
            None if self.cancel_waiting(transaction) => {}
            None => {
                if self.dialogs.remember_cancel(transaction) {
                    let timer = Timer::ForgetCancel(transaction);
                    self.timers.arm(now + CANCEL_MEMORY, timer);
                }
            }
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
        return Err(Refusal::new(Cause::UnknownMethod).with("Allow", ALLOW));
    }
    if request.headers.first("Call-ID").is_none_or(str::is_empty) {
        return Err(Cause::MalformedCallId.into());
    }
    let cseq = request
        .headers
        .first("CSeq")
        .and_then(|value| value.parse::<CSeq>().ok());
    if cseq.is_none_or(|cseq| cseq.method != request.method) {
        return Err(Cause::MalformedCseq.into());
    }
    // RFC 3891 §3, RFC 3911 §4.
    let names_a_dialog = |name| request.headers.first(name).is_some();
    if request.method != Method::Invite && (names_a_dialog("Replaces") || names_a_dialog("Join")) {
        return Err(Cause::ReferenceOutsideInvite.into());
    }
    let mut unknown = request.headers.elements("Require");
    unknown.retain(|tag| {
        !SUPPORTED
            .iter()
            .any(|known| tag.eq_ignore_ascii_case(known))
    });
    if !unknown.is_empty() {
        return Err(Refusal::new(Cause::UnknownExtension).with("Unsupported", unknown.join(", ")));
    }
    if request.body.is_empty() {
        return Ok(());
    }
    let encodings = request.headers.elements("Content-Encoding");
    if encodings
        .iter()
        .any(|e| !e.eq_ignore_ascii_case("identity"))
    {
        return Err(Refusal::new(Cause::UnknownEncoding).with("Accept-Encoding", "identity"));
    }
    Ok(())
}

/// The room in a Request-URI.
fn room_uri(text: &str) -> Verdict<RoomUri> {
    let uri: Uri = text.parse().map_err(|error| match error {
        crate::wire::sip::UriError::Scheme => Cause::UnknownScheme,
        crate::wire::sip::UriError::Malformed => Cause::MalformedRequestUri,
    })?;
    if uri.scheme == "tel" {
        return Err(Cause::UnknownScheme.into());
    }
    if uri.user.is_none() {
        return Err(Cause::NoRoom.into());
    }
    Ok(RoomUri::new(uri.address_of_record()))
}
