//! Statistics as counters: the host calls a function, which reads the shared page.

use std::ffi::{c_long, c_void};

use super::abi;
use crate::host::guard::{c_string, guard};
use crate::statistics::{self, ALL};

/// The table for the host, ended by an empty row; never freed.
pub(super) fn table() -> *mut abi::kamailio_counter {
    let mut rows = Vec::new();
    for (number, which) in ALL.iter().enumerate() {
        rows.push(abi::kamailio_counter {
            name: c_string(which.name()).into_raw().cast_const(),
            read: read as abi::ReadCounter as *mut c_void,
            argument: number as *mut c_void,
            description: c_string(which.doc()).into_raw().cast_const(),
            ..abi::kamailio_counter::default()
        });
    }
    rows.push(abi::kamailio_counter::default());
    Box::leak(rows.into_boxed_slice()).as_mut_ptr()
}

/// `handle` is the host's own number of the counter, two octets by value.
unsafe extern "C" fn read(_handle: u16, argument: *mut c_void) -> c_long {
    guard(0, || {
        ALL.get(argument as usize).map_or(0, |which| {
            c_long::try_from(statistics::global().value(*which)).unwrap_or(c_long::MAX)
        })
    })
}
