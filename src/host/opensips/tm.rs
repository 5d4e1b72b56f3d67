//! The host's transaction layer: replies to its server transactions, requests of ours, and
//! what becomes of them.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{mem, ptr};

use super::abi::{
    self, opensips_dialog, opensips_event, opensips_message_prefix, opensips_sequence,
    opensips_text, opensips_tm, opensips_transaction_prefix,
};
use super::context::Context;
use super::series::Series;
use super::{MODULE, Module, logging, worker};
use crate::bridge::Frame;
use crate::focus::{Event, OutgoingRequest, Reply, RequestId, Socket, TransactionId};
use crate::host::guard::guard;
use crate::host::symbols::{self, MissingSymbol};
use crate::host::worker::{Created, Transaction};
use crate::host::{api, fds, logging as log, text};
use crate::log::Line;
use crate::service::{Host, NotReplied, NotSent};
use crate::wire::sip::Method;

/// tm's functions, copied out of its table.
#[derive(Clone, Copy)]
pub(super) struct Tm {
    register_callback: abi::RegisterCallback,
    new_transaction: abi::NewTransaction,
    complete_copy: abi::CompleteCopy,
    reply: abi::Reply,
    reply_with_body: abi::ReplyWithBody,
    look_up_ids: abi::LookUpIds,
    request_within: abi::RequestWithin,
    current_transaction: abi::CurrentTransaction,
    release_reference: abi::ReleaseReference,
    look_up_cancelled: abi::LookUpCancelled,
    set_kept_reason: abi::SetKeptReason,
    cancel_transaction: abi::CancelTransaction,
}

/// tm cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum TmError {
    #[error("the module tm must be loaded before msrp_conference")]
    Missing,
    #[error("tm does not give its functions")]
    Refused,
    #[error(transparent)]
    Other(#[from] MissingSymbol),
}

/// A function tm put into its table.
///
/// # Safety
/// A non-null `slot` holds a function of the type `F`.
unsafe fn function<F: Copy>(slot: *mut c_void) -> Result<F, TmError> {
    if slot.is_null() {
        return Err(TmError::Refused);
    }
    // SAFETY: the caller promises the type, which is as large as an address.
    Ok(unsafe { mem::transmute_copy::<*mut c_void, F>(&slot) })
}

/// What tm calls at a script's end, where nobody has before; not in its table.
const COMPLETE_COPY: &CStr = c"update_cloned_msg_from_msg";

/// Text for a call: the host reads it and keeps nothing.
fn borrowed(octets: &[u8]) -> opensips_text {
    opensips_text {
        s: octets.as_ptr().cast_mut().cast(),
        len: c_int::try_from(octets.len()).unwrap_or(0),
    }
}

impl Tm {
    /// Asks tm for its functions.
    ///
    /// # Safety
    /// On the main thread, after tm was loaded; `find` is the host's `find_export`.
    pub(super) unsafe fn load(find: abi::FindExport) -> Result<Self, TmError> {
        // SAFETY: the host compares a C string.
        let load = unsafe { find(c"load_tm".as_ptr(), 0) };
        if load.is_null() {
            return Err(TmError::Missing);
        }
        let mut table = opensips_tm::default();
        // SAFETY: load_tm has this type and fills at most the 1,024 octets of the table; the
        // slots hold functions of the types in `abi`, in every supported series.
        unsafe {
            let complete_copy = symbols::beside(load, COMPLETE_COPY);
            if complete_copy.is_null() {
                return Err(MissingSymbol(COMPLETE_COPY).into());
            }
            let load: abi::LoadTm = mem::transmute::<*mut c_void, abi::LoadTm>(load);
            if load(&mut table) < 0 {
                return Err(TmError::Refused);
            }
            Ok(Self {
                register_callback: function::<abi::RegisterCallback>(table.register_callback)?,
                new_transaction: function::<abi::NewTransaction>(table.new_transaction)?,
                complete_copy: function::<abi::CompleteCopy>(complete_copy)?,
                reply: function::<abi::Reply>(table.reply)?,
                reply_with_body: function::<abi::ReplyWithBody>(table.reply_with_body)?,
                look_up_ids: function::<abi::LookUpIds>(table.look_up_ids)?,
                request_within: function::<abi::RequestWithin>(table.request_within)?,
                current_transaction: function::<abi::CurrentTransaction>(
                    table.current_transaction,
                )?,
                release_reference: function::<abi::ReleaseReference>(table.release_reference)?,
                look_up_cancelled: function::<abi::LookUpCancelled>(table.look_up_cancelled)?,
                set_kept_reason: function::<abi::SetKeptReason>(table.set_kept_reason)?,
                cancel_transaction: function::<abi::CancelTransaction>(table.cancel_transaction)?,
            })
        }
    }

