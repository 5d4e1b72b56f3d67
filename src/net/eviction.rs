//! Notifies the task of a connection, from another thread, that the connection must go. `model`
//! checks every interleaving of threads.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::task::Waker;

use super::sync::{AtomicBool, Mutex, MutexGuard};

/// The eviction flag of a connection, and the waker to call when it is set.
#[derive(Debug)]
pub(super) struct Eviction {
    evicted: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Default for Eviction {
    fn default() -> Self {
        Self {
            evicted: AtomicBool::new(false),
            waker: Mutex::new(None),
        }
    }
}

impl Eviction {
    /// The connection must go.
    pub(super) fn evict(&self) {
        // In this order: a task that sets its waker too late to be woken sees the flag.
        self.evicted.store(true, Ordering::Release);
        let waker = self.waker().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Sets the waker for the eviction; returns whether the connection must already go.
    pub(super) fn is_evicted(&self, waker: &Waker) -> bool {
        let mut own = self.waker();
        if !own.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *own = Some(waker.clone());
        }
        drop(own);
        self.evicted.load(Ordering::Acquire)
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
