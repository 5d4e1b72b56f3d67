//! Trying again for what the process of the last run is about to let go: nothing tells when
//! that has gone. For starts only, on a thread that may wait.

use std::thread;
use std::time::{Duration, Instant};

/// How often it is tried.
const RETRY: Duration = Duration::from_millis(50);

/// Repeats while what is wanted is `taken`, for as long as `patience`; then the last outcome
/// counts.
pub(crate) fn patiently<T, E>(
    patience: Duration,
    taken: impl Fn(&E) -> bool,
    attempt: impl Fn() -> Result<T, E>,
) -> Result<T, E> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if taken(&error) && started.elapsed() < patience => thread::sleep(RETRY),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Fails that often.
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
        assert_eq!(patiently(LONG, taken, after(2)), Ok(3));
        assert_eq!(patiently(Duration::ZERO, taken, after(2)), Err("taken"));
        let broken = patiently(LONG, taken, || Err::<(), _>("broken"));
        assert_eq!(broken, Err("broken"));
    }
}
