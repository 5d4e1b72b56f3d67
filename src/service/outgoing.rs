//! Requests of ours on their way out. This file decides where each goes: over the connection the
//! peer last used, while that lives; else to the results of resolving its next hop (RFC 3263), one
//! after the other (§4.3). A waiting request delays the later requests of its own call and nothing
//! else.
//!
//! The requests of a call form a queue, and only its first one moves, through the stages of
//! [`Stage`]: it looks its next hop up, waits for a free worker if the host sends through workers,
//! and leaves. If an attempt fails without a response from the peer, the request goes back to the
//! front of the queue with its next destination, unless a later request of the call has left or
//! waits. Every attempt has a number in its id, so that a late outcome of an earlier attempt
//! changes nothing.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::leaving::{Leaving, Stage, Why, of_attempt};
use super::traits::{Departure, Host, Names, NotSent};
use crate::counters::Totals;
use crate::entropy::Entropy;
use crate::focus::{OutgoingRequest, RequestId, TransactionId};
use crate::log::{Level, Line};
use crate::resolve::{Failure, Hop, Located, Locator, LookedUp, Target};
use crate::time::Moment;
use crate::wire::sip::Method;

/// Outcome of a request of ours that cannot even be sent (RFC 3261 §8.1.3.1).
const NOT_SENT: u16 = 503;
/// Outcome of a cancelled INVITE that was never sent (RFC 3261 §21.4.25).
const CANCELLED: u16 = 487;
/// Codes that a host reports itself when it could not send, or got no response.
const MADE_UP: [u16; 2] = [408, 503];
/// Requests in the hands of the host's workers.
const MAX_HANDED: usize = 64;
/// Those among them that have to connect first: each may hold its worker for as long as the host
/// waits for an unreachable peer (OpenSIPS: 100 ms). The other workers serve everybody else.
const MAX_CONNECTING: usize = 2;
/// Longest time a worker may take to report the result of sending.
const HANDED_LIMIT: Duration = Duration::from_secs(5);
/// Longest time to wait for an outcome: no transaction of a host lives longer.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// Least time between two log lines about refused look-ups.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The progress of an INVITE of ours towards a possible CANCEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ringing {
    /// It was sent.
    Sent,
    /// It may be cancelled.
    At(TransactionId),
    /// It is to be cancelled, but no provisional response has come (RFC 3261 §9.1).
    Unwanted,
}

/// The result of one try.
enum Step {
    Waits,
    Sent,
    Failed,
}

/// A request in the hands of a worker.
#[derive(Debug)]
struct Handed {
    call: String,
    until: Moment,
    connects: bool,
}

/// Requests on their way out.
pub(super) struct Outgoing {
    locator: Locator,
    names: Option<Box<dyn Names>>,
    entropy: Box<dyn Entropy + Send>,
    /// Waiting requests by Call-ID; the first of each is being processed.
    calls: HashMap<String, VecDeque<Leaving>>,
    /// The call of each waiting request.
    waiting: HashMap<RequestId, String>,
    /// Calls whose first request waits for a worker: to connect, or just to send.
    connecting: VecDeque<String>,
    ready: VecDeque<String>,
    /// Requests that workers have, by attempt.
    handed: HashMap<RequestId, Handed>,
    /// Sent requests that may still go elsewhere, or that were sent more than once.
    sent: HashMap<RequestId, Leaving>,
    /// The last sent request of each call: earlier ones are not sent after it.
    last: HashMap<String, RequestId>,
    /// INVITEs of ours without an outcome. The final response, received by another worker, may
    /// overtake a provisional one, which then changes nothing.
    ringing: HashMap<RequestId, (Ringing, Hop)>,
    over: VecDeque<(RequestId, u16)>,
    swept: Moment,
    logged: Moment,
}

impl Outgoing {
    pub(super) fn new(entropy: Box<dyn Entropy + Send>) -> Self {
        let long_ago = Moment::from_epoch(Duration::ZERO);
        Self {
            locator: Locator::default(),
            names: None,
            entropy,
            calls: HashMap::new(),
            waiting: HashMap::new(),
            connecting: VecDeque::new(),
            ready: VecDeque::new(),
            handed: HashMap::new(),
            sent: HashMap::new(),
            last: HashMap::new(),
            ringing: HashMap::new(),
            over: VecDeque::new(),
            swept: long_ago,
            logged: long_ago,
        }
    }

