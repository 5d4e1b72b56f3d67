//! The interfaces of the service's neighbours: the proxy, the name servers, the switch, the store
//! and the focus.

use crate::control::Order;
use crate::counters::Totals;
use crate::focus::record::{Change, Found, Query as StoreQuery};
use crate::focus::{
    Event, Focus, Input, OutgoingRequest, Output, Reply, RequestId, Socket, TransactionId,
};
use crate::log::Line;
use crate::management::{self, Answer};
use crate::net::Pool;
use crate::remote::Link;
use crate::resolve::{self, Hop, Resolver, Target};
use crate::store::{self, Ticket};
use crate::time::Moment;

/// The proxy, as the service sees it.
pub trait Host {
    /// Answers a server transaction. With `until_ack` the host repeats the answer until the
    /// ACK or [`Host::release`], for 64*T1 at most, and keeps the transaction as long.
    ///
    /// # Errors
    /// The transaction is gone, or already has a final answer.
    fn reply(&mut self, transaction: TransactionId, reply: &Reply) -> Result<(), NotReplied>;

    /// Ends the repetition of a 2xx to this INVITE; called at most once for each one sent with
    /// `until_ack`.
    fn release(&mut self, _transaction: TransactionId) {}

    /// Sends a request to an address; its outcome comes back through the bridge under the id of the
    /// `attempt`. Queries no name server and waits for no connection.
    ///
    /// # Errors
    /// It was not sent and there will be no outcome.
    fn send(
        &mut self,
        request: &OutgoingRequest,
        to: &Hop,
        attempt: RequestId,
    ) -> Result<Departure, NotSent>;

    /// Whether a worker sends requests to this destination ([`Departure::Handed`]).
    fn hands_over(&mut self, _to: &Hop) -> bool {
        false
    }

    /// Whether a connection to that address lives, or is being made.
    fn connected(&mut self, to: &Hop) -> bool;

    /// Whether the host has a socket to send from to this destination.
    fn has_socket(&mut self, to: &Hop) -> bool;

    /// Sends a CANCEL for an INVITE of ours, sent by this transport, that has had a provisional
    /// response; its outcome still comes.
    fn cancel(&mut self, transaction: TransactionId, transport: resolve::Transport);

    /// The host's own handle of a socket from an earlier run; 0 when it has none like it.
    fn find_socket(&mut self, socket: &Socket) -> u64;

    /// The socket for requests of ours before any request has come in.
    fn default_socket(&mut self) -> Option<Socket> {
        None
    }

    /// The proxy stops: requests that need a closed connection are no longer sent.
    fn stopping(&mut self) {}

    /// Whether a script or a module subscribes to messages: only then the switch reports them.
    fn wants_messages(&mut self) -> bool {
        false
    }

    /// Raises an event.
    fn event(&mut self, _event: &Event) {}

    /// Writes to the host's log.
    fn log(&mut self, line: &Line);
}

/// The host did not take a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReplied {
    /// It no longer knows the transaction.
    #[error("the transaction is gone")]
    Gone,
    /// It refused, most likely because the transaction has a final answer.
    #[error("the host refused the reply")]
    Refused,
    /// It is stopping and has closed the connection.
    #[error("the host is stopping")]
    Stopping,
}

/// The way a request left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The host has it.
    Sent,
    /// A worker has it, and will report the result (`Frame::Sent`).
    Handed,
}

/// The host did not send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It refused, with an error number of its own; its log says why.
    #[error("the host could not send it ({0})")]
    Refused(i32),
    /// It is stopping and has closed the connection.
    #[error("the host is stopping")]
    Stopping,
    /// The host's script dropped it.
    #[error("the script dropped it")]
    Dropped,
    /// Its workers have as many requests as they can take.
    #[error("the host's workers do not keep up")]
    Busy,
}

/// The name servers, as the service sees them.
pub trait Names {
    /// Starts the look-up of a name; never waits.
    fn ask(&mut self, target: Target);
    /// The next answer.
    fn outcome(&mut self) -> Option<resolve::Outcome>;
}

impl Names for Resolver {
    fn ask(&mut self, target: Target) {
        Resolver::ask(self, target);
    }

    fn outcome(&mut self) -> Option<resolve::Outcome> {
        Resolver::outcome(self)
    }
}

/// The switch, as the service sees it.
pub trait Switch {
    /// Hands an order over; never blocks.
    fn order(&mut self, order: Order);
    /// Its totals so far.
    fn totals(&self) -> Totals;
    /// Flushes and closes every connection, ends every thread.
    fn stop(&mut self);
    /// Reads the TLS files again; `false` when there are none here.
    ///
    /// # Errors
    /// Why they cannot be used.
    fn reload(&mut self) -> Result<bool, String> {
        Ok(false)
    }
}

impl Switch for Option<Pool> {
    fn order(&mut self, order: Order) {
        if let Some(pool) = self {
            pool.order(order);
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            // The host counts every panic of its own processes.
            panics: 0,
            ..self.as_ref().map(Pool::totals).unwrap_or_default()
        }
    }

    fn stop(&mut self) {
        if let Some(pool) = self.take() {
            pool.stop();
        }
    }

