//! The C boundary: no panic crosses it. Everything the host calls runs inside [`guard`].

use std::ffi::CString;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::host::logging;
use crate::log::{Level, Line};
use crate::statistics::{self, Statistic};

/// Runs `body`; a panic inside it becomes `otherwise`, and one line in the host's log.
pub(crate) fn guard<R>(otherwise: R, body: impl FnOnce() -> R) -> R {
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            // A payload may panic when dropped; leaking it does less harm.
            std::mem::forget(payload);
            otherwise
        }
    }
}

/// Reports the place of every panic in the host's log instead of on standard error.
pub(crate) fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            statistics::global().add(Statistic::Panics, 1);
            logging::write(&Line::new(Level::Error, panic_text(panic)));
        }));
    });
}

fn panic_text(panic: &panic::PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let said = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    match panic.location() {
        Some(place) => format!("BUG: panic at {}:{}: {said}", place.file(), place.line()),
        None => format!("BUG: panic: {said}"),
    }
}

/// Text for the host as a C string; NUL octets, which no C string can hold, are left out.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> CString {
    let mut octets: Vec<u8> = text.into();
    octets.retain(|octet| *octet != 0);
    // Cannot fail: no NUL is left.
    CString::new(octets).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_given_result() {
        assert_eq!(guard(-1, || panic!("on purpose")), -1);
        assert_eq!(guard(-1, || 7), 7);
    }

    #[test]
    fn c_strings_lose_their_nul_octets() {
        assert_eq!(c_string("a\0b").as_bytes(), b"ab");
    }
}
