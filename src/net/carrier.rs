//! What carries a connection of the switch: a socket, or another thread's connection.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::mailbox::{Ready, Wakeup};
use crate::switch::{After, Batch, ConnectionId, Owner};

/// Parts of one vectored write.
const SLICES: usize = 64;

/// What a connection of the switch stands for.
pub(super) enum Carrier {
    Socket(Socket),
    Link {
        id: ConnectionId,
        origin: Owner,
        connection: ConnectionId,
    },
}

pub(super) struct Socket {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    pub(super) peer: Option<SocketAddr>,
    pub(super) wakeup: Arc<Wakeup>,
    pub(super) waker: Waker,
    /// What the operating system did not take yet, and what follows.
    pub(super) rest: Option<Box<(Batch, After)>>,
    /// Octets on their way to other threads.
    pub(super) linked: usize,
}

/// How far a write came.
pub(super) enum Written {
    All,
    Blocked,
    Failed,
}

impl Socket {
    pub(super) fn new(id: ConnectionId, stream: TcpStream, ready: Arc<Ready>) -> Self {
        let wakeup = Wakeup::new(id, ready);
        Self {
            id,
            peer: stream.peer_addr().ok(),
            stream,
            waker: Waker::from(Arc::clone(&wakeup)),
            wakeup,
            rest: None,
            linked: 0,
        }
    }

    /// Writes as much as the operating system takes; wakes the driver when it takes more.
    pub(super) fn put(&mut self, batch: &mut Batch) -> Written {
        let mut context = Context::from_waker(&self.waker);
        while !batch.is_empty() {
            let stream = Pin::new(&mut self.stream);
            let written = match batch.single() {
                Some(octets) => stream.poll_write(&mut context, octets),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = batch.slices(&mut slices);
                    let slices = slices.get(..count).unwrap_or_default();
                    stream.poll_write_vectored(&mut context, slices)
                }
            };
            match written {
                Poll::Ready(Ok(0) | Err(_)) => return Written::Failed,
                Poll::Ready(Ok(count)) => batch.advance(count),
                Poll::Pending => return Written::Blocked,
            }
        }
        Written::All
    }
}
