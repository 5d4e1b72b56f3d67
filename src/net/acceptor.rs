//! Takes connections, carries TLS handshakes to their end, reads until the first request
//! names a session, and hands the connection to the thread that has it. What is no MSRP or
//! names no session goes to any thread: the switch there knows what to answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::Transport;
use super::mailbox::{Accepted, Letter, Mailbox};
use super::register::Register;
use super::tell::Tell;
use super::tls::{Records, Tls};
use crate::control::Notice;
use crate::log;
use crate::switch::Security;
use crate::wire::msrp::UriRef;

/// Connections that have not named a session; more are closed unread.
const MAX_WAITING: usize = 16 * 1024;
/// How long a connection may take to name one.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(32);
/// How long a TLS handshake may take: a few round trips of a bad network.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// TLS handshakes at a time. Each may hold 64 KiB of the peer's certificates.
const MAX_HANDSHAKES: usize = 1024;
/// How often the certificate files are looked at.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(1);
/// Ciphertext read at once before the first request is whole.
const SCRATCH: usize = 4096;
/// The To-Path is the first header (RFC 4975 §9): a longer start is not waited for.
const FIRST_LINES: usize = 4096;
/// A pause after the operating system had no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the acceptor shares with its tasks.
pub(super) struct Acceptor {
    pub(super) threads: Vec<Mailbox>,
    pub(super) register: Register,
    pub(super) tell: Tell,
    pub(super) tls: Arc<Tls>,
    pub(super) next: AtomicUsize,
}

impl Acceptor {
    /// Accepts until told to stop.
    pub(super) async fn run(
        self: Arc<Self>,
        listeners: Vec<(Transport, TcpListener)>,
        stop: Arc<Notify>,
    ) {
        let places = Places {
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
        };
        let mut tasks = JoinSet::new();
        for (transport, listener) in listeners {
            tasks.spawn(Arc::clone(&self).accept(transport, listener, places.clone()));
        }
        tasks.spawn(Arc::clone(&self).watch_certificate());
        stop.notified().await;
        tasks.shutdown().await;
    }

    async fn accept(self: Arc<Self>, transport: Transport, listener: TcpListener, places: Places) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    let text = format!("cannot accept an MSRP connection: {error}");
                    self.tell.log(log::Level::Warning, text);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places.waiting).try_acquire_owned() else {
                continue;
            };
            super::tune(&stream);
            let acceptor = Arc::clone(&self);
            let handshakes = Arc::clone(&places.handshakes);
            tokio::spawn(async move {
                let greeting = async {
                    match transport {
                        Transport::Tcp => acceptor.greet(Greeted::plain(stream)).await,
                        Transport::Tls => {
                            if let Some(greeted) = acceptor.secure(stream, &handshakes).await {
                                acceptor.greet(greeted).await;
                            }
                        }
                    }
                };
                let _ = tokio::time::timeout(FIRST_REQUEST_TIMEOUT, greeting).await;
                drop(place);
            });
        }
    }

    /// The TLS handshake. Whoever does not manage it costs his connection and a line of log.
    async fn secure(&self, mut stream: TcpStream, handshakes: &Semaphore) -> Option<Greeted> {
        let _place = handshakes.acquire().await.ok()?;
        let mut records = Box::new(Records::accept(self.tls.material().server.clone()?)?);
        let handshake = records.shake_hands(&mut stream);
        let result = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await;
        let problem = match result {
            Ok(Ok(())) => {
                let security = Security::Tls(records.peer().into());
                return Some(Greeted {
                    stream,
                    records: Some(records),
                    security,
                    scratch: vec![0; SCRATCH],
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        if let Ok(peer) = stream.peer_addr() {
            let text = format!("no TLS handshake with {peer}: {problem}");
            self.tell.log(log::Level::Debug, text);
        }
        None
    }

    async fn greet(&self, mut greeted: Greeted) {
        let mut octets = Vec::new();
        let thread = loop {
            match greeted.read(&mut octets).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if let Some(thread) = self.thread_of(&octets) {
                break thread;
            }
        };
        octets.shrink_to_fit();
        let Greeted {
            stream,
            records,
            security,
            ..
        } = greeted;
        if let (Ok(stream), Some(mailbox)) = (stream.into_std(), self.threads.get(thread)) {
            let accepted = Accepted {
                stream,
                records,
                security,
            };
            mailbox.send(Letter::Connection(Box::new(accepted), octets));
        }
    }

    /// Certificate files are read again when they change. Three `stat` calls a second cost
    /// nothing that can be measured, need no thread, and keep the fingerprint in our SDP
    /// true whether or not somebody connects.
    async fn watch_certificate(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CERTIFICATE_CHECK).await;
            match self.tls.refresh() {
                Ok(None) => {}
                Ok(Some(material)) => {
                    let text = "the TLS certificate was read again".to_owned();
                    self.tell.log(log::Level::Info, text);
                    if let Some(fingerprint) = material.fingerprint.clone() {
                        self.tell.notice(Notice::Certificate { fingerprint });
                    }
                }
                Err(error) => {
                    let text = format!("the TLS certificate stays as it was: {error}");
                    self.tell.log(log::Level::Warning, text);
                }
            }
        }
    }

    /// The thread for a connection that begins like this; `None`: more must be read.
    fn thread_of(&self, octets: &[u8]) -> Option<usize> {
        let session = match session(octets) {
            First::Session(session) => session,
            First::None => "",
            First::Wait => return None,
        };
        let any = || self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len().max(1);
        Some(self.register.thread(session).unwrap_or_else(any))
    }
}

/// What bounds the connections that belong to nobody yet.
#[derive(Clone)]
struct Places {
    waiting: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

/// A connection that has not named its session.
struct Greeted {
    stream: TcpStream,
    records: Option<Box<Records>>,
    security: Security,
    scratch: Vec<u8>,
}

impl Greeted {
    fn plain(stream: TcpStream) -> Self {
        Self {
            stream,
            records: None,
            security: Security::Plain,
            scratch: Vec::new(),
        }
    }

    /// Appends what came; 0 at the end of the stream.
    async fn read(&mut self, octets: &mut Vec<u8>) -> io::Result<usize> {
        let mut buffer = [0; SCRATCH];
        let count = std::future::poll_fn(|context| {
            let mut read = ReadBuf::new(&mut buffer);
            let poll = match &mut self.records {
                None => Pin::new(&mut self.stream).poll_read(context, &mut read),
                Some(records) => {
                    records.poll_read(&mut self.stream, context, &mut self.scratch, &mut read)
                }
            };
            poll.map_ok(|()| read.filled().len())
        })
        .await?;
        octets.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// What the first octets say.
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
    fn what_is_no_msrp_is_not_waited_for() {
        assert_eq!(session(b"G"), First::None);
        assert_eq!(session(b"MSRP a SEND\r\nHost: x\r\n"), First::None);
        assert_eq!(
            session(&[b"MSRP ".as_slice(), &[b'x'; 5000]].concat()),
            First::None
        );
    }
}
