//! The 2xx of an INVITE must be repeated until its ACK, for 64*T1 (RFC 3261 §13.3.1.4). tm repeats
//! it for its final-answer time (`fr_timer`), and forgets the transaction after `wt_timer` unless
//! somebody holds a reference. Scripts may set the former for one transaction (`t_set_fr`). This
//! module does the same, holds a reference, and leaves tm's own settings alone.

use std::ffi::c_uint;
use std::ptr;

use super::abi;
use super::tm::Tm;
use crate::focus::TransactionId;

/// 64*T1.
const MILLISECONDS: c_uint = 32_000;

impl Tm {
    /// Makes tm repeat the next final answer until the ACK, or as long as the reference is held.
    ///
    /// # Safety
    /// As for [`Tm::reply_to`], with `message` of the current transaction, which is referenced
    /// for us.
    pub(super) unsafe fn repeat_until_ack(&self, message: *mut abi::Message) {
        // SAFETY: the function changes times of the current transaction; 0 stands for no
        // change.
        unsafe { (self.set_timeouts)(message, 0, MILLISECONDS) };
    }

    /// Releases the reference kept when the transaction was answered. It looks the transaction up
    /// anew: tm frees one that it has unlinked (after 90 s, despite references) without us.
    ///
    /// # Safety
    /// On the conference process' main thread, once for each reference kept.
    pub(super) unsafe fn release_kept(&self, id: TransactionId) {
        let mut cell = ptr::null_mut();
        // SAFETY: a found transaction is in tm's table, which holds a reference of its own;
        // we release that of this look-up, and the one that was kept.
        unsafe {
            if (self.look_up_ids)(&mut cell, id.hash, id.label) >= 0 && !cell.is_null() {
                (self.release_reference)(cell);
                (self.release_reference)(cell);
            }
            (self.set_current_transaction)(abi::NO_TRANSACTION, abi::UNDEFINED_BRANCH);
        }
    }
}
