//! Statistics in the function form: the host calls a function, which reads the shared page.

use std::ffi::{c_ulong, c_void};

use super::abi;
use crate::host::guard::{c_string, guard};
use crate::host::numbered::numbered;
use crate::statistics::{self, ALL, COUNT};

/// The host passes no argument of ours, so each number has its own function.
const READERS: [abi::ReadStatistic; COUNT] = numbered!(read);

/// The table for the host, ended by an empty row; never freed.
pub(super) fn table() -> *mut c_void {
    let mut rows = Vec::new();
    for (which, reader) in ALL.iter().zip(READERS) {
        rows.push(abi::opensips_statistic {
            name: c_string(which.name()).into_raw().cast_const(),
            flags: abi::STATISTIC_FUNCTION,
            value: reader as *mut c_void,
        });
    }
    rows.push(abi::opensips_statistic::default());
    Box::leak(rows.into_boxed_slice()).as_mut_ptr().cast()
}

unsafe extern "C" fn read<const NUMBER: usize>(_context: *mut c_void) -> c_ulong {
    guard(0, || {
        ALL.get(NUMBER)
            .map_or(0, |which| statistics::global().value(*which))
    })
}
