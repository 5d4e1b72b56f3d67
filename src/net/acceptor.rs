//! Takes connections and completes their TLS and WebSocket handshakes. An acceptor reads until the
//! first request names a session, then hands the connection to the thread that has that session. A
//! connection that speaks no MSRP, or whose first request names no session, goes to an arbitrary
//! thread: the switch there sends the error response.
//!
//! One thread accepts plain connections; as many as there are switch threads accept TLS
//! connections. A flood of handshakes therefore takes no processor time from chat.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::ready;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Transport;
use super::descriptors::Descriptors;
use super::notices::NoticeSender;
use super::queue::{Accepted, Command, CommandQueue};
use super::register::Register;
use super::strangers::{Permit, Strangers};
use super::tls::{self, Records, Tls};
use super::websocket::{Origins, Request, UPGRADE_TIMEOUT, Verdict, WebSocket};
use crate::control::Notice;
use crate::log;
use crate::switch::Security;
use crate::wire::msrp::UriRef;
use crate::wire::websocket::Violation;

/// How long a connection may take to name a session.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(32);
/// How long a TLS handshake may take: a few round trips of a bad network.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to read the rest of a peer whose WebSocket was refused.
const REFUSED_LINGER: Duration = Duration::from_secs(1);
/// Limit of concurrent TLS handshakes, counted from the ClientHello. Each may hold 64 KiB of the
/// peer's certificates.
pub(super) const MAX_HANDSHAKES: usize = 1024;
/// Interval between two checks of the certificate files.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(1);
/// Bytes of ciphertext read per call before the first request is whole.
const SCRATCH: usize = 4096;
/// The To-Path is the first header (RFC 4975 §9), so a longer start cannot name a session.
const FIRST_LINES: usize = 4096;
/// Pause after the operating system ran out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// State shared by the accepting threads and their tasks.
pub(super) struct Acceptor {
    pub(super) threads: Vec<CommandQueue>,
    pub(super) register: Register,
    pub(super) notices: NoticeSender,
    pub(super) tls: Arc<Tls>,
    pub(super) next: AtomicUsize,
    pub(super) descriptors: Descriptors,
    pub(super) strangers: Arc<Strangers>,
    /// The strangers whose handshake is in progress.
    pub(super) handshakes: Arc<Strangers>,
    pub(super) complaints: Complaints,
    pub(super) origins: Origins,
    pub(super) websockets_refused: Arc<AtomicU64>,
}

impl Acceptor {
    /// Accepts until it is stopped.
    pub(super) async fn run(
        self: Arc<Self>,
        listeners: Vec<(Transport, TcpListener)>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut tasks = JoinSet::new();
        for (transport, listener) in listeners {
            tasks.spawn(Arc::clone(&self).accept(transport, listener));
        }
        // An error: the pool is gone.
        let _ = stop.wait_for(|stop| *stop).await;
        tasks.shutdown().await;
    }

