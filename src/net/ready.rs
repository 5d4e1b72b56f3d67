//! The ready connections of a switch thread, and the waker of its driver. `model` checks every
//! interleaving of threads.

use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use super::sync::{Mutex, MutexGuard};
use crate::switch::ConnectionId;

/// Connections that the driver of one thread must look at.
#[derive(Debug, Default)]
pub(super) struct Ready {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<ConnectionId>,
    /// Marks the connections present in `connections`, by [`ConnectionId::index`].
    queued: Vec<Option<ConnectionId>>,
    driver: Option<Waker>,
}

impl Ready {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a turn of the driver: swaps `taken`, which is empty, with the list of ready
    /// connections. Any later event, including a command, wakes `driver`.
    pub(super) fn begin_turn(&self, driver: &Waker, taken: &mut Vec<ConnectionId>) {
        let mut state = self.state();
        match &mut state.driver {
            Some(known) => known.clone_from(driver),
            none => *none = Some(driver.clone()),
        }
        std::mem::swap(&mut state.connections, taken);
        for connection in &*taken {
            if let Some(place) = state.queued.get_mut(connection.index()) {
                *place = None;
            }
        }
    }

    /// Something other than a connection needs a turn of the driver.
    pub(super) fn wake_driver(&self) {
        if let Some(driver) = &self.state().driver {
            driver.wake_by_ref();
        }
    }

    fn push(&self, connection: ConnectionId) {
        let mut state = self.state();
        let index = connection.index();
        if state.queued.len() <= index {
            state.queued.resize(index + 1, None);
        }
        if let Some(place) = state.queued.get_mut(index)
            && place.replace(connection) == Some(connection)
        {
            return;
        }
        state.connections.push(connection);
        if let (1, Some(driver)) = (state.connections.len(), &state.driver) {
            driver.wake_by_ref();
        }
    }
}

/// The waker of one connection.
#[derive(Debug)]
struct ConnectionWaker {
    connection: ConnectionId,
    ready: Arc<Ready>,
}

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.push(self.connection);
    }
}

/// A waker that makes the driver look at this connection.
pub(super) fn waker(connection: ConnectionId, ready: Arc<Ready>) -> Waker {
    Waker::from(Arc::new(ConnectionWaker { connection, ready }))
}
