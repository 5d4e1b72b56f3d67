//! The transport of one connection: its socket, and TLS over it if there is any.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::dial::Target;
use super::ready::{self, Ready};
use super::strangers::Permit;
use super::tls::Records;
use super::writer;
use crate::switch::{After, Batch, ConnectionId};

/// Parts of one vectored write.
const SLICES: usize = 64;

/// The transport of one connection of this thread.
pub(super) struct ConnectionTransport {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    /// The TLS over it.
    pub(super) records: Option<Box<Records>>,
    /// The peer's address as dialled, if the switch made the connection.
    pub(super) target: Option<Box<Target>>,
    pub(super) waker: Waker,
    /// What the operating system did not accept yet, and what to do after it.
    pub(super) rest: Option<Box<(Batch, After)>>,
    /// Held until the connection has bound a session.
    pub(super) permit: Option<Permit>,
    /// It is in the driver's list of connections to read.
    pub(super) readable: bool,
}

/// How far a write came.
pub(super) enum Written {
    All,
    Blocked,
    Failed,
}

impl ConnectionTransport {
    pub(super) fn new(
        id: ConnectionId,
        stream: TcpStream,
        records: Option<Box<Records>>,
        permit: Option<Permit>,
        ready: Arc<Ready>,
    ) -> Self {
        Self {
            id,
            target: None,
            stream,
            records,
            waker: ready::waker(id, ready),
            rest: None,
            permit,
            readable: false,
        }
    }

    /// Reads what is there; wakes the driver when there is more.
    pub(super) fn poll_read(
        &mut self,
        scratch: &mut [u8],
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut context = Context::from_waker(&self.waker);
        match &mut self.records {
            None => Pin::new(&mut self.stream).poll_read(&mut context, buffer),
            Some(records) => records.poll_read(&mut self.stream, &mut context, scratch, buffer),
        }
    }

    /// Whether it must close to make room: it has no session.
    pub(super) fn must_go(&self) -> bool {
        let permit = self.permit.as_ref();
        permit.is_some_and(|permit| permit.is_evicted(&self.waker))
    }

    /// Closes our side of the stream.
    pub(super) async fn shut_down(&mut self) -> io::Result<()> {
        if let Some(records) = &mut self.records {
            records.finish(&mut self.stream).await?;
        }
        self.stream.shutdown().await
    }

    /// Writes as much as the operating system takes; wakes the driver when it takes more.
    pub(super) fn put(&mut self, batch: &mut Batch) -> Written {
        if self.records.is_some() {
            return self.put_records(batch);
        }
        let mut context = Context::from_waker(&self.waker);
        while !batch.is_empty() {
            let (one, mut many);
            let slices: &[IoSlice<'_>] = match batch.single() {
                Some(octets) => {
                    one = [IoSlice::new(octets)];
                    &one
                }
                None => {
                    many = [IoSlice::new(&[]); SLICES];
                    let count = batch.slices(&mut many);
                    many.get(..count).unwrap_or_default()
                }
            };
            match writer::poll_write(&self.stream, &mut context, slices) {
                Poll::Ready(Ok(0) | Err(_)) => return Written::Failed,
                Poll::Ready(Ok(count)) => batch.advance(count),
                Poll::Pending => return Written::Blocked,
            }
        }
        Written::All
    }

    /// The same through TLS; an empty batch writes what is left of earlier ones.
    fn put_records(&mut self, batch: &mut Batch) -> Written {
        let Some(records) = &mut self.records else {
            return Written::Failed;
        };
        let mut context = Context::from_waker(&self.waker);
        while !batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = batch.slices(&mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            match records.poll_write(&mut self.stream, &mut context, slices) {
                Poll::Ready(Ok(count)) => batch.advance(count),
                Poll::Ready(Err(_)) => return Written::Failed,
                Poll::Pending => return Written::Blocked,
            }
        }
        match records.poll_flush(&mut self.stream, &mut context) {
            Poll::Ready(Ok(())) => Written::All,
            Poll::Ready(Err(_)) => Written::Failed,
            Poll::Pending => Written::Blocked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small_here_too() {
        // The socket (40), its permit until it is bound (24), and what is mostly not there.
        let size = std::mem::size_of::<ConnectionTransport>();
        assert!(size <= 120, "{size}");
    }
}