    /// The transaction of the request the script is working on: the script's own, if it has
    /// made one (by `t_newtran()`, or before `async()`), else a new one.
    ///
    /// # Safety
    /// In a worker, on its main thread, with a request of this series that it is working on.
    pub(super) unsafe fn create(&self, series: &Series, message: *mut abi::Message) -> Created {
        /// A copy was found where this series keeps it: looked at once a process.
        static SEEN: AtomicBool = AtomicBool::new(false);
        // SAFETY: the caller promises the message; a positive result means that tm has a
        // current transaction.
        unsafe {
            if let Some(cell) = self.current() {
                return match is_copied_from(series, (*cell).request, message) {
                    true => Created::Transaction(Transaction::current(ids(cell))),
                    // The script has found the transaction of which this is a retransmission.
                    false => Created::Absorbed,
                };
            }
            let made = (self.new_transaction)(message);
            match self.current() {
                Some(cell) if made > 0 => {
                    let transaction = Transaction::current(ids(cell));
                    let copy = (*cell).request;
                    if !SEEN.load(Ordering::Relaxed) && !is_copied_from(series, copy, message) {
                        return Created::Misplaced(transaction);
                    }
                    SEEN.store(true, Ordering::Relaxed);
                    Created::Transaction(transaction)
                }
                _ if made < 0 => Created::Failed(made),
                _ => Created::Absorbed,
            }
        }
    }

