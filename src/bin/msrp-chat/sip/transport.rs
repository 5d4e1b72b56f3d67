//! SIP over UDP and TCP: sockets only.

use super::Hop;
use crate::failure::Failure;
use msrp_conference::wire::sip::Message;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, lookup_host};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The largest UDP datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Messages that may wait for the program; a room sends a few a second.
const WAITING_MESSAGES: usize = 256;
/// Longest time for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A keep-alive that every SIP server ignores (RFC 5626 §3.5.1).
const KEEP_ALIVE: &[u8] = b"\r\n\r\n";

/// Input from the sockets.
#[derive(Debug)]
enum Incoming {
    /// A message and its source.
    Message(SocketAddr, Message),
    /// The server's machine reports that nothing listens there.
    Refused,
    /// The server opened a TCP connection; answers go back on it.
    Opened(SocketAddr, OwnedWriteHalf),
    /// A TCP connection has ended.
    Closed(SocketAddr),
}

/// Our SIP sockets.
pub(crate) struct Transport {
    server: SocketAddr,
    local: SocketAddr,
    sockets: Sockets,
    incoming: mpsc::Receiver<Incoming>,
    sender: mpsc::Sender<Incoming>,
}

enum Sockets {
    Udp(Arc<UdpSocket>),
    Tcp(HashMap<SocketAddr, OwnedWriteHalf>),
}

/// The first address of a host, of the given family if there is one.
pub(crate) async fn resolve(
    host: &str,
    port: u16,
    like: Option<IpAddr>,
) -> Result<SocketAddr, Failure> {
    let unknown = || Failure::unknown_host(host);
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found = lookup_host((name, port)).await.map_err(|_| unknown())?;
    let mut found: Vec<_> = found.collect();
    // IPv4 first: chat servers without IPv6 are many, and `localhost` names both.
    found.sort_by_key(SocketAddr::is_ipv6);
    let fits = |address: &&SocketAddr| like.is_none_or(|like| like.is_ipv4() == address.is_ipv4());
    found.iter().find(fits).copied().ok_or_else(unknown)
}

impl Transport {
    /// Opens the sockets for communication with `server`.
    pub(crate) async fn open(server: SocketAddr, tcp: bool) -> Result<Self, Failure> {
        let place = server.to_string();
        let failed = |error: io::Error| Failure::network("connect", &place, &error);
        let (sender, incoming) = mpsc::channel(WAITING_MESSAGES);
        let ip = local_address(server).await.map_err(failed)?;
        let (sockets, local) = match tcp {
            false => {
                let socket = Arc::new(UdpSocket::bind((ip, 0)).await.map_err(failed)?);
                tokio::spawn(read_datagrams(socket.clone(), sender.clone()));
                tokio::spawn(probe(server, sender.clone()));
                let local = socket.local_addr().map_err(failed)?;
                (Sockets::Udp(socket), local)
            }
            true => {
                let listener = listen((ip, 0).into()).map_err(failed)?;
                let local = listener.local_addr().map_err(failed)?;
                tokio::spawn(accept(listener, sender.clone()));
                (Sockets::Tcp(HashMap::new()), local)
            }
        };
        let mut transport = Self {
            server,
            local,
            sockets,
            incoming,
            sender,
        };
        if tcp {
            transport.connection(server).await.map_err(failed)?;
        }
        Ok(transport)
    }

    /// The destination of all SIP.
    pub(crate) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Our address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The next message, or `None` when the server's machine reports that nothing listens there;
    /// safe to cancel.
    pub(crate) async fn receive(&mut self) -> Option<(SocketAddr, Message)> {
        loop {
            match self.incoming.recv().await {
                Some(Incoming::Message(source, message)) => return Some((source, message)),
                Some(Incoming::Opened(peer, write)) => self.remember(peer, write),
                Some(Incoming::Closed(peer)) => self.forget(peer),
                Some(Incoming::Refused) | None => return None,
            }
        }
    }

    fn remember(&mut self, peer: SocketAddr, write: OwnedWriteHalf) {
        if let Sockets::Tcp(connections) = &mut self.sockets {
            connections.insert(peer, write);
        }
    }

