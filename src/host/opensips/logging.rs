//! The host's log: `dprint`, with the host's level and back ends.

use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;

use super::abi;
use crate::host::guard::c_string;
use crate::host::symbols::{self, host_symbols};
use crate::log::{Level, Line};

type Dprint = unsafe extern "C" fn(
    c_int,
    c_int,
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_char,
    ...
);

host_symbols! {
    struct Log {
        dprint: Dprint = c"dprint",
        level: *mut *mut c_int = c"log_level",
        facility: *mut c_int = c"log_facility",
        prefix: *mut *const c_char = c"log_prefix",
    }
}

static LOG: OnceLock<Option<Log>> = OnceLock::new();

/// Writes one line. Main thread only.
pub(super) fn write(line: &Line) {
    // SAFETY: the types are those of the host's dprint.h in every supported series.
    let log = LOG.get_or_init(|| unsafe { Log::load(symbols::of_core) }.ok());
    let Some(log) = log else { return };
    let (level, stderr_format, syslog_format) = formats(line.level);
    // SAFETY: the variables live as long as the process; log_level points to the process'
    // own level.
    let (printable, facility, prefix) = unsafe {
        let now = *log.level;
        (!now.is_null() && *now >= level, *log.facility, *log.prefix)
    };
    if !printable {
        return;
    }
    let message = c_string(line.text.as_str());
    let time = time_now();
    let prefix = if prefix.is_null() {
        c"".as_ptr()
    } else {
        prefix
    };
    // SAFETY: dprint wants, after the formats, time, process, prefix and function, then the
    // arguments of the message's own format; the message is an argument, never a format.
    unsafe {
        (log.dprint)(
            level,
            facility,
            c"msrp_conference".as_ptr(),
            c"rust".as_ptr(),
            stderr_format,
            syslog_format,
            c"%s".as_ptr(),
            time.as_ptr(),
            libc::getpid(),
            prefix,
            c"conference".as_ptr(),
            message.as_ptr(),
        );
    }
}

/// The host's level, and its two formats for it: with time and process, and without.
fn formats(level: Level) -> (c_int, *const c_char, *const c_char) {
    macro_rules! row {
        ($level:literal, $name:literal) => {
            (
                $level,
                concat!("%s [%d] %s", $name, ":msrp_conference:%s: %s\n\0")
                    .as_ptr()
                    .cast(),
                concat!("%s", $name, ":msrp_conference:%s: %s\n\0")
                    .as_ptr()
                    .cast(),
            )
        };
    }
    match level {
        Level::Error => row!(-1, "ERROR"),
        Level::Warning => row!(1, "WARNING"),
        Level::Notice => row!(2, "NOTICE"),
        Level::Info => row!(3, "INFO"),
        Level::Debug => row!(4, "DBG"),
    }
}

/// Local time as the host's own lines show it.
fn time_now() -> CString {
    let mut text = [0u8; 32];
    // SAFETY: tm is plain data; localtime_r and strftime write within what they are given.
    let length = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut parts: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now, &mut parts);
        libc::strftime(
            text.as_mut_ptr().cast(),
            text.len(),
            c"%b %e %H:%M:%S".as_ptr(),
            &parts,
        )
    };
    c_string(text.get(..length).unwrap_or_default())
}

/// The text of a C string the host owns, for the version line.
pub(super) fn build_text(build: &abi::opensips_build) -> String {
    // SAFETY: the host's version is a literal of its own.
    unsafe { crate::host::text::of_c(build.version) }
}
