//! The records of one TLS connection over a socket that does not block.
//!
//! The driver polls its sockets itself and moves them between threads, so it drives the records
//! directly rather than through the stream type of an async runtime. For performance (a record has
//! a fixed cost), the data of one flush becomes one record of up to 16 KiB and one write.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::{Accepted, Acceptor};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;

use super::files::server_name;
use crate::net::writer;
use crate::wire::fingerprint::{self, Fingerprint};

/// Bytes of ciphertext read per call. It is smaller than the plaintext buffer by more than a
/// record, so that an incomplete record from the last read fits too.
const READ_OCTETS: usize = 44 * 1024;

/// Limit of bytes encrypted before a write: two records.
const UNWRITTEN: usize = 32 * 1024;

/// The TLS state of one connection.
pub(crate) struct Records {
    connection: Connection,
}

impl Records {
    /// Creates the state for an accepted connection whose ClientHello has been read.
    pub(crate) fn accept(hello: Hello, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = hello.accepted.into_connection(config);
        let connection = connection.map_err(|(error, _)| invalid(error))?;
        let mut records = Self::new(connection.into());
        records.take_all(&hello.rest)?;
        Ok(records)
    }

    /// Creates the state for a connection we made. `name` is sent as SNI if it is a host name, and
    /// the certificate must contain it (RFC 4975 §14.2, C69).
    pub(crate) fn connect(config: Arc<ClientConfig>, name: &str) -> Option<Self> {
        let connection = ClientConnection::new(config, server_name(name)?).ok()?;
        Some(Self::new(connection.into()))
    }

    fn new(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(UNWRITTEN));
        Self { connection }
    }

    /// Fingerprints of the peer's certificate, one for each supported hash; empty without a
    /// certificate.
    pub(crate) fn peer(&self) -> Vec<Fingerprint> {
        let chain = self.connection.peer_certificates();
        chain
            .and_then(<[_]>::first)
            .map(|it| fingerprint::every(it))
            .unwrap_or_default()
    }

    /// Completes the handshake.
    pub(crate) async fn shake_hands(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        // Small pieces, as handshake messages are small.
        let mut octets = vec![0; 4096];
        std::future::poll_fn(|context| {
            while self.connection.is_handshaking() {
                ready!(self.poll_flush(stream, context))?;
                if !self.connection.is_handshaking() {
                    break;
                }
                let mut input = ReadBuf::new(&mut octets);
                ready!(Pin::new(&mut *stream).poll_read(context, &mut input))?;
                if input.filled().is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                let taken = self.take_all(input.filled());
                if taken.is_err() {
                    // The alert states the reason; there is no need to wait for it.
                    let _ = self.poll_flush(stream, context);
                }
                taken?;
            }
            self.poll_flush(stream, context)
        })
        .await
    }

    /// Fills `output` with decrypted data; no data means the end of the stream. `scratch` holds the
    /// ciphertext meanwhile, so that an idle connection owns no buffer.
    pub(crate) fn poll_read(
        &mut self,
        stream: &mut TcpStream,
        context: &mut Context<'_>,
        scratch: &mut [u8],
        output: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.decrypted(output)? {
                return Poll::Ready(Ok(()));
            }
            let most = scratch.len().min(READ_OCTETS);
            let mut input = ReadBuf::new(scratch.get_mut(..most).unwrap_or_default());
            ready!(Pin::new(&mut *stream).poll_read(context, &mut input))?;
            let mut octets = input.filled();
            if octets.is_empty() {
                return Poll::Ready(Ok(()));
            }
            while !octets.is_empty() {
                let result = self.take(&mut octets);
                let ended = self.decrypted(output)?;
                if result.is_err() {
                    let _ = self.poll_flush(stream, context);
                }
                result?;
                if ended && output.filled().is_empty() {
                    break;
                }
            }
            // A key update, for example, needs an answer; if it cannot be written now, the next
            // flush does it.
            if self.connection.wants_write()
                && let Poll::Ready(Err(error)) = self.poll_flush(stream, context)
            {
                return Poll::Ready(Err(error));
            }
            if !output.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Feeds all of the ciphertext to rustls, which may take it in several calls.
    fn take_all(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            self.take(&mut octets)?;
        }
        Ok(())
    }

    /// Feeds ciphertext to rustls.
    fn take(&mut self, octets: &mut &[u8]) -> io::Result<()> {
        self.connection.read_tls(octets)?;
        self.connection
            .process_new_packets()
            .map(drop)
            .map_err(invalid)
    }

    /// Moves decrypted data to the output; returns whether there was any or the stream has ended.
    fn decrypted(&mut self, output: &mut ReadBuf<'_>) -> io::Result<bool> {
        loop {
            let space = output.initialize_unfilled();
            if space.is_empty() {
                return Ok(true);
            }
            match self.connection.reader().read(space) {
                Ok(0) => return Ok(true),
                Ok(count) => output.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(!output.filled().is_empty());
                }
                // The stream ended without close_notify. MSRP messages mark their own end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// Encrypts as much of `slices` as fits. [`Self::poll_flush`] reports when it is written.
    pub(crate) fn poll_write(
        &mut self,
        stream: &mut TcpStream,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let count = self.connection.writer().write_vectored(slices)?;
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            ready!(self.poll_flush(stream, context))?;
        }
    }

    /// Writes every record that is ready.
    pub(crate) fn poll_flush(
        &mut self,
        stream: &mut TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            let mut socket = SocketWriter { stream, context };
            match self.connection.write_tls(&mut socket) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends close_notify: no more data follows.
    pub(crate) async fn finish(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        self.connection.send_close_notify();
        std::future::poll_fn(|context| self.poll_flush(stream, context)).await
    }
}

/// A ClientHello.
pub(crate) struct Hello {
    accepted: Accepted,
    /// The octets after the ClientHello.
    rest: Vec<u8>,
}

impl Hello {
    /// Reads until the ClientHello is complete. Allocates nothing before the first octet arrives.
    pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Self> {
        stream.readable().await?;
        let mut acceptor = Acceptor::default();
        let mut buffer = vec![0; 4096];
        loop {
            let count = stream.read(&mut buffer).await?;
            let mut octets = buffer.get(..count).unwrap_or_default();
            if octets.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            while !octets.is_empty() {
                acceptor.read_tls(&mut octets)?;
                match acceptor.accept() {
                    Ok(None) => {}
                    Ok(Some(accepted)) => {
                        let rest = octets.to_vec();
                        return Ok(Self { accepted, rest });
                    }
                    Err((error, mut alert)) => {
                        // The alert states the reason; there is no need to wait for it.
                        let mut octets = Vec::new();
                        let _ = alert.write_all(&mut octets);
                        let _ = stream.try_write(&octets);
                        return Err(invalid(error));
                    }
                }
            }
        }
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Adapts a socket to the interface that rustls writes to.
struct SocketWriter<'a, 'b> {
    stream: &'a mut TcpStream,
    context: &'a mut Context<'b>,
}

impl Write for SocketWriter<'_, '_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match writer::poll_write(self.stream, self.context, slices) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
