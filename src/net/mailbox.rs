//! How a switch thread is reached: letters from other threads, and the connections of its own
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

/// What one thread is told by others.
#[derive(Debug)]
pub(super) enum Letter {
    /// From the focus.
    Order(control::Order),
    /// No focus has claimed any session; those that none claims within this time end.
    Unclaim(Duration),
    /// An accepted connection and what was read from it so far.
    Connection(Box<Accepted>, Vec<u8>),
    /// The connection a session here wanted, or that there is none.
    Dialled(Box<Wanted>, Result<Box<Accepted>, DialError>),
    /// What another thread's switch has for this one's, in order.
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
    /// Until it has bound a session.
    pub(super) permit: Option<Permit>,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Accepted").field(&self.stream).finish()
    }
}

/// Writes letters to one thread.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    letters: Sender<Letter>,
    ready: Arc<Ready>,
}

impl Mailbox {
    pub(super) fn new() -> (Self, Receiver<Letter>) {
        let (letters, receiver) = unbounded();
        let ready = Arc::new(Ready::default());
        (Self { letters, ready }, receiver)
    }

    /// Never blocks. A thread that has ended takes no letters.
    pub(super) fn send(&self, letter: Letter) {
        if self.letters.send(letter).is_ok() {
            self.ready.ring();
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

    /// Names the waker of the driver.
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

    fn ring(&self) {
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
