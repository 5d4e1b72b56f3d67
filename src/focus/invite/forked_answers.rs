//! 2xx answers to our INVITEs that have no use: those of further forks (RFC 3261 §13.2.2.4), and
//! those that come after the INVITE was withdrawn or given up. The focus sends each an ACK, because
//! hosts send one for the first only, and a BYE. It sees them as long as the host keeps the INVITE
//! (some seconds after its first final answer); a phone that answers later gets no answer and gives
//! up after 64*T1 (§13.3.1.4).

use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::dialogs::{ACK_TIMEOUT, Purpose};

use crate::focus::timers::Timer;
use crate::focus::{Focus, Output, RequestId};
use crate::time::Moment;
use crate::wire::sip::{CSeq, Method, Response};

impl Focus {
    /// The first final answer of an INVITE: its phone is now known. Others may still answer for as
    /// long as they repeat a 2xx without ACK.
    pub(in crate::focus) fn answer_came(
        &mut self,
        now: Moment,
        request: RequestId,
        response: &Response,
    ) {
        if let Some(dialled) = self.dialogs.dialled(request) {
            dialled.is_new(response);
        }
        self.forget_dialled_later(now, request);
    }

    /// The INVITE has had its outcome.
    pub(in crate::focus) fn forget_dialled_later(&mut self, now: Moment, request: RequestId) {
        if self.dialogs.dialled(request).is_some() {
            self.timers
                .arm(now + ACK_TIMEOUT, Timer::ForgetDialled(request));
        }
    }

    /// A 2xx to a re-INVITE of ours. Kamailio's tm sends its ACK to the Contact, which leads
    /// nowhere when the peer is behind a NAT: then a second ACK goes over the connection the 2xx
    /// came by.
    pub(in crate::focus) fn acknowledge_over_flow(
        &mut self,
        purpose: Purpose,
        response: &Response,
    ) {
        let (Purpose::Refresh(id) | Purpose::Renewal(id)) = purpose else {
            return;
        };
        let cseq = response.headers.first("CSeq");
        let cseq = cseq.and_then(|value| value.parse::<CSeq>().ok());
        let Some(cseq) = cseq.filter(|cseq| cseq.method == Method::Invite) else {
            return;
        };
        let request = self.request_id();
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("no endpoint of a request of ours");
        };
        endpoint.dialog.refresh_target(response);
        if endpoint.dialog.flow.is_some() {
            let ack = endpoint.dialog.acknowledge(request, cseq.number);
            self.out.push(Output::Send(Box::new(ack)));
        }
    }

    /// Ends the dialog of a 2xx that has no use.
    pub(in crate::focus) fn refuse_answer(
        &mut self,
        now: Moment,
        request: RequestId,
        response: &Response,
    ) {
        let Some(dialled) = self.dialogs.dialled(request) else {
            return;
        };
        if !dialled.is_new(response) {
            return;
        }
        let mut dialog = dialled.dialog.clone();
        dialog.established(response);
        let ack = dialog.acknowledge(self.request_id(), dialog.local_cseq);
        self.out.push(Output::Send(Box::new(ack)));
        self.hang_up(now, dialog, ByeReason::AnsweredElsewhere);
    }
}
