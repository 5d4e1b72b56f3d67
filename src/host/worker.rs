//! The script function, in the host's worker processes: makes the transaction, hands the request
//! over, and never waits. The same for both hosts, over the [`Primitives`] each implements.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ptr::NonNull;
use std::slice;

use bytes::Bytes;

use super::layout::LayoutError;
use super::{TAKEN, logging as log, options, refused};
use crate::bridge::{Bridge, Frame, SendError};
use crate::focus::{Arrival, Socket, TransactionId};

/// tm's number for "out of memory", in both hosts.
const OUT_OF_MEMORY: c_int = -2;

/// The message a script works on.
#[derive(Debug)]
pub(super) struct Message<'m>(NonNull<c_void>, PhantomData<&'m ()>);

impl Message<'_> {
    /// # Safety
    /// On the main thread of a process of the host, with the message its script works on, which
    /// lives through `'_`; or null.
    pub(super) unsafe fn new(address: *mut c_void) -> Option<Self> {
        Some(Self(NonNull::new(address)?, PhantomData))
    }

    /// The host's pointer to it.
    pub(super) fn address(&self) -> *mut c_void {
        self.0.as_ptr()
    }
}

/// The transaction of the message the script works on: tm's current one in this process, and
/// proof that tm has parsed the message's headers and found the mandatory ones there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    id: TransactionId,
}

impl Transaction {
    /// To be called right after tm has made it current.
    pub(super) fn current(id: TransactionId) -> Self {
        Self { id }
    }
}

/// The outcome of creating a transaction in tm.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Created {
    /// Its transaction, made now or by the script before.
    Transaction(Transaction),
    /// A transaction that does not hold the request where this series keeps it; the error is
    /// already logged.
    Misplaced(Transaction),
    /// A retransmission, which tm has handled.
    Absorbed,
    /// None: the request is malformed, or tm has no memory left.
    Failed(c_int),
}

/// The place of a request according to the host: unchecked addresses and lengths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The buffer the message was received into.
    pub(super) buffer: *const u8,
    pub(super) length: usize,
    /// In it: the method.
    pub(super) method: *const u8,
    pub(super) method_length: c_int,
    /// In it: the first line.
    pub(super) line_length: c_int,
}

/// Data that accompanies a request.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The Request-URI as the script left it.
    pub(super) uri: String,
    pub(super) source: SocketAddr,
    pub(super) socket: Socket,
}

