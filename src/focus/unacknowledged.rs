//! The 2xx of an INVITE until its ACK (RFC 3261 §13.3.1.4): it waits for the store, leaves or
//! is refused by the host, is repeated, acknowledged or given up. Whatever becomes of it,
//! nothing of the INVITE is left where its caller was not told "200".

use super::conference::{Answering, Endpoint, EndpointId, Media};
use super::dialog::cseq;
use super::refusal::Refusal;
use super::request::Incoming;
use super::session_timer::Schedule;
use super::timers::{Timer, TimerKey};
use super::{ACK_TIMEOUT, Focus, Output, Reply, Role, TransactionId, Usage};
use crate::control::{Order, SessionId};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;
use crate::wire::sip::Request;

/// 2xx without ACK that the host repeats over 64*T1. Each costs it a transaction, some 20 kB
/// of shared memory, for that long; further ones are repeated as long as the host repeats
/// any answer.
pub(super) const MAX_REPEATED: usize = 1_000;

/// A 2xx without ACK.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    transaction: TransactionId,
    cseq: u32,
    /// The topmost Via of its INVITE: a retransmission has the same.
    via: String,
    reply: Reply,
    /// The host has taken it. An ACK that comes before is that of another final answer, one
    /// that the host gave (RFC 3261 §17.1.1.3).
    left: bool,
    /// Armed when it left.
    timer: Option<TimerKey>,
    /// What a re-INVITE found; `None`: the INVITE that starts the dialog.
    before: Option<Box<Before>>,
}

impl Unacknowledged {
    /// The peer may know nothing of it yet.
    pub(super) fn is_under_way(&self) -> bool {
        !self.left
    }

    /// It answers the INVITE that starts the dialog.
    pub(super) fn starts_dialog(&self) -> bool {
        self.before.is_none()
    }

    fn is_answered_by(&self, ack: &Request) -> bool {
        self.left && cseq(ack) == Some(self.cseq)
    }

    fn is_to(&self, invite: &Request) -> bool {
        self.left && cseq(invite) == Some(self.cseq) && top_via(invite) == self.via
    }
}

/// What stood before a re-INVITE or UPDATE. Without a 2xx it stands again (RFC 3261 §14.1).
#[derive(Clone, Debug)]
pub(super) struct Before {
    session: Option<SessionId>,
    media: Media,
    answer_due: bool,
    timer: Option<Schedule>,
    /// Until when the endpoint was awaited.
    rejoin: Option<Moment>,
}

impl Before {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self {
            session: endpoint.session.clone(),
            media: endpoint.media.clone(),
            answer_due: endpoint.answer_due,
            timer: endpoint.session_timer.as_ref().map(Schedule::of),
            rejoin: endpoint.rejoin_timer.map(TimerKey::at),
        }
    }
}

impl Focus {
    /// Notes that this 2xx waits for its ACK; whether the host shall repeat it until then.
    /// An earlier one has reached the peer, or it would not have sent another INVITE.
    pub(super) fn await_ack(&mut self, id: EndpointId, answering: Answering, mut reply: Reply) {
        let earlier = self.endpoints.get_unmarked(&id);
        if let Some(earlier) = earlier.and_then(|it| it.unacknowledged.take()) {
            self.close(earlier);
        }
        let transaction = answering.transaction;
        self.unacknowledged.insert(transaction, id);
        reply.until_ack = self.unacknowledged.len() <= MAX_REPEATED;
        if self.unacknowledged.len() == MAX_REPEATED + 1 {
            let line = format!("more than {MAX_REPEATED} INVITEs answered 200 wait for an ACK");
            self.log(Level::Warning, line);
        }
        if let Some(endpoint) = self.endpoints.get_unmarked(&id) {
            endpoint.unacknowledged = Some(Unacknowledged {
                transaction,
                cseq: answering.cseq,
                via: answering.via,
                reply: reply.clone(),
                left: false,
                timer: None,
                before: answering.before,
            });
        }
        self.outputs.push_back(Output::Reply(transaction, reply));
    }

    /// The host has taken a 2xx.
    pub(super) fn answer_left(&mut self, now: Moment, transaction: TransactionId) {
        self.granted.remove(&transaction);
        let Some(id) = self.unacknowledged.get(&transaction).copied() else {
            return;
        };
        let timer = self.timers.arm(now + ACK_TIMEOUT, Timer::Ack(id));
        let endpoint = self.endpoints.get_unmarked(&id);
        if let Some(answer) = endpoint.and_then(|it| it.unacknowledged.as_mut()) {
            answer.left = true;
            answer.timer = Some(timer);
        }
    }

    /// The host has not taken a 2xx: nothing of what it grants stands.
    pub(super) fn unanswered(&mut self, now: Moment, transaction: TransactionId) {
        if let Some(id) = self.granted.remove(&transaction) {
            self.forget_subscription(now, id);
        }
        let Some(id) = self.unacknowledged.remove(&transaction) else {
            return;
        };
        let endpoint = self.endpoints.get_unmarked(&id);
        if let Some(answer) = endpoint.and_then(|it| it.unacknowledged.take()) {
            self.timers.disarm(answer.timer);
            self.undo(now, id, answer.before);
        }
    }

