//! The host's transaction layer: replies to its server transactions, requests of ours, and their
//! outcomes.

use std::ffi::{CStr, c_int, c_uint};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::{
    self, kamailio_event, kamailio_message_prefix, kamailio_reply_lump, kamailio_text,
    kamailio_transaction_prefix,
};
use super::series::Series;
use super::{MODULE, layout};
use crate::bridge::Frame;
use crate::focus::{Reply, RequestId, TransactionId};
use crate::host::guard::{c_string, guard};
use crate::host::symbols::{self, MissingSymbol, host_symbols};
use crate::host::worker::{Created, Transaction};
use crate::host::{logging as log, text};
use crate::resolve::Transport;
use crate::service::NotReplied;

host_symbols! {
    /// tm's functions by name; the table that tm exports differs between series.
    struct Tm {
        register_callback: abi::RegisterCallback = c"register_tmcb",
        new_transaction: abi::NewTransaction = c"t_newtran",
        reply: abi::Reply = c"t_reply",
        add_blind_branch: abi::AddBlindBranch = c"add_blind_uac",
        look_up_ids: abi::LookUpIds = c"t_lookup_ident",
        send_request: abi::SendRequest = c"t_uac",
        cancel_branches: abi::CancelBranches = c"cancel_all_uacs",
        current_transaction: abi::CurrentTransaction = c"get_t",
        set_current_transaction: abi::SetCurrentTransaction = c"set_t",
        release_reference: abi::ReleaseReference = c"unref_cell",
        cancelled_ids: abi::CancelledIds = c"t_get_canceled_ident",
        reply_to_tag: abi::ReplyToTag = c"t_get_reply_totag",
        set_timeouts: abi::SetTimeouts = c"t_set_fr",
        /// Used only by the checks of the layout.
        make_dialog: abi::MakeDialog = c"new_dlg_uac",
        set_dialog_target: abi::SetDialogTarget = c"set_dlg_target",
        release_dialog: abi::ReleaseDialog = c"free_dlg",
    }
}

/// tm cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum TmError {
    #[error("the module tm must be loaded before msrp_conference")]
    Missing,
    #[error("tm: {0}")]
    Symbol(MissingSymbol),
}

/// Room for a copy of a message and the data that follows it in tm's; the largest message of any
/// series has 2,024 octets.
#[repr(C, align(16))]
struct MessageCopy([u8; 4096]);

/// Text for a call: the host reads it and keeps nothing.
pub(super) fn borrowed(octets: &[u8]) -> kamailio_text {
    kamailio_text {
        s: text::start(octets),
        len: c_int::try_from(octets.len()).unwrap_or(0),
    }
}

