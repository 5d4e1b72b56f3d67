//! The 2xx of an INVITE until its ACK (RFC 3261 §13.3.1.4): it waits for the store, leaves or is
//! refused by the host, and is repeated, acknowledged or given up. If the caller did not get the
//! 200, no effect of the INVITE remains.

use crate::control::Order;
use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::{Link, Offer, Stage};
use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::{ACK_TIMEOUT, Awaits, Usage};
use crate::focus::sip::face::Incoming;
use crate::focus::sip::rejection::{Refusal, Verdict};
use crate::focus::sip::unacknowledged::Answering;
use crate::focus::sip::unacknowledged::Before;
use crate::focus::sip::unacknowledged::Unacknowledged;
use crate::focus::timers::Timer;
use crate::focus::{Focus, Output, Reply, TransactionId};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;
use crate::wire::sip::{Headers, Method, Request};

/// Most 2xx without ACK that the host repeats over 64*T1. Each costs the host a transaction, some
/// 20 kB of shared memory, for that time; further ones are repeated only as long as the host
/// repeats any answer.
pub(in crate::focus) const MAX_REPEATED: usize = 1_000;

impl Focus {
    /// Notes that this 2xx waits for its ACK. Returns whether the host shall repeat it until then.
    /// An earlier 2xx has reached the peer: otherwise it would not have sent another INVITE.
    pub(in crate::focus) fn await_ack(
        &mut self,
        id: EndpointId,
        answering: Answering,
        mut reply: Reply,
    ) {
        self.close_unacknowledged(id);
        let transaction = answering.transaction;
        let Some(endpoint) = self.rooms.endpoint_unmarked(id) else {
            return self.out.broken("no endpoint to answer");
        };
        let key = &endpoint.dialog.key;
        self.dialogs.wait(transaction, key, Awaits::Ack(id));
        reply.until_ack = self.dialogs.unacknowledged() <= MAX_REPEATED;
        if self.dialogs.unacknowledged() == MAX_REPEATED + 1 {
            let line = format!("more than {MAX_REPEATED} INVITEs answered 200 wait for an ACK");
            self.out.log(Level::Warning, line);
        }
        if let Some(endpoint) = self.rooms.endpoint_unmarked(id) {
            endpoint.stage = Stage::Unacknowledged(Box::new(Unacknowledged {
                transaction,
                cseq: answering.cseq,
                via: answering.via,
                reply: reply.clone(),
                left: false,
                timer: None,
                before: answering.before,
            }));
        }
        self.out.push(Output::Reply(transaction, reply));
    }

    /// The host has sent a 2xx.
    pub(in crate::focus) fn answer_left(&mut self, now: Moment, transaction: TransactionId) {
        let id = match self.dialogs.awaits(transaction) {
            Some(Awaits::Ack(id)) => id,
            Some(Awaits::Departure(_)) => return self.dialogs.settle(transaction),
            _ => return,
        };
        let timer = self.timers.arm(now + ACK_TIMEOUT, Timer::Ack(id));
        let endpoint = self.rooms.endpoint_unmarked(id);
        if let Some(answer) = endpoint.and_then(|it| it.unacknowledged()) {
            answer.left = true;
            answer.timer = Some(timer);
        }
    }

    /// The host has not sent a 2xx: undoes all that it grants.
    pub(in crate::focus) fn unanswered(&mut self, now: Moment, transaction: TransactionId) {
        let id = match self.dialogs.awaits(transaction) {
            Some(Awaits::Ack(id)) => id,
            Some(Awaits::Departure(id)) => return self.forget_subscription(now, id),
            _ => return,
        };
        self.dialogs.settle(transaction);
        let endpoint = self.rooms.endpoint_unmarked(id);
        if let Some(answer) = endpoint.and_then(|it| it.take_unacknowledged(|_| true)) {
            self.timers.disarm(answer.timer);
            self.undo(now, id, answer.before);
        }
    }

    /// Turns a 2xx that has not left yet into this refusal; the caller must undo what it grants.
    pub(in crate::focus) fn take_back(
        &mut self,
        id: EndpointId,
        refusal: impl Into<Refusal>,
    ) -> Option<Unacknowledged> {
        let endpoint = self.rooms.endpoint_unmarked(id)?;
        let answer = endpoint.take_unacknowledged(Unacknowledged::is_under_way)?;
        let to_tag = endpoint.dialog.key.local_tag().to_owned();
        let transaction = answer.transaction;
        self.dialogs.settle(transaction);
        self.out.withdraw(transaction);
        self.out.refuse(transaction, refusal, Some(to_tag));
        Some(answer)
    }

    /// CANCEL of an INVITE that is granted but not answered yet.
    pub(in crate::focus) fn cancel_granted(&mut self, now: Moment, id: EndpointId) {
        if let Some(answer) = self.take_back(id, Cause::Cancelled) {
            self.undo(now, id, answer.before);
        }
    }

    /// Handles an ACK; `true` if it acknowledges the 2xx to this endpoint's last INVITE.
    pub(in crate::focus) fn acknowledge(&mut self, id: EndpointId, ack: &Request) -> bool {
        let endpoint = self.rooms.endpoint_unmarked(id);
        let answer = endpoint.and_then(|it| it.take_unacknowledged(|it| it.is_answered_by(ack)));
        answer.map(|answer| self.close(answer)).is_some()
    }

