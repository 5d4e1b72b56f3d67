//! The participants: one thread, all connections. In each room one member speaks and keeps
//! `window` messages in flight; a message is done when every other member has it.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use msrp_conference::wire::msrp::{Decoder, Event, FailureReport, Request};

use super::{Case, room_uri, session};

pub(crate) struct Driver {
    poll: Poll,
    participants: Vec<Participant>,
    rooms: Vec<Room>,
    buffer: Vec<u8>,
    /// Everybody connects over WebSocket.
    web: bool,
}

struct Participant {
    stream: TcpStream,
    room: usize,
    frames: Option<Frames>,
    unread: Vec<u8>,
    decoder: Decoder,
    out: Vec<u8>,
    /// The answer to send once the message under way is complete.
    answer: Option<String>,
    copies: usize,
}

struct Room {
    speaker: usize,
    listeners: usize,
    message: Vec<u8>,
    sent: usize,
    done: usize,
    total: usize,
    /// Received copies of message `n`, at `n` modulo the length.
    counts: Vec<usize>,
}

impl Driver {
    /// Connects and binds everybody.
    pub(crate) fn connect(address: SocketAddr, case: &Case) -> Self {
        Self::connect_over(address, case, false)
    }

    /// The same over WebSocket, if `web`.
    pub(crate) fn connect_over(address: SocketAddr, case: &Case, web: bool) -> Self {
        let mut driver = Self {
            web,
            poll: Poll::new().expect("epoll"),
            participants: Vec::new(),
            rooms: Vec::new(),
            buffer: vec![0; 256 * 1024],
        };
        for room in 0..case.rooms {
            driver.rooms.push(Room {
                speaker: driver.participants.len(),
                listeners: case.members - 1,
                message: message(address, room, case.octets),
                sent: 0,
                done: 0,
                total: 0,
                counts: vec![0; case.window.next_power_of_two() * 2],
            });
            for member in 0..case.members {
                driver.join(address, room, member);
            }
        }
        driver
    }

    fn join(&mut self, address: SocketAddr, room: usize, member: usize) {
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let name = session(room, member);
        let bind = format!(
            "MSRP bind1234 SEND\r\nTo-Path: msrp://{address}/{name};tcp\r\nFrom-Path: msrp://127.0.0.1:9/{name}p;tcp\r\nMessage-ID: bind1234\r\nByte-Range: 1-0/0\r\n-------bind1234$\r\n"
        );
        let mut frames = self.web.then(|| Frames::open(&mut stream));
        let mut octets = Vec::new();
        frame(self.web, bind.as_bytes(), &mut octets);
        stream.write_all(&octets).expect("a bind");
        let mut answer = [0; 1024];
        let mut count = stream.read(&mut answer).expect("an answer");
        if let Some(frames) = &mut frames {
            count = frames.take_off(&mut answer[..count]);
        }
        assert!(answer[..count].starts_with(b"MSRP bind1234 200"));
        stream.set_nonblocking(true).expect("an option");
        let mut stream = TcpStream::from_std(stream);
        let token = Token(self.participants.len());
        let registry = self.poll.registry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry
            .register(&mut stream, token, interest)
            .expect("epoll");
        self.participants.push(Participant {
            stream,
            room,
            frames,
            unread: Vec::new(),
            decoder: Decoder::new(),
            out: Vec::new(),
            answer: None,
            copies: 0,
        });
    }

    /// Sends `messages` messages in every room and waits until everybody has all of them.
    pub(crate) fn run(&mut self, case: &Case, messages: usize) {
        for index in 0..self.rooms.len() {
            self.rooms[index].total += messages;
            for _ in 0..case.window.min(messages) {
                self.say(index);
            }
        }
        let mut events = Events::with_capacity(2048);
        let mut touched: Vec<usize> = self.rooms.iter().map(|room| room.speaker).collect();
        loop {
            for index in touched.drain(..) {
                self.participants[index].flush();
            }
            if self.rooms.iter().all(|room| room.done == room.total) {
                return;
            }
            self.poll.poll(&mut events, None).expect("epoll");
            for event in &events {
                let index = event.token().0;
                touched.push(index);
                self.hear(index, &mut touched);
            }
        }
    }

    fn say(&mut self, index: usize) {
        let room = &mut self.rooms[index];
        if room.sent < room.total {
            room.sent += 1;
            let out = &mut self.participants[room.speaker].out;
            frame(self.web, &room.message, out);
        }
    }