impl Tm {
    /// Looks tm's functions up.
    ///
    /// # Safety
    /// On the main thread, after tm was loaded; `find` is the host's
    /// `find_module_by_name`.
    pub(super) unsafe fn of_host(find: abi::FindModule) -> Result<Self, TmError> {
        // SAFETY: the host compares a C string; a module's record and handle live as long
        // as the process; the types in Tm are those of every supported series.
        unsafe {
            let Some(module) = find(c"tm".as_ptr()).as_ref() else {
                return Err(TmError::Missing);
            };
            Self::load(|name: &'static CStr| symbols::of_module(module.handle, name))
                .map_err(TmError::Symbol)
        }
    }

    /// The transaction of the request the script is working on: the script's own, if it has made
    /// one (by `t_newtran()`, or before `t_suspend()`), otherwise a new one.
    ///
    /// # Safety
    /// In a worker, on its main thread, with a request that it is working on.
    pub(super) unsafe fn create(&self, series: &Series, message: *mut abi::Message) -> Created {
        /// Whether a request was found where this series keeps it; checked once per process.
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
            let made = (self.new_transaction)(message);
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

    /// Keeps the transaction beyond the end of the script, by a blind branch, which also makes tm
    /// answer 408 if this module does not. Registers a report of a CANCEL for an INVITE, no matter
    /// who answers it.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn keep(&self, message: *mut abi::Message, invite: bool) -> bool {
        // SAFETY: the caller promises a current transaction. The callback needs no argument.
        unsafe {
            let Some(cell) = self.current() else {
                return false;
            };
            if invite {
                let none = ptr::null_mut();
                let watch = self.register_callback;
                if watch(
                    message,
                    cell.cast(),
                    abi::CANCELLED,
                    cancel_came,
                    none,
                    none,
                ) <= 0
                {
                    return false;
                }
                self.answer(message, 100, c"Trying", "");
            }
            (self.add_blind_branch)() >= 0
        }
    }

    /// Makes tm absorb an ACK.
    ///
    /// # Safety
    /// As for [`Tm::create`].
    pub(super) unsafe fn absorb(&self, message: *mut abi::Message) {
        // SAFETY: the caller promises the message; tm makes no transaction of an ACK.
        unsafe { (self.new_transaction)(message) };
    }

    /// Answers the request the script is working on without a body, with these header lines.
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
        // SAFETY: the caller promises the message, which is this process' own, and its
        // transaction; the lump and its text live through the call, and the message has its own
        // lumps back after it.
        unsafe {
            let Some(cell) = self.current() else { return };
            let own = message.cast::<kamailio_message_prefix>();
            let before = (*own).reply_lumps;
            let mut header = lump(headers.as_bytes(), abi::HEADER_LUMP);
            if !headers.is_empty() {
                header.next = before.cast();
                (*own).reply_lumps = (&raw mut header).cast();
            }
            (self.reply)(cell.cast(), message, code.into(), reason.as_ptr());
            (*own).reply_lumps = before;
        }
    }

    /// The transaction that a CANCEL refers to.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn cancelled(&self, message: *mut abi::Message) -> Option<TransactionId> {
        let (mut hash, mut label): (c_uint, c_uint) = (0, 0);
        // SAFETY: the caller promises the message.
        let found = unsafe { (self.cancelled_ids)(message, &mut hash, &mut label) };
        (found > 0).then_some(TransactionId { hash, label })
    }

    /// The To-tag tm will put into every answer to this request that lacks one.
    ///
    /// # Safety
    /// As for [`Tm::create`], after it.
    pub(super) unsafe fn reply_tag(&self, message: *mut abi::Message) -> Option<String> {
        let mut tag = kamailio_text::default();
        // SAFETY: the caller promises the message; tm gives a tag of this process' own.
        unsafe {
            if (self.reply_to_tag)(message, &mut tag) < 0 {
                return None;
            }
            Some(text::lossy(text::octets(tag.s, tag.len)))
        }
    }

    /// # Safety
    /// On the main thread of one of the host's processes.
    unsafe fn current(&self) -> Option<*mut kamailio_transaction_prefix> {
        // SAFETY: reads a variable of tm.
        let cell = unsafe { (self.current_transaction)() };
        (!cell.is_null() && cell as usize != usize::MAX).then_some(cell)
    }

    /// # Safety
    /// On the conference process' main thread, with the running host's series.
    pub(super) unsafe fn reply_to(
        &self,
        series: &Series,
        id: TransactionId,
        reply: &Reply,
        gone: impl FnOnce(Transport) -> bool,
    ) -> Result<(), NotReplied> {
        let mut cell = ptr::null_mut();
        // SAFETY: a found transaction is referenced for us until we release it, here or in
        // `release_kept`. It becomes this process' current one, which must not outlive the
        // reference.
        unsafe {
            if (self.look_up_ids)(&mut cell, id.hash, id.label) < 0 || cell.is_null() {
                return Err(NotReplied::Gone);
            }
            let done = self.reply_with_copy(series, cell, reply, gone);
            if done.is_err() || !reply.until_ack {
                (self.release_reference)(cell);
            }
            (self.set_current_transaction)(abi::NO_TRANSACTION, abi::UNDEFINED_BRANCH);
            done
        }
    }

    /// Replies with a copy of the request. tm's own reply with a body links memory of this process
    /// into the request that all processes share, and a worker that answers at that moment crashes.
    /// So tm gets a copy of the request, on our stack, and the headers and body are attached to the
    /// copy.
    ///
    /// # Safety
    /// As for [`Tm::reply_to`]; `cell` is referenced for us.
    unsafe fn reply_with_copy(
        &self,
        series: &Series,
        cell: *mut abi::Transaction,
        reply: &Reply,
        gone: impl FnOnce(Transport) -> bool,
    ) -> Result<(), NotReplied> {
        let reason = c_string(reply.reason.as_str());
        let headers = text::header_lines(&reply.headers);
        let mut copy = MessageCopy([0; 4096]);
        // SAFETY: the request and the end of its memory lie in the transaction at the
        // series' place; the copy ends where either of them does. The lumps, the texts in
        // them and the copy live through the call, and tm keeps none of them.
        unsafe {
            let [start, end] = cell
                .cast::<u8>()
                .add(series.transaction_request)
                .cast::<[*const u8; 2]>()
                .read();
            let kept = (end as usize).saturating_sub(start as usize);
            if start.is_null() || kept < size_of::<kamailio_message_prefix>() {
                return Err(NotReplied::Gone);
            }
            ptr::copy_nonoverlapping(start, copy.0.as_mut_ptr(), kept.min(copy.0.len()));
            let message = copy.0.as_mut_ptr().cast::<kamailio_message_prefix>();
            let transport = text::transport((*message).reception.protocol.into());
            if Transport::named(transport).is_some_and(gone) {
                return Err(NotReplied::Stopping);
            }
            let mut next = (*message).reply_lumps.cast::<kamailio_reply_lump>();
            let mut body = lump(&reply.body, abi::BODY_LUMP);
            if !reply.body.is_empty() {
                body.next = next;
                next = &raw mut body;
            }
            let mut header = lump(headers.as_bytes(), abi::HEADER_LUMP);
            if !headers.is_empty() {
                header.next = next;
                next = &raw mut header;
            }
            (*message).reply_lumps = next.cast();
            if reply.until_ack {
                self.repeat_until_ack(message.cast());
            }
            let done = (self.reply)(cell, message.cast(), reply.code.into(), reason.as_ptr());
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
        // SAFETY: a found transaction is referenced for us until we release it. The CANCEL
        // belongs to it (one that tm makes by the ids is a transaction of its own, which its
        // 200 does not end). It becomes this process' current one, which must not stay so.
        unsafe {
            if (self.look_up_ids)(&mut cell, id.hash, id.label) >= 0 && !cell.is_null() {
                (self.cancel_branches)(cell, 0);
                (self.release_reference)(cell);
            }
            (self.set_current_transaction)(abi::NO_TRANSACTION, abi::UNDEFINED_BRANCH);
        }
    }
}

