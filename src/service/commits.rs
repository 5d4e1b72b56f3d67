//! Outputs that wait for the store: replies and orders that promise a change, answers to the
//! operator, and acknowledgements of histories. They leave only after the change is committed, in
//! the order in which the focus gave them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bridge::Query;
use crate::control::Order;
use crate::focus::{Output, TransactionId};
use crate::management::Answer;
use crate::store::Ticket;
use crate::time::Moment;

/// A commit that takes longer counts as failed: SQLite itself gives up before, so this is a
/// disk or a network that hangs.
pub(super) const COMMIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Outputs that may wait for a commit before nobody new is admitted: what 1,000 joins a second
/// make in that time.
pub(super) const MAX_PENDING: usize = 10_000;

/// Outputs to release once a batch of changes is committed, in order.
#[derive(Debug)]
struct PendingCommit<T>(VecDeque<(Ticket, T)>);

impl<T> PendingCommit<T> {
    fn new() -> Self {
        Self(VecDeque::new())
    }

    fn push(&mut self, after: Ticket, what: T) {
        self.0.push_back((after, what));
    }

    fn next(&mut self, committed: Ticket) -> Option<T> {
        let (after, _) = self.0.front()?;
        if *after > committed {
            return None;
        }
        self.0.pop_front().map(|(_, what)| what)
    }
}

/// Everything that waits for the store.
#[derive(Debug)]
pub(super) struct Commits {
    /// The batch that must be committed before anybody hears of its changes.
    promised: Ticket,
    /// The last batch written, histories included.
    written: Ticket,
    /// How far the store has come, and when it came so far.
    progress: (Ticket, Moment),
    outputs: PendingCommit<Output>,
    answers: PendingCommit<(Query, Answer)>,
    /// Histories delay nothing else, and nothing else delays them.
    history_orders: PendingCommit<Order>,
}

impl Commits {
    pub(super) fn new() -> Self {
        Self {
            promised: 0,
            written: 0,
            progress: (0, Moment::from_epoch(Duration::ZERO)),
            outputs: PendingCommit::new(),
            answers: PendingCommit::new(),
            history_orders: PendingCommit::new(),
        }
    }

    /// A batch was written that outputs from now on depend on.
    pub(super) fn promise(&mut self, now: Moment, batch: Ticket) {
        self.promised = batch;
        self.note_written(now, batch);
    }

    /// A batch of a history was written; `order` acknowledges it.
    pub(super) fn acknowledge(&mut self, now: Moment, batch: Ticket, order: Order) {
        self.note_written(now, batch);
        self.history_orders.push(batch, order);
    }

    fn note_written(&mut self, now: Moment, batch: Ticket) {
        if self.progress.0 >= self.written {
            // Nothing was under way.
            self.progress.1 = now;
        }
        self.written = batch;
    }

    /// Whether what leaves now must wait, for a commit or behind what waits already.
    pub(super) fn must_wait(&self, committed: Ticket) -> bool {
        !self.outputs.0.is_empty() || committed < self.promised
    }

    pub(super) fn hold(&mut self, output: Output) {
        self.outputs.push(self.promised, output);
    }

    pub(super) fn hold_answer(&mut self, query: Query, answer: Answer) {
        self.answers.push(self.promised, (query, answer));
    }

    /// Forgets the reply to this transaction.
    pub(super) fn withdraw(&mut self, transaction: TransactionId) {
        let is_reply = |it: &Output| matches!(it, Output::Reply(of, _) if *of == transaction);
        self.outputs.0.retain(|(_, output)| !is_reply(output));
    }

    pub(super) fn next_output(&mut self, committed: Ticket) -> Option<Output> {
        self.outputs.next(committed)
    }

    pub(super) fn next_answer(&mut self, committed: Ticket) -> Option<(Query, Answer)> {
        self.answers.next(committed)
    }

    pub(super) fn next_history_order(&mut self, committed: Ticket) -> Option<Order> {
        self.history_orders.next(committed)
    }

    /// Notes how far the store has come; whether it has hung for [`COMMIT_TIMEOUT`].
    pub(super) fn is_stuck(&mut self, now: Moment, committed: Ticket) -> bool {
        if committed >= self.written || committed != self.progress.0 {
            self.progress = (committed, now);
        }
        now.saturating_since(self.progress.1) >= COMMIT_TIMEOUT
    }

    /// The store was given up: nothing waits any more.
    pub(super) fn give_up(&mut self, now: Moment, committed: Ticket) {
        self.progress = (committed, now);
    }

    /// When the store must have come further; `None` while nothing is under way.
    pub(super) fn deadline(&self, committed: Ticket) -> Option<Moment> {
        (committed < self.written).then(|| self.progress.1 + COMMIT_TIMEOUT)
    }

    /// More waits than 1,000 joins a second can explain.
    pub(super) fn are_behind(&self) -> bool {
        self.outputs.0.len() >= MAX_PENDING
    }

    /// Whether everything promised is committed and has left.
    pub(super) fn is_idle(&self, committed: Ticket) -> bool {
        !self.must_wait(committed)
    }
}
