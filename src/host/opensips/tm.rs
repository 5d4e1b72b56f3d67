//! The host's transaction layer: replies to its server transactions, requests of ours, and
//! what becomes of them.

use std::ffi::{CStr, c_int, c_void};
use std::{mem, ptr};

use super::abi::{self, opensips_event, opensips_text, opensips_tm, opensips_transaction_prefix};
use super::events::Events;
use super::send::{Errand, Sending};
use super::{MODULE, Module, logging};
use crate::bridge::{Bridge, Frame};
use crate::focus::{Event, OutgoingRequest, Reply, RequestId, Socket, TransactionId};
use crate::host::guard::guard;
use crate::host::symbols::{self, MissingSymbol};
use crate::host::{api, logging as log, sockets, text};
use crate::log::Line;
use crate::resolve::{Hop, Transport};
use crate::service::{Departure, Host, NotReplied, NotSent};
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
    pub(super) request_within: abi::RequestWithin,
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

/// What became of a request in a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    /// A transaction of its own.
    New(TransactionId),
    /// tm has dealt with it: a retransmission, or the ACK of an answer of ours.
    Absorbed,
    /// An ACK that belongs to no transaction.
    None,
    /// tm could not.
    Failed(c_int),
}

/// Text for a call: the host reads it and keeps nothing.
pub(super) fn borrowed(octets: &[u8]) -> opensips_text {
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

    /// Makes the transaction of the request the script is working on, and keeps it beyond
    /// the end of the script.
    ///
    /// tm's copy of the request gets now what the script has done to it, as for appended
    /// headers of the reply. At the script's end it would get it while the conference process
    /// builds an answer from the same copy: headers and body are lost, or the proxy aborts.
    ///
    /// # Safety
    /// In a worker, on its main thread, with the message it is working on.
    pub(super) unsafe fn create(&self, message: *mut abi::Message) -> Created {
        // SAFETY: the caller promises the message; a positive result means that tm has a
        // current transaction, with a copy of the message that no other process changes yet.
        unsafe {
            match (self.new_transaction)(message) {
                0 => Created::Absorbed,
                failed if failed < 0 => Created::Failed(failed),
                _ => {
                    let cell = (self.current_transaction)();
                    if cell.is_null() || cell as usize == usize::MAX {
                        return Created::None;
                    }
                    (self.complete_copy)((*cell).request, message);
                    (self.set_kept_reason)(abi::FORWARDED);
                    Created::New(ids(cell))
                }
            }
        }
    }

    /// Has tm absorb an ACK.
    ///
    /// # Safety
    /// As for [`Tm::create`].
    pub(super) unsafe fn absorb(&self, message: *mut abi::Message) {
        // SAFETY: the caller promises the message.
        unsafe { (self.new_transaction)(message) };
    }

    /// Answers the request the script is working on, without a body.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn answer(&self, message: *mut abi::Message, code: u16, reason: &str) {
        // SAFETY: the caller promises the message; the text lives through the call.
        unsafe { (self.reply)(message, code.into(), &borrowed(reason.as_bytes())) };
    }

    /// Answers the request the script is working on, with these header lines.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn refuse(&self, code: u16, reason: &str, headers: &str) {
        // SAFETY: a current transaction is one tm works on; the texts live through the call,
        // and empty ones count as absent.
        unsafe {
            let cell = (self.current_transaction)();
            if cell.is_null() || cell as usize == usize::MAX {
                return;
            }
            (self.reply_with_body)(
                cell.cast(),
                code.into(),
                &borrowed(reason.as_bytes()),
                &borrowed(b""),
                &borrowed(headers.as_bytes()),
                &borrowed(b""),
            );
        }
    }

    /// The transaction a CANCEL means.
    ///
    /// # Safety
    /// As for [`Tm::create`], before it.
    pub(super) unsafe fn cancelled(&self, message: *mut abi::Message) -> Option<TransactionId> {
        // tm remembers the result and releases its reference itself after the script; a
        // release here would be one too many, and the transaction never freed.
        // SAFETY: the caller promises the message; a result is referenced until the script
        // ends.
        unsafe {
            let cell = (self.look_up_cancelled)(message);
            if cell.is_null() || cell as usize == usize::MAX {
                return None;
            }
            Some(ids(cell))
        }
    }

    /// Has a CANCEL for this INVITE reported, whoever answers it.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn watch_cancel(&self, message: *mut abi::Message) {
        // SAFETY: the caller promises the message; null stands for its transaction. The
        // callback needs no argument.
        unsafe {
            (self.register_callback)(
                message,
                ptr::null_mut(),
                abi::CANCELLED,
                cancel_came,
                ptr::null_mut(),
                ptr::null_mut(),
            );
        }
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
pub(super) struct OpenSips {
    tm: Tm,
    core_status: abi::CoreStatus,
    find_socket: abi::FindSocket,
    events: Events,
    sending: Sending,
    bridge: &'static Bridge,
}

