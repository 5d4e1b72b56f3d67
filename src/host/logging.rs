//! Lines for the host's log. The host's own functions may be called by a process' main
//! thread alone, so lines of other threads wait in a queue until that thread [`drain`]s it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::log::{Level, Line};
use crate::time::Clock;

/// Lines that may wait; a burst above that is dropped rather than grown without bound.
const QUEUE_LENGTH: usize = 1024;

/// The host's way to write one line.
static WRITER: OnceLock<fn(&Line)> = OnceLock::new();
static QUEUE: OnceLock<(Sender<Line>, Receiver<Line>)> = OnceLock::new();

/// Sets the host's way to write one line; the first call decides.
pub(crate) fn use_writer(writer: fn(&Line)) {
    let _ = WRITER.set(writer);
    queue();
}

/// Writes a line, at once on the main thread, through the queue from any other.
pub(crate) fn write(line: &Line) {
    let Some(writer) = WRITER.get() else {
        return eprintln!("msrp_conference: {}", line.text);
    };
    if on_main_thread() {
        writer(line);
    } else {
        let _ = queue().0.try_send(line.clone());
    }
}

/// Writes what other threads left. Main thread only.
pub(crate) fn drain() {
    let Some(writer) = WRITER.get() else { return };
    for line in queue().1.try_iter().take(QUEUE_LENGTH) {
        writer(&line);
    }
}

/// An error line.
pub(crate) fn error(text: impl std::fmt::Display) {
    write(&Line::new(Level::Error, text));
}

/// A warning line.
pub(crate) fn warning(text: impl std::fmt::Display) {
    write(&Line::new(Level::Warning, text));
}

/// A warning line that a flood of requests may cause: at most one a second and process.
pub(crate) fn warning_in_a_flood(text: impl std::fmt::Display) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = Clock::start().now().since_epoch().as_secs();
    if LAST.swap(now, Ordering::Relaxed) != now {
        warning(text);
    }
}

/// A notice line.
pub(crate) fn notice(text: impl std::fmt::Display) {
    write(&Line::new(Level::Notice, text));
}

fn queue() -> &'static (Sender<Line>, Receiver<Line>) {
    QUEUE.get_or_init(|| bounded(QUEUE_LENGTH))
}

/// Whether this is the process' first thread, the only one the host knows.
pub(crate) fn on_main_thread() -> bool {
    // SAFETY: neither call has a precondition.
    unsafe { libc::gettid() == libc::getpid() }
}