    /// Keeps the transaction beyond the end of the script, and has a CANCEL for an INVITE
    /// reported, whoever answers it.
    ///
    /// tm's copy of the request gets now what the script has done to it, as for appended
    /// headers of the reply. At the script's end it would get it while the conference process
    /// builds an answer from the same copy: headers and body are lost, or the proxy aborts.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn keep(&self, message: *mut abi::Message, invite: bool) -> bool {
        // SAFETY: the caller promises a current transaction, with a copy of the message that
        // no other process changes yet. The callback needs no argument.
        unsafe {
            let Some(cell) = self.current() else {
                return false;
            };
            if (self.complete_copy)((*cell).request, message) < 0 {
                return false;
            }
            (self.set_kept_reason)(abi::FORWARDED);
            let none = ptr::null_mut();
            let watch = self.register_callback;
            !invite
                || watch(
                    message,
                    cell.cast(),
                    abi::CANCELLED,
                    cancel_came,
                    none,
                    none,
                ) > 0
        }
    }

    /// Has tm absorb an ACK.
    ///
    /// # Safety
    /// As for [`Tm::create`].
    pub(super) unsafe fn absorb(&self, message: *mut abi::Message) {
        // SAFETY: the caller promises the message; tm makes no transaction of an ACK.
        unsafe { (self.new_transaction)(message) };
    }

    /// Answers the request the script is working on, without a body.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn answer(
        &self,
        message: *mut abi::Message,
        code: u16,
        reason: &CStr,
        headers: &str,
    ) {
        let (code, reason, none) = (code.into(), borrowed(reason.to_bytes()), borrowed(b""));
        // SAFETY: the caller promises a current transaction; the texts live through the call,
        // and empty ones count as absent.
        unsafe {
            match self.current() {
                Some(cell) if !headers.is_empty() => {
                    let headers = borrowed(headers.as_bytes());
                    (self.reply_with_body)(cell.cast(), code, &reason, &none, &headers, &none)
                }
                _ => (self.reply)(message, code, &reason),
            };
        }
    }

    /// The transaction a CANCEL means. tm reads Call-ID and CSeq without a look whether they
    /// are there.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn cancelled(&self, message: *mut abi::Message) -> Option<TransactionId> {
        // tm remembers the result and releases its reference itself after the script; a
        // release here would be one too many, and the transaction never freed.
        // SAFETY: the caller promises a message whose headers tm has checked; a result is
        // referenced until the script ends.
        unsafe { existing((self.look_up_cancelled)(message)).map(|cell| ids(cell)) }
    }

    /// # Safety
    /// On the main thread of one of the host's processes.
    unsafe fn current(&self) -> Option<*mut opensips_transaction_prefix> {
        // SAFETY: reads a variable of tm.
        unsafe { existing((self.current_transaction)()) }
    }

    /// # Safety
    /// On the conference process' main thread.
    unsafe fn reply_to(&self, id: TransactionId, reply: &Reply) -> Result<(), NotReplied> {
        let headers = text::header_lines(&reply.headers);
        let tag = reply.to_tag.as_deref().unwrap_or_default();
        let mut cell = ptr::null_mut();
        // SAFETY: a found transaction is referenced for us until we release it; all texts
        // live through the call, and empty ones count as absent.
        unsafe {
            if (self.look_up_ids)(&mut cell, id.hash, id.label) < 0 || cell.is_null() {
                return Err(NotReplied::Gone);
            }
            let done = (self.reply_with_body)(
                cell,
                reply.code.into(),
                &borrowed(reply.reason.as_bytes()),
                &borrowed(&reply.body),
                &borrowed(headers.as_bytes()),
                &borrowed(tag.as_bytes()),
            );
            (self.release_reference)(cell);
            if done < 0 {
                return Err(NotReplied::Refused);
            }
        }
        Ok(())
    }

    /// # Safety
    /// On the conference process' main thread.
    unsafe fn send(&self, request: &OutgoingRequest, socket: u64) -> Result<(), NotSent> {
        let headers = text::request_lines(&request.routes, &request.headers);
        let socket = socket as *mut c_void;
        let outside = request.remote_tag.is_empty();
        let mut dialog = opensips_dialog {
            call_id: borrowed(request.call_id.as_bytes()),
            remote_tag: borrowed(request.remote_tag.as_bytes()),
            local_tag: borrowed(request.local_tag.as_bytes()),
            // tm counts up before it sends.
            local_sequence: opensips_sequence {
                value: request.cseq.wrapping_sub(1),
                is_set: 1,
            },
            local_uri: borrowed(request.local_uri.as_bytes()),
            remote_uri: borrowed(request.remote_uri.as_bytes()),
            remote_target: borrowed(request.request_uri.as_bytes()),
            state: abi::CONFIRMED,
            // A new party may be reached by another transport than the one its inviter
            // came by: the socket is then a wish, and inside a dialog an order.
            send_socket: if outside { ptr::null_mut() } else { socket },
            preferred_socket: if outside { socket } else { ptr::null_mut() },
            ..opensips_dialog::default()
        };
        if request.method == Method::Invite {
            dialog.transaction_flags = abi::PASS_PROVISIONAL;
        }
        if let Some(next_hop) = &request.next_hop {
            dialog.outbound_proxy = borrowed(next_hop.as_bytes());
        }
        // SAFETY: dialog and texts live through the call and tm keeps none of them; the
        // socket is one the host has, or null; the callback's argument is a number.
        let sent = unsafe {
            (self.request_within)(
                &borrowed(request.method.as_str().as_bytes()),
                &borrowed(headers.as_bytes()),
                &borrowed(&request.body),
                &mut dialog,
                finished,
                request.id.0 as *mut c_void,
                ptr::null_mut(),
            )
        };
        if sent > 0 {
            Ok(())
        } else {
            Err(NotSent::Refused(sent))
        }
    }

    /// # Safety
    /// On the conference process' main thread.
    unsafe fn cancel(&self, id: TransactionId) {
        let mut cell = ptr::null_mut();
        // SAFETY: a found transaction is referenced for us until we release it; null stands
        // for no headers.
        unsafe {
            if (self.look_up_ids)(&mut cell, id.hash, id.label) < 0 || cell.is_null() {
                return;
            }
            (self.cancel_transaction)(cell, ptr::null());
            (self.release_reference)(cell);
        }
    }
}