    /// Sets the name servers; without them only addresses can be reached.
    pub(super) fn resolve_with(&mut self, names: Option<Box<dyn Names>>) {
        self.names = names;
    }

    /// Counters of look-ups.
    pub(super) fn totals(&self) -> Totals {
        self.locator.totals()
    }

    /// Takes a request; it leaves after the earlier ones of its call.
    pub(super) fn send(&mut self, now: Moment, request: Box<OutgoingRequest>, host: &mut dyn Host) {
        let call = request.call_id.clone();
        // A request repeated with an answer to a challenge has the same id.
        self.sent.remove(&request.id);
        self.waiting.insert(request.id, call.clone());
        let queue = self.calls.entry(call.clone()).or_default();
        queue.push_back(Leaving::new(request));
        self.drive(now, &call, host);
        self.ask();
    }

    /// Cancels an INVITE, or keeps it from being sent.
    pub(super) fn cancel(&mut self, now: Moment, id: RequestId, host: &mut dyn Host) {
        if let Some(sent) = self.sent.get_mut(&id) {
            sent.withdrawn = true;
        }
        if self.withdraw(now, id, host) {
            return;
        }
        match self.ringing.get_mut(&id) {
            Some((Ringing::At(transaction), hop)) => host.cancel(*transaction, hop.transport),
            Some((ringing, _)) => *ringing = Ringing::Unwanted,
            None => {}
        }
    }

    /// An INVITE of ours rings; `None` when that no longer matters.
    pub(super) fn progress(
        &mut self,
        now: Moment,
        attempt: RequestId,
        transaction: TransactionId,
        host: &mut dyn Host,
    ) -> Option<RequestId> {
        self.handed(now, attempt, Ok(()), host);
        let (id, number) = of_attempt(attempt);
        match self.sent.get_mut(&id) {
            Some(sent) if sent.attempt != number => return None,
            // Somebody answers there: no other destination is tried.
            Some(sent) => sent.give_up(),
            None => {}
        }
        if let Some((ringing, hop)) = self.ringing.get_mut(&id)
            && std::mem::replace(ringing, Ringing::At(transaction)) == Ringing::Unwanted
        {
            host.cancel(transaction, hop.transport);
        }
        Some(id)
    }

    /// Ends an attempt; `None` when the request goes on. Returns the destination of an INVITE.
    /// `made_up` is a code without a response.
    pub(super) fn outcome(
        &mut self,
        now: Moment,
        attempt: RequestId,
        (code, made_up): (u16, bool),
        host: &mut dyn Host,
    ) -> Option<(RequestId, Option<IpAddr>)> {
        self.handed(now, attempt, Ok(()), host);
        let (id, number) = of_attempt(attempt);
        if self.waiting.contains_key(&id) {
            return None;
        }
        if self.sent.get(&id).map_or(0, |sent| sent.attempt) != number {
            return None;
        }
        let reached = self.ringing.remove(&id).map(|(_, hop)| hop.address.ip());
        let Some(sent) = self.sent.remove(&id) else {
            return Some((id, reached));
        };
        let call = &sent.request.call_id;
        let is_last = self.last.get(call) == Some(&id);
        if is_last {
            self.last.remove(call);
        }
        let failed = made_up && MADE_UP.contains(&code);
        let behind = !is_last || self.calls.contains_key(call);
        if failed && !behind && sent.has_a_place(now) {
            self.try_again(now, sent, host);
            return None;
        }
        self.remember_attempt(sent);
        Some((id, reached))
    }

    /// Takes a worker's result for a request that it was to send.
    pub(super) fn handed(
        &mut self,
        now: Moment,
        attempt: RequestId,
        done: Result<(), NotSent>,
        host: &mut dyn Host,
    ) {
        let Some(handed) = self.handed.remove(&attempt) else {
            return;
        };
        let queue = self.calls.get_mut(&handed.call);
        if let Some(mut first) = queue.and_then(VecDeque::pop_front) {
            match done {
                Ok(()) => self.left(now, first),
                Err(error) => {
                    first.why = Some(Why::Host(error));
                    first.stage = Stage::Due;
                    self.put_back(first);
                }
            }
        }
        self.drive(now, &handed.call, host);
        self.advance(now, host);
        self.ask();
    }

