//! The TCP connection of the session: octets only.

use crate::failure::Failure;
use crate::sip::transport::resolve;
use msrp_conference::wire::msrp::{DecodeError, Decoder, Event, UriRef};
use std::io;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Octets read at once.
const READ_SIZE: usize = 64 * 1024;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the room closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the room sent something that is not MSRP: {0}")]
    Decode(#[from] DecodeError),
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Connection {
    /// Connects to the first URI of a path.
    pub(crate) async fn open(path: &str) -> Result<Self, Failure> {
        let next_hop = path.split_whitespace().next().unwrap_or_default();
        let uri = UriRef::parse(next_hop).map_err(|error| {
            Failure::unusable(
                "connect",
                &error.to_string(),
                "Ask the operator of the server.",
            )
        })?;
        let port = uri.port().unwrap_or_default();
        let address = resolve(uri.host(), port, None).await?;
        let failed = |error| Failure::network("connect to the chat", &address.to_string(), &error);
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = connecting
            .map_err(|late| failed(late.into()))?
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self {
            stream,
            decoder: Decoder::new(),
            input: Vec::new(),
            output: Vec::new(),
        })
    }

    /// Octets to be written by and by.
    pub(crate) fn write(&mut self, octets: Vec<u8>) {
        self.output.extend_from_slice(&octets);
    }

    /// Whether everything is written.
    pub(crate) fn drained(&self) -> bool {
        self.output.is_empty()
    }

    /// Reads or writes what is possible; safe to cancel.
    pub(crate) async fn turn(&mut self) -> Result<(), ConnectionError> {
        let interest = match self.output.is_empty() {
            true => Interest::READABLE,
            false => Interest::READABLE | Interest::WRITABLE,
        };
        let ready = self.stream.ready(interest).await?;
        if ready.is_writable() && !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        if ready.is_readable() {
            let held = self.input.len();
            self.input.resize(held + READ_SIZE, 0);
            let read = self.stream.try_read(&mut self.input[held..]);
            self.input.truncate(held + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(ConnectionError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives every event that has come to `take`.
    pub(crate) fn events(&mut self, mut take: impl FnMut(Event<'_>)) -> Result<(), DecodeError> {
        let mut used = 0;
        while let Some(decoded) = self.decoder.decode(&self.input[used..])? {
            used += decoded.used;
            take(decoded.event);
        }
        self.input.drain(..used);
        Ok(())
    }
}
