//! The conference focus (RFC 4353, 4579) and the notifier of the conference event package
//! (RFC 4575): one pure state machine. It opens no socket, reads no clock, starts no thread.
//!
//! [`Focus::handle`] takes an [`Input`], [`Focus::poll`] returns the resulting [`Output`]s, and
//! [`Focus::deadline`] is the time of the next [`Input::Deadline`].

use std::collections::VecDeque;
use std::time::Duration;

use regex_lite::Regex;

use crate::control::SwitchRun;
use crate::counters::Totals;
use crate::entropy::Entropy;
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
mod out;
mod pattern;
mod pool;
pub mod record;
mod request;
mod room;
mod roster;
pub mod rules;
mod sip;
#[cfg(test)]
mod tests;
mod throttle;
mod timers;
mod watch;

pub use crate::control::{Listen, Transport};
pub use config::{Advertise, Config, Credentials, InviteMode};
pub use event::{DETAILS, Detail, EVENTS, Event, EventInfo, EventKind};
pub use io::{
    Arrival, Input, OutgoingRequest, Output, Reply, RequestId, ScriptOptions, Socket, TransactionId,
};
pub use operator::{EndpointDetail, OperatorError, RoomDetail, RoomSummary, UserDetail};
pub use pattern::{Pattern, PatternError};
pub use room::rooms::KeptRooms;
pub use rules::{About, Lifetime, Role, RoomEntry, RoomRules};
pub use sip::cause::Cause;

use call::refused_join::RefusedJoins;
use ids::EndpointId;
use invite::table::Invites;
use out::Out;
use record::Counters;
use room::rooms::Lookups;
use room::table::RoomTable;
use sip::bye_reason::ByeReason;
use sip::dialogs::{Dialogs, Pending, Purpose};
use timers::{Timer, Timers};
use watch::table::Watch;

/// Time an INVITE waits for the switch before it is answered 503.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(5);
/// Time to remember a CANCEL that arrived before its INVITE.
const CANCEL_MEMORY: Duration = Duration::from_secs(8);
/// Numbers of live objects; all zero when nothing is left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Running conferences.
    pub conferences: usize,
    /// Participants over all conferences, without invited users.
    pub participants: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Dialogs, including those of subscriptions.
    pub dialogs: usize,
    /// Requests of ours that have no outcome yet.
    pub requests: usize,
    /// Requests of peers that have no final answer yet, or no ACK.
    pub transactions: usize,
}

/// The known state of the switch.
#[derive(Debug, Default)]
struct SwitchSide {
    /// Addresses on which it accepts MSRP connections.
    listen: Vec<Listen>,
    /// The run of the last connected switch.
    run: Option<SwitchRun>,
    /// Fingerprint of the TLS listeners' certificate, as last reported by the switch.
    fingerprint: Option<Fingerprint>,
    /// Endpoints whose session ended with its switch, in the order of their renewal.
    renewals: VecDeque<EndpointId>,
    renewals_since: Option<Moment>,
}

/// The focus. Each part owns its piece of the state.
pub struct Focus {
    config: Config,
    one_send_agents: Option<Regex>,
    timers: Timers,
    out: Out,
    dialogs: Dialogs,
    rooms: RoomTable,
    /// Requests that wait for the look-up of their room.
    lookups: Lookups,
    watch: Watch,
    invites: Invites,
    switch: SwitchSide,
    /// How counters are stored.
    counters: Counters,
    stopping: bool,
    /// New participants are refused: the store cannot keep what a join promises.
    closed: bool,
    /// The host stops, and the next run goes on from here: the focus sends nothing.
    suspended: bool,
    /// Time of the first input.
    started: Option<Moment>,
    /// A socket that requests came in on: the first UDP socket; until there is one, the last
    /// socket.
    socket: Option<Socket>,
    refused_joins: RefusedJoins,
    /// The socket to send from before the first request.
    default_socket: Option<Socket>,
}

