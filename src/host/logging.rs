//! Lines for the host's log. Only a process' main thread may call the host's own functions, so
//! lines of other threads wait in a queue until that thread calls [`drain`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::log::{Level, Line};
use crate::time::Clock;

/// Lines that may wait; further ones are dropped, so that a burst cannot grow the queue without
/// bound.
const QUEUE_LENGTH: usize = 1024;

/// The function that writes one line to the host's log.
static WRITER: OnceLock<fn(&Line)> = OnceLock::new();
static QUEUE: OnceLock<(Sender<Line>, Receiver<Line>)> = OnceLock::new();

/// Sets the function that writes one line; only the first call has an effect.
pub(crate) fn use_writer(writer: fn(&Line)) {
    let _ = WRITER.set(writer);
    queue();
}

/// Writes a line: at once on the main thread, through the queue on any other.
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

/// Writes the lines of other threads. Main thread only.
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

/// A warning that a flood of requests may cause: at most one a second per process.
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
