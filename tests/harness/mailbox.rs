//! A queue between a reading thread and a test that waits for certain items.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// A list of received things with a condition to wait on.
pub struct Mailbox<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Mailbox<T> {
    /// An empty one.
    pub fn new() -> Self {
        let state = State {
            items: VecDeque::new(),
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Appends.
    pub fn push(&self, item: T) {
        self.state.lock().unwrap().items.push_back(item);
        self.changed.notify_all();
    }

    /// Marks the end: nothing more will come.
    pub fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.changed.notify_all();
    }

    /// Takes the first matching item, waiting up to `patience`; `None` when none came.
    pub fn take(&self, patience: Duration, mut fits: impl FnMut(&T) -> bool) -> Option<T> {
        let end = Instant::now() + patience;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(at) = state.items.iter().position(&mut fits) {
                return state.items.remove(at);
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until nothing more can come; true if that happened in time.
    pub fn closes(&self, patience: Duration) -> bool {
        let state = self.state.lock().unwrap();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, patience, |state| !state.closed)
            .unwrap();
        state.closed
    }

    /// Number of matching items in the queue.
    pub fn count(&self, fits: impl Fn(&T) -> bool) -> usize {
        self.state
            .lock()
            .unwrap()
            .items
            .iter()
            .filter(|item| fits(item))
            .count()
    }

    /// Takes everything out.
    pub fn drain(&self) -> Vec<T> {
        self.state.lock().unwrap().items.drain(..).collect()
    }
}