    /// A 2xx that has not left yet becomes this refusal; what it grants is the caller's to
    /// undo.
    pub(super) fn take_back(&mut self, id: EndpointId, refusal: Refusal) -> Option<Unacknowledged> {
        let endpoint = self.endpoints.get_unmarked(&id)?;
        let answer = endpoint.unacknowledged.take_if(|it| it.is_under_way())?;
        let to_tag = endpoint.dialog.key.local_tag.clone();
        let transaction = answer.transaction;
        self.unacknowledged.remove(&transaction);
        self.outputs
            .retain(|output| !matches!(output, Output::Reply(of, _) if *of == transaction));
        self.outputs.push_back(Output::Withdraw(transaction));
        self.refuse(transaction, refusal, Some(to_tag));
        Some(answer)
    }

    /// CANCEL of an INVITE that is granted but not answered yet.
    pub(super) fn cancel_granted(&mut self, now: Moment, id: EndpointId) {
        if let Some(answer) = self.take_back(id, Refusal::new(487)) {
            self.undo(now, id, answer.before);
        }
    }

    /// The ACK of the 2xx to this endpoint's last INVITE has come; `false` for any other.
    pub(super) fn acknowledge(&mut self, id: EndpointId, ack: &Request) -> bool {
        let endpoint = self.endpoints.get_unmarked(&id);
        let answer = endpoint.and_then(|it| it.unacknowledged.take_if(|it| it.is_answered_by(ack)));
        answer.map(|answer| self.close(answer)).is_some()
    }

    /// Nobody waits for this 2xx's ACK any more.
    pub(super) fn close(&mut self, answer: Unacknowledged) {
        self.unacknowledged.remove(&answer.transaction);
        self.timers.disarm(answer.timer);
        if answer.left {
            self.outputs.push_back(Output::Release(answer.transaction));
        }
    }

    pub(super) fn ack_timed_out(&mut self, now: Moment, id: EndpointId) {
        if let Some(endpoint) = self.endpoints.get(&id) {
            let line = format!("no ACK from {} in {}", endpoint.user, endpoint.room);
            self.log(Level::Info, line);
        }
        self.dismiss_as(now, id, DisconnectionMethod::Failed);
    }

    /// The INVITE of a 2xx without ACK, sent again after the host has forgotten its
    /// transaction: it gets the same answer.
    pub(super) fn repeat_answer(&mut self, incoming: &Incoming) -> bool {
        let known = self.known_dialog(&incoming.request);
        let Some(Usage::Endpoint(id)) = known else {
            return false;
        };
        let Some(endpoint) = self.endpoints.get(&id) else {
            return false;
        };
        let tag = &endpoint.dialog.key.local_tag;
        let answer = endpoint.unacknowledged.as_ref();
        let Some(answer) = answer.filter(|it| it.is_to(&incoming.request)) else {
            return false;
        };
        // The host's own tag, where it puts one in, makes another dialog of it.
        if incoming
            .arrival
            .to_tag
            .as_ref()
            .is_some_and(|own| own != tag)
        {
            return false;
        }
        let reply = Reply {
            until_ack: false,
            ..answer.reply.clone()
        };
        let again = Output::Reply(incoming.transaction, reply);
        self.outputs.push_back(again);
        true
    }

    /// An INVITE without 2xx leaves everything as it was.
    pub(super) fn undo(&mut self, now: Moment, id: EndpointId, before: Option<Box<Before>>) {
        match before {
            None => self.depart(now, id, DisconnectionMethod::Failed),
            Some(before) => self.restore_before(now, id, *before),
        }
    }

    fn restore_before(&mut self, now: Moment, id: EndpointId, before: Before) {
        self.resume_session_timer(id, before.timer);
        let Some(endpoint) = self.endpoints.get(&id) else {
            return;
        };
        let was_lost = before.session.is_none();
        // Lost or renewed since: what is now counts.
        let moved_on = endpoint.session != before.session;
        if endpoint.renewing || endpoint.inviting.is_some() || (moved_on && !was_lost) {
            return;
        }
        if was_lost {
            self.end_session(id);
        }
        self.take_description(now, id, before.media.theirs.clone());
        if let Some(endpoint) = self.endpoints.get_mut(&id) {
            endpoint.answer_due = before.answer_due;
            endpoint.restore_media(before.media);
        }
        match (was_lost, before.rejoin) {
            (_, Some(until)) => self.await_rejoin_until(id, until.max(now)),
            (true, None) => self.await_rejoin(now, id),
            (false, None) => {}
        }
        if !was_lost && let Some(admission) = self.admission(id) {
            self.order(Order::Amend(Box::new(admission)));
        }
    }
}

impl Endpoint {
    /// Takes an earlier description up again, for what its role is now.
    fn restore_media(&mut self, media: Media) {
        let observer = self.role == Role::Observer;
        let changed = media.local.observer != observer;
        self.media = media;
        self.media.local.observer = observer;
        if let Some((_, accepted)) = self.media.theirs.as_mut().filter(|_| changed) {
            accepted.peer.sends = !observer;
        }
    }
}

/// The topmost Via, which names the transaction (RFC 3261 §17.2.3).
pub(super) fn top_via(request: &Request) -> String {
    let vias = request.headers.elements("Via");
    vias.first()
        .map(|via| (*via).to_owned())
        .unwrap_or_default()
}
