//! How a switch thread is reached: commands from other threads, and the connections of its own
//! that became ready. Both wake its driver, which takes all of them in one turn.

use std::fmt;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::dial::DialError;
use super::strangers::Permit;
use super::tls::Records;
use super::websocket::WebSocket;
use crate::control;
use crate::switch::{ConnectionId, Post, Security, Thread, Wanted};

/// What a switch thread is to do, sent by the focus or another thread.
#[derive(Debug)]
pub(super) enum Command {
    /// An order of the focus.
    Order(control::Order),
    /// The focus is gone: sessions that no focus claims within this time end.
    Unclaim(Duration),
    /// An accepted connection and what was read from it so far.
    Connection(Box<Accepted>, Vec<u8>),
    /// A connection that a session here asked for, or why there is none.
    ConnectFinished(Box<Wanted>, Result<Box<Accepted>, DialError>),
    /// From the switch of another thread, in order.
    Post(Thread, Post),
    /// Flush and end.
    Stop,
}

/// A connection on its way to a thread, outside any runtime.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) records: Option<Box<Records>>,
    /// The WebSocket over both.
    pub(super) web: Option<Box<WebSocket>>,
    pub(super) security: Security,
    /// Held until the connection has bound a session.
    pub(super) permit: Option<Permit>,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Accepted").field(&self.stream).finish()
    }
}

/// The sending side of the queue of one switch thread.
#[derive(Clone, Debug)]
pub(super) struct CommandQueue {
    commands: Sender<Command>,
    ready: Arc<Ready>,
}

impl CommandQueue {
    pub(super) fn new() -> (Self, Receiver<Command>) {
        let (commands, receiver) = unbounded();
        let ready = Arc::new(Ready::default());
        (Self { commands, ready }, receiver)
    }

    /// Never blocks. A thread that has ended takes no commands.
    pub(super) fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.ready.wake_driver();
        }
    }

    pub(super) fn ready(&self) -> Arc<Ready> {
        Arc::clone(&self.ready)
    }
}

/// Which connections a driver must look at, and how to wake it.
#[derive(Debug, Default)]
pub(super) struct Ready {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<ConnectionId>,
    driver: Option<Waker>,
}

impl Ready {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the waker of the driver.
    pub(super) fn register(&self, waker: &Waker) {
        let mut state = self.state();
        match &mut state.driver {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Exchanges `taken`, which is empty, for the connections that became ready.
    pub(super) fn take(&self, taken: &mut Vec<ConnectionId>) {
        std::mem::swap(&mut self.state().connections, taken);
    }

    fn wake_driver(&self) {
        if let Some(driver) = &self.state().driver {
            driver.wake_by_ref();
        }
    }

    fn push(&self, connection: ConnectionId) {
        let mut state = self.state();
        state.connections.push(connection);
        if let (1, Some(driver)) = (state.connections.len(), &state.driver) {
            driver.wake_by_ref();
        }
    }
}

/// The waker of one connection.
#[derive(Debug)]
pub(super) struct Wakeup {
    connection: ConnectionId,
    ready: Arc<Ready>,
    queued: AtomicBool,
}

impl Wakeup {
    pub(super) fn new(connection: ConnectionId, ready: Arc<Ready>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            ready,
            queued: AtomicBool::new(false),
        })
    }

    /// The driver looks at the connection now; whatever comes later queues it again.
    pub(super) fn looked_at(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.connection);
        }
    }
}
