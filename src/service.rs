//! Wiring: frames from the workers and notices from the switch become inputs of the focus; its
//! outputs become host calls, orders and log lines. Ordered start and stop. This file decides
//! nothing about conferences, and about SIP only how a request leaves (`outgoing`: its destination,
//! and when a CANCEL may be sent, RFC 3261 §9.1) and the address of a socket that listens on all of
//! them.
//!
//! Outputs leave in the order in which the focus gives them, under one rule: a change that an
//! output promises must be committed first. So after a batch for the store, replies below 300,
//! requests and promising orders wait in `commits` until the store has settled that batch. A
//! refusal (300 and above) promises nothing and leaves at once; so do log lines, events, store
//! queries and the orders that promise nothing. Acknowledgements of histories wait for their own
//! batches and delay nothing else.
//!
//! A store that makes no progress is given up: everything that waits leaves, and conferences go on
//! in memory. While too many outputs wait, or the store may keep nothing, the focus admits no
//! newcomers. A turn takes a limited number of notices and raises a limited number of message
//! events, so that a flood of either cannot delay requests.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::bridge::{Frame, Query};
use crate::control::{Notice, Order};
use crate::counters::Totals;
use crate::entropy;
use crate::focus::record::{Change, Query as StoreQuery, Unreadable};
use crate::focus::{Arrival, Event, Input, Output, Reply, RequestId, TransactionId};
use crate::log::{Level, Line};
use crate::management::{self, Answer, Fault};
use crate::net;
use crate::statistics::Statistics;
use crate::time::Moment;
use crate::wire::sip::{Message, Response};
use commits::Commits;
use outgoing::Outgoing;
pub use traits::{Core, Departure, Host, Names, NotReplied, NotSent, Store, Switch};

mod commits;
mod leaving;
mod outgoing;
#[cfg(test)]
mod outgoing_tests;
mod traits;

/// Longest time a stop waits for outcomes of the last requests. Kamailio's main process kills
/// late children; one second is well below its limit.
pub const STOP_GRACE: Duration = Duration::from_secs(1);

/// Notices taken in one turn, so that a flood of them cannot delay requests.
const NOTICES_A_TURN: usize = 1024;

/// How often the statistics are updated: counting visits every conference.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);

/// How often the rooms are counted: this may query the store.
const ROOMS_INTERVAL: Duration = Duration::from_secs(1);

/// Operator requests that may wait for a store query.
const MAX_DEFERRED: usize = 1_000;
/// Longest wait of such a request; the management interface waits little longer.
const DEFERRED_TIMEOUT: Duration = Duration::from_secs(3);

/// Message events that may wait.
const MAX_MESSAGE_EVENTS: usize = 1_000;
/// Message events raised in one turn: a script may look at each.
const MESSAGE_EVENTS_A_TURN: usize = 16;

/// An operator request that waits for a store query.
struct Deferred {
    query: StoreQuery,
    request: management::Action,
    /// The query to answer; requests of other modules have none.
    asker: Option<Query>,
    since: Moment,
}

/// Focus, switch and store, wired together.
pub struct Service<C, S, T> {
    core: C,
    switch: S,
    store: T,
    /// Outputs that wait for the store.
    commits: Commits,
    /// No newcomers are admitted.
    admission_closed: bool,
    notices: Receiver<Notice>,
    statistics: &'static Statistics,
    counted_at: Moment,
    rooms_counted_at: Moment,
    /// Totals already added to the statistics.
    counted: Totals,
    outgoing: Outgoing,
    /// Inputs that host calls caused, kept until the present outputs are done.
    follow_ups: VecDeque<Input>,
    /// Operator requests that wait for a store query.
    deferred: Vec<Deferred>,
    /// Message events to raise, oldest first.
    message_events: VecDeque<Event>,
    /// The switch reports every message.
    reports_messages: bool,
}