/// tm says "none" in two ways.
fn existing(cell: *mut opensips_transaction_prefix) -> Option<*mut opensips_transaction_prefix> {
    (!cell.is_null() && cell as usize != usize::MAX).then_some(cell)
}

/// Whether tm's copy of a request is one of this message. The two have one number; a message
/// that tm made again of its copy, to resume a script with it, has the copy's own buffer.
///
/// # Safety
/// `message` is one of this series that the host works on.
unsafe fn is_copied_from(series: &Series, copy: *mut c_void, message: *mut abi::Message) -> bool {
    // SAFETY: the caller promises the message; an address from the wrong place is not
    // followed.
    unsafe {
        let mut number = [0; size_of::<c_uint>()];
        let mut start = [0; size_of::<usize>()];
        if !fds::peek(copy as usize, &mut number)
            || !fds::peek(copy as usize + series.message_buffer, &mut start)
        {
            return false;
        }
        let own = (*message.cast::<opensips_message_prefix>()).id;
        c_uint::from_ne_bytes(number) == own
            || usize::from_ne_bytes(start) == worker::buffer(series, message).0 as usize
    }
}

/// # Safety
/// `cell` is a transaction somebody holds a reference to.
unsafe fn ids(cell: *const opensips_transaction_prefix) -> TransactionId {
    // SAFETY: the caller promises the transaction; its ids never change.
    unsafe {
        TransactionId {
            hash: (*cell).hash,
            label: (*cell).label,
        }
    }
}

