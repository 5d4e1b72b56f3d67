//! Outputs of the focus, with what every part needs to make them: ids, tags, totals.

use std::collections::VecDeque;
use std::panic::Location;

use super::throttle::Throttle;
use super::{Cause, Event, Output, TransactionId};
use crate::control::Order;
use crate::counters::Totals;
use crate::entropy::{Entropy, token};
use crate::log::{Level, Line};
use crate::time::Moment;

/// Characters of a tag, five random bits each: 80 bits (RFC 3261 §19.3 requires 32).
const TAG_LENGTH: usize = 16;
/// Characters of a session id, five random bits each: 160 bits (RFC 4975 §14.1 requires 80).
const SESSION_ID_LENGTH: usize = 32;

/// A broken invariant, and where it was noticed.
type Fault = (&'static str, &'static Location<'static>);

/// Outputs that have not been polled yet, and the source of ids and randomness.
pub(super) struct Out {
    queue: VecDeque<Output>,
    pub(super) totals: Totals,
    pub(super) refusals: Throttle<Cause>,
    /// Broken invariants, and where they were noticed.
    faults: Throttle<Fault>,
    entropy: Box<dyn Entropy + Send>,
    last_id: u64,
    /// Value of Server and User-Agent.
    pub(super) software: String,
}

impl Out {
    pub(super) fn new(software: String, entropy: Box<dyn Entropy + Send>) -> Self {
        Self {
            queue: VecDeque::new(),
            totals: Totals::default(),
            refusals: Throttle::default(),
            faults: Throttle::default(),
            entropy,
            last_id: 0,
            software,
        }
    }

    /// A new id, unique over all kinds of objects.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Reserves an id of an earlier run.
    pub(super) fn reserve_id(&mut self, id: u64) {
        self.last_id = self.last_id.max(id);
    }

    /// A tag, or another value that must not be guessable.
    pub(super) fn tag(&mut self) -> String {
        self.token(TAG_LENGTH)
    }

    /// A session id; the path that contains it is the peer's credential.
    pub(super) fn session_id(&mut self) -> String {
        self.token(SESSION_ID_LENGTH)
    }

    /// A token of this number of random characters.
    pub(super) fn token(&mut self, length: usize) -> String {
        token(self.entropy.as_mut(), length)
    }

    /// A random number below `limit`.
    pub(super) fn random_below(&mut self, limit: u16) -> u16 {
        let mut random = [0; 2];
        self.entropy.fill(&mut random);
        u16::from_le_bytes(random) % limit
    }

    pub(super) fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub(super) fn order(&mut self, order: Order) {
        self.push(Output::Order(order));
    }

    pub(super) fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    pub(super) fn log(&mut self, level: Level, text: impl std::fmt::Display) {
        self.push(Output::Log(Line::new(level, text)));
    }

    /// Reports a broken invariant: a failure in tests, a log line for operators.
    #[track_caller]
    pub(super) fn broken(&mut self, what: &'static str) {
        let place = Location::caller();
        debug_assert!(false, "{what}");
        self.faults.count((what, place));
    }

    /// Logs counted refusals and faults, each kind once a minute.
    pub(super) fn log_counted(&mut self, now: Moment) {
        for ((what, place), times) in self.faults.due(now) {
            let (file, line) = (place.file(), place.line());
            let line = format!("BUG: {what}, at {file}:{line} ({times} times)");
            self.log(Level::Error, line);
        }
        for (cause, times) in self.refusals.due(now) {
            let level = match cause.is_ordinary() {
                true => Level::Debug,
                false => Level::Info,
            };
            let line = format!("requests refused: {times} ({} {cause})", cause.code());
            self.log(level, line);
        }
    }

    /// Withdraws a 2xx that has not left yet.
    pub(super) fn withdraw(&mut self, transaction: TransactionId) {
        self.queue
            .retain(|output| !matches!(output, Output::Reply(of, _) if *of == transaction));
        self.push(Output::Withdraw(transaction));
    }

    /// The oldest output.
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// Number of outputs waiting to be polled.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Inserts an output before the one at this place.
    pub(super) fn insert(&mut self, place: usize, output: Output) {
        self.queue.insert(place.min(self.queue.len()), output);
    }
}
