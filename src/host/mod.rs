//! The proxy this module was loaded into. The only place with `unsafe` code; `SAFETY.md`
//! has the invariants it rests on.
//!
//! A constructor recognises the host by its symbols and fills the table `exports` in that host's
//! layout. In a process that is not a host (a test, `msrp-chat`) it does nothing. `opensips` and
//! `kamailio` have the same files, so that a diff shows the differences.

#[cfg(not(all(
    target_arch = "x86_64",
    target_os = "linux",
    target_pointer_width = "64"
)))]
compile_error!(
    "msrp_conference is for x86-64 Linux alone: it is compiled without the proxies' headers, and \
     what it knows of their memory (include/, src/host/*/series.rs) was measured there"
);

pub mod api;
mod conference;
mod fds;
mod guard;
mod kamailio;
mod layout;
mod logging;
mod management;
mod memory;
mod numbered;
mod opensips;
mod options;
mod release;
mod setters;
mod sockets;
mod start;
mod symbols;
mod text;
mod user;
mod variables;
mod worker;

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::AtomicPtr;

/// The conference process in the host's list of processes.
const PROCESS_NAME: &str = "MSRP conference";

/// Return value of the script function for a request that was taken.
const TAKEN: c_int = 1;

/// Return values for the other cases: all negative, so false in a script.
mod refused {
    use std::ffi::c_int;

    /// Not for this module: a response.
    pub(super) const NOT_OURS: c_int = -1;
    /// The request is malformed.
    pub(super) const MALFORMED: c_int = -2;
    /// The call is not possible in this route, the argument in the script is malformed, or the host
    /// has no memory left. The log says which.
    pub(super) const BROKEN: c_int = -3;

    /// The headers of a 503 that a worker gives (RFC 3261 §20.33, §20.43).
    pub(super) const BUSY: &str = "Retry-After: 10\r\n\
        Warning: 399 msrp_conference \"the conference process does not keep up\"\r\n";
}

/// Longest identity in octets; a URI in a From header is far shorter.
const IDENTITY_OCTETS: usize = 1024;

/// Pseudo-variables as a host parsed them before the fork.
#[derive(Clone, Copy)]
struct Format(*mut c_void);

// SAFETY: the parsed form lies in memory every process has its own copy of, is never
// changed, and is used by a process' main thread alone.
unsafe impl Send for Format {}
// SAFETY: as above.
unsafe impl Sync for Format {}

/// Leaves this process at once after a request to end: the host's own exit code is for its main
/// process.
fn leave() -> ! {
    // SAFETY: _exit has no precondition.
    unsafe { libc::_exit(0) }
}

/// Leaves this process because it cannot work. The host stops, and its main process must not end
/// with success.
fn give_up() -> ! {
    fds::abort()
}

/// Room for either host's table of exports; OpenSIPS' is the larger, 184 octets.
#[repr(C, align(16))]
pub struct Exports(UnsafeCell<[u64; 23]>);

// SAFETY: written once, by the constructor, before the loader reads it; single-threaded.
unsafe impl Sync for Exports {}

/// The table that the host's loader looks up.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static exports: Exports = Exports(UnsafeCell::new([0; 23]));

/// Kamailio's loader compares it with its own version.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static module_version: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());

/// Kamailio's loader compares it with its own compile flags.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static module_flags: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());

/// Kamailio calls this right after it has checked the version.
///
/// # Safety
/// Called by Kamailio's loader alone, on its main thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mod_register(
    _path: *mut c_char,
    _open_flags: *mut c_int,
    _reserved: *mut c_void,
    _unused: *mut c_void,
) -> c_int {
    guard::guard(-1, || if kamailio::register() { 0 } else { -1 })
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    guard::guard((), || {
        let table = exports.0.get().cast::<u64>();
        if opensips::is_host() {
            opensips::fill(table);
        } else if kamailio::is_host() {
            kamailio::fill(table);
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_that_is_no_host_is_left_alone() {
        assert!(!super::opensips::is_host());
        assert!(!super::kamailio::is_host());
        // SAFETY: nobody writes the table in this process.
        let table = unsafe { &*super::exports.0.get() };
        assert!(table.iter().all(|word| *word == 0));
    }
}
