//! 2xx answers to INVITEs of ours that nobody waits for: those of further forks
//! (RFC 3261 §13.2.2.4), and those that come after the INVITE was withdrawn or given up. Each
//! gets its ACK, which hosts send for the first one only, and its BYE. They are seen as long
//! as the host keeps the INVITE (some seconds after its first final answer); a phone that
//! answers later hears nothing and gives up by itself after 64*T1 (§13.3.1.4).

use bytes::Bytes;

use crate::focus::sip::dialog::Dialog;
use crate::focus::timers::Timer;
use crate::focus::{ACK_TIMEOUT, Focus, Output, Purpose, RequestId};
use crate::time::Moment;
use crate::wire::sip::{CSeq, Headers, Method, NameAddr, Response};

/// Dialogs that one INVITE may make; answers of more phones than this are left to time out.
const MAX_FORKS: usize = 16;

/// An INVITE of ours that phones may still answer.
#[derive(Debug)]
pub(in crate::focus) struct Dialled {
    /// As it was when the INVITE was sent.
    pub(in crate::focus) dialog: Dialog,
    /// The To tags of those that have answered: whatever else they send is a retransmission.
    answered: Vec<String>,
}

impl Dialled {
    pub(in crate::focus) fn new(dialog: Dialog) -> Self {
        Self {
            dialog,
            answered: Vec::new(),
        }
    }

    /// Whether this 2xx is the first of its phone.
    fn is_new(&mut self, response: &Response) -> bool {
        let to = response.headers.first("To");
        let to = to.and_then(|value| value.parse::<NameAddr>().ok());
        let tag = to.as_ref().and_then(|to| to.tag()).unwrap_or_default();
        if self.answered.len() >= MAX_FORKS || self.answered.iter().any(|known| known == tag) {
            return false;
        }
        self.answered.push(tag.to_owned());
        true
    }
}

impl Focus {
    /// The first final answer of an INVITE: its phone is known from now on, and others may
    /// answer for as long as they repeat a 2xx without ACK.
    pub(in crate::focus) fn answer_came(
        &mut self,
        now: Moment,
        request: RequestId,
        response: &Response,
    ) {
        if let Some(dialled) = self.dialled.get_mut(&request) {
            dialled.is_new(response);
        }
        self.forget_dialled_later(now, request);
    }

    /// The INVITE has had its outcome.
    pub(in crate::focus) fn forget_dialled_later(&mut self, now: Moment, request: RequestId) {
        if self.dialled.contains_key(&request) {
            self.timers
                .arm(now + ACK_TIMEOUT, Timer::ForgetDialled(request));
        }
    }

    /// A 2xx to a re-INVITE of ours. tm of Kamailio sends its ACK where the Contact leads,
    /// which is nowhere when the peer sits behind a NAT: then another goes over the
    /// connection it came by.
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
        let request = RequestId(self.next_id());
        let Some(endpoint) = self.endpoints.get_mut(&id) else {
            return;
        };
        endpoint.dialog.refresh_target(response);
        if endpoint.dialog.flow.is_some() {
            let ack = endpoint.dialog.acknowledge(request, cseq.number);
            self.outputs.push_back(Output::Send(Box::new(ack)));
        }
    }

    /// A 2xx that nobody waits for makes a dialog all the same.
    pub(in crate::focus) fn refuse_answer(
        &mut self,
        now: Moment,
        request: RequestId,
        response: &Response,
    ) {
        let Some(dialled) = self.dialled.get_mut(&request) else {
            return;
        };
        if !dialled.is_new(response) {
            return;
        }
        let mut dialog = dialled.dialog.clone();
        dialog.established(response);
        let ack = dialog.acknowledge(RequestId(self.next_id()), dialog.local_cseq);
        self.outputs.push_back(Output::Send(Box::new(ack)));
        self.send(now, Purpose::Farewell, |focus, request| {
            let headers = Headers::new().with("User-Agent", focus.config.software.clone());
            Some(dialog.request(request, Method::Bye, headers, Bytes::new()))
        });
    }
}
