//! Digest answers to challenges of proxies (RFC 3261 §22).

use crate::focus::sip::dialogs::{Pending, Purpose};
use crate::focus::timers::Timer;
use crate::focus::{Focus, OutgoingRequest, Output, RequestId};
use crate::time::Moment;
use crate::wire::sip::{Account, Request, Response, authorize};

/// Characters of a cnonce.
const CNONCE_LENGTH: usize = 16;
/// Challenges answered per request: those of two proxies and the party, and one for a stale nonce.
const MAX_CHALLENGES: u8 = 4;

impl Focus {
    /// Sends a challenged request again with credentials, under the same id (RFC 3261 §22.2).
    /// `false` when we have none, or they were refused.
    pub(in crate::focus) fn authenticate(
        &mut self,
        now: Moment,
        id: RequestId,
        mut pending: Pending,
        challenge: &Response,
    ) -> bool {
        let Some(mut sent) = pending.sent.take() else {
            return false;
        };
        if pending.challenges >= MAX_CHALLENGES || !self.answer_challenge(&mut sent, challenge) {
            return false;
        }
        let Some(cseq) = self.next_cseq(&pending, id, sent.cseq) else {
            return false;
        };
        sent.cseq = cseq;
        let at = now + pending.purpose.timeout();
        let again = Pending {
            timer: self.timers.arm(at, Timer::Outcome(id)),
            sent: Some(sent.clone()),
            challenges: pending.challenges + 1,
            ..pending
        };
        self.dialogs.sent(id, again);
        self.out.push(Output::Send(sent));
        true
    }

    fn answer_challenge(&mut self, sent: &mut OutgoingRequest, challenge: &Response) -> bool {
        let cnonce = self.out.token(CNONCE_LENGTH);
        let accounts: Vec<_> = self
            .config
            .credentials
            .iter()
            .map(|known| Account {
                user: &known.user,
                password: &known.password,
                realm: known.realm.as_deref(),
            })
            .collect();
        let mut request = Request {
            method: sent.method.clone(),
            uri: sent.request_uri.clone(),
            headers: sent.headers.clone(),
            body: sent.body.clone(),
        };
        let answered = authorize(&mut request, challenge, &accounts, &cnonce).is_ok();
        sent.headers = request.headers;
        answered
    }

    /// The next CSeq in the dialog of a request; `None` when the request no longer has a purpose.
    fn next_cseq(&mut self, pending: &Pending, id: RequestId, sent: u32) -> Option<u32> {
        let dialog = match pending.purpose {
            // The dialog has gone: no other request follows in it.
            Purpose::Farewell => return Some(sent + 1),
            Purpose::Notify(id) => &mut self.watch.subscription_mut(id)?.dialog,
            Purpose::Refresh(id) | Purpose::Renewal(id) => &mut self.rooms.endpoint_mut(id)?.dialog,
            Purpose::Report(id) => self.referral_dialog(id)?,
            Purpose::Invitation(of) => {
                let invitation = self.invitation(of).filter(|it| it.request == Some(id))?;
                &mut invitation.dialog
            }
        };
        dialog.local_cseq += 1;
        let cseq = dialog.local_cseq;
        if let Some(dialled) = self.dialogs.dialled(id) {
            dialled.dialog.local_cseq = cseq;
        }
        Some(cseq)
    }
}
