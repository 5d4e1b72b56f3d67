//! The host's transaction layer: replies to its server transactions, requests of ours, and their
//! outcomes.

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{mem, ptr};

use super::abi::{
    self, opensips_event, opensips_reception, opensips_text, opensips_tm,
    opensips_transaction_prefix,
};
use super::series::Series;
use super::{MODULE, layout};
use crate::bridge::Frame;
use crate::focus::{Reply, RequestId, TransactionId};
use crate::host::guard::guard;
use crate::host::layout::{LayoutError, same};
use crate::host::symbols::{self, MissingSymbol, host_symbols};
use crate::host::worker::{Created, Transaction};
use crate::host::{logging as log, text};
use crate::resolve::Transport;
use crate::service::NotReplied;

host_symbols! {
    /// tm's functions by name: the table that tm exports grows and changes, and contains wrappers
    /// that require more of their caller than the functions do.
    struct Tm {
        register_callback: abi::RegisterCallback = c"register_tmcb",
        new_transaction: abi::NewTransaction = c"t_newtran",
        complete_copy: abi::CompleteCopy = c"update_cloned_msg_from_msg",
        reply: abi::Reply = c"t_reply",
        reply_with_body: abi::ReplyWithBody = c"t_reply_with_body",
        look_up_ids: abi::LookUpIds = c"t_lookup_ident",
        request_within: abi::RequestWithin = c"req_within",
        current_transaction: abi::CurrentTransaction = c"get_t",
        set_current_transaction: abi::SetCurrentTransaction = c"set_t",
        release_reference: abi::ReleaseReference = c"t_unref_cell",
        look_up_cancelled: abi::LookUpCancelled = c"t_lookupOriginalT",
        set_kept_reason: abi::SetKeptReason = c"set_kr",
        set_final_timeout: abi::SetVariable = c"pv_set_tm_fr_timeout",
        /// The one that only the table exports.
        cancel_transaction: abi::CancelTransaction = c"t_cancel_trans",
        /// Used only by the checks of the layout.
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

/// Argument of tm's function for a new transaction: do not copy all of the request at once.
const COPIED_LATER: c_int = 0;

/// A function that tm exports only through its table.
const IN_ITS_TABLE: &CStr = c"t_cancel_trans";

/// Text for a call: the host reads it and keeps nothing.
pub(super) fn borrowed(octets: &[u8]) -> opensips_text {
    opensips_text {
        s: text::start(octets),
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
        check_slots(&table, &tm)?;
        Ok(tm)
    }

    /// The transaction of the request the script is working on: the script's own, if it has made
    /// one (by `t_newtran()`, or before `async()`), otherwise a new one.
    ///
    /// # Safety
    /// In a worker, on its main thread, with a request of this series that it is working on.
    pub(super) unsafe fn create(&self, series: &Series, message: *mut abi::Message) -> Created {
        /// Whether a copy was found where this series keeps it; checked once per process.
        static SEEN: AtomicBool = AtomicBool::new(false);
        // SAFETY: the caller promises the message; a positive result means that tm has a
        // current transaction.
        unsafe {
            if let Some(cell) = self.current() {
                return match layout::kept_request(series, message, cell) {
                    Ok(()) => Created::Transaction(Transaction::current(ids(cell))),
                    // The script has found the transaction of which this is a retransmission.
                    Err(_) => Created::Absorbed,
                };
            }
            let made = (self.new_transaction)(message, COPIED_LATER);
            match self.current() {
                Some(cell) if made > 0 => {
                    let transaction = Transaction::current(ids(cell));
                    if !SEEN.load(Ordering::Relaxed)
                        && let Err(error) = layout::kept_request(series, message, cell)
                    {
                        error.say_once();
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

    /// Keeps the transaction beyond the end of the script, and registers a report of a CANCEL for
    /// an INVITE, no matter who answers it.
    ///
    /// tm's copy of the request gets the script's changes now, such as appended headers of the
    /// reply. At the end of the script it would get them while the conference process builds an
    /// answer from the same copy: headers and body would be lost, or the proxy would abort.
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

    /// Makes tm absorb an ACK.
    ///
    /// # Safety
    /// As for [`Tm::create`].
    pub(super) unsafe fn absorb(&self, message: *mut abi::Message) {
        // SAFETY: the caller promises the message; tm makes no transaction of an ACK.
        unsafe { (self.new_transaction)(message, COPIED_LATER) };
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
            let Some(cell) = self.current() else { return };
            match headers.is_empty() {
                true => (self.reply)(cell.cast(), message, code, &reason),
                false => {
                    let headers = borrowed(headers.as_bytes());
                    (self.reply_with_body)(cell.cast(), code, &reason, &none, &headers, &none)
                }
            };
        }
    }

    /// The transaction that a CANCEL refers to. tm reads Call-ID and CSeq without checking that
    /// they exist.
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
    pub(super) unsafe fn reply_to(
        &self,
        id: TransactionId,
        reply: &Reply,
        gone: impl FnOnce(Transport) -> bool,
    ) -> Result<(), NotReplied> {
        let headers = text::header_lines(&reply.headers);
        let tag = reply.to_tag.as_deref().unwrap_or_default();
        let mut cell = ptr::null_mut();
        // SAFETY: a found transaction is referenced for us until we release it; all texts
        // live through the call, and empty ones count as absent.
        unsafe {
            if (self.look_up_ids)(&mut cell, id.hash, id.label) < 0 || cell.is_null() {
                return Err(NotReplied::Gone);
            }
            if transport(cell.cast()).is_some_and(gone) {
                (self.release_reference)(cell);
                return Err(NotReplied::Stopping);
            }
            if reply.until_ack {
                self.repeat_until_ack(cell.cast());
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
    pub(super) unsafe fn cancel(&self, id: TransactionId) {
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

/// The transaction, if there is one; tm has two values for "none".
fn existing(cell: *mut opensips_transaction_prefix) -> Option<*mut opensips_transaction_prefix> {
    (!cell.is_null() && cell as usize != usize::MAX).then_some(cell)
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

/// Transport over which the request of a transaction arrived.
///
/// # Safety
/// As for [`ids`].
unsafe fn transport(cell: *const opensips_transaction_prefix) -> Option<Transport> {
    let series = MODULE.get()?.series;
    // SAFETY: the caller promises the transaction, which keeps its request; the offset is that
    // of this series.
    unsafe {
        let request = (*cell).request.cast::<u8>().cast_const();
        if request.is_null() {
            return None;
        }
        let reception = request
            .add(series.message_reception)
            .cast::<opensips_reception>();
        Transport::named(text::transport((*reception).protocol))
    }
}

/// tm calls this in the process that received the CANCEL.
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

/// tm calls this in the process that received the response, or the time-out.
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
            if let Err(error) = layout::event(what) {
                return log::warning_in_a_flood(error);
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
                // tm reports a final response once more when it is done with it.
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

/// Checks the one slot used of tm's table: the slots around it must hold the functions of these
/// names.
fn check_slots(table: &opensips_tm, tm: &Tm) -> Result<(), LayoutError> {
    const WHAT: &str = "tm's table of functions";
    let slots = [
        table.register_callback,
        table.release_reference,
        table.look_up_cancelled,
        table.set_kept_reason,
    ];
    let functions = [
        tm.register_callback as *mut c_void,
        tm.release_reference as *mut c_void,
        tm.look_up_cancelled as *mut c_void,
        tm.set_kept_reason as *mut c_void,
    ];
    same(WHAT, slots, functions)?;
    let [used, other] =
        [table.cancel_transaction, table.register_callback].map(|slot| symbols::module_of(slot));
    same(WHAT, used, other)
}
