//! The transport of one connection: its socket, with TLS over it if used.

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
use super::websocket::WebSocket;
use super::writer;
use crate::switch::{After, Batch, ConnectionId};
use crate::wire::websocket::Violation;

/// Parts of one vectored write.
const SLICES: usize = 64;

/// The transport of one connection of this thread.
pub(super) struct ConnectionTransport {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    /// The TLS over it.
    pub(super) records: Option<Box<Records>>,
    /// Data that most connections do not have, boxed to keep this structure small.
    role: Option<Box<Role>>,
    pub(super) waker: Waker,
    /// Output that the operating system has not accepted yet, and the step that follows it.
    pub(super) rest: Option<Box<(Batch, After)>>,
    /// Held until the connection has bound a session.
    pub(super) permit: Option<Permit>,
    /// It is in the driver's list of connections to read.
    pub(super) readable: bool,
}

/// Which side made a connection, where that matters.
enum Role {
    /// The switch did, to this peer.
    Dialled(Target),
    /// The peer did, over WebSocket.
    Web(WebSocket),
}

/// Progress of a write.
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
        web: Option<Box<WebSocket>>,
        permit: Option<Permit>,
        ready: Arc<Ready>,
    ) -> Self {
        Self {
            id,
            stream,
            records,
            role: web.map(|web| Box::new(Role::Web(*web))),
            waker: ready::waker(id, ready),
            rest: None,
            permit,
            readable: false,
        }
    }

    /// Reads available data; wakes the driver when more arrives. Reads nothing at the end of the
    /// stream, and after the peer has closed the WebSocket.
    pub(super) fn poll_read(
        &mut self,
        scratch: &mut [u8],
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.web().is_some_and(WebSocket::is_closed) {
            return Poll::Ready(Ok(()));
        }
        let mut context = Context::from_waker(&self.waker);
        match &mut self.records {
            None => Pin::new(&mut self.stream).poll_read(&mut context, buffer),
            Some(records) => records.poll_read(&mut self.stream, &mut context, scratch, buffer),
        }
    }

    /// The peer's address as dialled, if the switch made the connection.
    pub(super) fn target(&self) -> Option<&Target> {
        match self.role.as_deref() {
            Some(Role::Dialled(target)) => Some(target),
            _ => None,
        }
    }

    /// Records that the switch made this connection, and its target.
    pub(super) fn dialled(&mut self, target: Target) {
        self.role = Some(Box::new(Role::Dialled(target)));
    }

    /// The WebSocket over the socket, and over TLS if there is any.
    pub(super) fn web(&self) -> Option<&WebSocket> {
        match self.role.as_deref() {
            Some(Role::Web(web)) => Some(web),
            _ => None,
        }
    }

    fn web_mut(&mut self) -> Option<&mut WebSocket> {
        match self.role.as_deref_mut() {
            Some(Role::Web(web)) => Some(web),
            _ => None,
        }
    }

    /// On a WebSocket, removes the framing from the octets read. Returns the number of octets left
    /// at the front.
    pub(super) fn unframe(&mut self, octets: &mut [u8]) -> Result<usize, Violation> {
        match self.web_mut() {
            None => Ok(octets.len()),
            Some(web) => web.unframe(octets),
        }
    }

    /// On a WebSocket, wraps the output in frames.
    pub(super) fn frame(&mut self, batch: &mut Batch, framed: &mut Batch) {
        if let Some(web) = self.web_mut() {
            web.frame(batch, framed);
            std::mem::swap(batch, framed);
            framed.clear();
        }
    }

    /// Whether it must close to make room because it has no session.
    pub(super) fn must_go(&self) -> bool {
        let permit = self.permit.as_ref();
        permit.is_some_and(|permit| permit.is_evicted(&self.waker))
    }

    /// Closes our side of the stream.
    pub(super) async fn shut_down(&mut self) -> io::Result<()> {
        self.close_web().await;
        if let Some(records) = &mut self.records {
            records.finish(&mut self.stream).await?;
        }
        self.stream.shutdown().await
    }

    /// Writes as much as the operating system accepts; wakes the driver when it accepts more.
    pub(super) fn put(&mut self, batch: &mut Batch) -> Written {
        let mut context = Context::from_waker(&self.waker);
        match &mut self.records {
            None => put_plain(&self.stream, &mut context, batch),
            Some(records) => put_records(records, &mut self.stream, &mut context, batch),
        }
    }

    /// Sends a close frame, on a WebSocket with no other frame half written.
    async fn close_web(&mut self) {
        let web = self.web().filter(|_| self.rest.is_none());
        let Some(mut last) = web.map(WebSocket::close) else {
            return;
        };
        std::future::poll_fn(|context| {
            let written = match &mut self.records {
                None => put_plain(&self.stream, context, &mut last),
                Some(records) => put_records(records, &mut self.stream, context, &mut last),
            };
            match written {
                Written::Blocked => Poll::Pending,
                Written::All | Written::Failed => Poll::Ready(()),
            }
        })
        .await;
    }
}

fn put_plain(stream: &TcpStream, context: &mut Context<'_>, batch: &mut Batch) -> Written {
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
        match writer::poll_write(stream, context, slices) {
            Poll::Ready(Ok(0) | Err(_)) => return Written::Failed,
            Poll::Ready(Ok(count)) => batch.advance(count),
            Poll::Pending => return Written::Blocked,
        }
    }
    Written::All
}

/// The same through TLS; an empty batch writes the rest of earlier ones.
fn put_records(
    records: &mut Records,
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    batch: &mut Batch,
) -> Written {
    while !batch.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = batch.slices(&mut slices);
        let slices = slices.get(..count).unwrap_or_default();
        match records.poll_write(stream, context, slices) {
            Poll::Ready(Ok(count)) => batch.advance(count),
            Poll::Ready(Err(_)) => return Written::Failed,
            Poll::Pending => return Written::Blocked,
        }
    }
    match records.poll_flush(stream, context) {
        Poll::Ready(Ok(())) => Written::All,
        Poll::Ready(Err(_)) => Written::Failed,
        Poll::Pending => Written::Blocked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small_here_too() {
        // The socket (40), its permit until it is bound (24), and fields that are mostly absent.
        let size = std::mem::size_of::<ConnectionTransport>();
        assert!(size <= 120, "{size}");
    }
}