    fn reload(&mut self) -> Result<bool, String> {
        let pool = self.as_ref();
        pool.map_or(Ok(false), |it| {
            it.reload().map_err(|error| error.to_string())
        })
    }
}

impl Switch for Option<Link> {
    fn order(&mut self, order: Order) {
        if let Some(link) = self {
            link.order(order);
        }
    }

    fn totals(&self) -> Totals {
        self.as_ref().map(Link::totals).unwrap_or_default()
    }

    /// Only disconnects: the switch outside lives on.
    fn stop(&mut self) {
        if let Some(link) = self.take() {
            link.stop();
        }
    }
}

impl Switch for Box<dyn Switch> {
    fn order(&mut self, order: Order) {
        self.as_mut().order(order);
    }

    fn totals(&self) -> Totals {
        self.as_ref().totals()
    }

    fn stop(&mut self) {
        self.as_mut().stop();
    }

    fn reload(&mut self) -> Result<bool, String> {
        self.as_mut().reload()
    }
}

/// The store, as the service sees it.
pub trait Store {
    /// Takes a batch of changes, to be stored all or none; never waits.
    fn write(&mut self, changes: Vec<Change>) -> Ticket;
    /// The latest settled batch: nobody needs to wait for it, or for an earlier one.
    fn settled(&self) -> Ticket;
    /// Whether it has lost changes and needs a complete rewrite.
    fn wants_everything(&self) -> bool;
    /// Replaces the stored state with this one.
    fn rewrite(&mut self, everything: Vec<Change>) -> Ticket;
    /// Whether a restart will find everything that is settled.
    fn is_safe(&self) -> bool;
    /// Gives up a commit that does not return: it counts as failed.
    fn give_up(&mut self);
    /// Queries the stored state; never waits.
    fn ask(&mut self, query: StoreQuery);
    /// The next answer.
    fn found(&mut self) -> Option<Found>;
    /// Whether newcomers are refused because nothing can be stored.
    fn refuses(&self) -> bool {
        false
    }
    /// Writes the remaining changes, and closes.
    fn stop(&mut self);
}

/// Without a store everything ends with the process, and nothing waits.
impl Store for Option<store::Store> {
    fn write(&mut self, changes: Vec<Change>) -> Ticket {
        self.as_mut().map_or(0, |store| store.write(changes))
    }

    fn settled(&self) -> Ticket {
        self.as_ref().map_or(Ticket::MAX, store::Store::settled)
    }

    fn wants_everything(&self) -> bool {
        self.as_ref().is_some_and(store::Store::wants_everything)
    }

    fn rewrite(&mut self, everything: Vec<Change>) -> Ticket {
        self.as_mut().map_or(0, |store| store.rewrite(everything))
    }

    fn is_safe(&self) -> bool {
        self.as_ref().is_some_and(store::Store::is_safe)
    }

    fn give_up(&mut self) {
        if let Some(store) = self {
            store.give_up();
        }
    }

    fn refuses(&self) -> bool {
        self.as_ref().is_some_and(store::Store::refuses)
    }

    fn ask(&mut self, query: StoreQuery) {
        if let Some(store) = self {
            store.ask(query);
        }
    }

    fn found(&mut self) -> Option<Found> {
        self.as_mut()?.found()
    }

    fn stop(&mut self) {
        if let Some(store) = self.take() {
            store.stop();
        }
    }
}

/// The focus, as the service sees it.
pub trait Core {
    /// Takes one input.
    fn handle(&mut self, now: Moment, input: Input);
    /// The next output.
    fn poll(&mut self) -> Option<Output>;
    /// When the focus needs [`Input::Deadline`] at the latest.
    fn deadline(&self) -> Option<Moment>;
    /// Whether nothing is left.
    fn is_idle(&self) -> bool;
    /// Its totals so far.
    fn totals(&self) -> Totals;
    /// The complete state to store.
    fn snapshot(&mut self) -> Vec<Change>;
    /// The store query needed before a request of the operator is carried out.
    fn needs(&self, _request: &management::Action) -> Option<StoreQuery> {
        None
    }
    /// Carries a request of the operator out.
    ///
    /// # Errors
    /// Why it was not carried out.
    fn operate(&mut self, now: Moment, request: &management::Action) -> Answer;
    /// How many rooms there are.
    fn rooms(&self) -> usize;
}

impl Core for Focus {
    fn handle(&mut self, now: Moment, input: Input) {
        self.handle(now, input);
    }
    fn poll(&mut self) -> Option<Output> {
        self.poll()
    }
    fn deadline(&self) -> Option<Moment> {
        self.deadline()
    }
    fn is_idle(&self) -> bool {
        self.is_idle()
    }
    fn totals(&self) -> Totals {
        self.totals()
    }
    fn snapshot(&mut self) -> Vec<Change> {
        self.snapshot()
    }
    fn needs(&self, request: &management::Action) -> Option<StoreQuery> {
        management::needs(self, request)
    }
    fn operate(&mut self, now: Moment, request: &management::Action) -> Answer {
        let answer = management::run(self, now, request);
        self.tell_what_changed();
        answer
    }
    fn rooms(&self) -> usize {
        self.room_count()
    }
}