impl Focus {
    /// A focus without conferences. `config` is validated; an invalid regular expression in it
    /// matches nothing.
    pub fn new(config: Config, entropy: Box<dyn Entropy + Send>) -> Self {
        let one_send = config.one_send_agents.as_deref();
        Self {
            one_send_agents: one_send.and_then(|pattern| Regex::new(pattern).ok()),
            timers: Timers::default(),
            out: Out::new(config.software.clone(), entropy),
            dialogs: Dialogs::default(),
            rooms: RoomTable::new(&config),
            lookups: Lookups::default(),
            watch: Watch::new(&config),
            invites: Invites::default(),
            switch: SwitchSide {
                listen: config.listen.clone(),
                ..SwitchSide::default()
            },
            config,
            counters: Counters::Leased,
            stopping: false,
            closed: false,
            suspended: false,
            started: None,
            socket: None,
            refused_joins: RefusedJoins::default(),
            default_socket: None,
        }
    }

    /// Sets the socket to send from before the first request.
    pub fn send_from(&mut self, default: Option<Socket>) {
        self.default_socket = default;
    }

    /// Handles one input.
    pub fn handle(&mut self, now: Moment, input: Input) {
        let position = self.out.len();
        let is_turn = matches!(input, Input::Deadline | Input::Stop);
        self.started.get_or_insert(now);
        match input {
            Input::Request(arrival) => self.request(now, *arrival),
            Input::Cancel(transaction) => self.cancel(now, transaction),
            Input::Answered(transaction) => self.answer_left(now, transaction),
            Input::Unanswered(transaction) => self.unanswered(now, transaction),
            Input::Outcome {
                request,
                reached,
                code,
                response,
            } => {
                self.note_reached(request, reached);
                self.outcome(now, request, code, response.as_deref());
            }
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
            self.show_presences(now);
        }
        self.tell_changes(position);
        self.out.log_counted(now);
    }

    fn keep_time(&mut self, now: Moment, is_turn: bool) {
        while let Some(timer) = self.timers.due(now) {
            self.fire(now, timer);
        }
        // NOTIFYs and renewals are sent in turns of their own, so that other inputs do not wait for
        // them.
        if is_turn {
            self.renew_some(now);
            self.notify_some(now);
        }
    }

    /// The next output; `None` when there is none left.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// Latest time of the next [`Input::Deadline`].
    pub fn deadline(&self) -> Option<Moment> {
        if self.suspended {
            return None;
        }
        let waiting = [self.watch.queue.since(), self.switch.renewals_since];
        let turn = waiting.into_iter().flatten().min().map(|since| {
            let free = self.watch.budget.free_at();
            free.map_or(since, |free| free.max(since))
        });
        [turn, self.timers.deadline()].into_iter().flatten().min()
    }

    /// Whether no dialog, subscription or request is left.
    pub fn is_idle(&self) -> bool {
        let (dialogs, requests, _) = self.dialogs.counts();
        let over = dialogs + requests == 0;
        (over || self.suspended) && self.out.len() == 0
    }

