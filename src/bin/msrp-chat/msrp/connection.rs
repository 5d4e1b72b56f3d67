//! The connection of the session, TCP, and TLS or WebSocket over it: octets only.

use super::certificate::Certificate;
use super::tls::{ENCRYPT, Tls, Trust};
use super::websocket::{self, Upgrade, UpgradeError, WebSocket};
use crate::failure::Failure;
use crate::offer::Peer;
use crate::sip::transport::resolve;
use msrp_conference::wire::msrp::{DecodeError, Decoder, Event, UriRef};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest time for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WEBSOCKET: &str = "Does a ws: or wss: listener answer at that port? If a web server stands in \
    front, does it pass WebSockets on?";
/// Octets read per call.
const READ_SIZE: usize = 64 * 1024;

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the room closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the room sent something that is not MSRP: {0}")]
    Decode(#[from] DecodeError),
}

/// Why a WebSocket handshake failed.
#[derive(Debug, thiserror::Error)]
enum WebSocketError {
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
    web: Option<WebSocket>,
    trust: Option<Trust>,
    decoder: Decoder,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Connection {
    /// Connects to the first URI of the room's path; `authorities` are the trusted ones.
    pub(crate) async fn open(peer: &Peer, authorities: Option<&Path>) -> Result<Self, Failure> {
        let next_hop = peer.path.split_whitespace().next().unwrap_or_default();
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
        let tls = match uri.secure() {
            true => Some(Box::new(Tls::new(uri.host(), authorities)?)),
            false => None,
        };
        let mut connection = Self {
            stream,
            tls,
            web: None,
            trust: None,
            decoder: Decoder::new(),
            input: Vec::new(),
            output: Vec::new(),
        };
        connection.shake_hands(peer).await?;
        if uri.transport().eq_ignore_ascii_case("ws") {
            connection
                .upgrade(&format!("{}:{port}", uri.host()))
                .await?;
        }
        Ok(connection)
    }

    /// Why the room's certificate is trusted; `None` without TLS.
    pub(crate) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// The room's certificate.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        let chain = self.tls.as_ref()?.records.peer_certificates()?;
        Certificate::read(chain.first()?)
    }

    async fn shake_hands(&mut self, peer: &Peer) -> Result<(), Failure> {
        let shaking = async {
            while self
                .tls
                .as_ref()
                .is_some_and(|tls| tls.records.is_handshaking())
            {
                self.turn().await?;
            }
            Ok::<(), ConnectionError>(())
        };
        let advice = "Does a TLS listener (msrps:) answer at that port, and with a certificate?";
        let failed = |reason: String| Failure::unusable(ENCRYPT, &reason, advice);
        let shaken = timeout(CONNECT_TIMEOUT, shaking).await;
        shaken
            .map_err(|_| failed("the server does not answer".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        if let Some(tls) = &self.tls {
            self.trust = Some(tls.trust(&peer.fingerprints)?);
        }
        Ok(())
    }

    /// The handshake of WebSocket.
    async fn upgrade(&mut self, host: &str) -> Result<(), Failure> {
        let upgrade = Upgrade::new();
        self.output.extend(upgrade.request(host));
        let answered = async {
            loop {
                if let Some(length) = upgrade.answered(&self.input)? {
                    return Ok::<_, WebSocketError>(length);
                }
                self.turn().await?;
            }
        };
        let failed = |reason: String| Failure::unusable("open a WebSocket", &reason, WEBSOCKET);
        let length = timeout(CONNECT_TIMEOUT, answered)
            .await
            .map_err(|_| failed("the server does not answer".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        self.input.drain(..length);
        self.web = Some(WebSocket::new());
        self.unframe(0).map_err(|error| failed(error.to_string()))
    }

    /// Removes the frames from the octets behind `held`, if they came over WebSocket.
    fn unframe(&mut self, held: usize) -> io::Result<()> {
        let Some(web) = &mut self.web else {
            return Ok(());
        };
        let octets = self.input.get_mut(held..).unwrap_or_default();
        let count = web.unframe(octets, &mut self.output);
        let count = count.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.input.truncate(held + count);
        match web.is_closed() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(()),
        }
    }

    /// Queues whole chunks for writing.
    pub(crate) fn write(&mut self, octets: Vec<u8>) {
        match self.web {
            Some(_) => websocket::frame(&octets, &mut self.output),
            None => self.output.extend_from_slice(&octets),
        }
    }

    /// Whether everything is written.
    pub(crate) fn drained(&self) -> bool {
        self.output.is_empty()
            && !self
                .tls
                .as_ref()
                .is_some_and(|tls| tls.records.wants_write())
    }

    /// Whether there is something to write now.
    fn wants_write(&self) -> bool {
        match &self.tls {
            None => !self.output.is_empty(),
            Some(tls) => {
                tls.records.wants_write()
                    || !(self.output.is_empty() || tls.records.is_handshaking())
            }
        }
    }

    /// Reads and writes what is possible; safe to cancel.
    pub(crate) async fn turn(&mut self) -> Result<(), ConnectionError> {
        let interest = match self.wants_write() {
            false => Interest::READABLE,
            true => Interest::READABLE | Interest::WRITABLE,
        };
        let ready = self.stream.ready(interest).await?;
        if ready.is_writable() && self.wants_write() {
            unblocked(self.write_some())?;
        }
        if ready.is_readable() {
            let held = self.input.len();
            if unblocked(self.read_some())? == Some(0) {
                return Err(ConnectionError::Closed);
            }
            self.unframe(held)?;
        }
        Ok(())
    }

    fn write_some(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            let written = self.stream.try_write(&self.output)?;
            self.output.drain(..written);
            return Ok(());
        };
        if !tls.records.is_handshaking() {
            let taken = tls.records.writer().write(&self.output)?;
            self.output.drain(..taken);
        }
        tls.records.write_tls(&mut Socket(&self.stream)).map(drop)
    }

    /// Number of octets read from the network; 0 at the end.
    fn read_some(&mut self) -> io::Result<usize> {
        let held = self.input.len();
        let Some(tls) = &mut self.tls else {
            self.input.resize(held + READ_SIZE, 0);
            let read = self.stream.try_read(&mut self.input[held..]);
            self.input.truncate(held + *read.as_ref().unwrap_or(&0));
            return read;
        };
        let read = tls.records.read_tls(&mut Socket(&self.stream))?;
        let state = tls.records.process_new_packets().map_err(|error| {
            // The alert informs the other side; a failure does not matter.
            let _ = tls.records.write_tls(&mut Socket(&self.stream));
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        let plain = state.plaintext_bytes_to_read();
        self.input.resize(held + plain, 0);
        tls.records.reader().read_exact(&mut self.input[held..])?;
        match state.peer_has_closed() && plain == 0 {
            true => Ok(0),
            false => Ok(read),
        }
    }

    /// Passes every received event to `take`.
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

/// The socket in the form that rustls reads and writes: it never waits.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `None` when the socket is not ready.
fn unblocked<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
