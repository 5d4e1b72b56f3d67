//! Takes connections, reads until the first request names a session, and hands the connection
//! to the thread that has it. What is no MSRP or names no session goes to any thread: the
//! switch there knows what to answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::mailbox::{Letter, Mailbox};
use super::register::Register;
use crate::log;
use crate::wire::msrp::UriRef;

/// Connections that have not named a session; more are closed unread.
const MAX_WAITING: usize = 16 * 1024;
/// How long a connection may take to name one.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(32);
/// The To-Path is the first header (RFC 4975 §9): a longer start is not waited for.
const FIRST_LINES: usize = 4096;
/// A pause after the operating system had no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the acceptor shares with its tasks.
pub(super) struct Acceptor {
    pub(super) threads: Vec<Mailbox>,
    pub(super) register: Register,
    pub(super) log: Sender<log::Line>,
    pub(super) next: AtomicUsize,
}

impl Acceptor {
    /// Accepts until told to stop.
    pub(super) async fn run(self: Arc<Self>, listeners: Vec<TcpListener>, stop: Arc<Notify>) {
        let waiting = Arc::new(Semaphore::new(MAX_WAITING));
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(Arc::clone(&self).accept(listener, Arc::clone(&waiting)));
        }
        stop.notified().await;
        tasks.shutdown().await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, waiting: Arc<Semaphore>) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    let text = format!("cannot accept an MSRP connection: {error}");
                    let _ = self.log.send(log::Line::new(log::Level::Warning, text));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&waiting).try_acquire_owned() else {
                continue;
            };
            let acceptor = Arc::clone(&self);
            tokio::spawn(async move {
                let greeting = acceptor.greet(stream);
                let _ = tokio::time::timeout(FIRST_REQUEST_TIMEOUT, greeting).await;
                drop(place);
            });
        }
    }

    async fn greet(&self, mut stream: TcpStream) {
        let mut octets = Vec::new();
        let thread = loop {
            match stream.read_buf(&mut octets).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if let Some(thread) = self.thread_of(&octets) {
                break thread;
            }
        };
        // Small messages must not wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        octets.shrink_to_fit();
        if let (Ok(stream), Some(mailbox)) = (stream.into_std(), self.threads.get(thread)) {
            mailbox.send(Letter::Connection(stream, octets));
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
