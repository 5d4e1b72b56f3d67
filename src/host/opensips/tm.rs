//! The host's transaction layer: replies to its server transactions, requests of ours, and
//! what becomes of them.

use std::ffi::{CStr, c_int, c_void};
use std::{mem, ptr};

use super::abi::{
    self, opensips_dialog, opensips_event, opensips_sequence, opensips_text, opensips_tm,
    opensips_transaction_prefix,
};
use super::events::Events;
use super::{MODULE, layout, logging};
use crate::bridge::Frame;
use crate::focus::{Event, OutgoingRequest, Reply, RequestId, Socket, TransactionId};
use crate::host::guard::guard;
use crate::host::layout::LayoutError;
use crate::host::symbols::{self, MissingSymbol, host_symbols};
use crate::host::{api, logging as log, text};
use crate::log::Line;
use crate::service::{Host, NotReplied, NotSent};
use crate::wire::sip::Method;

host_symbols! {
    /// tm's functions by name: its table of them grows and shifts, and holds wrappers that want
    /// more of their caller than the functions do.
    struct Tm {
        register_callback: abi::RegisterCallback = c"register_tmcb",
        new_transaction: abi::NewTransaction = c"t_newtran",
        complete_copy: abi::CompleteCopy = c"update_cloned_msg_from_msg",
        reply: abi::Reply = c"t_reply",
        reply_with_body: abi::ReplyWithBody = c"t_reply_with_body",
        look_up_ids: abi::LookUpIds = c"t_lookup_ident",
        request_within: abi::RequestWithin = c"req_within",
        current_transaction: abi::CurrentTransaction = c"get_t",
        release_reference: abi::ReleaseReference = c"t_unref_cell",
        look_up_cancelled: abi::LookUpCancelled = c"t_lookupOriginalT",
        set_kept_reason: abi::SetKeptReason = c"set_kr",
        /// The one that only its table gives.
        cancel_transaction: abi::CancelTransaction = c"t_cancel_trans",
        /// For the checks of the layout alone.
        make_dialog: abi::MakeDialog = c"new_auto_dlg_uac",
        release_dialog: abi::ReleaseDialog = c"free_dlg",
    }
}

/// tm cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TmError {
    #[error("the module tm must be loaded before msrp_conference")]
    Missing,
    #[error("tm does not give its functions")]
    Refused,
    #[error("tm: {0}")]
    Symbol(#[from] MissingSymbol),
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// What tm's function for a new transaction does with the request: not all of it is copied at
/// once.
const COPIED_LATER: c_int = 0;

/// What tm exports by its table alone.
const IN_ITS_TABLE: &CStr = c"t_cancel_trans";

/// What became of a request in a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    /// A transaction of its own.
    New(TransactionId),
    /// tm has dealt with it: a retransmission, or the ACK of an answer of ours.
    Absorbed,
    /// An ACK that belongs to no transaction.
    None,
    /// A transaction whose request is not where it was measured.
    Misplaced,
    /// tm could not.
    Failed(c_int),
}

/// Text for a call: the host reads it and keeps nothing.
fn borrowed(octets: &[u8]) -> opensips_text {
    opensips_text {
        s: octets.as_ptr().cast_mut().cast(),
        len: c_int::try_from(octets.len()).unwrap_or(0),
    }
}

impl Tm {
    /// Looks tm's functions up.
    ///
    /// # Safety
    /// On the main thread, after tm was loaded; `find` is the host's `find_export`.
    pub(super) unsafe fn of_host(find: abi::FindExport) -> Result<Self, TmError> {
        // SAFETY: the host compares a C string.
        let load = unsafe { find(c"load_tm".as_ptr(), 0) };
        if load.is_null() {
            return Err(TmError::Missing);
        }
        let mut table = opensips_tm::default();
        // SAFETY: load_tm has this type and fills at most the 1,024 octets of the table; tm
        // stays loaded; the types in Tm are those of every supported series.
        let tm = unsafe {
            let fill: abi::LoadTm = mem::transmute::<*mut c_void, abi::LoadTm>(load);
            if fill(&mut table) < 0 {
                return Err(TmError::Refused);
            }
            Self::load(|name: &'static CStr| match name == IN_ITS_TABLE {
                true => table.cancel_transaction,
                false => symbols::beside(load, name),
            })?
        };
        layout::tm_slots(&table, &tm)?;
        Ok(tm)
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
            match (self.new_transaction)(message, COPIED_LATER) {
                0 => Created::Absorbed,
                failed if failed < 0 => Created::Failed(failed),
                _ => {
                    let Some(cell) = self.current() else {
                        return Created::None;
                    };
                    if let Err(error) = layout::kept_request(message, cell) {
                        error.say_once();
                        return Created::Misplaced;
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
        unsafe { (self.new_transaction)(message, COPIED_LATER) };
    }

    /// Answers the request the script is working on, without a body.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn answer(&self, message: *mut abi::Message, code: u16, reason: &str) {
        // SAFETY: the caller promises the message and its transaction; the text lives through
        // the call.
        unsafe {
            if let Some(cell) = self.current() {
                let reason = borrowed(reason.as_bytes());
                (self.reply)(cell.cast(), message, code.into(), &reason);
            }
        }
    }

    /// Answers the request the script is working on, with these header lines.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn refuse(&self, code: u16, reason: &str, headers: &str) {
        // SAFETY: a current transaction is one tm works on; the texts live through the call,
        // and empty ones count as absent.
        unsafe {
            let Some(cell) = self.current() else {
                return;
            };
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

    /// The transaction this process works on.
    ///
    /// # Safety
    /// On the main thread of one of the host's processes.
    pub(super) unsafe fn current(&self) -> Option<*mut opensips_transaction_prefix> {
        // SAFETY: reads a variable of tm.
        let cell = unsafe { (self.current_transaction)() };
        (!cell.is_null() && cell as usize != usize::MAX).then_some(cell)
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
    unsafe fn send(&self, request: &OutgoingRequest) -> Result<(), NotSent> {
        let headers = text::request_lines(&request.routes, &request.headers);
        let socket = request.socket.handle as *mut c_void;
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
        // socket is one of the host's, made before the fork; the callback's argument is a
        // number.
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
}

impl OpenSips {
    pub(super) fn new(
        tm: Tm,
        core_status: abi::CoreStatus,
        find_socket: abi::FindSocket,
        events: Events,
    ) -> Self {
        Self {
            tm,
            core_status,
            find_socket,
            events,
        }
    }

    /// While the host shuts down its TCP process is gone or going, and a request for one of
    /// its connections would wait until the host's SIGKILL. Peers see their connection close.
    fn connections_are_gone(&self, transport: &str) -> bool {
        // SAFETY: reads a variable of the host.
        transport != "udp" && unsafe { (self.core_status)() } == abi::TERMINATING
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

    fn send(&mut self, request: &OutgoingRequest) -> Result<(), NotSent> {
        debug_assert!(log::on_main_thread());
        // tm has acknowledged every 2xx to an INVITE of ours by itself.
        if request.method == Method::Ack {
            return Ok(());
        }
        if self.connections_are_gone(&request.socket.transport) {
            return Err(NotSent::Stopping);
        }
        // SAFETY: as above.
        unsafe { self.tm.send(request) }
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
            if let Err(error) = layout::event(what) {
                return log::error(error);
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