    async fn accept(self: Arc<Self>, transport: Transport, listener: TcpListener) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    let what = "cannot accept an MSRP connection";
                    self.complain(log::Level::Warning, what, &error);
                    self.strangers.evict_oldest();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let permit = self.strangers.admit(peer.ip());
            if self.descriptors.is_reserved(stream.as_raw_fd()) {
                let what = "an MSRP connection was closed";
                let why = "all descriptors but the reserved ones are in use (RLIMIT_NOFILE)";
                self.complain(log::Level::Warning, what, &why);
                self.strangers.evict_oldest();
                continue;
            }
            super::tune(&stream);
            let acceptor = Arc::clone(&self);
            tokio::spawn(async move {
                let greeting = async {
                    let mut greeted = match transport.is_secure() {
                        false => Greeted::plain(stream),
                        true => acceptor.secure(stream).await?,
                    };
                    let mut octets = Vec::new();
                    if transport.is_web() {
                        octets = acceptor.upgrade(&mut greeted).await?;
                    }
                    acceptor.greet(greeted, octets).await
                };
                let greeted = tokio::select! {
                    greeted = tokio::time::timeout(FIRST_REQUEST_TIMEOUT, greeting) => greeted,
                    () = permit.evicted() => return,
                };
                if let Ok(Some((greeted, octets, thread))) = greeted {
                    acceptor.hand_over(greeted, octets, thread, permit);
                }
            });
        }
    }

    /// The TLS handshake. A failure closes the connection and is logged.
    async fn secure(&self, mut stream: TcpStream) -> Option<Greeted> {
        let peer = stream.peer_addr().ok()?;
        // A silent peer costs a socket and nothing else.
        let hello = tls::Hello::read(&mut stream).await;
        let place = self.handshakes.admit(peer.ip());
        let handshake = async {
            let config = self.tls.material().server.clone();
            let config = config.ok_or(io::ErrorKind::NotFound)?;
            let mut records = Box::new(Records::accept(hello?, config)?);
            records.shake_hands(&mut stream).await?;
            Ok::<_, io::Error>(records)
        };
        let result = tokio::select! {
            result = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake) => result,
            () = place.evicted() => return None,
        };
        let problem = match result {
            Ok(Ok(records)) => {
                let security = Security::Tls(records.peer().into());
                return Some(Greeted {
                    stream,
                    records: Some(records),
                    web: None,
                    security,
                    scratch: vec![0; SCRATCH],
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        let what = format!("no TLS handshake with {peer}");
        self.complain(log::Level::Debug, &what, &problem);
        None
    }

    /// Logs a failure, a few times a second at most.
    fn complain(&self, level: log::Level, what: &str, why: &dyn std::fmt::Display) {
        if let Some(more) = self.complaints.one_more() {
            let more = match more {
                0 => String::new(),
                more => format!(" (and {more} connections before it)"),
            };
            self.notices.log(level, format!("{what}: {why}{more}"));
        }
    }

    /// Completes the WebSocket handshake; returns the MSRP octets that came with it.
    async fn upgrade(&self, greeted: &mut Greeted) -> Option<Vec<u8>> {
        let peer = greeted.stream.peer_addr().ok()?;
        let upgrade = tokio::time::timeout(UPGRADE_TIMEOUT, greeted.upgrade(&self.origins));
        let problem = match upgrade.await {
            Ok(Ok(octets)) => return Some(octets),
            Ok(Err(problem)) => problem.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        self.refuse_websocket(peer, &problem);
        None
    }

    fn refuse_websocket(&self, peer: SocketAddr, problem: &dyn std::fmt::Display) {
        self.websockets_refused.fetch_add(1, Ordering::Relaxed);
        let what = format!("no WebSocket with {peer}");
        self.complain(log::Level::Info, &what, problem);
    }

    /// Reads until the thread that has the session is known.
    async fn greet(
        &self,
        mut greeted: Greeted,
        mut octets: Vec<u8>,
    ) -> Option<(Greeted, Vec<u8>, usize)> {
        loop {
            if let Some(thread) = self.thread_of(&octets) {
                octets.shrink_to_fit();
                return Some((greeted, octets, thread));
            }
            match greeted.read(&mut octets).await {
                Ok(true) => {}
                Ok(false) | Err(ReadError::Socket(_)) => return None,
                Err(ReadError::Frame(violation)) => {
                    let peer = greeted.stream.peer_addr().ok()?;
                    self.refuse_websocket(peer, &violation);
                    return None;
                }
            }
        }
    }

    fn hand_over(&self, greeted: Greeted, octets: Vec<u8>, thread: usize, permit: Permit) {
        let Greeted {
            stream,
            records,
            web,
            security,
            ..
        } = greeted;
        if let (Ok(stream), Some(queue)) = (stream.into_std(), self.threads.get(thread)) {
            let accepted = Accepted {
                stream,
                records,
                web,
                security,
                permit: Some(permit),
            };
            queue.send(Command::Connection(Box::new(accepted), octets));
        }
    }

    /// Rereads the certificate files when they change. Three `stat` calls a second have no
    /// measurable cost, need no thread, and keep the fingerprint in our SDP correct even when
    /// nobody connects.
    pub(super) async fn watch_certificate(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CERTIFICATE_CHECK).await;
            match self.tls.refresh() {
                Ok(None) => {}
                Ok(Some(material)) => {
                    let text = "the TLS certificate was read again".to_owned();
                    self.notices.log(log::Level::Info, text);
                    if let Some(fingerprint) = material.fingerprint.clone() {
                        self.notices.send(Notice::Certificate { fingerprint });
                    }
                }
                Err(error) => {
                    let text = format!("the TLS certificate stays as it was: {error}");
                    self.notices.log(log::Level::Warning, text);
                }
            }
        }
    }

    /// Chooses the thread for a connection that begins with these octets; `None`: read more first.
    fn thread_of(&self, octets: &[u8]) -> Option<usize> {
        let session = match session(octets) {
            First::Session(session) => session,
            First::None => "",
            First::Wait => return None,
        };
        let any = || self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len().max(1);
        let thread = self.register.thread(session);
        Some(thread.map_or_else(any, |thread| thread.0.into()))
    }
}

/// Rate limit for log lines about unidentified connections: a few a second, because each line wakes
/// the thread of the focus.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    state: Mutex<Option<(Instant, u32)>>,
    unsaid: AtomicU64,
}

impl Complaints {
    const A_SECOND: u32 = 5;

    /// Number of lines suppressed since the last one logged; `None` if this one is suppressed too.
    fn one_more(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (since, said) = state
            .filter(|(since, _)| now.duration_since(*since) < Duration::from_secs(1))
            .unwrap_or((now, 0));
        *state = Some((since, said + 1));
        if said >= Self::A_SECOND {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }
}

/// A connection that has not named its session.
struct Greeted {
    stream: TcpStream,
    records: Option<Box<Records>>,
    web: Option<Box<WebSocket>>,
    security: Security,
    scratch: Vec<u8>,
}

/// Why nothing more can be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] Violation),
}

impl Greeted {
    fn plain(stream: TcpStream) -> Self {
        Self {
            stream,
            records: None,
            web: None,
            security: Security::Plain,
            scratch: Vec::new(),
        }
    }