/// The host functions that the worker needs. Functions that look at parsed headers take a
/// [`Transaction`], which only [`Primitives::create`] gives.
pub(super) trait Primitives {
    /// The way to the conference process.
    fn bridge(&self) -> &Bridge;
    /// Whether the script runs a kind of route that may answer a request.
    fn answers_here(&self) -> bool;
    /// The place of the request; `None` for a response.
    fn place(&self, message: &Message<'_>) -> Option<Place>;
    /// The data that accompanies it, once its [`Place`] was found right.
    ///
    /// # Errors
    /// The layout is wrong.
    fn envelope(&self, message: &Message<'_>) -> Result<Envelope, LayoutError>;
    /// The caller's identity: the host's expansion of modparam `identity`.
    fn identity(&self, message: &Message<'_>) -> String;
    /// The request's transaction.
    fn create(&self, message: &Message<'_>) -> Created;
    /// Keeps the transaction beyond the end of the script, and registers a report of a CANCEL for
    /// an INVITE, no matter who answers it. False when the host has no memory for that.
    fn keep(&self, message: &Message<'_>, transaction: &Transaction, invite: bool) -> bool;
    /// The To-tag that tm will put into every answer without one; `None` if the host adds none.
    fn reply_tag(&self, message: &Message<'_>, transaction: &Transaction) -> Option<String>;
    /// Answers without a body, with these header lines.
    fn answer(
        &self,
        message: &Message<'_>,
        transaction: &Transaction,
        code: u16,
        reason: &CStr,
        headers: &str,
    );
    /// The INVITE's transaction that a CANCEL refers to.
    fn cancelled(&self, message: &Message<'_>, transaction: &Transaction) -> Option<TransactionId>;
    /// Makes tm absorb an ACK.
    fn absorb(&self, message: &Message<'_>);
}

/// `msrp_conference_handle([options])`: returns the result for the script.
pub(super) fn handle(host: &impl Primitives, message: &Message<'_>, argument: &str) -> c_int {
    let Some(place) = host.place(message) else {
        return refused::NOT_OURS;
    };
    if !host.answers_here() {
        log::warning_in_a_flood(
            "msrp_conference_handle() can be called for a request in the request route, in what \
             it calls, and in the route that resumes it",
        );
        return refused::BROKEN;
    }
    let options = match options::parse(argument) {
        Ok(options) => options,
        Err(error) => {
            log::warning_in_a_flood(format_args!("msrp_conference_handle: {error}"));
            return refused::BROKEN;
        }
    };
    // SAFETY: the host's place, of the message it works on.
    let read = unsafe { place.octets() }.and_then(|octets| Ok((octets, host.envelope(message)?)));
    let (octets, envelope) = match read {
        Ok(read) => read,
        Err(error) => return distrust(host, message, &error),
    };
    let method_length = usize::try_from(place.method_length).unwrap_or(0);
    let method = octets.get(..method_length).unwrap_or_default();
    if method == b"CANCEL" {
        return cancel(host, message);
    }
    let arrival = Arrival {
        transaction: None,
        to_tag: None,
        message: Bytes::copy_from_slice(octets),
        request_uri: envelope.uri,
        source: envelope.source,
        socket: envelope.socket,
        identity: match options.identity {
            Some(identity) => identity,
            None => host.identity(message),
        },
        options: options.script,
    };
    match method {
        b"ACK" => acknowledge(host, message, arrival),
        method => hand_over(host, message, arrival, method == b"INVITE"),
    }
}

impl Place {
    /// The request from its first octet. An error if the method is not at the start of the buffer,
    /// with nothing but line ends before it (RFC 3261 §7.5).
    ///
    /// # Safety
    /// If buffer and method lie as they should, the buffer has `length` octets.
    unsafe fn octets<'m>(&self) -> Result<&'m [u8], LayoutError> {
        let elsewhere = || LayoutError::new("the buffer of a message", "its method is not there");
        let before = (self.method as usize).checked_sub(self.buffer as usize);
        let before = before.ok_or_else(elsewhere)?;
        let line = usize::try_from(self.line_length).unwrap_or(0);
        if line == 0 || before.saturating_add(line) > self.length {
            return Err(elsewhere());
        }
        // SAFETY: the caller's promise.
        let whole = unsafe { slice::from_raw_parts(self.buffer, self.length) };
        let (leading, octets) = whole.split_at(before);
        let line_end = |octet: &u8| matches!(octet, b'\r' | b'\n');
        match leading.iter().all(line_end) {
            true => Ok(octets),
            false => Err(elsewhere()),
        }
    }
}

/// Makes the transaction first, so that retransmissions end here; then hands the request over.
fn hand_over(
    host: &impl Primitives,
    message: &Message<'_>,
    mut arrival: Arrival,
    invite: bool,
) -> c_int {
    let transaction = match host.create(message) {
        Created::Transaction(transaction) => transaction,
        Created::Misplaced(transaction) => return unavailable(host, message, &transaction),
        Created::Absorbed => return TAKEN,
        Created::Failed(code) => return no_transaction(code),
    };
    if !is_first_hand_over(transaction.id) {
        return TAKEN;
    }
    let answer = |code, reason, headers| host.answer(message, &transaction, code, reason, headers);
    if !host.keep(message, &transaction, invite) {
        log::warning_in_a_flood("the host has no memory to keep a transaction: answered 500");
        answer(500, c"Server Internal Error", "");
        return TAKEN;
    }
    arrival.transaction = Some(transaction.id);
    arrival.to_tag = host.reply_tag(message, &transaction);
    match host.bridge().send(&Frame::Request(Box::new(arrival))) {
        Ok(()) => {}
        Err(SendError::Frame(error)) => {
            log::warning_in_a_flood(error);
            answer(513, c"Message Too Large", "");
        }
        Err(error) => {
            log::warning_in_a_flood(error);
            answer(503, c"Service Unavailable", refused::BUSY);
        }
    }
    TAKEN
}

/// Whether this process has not just handed this transaction over: a script may call twice.
fn is_first_hand_over(transaction: TransactionId) -> bool {
    thread_local! {
        static LAST: Cell<Option<TransactionId>> = const { Cell::new(None) };
    }
    LAST.replace(Some(transaction)) != Some(transaction)
}

/// Hands an ACK over before tm absorbs it, as it may carry an answer. If that fails, tm does not
/// absorb it: tm repeats its 2xx, and the peer its ACK.
fn acknowledge(host: &impl Primitives, message: &Message<'_>, arrival: Arrival) -> c_int {
    match host.bridge().send(&Frame::Request(Box::new(arrival))) {
        Ok(()) => host.absorb(message),
        Err(error) => log::warning_in_a_flood(format_args!("an ACK was not taken: {error}")),
    }
    TAKEN
}

/// Answers the CANCEL; the focus decides on its effect on the INVITE.
fn cancel(host: &impl Primitives, message: &Message<'_>) -> c_int {
    let transaction = match host.create(message) {
        Created::Transaction(transaction) => transaction,
        Created::Misplaced(transaction) => return unavailable(host, message, &transaction),
        Created::Absorbed => return TAKEN,
        Created::Failed(code) => return no_transaction(code),
    };
    let Some(invite) = host.cancelled(message, &transaction) else {
        let reason = c"Call/Transaction Does Not Exist";
        host.answer(message, &transaction, 481, reason, "");
        return TAKEN;
    };
    // tm may have reported it, except when it overtook the INVITE, as the report was not registered
    // yet.
    if let Err(error) = host.bridge().send(&Frame::Cancel(invite)) {
        log::warning_in_a_flood(format_args!("a CANCEL was lost: {error}"));
    }
    host.answer(message, &transaction, 200, c"canceling", "");
    TAKEN
}

fn no_transaction(code: c_int) -> c_int {
    if code == OUT_OF_MEMORY {
        log::warning_in_a_flood("the host has no shared memory for another transaction");
        return refused::BROKEN;
    }
    log::warning_in_a_flood(format_args!(
        "a request without a well-formed Via, From, To, Call-ID and CSeq (tm: {code})"
    ));
    refused::MALFORMED
}

/// Handles a message that is not where this series keeps it: touches nothing of it.
fn distrust(host: &impl Primitives, message: &Message<'_>, error: &LayoutError) -> c_int {
    error.say_once();
    match host.create(message) {
        Created::Transaction(transaction) | Created::Misplaced(transaction) => {
            unavailable(host, message, &transaction)
        }
        Created::Absorbed | Created::Failed(_) => TAKEN,
    }
}

fn unavailable(host: &impl Primitives, message: &Message<'_>, transaction: &Transaction) -> c_int {
    host.answer(message, transaction, 503, c"Service Unavailable", "");
    TAKEN
}

#[cfg(test)]
mod tests;
