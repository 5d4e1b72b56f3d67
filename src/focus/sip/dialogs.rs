//! All known dialogs and transactions, with all their indexes. Closing a dialog removes all that
//! belongs to it, so that no other code has to maintain an index.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::focus::ids::{EndpointId, InvitationId, ReferralId, SubscriptionId};
use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::shared::Shared;
use crate::focus::sip::unacknowledged::Unacknowledged;
use crate::focus::timers::TimerKey;
use crate::focus::{OutgoingRequest, RequestId, TransactionId};
use crate::time::Moment;
use crate::wire::sip::dialog::{DialogKey, cseq_number};
use crate::wire::sip::{DialogReference, Method, NameAddr, Request, Response};

/// 64*T1: time a 2xx waits for its ACK (RFC 3261 §13.3.1.4).
pub(in crate::focus) const ACK_TIMEOUT: Duration = Duration::from_secs(32);
/// 64*T1: lifetime of a server transaction (RFC 3261 §17.2.2, RFC 6026 §7.1).
const TRANSACTION_LIFETIME: Duration = Duration::from_secs(32);
/// Longer than the lifetime of our transactions in the host (timer F and timer B: 32 s).
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than our INVITEs ring in the host (both hosts stop after two minutes at most).
pub(in crate::focus) const INVITE_TIMEOUT: Duration = Duration::from_secs(200);
/// Most CANCELs remembered at the same time; a flood of stray ones displaces no other state.
const MAX_CANCELS: usize = 10_000;
/// Most dialogs per INVITE; answers of further phones time out.
const MAX_FORKS: usize = 16;

/// The user of a dialog; dialogs are not shared (RFC 6665 §4.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Usage {
    Endpoint(EndpointId),
    Subscription(SubscriptionId),
    Referral(ReferralId),
    /// An endpoint that has gone and still needs a BYE.
    Leaving(EndpointId),
}

/// The dialog of an endpoint that left before the ACK of its 2xx.
#[derive(Debug)]
pub(in crate::focus) struct Leaving {
    pub(in crate::focus) dialog: Dialog,
    pub(in crate::focus) answer: Unacknowledged,
    pub(in crate::focus) reason: ByeReason,
}

/// The event that a request of a peer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Awaits {
    /// An INVITE waits for the switch to admit the endpoint.
    Admission(EndpointId),
    /// An INVITE answered with 2xx waits for its ACK.
    Ack(EndpointId),
    /// A SUBSCRIBE waits for its 2xx to leave, which creates the subscription.
    Departure(SubscriptionId),
}

/// A request of ours without outcome.
#[derive(Debug)]
pub(in crate::focus) struct Pending {
    pub(in crate::focus) purpose: Purpose,
    pub(in crate::focus) timer: TimerKey,
    /// The request as sent, if we have credentials for a challenge.
    pub(in crate::focus) sent: Option<Box<OutgoingRequest>>,
    /// Challenges answered so far.
    pub(in crate::focus) challenges: u8,
}

/// Purpose of a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Purpose {
    /// Its outcome does not matter: BYE, last NOTIFY.
    Farewell,
    Notify(SubscriptionId),
    Refresh(EndpointId),
    Renewal(EndpointId),
    Invitation(InvitationId),
    Report(ReferralId),
}

impl Purpose {
    /// Longest time the host may take to report the outcome.
    pub(in crate::focus) fn timeout(self) -> Duration {
        match self {
            Self::Invitation(_) | Self::Renewal(_) => INVITE_TIMEOUT,
            _ => OUTCOME_TIMEOUT,
        }
    }
}

