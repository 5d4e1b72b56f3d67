//! Statistics in the function form: the host asks, a function reads the shared page.

use std::ffi::{c_ulong, c_void};

use super::abi;
use crate::host::guard::{c_string, guard};
use crate::statistics::{self, ALL, COUNT};

type Reader = unsafe extern "C" fn(*mut c_void) -> c_ulong;

/// The host passes no argument of ours, so each number has a function of its own.
const READERS: [Reader; 18] = [
    read::<0>, read::<1>, read::<2>, read::<3>, read::<4>, read::<5>, read::<6>, read::<7>,
    read::<8>, read::<9>, read::<10>, read::<11>, read::<12>, read::<13>, read::<14>, read::<15>,
    read::<16>, read::<17>,
];

const _: () = assert!(COUNT == READERS.len());

/// The table for the host, ended by an empty row; lives for ever.
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
