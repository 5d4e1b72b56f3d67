//! The conference process: registered with the host, which forks it.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering};

use super::proxy::OpenSips;
use super::{MODULE, Module, abi, layout};
use crate::host::conference::{Conference, Turn};
use crate::host::guard::guard;
use crate::host::{api, give_up, leave, logging as log};

/// The process that forks ours; the host may have gone into the background since `init`.
static MAIN_PROCESS: AtomicI32 = AtomicI32::new(0);

/// The host calls this right before it forks our process.
pub(super) unsafe extern "C" fn before_fork() -> c_int {
    // SAFETY: getpid has no precondition.
    MAIN_PROCESS.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    api::before_fork();
    0
}

/// The host calls this in the process it forked for us.
pub(super) unsafe extern "C" fn run(_number: c_int) {
    guard((), || {
        if let Some(module) = MODULE.get() {
            serve(module);
        }
    });
    give_up();
}

fn serve(module: &'static Module) {
    let pipe = match layout::own_pipe(&module.core, module.series) {
        Ok(pipe) => pipe,
        Err(error) => return log::error(error),
    };
    let started = Conference::start(
        OpenSips(module),
        &module.settings,
        &module.bridge,
        pipe,
        MAIN_PROCESS.load(Ordering::Relaxed),
    );
    let mut conference = match started {
        Ok(conference) => conference,
        Err(error) => return log::error(format_args!("conference process: {error}")),
    };
    log::notice("conference process started");
    loop {
        match conference.turn() {
            Turn::Again => {}
            Turn::HostPipe => {
                // The host ends its processes by a job that calls exit(): farewells first.
                // SAFETY: reads a variable of the host.
                if unsafe { (module.core.core_status)() } == abi::TERMINATING {
                    conference.stop();
                }
                // SAFETY: the pipe is this process' own and readable; main thread.
                unsafe { (module.core.handle_job)(pipe) };
            }
            Turn::End => {
                conference.stop();
                leave();
            }
            Turn::Broken => {
                conference.stop();
                give_up();
            }
        }
    }
}