    /// Names of the tables that are not empty. Once everybody has left, every subscription has
    /// ended and every timer has passed, there must be none.
    pub fn leftovers(&self) -> Vec<&'static str> {
        let all = [
            ("renewals", self.switch.renewals.len()),
            ("timers", self.timers.len()),
            ("outputs", self.out.len()),
            ("lookups", self.lookups.len()),
        ];
        let left = all.into_iter().filter(|(_, count)| *count > 0);
        let names = left.map(|(name, _)| name);
        let owners = [
            self.dialogs.leftovers(),
            self.rooms.leftovers(),
            self.watch.leftovers(),
            self.invites.leftovers(),
        ];
        names.chain(owners.concat()).collect()
    }

    /// Totals since the start.
    pub fn totals(&self) -> Totals {
        let counts = self.counts();
        Totals {
            conferences: counts.conferences as u64,
            participants: counts.participants as u64,
            subscriptions: counts.subscriptions as u64,
            ..self.out.totals
        }
    }

    /// Numbers of live objects.
    pub fn counts(&self) -> Counts {
        let (dialogs, requests, transactions) = self.dialogs.counts();
        Counts {
            conferences: self.rooms.conferences().len(),
            participants: self.rooms.present.total,
            subscriptions: self.watch.subscriptions().len(),
            dialogs,
            requests,
            transactions: transactions + self.lookups.len(),
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
                self.dialogs.take_cancel(transaction);
            }
            Timer::ForgetDialled(request) => {
                self.dialogs.forget_dialled(request);
            }
            Timer::Idle => self.cool_down(now),
            Timer::HeldNickname => self.free_nicknames(now),
            Timer::Lookup => self.lookups_timed_out(now),
            Timer::Restored => self.enforce_rules(now),
            Timer::Outcome(request) => self.outcome(now, request, 408, None),
        }
    }

    fn outcome(&mut self, now: Moment, request: RequestId, code: u16, response: Option<&Response>) {
        let accepted = response.filter(|_| (200..300).contains(&code));
        let Some(pending) = self.dialogs.take_request(request) else {
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
            Purpose::Farewell => self.farewell_over(request),
            Purpose::Notify(id) => self.notified(now, id, request, code, response),
            Purpose::Refresh(id) => self.refreshed(now, id, code, response),
            Purpose::Renewal(id) => self.renewed(now, id, code, response),
            Purpose::Invitation(id) => {
                self.invitation_outcome(now, id, request, code, response);
            }
            Purpose::Report(id) => self.reported(now, id, code, response),
        }
    }

    fn progress(&mut self, now: Moment, request: RequestId, code: u16) {
        if let Some(Purpose::Invitation(id)) = self.dialogs.purpose(request) {
            self.invitation_progress(now, id, code);
        }
    }

    /// Ends everything: 503 for waiting requests, BYE for participants, a last NOTIFY for
    /// subscribers.
    fn stop(&mut self, now: Moment) {
        self.stopping = true;
        self.leave_at_once(now);
        self.refuse_all_waiting();
        let endpoints: Vec<_> = self.rooms.endpoints().keys().copied().collect();
        for id in endpoints {
            self.dismiss(now, id, ByeReason::Stopping);
        }
        let invitations = self.invites.ids();
        for id in invitations {
            self.withdraw_invitation(now, id);
        }
        let rooms: Vec<_> = self.rooms.conferences().keys().cloned().collect();
        for room in rooms {
            self.end_conference(now, &room);
        }
    }

    /// Leaves the state to the next run. INVITEs without an answer end, in both directions: the
    /// next run cannot continue them.
    fn suspend(&mut self, now: Moment) {
        self.stopping = true;
        self.suspended = true;
        self.leave_at_once(now);
        self.refuse_all_waiting();
        for id in self.dialogs.awaiting_admission() {
            self.abandon(now, id, Cause::Stopping);
        }
        let invitations = self.invites.ids();
        for id in invitations {
            self.withdraw_invitation(now, id);
        }
        self.counters = Counters::Exact;
        self.touch_counters();
    }

    /// An id for a request of ours.
    fn request_id(&mut self) -> RequestId {
        RequestId(self.out.next_id())
    }

    /// Sends a request and remembers its purpose.
    fn send(&mut self, now: Moment, purpose: Purpose, request: OutgoingRequest) {
        let id = request.id;
        let timer = self.timers.arm(now + purpose.timeout(), Timer::Outcome(id));
        let pending = Pending {
            purpose,
            timer,
            sent: (!self.config.credentials.is_empty()).then(|| Box::new(request.clone())),
            challenges: 0,
        };
        self.dialogs.sent(id, pending);
        self.out.totals.notifies += u64::from(request.method == Method::Notify);
        self.out.push(Output::Send(Box::new(request)));
    }
}
