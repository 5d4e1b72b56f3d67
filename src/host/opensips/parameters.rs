//! Module parameters in the function form: each is taken twice, as text and as integer.

use std::ffi::c_void;

use super::abi;
use crate::host::guard::c_string;
use crate::host::setters::{SETTERS, TEXT};
use crate::parameters::TABLE;

const _: () = assert!(abi::TEXT == TEXT);

/// The table for the host, ended by an empty row; never freed.
pub(super) fn table() -> *mut c_void {
    let mut rows = Vec::new();
    for (parameter, setter) in TABLE.iter().zip(SETTERS) {
        let name = c_string(parameter.name).into_raw().cast_const();
        for kind in [abi::TEXT, abi::INTEGER] {
            rows.push(abi::opensips_parameter {
                name,
                kind: kind | abi::BY_FUNCTION,
                target: setter as abi::SetParameter as *mut c_void,
            });
        }
    }
    rows.push(abi::opensips_parameter::default());
    Box::leak(rows.into_boxed_slice()).as_mut_ptr().cast()
}
