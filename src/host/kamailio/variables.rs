//! `$msrp_conference(…)`.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;

use super::abi::{
    self, kamailio_text, kamailio_variable, kamailio_variable_parameter_prefix,
    kamailio_variable_use_prefix,
};
use super::{MODULE, start_checks};
use crate::host::guard::guard;
use crate::host::layout::LayoutError;
use crate::host::symbols::{self, host_symbols};
use crate::host::variables::{Found, Variable};
use crate::host::{logging as log, text};

/// The table for the host, ended by an empty row; never freed.
pub(super) fn table() -> *mut c_void {
    let name = c"msrp_conference";
    let variable = kamailio_variable {
        name: kamailio_text {
            s: name.as_ptr().cast_mut(),
            len: name.count_bytes() as c_int,
        },
        kind: abi::OWN_VARIABLE,
        get: get as abi::GetVariable as *mut c_void,
        parse_name: parse_name as abi::ParseVariable as *mut c_void,
        ..kamailio_variable::default()
    };
    let table = [variable, kamailio_variable::default()];
    Box::leak(Box::new(table)).as_mut_ptr().cast()
}

/// Converts the name in the parentheses to a number.
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
    message: *mut abi::Message,
    parameter: *const kamailio_variable_parameter_prefix,
    value: *mut c_void,
) -> c_int {
    guard(-1, || {
        // SAFETY: the host passes what `parse_name` filled.
        let name = unsafe { parameter.as_ref() };
        let (Some(name), Some(module), false) = (name, MODULE.get(), value.is_null()) else {
            return -1;
        };
        let found = Variable::value(name.inner as usize);
        // SAFETY: the host passes room for a value of its own.
        unsafe { module.values.give(message, value, found) }
    })
}

host_symbols! {
    /// Functions that fill the host's values: the places of number and flags differ between series.
    struct Functions {
        nothing: abi::NoValue = c"pv_get_null",
        text: abi::TextValue = c"pv_get_strval",
        number: abi::NumberValue = c"pv_get_intstrval",
    }
}

/// The functions for giving values.
#[derive(Clone, Copy)]
pub(super) struct Values {
    functions: Functions,
    /// The largest number this series has room for.
    most: u64,
}

impl Values {
    /// Looks the functions up. In `init`.
    pub(super) fn of_core() -> Result<Self, LayoutError> {
        // SAFETY: the types in Functions are those of every supported series.
        let functions = unsafe { Functions::load(symbols::of_core)? };
        let most = match start_checks::numbers_are_long(functions.number)? {
            true => i64::MAX as u64,
            false => i32::MAX as u64,
        };
        Ok(Self { functions, most })
    }

    /// # Safety
    /// In the host's call of a getter, whose message and room these are.
    unsafe fn give(&self, message: *mut abi::Message, value: *mut c_void, found: Found) -> c_int {
        let is_nothing = found == Found::Nothing;
        let is_number = matches!(found, Found::Number(_));
        let given = found.given();
        let (start, length) = given.text;
        let mut text = kamailio_text {
            s: start.cast(),
            len: length as c_int,
        };
        let functions = &self.functions;
        // None of them uses the parameter.
        let parameter = ptr::null_mut();
        // SAFETY: the caller's promise; the text is copied into the value, and stays where it
        // points to.
        unsafe {
            if is_nothing {
                (functions.nothing)(message, parameter, value)
            } else if is_number {
                let number = given.number.min(self.most) as c_long;
                (functions.number)(message, parameter, value, number, &mut text)
            } else {
                (functions.text)(message, parameter, value, &mut text)
            }
        }
    }
}