impl<C: Core, S: Switch, T: Store> Service<C, S, T> {
    /// A new service. `notices` receives the notices of the switch.
    pub fn new(
        core: C,
        switch: S,
        store: T,
        notices: Receiver<Notice>,
        statistics: &'static Statistics,
    ) -> Self {
        Self {
            core,
            switch,
            store,
            commits: Commits::new(),
            admission_closed: false,
            notices,
            statistics,
            counted_at: Moment::from_epoch(Duration::ZERO),
            rooms_counted_at: Moment::from_epoch(Duration::ZERO),
            counted: Totals::default(),
            outgoing: Outgoing::new(Box::new(entropy::System)),
            follow_ups: VecDeque::new(),
            deferred: Vec::new(),
            message_events: VecDeque::new(),
            reports_messages: false,
        }
    }

    /// Sets the name servers; without them only addresses can be reached.
    pub fn resolve_with(&mut self, names: Box<dyn Names>) {
        self.outgoing.resolve_with(Some(names));
    }

    /// Takes a frame from a worker.
    pub fn accept(&mut self, now: Moment, frame: Frame, host: &mut dyn Host) {
        let input = match frame {
            Frame::Request(mut arrival) => {
                name_socket(&mut arrival);
                Some(Input::Request(arrival))
            }
            Frame::Cancel(transaction) => Some(Input::Cancel(transaction)),
            Frame::Progress {
                request,
                code,
                transaction,
            } => {
                let ringing = self.outgoing.progress(now, request, transaction, host);
                ringing.map(|request| Input::Progress { request, code })
            }
            Frame::Outcome {
                request,
                code,
                response,
            } => {
                let end = (code, response.is_empty());
                let outcome = self.outgoing.outcome(now, request, end, host);
                outcome.map(|(request, reached)| Input::Outcome {
                    request,
                    reached,
                    code,
                    response: parse_response(&response, request, host),
                })
            }
            Frame::Sent { request, error } => {
                let done = match error {
                    0 => Ok(()),
                    error => Err(NotSent::Refused(error)),
                };
                self.outgoing.handed(now, request, done, host);
                None
            }
        };
        match input {
            Some(input) => self.handle(now, input, host),
            None => self.run_outputs(now, host),
        }
    }

    /// Takes the notices of the switch, and handles everything due by `now`.
    pub fn turn(&mut self, now: Moment, host: &mut dyn Host) {
        self.outgoing.turn(now, host);
        self.run_outputs(now, host);
        self.watch_store(now, host);
        self.release_committed(now, host);
        self.handle_found(now, host);
        if self.store.wants_everything() {
            let everything = self.core.snapshot();
            let batch = self.store.rewrite(everything);
            self.commits.promise(now, batch);
        }
        self.handle_notices(now, host);
        self.raise_message_events(host);
        if self.core.deadline().is_some_and(|deadline| deadline <= now) {
            self.handle(now, Input::Deadline, host);
        }
        if now.saturating_since(self.counted_at) >= COUNT_INTERVAL {
            self.counted_at = now;
            self.count();
            self.choose_message_reports(host);
        }
        if now.saturating_since(self.rooms_counted_at) >= ROOMS_INTERVAL {
            self.rooms_counted_at = now;
            self.statistics.set_rooms(self.core.rooms() as u64);
        }
    }

