//! Requests inside a dialog: ACK, BYE, re-INVITE, OPTIONS (RFC 3261 §12.2.2, §14).

use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::{Endpoint, Link, Offer};
use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::Usage;
use crate::focus::sip::face::{Incoming, top_via};
use crate::focus::sip::unacknowledged::Answering;
use crate::wire::sip::dialog::cseq_number;
use std::net::IpAddr;
use std::sync::Arc;

use crate::control::{Order, RoomUri};
use crate::focus::Focus;
use crate::focus::call::listeners::Towards;
use crate::focus::call::offer::{SessionBody, parse_offer};
use crate::focus::sip::offer_answer::{self, Accepted, Origin, Terms};
use crate::focus::sip::rejection::{Refusal, Verdict};
use crate::focus::sip::session_timer::Agreement;
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;
use crate::wire::multipart::ACCEPT;
use crate::wire::sdp::Description;
use crate::wire::sip::{Headers, Method, Request, Response};

impl Focus {
    pub(in crate::focus) fn in_dialog(&mut self, now: Moment, incoming: &Incoming) -> Verdict<()> {
        if incoming.request.method == Method::Notify {
            return self.refer_progress(now, incoming);
        }
        let usage = self
            .dialogs
            .usage_of(&incoming.request)
            .ok_or(Cause::NoDialog)?;
        if let Usage::Leaving(id) = usage {
            return self.in_ending_dialog(incoming, id);
        }
        self.advance(usage, incoming)?;
        match (&incoming.request.method, usage) {
            (Method::Bye, Usage::Endpoint(id)) => {
                self.bye(now, incoming, id);
                Ok(())
            }
            (Method::Invite | Method::Update, Usage::Endpoint(id)) => {
                self.modify(now, incoming, id)
            }
            (Method::Options, _) => {
                let room = self.room_of_usage(usage)?;
                self.options(incoming, &room)
            }
            (Method::Refer, Usage::Endpoint(id)) => {
                let room = self.room_of(id)?;
                self.refer(now, incoming, &room, Some(id))
            }
            (Method::Subscribe, Usage::Referral(id)) => {
                self.subscribe_in_refer_dialog(now, incoming, id)
            }
            (Method::Subscribe, Usage::Subscription(id)) => self.resubscribe(now, incoming, id),
            (Method::Subscribe, Usage::Endpoint(id)) => match self.referral_in(incoming, id) {
                Some(referral) => self.resubscribe_referral(now, incoming, referral),
                // Dialogs are not shared between usages (RFC 6665 §4.5.2).
                None => Err(Cause::SubscribeInInvite.into()),
            },
            (Method::Refer, _) => Err(Cause::ReferElsewhere.into()),
            _ => Err(Cause::NoDialog.into()),
        }
    }

    fn room_of(&self, id: EndpointId) -> Verdict<RoomUri> {
        self.room_of_usage(Usage::Endpoint(id))
    }

    fn room_of_usage(&self, usage: Usage) -> Verdict<RoomUri> {
        let room = match usage {
            Usage::Endpoint(id) => self.rooms.endpoint(id).map(|it| &it.room),
            Usage::Subscription(id) => self.watch.subscriptions().get(&id).map(|it| &it.room),
            Usage::Referral(id) => self.room_of_referral(id),
            Usage::Leaving(_) => None,
        };
        room.cloned().ok_or(Cause::NoDialog.into())
    }

    /// CSeq order (RFC 3261 §12.2.2: out of order is 500) and target refresh.
    fn advance(&mut self, usage: Usage, incoming: &Incoming) -> Verdict<()> {
        let dialog = match usage {
            Usage::Endpoint(id) => self.rooms.endpoint_mut(id).map(|e| &mut e.dialog),
            Usage::Subscription(id) => self.watch.subscription_mut(id).map(|s| &mut s.dialog),
            Usage::Referral(id) => self.referral_dialog(id),
            Usage::Leaving(_) => None,
        };
        let dialog = dialog.ok_or(Cause::NoDialog)?;
        if !dialog.advance(&incoming.request, &incoming.arrival) {
            return Err(Cause::Disordered.into());
        }
        Ok(())
    }

    fn bye(&mut self, now: Moment, incoming: &Incoming, id: EndpointId) {
        self.out
            .reply(incoming.transaction, 200, Headers::new(), "", None);
        // A BYE before the final answer ends the INVITE too (RFC 3261 §15.1.2).
        self.abandon(now, id, Cause::Cancelled);
        self.depart(now, id, DisconnectionMethod::Departed);
    }

