//! `$msrp_conference(…)`.

use std::ffi::{c_int, c_void};

use super::MODULE;
use super::abi::{
    self, kamailio_text, kamailio_variable, kamailio_variable_parameter_prefix,
    kamailio_variable_use_prefix,
};
use crate::host::guard::guard;
use crate::host::logging as log;
use crate::host::text;
use crate::host::variables::Variable;

/// The table for the host, ended by an empty row; lives for ever.
pub(super) fn table() -> *mut c_void {
    let name = c"msrp_conference";
    let variable = kamailio_variable {
        name: kamailio_text {
            s: name.as_ptr().cast_mut(),
            len: name.count_bytes() as c_int,
        },
        kind: abi::OWN_VARIABLE,
        get: get as *mut c_void,
        parse_name: parse_name as *mut c_void,
        ..kamailio_variable::default()
    };
    let table = [variable, kamailio_variable::default()];
    Box::leak(Box::new(table)).as_mut_ptr().cast()
}

/// The name in the parentheses becomes a number.
unsafe extern "C" fn parse_name(
    used: *mut kamailio_variable_use_prefix,
    name: *const kamailio_text,
) -> c_int {
    guard(-1, || {
        // SAFETY: the host passes the record it makes of the variable, and its text.
        let (used, name) = unsafe {
            let (Some(used), Some(name)) = (used.as_mut(), name.as_ref()) else {
                return -1;
            };
            (used, text::lossy(text::octets(name.s, name.len)))
        };
        let Some(variable) = Variable::named(name.trim(), true) else {
            log::error(format_args!("there is no $msrp_conference({name})"));
            return -1;
        };
        used.parameter.inner = variable.number() as *mut c_void;
        0
    })
}

unsafe extern "C" fn get(
    _message: *mut abi::Message,
    parameter: *const kamailio_variable_parameter_prefix,
    value: *mut u8,
) -> c_int {
    guard(-1, || {
        // SAFETY: the host passes what `parse_name` filled.
        let parameter = unsafe { parameter.as_ref() };
        let (Some(parameter), Some(module), false) = (parameter, MODULE.get(), value.is_null())
        else {
            return -1;
        };
        let given = Variable::value(parameter.inner as usize).given();
        let (start, length) = given.text;
        let text = kamailio_text {
            s: start.cast(),
            len: length as c_int,
        };
        let behind = module.series.variable_flags;
        // SAFETY: the host passes room for a value: a text, a number behind it, which is an
        // int or a long, and flags where this series has them.
        unsafe {
            value.cast::<kamailio_text>().write(text);
            let place = value.add(size_of::<kamailio_text>());
            if behind - size_of::<kamailio_text>() == size_of::<i64>() {
                place
                    .cast::<i64>()
                    .write(i64::try_from(given.number).unwrap_or(i64::MAX));
            } else {
                place
                    .cast::<i32>()
                    .write(i32::try_from(given.number).unwrap_or(i32::MAX));
            }
            value.add(behind).cast::<c_int>().write(given.flags);
        }
        0
    })
}