/// The proxy for the service; exists in the conference process alone.
pub(super) struct OpenSips(pub(super) &'static Module);

impl OpenSips {
    /// Calls tm, or whatever else may run callbacks of other modules, with a context of the
    /// call's own; `None` when the host has no memory for one.
    fn call<R>(&self, body: impl FnOnce(&Module) -> R) -> Option<R> {
        debug_assert!(log::on_main_thread());
        // SAFETY: the service runs on the conference process' main thread.
        let _context = unsafe { Context::push(&self.0.core) }?;
        Some(body(self.0))
    }

    /// The host's own name of a socket it still has, else 0, for one of its choice: sockets_mgm
    /// closes sockets, and their numbers may be those of MSRP connections by now.
    fn present(&mut self, socket: &Socket) -> u64 {
        let found = self.find_socket(socket);
        if found == socket.handle || socket.handle == 0 {
            return found;
        }
        // It is gone, or another one is advertised alike.
        let record = socket.handle as *const u8;
        // SAFETY: a handle of this run names a socket the host has or had.
        let it = unsafe { worker::addresses(self.0.series, record) };
        let bound = Socket {
            host: it.bound.0,
            port: it.bound.1,
            ..socket.clone()
        };
        let same = it.advertised == (socket.host.clone(), socket.port);
        match same && self.find_socket(&bound) == socket.handle {
            true => socket.handle,
            false => found,
        }
    }

    /// While the host shuts down its TCP process is gone or going, and a request for one of
    /// its connections would wait until the host's SIGKILL. Peers see their connection close.
    fn connections_are_gone(&self, transport: &str) -> bool {
        // SAFETY: reads a variable of the host.
        transport != "udp" && unsafe { (self.0.core.core_status)() } == abi::TERMINATING
    }
}

impl Host for OpenSips {
    fn find_socket(&mut self, socket: &Socket) -> u64 {
        debug_assert!(log::on_main_thread());
        let host = borrowed(socket.host.as_bytes());
        let protocol = text::protocol(&socket.transport);
        // SAFETY: the core compares the text with its sockets' and keeps nothing.
        unsafe { (self.0.core.find_socket)(&raw const host, socket.port, protocol, 0) as u64 }
    }

    fn reply(&mut self, transaction: TransactionId, reply: &Reply) -> Result<(), NotReplied> {
        // SAFETY: on the main thread, with a context.
        self.call(|module| unsafe { module.tm.reply_to(transaction, reply) })
            .unwrap_or(Err(NotReplied::Refused))
    }

    fn send(&mut self, request: &OutgoingRequest) -> Result<(), NotSent> {
        // tm has acknowledged every 2xx to an INVITE of ours by itself.
        if request.method == Method::Ack {
            return Ok(());
        }
        if self.connections_are_gone(&request.socket.transport) {
            return Err(NotSent::Stopping);
        }
        let socket = self.present(&request.socket);
        // SAFETY: on the main thread, with a context.
        self.call(|module| unsafe { module.tm.send(request, socket) })
            .unwrap_or(Err(NotSent::Refused(abi::OUT_OF_MEMORY)))
    }

    fn cancel(&mut self, transaction: TransactionId) {
        // SAFETY: on the main thread, with a context.
        self.call(|module| unsafe { module.tm.cancel(transaction) });
    }

    fn listens(&mut self) -> bool {
        // SAFETY: the service runs on the conference process' main thread.
        let subscribed = unsafe { self.0.events.listen_for_messages() };
        api::listens_for_messages() || subscribed
    }

    fn event(&mut self, event: &Event) {
        self.call(|module| {
            api::tell(event);
            // SAFETY: on the main thread, with a context; the service tells events between
            // host calls.
            unsafe { module.events.tell(event) };
        });
    }

    fn log(&mut self, line: &Line) {
        logging::write(line);
    }
}

/// tm calls this in whichever process saw the CANCEL.
unsafe extern "C" fn cancel_came(
    cell: *mut abi::Transaction,
    _event: c_int,
    _what: *mut opensips_event,
) {
    guard((), || {
        if cell.is_null() {
            return;
        }
        // SAFETY: tm passes a transaction it holds.
        let id = unsafe { ids(cell.cast()) };
        hand_over(&Frame::Cancel(id));
    });
}

/// tm calls this in whichever process got the response, or the time-out.
unsafe extern "C" fn finished(
    cell: *mut abi::Transaction,
    event: c_int,
    what: *mut opensips_event,
) {
    guard((), || {
        // SAFETY: tm passes a transaction it holds, and a record that lives through the call;
        // its argument points to the number we gave.
        unsafe {
            let Some(what) = what.as_ref() else { return };
            if what.argument.is_null() || cell.is_null() {
                return;
            }
            let request = RequestId(*what.argument as u64);
            match u16::try_from(what.code).unwrap_or(500) {
                code if code < 200 => hand_over(&Frame::Progress {
                    request,
                    code,
                    transaction: ids(cell.cast()),
                }),
                code if event == abi::LOCAL_COMPLETED => hand_over(&Frame::Outcome {
                    request,
                    code,
                    response: response(what),
                }),
                // A final response is reported once more when tm is done with it.
                _ => {}
            }
        }
    });
}

/// The response as received; empty when tm made the code up.
///
/// # Safety
/// `what` is what tm passed to a callback that is still running.
unsafe fn response(what: &opensips_event) -> bytes::Bytes {
    let message = what.response.cast::<u8>();
    let Some(module) = MODULE.get() else {
        return bytes::Bytes::new();
    };
    if message.is_null() || message as usize == abi::FAKED_RESPONSE {
        return bytes::Bytes::new();
    }
    // SAFETY: a real response is a message in this process' memory; the offsets are those of
    // this series.
    let octets = unsafe {
        let start = message
            .add(module.series.message_buffer)
            .cast::<*const i8>()
            .read();
        let length = message
            .add(module.series.message_length)
            .cast::<u32>()
            .read();
        text::octets(start.cast(), c_int::try_from(length).unwrap_or(0))
    };
    bytes::Bytes::copy_from_slice(octets)
}

fn hand_over(frame: &Frame) {
    let Some(module) = MODULE.get() else { return };
    if let Err(error) = module.bridge.send(frame) {
        log::warning_in_a_flood(format_args!("not handed over: {error}"));
    }
}
