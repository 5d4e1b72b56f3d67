//! The conference focus (RFC 4353, 4579) and the notifier of the conference event package
//! (RFC 4575): one pure state machine. It opens no socket, reads no clock, starts no thread.
//!
//! [`Focus::handle`] takes an [`Input`], [`Focus::poll`] gives the [`Output`]s it caused,
//! [`Focus::deadline`] says when to come back with [`Input::Deadline`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use regex_lite::Regex;

use crate::control::{Order, RoomUri, SessionId, SwitchRun};
use crate::entropy::{Entropy, token};
use crate::log::{Level, Line};
use crate::time::Moment;
use crate::wire::fingerprint::Fingerprint;
use crate::wire::sip::{Method, Response};

mod call;
mod config;
mod dirty_map;
mod event;
mod ids;
mod invite;
mod io;
mod operator;
pub mod record;
mod request;
mod room;
mod roster;
mod sip;
#[cfg(test)]
mod tests;
mod timers;
mod watch;

pub use crate::control::{Listen, Transport};
pub use config::{
    About, Advertise, Config, Credentials, InviteMode, Lifetime, Pattern, PatternError, Role,
    RoomEntry,
};
pub use event::{Detail, Event};
pub use io::{
    Arrival, Input, OutgoingRequest, Output, Reply, RequestId, ScriptOptions, Socket, TransactionId,
};
pub use operator::{EndpointDetail, OperatorError, RoomDetail, RoomSummary, UserDetail};
pub use room::rooms::KeptRooms;

use dirty_map::DirtyMap;
use ids::{EndpointId, InvitationId, PublicationId, ReferralId, SubscriptionId};
use invite::forked_answers::Dialled;
use invite::referral::Referral;
use record::Counters;
use room::conference::Conference;
use room::endpoint::Endpoint;
use room::fingerprint_memory::FingerprintMemory;
use room::held_nicknames::HeldNicknames;
use room::invitation_limit::InvitationLimit;
use room::policy::Policy;
use room::rooms::Lookups;
use sip::dialog::DialogKey;
use sip::rejection::Refusal;
use timers::{Timer, TimerKey, Timers};
use watch::notify_queue::{Budget, NotifyQueue};
use watch::subscription::Subscription;

/// 64*T1: how long a 2xx waits for its ACK (RFC 3261 §13.3.1.4).
const ACK_TIMEOUT: Duration = Duration::from_secs(32);
/// How long an INVITE waits for the switch before it is answered 503.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a CANCEL that overtook its INVITE is remembered.
const CANCEL_MEMORY: Duration = Duration::from_secs(8);
/// Longer than any transaction of ours lives in the host (timer F and timer B: 32 s).
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than an INVITE of ours rings in the host (both stop after two minutes at most).
const INVITE_TIMEOUT: Duration = Duration::from_secs(200);
/// CANCELs remembered at the same time; a flood of stray ones forgets nothing else.
const MAX_CANCELS: usize = 10_000;
/// Characters of a tag, five random bits each: 80 bits (RFC 3261 §19.3 asks for 32).
const TAG_LENGTH: usize = 16;
/// Characters of a session id, five random bits each: 160 bits (RFC 4975 §14.1 asks for 80).
const SESSION_ID_LENGTH: usize = 32;

/// How much there is of everything; all zero when nothing is left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Running conferences.
    pub conferences: usize,
    /// Users who are in, over all conferences; the invited are not.
    pub participants: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Dialogs, those of subscriptions included.
    pub dialogs: usize,
    /// Requests of ours that have no outcome yet.
    pub requests: usize,
    /// Requests of peers that have no final answer yet, or no ACK.
    pub transactions: usize,
}

/// How many users are in, by room: brought up to date with the rooms that an input has touched.
#[derive(Debug, Default)]
struct Present {
    rooms: HashMap<RoomUri, usize>,
    total: usize,
}

impl Present {
    fn count(&mut self, room: &RoomUri, now: usize) {
        let before = match now {
            0 => self.rooms.remove(room),
            _ => self.rooms.insert(room.clone(), now),
        };
        self.total = self.total + now - before.unwrap_or_default();
    }
}

/// What has happened since the start; only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Endpoints that joined.
    pub joins: u64,
    /// Endpoints that left, for whatever reason.
    pub leaves: u64,
    /// MSRP sessions that ended by themselves.
    pub losses: u64,
    /// Requests refused with a final answer of 400 or more.
    pub refused: u64,
    /// NOTIFYs sent.
    pub notifies: u64,
}

/// Who uses a dialog; dialogs are not shared (RFC 6665 §4.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    Endpoint(EndpointId),
    Subscription(SubscriptionId),
    Referral(ReferralId),
}

