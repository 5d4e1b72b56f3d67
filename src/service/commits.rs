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

/// A commit that takes longer counts as failed. SQLite itself gives up earlier, so the disk or
/// network hangs.
pub(super) const COMMIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Outputs that may wait for a commit before the service stops admitting newcomers: the output of
/// 1,000 joins a second in that time.
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
    /// The batch that must be committed before any output that depends on it may leave.
    promised: Ticket,
    /// The last batch written, histories included.
    written: Ticket,
    /// The latest batch the store has settled, and when it got there.
    progress: (Ticket, Moment),
    outputs: PendingCommit<Output>,
    answers: PendingCommit<(Query, Answer)>,
    /// Acknowledgements of histories. They delay no other output, and no other output delays them.
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

    /// Notes a written batch that later outputs depend on.
    pub(super) fn promise(&mut self, now: Moment, batch: Ticket) {
        self.promised = batch;
        self.note_written(now, batch);
    }

    /// Notes a written batch of a history; `order` acknowledges it.
    pub(super) fn acknowledge(&mut self, now: Moment, batch: Ticket, order: Order) {
        self.note_written(now, batch);
        self.history_orders.push(batch, order);
    }

    fn note_written(&mut self, now: Moment, batch: Ticket) {
        if self.progress.0 >= self.written {
            // The store was idle before.
            self.progress.1 = now;
        }
        self.written = batch;
    }

    /// Whether an output must wait now, for a commit or behind earlier outputs.
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

    /// Notes the store's progress; true when it has made none for [`COMMIT_TIMEOUT`].
    pub(super) fn is_stuck(&mut self, now: Moment, committed: Ticket) -> bool {
        if committed >= self.written || committed != self.progress.0 {
            self.progress = (committed, now);
        }
        now.saturating_since(self.progress.1) >= COMMIT_TIMEOUT
    }

    /// Notes that the store was given up: nothing waits any more.
    pub(super) fn give_up(&mut self, now: Moment, committed: Ticket) {
        self.progress = (committed, now);
    }

    /// When the store must have made progress; `None` while it has nothing to do.
    pub(super) fn deadline(&self, committed: Ticket) -> Option<Moment> {
        (committed < self.written).then(|| self.progress.1 + COMMIT_TIMEOUT)
    }

    /// Whether more outputs wait than 1,000 joins a second can explain.
    pub(super) fn are_behind(&self) -> bool {
        self.outputs.0.len() >= MAX_PENDING
    }

    /// Whether everything promised is committed and has left.
    pub(super) fn is_idle(&self, committed: Ticket) -> bool {
        !self.must_wait(committed)
    }
}
