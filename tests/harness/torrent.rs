//! Somebody who sends and takes messages too large to be kept.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use msrp_conference::wire::msrp::{Decoder, Event, FailureReport, Flag, Request};

use super::PATIENCE;
use super::agent::{Agent, Transport, unique};
use super::draft::Dialog;
use super::msrp::Frame;
use super::participant::{client_path, invite, path_of};
use super::proxy::Proxy;

/// What has come of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    id: String,
    /// Octets of its body.
    pub octets: u64,
    /// Their sum.
    pub sum: u64,
    /// Its end has come.
    pub whole: bool,
    /// The SENDs it came in.
    pub chunks: usize,
}

/// A participant of whose messages only sums are kept.
pub struct Torrent {
    /// Everything that came, in the order in which it began.
    pub messages: Vec<Message>,
    stream: TcpStream,
    agent: Arc<Agent>,
    own_path: String,
    room_path: String,
    room: String,
    unread: Vec<u8>,
    decoder: Decoder,
    answers: usize,
    current: usize,
    reply: String,
    buffer: Vec<u8>,
}

impl Torrent {
    /// Joins and binds.
    pub fn join(proxy: &Proxy, user: &str, room: &str) -> Self {
        let agent = Arc::new(Agent::new(user, proxy.sip, Transport::Udp));
        let (room, own_path) = (proxy.room(room), client_path());
        let draft = invite(&agent, &room, &own_path);
        let answer = agent.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        agent.send(&Dialog::new(&draft, &answer).ack(&agent));
        let stream = TcpStream::connect(proxy.msrp).expect("connect to the MSRP port");
        stream
            .set_read_timeout(Some(PATIENCE * 3))
            .expect("a timeout");
        let mut new = Self {
            messages: Vec::new(),
            stream,
            agent,
            own_path,
            room_path: path_of(&answer.body),
            room,
            unread: Vec::new(),
            decoder: Decoder::new(),
            answers: 0,
            current: 0,
            reply: String::new(),
            buffer: vec![0; 128 * 1024],
        };
        let bind = Frame::request("SEND", &new.room_path, &new.own_path)
            .header("Message-ID", unique())
            .header("Byte-Range", "1-0/0");
        new.write(&bind.octets());
        new.until(|it| it.answers == 1);
        new
    }

    fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("the switch reads");
    }

    /// A SEND of `octets` of text, in one chunk of the length announced; says what arrives.
    pub fn say(&mut self, octets: usize) -> Message {
        let front = format!(
            "From: <{}>\r\nTo: <{}>\r\n\r\nContent-Type: text/plain\r\n\r\n",
            self.agent.address(),
            self.room
        );
        let total = front.len() + octets;
        let frame = Frame::request("SEND", &self.room_path, &self.own_path)
            .header("Message-ID", unique())
            .header("Byte-Range", format!("1-*/{total}"))
            .header("Failure-Report", "no")
            .content("message/cpim", front.as_bytes())
            .octets();
        let end = format!("\r\n-------{}$\r\n", end_of(&frame)).into_bytes();
        self.write(&frame[..frame.len() - end.len()]);
        let piece: Vec<u8> = (0..1 << 16).map(|at| b'a' + (at % 25) as u8).collect();
        let mut sum = sum_of(front.as_bytes());
        let mut left = octets;
        while left > 0 {
            let part = &piece[..left.min(piece.len())];
            self.write(part);
            sum += sum_of(part);
            left -= part.len();
        }
        self.write(&end);
        Message {
            id: String::new(),
            octets: total as u64,
            sum,
            whole: true,
            chunks: 1,
        }
    }

    /// A second hand on its connection, for who only writes.
    pub fn writer(&self) -> Torrent {
        Torrent {
            messages: Vec::new(),
            stream: self.stream.try_clone().expect("clone"),
            agent: Arc::clone(&self.agent),
            own_path: self.own_path.clone(),
            room_path: self.room_path.clone(),
            room: self.room.clone(),
            unread: Vec::new(),
            decoder: Decoder::new(),
            answers: 0,
            current: 0,
            reply: String::new(),
            buffer: Vec::new(),
        }
    }

    /// Reads until `done`.
    pub fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.read();
        }
    }

    /// Reads what comes next.
    pub fn read(&mut self) {
        let count = self.stream.read(&mut self.buffer).expect("octets");
        assert!(count > 0, "{} is cut off", self.agent.user);
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(&self.buffer[..count]);
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut used = 0;
        while let Some(decoded) = decoder.decode(&unread[used..]).expect("MSRP") {
            used += decoded.used;
            match decoded.event {
                Event::Message {
                    request,
                    body,
                    flag,
                } => {
                    self.begin(&request);
                    self.body(body.unwrap_or_default());
                    self.end(flag);
                }
                Event::Begin(request) => self.begin(&request),
                Event::Body(octets) => self.body(octets),
                Event::End(flag) => self.end(flag),
                Event::Response(response) => {
                    assert_eq!(response.code, 200);
                    self.answers += 1;
                }
                other => panic!("the switch wrote {other:?}"),
            }
        }
        self.decoder = decoder;
        unread.drain(..used);
        self.unread = unread;
        let reply = std::mem::take(&mut self.reply);
        self.write(reply.as_bytes());
    }

    fn begin(&mut self, request: &Request<'_>) {
        let id = request.message_id.unwrap_or_default();
        let known = self.messages.iter().position(|message| message.id == id);
        self.current = known.unwrap_or_else(|| {
            self.messages.push(Message {
                id: id.to_owned(),
                ..Message::default()
            });
            self.messages.len() - 1
        });
        let message = &mut self.messages[self.current];
        message.chunks += 1;
        assert_eq!(request.range().start, message.octets + 1, "in order");
        if request.failure_report == FailureReport::Yes {
            let (tid, to, from) = (request.transaction, request.to_path, request.from_path);
            self.reply += &format!(
                "MSRP {tid} 200 OK\r\nTo-Path: {}\r\nFrom-Path: {}\r\n-------{tid}$\r\n",
                from.as_str(),
                to.as_str()
            );
        }
    }

    fn body(&mut self, octets: &[u8]) {
        let message = &mut self.messages[self.current];
        message.octets += octets.len() as u64;
        message.sum += sum_of(octets);
    }

    fn end(&mut self, flag: Flag) {
        let message = &self.messages[self.current];
        assert_ne!(flag, Flag::Abort, "{} of {message:?}", self.agent.user);
        self.messages[self.current].whole = flag == Flag::Last;
    }
}

fn sum_of(octets: &[u8]) -> u64 {
    octets.iter().map(|octet| u64::from(*octet)).sum()
}

/// The transaction id of a frame.
fn end_of(frame: &[u8]) -> String {
    let line = String::from_utf8_lossy(&frame[..64]).into_owned();
    line.split(' ').nth(1).expect("a transaction id").to_owned()
}
