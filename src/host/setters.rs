//! The parameters' setters: both hosts set a parameter by a function of its own, with a kind and a
//! value.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::guard::guard;
use super::numbered::numbered;
use super::{start, text};
use crate::parameters::{TABLE, Value};

/// The kind of text, in both hosts.
pub(super) const TEXT: c_uint = 1;

/// The function that the host calls for one parameter.
pub(super) type Setter = unsafe extern "C" fn(c_uint, *mut c_void) -> c_int;

/// The host does not tell which parameter it sets, so each number has its own function.
pub(super) const SETTERS: [Setter; TABLE.len()] = numbered!(set);

unsafe extern "C" fn set<const NUMBER: usize>(kind: c_uint, value: *mut c_void) -> c_int {
    guard(-1, || {
        let value = if kind & TEXT != 0 {
            // SAFETY: for text the host passes a C string.
            Value::Text(unsafe { text::of_c(value.cast::<c_char>()) })
        } else {
            // The host passes an int in the pointer's low half.
            Value::Number(i64::from(value as usize as c_int))
        };
        if start::take_parameter(NUMBER, value) {
            0
        } else {
            -1
        }
    })
}
