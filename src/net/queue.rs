//! The command queue of a switch thread. Each command wakes the thread's driver, which takes all
//! queued commands in one turn.

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::dial::DialError;
use super::ready::Ready;
use super::strangers::Permit;
use super::tls::Records;
use super::websocket::WebSocket;
use crate::control;
use crate::switch::{Post, Security, Thread, Wanted};

/// A command to a switch thread from the focus or another thread.
#[derive(Debug)]
pub(super) enum Command {
    /// An order of the focus.
    Order(control::Order),
    /// The focus is gone: sessions that no focus claims within this time end.
    Unclaim(Duration),
    /// An accepted connection, and the octets already read from it.
    Connection(Box<Accepted>, Vec<u8>),
    /// A connection that a session of this thread requested, or the reason why there is none.
    ConnectFinished(Box<Wanted>, Result<Box<Accepted>, DialError>),
    /// Parcels from the switch of another thread, in order.
    Post(Thread, Post),
    /// Flush pending output and end.
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