    fn forget(&mut self, peer: SocketAddr) {
        if let Sockets::Tcp(connections) = &mut self.sockets {
            connections.remove(&peer);
        }
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, hop: &Hop, octets: &[u8]) -> Result<(), Failure> {
        let to = match hop {
            Hop::Server => self.server,
            Hop::Source(address) => *address,
            Hop::Host(host, port) => resolve(host, *port, Some(self.local.ip())).await?,
        };
        let sent = match &self.sockets {
            Sockets::Udp(socket) => socket.send_to(octets, to).await.map(|_| ()),
            Sockets::Tcp(_) => self.send_stream(to, octets).await,
        };
        sent.map_err(|error| Failure::network("reach the server", &to.to_string(), &error))
    }

    async fn send_stream(&mut self, to: SocketAddr, octets: &[u8]) -> io::Result<()> {
        let written = self.connection(to).await?.write_all(octets).await;
        if written.is_err() {
            // The server may have closed an idle connection: try once more on a new one.
            self.forget(to);
            self.connection(to).await?.write_all(octets).await?;
        }
        Ok(())
    }

    async fn connection(&mut self, to: SocketAddr) -> io::Result<&mut OwnedWriteHalf> {
        let Sockets::Tcp(connections) = &mut self.sockets else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        match connections.entry(to) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let stream = timeout(CONNECT_TIMEOUT, connect(self.local, to)).await??;
                let (read, write) = stream.into_split();
                tokio::spawn(read_stream(read, to, self.sender.clone()));
                Ok(place.insert(write))
            }
        }
    }
}

/// Our address on the route to `server`; nothing is sent.
async fn local_address(server: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket.local_addr()?.ip())
}

fn socket_like(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    // We listen on the port we call from, so that our Contact is valid in both directions.
    socket.set_reuseport(true)?;
    Ok(socket)
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket_like(at)?;
    socket.bind(at)?;
    socket.listen(16)
}

async fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_like(to)?;
    socket.bind(from)?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn accept(listener: TcpListener, sender: mpsc::Sender<Incoming>) {
    while let Ok((stream, peer)) = listener.accept().await {
        let (read, write) = stream.into_split();
        if sender.send(Incoming::Opened(peer, write)).await.is_err() {
            return;
        }
        tokio::spawn(read_stream(read, peer, sender.clone()));
    }
}

async fn read_datagrams(socket: Arc<UdpSocket>, sender: mpsc::Sender<Incoming>) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, source)) => {
                // Data that is not SIP is dropped (RFC 3261 §18.3).
                if let Ok(message) = Message::parse(&buffer[..length]) {
                    let incoming = Incoming::Message(source, message);
                    if sender.send(incoming).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}

/// Detects that nothing listens at the server. A socket connected to the server alone gets that
/// error, one that talks to many does not; so "connection refused" needs no time-out over UDP
/// either.
async fn probe(server: SocketAddr, sender: mpsc::Sender<Incoming>) {
    let refused = async {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        socket.send(KEEP_ALIVE).await?;
        socket.recv(&mut [0; 16]).await
    };
    match timeout(CONNECT_TIMEOUT, refused).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // The program may be gone already.
            let _ = sender.send(Incoming::Refused).await;
        }
        _ => {}
    }
}

async fn read_stream(mut read: OwnedReadHalf, peer: SocketAddr, sender: mpsc::Sender<Incoming>) {
    let mut held = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    'open: while let Ok(length @ 1..) = read.read(&mut buffer).await {
        held.extend_from_slice(&buffer[..length]);
        loop {
            let whole = match Message::frame(&held) {
                Ok(Some(whole)) => whole,
                Ok(None) => break,
                // The stream's framing is lost (RFC 3261 §18.3).
                Err(_) => break 'open,
            };
            if let Ok(message) = Message::parse(&held[..whole]) {
                let incoming = Incoming::Message(peer, message);
                if sender.send(incoming).await.is_err() {
                    return;
                }
            }
            held.drain(..whole);
        }
    }
    // The program may be gone already.
    let _ = sender.send(Incoming::Closed(peer)).await;
}