/// A request of ours without outcome.
#[derive(Debug)]
struct Pending {
    purpose: Purpose,
    timer: TimerKey,
    /// As it was sent, where we have an answer to a challenge.
    sent: Option<Box<OutgoingRequest>>,
    /// Challenges answered so far.
    challenges: u8,
}

/// What a request of ours was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Nothing depends on how it ends: BYE, last NOTIFY.
    Farewell,
    Notify(SubscriptionId),
    Refresh(EndpointId),
    Renewal(EndpointId),
    Invitation(InvitationId),
    Report(ReferralId),
}

impl Purpose {
    /// Longer than the host may take to tell how it ended.
    fn patience(self) -> Duration {
        match self {
            Self::Invitation(_) | Self::Renewal(_) => INVITE_TIMEOUT,
            _ => OUTCOME_TIMEOUT,
        }
    }
}

fn policies(entries: &[RoomEntry], most: usize) -> HashMap<RoomUri, Arc<Policy>> {
    entries
        .iter()
        .map(|entry| (entry.uri.clone(), Policy::of_entry(entry, most)))
        .collect()
}

/// The focus.
pub struct Focus {
    config: Config,
    full_notify_agents: Option<Regex>,
    one_send_agents: Option<Regex>,
    entropy: Box<dyn Entropy + Send>,
    /// The rules of configured rooms and factories.
    rooms: HashMap<RoomUri, Arc<Policy>>,
    factories: HashMap<RoomUri, Arc<Policy>>,
    /// What management keeps of rooms, and who waits to know.
    kept_rooms: KeptRooms,
    lookups: Lookups,
    /// How many messages were sent in rooms that last.
    messages: HashMap<RoomUri, u64>,
    conferences: DirtyMap<RoomUri, Conference>,
    endpoints: DirtyMap<EndpointId, Endpoint>,
    subscriptions: DirtyMap<SubscriptionId, Subscription>,
    /// Nicknames of users who have left.
    held_nicknames: HeldNicknames,
    /// Rooms whose history has ended; the store is told with the next changes.
    ended_histories: Vec<RoomUri>,
    /// The room of every publication.
    publications: HashMap<PublicationId, RoomUri>,
    dialogs: HashMap<DialogKey, Usage>,
    /// The last dialog of each call of a peer: its Call-ID and From tag.
    calls: HashMap<(String, String), DialogKey>,
    sessions: HashMap<SessionId, EndpointId>,
    /// Where each invitation is.
    invitations: HashMap<InvitationId, RoomUri>,
    /// INVITEs of ours that phones may still answer.
    dialled: HashMap<RequestId, Dialled>,
    /// Invitations that ring, by the session they were promised.
    dialing: HashMap<SessionId, InvitationId>,
    /// Invitations by REFER, by its Call-ID.
    referred: HashMap<String, InvitationId>,
    referrals: HashMap<ReferralId, Referral>,
    /// INVITEs whose 2xx has no ACK yet.
    unacknowledged: HashMap<TransactionId, EndpointId>,
    /// SUBSCRIBEs whose 2xx makes a subscription and has not left yet.
    granted: HashMap<TransactionId, SubscriptionId>,
    /// INVITEs that wait for the switch.
    answering: HashMap<TransactionId, EndpointId>,
    /// CANCELs that came before their INVITE.
    cancelled: HashSet<TransactionId>,
    requests: HashMap<RequestId, Pending>,
    timers: Timers,
    /// Of the TLS listeners' certificate, as the switch last said.
    fingerprint: Option<Fingerprint>,
    fingerprints: FingerprintMemory,
    invitation_limit: InvitationLimit,
    /// The run of the switch that was met last.
    run: Option<SwitchRun>,
    /// Endpoints whose session ended with its switch, and since when they wait.
    renewals: VecDeque<EndpointId>,
    renewals_since: Option<Moment>,
    /// How counters are kept.
    counters: Counters,
    /// NOTIFYs that are due.
    turns: NotifyQueue,
    budget: Budget,
    last_id: u64,
    /// The number of the last anonymous participant.
    last_anonymous: u32,
    /// The number kept, which is not lower.
    kept_anonymous: u32,
    present: Present,
    outputs: VecDeque<Output>,
    totals: Totals,
    stopping: bool,
    /// Nobody new is let in: what joins promise cannot be kept.
    closed: bool,
    /// The host stops, and the next run goes on from here: nobody is told anything.
    suspended: bool,
    /// The first moment this focus was told.
    started: Option<Moment>,
    /// A socket that requests come in by: the first of UDP, as long as there is none the last.
    socket: Option<Socket>,
}

