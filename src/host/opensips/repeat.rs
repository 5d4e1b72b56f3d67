//! The 2xx of an INVITE must be repeated until its ACK, for 64*T1 (RFC 3261 §13.3.1.4). tm repeats
//! it for its final-answer time (`fr_timeout`), which scripts may set for one transaction
//! (`$T_fr_timeout`). This module does the same, and leaves tm's own setting alone.

use std::ffi::c_int;
use std::ptr;

use super::abi::{self, opensips_transaction_prefix, opensips_variable_value};
use super::tm::Tm;

/// 64*T1 in seconds. tm forgets the transaction after it; repeated INVITEs until then get the same
/// answer.
const SECONDS: c_int = 32;

impl Tm {
    /// Makes tm repeat the next final answer until the ACK.
    ///
    /// # Safety
    /// On the conference process' main thread, with a transaction that is referenced for us.
    pub(super) unsafe fn repeat_until_ack(&self, cell: *mut opensips_transaction_prefix) {
        let mut seconds = opensips_variable_value {
            integer: SECONDS,
            flags: abi::NUMBER,
            ..opensips_variable_value::default()
        };
        // SAFETY: the function writes the number into the current transaction and does no
        // more with the message than to look whether there is one. The transaction is the
        // current one of this process no longer than its reference is held.
        unsafe {
            (self.set_current_transaction)(cell.cast());
            let request = (*cell).request;
            (self.set_final_timeout)(request.cast(), ptr::null_mut(), 0, &mut seconds);
            (self.set_current_transaction)(abi::NO_TRANSACTION);
        }
    }
}
