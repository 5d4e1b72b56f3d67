//! An MSRP connection that controls every octet, and an independent reader of frames.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use memchr::memmem;

use super::PATIENCE;
use super::agent::unique;
use super::mailbox::Mailbox;

/// One request or response as it was on the wire.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Transaction id.
    pub id: String,
    /// `SEND`, `REPORT`, … or the three digits of a response.
    pub kind: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Body, if there was a blank line.
    pub body: Option<Vec<u8>>,
    /// `$`, `+` or `#`.
    pub flag: char,
}

impl Frame {
    /// A request with a new transaction id.
    pub fn request(kind: &str, to: &str, from: &str) -> Self {
        let headers = vec![
            ("To-Path".into(), to.into()),
            ("From-Path".into(), from.into()),
        ];
        Self {
            id: format!("t{}", unique()),
            kind: kind.into(),
            headers,
            body: None,
            flag: '$',
        }
    }

    /// Appends a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Sets body and Content-Type, the last header.
    #[must_use]
    pub fn content(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = Some(body.into());
        self.header("Content-Type", content_type)
    }

    /// Sets the continuation flag.
    #[must_use]
    pub fn flag(mut self, flag: char) -> Self {
        self.flag = flag;
        self
    }

    /// A header's value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The octets.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = format!("MSRP {} {}\r\n", self.id, self.kind).into_bytes();
        for (name, value) in &self.headers {
            octets.extend(format!("{name}: {value}\r\n").bytes());
        }
        if let Some(body) = &self.body {
            octets.extend(b"\r\n");
            octets.extend(body);
            octets.extend(b"\r\n");
        }
        octets.extend(format!("-------{}{}\r\n", self.id, self.flag).bytes());
        octets
    }

    /// The first whole frame in `octets` and its length.
    pub fn read(octets: &[u8]) -> Option<(Frame, usize)> {
        let first = memmem::find(octets, b"\r\n")?;
        let line = String::from_utf8_lossy(&octets[..first]).into_owned();
        let mut words = line.splitn(3, ' ');
        assert_eq!(words.next(), Some("MSRP"), "not MSRP: {line:?}");
        let id = words.next().expect("a transaction id").to_owned();
        let kind = words.next().expect("a method or a code");
        let kind = if kind.starts_with(|c: char| c.is_ascii_digit()) {
            &kind[..3]
        } else {
            kind
        };
        let mark = format!("\r\n-------{id}");
        let end = memmem::find_iter(&octets[first..], mark.as_bytes())
            .map(|at| first + at)
            .find(|at| {
                let after = &octets[at + mark.len()..];
                matches!(after.first(), Some(b'$' | b'+' | b'#')) && after[1..].starts_with(b"\r\n")
            })?;
        let flag = octets[end + mark.len()] as char;
        let inner = &octets[first + 2..end.max(first + 2)];
        let (head, body) = match memmem::find(inner, b"\r\n\r\n") {
            Some(at) => (&inner[..at], Some(inner[at + 4..].to_vec())),
            None => (inner, None),
        };
        let head = String::from_utf8(head.to_vec()).expect("UTF-8 headers");
        let headers = head
            .split("\r\n")
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line
                    .split_once(": ")
                    .unwrap_or_else(|| panic!("malformed header {line:?}"));
                (name.to_owned(), value.to_owned())
            });
        let frame = Frame {
            id,
            kind: kind.into(),
            headers: headers.collect(),
            body,
            flag,
        };
        Some((frame, end + mark.len() + 3))
    }
}

/// A connection to the switch. It answers SENDs with 200 automatically.
pub struct Link {
    /// Received frames that nobody has taken yet.
    pub inbox: Arc<Mailbox<Frame>>,
    stream: Mutex<TcpStream>,
    answering: Arc<AtomicBool>,
}

impl Link {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("connect to the MSRP port"))
    }

    /// Uses an existing connection.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("no delay");
        let inbox = Arc::new(Mailbox::new());
        let answering = Arc::new(AtomicBool::new(true));
        let reading = stream.try_clone().expect("clone");
        let (mailbox, answer) = (Arc::clone(&inbox), Arc::clone(&answering));
        thread::spawn(move || read_frames(reading, &mailbox, &answer));
        Self {
            inbox,
            stream: Mutex::new(stream),
            answering,
        }
    }

    /// Turns automatic answers to SENDs on or off.
    pub fn answering(&self, yes: bool) {
        self.answering.store(yes, Ordering::Relaxed);
    }

    /// Sends octets as they are.
    pub fn send_raw(&self, octets: &[u8]) {
        // A closed connection shows by missing answers.
        let _ = self.stream.lock().unwrap().write_all(octets);
    }

    /// Sends a frame.
    pub fn send(&self, frame: &Frame) {
        self.send_raw(&frame.octets());
    }

    /// Sends a request and waits for its response.
    pub fn exchange(&self, frame: &Frame) -> Frame {
        self.send(frame);
        self.response(frame, PATIENCE)
            .unwrap_or_else(|| panic!("no response to {frame:?}"))
    }

    /// Waits for the response to a request.
    pub fn response(&self, frame: &Frame, patience: Duration) -> Option<Frame> {
        self.inbox
            .take(patience, |got| got.id == frame.id && is_response(got))
    }

    /// Waits for a request of this method.
    pub fn request(&self, method: &str, patience: Duration) -> Option<Frame> {
        self.inbox.take(patience, |got| got.kind == method)
    }

    /// Closes the connection.
    pub fn close(&self) {
        let _ = self.stream.lock().unwrap().shutdown(Shutdown::Both);
    }

    /// Whether the other side closes it in time.
    pub fn is_closed(&self, patience: Duration) -> bool {
        self.inbox.closes(patience)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

fn is_response(frame: &Frame) -> bool {
    frame.kind.starts_with(|c: char| c.is_ascii_digit())
}

fn read_frames(mut stream: TcpStream, inbox: &Mailbox<Frame>, answering: &AtomicBool) {
    let (mut held, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        held.extend_from_slice(&buffer[..length]);
        let mut done = 0;
        while let Some((frame, length)) = Frame::read(&held[done..]) {
            done += length;
            if frame.kind == "SEND" && answering.load(Ordering::Relaxed) {
                answer(&mut stream, &frame);
            }
            inbox.push(frame);
        }
        held.drain(..done);
    }
    inbox.close();
}

fn answer(stream: &mut TcpStream, frame: &Frame) {
    // RFC 4975 §7.1.4: both suppress the answer on success.
    if matches!(frame.value("Failure-Report"), Some("no" | "partial")) {
        return;
    }
    let hop = frame
        .value("From-Path")
        .and_then(|path| path.split(' ').next())
        .unwrap_or_default();
    let own = frame.value("To-Path").unwrap_or_default();
    let mut response = Frame::request("200 OK", hop, own);
    response.id.clone_from(&frame.id);
    let _ = stream.write_all(&response.octets());
}