    /// Takes the answers of the name servers, and ends what has taken too long.
    pub(super) fn turn(&mut self, now: Moment, host: &mut dyn Host) {
        while let Some((target, found, ttl)) = self.names.as_mut().and_then(|it| it.outcome()) {
            self.locator.answer(now, &target, found, ttl);
        }
        self.locator.expire(now);
        while let Some((waiter, found)) = self.locator.poll() {
            self.located(now, RequestId(waiter), found, host);
        }
        let handed = self.handed.iter();
        let late = handed.filter(|(_, handed)| handed.until <= now);
        let late: Vec<_> = late.map(|(attempt, _)| *attempt).collect();
        for attempt in late {
            let silent = "a worker does not say whether it has sent a request";
            host.log(&Line::new(Level::Warning, silent));
            self.handed(now, attempt, Ok(()), host);
        }
        if now.saturating_since(self.swept) >= FORGOTTEN {
            self.swept = now;
            self.sweep(now);
        }
        self.ask();
    }

    /// When [`Outgoing::turn`] must be called at the latest.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let handed = self.handed.values().map(|handed| handed.until);
        handed.chain(self.locator.deadline()).min()
    }

    /// The next request that ended without being sent, and its code.
    pub(super) fn poll(&mut self) -> Option<(RequestId, u16)> {
        self.over.pop_front()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
            && self.waiting.is_empty()
            && self.handed.is_empty()
            && self.sent.is_empty()
            && self.last.is_empty()
            && self.ringing.is_empty()
            && self.over.is_empty()
    }

    /// Processes the first request of a call, and those behind it.
    fn drive(&mut self, now: Moment, call: &str, host: &mut dyn Host) {
        loop {
            let Some(queue) = self.calls.get_mut(call) else {
                return;
            };
            match queue.front().map(|first| first.stage) {
                Some(Stage::Locating | Stage::Handed) => return,
                Some(_) => {}
                None => break,
            }
            let Some(mut first) = queue.pop_front() else {
                break;
            };
            match self.step(now, &mut first, host) {
                Step::Waits => return self.put_back(first),
                Step::Sent => self.left(now, first),
                Step::Failed => self.fail(now, &first, host),
            }
        }
        self.calls.remove(call);
    }

    fn put_back(&mut self, first: Leaving) {
        let queue = self.calls.entry(first.request.call_id.clone());
        queue.or_default().push_front(first);
    }

    /// Tries one destination after the other until the request has to wait.
    fn step(&mut self, now: Moment, leaving: &mut Leaving, host: &mut dyn Host) -> Step {
        if leaving.stage == Stage::New {
            take_shortcut(leaving, host);
        }
        leaving.stage = Stage::Due;
        loop {
            if let Some(hop) = leaving.hops.front().copied() {
                match self.attempt(now, leaving, hop, host) {
                    Ok(step) => return step,
                    Err(why) => {
                        leaving.hops.pop_front();
                        leaving.why = Some(why);
                    }
                }
            } else if leaving.unlocated {
                leaving.unlocated = false;
                match self.locate(now, leaving) {
                    Ok(Some(hops)) => leaving.hops.extend(hops),
                    Ok(None) => {
                        leaving.stage = Stage::Locating;
                        return Step::Waits;
                    }
                    Err(why) => leaving.why = Some(why),
                }
            } else {
                return Step::Failed;
            }
        }
    }

    /// The destinations of its next hop; `None` while a look-up runs.
    fn locate(&mut self, now: Moment, leaving: &Leaving) -> Result<Option<Vec<Hop>>, Why> {
        let request = &leaving.request;
        let target = Target::of_uri(&request.next_hop).map_err(Why::Nowhere)?;
        if let Some(hop) = target.hop() {
            return Ok(Some(vec![hop]));
        }
        if self.names.is_none() {
            return Err(Why::Unresolved(Failure::Unavailable));
        }
        let (user, waiter) = (&request.principal, request.id.0);
        match self.locator.locate(now, &target, user, waiter) {
            LookedUp::Now(found) => self.places(leaving, found).map(Some),
            LookedUp::Later => Ok(None),
        }
    }

    fn places(
        &mut self,
        leaving: &Leaving,
        found: Result<Arc<Located>, Failure>,
    ) -> Result<Vec<Hop>, Why> {
        let located = found.map_err(Why::Unresolved)?;
        Ok(located.hops(leaving.is_from_ipv4(), self.entropy.as_mut()))
    }

    fn located(
        &mut self,
        now: Moment,
        id: RequestId,
        found: Result<Arc<Located>, Failure>,
        host: &mut dyn Host,
    ) {
        let Some(call) = self.waiting.get(&id).cloned() else {
            return;
        };
        let queue = self.calls.get_mut(&call);
        if let Some(mut first) = queue.and_then(VecDeque::pop_front) {
            first.stage = Stage::Due;
            match self.places(&first, found) {
                Ok(hops) => first.hops.extend(hops),
                Err(why) => first.why = Some(why),
            }
            self.put_back(first);
        }
        self.drive(now, &call, host);
    }

    fn attempt(
        &mut self,
        now: Moment,
        leaving: &mut Leaving,
        hop: Hop,
        host: &mut dyn Host,
    ) -> Result<Step, Why> {
        let connected = !hop.transport.is_stream() || host.connected(&hop);
        if hop.transport.is_websocket() && !connected {
            return Err(Why::Gone(hop));
        }
        if !host.has_socket(&hop) {
            return Err(Why::NoSocket(hop));
        }
        let hands_over = host.hands_over(&hop);
        if hands_over && !self.has_room(!connected) {
            return Ok(self.stand_in_line(leaving, !connected));
        }
        leaving.first.get_or_insert(now);
        leaving.hop = Some(hop);
        let id = leaving.attempt_id();
        match host.send(&leaving.request, &hop, id) {
            Ok(Departure::Sent) => {
                leaving.hops.pop_front();
                Ok(Step::Sent)
            }
            Ok(Departure::Handed) => {
                leaving.hops.pop_front();
                self.hand_over(now, leaving, !connected);
                Ok(Step::Waits)
            }
            Err(NotSent::Busy) if !self.handed.is_empty() => {
                Ok(self.stand_in_line(leaving, !connected))
            }
            Err(NotSent::Refused(error)) => Err(Why::Host(NotSent::Refused(error))),
            // The result would be the same at every other destination.
            Err(error) => {
                leaving.give_up();
                Err(Why::Host(error))
            }
        }
    }

    fn has_room(&self, connects: bool) -> bool {
        let connecting = self.handed.values().filter(|it| it.connects);
        self.handed.len() < MAX_HANDED && (!connects || connecting.count() < MAX_CONNECTING)
    }

    fn stand_in_line(&mut self, leaving: &mut Leaving, connects: bool) -> Step {
        leaving.stage = Stage::InLine;
        let line = match connects {
            true => &mut self.connecting,
            false => &mut self.ready,
        };
        line.push_back(leaving.request.call_id.clone());
        Step::Waits
    }

    fn hand_over(&mut self, now: Moment, leaving: &mut Leaving, connects: bool) {
        leaving.stage = Stage::Handed;
        if let Some(hop) = leaving.rings() {
            self.ringing.insert(leaving.id(), (Ringing::Sent, hop));
        }
        let handed = Handed {
            call: leaving.request.call_id.clone(),
            until: now + HANDED_LIMIT,
            connects,
        };
        self.handed.insert(leaving.attempt_id(), handed);
    }

    /// Workers are free again: moves the waiting calls on.
    fn advance(&mut self, now: Moment, host: &mut dyn Host) {
        for _ in 0..self.connecting.len() + self.ready.len() {
            let mut call = None;
            if self.has_room(true) {
                call = self.connecting.pop_front();
            }
            if call.is_none() && self.has_room(false) {
                call = self.ready.pop_front();
            }
            let Some(call) = call else {
                return;
            };
            self.drive(now, &call, host);
        }
    }

    /// The request was sent. No earlier one of its call is tried at another destination any more:
    /// it would arrive out of order.
    fn left(&mut self, now: Moment, leaving: Leaving) {
        let (id, call) = (leaving.id(), leaving.request.call_id.clone());
        self.waiting.remove(&id);
        if let Some(hop) = leaving.rings() {
            self.ringing.entry(id).or_insert((Ringing::Sent, hop));
        }
        let earlier = self.last.remove(&call);
        if let Some(earlier) = earlier.and_then(|earlier| self.sent.get_mut(&earlier)) {
            earlier.give_up();
        }
        let kept = leaving.attempt > 0 || leaving.has_a_place(now);
        if kept && leaving.request.method != Method::Ack {
            self.last.insert(call, id);
            self.sent.insert(id, leaving);
        }
    }

    /// Keeps an INVITE that was sent more than once: other phones may still answer it.
    fn remember_attempt(&mut self, mut over: Leaving) {
        if over.attempt > 0 && over.request.method == Method::Invite {
            over.give_up();
            self.sent.insert(over.id(), over);
        }
    }

    fn try_again(&mut self, now: Moment, mut sent: Leaving, host: &mut dyn Host) {
        sent.attempt = sent.attempt.saturating_add(1);
        sent.stage = Stage::Due;
        let call = sent.request.call_id.clone();
        self.waiting.insert(sent.id(), call.clone());
        self.put_back(sent);
        self.drive(now, &call, host);
        self.ask();
    }

    fn fail(&mut self, now: Moment, leaving: &Leaving, host: &mut dyn Host) {
        let id = leaving.id();
        self.waiting.remove(&id);
        self.ringing.remove(&id);
        let code = if leaving.withdrawn {
            CANCELLED
        } else {
            NOT_SENT
        };
        // An ACK has no outcome that anybody waits for.
        self.over.push_back((id, code));
        let Some(why) = &leaving.why else { return };
        let level = match why {
            Why::Host(NotSent::Stopping) => Level::Debug,
            Why::Host(NotSent::Dropped) => Level::Info,
            Why::Unresolved(Failure::Refused) => {
                if now.saturating_since(self.logged) < LOG_INTERVAL {
                    return;
                }
                self.logged = now;
                Level::Warning
            }
            _ => Level::Warning,
        };
        let request = &leaving.request;
        host.log(&Line::new(
            level,
            format_args!("{} to {}: {why}", request.method, request.request_uri),
        ));
    }

    /// Takes back a request that no worker has; false when it has left.
    fn withdraw(&mut self, now: Moment, id: RequestId, host: &mut dyn Host) -> bool {
        let Some(call) = self.waiting.get(&id).cloned() else {
            return false;
        };
        let Some(queue) = self.calls.get_mut(&call) else {
            return false;
        };
        let Some(place) = queue.iter().position(|it| it.id() == id) else {
            return false;
        };
        if let Some(leaving) = queue.get_mut(place)
            && leaving.stage == Stage::Handed
        {
            leaving.withdrawn = true;
            leaving.give_up();
            return false;
        }
        queue.remove(place);
        self.waiting.remove(&id);
        self.locator.forget(id.0);
        self.over.push_back((id, CANCELLED));
        self.drive(now, &call, host);
        true
    }

    fn ask(&mut self) {
        let Some(names) = &mut self.names else {
            return;
        };
        while let Some(target) = self.locator.poll_question() {
            names.ask(target);
        }
    }

    /// Drops requests whose outcomes never came.
    fn sweep(&mut self, now: Moment) {
        let expected = |sent: &Leaving| sent.first.is_some_and(|it| it + FORGOTTEN > now);
        self.sent.retain(|_, sent| expected(sent));
        self.last.retain(|_, id| self.sent.contains_key(id));
    }
}

/// Prefers the path on which the peer was last heard: its connection while that lives, and the way
/// through the NAT before it (RFC 3261 §12.2.1.1 knows neither).
fn take_shortcut(leaving: &mut Leaving, host: &mut dyn Host) {
    let flow = leaving.request.flow.as_deref();
    let Some(hop) = flow.and_then(|uri| Target::of_uri(uri).ok()?.hop()) else {
        return;
    };
    if !hop.transport.is_stream() {
        leaving.hops.push_back(hop);
        leaving.unlocated = false;
    } else if host.connected(&hop) {
        leaving.hops.push_back(hop);
    }
}