    /// Stops waiting for the ACK of this 2xx.
    pub(in crate::focus) fn close(&mut self, answer: Unacknowledged) {
        self.dialogs.settle(answer.transaction);
        self.timers.disarm(answer.timer);
        if answer.left {
            self.out.push(Output::Release(answer.transaction));
        }
    }

    /// An earlier 2xx has reached the peer.
    pub(in crate::focus) fn close_unacknowledged(&mut self, id: EndpointId) {
        let endpoint = self.rooms.endpoint_unmarked(id);
        if let Some(answer) = endpoint.and_then(|it| it.take_unacknowledged(|_| true)) {
            self.close(answer);
        }
    }

    /// Sends the BYE that waited for this ACK.
    pub(in crate::focus) fn leave_after_ack(&mut self, now: Moment, id: EndpointId, ack: &Request) {
        let leaving = self.dialogs.leaving(id);
        if leaving.is_some_and(|it| it.answer.is_answered_by(ack)) {
            self.leave_at_last(now, id);
        }
    }

    /// Stops waiting for ACKs: sends all BYEs that wait for one.
    pub(in crate::focus) fn leave_at_once(&mut self, now: Moment) {
        for id in self.dialogs.all_leaving() {
            self.leave_at_last(now, id);
        }
    }

    fn leave_at_last(&mut self, now: Moment, id: EndpointId) {
        if let Some(leaving) = self.dialogs.take_leaving(id) {
            self.close(leaving.answer);
            self.hang_up(now, leaving.dialog, leaving.reason);
        }
    }

    /// A request in the dialog of an endpoint that has gone.
    pub(in crate::focus) fn in_ending_dialog(
        &mut self,
        incoming: &Incoming,
        id: EndpointId,
    ) -> Verdict<()> {
        if incoming.request.method != Method::Bye {
            return Err(Cause::NoDialog.into());
        }
        if let Some(leaving) = self.dialogs.take_leaving(id) {
            self.close(leaving.answer);
        }
        self.out
            .reply(incoming.transaction, 200, Headers::new(), "", None);
        Ok(())
    }

    pub(in crate::focus) fn ack_timed_out(&mut self, now: Moment, id: EndpointId) {
        if self.dialogs.leaving(id).is_some() {
            return self.leave_at_last(now, id);
        }
        // From now on a BYE is allowed.
        self.close_unacknowledged(id);
        if let Some(endpoint) = self.rooms.endpoint(id) {
            let line = format!("no ACK from {} in {}", endpoint.user, endpoint.room);
            self.out.log(Level::Info, line);
        }
        self.dismiss(now, id, ByeReason::NotAcknowledged);
    }

    /// Answers an INVITE whose 2xx has no ACK and which came again after the host forgot its
    /// transaction: with the same answer.
    pub(in crate::focus) fn repeat_answer(&mut self, incoming: &Incoming) -> bool {
        let own_tag = incoming.arrival.to_tag.as_deref();
        let mut usages = self.dialogs.usages_of_call(&incoming.request);
        let reply = usages.find_map(|usage| {
            let Usage::Endpoint(id) = usage else {
                return None;
            };
            let endpoint = self.rooms.endpoint(id)?;
            let Stage::Unacknowledged(answer) = &endpoint.stage else {
                return None;
            };
            // A host that adds its own tag makes another dialog of it.
            let same = own_tag.is_none_or(|own| own == endpoint.dialog.key.local_tag());
            (same && answer.is_to(&incoming.request)).then(|| answer.reply.clone())
        });
        drop(usages);
        let Some(reply) = reply else {
            return false;
        };
        let reply = Reply {
            until_ack: false,
            ..reply
        };
        let again = Output::Reply(incoming.transaction, reply);
        self.out.push(again);
        true
    }

    /// Restores the state before an INVITE without 2xx.
    pub(in crate::focus) fn undo(
        &mut self,
        now: Moment,
        id: EndpointId,
        before: Option<Box<Before>>,
    ) {
        match before {
            None => self.depart(now, id, DisconnectionMethod::Failed),
            Some(before) => self.restore_before(now, id, *before),
        }
    }

    fn restore_before(&mut self, now: Moment, id: EndpointId, before: Before) {
        self.resume_session_timer(id, before.timer);
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("no endpoint of a re-INVITE");
        };
        let was_lost = before.session.is_none();
        // Lost or renewed since: the newer state counts.
        let moved_on = endpoint.link().session() != before.session.as_ref();
        let renews = matches!(endpoint.link(), Link::Renewing { called: false, .. });
        let invites = endpoint.refreshing;
        if renews || invites || (moved_on && !was_lost) {
            return;
        }
        match (was_lost, before.rejoin) {
            (true, until) => {
                let grace = now + self.config.rejoin_grace;
                self.expel_session(id);
                self.unlink_until(id, until.unwrap_or(grace).max(now));
            }
            // Its re-INVITE with this session was queued: now it needs another.
            (false, Some(until)) => {
                self.expel_session(id);
                self.unlink_until(id, until.max(now));
                self.timers.arm(now, Timer::Renewal(id));
            }
            (false, None) => {}
        }
        if let Some(endpoint) = self.rooms.endpoint_mut(id) {
            endpoint.offer = Offer::None;
            endpoint.restore_media(before.media);
        }
        if self
            .rooms
            .endpoint(id)
            .is_some_and(|it| it.link().until().is_none())
            && let Some(admission) = self.admission(id)
        {
            self.out.order(Order::Amend(Box::new(admission)));
        }
    }
}