    /// The ACK of a 2xx; it may bring the answer to our offer.
    pub(in crate::focus) fn ack(&mut self, now: Moment, request: &Request, source: IpAddr) {
        let id = match self.dialogs.usage_of(request) {
            Some(Usage::Endpoint(id)) => id,
            Some(Usage::Leaving(id)) => return self.leave_after_ack(now, id, request),
            _ => return,
        };
        // The ACK of an earlier INVITE, or a repeated one, adds nothing.
        if !self.acknowledge(id, request) {
            return;
        }
        self.say_first(id);
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("a dialog of no endpoint");
        };
        if endpoint.offer != Offer::Answer {
            return self.connect_after_ack(id);
        }
        endpoint.offer = Offer::None;
        let answer = Description::parse(&request.body).ok();
        let accepted = answer.map(|answer| endpoint.media.read_answer(&answer, Some(source)));
        match accepted {
            Some(Ok(accepted)) => self.amend(id, accepted),
            problem => {
                let why = match problem {
                    Some(Err(error)) => error.to_string(),
                    _ => "no session description".to_owned(),
                };
                let line = format!("unusable answer in ACK from {}: {why}", endpoint.user);
                self.out.log(Level::Info, line);
                // RFC 3261 §13.3.1.4 leaves only BYE.
                self.dismiss(now, id, ByeReason::UnusableAnswer);
            }
        }
    }

    /// Sends the message of the INVITE, now that the participant has joined.
    fn say_first(&mut self, id: EndpointId) {
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("no endpoint that speaks");
        };
        let message = endpoint.change_rare(|rare| rare.first_message.take());
        if let (Some(message), Some(session)) = (message, endpoint.link().session().cloned()) {
            let room = endpoint.room.clone();
            self.out.order(Order::Submit {
                room,
                session,
                message,
            });
        }
    }

    /// The peer has our answer: now the switch may connect to it.
    fn connect_after_ack(&mut self, id: EndpointId) {
        let admission = self.admission(id);
        if let Some(admission) = admission.filter(|it| it.peer.dial.is_some()) {
            self.out.order(Order::Amend(Box::new(admission)));
        }
    }

    /// Applies a new description to the session. An answer for a fresh session brings the endpoint
    /// back.
    pub(in crate::focus) fn amend(&mut self, id: EndpointId, accepted: Accepted) {
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("no endpoint that describes itself");
        };
        let same = endpoint.media.theirs().as_ref() == Some(&accepted);
        let fresh = match endpoint.link() {
            Link::Renewing { session, .. } => Some(session.clone()),
            _ => None,
        };
        let returns = fresh.is_some();
        if let Some(session) = fresh {
            self.relink(id, Link::Up(session));
        }
        if let Some(endpoint) = self.rooms.endpoint_mut(id) {
            endpoint.media.set_theirs(Some(accepted));
            endpoint.share(&mut self.dialogs.shared);
        }
        if same && !returns {
            return;
        }
        if let Some(admission) = self.admission(id) {
            self.check_certificate(id, &admission.peer.fingerprints);
            self.out.order(Order::Amend(Box::new(admission)));
        }
    }

    /// re-INVITE and UPDATE. A refresh changes nothing, a new description goes to the switch, and a
    /// lost session is replaced by a new one (RFC 3261 §14.2, 3311 §5.2, 4975 §8.4).
    fn modify(&mut self, now: Moment, incoming: &Incoming, id: EndpointId) -> Verdict<()> {
        let endpoint = self.rooms.endpoint(id).ok_or(Cause::NoDialog)?;
        if endpoint.owes_answer() {
            // RFC 3261 §14.2: between 0 and 10 seconds.
            let pause = self.out.random_below(11).to_string();
            return Err(Refusal::new(Cause::Pending).with("Retry-After", pause));
        }
        // Glare, or our own offer still lacks its answer in the ACK (RFC 3311 §5.2).
        if endpoint.offer != Offer::None {
            return Err(Cause::Glare.into());
        }
        let needs_ack = incoming.request.method == Method::Invite;
        let agreement = self.settle(&incoming.request)?;
        let SessionBody {
            offer,
            recipients,
            message,
        } = parse_offer(
            &incoming.request,
            self.terms_again(endpoint),
            incoming.arrival.source.ip(),
        )?;
        if message.is_some() {
            return Err(Refusal::new(Cause::UnknownBody).with("Accept", ACCEPT));
        }
        if !recipients.is_empty() {
            // Row L02: only the first INVITE may bring a list.
            return Err(
                Refusal::new(Cause::UnknownExtension).with("Unsupported", "recipient-list-invite")
            );
        }
        let before = Box::new(endpoint.before());
        let lost = matches!(endpoint.link(), Link::Lost { .. });
        let describes = needs_ack || offer.is_some();
        if describes {
            self.describe_again(id, offer.as_ref(), lost);
        }
        let endpoint = self.rooms.endpoint_mut(id).ok_or(Cause::NoDialog)?;
        if needs_ack && offer.is_none() {
            endpoint.offer = Offer::Answer;
        }
        let answering = Answering {
            transaction: incoming.transaction,
            cseq: cseq_number(&incoming.request).unwrap_or_default(),
            via: top_via(&incoming.request),
            body: describes.then(|| endpoint.media.ours()),
            needs_ack,
            agreement,
            before: Some(before),
        };
        if lost && describes {
            self.rejoin(now, id, offer, answering);
            return Ok(());
        }
        if let Some((_, accepted)) = offer {
            self.amend(id, accepted);
        }
        self.accept(now, id, answering);
        Ok(())
    }

    /// A session keeps its transport; a lost one may come back over another.
    fn terms_again(&self, endpoint: &Endpoint) -> Terms {
        match self.rooms.conference(&endpoint.room) {
            Some(conference) if endpoint.link().session().is_none() => {
                self.terms(&conference.policy)
            }
            _ => endpoint.media.terms(),
        }
    }

    /// Settles the session timer of a session refresh request.
    pub(in crate::focus) fn settle(&self, request: &Request) -> Verdict<Agreement> {
        Agreement::settle(request, self.config.session_expires, self.config.min_se)
    }

    /// The peer's answer to our refresh.
    pub(in crate::focus) fn answered(&mut self, id: EndpointId, response: &Response) {
        let Ok(answer) = Description::parse(&response.body) else {
            return;
        };
        // An unusable answer changes nothing: the old session goes on.
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return;
        };
        let source = endpoint.media.dialled_source();
        if let Ok(accepted) = endpoint.media.read_answer(&answer, source) {
            self.amend(id, accepted);
        }
    }

    /// Our description for a re-INVITE: the same `o=` line unless something in it changed
    /// (RFC 4975 §8.4, RFC 3264 §8).
    fn describe_again(
        &mut self,
        id: EndpointId,
        offer: Option<&(Description, Accepted)>,
        lost: bool,
    ) {
        let Some((socket, room, role)) = self.rooms.endpoint(id).map(|endpoint| {
            let socket = endpoint.dialog.socket.clone();
            (socket, endpoint.room.clone(), endpoint.role)
        }) else {
            return self.out.broken("no endpoint that describes itself");
        };
        let fresh = match self.rooms.conference(&room).map(|c| Arc::clone(&c.policy)) {
            Some(policy) if lost => {
                let secure = match offer {
                    Some((_, accepted)) => accepted.secure,
                    None => self.terms(&policy).secure(),
                };
                let theirs = offer.map(|(_, accepted)| accepted);
                let towards = Towards {
                    socket: &socket,
                    secure,
                    theirs,
                };
                Some(self.new_session(towards, &policy, role))
            }
            _ => None,
        };
        let local = fresh.map(|(session, local)| {
            self.relink(id, Link::Up(session));
            local
        });
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("no endpoint that describes itself");
        };
        let media = &mut endpoint.media;
        let local = local.unwrap_or_else(|| media.local());
        let describe = |origin| {
            let described = match offer {
                Some((offer, accepted)) => offer_answer::answer(offer, accepted, &local, origin),
                None => offer_answer::offer(&local, origin),
            };
            described.write()
        };
        let origin = media.origin();
        if describe(origin) != media.ours() {
            let version = origin.version + 1;
            let ours = describe(Origin { version, ..origin });
            media.say(local, version, &ours);
            endpoint.share(&mut self.dialogs.shared);
        }
    }

    fn rejoin(
        &mut self,
        now: Moment,
        id: EndpointId,
        offer: Option<(Description, Accepted)>,
        answering: Answering,
    ) {
        if let Some(endpoint) = self.rooms.endpoint_mut(id) {
            let theirs = offer.map(|(_, accepted)| accepted);
            endpoint.media.set_theirs(theirs);
            endpoint.share(&mut self.dialogs.shared);
        }
        self.ask_admission(now, id, answering);
    }
}