impl Focus {
    /// A focus without conferences. `config` is validated: what should be a regular
    /// expression and is none matches nobody.
    pub fn new(config: Config, entropy: Box<dyn Entropy + Send>) -> Self {
        let agents = |pattern: &Option<String>| Regex::new(pattern.as_deref()?).ok();
        Self {
            full_notify_agents: agents(&config.full_notify_agents),
            one_send_agents: agents(&config.one_send_agents),
            rooms: policies(&config.rooms, config.max_participants),
            factories: policies(&config.factories, config.max_participants),
            budget: Budget::new(config.notify_memory),
            kept_rooms: KeptRooms::default(),
            lookups: Lookups::default(),
            config,
            entropy,
            conferences: DirtyMap::default(),
            endpoints: DirtyMap::default(),
            subscriptions: DirtyMap::default(),
            held_nicknames: HeldNicknames::default(),
            ended_histories: Vec::new(),
            publications: HashMap::new(),
            dialogs: HashMap::new(),
            calls: HashMap::new(),
            sessions: HashMap::new(),
            invitations: HashMap::new(),
            dialled: HashMap::new(),
            dialing: HashMap::new(),
            referred: HashMap::new(),
            referrals: HashMap::new(),
            unacknowledged: HashMap::new(),
            granted: HashMap::new(),
            answering: HashMap::new(),
            cancelled: HashSet::new(),
            requests: HashMap::new(),
            timers: Timers::default(),
            fingerprint: None,
            fingerprints: FingerprintMemory::default(),
            invitation_limit: InvitationLimit::default(),
            run: None,
            renewals: VecDeque::new(),
            renewals_since: None,
            counters: Counters::Leased,
            turns: NotifyQueue::default(),
            last_id: 0,
            last_anonymous: 0,
            kept_anonymous: 0,
            present: Present::default(),
            outputs: VecDeque::new(),
            totals: Totals::default(),
            stopping: false,
            closed: false,
            suspended: false,
            started: None,
            socket: None,
            messages: HashMap::new(),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Moment, input: Input) {
        let position = self.outputs.len();
        let is_turn = matches!(input, Input::Deadline | Input::Stop);
        self.started.get_or_insert(now);
        match input {
            Input::Request(arrival) => self.request(now, *arrival),
            Input::Cancel(transaction) => self.cancel(now, transaction),
            Input::Answered(transaction) => self.answer_left(now, transaction),
            Input::Unanswered(transaction) => self.unanswered(now, transaction),
            Input::Outcome {
                request,
                code,
                response,
            } => self.outcome(now, request, code, response.as_deref()),
            Input::Progress { request, code } => self.progress(now, request, code),
            Input::Notice(notice) => self.notice(now, notice),
            Input::Found(found) => self.found(now, found),
            Input::Close(closed) => self.closed = closed,
            Input::Deadline => {}
            Input::Stop => self.stop(now),
            Input::Suspend => self.suspend(now),
        }
        if !self.suspended {
            self.keep_time(now, is_turn);
        }
        self.tell_changes(position);
    }

    fn keep_time(&mut self, now: Moment, is_turn: bool) {
        while let Some(timer) = self.timers.due(now) {
            self.fire(now, timer);
        }
        // Whatever comes in between is not delayed by who is to be notified.
        if is_turn {
            self.renew_some(now);
            self.notify_some(now);
        }
    }

    /// The next thing to do, until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Deadline`] at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        if self.suspended {
            return None;
        }
        let waiting = [self.turns.since(), self.renewals_since];
        let turn = waiting.into_iter().flatten().min().map(|since| {
            let free = self.budget.free_at();
            free.map_or(since, |free| free.max(since))
        });
        [turn, self.timers.deadline()].into_iter().flatten().min()
    }

    /// Whether nothing is left: no dialog, subscription or request under way.
    pub fn is_idle(&self) -> bool {
        let over = self.dialogs.is_empty() && self.requests.is_empty();
        (over || self.suspended) && self.outputs.is_empty()
    }

    /// What has happened since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// How much there is of everything.
    pub fn counts(&self) -> Counts {
        Counts {
            conferences: self.conferences.len(),
            participants: self.present.total,
            subscriptions: self.subscriptions.len(),
            dialogs: self.dialogs.len(),
            requests: self.requests.len(),
            transactions: self.answering.len()
                + self.unacknowledged.len()
                + self.granted.len()
                + self.lookups.len(),
        }
    }

    fn fire(&mut self, now: Moment, timer: Timer) {
        match timer {
            Timer::Admission(id) => self.admission_timed_out(now, id),
            Timer::Ack(id) => self.ack_timed_out(now, id),
            Timer::Rejoin(id) => self.rejoin_timed_out(now, id),
            Timer::Refresh(id) => self.refresh(now, id),
            Timer::Renewal(id) => self.renew(now, id),
            Timer::SessionExpiry(id) => self.session_expired(now, id),
            Timer::Invitation(id) => self.invitation_timed_out(now, id),
            Timer::Report(id) => self.send_report(now, id),
            Timer::Notify(id) => self.enqueue(now, id),
            Timer::Expiry(id) => self.subscription_expired(now, id),
            Timer::Publication(id) => self.publication_expired(now, id),
            Timer::ForgetCancel(transaction) => {
                self.cancelled.remove(&transaction);
            }
            Timer::ForgetDialled(request) => {
                self.dialled.remove(&request);
            }
            Timer::HeldNickname => self.free_nicknames(now),
            Timer::Lookup => self.lookups_timed_out(now),
            Timer::Restored => self.enforce_rules(now),
            Timer::Outcome(request) => self.outcome(now, request, 408, None),
        }
    }

    fn outcome(&mut self, now: Moment, request: RequestId, code: u16, response: Option<&Response>) {
        let accepted = response.filter(|_| (200..300).contains(&code));
        let Some(pending) = self.requests.remove(&request) else {
            if let Some(response) = accepted {
                self.refuse_answer(now, request, response);
            }
            return;
        };
        self.timers.disarm(Some(pending.timer));
        let purpose = pending.purpose;
        if let Some(response) = accepted {
            self.acknowledge_over_flow(purpose, response);
        }
        if matches!(code, 401 | 407)
            && let Some(challenge) = response
            && self.authenticate(now, request, pending, challenge)
        {
            return;
        }
        match purpose {
            Purpose::Farewell => {}
            Purpose::Notify(id) => self.notified(now, id, request, code, response),
            Purpose::Refresh(id) => self.refreshed(now, id, code, response),
            Purpose::Renewal(id) => self.renewed(now, id, code, response),
            Purpose::Invitation(id) => {
                self.invitation_outcome(now, id, request, code, response);
            }
            Purpose::Report(id) => self.reported(now, id, code),
        }
    }

    fn progress(&mut self, now: Moment, request: RequestId, code: u16) {
        let purpose = self.requests.get(&request).map(|pending| pending.purpose);
        if let Some(Purpose::Invitation(id)) = purpose {
            self.invitation_progress(now, id, code);
        }
    }

    /// Ends everything: 503 for who waits, BYE for who is in, a last NOTIFY for who watches.
    fn stop(&mut self, now: Moment) {
        self.stopping = true;
        self.refuse_all_waiting();
        let endpoints: Vec<_> = self.endpoints.keys().copied().collect();
        for id in endpoints {
            self.dismiss(now, id);
        }
        let invitations: Vec<_> = self.invitations.keys().copied().collect();
        for id in invitations {
            self.withdraw_invitation(now, id);
        }
        let rooms: Vec<_> = self.conferences.keys().cloned().collect();
        for room in rooms {
            self.end_conference(now, &room);
        }
    }

    /// Leaves everything to the next run but what it cannot take up: INVITEs without an
    /// answer, in both directions.
    fn suspend(&mut self, now: Moment) {
        self.stopping = true;
        self.suspended = true;
        self.refuse_all_waiting();
        let waiting: Vec<_> = self.answering.values().copied().collect();
        for id in waiting {
            self.abandon(now, id, Refusal::new(503));
        }
        let invitations: Vec<_> = self.invitations.keys().copied().collect();
        for id in invitations {
            self.withdraw_invitation(now, id);
        }
        self.counters = Counters::Exact;
        self.touch_counters();
    }

    fn track(&mut self, key: DialogKey, usage: Usage) {
        let call = (key.call_id.clone(), key.remote_tag.clone());
        self.calls.insert(call, key.clone());
        self.dialogs.insert(key, usage);
    }

    fn untrack(&mut self, key: &DialogKey) {
        let call = (key.call_id.clone(), key.remote_tag.clone());
        if self.calls.get(&call) == Some(key) {
            self.calls.remove(&call);
        }
        self.dialogs.remove(key);
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn new_tag(&mut self) -> String {
        token(self.entropy.as_mut(), TAG_LENGTH)
    }

    fn order(&mut self, order: Order) {
        self.outputs.push_back(Output::Order(order));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn log(&mut self, level: Level, text: impl std::fmt::Display) {
        self.outputs.push_back(Output::Log(Line::new(level, text)));
    }

    /// Sends a request inside a dialog and remembers what it was for.
    fn send(
        &mut self,
        now: Moment,
        purpose: Purpose,
        make: impl FnOnce(&mut Self, RequestId) -> Option<OutgoingRequest>,
    ) -> Option<RequestId> {
        let id = RequestId(self.next_id());
        let request = make(self, id)?;
        let timer = self
            .timers
            .arm(now + purpose.patience(), Timer::Outcome(id));
        let pending = Pending {
            purpose,
            timer,
            sent: (!self.config.credentials.is_empty()).then(|| Box::new(request.clone())),
            challenges: 0,
        };
        self.requests.insert(id, pending);
        self.totals.notifies += u64::from(request.method == Method::Notify);
        self.outputs.push_back(Output::Send(Box::new(request)));
        Some(id)
    }
}
