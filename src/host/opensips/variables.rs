//! `$msrp_conference(…)`.

use std::ffi::{c_int, c_void};

use super::abi::{
    self, opensips_text, opensips_variable, opensips_variable_parameter_prefix,
    opensips_variable_use_prefix, opensips_variable_value,
};
use crate::host::guard::guard;
use crate::host::logging as log;
use crate::host::text;
use crate::host::variables::Variable;

/// The table for the host, ended by an empty row; never freed.
pub(super) fn table() -> *mut c_void {
    let name = c"msrp_conference";
    let variable = opensips_variable {
        name: opensips_text {
            s: name.as_ptr().cast_mut(),
            len: name.count_bytes() as c_int,
        },
        kind: abi::OWN_VARIABLE,
        get: get as abi::GetVariable as *mut c_void,
        parse_name: parse_name as abi::ParseVariable as *mut c_void,
        ..opensips_variable::default()
    };
    let table = [variable, opensips_variable::default()];
    Box::leak(Box::new(table)).as_mut_ptr().cast()
}

/// Converts the name in the parentheses to a number.
unsafe extern "C" fn parse_name(
    used: *mut opensips_variable_use_prefix,
    name: *const opensips_text,
) -> c_int {
    guard(-1, || {
        // SAFETY: the host passes the record it makes of the variable, and its text.
        let (used, name) = unsafe {
            let (Some(used), Some(name)) = (used.as_mut(), name.as_ref()) else {
                return -1;
            };
            (used, text::lossy(text::octets(name.s, name.len)))
        };
        // Events have their own variables here.
        let Some(variable) = Variable::named(name.trim(), false) else {
            log::error(format_args!("there is no $msrp_conference({name})"));
            return -1;
        };
        used.parameter.inner = variable.number() as *mut c_void;
        0
    })
}

unsafe extern "C" fn get(
    _message: *mut abi::Message,
    parameter: *const opensips_variable_parameter_prefix,
    value: *mut opensips_variable_value,
) -> c_int {
    guard(-1, || {
        // SAFETY: the host passes what `parse_name` filled, and room for a value.
        let (Some(parameter), Some(value)) = (unsafe { (parameter.as_ref(), value.as_mut()) })
        else {
            return -1;
        };
        let given = Variable::value(parameter.inner as usize).given();
        let (start, length) = given.text;
        value.text = opensips_text {
            s: start.cast(),
            len: length as c_int,
        };
        value.integer = c_int::try_from(given.number).unwrap_or(c_int::MAX);
        value.flags = given.flags;
        0
    })
}