impl OpenSips {
    pub(super) fn new(module: &'static Module) -> Self {
        Self {
            tm: module.tm,
            core_status: module.core.core_status,
            find_socket: module.core.find_socket,
            events: module.events,
            sending: module.sending,
            bridge: &module.bridge,
        }
    }

    /// While the host shuts down its TCP process is gone or going, and a request for one of
    /// its connections would wait until the host's SIGKILL. Peers see their connection close.
    fn connections_are_gone(&self, transport: Transport) -> bool {
        // SAFETY: reads a variable of the host.
        transport.is_stream() && unsafe { (self.core_status)() } == abi::TERMINATING
    }
}

impl Host for OpenSips {
    fn find_socket(&mut self, socket: &Socket) -> u64 {
        debug_assert!(log::on_main_thread());
        let host = borrowed(socket.host.as_bytes());
        let protocol = text::protocol(&socket.transport);
        // SAFETY: the core compares the text with its sockets' and keeps nothing; they are
        // made before the fork and never freed.
        unsafe { (self.find_socket)(&raw const host, socket.port, protocol, 0) as u64 }
    }

    fn reply(&mut self, transaction: TransactionId, reply: &Reply) -> Result<(), NotReplied> {
        debug_assert!(log::on_main_thread());
        // SAFETY: the service runs on the conference process' main thread.
        unsafe { self.tm.reply_to(transaction, reply) }
    }

    fn send(
        &mut self,
        request: &OutgoingRequest,
        to: &Hop,
        attempt: RequestId,
    ) -> Result<Departure, NotSent> {
        debug_assert!(log::on_main_thread());
        // tm has acknowledged every 2xx to an INVITE of ours by itself.
        if request.method == Method::Ack {
            return Ok(Departure::Sent);
        }
        if self.connections_are_gone(to.transport) {
            return Err(NotSent::Stopping);
        }
        let socket = sockets::towards(&request.socket, to, |socket| self.find_socket(socket));
        let errand = Errand::new(request, to, attempt, socket);
        // SAFETY: the service runs on the conference process' main thread.
        unsafe {
            if to.transport.is_stream() {
                return self.sending.have_sent(&self.tm, self.bridge, &errand);
            }
            self.sending.send(&self.tm, &errand)?;
        }
        Ok(Departure::Sent)
    }

    fn hands_over(&mut self, to: &Hop) -> bool {
        to.transport.is_stream()
    }

    fn connected(&mut self, to: &Hop) -> bool {
        debug_assert!(log::on_main_thread());
        // SAFETY: as above.
        unsafe { self.sending.connected(to) }
    }

    fn has_socket(&mut self, to: &Hop) -> bool {
        debug_assert!(log::on_main_thread());
        // SAFETY: as above.
        unsafe { self.sending.has_socket(to) }
    }

    fn cancel(&mut self, transaction: TransactionId) {
        debug_assert!(log::on_main_thread());
        // SAFETY: as above.
        unsafe { self.tm.cancel(transaction) };
    }

    fn listens(&mut self) -> bool {
        // SAFETY: as above.
        let subscribed = unsafe { self.events.listen_for_messages() };
        api::listens_for_messages() || subscribed
    }

    fn event(&mut self, event: &Event) {
        debug_assert!(log::on_main_thread());
        api::tell(event);
        // SAFETY: as above; the service tells events between host calls.
        unsafe { self.events.tell(event) };
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
pub(super) unsafe extern "C" fn finished(
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

pub(super) fn hand_over(frame: &Frame) {
    let Some(module) = MODULE.get() else { return };
    if let Err(error) = module.bridge.send(frame) {
        log::warning_in_a_flood(format_args!("not handed over: {error}"));
    }
}