/// An INVITE of ours that phones may still answer.
#[derive(Debug)]
pub(in crate::focus) struct Dialled {
    /// Its state when the INVITE was sent.
    pub(in crate::focus) dialog: Dialog,
    /// To tags of the phones that have answered: further answers from them are retransmissions.
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
    pub(in crate::focus) fn is_new(&mut self, response: &Response) -> bool {
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

#[derive(Debug)]
struct Open {
    usage: Usage,
    /// The request of the peer that made it.
    made_by: Option<Made>,
    /// Requests under way in it; rarely any.
    under_way: Option<Box<UnderWay>>,
}

/// Requests of the peer in a dialog that are not complete.
#[derive(Debug, Default)]
struct UnderWay {
    transactions: Vec<TransactionId>,
}

impl Usage {
    /// The method that creates dialogs for this usage.
    fn method(self) -> Method {
        match self {
            Self::Endpoint(_) | Self::Leaving(_) => Method::Invite,
            Self::Subscription(_) => Method::Subscribe,
            Self::Referral(_) => Method::Refer,
        }
    }
}

/// The transaction of a peer that made a dialog.
#[derive(Debug)]
struct Made {
    cseq: u32,
    /// End of the transaction.
    until: Moment,
}

/// The dialogs, and the transactions in them and outside.
#[derive(Debug, Default)]
pub(in crate::focus) struct Dialogs {
    /// Texts and descriptions that dialogs and their users share.
    pub(in crate::focus) shared: Shared,
    open: BTreeMap<DialogKey, Open>,
    transactions: HashMap<TransactionId, (Awaits, DialogKey)>,
    /// Number of transactions that wait for an ACK.
    unacknowledged: usize,
    /// CANCELs that came before their INVITE.
    cancelled: HashSet<TransactionId>,
    requests: HashMap<RequestId, Pending>,
    dialled: HashMap<RequestId, Dialled>,
    leaving: HashMap<EndpointId, Leaving>,
}

impl Dialogs {
    /// Adds a dialog.
    pub(in crate::focus) fn open(&mut self, key: DialogKey, usage: Usage) {
        let open = Open {
            usage,
            made_by: None,
            under_way: None,
        };
        self.open.insert(key, open);
    }

    /// Adds a dialog made by this request of the peer.
    pub(in crate::focus) fn open_by(
        &mut self,
        now: Moment,
        key: DialogKey,
        usage: Usage,
        request: &Request,
    ) {
        self.open(key.clone(), usage);
        if let Some(open) = self.open.get_mut(&key) {
            open.made_by = cseq_number(request).map(|cseq| Made {
                cseq,
                until: now + TRANSACTION_LIFETIME,
            });
        }
    }

    /// Whether this is a second copy of a request in an ongoing transaction, which came another way
    /// (RFC 3261 §8.2.2.2): its first copy has made a dialog.
    pub(in crate::focus) fn is_merged(&self, now: Moment, request: &Request) -> bool {
        let cseq = cseq_number(request);
        self.of_call(request).any(|open| {
            open.usage.method() == request.method
                && (open.made_by.as_ref())
                    .is_some_and(|made| now < made.until && Some(made.cseq) == cseq)
        })
    }

    /// Removes a dialog and all that belongs to it.
    pub(in crate::focus) fn close(&mut self, key: &DialogKey) {
        let Some(open) = self.open.remove(key) else {
            return;
        };
        for transaction in open.under_way.into_iter().flat_map(|it| it.transactions) {
            self.take(transaction);
        }
        if self.open.is_empty() {
            self.shared.clear();
        }
    }

    /// The usage of a dialog.
    pub(in crate::focus) fn usage(&self, key: &DialogKey) -> Option<Usage> {
        Some(self.open.get(key)?.usage)
    }

    /// The usage of the dialog that a header names; a zero stands for an absent tag of the peer
    /// (RFC 3891 §6.1).
    pub(in crate::focus) fn usage_named(&self, named: &DialogReference) -> Option<Usage> {
        let key = |tag: &str| DialogKey::new(&named.call_id, &named.local_tag, tag);
        let usage = self.usage(&key(&named.remote_tag));
        match named.remote_tag.as_str() {
            "0" => usage.or_else(|| self.usage(&key(""))),
            _ => usage,
        }
    }

    /// The usage of the dialog that a request of the peer claims to belong to.
    pub(in crate::focus) fn usage_of(&self, request: &Request) -> Option<Usage> {
        self.usage(&DialogKey::of_request(request)?)
    }

    /// The usages of all dialogs of the call that a request belongs to.
    pub(in crate::focus) fn usages_of_call(
        &self,
        request: &Request,
    ) -> impl Iterator<Item = Usage> {
        self.of_call(request).map(|open| open.usage)
    }

    fn of_call(&self, request: &Request) -> impl Iterator<Item = &Open> {
        let from = request.headers.first("From");
        let from = from.and_then(|value| value.parse::<NameAddr>().ok());
        let tag = from.as_ref().and_then(|from| from.tag());
        let call_id = request.headers.first("Call-ID").unwrap_or_default();
        let first = DialogKey::new(call_id, "", tag.unwrap_or_default());
        let dialogs = self.open.range(first.clone()..);
        let dialogs = dialogs.take_while(move |(key, _)| key.is_of_call(&first));
        dialogs.map(|(_, open)| open)
    }

    /// Notes the event that a request in this dialog waits for.
    pub(in crate::focus) fn wait(
        &mut self,
        transaction: TransactionId,
        key: &DialogKey,
        awaits: Awaits,
    ) {
        self.settle(transaction);
        let Some(open) = self.open.get_mut(key) else {
            return;
        };
        let under_way = open.under_way.get_or_insert_default();
        under_way.transactions.push(transaction);
        self.unacknowledged += usize::from(matches!(awaits, Awaits::Ack(_)));
        self.transactions.insert(transaction, (awaits, key.clone()));
    }

    /// The event that a request of a peer waits for.
    pub(in crate::focus) fn awaits(&self, transaction: TransactionId) -> Option<Awaits> {
        self.transactions
            .get(&transaction)
            .map(|(awaits, _)| *awaits)
    }

    /// A request of a peer no longer waits.
    pub(in crate::focus) fn settle(&mut self, transaction: TransactionId) {
        if let Some(key) = self.take(transaction)
            && let Some(open) = self.open.get_mut(&key)
            && let Some(under_way) = &mut open.under_way
        {
            under_way.transactions.retain(|known| *known != transaction);
            if under_way.transactions.is_empty() {
                open.under_way = None;
            }
        }
    }

    fn take(&mut self, transaction: TransactionId) -> Option<DialogKey> {
        let (awaits, key) = self.transactions.remove(&transaction)?;
        self.unacknowledged -= usize::from(matches!(awaits, Awaits::Ack(_)));
        Some(key)
    }

    /// Number of INVITEs of peers that wait for their ACK.
    pub(in crate::focus) fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// The endpoints whose INVITE waits for the switch.
    pub(in crate::focus) fn awaiting_admission(&self) -> Vec<EndpointId> {
        let all = self.transactions.values();
        all.filter_map(|(awaits, _)| match awaits {
            Awaits::Admission(id) => Some(*id),
            _ => None,
        })
        .collect()
    }

    /// Remembers a CANCEL whose INVITE may still come; `false` when it is known already, or when
    /// there are too many.
    pub(in crate::focus) fn remember_cancel(&mut self, transaction: TransactionId) -> bool {
        self.cancelled.len() < MAX_CANCELS && self.cancelled.insert(transaction)
    }

    /// Whether this transaction was cancelled; forgets the CANCEL.
    pub(in crate::focus) fn take_cancel(&mut self, transaction: TransactionId) -> bool {
        self.cancelled.remove(&transaction)
    }

    /// Adds a request of ours that was sent.
    pub(in crate::focus) fn sent(&mut self, id: RequestId, pending: Pending) {
        self.requests.insert(id, pending);
    }

    /// Takes out a request of ours that has its outcome.
    pub(in crate::focus) fn take_request(&mut self, id: RequestId) -> Option<Pending> {
        self.requests.remove(&id)
    }

    /// The purpose of a request of ours without outcome.
    pub(in crate::focus) fn purpose(&self, id: RequestId) -> Option<Purpose> {
        Some(self.requests.get(&id)?.purpose)
    }

    /// Adds an INVITE of ours: phones may now answer it.
    pub(in crate::focus) fn dial(&mut self, id: RequestId, dialog: Dialog) {
        self.dialled.insert(id, Dialled::new(dialog));
    }

    /// An INVITE of ours that phones may still answer.
    pub(in crate::focus) fn dialled(&mut self, id: RequestId) -> Option<&mut Dialled> {
        self.dialled.get_mut(&id)
    }

    /// Removes an INVITE of ours: phones no longer answer it.
    pub(in crate::focus) fn forget_dialled(&mut self, id: RequestId) {
        self.dialled.remove(&id);
    }

    /// Keeps a dialog until the ACK of its 2xx.
    pub(in crate::focus) fn linger(&mut self, id: EndpointId, leaving: Leaving) {
        let key = &leaving.dialog.key;
        self.open(key.clone(), Usage::Leaving(id));
        self.wait(leaving.answer.transaction, key, Awaits::Ack(id));
        self.leaving.insert(id, leaving);
    }

    /// The dialog of an endpoint that has gone.
    pub(in crate::focus) fn leaving(&self, id: EndpointId) -> Option<&Leaving> {
        self.leaving.get(&id)
    }

    /// All endpoints that have gone and still need a BYE.
    pub(in crate::focus) fn all_leaving(&self) -> Vec<EndpointId> {
        self.leaving.keys().copied().collect()
    }

    /// Ends the dialog of an endpoint that has gone.
    pub(in crate::focus) fn take_leaving(&mut self, id: EndpointId) -> Option<Leaving> {
        let leaving = self.leaving.remove(&id)?;
        self.close(&leaving.dialog.key);
        Some(leaving)
    }

    /// Numbers of dialogs, of our requests, and of requests of peers.
    pub(in crate::focus) fn counts(&self) -> (usize, usize, usize) {
        (
            self.open.len(),
            self.requests.len(),
            self.transactions.len(),
        )
    }

    /// Names of the tables that are not empty.
    pub(in crate::focus) fn leftovers(&self) -> Vec<&'static str> {
        let all = [
            ("shared texts", self.shared.len()),
            ("dialogs", self.open.len()),
            ("transactions", self.transactions.len()),
            ("unacknowledged", self.unacknowledged),
            ("cancelled", self.cancelled.len()),
            ("requests", self.requests.len()),
            ("dialled", self.dialled.len()),
            ("leaving", self.leaving.len()),
        ];
        let left = all.into_iter().filter(|(_, count)| *count > 0);
        left.map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(call: &str, tag: &str) -> DialogKey {
        DialogKey::new(call, tag, "phone")
    }

    fn transaction(label: u32) -> TransactionId {
        TransactionId { hash: 1, label }
    }

    #[test]
    fn a_closed_dialog_leaves_nothing_in_any_index() {
        let mut dialogs = Dialogs::default();
        let (one, other) = (key("call", "a"), key("call", "b"));
        let endpoint = EndpointId(1);
        dialogs.open(one.clone(), Usage::Endpoint(endpoint));
        dialogs.open(other.clone(), Usage::Endpoint(EndpointId(2)));
        dialogs.wait(transaction(1), &one, Awaits::Admission(endpoint));
        dialogs.wait(transaction(1), &one, Awaits::Ack(endpoint));
        dialogs.wait(transaction(2), &one, Awaits::Ack(endpoint));
        dialogs.wait(transaction(3), &other, Awaits::Departure(SubscriptionId(2)));
        assert_eq!((dialogs.unacknowledged(), dialogs.counts()), (2, (2, 0, 3)));
        dialogs.settle(transaction(2));
        dialogs.settle(transaction(2));
        assert_eq!(dialogs.unacknowledged(), 1);
        dialogs.close(&one);
        assert_eq!(dialogs.awaits(transaction(1)), None);
        assert_eq!(
            dialogs.counts(),
            (1, 0, 1),
            "the other dialog of the call is there"
        );
        dialogs.close(&other);
        assert_eq!(dialogs.leftovers(), [""; 0]);
    }

    #[test]
    fn nothing_waits_in_a_dialog_that_is_closed() {
        let mut dialogs = Dialogs::default();
        dialogs.wait(
            transaction(1),
            &key("call", "a"),
            Awaits::Ack(EndpointId(1)),
        );
        assert_eq!(dialogs.leftovers(), [""; 0]);
    }

    #[test]
    fn stray_cancels_are_bounded() {
        let mut dialogs = Dialogs::default();
        for label in 0..MAX_CANCELS as u32 {
            assert!(dialogs.remember_cancel(transaction(label)));
        }
        assert!(!dialogs.remember_cancel(transaction(u32::MAX)));
        assert!(dialogs.take_cancel(transaction(0)));
        assert!(!dialogs.take_cancel(transaction(0)));
    }
}
