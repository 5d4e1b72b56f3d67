//! The host's log: its levels, then its log engine, standard error or syslog.

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use super::abi::kamailio_log_record;
use crate::host::guard::c_string;
use crate::host::symbols::{self, host_symbols};
use crate::log::{Level, Line};

type DebugLevel = unsafe extern "C" fn(*const c_char, c_int) -> c_int;
type SyslogFunction = unsafe extern "C" fn(c_int, *const c_char, ...);
type EngineFunction = unsafe extern "C" fn(*mut kamailio_log_record, *const c_char, ...);

host_symbols! {
    struct Log {
        level: DebugLevel = c"get_debug_level",
        facility: DebugLevel = c"get_debug_facility",
        syslog: *mut SyslogFunction = c"_km_log_func",
        engine: *mut Option<EngineFunction> = c"_ksr_slog_func",
        to_standard_error: *mut c_int = c"log_stderr",
        process_number: *mut c_int = c"process_no",
    }
}

static LOG: OnceLock<Option<Log>> = OnceLock::new();

const MODULE_NAME: &CStr = c"msrp_conference";

/// Writes one line. Main thread only.
pub(super) fn write(line: &Line) {
    // SAFETY: the types are those of the host's dprint.h in every supported series.
    let log = LOG.get_or_init(|| unsafe { Log::load(symbols::of_core) }.ok());
    let Some(log) = log else { return };
    let (level, name, priority) = numbers(line.level);
    let length = MODULE_NAME.count_bytes() as c_int;
    // SAFETY: the functions take a name and its length; the variables live as long as the
    // process and belong to it.
    let (printable, to_standard_error, number) = unsafe {
        (
            (log.level)(MODULE_NAME.as_ptr(), length) >= level,
            *log.to_standard_error != 0,
            *log.process_number,
        )
    };
    if !printable {
        return;
    }
    // SAFETY: the variables hold a function of the declared type, or null for no engine; the
    // message is an argument, never a format.
    unsafe {
        let facility = (log.facility)(MODULE_NAME.as_ptr(), length);
        if let Some(engine) = *log.engine {
            let text = c_string(format!("{}\n", line.text));
            let mut record = record(level, name, facility, number);
            engine(&mut record, c"%s".as_ptr(), text.as_ptr());
        } else if to_standard_error {
            write_standard_error(number, name, &line.text);
        } else {
            let text = c_string(line.text.as_str());
            (*log.syslog)(
                priority | facility,
                c"%s: msrp_conference: %s\n".as_ptr(),
                name.as_ptr(),
                text.as_ptr(),
            );
        }
    }
}

fn record(
    level: c_int,
    name: &'static CStr,
    facility: c_int,
    number: c_int,
) -> kamailio_log_record {
    kamailio_log_record {
        facility,
        level,
        level_name: name.as_ptr(),
        file: c"rust".as_ptr(),
        line: 0,
        module: MODULE_NAME.as_ptr(),
        function: c"conference".as_ptr(),
        location: c"".as_ptr(),
        // SAFETY: getpid has no precondition.
        process: unsafe { libc::getpid() },
        index: number,
    }
}

/// Writes the line in one call, or lines of several processes would mix.
fn write_standard_error(number: c_int, name: &CStr, text: &str) {
    // SAFETY: getpid has no precondition.
    let process = unsafe { libc::getpid() };
    let name = name.to_string_lossy();
    let line = format!("{number:2}({process}) {name}: msrp_conference: {text}\n");
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// The host's level and its name, and syslog's.
fn numbers(level: Level) -> (c_int, &'static CStr, c_int) {
    match level {
        Level::Error => (-1, c"ERROR", libc::LOG_ERR),
        Level::Warning => (0, c"WARNING", libc::LOG_WARNING),
        Level::Notice => (1, c"NOTICE", libc::LOG_NOTICE),
        Level::Info => (2, c"INFO", libc::LOG_INFO),
        Level::Debug => (3, c"DEBUG", libc::LOG_DEBUG),
    }
}

/// A text variable of the core, such as its version.
pub(super) fn core_text(name: &CStr) -> String {
    // SAFETY: the core's version variables are NUL-terminated character arrays.
    unsafe { crate::host::text::of_c(symbols::of_core(name).cast_const().cast()) }
}