    /// Completes the WebSocket handshake; returns the octets that came after it.
    async fn upgrade(&mut self, origins: &Origins) -> io::Result<Vec<u8>> {
        let mut request = Request::default();
        let mut buffer = [0; SCRATCH];
        loop {
            let count = self.read_some(&mut buffer).await?;
            let octets = buffer.get(..count).unwrap_or_default();
            if octets.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match request.add(octets, origins) {
                Verdict::Wait => {}
                Verdict::Refuse { response, why } => {
                    self.write(&response).await?;
                    self.stream.shutdown().await?;
                    // Unread octets would reset the connection, and take the answer with it.
                    let rest =
                        async { while matches!(self.read_some(&mut buffer).await, Ok(1..)) {} };
                    let _ = tokio::time::timeout(REFUSED_LINGER, rest).await;
                    return Err(io::Error::other(why));
                }
                Verdict::Open { response, mut rest } => {
                    self.write(&response).await?;
                    let web = self.web.insert(Box::default());
                    let count = web.unframe(&mut rest).map_err(io::Error::other)?;
                    rest.truncate(count);
                    return Ok(rest);
                }
            }
        }
    }

    /// Appends the octets received; `false` at the end of the stream.
    async fn read(&mut self, octets: &mut Vec<u8>) -> Result<bool, ReadError> {
        let mut buffer = [0; SCRATCH];
        let count = self.read_some(&mut buffer).await?;
        let read = buffer.get_mut(..count).unwrap_or_default();
        let Some(web) = &mut self.web else {
            octets.extend_from_slice(read);
            return Ok(count > 0);
        };
        let payload = web.unframe(read)?;
        octets.extend_from_slice(read.get(..payload).unwrap_or_default());
        // What came before a Close frame counts; the next read finds the end.
        Ok(count > 0 && (payload > 0 || !web.is_closed()))
    }

    /// Reads once, below the WebSocket; 0 at the end of the stream.
    async fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|context| {
            let mut read = ReadBuf::new(buffer);
            let poll = match &mut self.records {
                None => Pin::new(&mut self.stream).poll_read(context, &mut read),
                Some(records) => {
                    records.poll_read(&mut self.stream, context, &mut self.scratch, &mut read)
                }
            };
            poll.map_ok(|()| read.filled().len())
        })
        .await
    }

    /// Writes all of it, below the WebSocket.
    async fn write(&mut self, mut octets: &[u8]) -> io::Result<()> {
        let Some(records) = &mut self.records else {
            return self.stream.write_all(octets).await;
        };
        std::future::poll_fn(|context| {
            while !octets.is_empty() {
                let slices = [IoSlice::new(octets)];
                let count = ready!(records.poll_write(&mut self.stream, context, &slices))?;
                octets = octets.get(count..).unwrap_or_default();
            }
            records.poll_flush(&mut self.stream, context)
        })
        .await
    }
}

/// The result of reading the first octets of a connection.
#[derive(Debug, PartialEq, Eq)]
enum First<'a> {
    Session(&'a str),
    None,
    Wait,
}

/// The session-id in the To-Path of the first request.
fn session(octets: &[u8]) -> First<'_> {
    let prefix = b"MSRP ";
    let common = octets.len().min(prefix.len());
    if octets.get(..common) != prefix.get(..common) {
        return First::None;
    }
    let mut lines = octets.split_inclusive(|octet| *octet == b'\n').skip(1);
    let line = lines.next().unwrap_or_default();
    if line.last() != Some(&b'\n') {
        return if octets.len() < FIRST_LINES {
            First::Wait
        } else {
            First::None
        };
    }
    let line = std::str::from_utf8(line).unwrap_or_default();
    let Some((name, value)) = line.split_once(':') else {
        return First::None;
    };
    let uri = value.split_ascii_whitespace().next_back();
    let uri = uri.and_then(|uri| UriRef::parse(uri).ok());
    match uri.and_then(|uri| uri.session_id()) {
        Some(session) if name.eq_ignore_ascii_case("To-Path") => First::Session(session),
        _ => First::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_names_the_session_however_it_is_cut() {
        let request = b"MSRP a786hjs2 SEND\r\nTo-Path: msrp://127.0.0.1:2855/s111;tcp\r\nFrom";
        let line_end = request.len() - b"From".len();
        for end in 0..line_end {
            assert_eq!(session(&request[..end]), First::Wait, "{end}");
        }
        for end in line_end..request.len() {
            assert_eq!(session(&request[..end]), First::Session("s111"), "{end}");
        }
    }

    #[test]
    fn a_flood_of_failures_is_a_few_lines() {
        let complaints = Complaints::default();
        let said = (0..1000).filter(|_| complaints.one_more().is_some());
        // One second may end meanwhile.
        assert!(said.count() <= 2 * Complaints::A_SECOND as usize);
    }

    #[test]
    fn what_is_no_msrp_is_not_waited_for() {
        assert_eq!(session(b"G"), First::None);
        assert_eq!(session(b"MSRP a SEND\r\nHost: x\r\n"), First::None);
        assert_eq!(
            session(&[b"MSRP ".as_slice(), &[b'x'; 5000]].concat()),
            First::None
        );
    }
}