    /// When [`Service::turn`] must be called at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        if !self.notices.is_empty() || !self.message_events.is_empty() {
            return Some(Moment::from_epoch(Duration::ZERO));
        }
        let commit = self.commits.deadline(self.store.settled());
        let deadlines = [self.core.deadline(), self.outgoing.deadline(), commit];
        deadlines.into_iter().flatten().min()
    }

    /// Begins the stop: every dialog and subscription gets its farewell, unless the next run will
    /// resume it. Keep turning until [`Service::is_idle`] or for [`STOP_GRACE`], then call
    /// [`Service::finish`].
    pub fn stop(&mut self, now: Moment, host: &mut dyn Host) {
        let input = match self.store.is_safe() {
            true => Input::Suspend,
            false => Input::Stop,
        };
        self.handle(now, input, host);
    }

    /// Whether no dialog, subscription or request is left.
    pub fn is_idle(&self) -> bool {
        self.core.is_idle() && self.commits.is_idle(self.store.settled())
    }

    /// Stops switch and store. The switch's last reports about histories are stored, too.
    pub fn finish(&mut self) {
        self.outgoing.resolve_with(None);
        self.switch.stop();
        let last = self.notices.try_iter();
        for notice in last.filter(|notice| matches!(notice, Notice::Remember { .. })) {
            self.core.handle(self.counted_at, Input::Notice(notice));
            while let Some(output) = self.core.poll() {
                if let Output::Remember(change, _) = output {
                    self.store.write(vec![Change::Remember(change)]);
                }
            }
        }
        self.store.stop();
    }

    fn handle_notices(&mut self, now: Moment, host: &mut dyn Host) {
        for _ in 0..NOTICES_A_TURN {
            let Ok(notice) = self.notices.try_recv() else {
                break;
            };
            // A switch that has (re)connected reports nothing until ordered.
            self.reports_messages &= !matches!(notice, Notice::Connected { .. });
            self.handle(now, Input::Notice(notice), host);
        }
    }

    /// Gives the focus one input and carries out all its consequences.
    fn handle(&mut self, now: Moment, input: Input, host: &mut dyn Host) {
        self.core.handle(now, input);
        self.run_outputs(now, host);
    }

    /// Carries out the outputs of the focus until it has no more.
    fn run_outputs(&mut self, now: Moment, host: &mut dyn Host) {
        loop {
            while let Some(output) = self.core.poll() {
                self.run_output(now, output, host);
            }
            match self.next_follow_up() {
                Some(input) => self.core.handle(now, input),
                None => return,
            }
        }
    }

    fn next_follow_up(&mut self) -> Option<Input> {
        let follow_up = self.follow_ups.pop_front();
        follow_up.or_else(|| {
            let (request, code) = self.outgoing.poll()?;
            Some(Input::Outcome {
                request,
                reached: None,
                code,
                response: None,
            })
        })
    }

    /// Carries one output out, or holds it until the store has committed the changes it promises.
    fn run_output(&mut self, now: Moment, output: Output, host: &mut dyn Host) {
        match output {
            Output::Store(changes) => {
                let batch = self.store.write(changes);
                self.commits.promise(now, batch);
            }
            Output::Ask(query) => self.store.ask(query),
            Output::Order(order) if !order.is_promise() => self.switch.order(order),
            Output::Remember(change, done) => {
                let batch = self.store.write(vec![Change::Remember(change)]);
                self.commits.acknowledge(now, batch, done);
                self.acknowledge_histories();
            }
            Output::Event(event) => self.raise(event, host),
            Output::Log(line) => host.log(&line),
            Output::Release(transaction) => host.release(transaction),
            Output::Withdraw(transaction) => self.commits.withdraw(transaction),
            // A refusal promises nothing.
            Output::Reply(transaction, reply) if reply.code >= 300 => {
                self.reply(transaction, &reply, host);
            }
            output if self.commits.must_wait(self.store.settled()) => self.commits.hold(output),
            output => self.send_out(now, output, host),
        }
    }

    /// Sends an output that waits for no commit.
    fn send_out(&mut self, now: Moment, output: Output, host: &mut dyn Host) {
        match output {
            Output::Reply(transaction, reply) => self.reply(transaction, &reply, host),
            Output::Send(request) => self.outgoing.send(now, request, host),
            Output::Cancel(request) => self.outgoing.cancel(now, request, host),
            Output::Order(order) => self.switch.order(order),
            Output::Store(_)
            | Output::Ask(_)
            | Output::Remember(..)
            | Output::Event(_)
            | Output::Log(_)
            | Output::Release(_)
            | Output::Withdraw(_) => {}
        }
    }

    /// Gives up a store that makes no progress, so that nothing waits for it any more. While too
    /// much waits, or the store keeps nothing, no newcomers are admitted.
    fn watch_store(&mut self, now: Moment, host: &mut dyn Host) {
        if self.commits.is_stuck(now, self.store.settled()) {
            self.store.give_up();
            self.commits.give_up(now, self.store.settled());
        }
        let closed = self.commits.are_behind() || self.store.refuses();
        if closed != self.admission_closed {
            self.admission_closed = closed;
            self.handle(now, Input::Close(closed), host);
        }
    }

    /// Sends the outputs whose changes the store has committed.
    fn release_committed(&mut self, now: Moment, host: &mut dyn Host) {
        let committed = self.store.settled();
        while let Some(output) = self.commits.next_output(committed) {
            self.send_out(now, output, host);
        }
        self.acknowledge_histories();
        while let Some((query, answer)) = self.commits.next_answer(committed) {
            query.answer(&answer);
        }
        self.run_outputs(now, host);
    }

    fn acknowledge_histories(&mut self) {
        let committed = self.store.settled();
        while let Some(order) = self.commits.next_history_order(committed) {
            self.switch.order(order);
        }
    }

    /// Answers an operator's query.
    pub fn answer(&mut self, now: Moment, query: Query, host: &mut dyn Host) {
        match query.call.read() {
            Ok(request) => self.handle_request(now, request, Some(query), host),
            Err(fault) => self.give_answer(Some(query), Err(fault), host),
        }
    }

    /// Carries out another module's order; the module already has its answer.
    pub fn order(&mut self, now: Moment, request: management::Action, host: &mut dyn Host) {
        self.handle_request(now, request, None, host);
    }

    /// Carries a request out, after a store query if it needs one.
    fn handle_request(
        &mut self,
        now: Moment,
        request: management::Action,
        asker: Option<Query>,
        host: &mut dyn Host,
    ) {
        let Some(query) = self.core.needs(&request) else {
            let answer = self.operate(now, &request, host);
            return self.give_answer(asker, answer, host);
        };
        if self.deferred.len() >= MAX_DEFERRED {
            return self.give_answer(asker, Err(Fault::new(503, Unreadable)), host);
        }
        self.store.ask(query.clone());
        self.deferred.push(Deferred {
            query,
            request,
            asker,
            since: now,
        });
    }

    fn give_answer(&mut self, asker: Option<Query>, answer: Answer, host: &mut dyn Host) {
        match asker {
            // The answer promises its change, as a 200 does.
            Some(query) if self.commits.must_wait(self.store.settled()) => {
                self.commits.hold_answer(query, answer);
            }
            Some(query) => query.answer(&answer),
            None => {
                if let Err(fault) = answer {
                    let line = format_args!("ordered by another module: {fault}");
                    host.log(&Line::new(Level::Warning, line));
                }
            }
        }
    }

    /// Gives the focus the results of store queries, and carries out the requests that waited for
    /// them.
    fn handle_found(&mut self, now: Moment, host: &mut dyn Host) {
        for _ in 0..NOTICES_A_TURN {
            let Some(found) = self.store.found() else {
                break;
            };
            let query = found.query.clone();
            let is_readable = found.answer.is_ok();
            self.handle(now, Input::Found(found), host);
            let ready = self.deferred.extract_if(.., |it| it.query == query);
            for request in ready.collect::<Vec<_>>() {
                let answer = match is_readable {
                    true => self.operate(now, &request.request, host),
                    false => Err(Fault::new(503, Unreadable)),
                };
                self.give_answer(request.asker, answer, host);
            }
        }
        let is_late = |it: &mut Deferred| now.saturating_since(it.since) >= DEFERRED_TIMEOUT;
        for late in self.deferred.extract_if(.., is_late).collect::<Vec<_>>() {
            self.give_answer(late.asker, Err(Fault::new(503, Unreadable)), host);
        }
    }

    /// Carries out an operator's request.
    ///
    /// # Errors
    /// Why it was not carried out.
    pub fn operate(
        &mut self,
        now: Moment,
        request: &management::Action,
        host: &mut dyn Host,
    ) -> Answer {
        match request {
            management::Action::Stats => {
                self.count();
                Ok(management::statistics(self.statistics, self.core.rooms()))
            }
            management::Action::Reload => match self.switch.reload() {
                Ok(tls) => Ok(management::Value::record([("tls", tls.into())])),
                Err(error) => Err(Fault::new(500, error)),
            },
            request => {
                let answer = self.core.operate(now, request);
                self.run_outputs(now, host);
                answer
            }
        }
    }

    /// Raises an event; message events wait until nothing else is to be done, and the newest of a
    /// flood are dropped.
    fn raise(&mut self, event: Event, host: &mut dyn Host) {
        match event {
            Event::Message(_) if self.message_events.len() < MAX_MESSAGE_EVENTS => {
                self.message_events.push_back(event);
            }
            Event::Message(_) => {}
            event => host.event(&event),
        }
    }

    fn raise_message_events(&mut self, host: &mut dyn Host) {
        for _ in 0..MESSAGE_EVENTS_A_TURN {
            let Some(event) = self.message_events.pop_front() else {
                return;
            };
            host.event(&event);
        }
    }

    /// Switches the switch's message reports on while anybody in the host subscribes to them.
    fn choose_message_reports(&mut self, host: &mut dyn Host) {
        let wanted = host.wants_messages();
        if wanted != self.reports_messages {
            self.reports_messages = wanted;
            self.switch.order(Order::ReportMessages(wanted));
        }
    }

    /// Tells the focus whether its 2xx has left: the host refuses it after a final answer of its
    /// own (to a CANCEL that the script relayed).
    fn reply(&mut self, transaction: TransactionId, reply: &Reply, host: &mut dyn Host) {
        let replied = host.reply(transaction, reply);
        if (200..300).contains(&reply.code) {
            self.follow_ups.push_back(match replied {
                Ok(()) => Input::Answered(transaction),
                Err(_) => Input::Unanswered(transaction),
            });
        }
        if let Err(error) = replied {
            let TransactionId { hash, label } = transaction;
            host.log(&Line::new(
                Level::Debug,
                format_args!(
                    "reply {} to transaction {hash}:{label}: {error}",
                    reply.code
                ),
            ));
        }
    }

    /// Updates the statistics with the counts of focus, switch and resolver.
    fn count(&mut self) {
        let mut totals = self.core.totals();
        totals += self.switch.totals();
        totals += self.outgoing.totals();
        let before = std::mem::replace(&mut self.counted, totals);
        self.statistics.update(totals, before);
    }
}

/// A socket that listens on every address (`0.0.0.0`) has no address of its own: the caller sees
/// the one it called.
fn name_socket(arrival: &mut Arrival) {
    let host = arrival.socket.host.trim_matches(['[', ']']);
    let address = host.parse::<IpAddr>();
    if address.is_ok_and(|address| address.is_unspecified())
        && let Ok(address) = net::address_towards(arrival.source.ip())
    {
        arrival.socket.host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
    }
}

fn parse_response(octets: &[u8], request: RequestId, host: &mut dyn Host) -> Option<Box<Response>> {
    if octets.is_empty() {
        return None;
    }
    match Message::parse(octets) {
        Ok(Message::Response(response)) => Some(Box::new(response)),
        Ok(Message::Request(_)) => None,
        Err(error) => {
            host.log(&Line::new(
                Level::Warning,
                format_args!("response to request {}: {error}", request.0),
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests;
