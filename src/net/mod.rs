//! The switch's sockets: listeners, connections and the threads that own them.
//!
//! A pool of switch threads, each with one `switch::Switch` and the connections of the rooms
//! pinned to it, and one acceptor thread that hands an accepted connection to the thread its
//! first request names. No conference rules here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::control::{Notice, Order};
use crate::log;

/// How MSRP travels on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `msrp:` over TCP.
    Tcp,
}

/// One MSRP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Its transport.
    pub transport: Transport,
    /// Where it listens; port 0 takes any free one.
    pub address: SocketAddr,
}

/// What the operator decided about the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The listeners.
    pub listen: Vec<Listen>,
    /// Switch threads; 0 counts as 1.
    pub threads: usize,
    /// Most octets that may wait for one receiver.
    pub outbox_bytes: usize,
    /// Longest pause between two chunks of a message.
    pub chunk_timeout: Duration,
}

impl Default for Config {
    /// No listener; everything else as in the parameter table.
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            threads: 1,
            outbox_bytes: 1 << 20,
            chunk_timeout: Duration::from_secs(540),
        }
    }
}

/// Why the switch did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address is not to be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A thread or its event queue could not be made.
    #[error("cannot start a switch thread: {0}")]
    Thread(#[source] io::Error),
}

/// What the switch has done since it started, and how many sessions it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions admitted and not ended.
    pub sessions: u64,
    /// Messages taken from participants.
    pub messages_in: u64,
    /// Copies written to participants.
    pub messages_out: u64,
    /// Octets read.
    pub bytes_in: u64,
    /// Octets written.
    pub bytes_out: u64,
    /// Copies not written because the receiver was too slow.
    pub drops_slow_reader: u64,
    /// Panics caught; each cost a connection.
    pub panics: u64,
}

/// The running switch.
pub struct Pool {}

impl Pool {
    /// Binds the listeners (`SO_REUSEADDR`) and starts the threads. `wake` is called, from any
    /// switch thread, after notices or log lines were sent.
    ///
    /// # Errors
    /// The first address that cannot be bound, or a thread that cannot be started.
    pub fn start(
        _config: Config,
        _notices: Sender<Notice>,
        _log: Sender<log::Line>,
        _wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Pool, StartError> {
        todo!()
    }

    /// Hands an order to the thread of its room; never blocks.
    pub fn order(&self, _order: Order) {
        todo!()
    }

    /// The listeners' real addresses, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        todo!()
    }

    /// What all threads together have done.
    pub fn totals(&self) -> Totals {
        todo!()
    }

    /// Closes listeners, flushes what is queued for at most a second, closes the connections
    /// and joins the threads.
    pub fn stop(self) {
        todo!()
    }
}

/// Tries to bind every listener and lets go again: for the host's start-up check.
///
/// # Errors
/// The first address that cannot be bound.
pub fn probe(listen: &[Listen]) -> Result<(), StartError> {
    for entry in listen {
        bind(entry)?;
    }
    Ok(())
}

/// The standard library sets `SO_REUSEADDR`, so connections in TIME_WAIT hinder no restart.
fn bind(listen: &Listen) -> Result<std::net::TcpListener, StartError> {
    std::net::TcpListener::bind(listen.address).map_err(|source| StartError::Bind {
        address: listen.address,
        source,
    })
}
