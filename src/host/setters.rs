//! How both hosts hand a parameter over: by a function of its own, with a kind and a value.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::guard::guard;
use super::{start, text};
use crate::parameters::{TABLE, Value};

/// The kind of text, in both hosts.
pub(super) const TEXT: c_uint = 1;

/// What the host calls for one parameter.
pub(super) type Setter = unsafe extern "C" fn(c_uint, *mut c_void) -> c_int;

/// The host does not say which parameter it sets, so each number has a function of its own.
pub(super) const SETTERS: [Setter; 48] = [
    set::<0>, set::<1>, set::<2>, set::<3>, set::<4>, set::<5>, set::<6>, set::<7>, set::<8>,
    set::<9>, set::<10>, set::<11>, set::<12>, set::<13>, set::<14>, set::<15>, set::<16>,
    set::<17>, set::<18>, set::<19>, set::<20>, set::<21>, set::<22>, set::<23>, set::<24>,
    set::<25>, set::<26>, set::<27>, set::<28>, set::<29>, set::<30>, set::<31>, set::<32>,
    set::<33>, set::<34>, set::<35>, set::<36>, set::<37>, set::<38>, set::<39>, set::<40>,
    set::<41>, set::<42>, set::<43>, set::<44>, set::<45>, set::<46>, set::<47>,
];

const _: () = assert!(TABLE.len() <= SETTERS.len());

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