    /// Reads everything available to one participant.
    fn hear(&mut self, index: usize, touched: &mut Vec<usize>) {
        let before = self.participants[index].copies;
        let participant = &mut self.participants[index];
        loop {
            match participant.stream.read(&mut self.buffer) {
                Ok(0) => panic!("the server closed a connection"),
                Ok(count) => {
                    let octets = &mut self.buffer[..count];
                    let whole = match &mut participant.frames {
                        Some(frames) => frames.take_off(octets),
                        None => count,
                    };
                    participant.take(&self.buffer[..whole]);
                    if count < self.buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let (after, index) = (participant.copies, participant.room);
        for number in before..after {
            let room = &mut self.rooms[index];
            let slots = room.counts.len();
            let count = &mut room.counts[number % slots];
            *count += 1;
            if *count == room.listeners {
                *count = 0;
                room.done += 1;
                touched.push(room.speaker);
                self.say(index);
            }
        }
    }
}

impl Participant {
    fn take(&mut self, octets: &[u8]) {
        self.unread.extend_from_slice(octets);
        let mut used = 0;
        while let Some(decoded) = self
            .decoder
            .decode(&self.unread[used..])
            .expect("MSRP from the server")
        {
            used += decoded.used;
            match decoded.event {
                Event::Message { request, .. } => {
                    self.copies += 1;
                    if let Some(answer) = answer(&request) {
                        frame(self.frames.is_some(), answer.as_bytes(), &mut self.out);
                    }
                }
                Event::Begin(request) => self.answer = answer(&request),
                Event::End(_) => {
                    self.copies += 1;
                    if let Some(answer) = self.answer.take() {
                        frame(self.frames.is_some(), answer.as_bytes(), &mut self.out);
                    }
                }
                Event::Response(response) => assert_eq!(response.code, 200),
                Event::Body(_) | Event::Skipped => {}
                Event::Malformed(_) => panic!("a malformed request from the server"),
            }
        }
        self.unread.drain(..used);
    }

    fn flush(&mut self) {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => {
                    self.out.drain(..count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The frames that come from the server.
#[derive(Debug, Default)]
struct Frames {
    /// Octets received of an incomplete frame header.
    header: Vec<u8>,
    /// Octets of the payload still to come.
    left: usize,
}

impl Frames {
    fn open(stream: &mut std::net::TcpStream) -> Self {
        let request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Protocol: msrp\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = [0; 1024];
        let count = stream.read(&mut answer).expect("an answer");
        assert!(answer[..count].ends_with(b"\r\n\r\n"));
        Self::default()
    }

    /// Moves their payloads to the front, and returns their length in octets.
    fn take_off(&mut self, octets: &mut [u8]) -> usize {
        let (mut from, mut to) = (0, 0);
        while from < octets.len() {
            if self.left == 0 {
                self.header.push(octets[from]);
                from += 1;
                self.left = match self.header[..] {
                    [_, 126, high, low] => usize::from(u16::from_be_bytes([high, low])),
                    [_, 127, ref length @ ..] if length.len() == 8 => {
                        length.iter().fold(0, |sum, it| sum << 8 | usize::from(*it))
                    }
                    [_, length] if length < 126 => length.into(),
                    _ => continue,
                };
                self.header.clear();
                continue;
            }
            let count = self.left.min(octets.len() - from);
            octets.copy_within(from..from + count, to);
            (from, to) = (from + count, to + count);
            self.left -= count;
        }
        to
    }
}

/// Appends a chunk for the server, in a frame with a mask of zeros if `web`.
fn frame(web: bool, chunk: &[u8], out: &mut Vec<u8>) {
    if web {
        out.push(0x82);
        match chunk.len() {
            length @ 0..126 => out.push(0x80 | length as u8),
            length => {
                out.push(0x80 | 127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend([0; 4]);
    }
    out.extend_from_slice(chunk);
}

fn answer(request: &Request<'_>) -> Option<String> {
    (request.failure_report == FailureReport::Yes).then(|| {
        let (tid, to, from) = (
            request.transaction,
            request.to_path.as_str(),
            request.from_path.as_str(),
        );
        format!("MSRP {tid} 200 OK\r\nTo-Path: {from}\r\nFrom-Path: {to}\r\n-------{tid}$\r\n")
    })
}

pub(crate) fn message(address: SocketAddr, room: usize, octets: usize) -> Vec<u8> {
    let name = session(room, 0);
    let text = "x".repeat(octets);
    let body = format!(
        "From: <sip:user0@example.com>\r\nTo: <{}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}",
        room_uri(room)
    );
    let length = body.len();
    format!(
        "MSRP tid12345 SEND\r\nTo-Path: msrp://{address}/{name};tcp\r\nFrom-Path: msrp://127.0.0.1:9/{name}p;tcp\r\nMessage-ID: mid12345\r\nByte-Range: 1-*/{length}\r\nContent-Type: message/cpim\r\n\r\n{body}\r\n-------tid12345$\r\n"
    )
    .into_bytes()
}