fn lump(octets: &[u8], flags: c_int) -> kamailio_reply_lump {
    kamailio_reply_lump {
        text: borrowed(octets),
        flags,
        ..kamailio_reply_lump::default()
    }
}

/// # Safety
/// `cell` is a transaction somebody holds a reference to.
unsafe fn ids(cell: *const kamailio_transaction_prefix) -> TransactionId {
    // SAFETY: the caller promises the transaction; its ids never change.
    unsafe {
        TransactionId {
            hash: (*cell).hash,
            label: (*cell).label,
        }
    }
}

/// tm calls this in the process that received the CANCEL.
unsafe extern "C" fn cancel_came(
    cell: *mut abi::Transaction,
    _event: c_int,
    _what: *mut kamailio_event,
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
    what: *mut kamailio_event,
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
unsafe fn response(what: &kamailio_event) -> bytes::Bytes {
    let message = what.response.cast::<kamailio_message_prefix>();
    if message.is_null() || message as usize == abi::FAKED_RESPONSE {
        return bytes::Bytes::new();
    }
    // SAFETY: a real response is a message in this process' memory.
    let octets = unsafe {
        let length = c_int::try_from((*message).length).unwrap_or(0);
        text::octets((*message).buffer, length)
    };
    bytes::Bytes::copy_from_slice(octets)
}

fn hand_over(frame: &Frame) {
    let Some(module) = MODULE.get() else { return };
    if let Err(error) = module.bridge.send(frame) {
        log::warning_in_a_flood(format_args!("not handed over: {error}"));
    }
}
