//! Retries while the process of a previous run still holds a resource, whose release nothing
//! announces. Use it only at startup, on a thread that may block.

use std::thread;
use std::time::{Duration, Instant};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Repeats `attempt` while it fails because something `is_taken`, for at most `timeout`; then
/// returns the last outcome.
pub(crate) fn retry<T, E>(
    timeout: Duration,
    is_taken: impl Fn(&E) -> bool,
    attempt: impl Fn() -> Result<T, E>,
) -> Result<T, E> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_taken(&error) && started.elapsed() < timeout => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// An attempt that fails this many times.
    fn after(failures: u32) -> impl Fn() -> Result<u32, &'static str> {
        let tried = Cell::new(0);
        move || {
            tried.set(tried.get() + 1);
            match tried.get() > failures {
                true => Ok(tried.get()),
                false => Err("taken"),
            }
        }
    }

    #[test]
    fn what_is_taken_is_tried_again_and_nothing_else() {
        let taken = |error: &&str| *error == "taken";
        assert_eq!(retry(LONG, taken, after(2)), Ok(3));
        assert_eq!(retry(Duration::ZERO, taken, after(2)), Err("taken"));
        let broken = retry(LONG, taken, || Err::<(), _>("broken"));
        assert_eq!(broken, Err("broken"));
    }
}
