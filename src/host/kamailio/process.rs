//! The conference process: forked from the host's main process, run by its timer loop.

use std::cell::RefCell;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::proxy::Kamailio;
use super::{MODULE, Module, abi};
use crate::host::conference::{Conference, Turn};
use crate::host::guard::{c_string, guard};
use crate::host::{PROCESS_NAME, api, give_up, leave, logging as log};

/// How often the host's own loop around ours may check for changes of its configuration.
const ROUND: Duration = Duration::from_millis(500);

/// The host sleeps at least this long between two rounds, in microseconds.
const PAUSE: c_int = 1;

/// How long a conference process that cannot work waits before it gives up. The host stops at once
/// then; a process of its own forked a moment ago misses the signal, and the host waits a minute
/// for it. Nothing shows when the last of them is ready.
const STARTING: Duration = Duration::from_secs(1);

/// The process that forks ours.
static MAIN_PROCESS: AtomicI32 = AtomicI32::new(0);

thread_local! {
    /// Lives from the first round in the conference process to its end.
    static CONFERENCE: RefCell<Option<Conference<Kamailio>>> = const { RefCell::new(None) };
}

/// Forks the conference process, with a channel to the host's TCP process. In `init_child` of
/// the main process: negative stops the start.
pub(super) fn fork(module: &Module) -> c_int {
    // SAFETY: getpid has no precondition.
    MAIN_PROCESS.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    api::before_fork();
    let name = c_string(PROCESS_NAME).into_raw();
    // SAFETY: in the main process, where the host allows it; the name lives for ever.
    let forked = unsafe {
        (module.core.fork_basic_timer)(abi::RANK_RPC, name, 1, round, ptr::null_mut(), PAUSE)
    };
    if forked < 0 { -1 } else { 0 }
}

/// The host calls this again and again in the conference process.
unsafe extern "C" fn round(_ticks: c_uint, _argument: *mut c_void) {
    let fine = guard(false, || {
        CONFERENCE.with_borrow_mut(|slot| {
            if slot.is_none() {
                *slot = start();
            }
            match slot {
                Some(conference) => {
                    turn_for_a_round(conference);
                    true
                }
                None => {
                    thread::sleep(STARTING);
                    false
                }
            }
        })
    });
    if !fine {
        give_up();
    }
}

fn start() -> Option<Conference<Kamailio>> {
    let module = MODULE.get()?;
    let parent = MAIN_PROCESS.load(Ordering::Relaxed);
    let host = Kamailio::new(module);
    match Conference::start(host, &module.settings, &module.bridge, -1, parent) {
        Ok(conference) => {
            log::notice("conference process started");
            Some(conference)
        }
        Err(error) => {
            log::error(format_args!("conference process: {error}"));
            None
        }
    }
}

fn turn_for_a_round(conference: &mut Conference<Kamailio>) {
    let started = Instant::now();
    while started.elapsed() < ROUND {
        let turn = conference.turn();
        if matches!(turn, Turn::End | Turn::Broken) {
            conference.stop();
        }
        match turn {
            Turn::Again | Turn::HostPipe => {}
            Turn::End => leave(),
            Turn::Broken => give_up(),
        }
    }
}
