//! Reads messages too large to keep, in pieces of any size: keeps a sum of each.

use std::io::{Read, Write};
use std::net::TcpStream;

use msrp_conference::wire::msrp::{Decoder, Event, FailureReport, Flag, Request};

/// Number of octets of a message's body, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sum {
    pub octets: u64,
    sum: u64,
}

impl Sum {
    pub fn add(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        self.sum += octets.iter().map(|octet| u64::from(*octet)).sum::<u64>();
    }
}

/// The received part of one message.
#[derive(Clone, Debug, Default)]
pub struct Message {
    id: String,
    pub sum: Sum,
    /// The end has arrived.
    pub whole: bool,
    /// Number of SENDs it arrived in.
    pub chunks: usize,
}

/// One end of a connection: answers every SEND that requests it, and expects every message in order
/// and complete, without repetitions or aborted ones.
pub struct Reader {
    /// All received messages, in the order of their starts.
    pub messages: Vec<Message>,
    /// Codes of responses that nobody has taken yet.
    pub codes: Vec<u16>,
    stream: TcpStream,
    unread: Vec<u8>,
    decoder: Decoder,
    current: usize,
    reply: String,
    buffer: Vec<u8>,
}

impl Reader {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            messages: Vec::new(),
            codes: Vec::new(),
            stream,
            unread: Vec::new(),
            decoder: Decoder::new(),
            current: 0,
            reply: String::new(),
            buffer: vec![0; 128 * 1024],
        }
    }

    /// A second handle of the connection.
    pub fn stream(&self) -> TcpStream {
        self.stream.try_clone().expect("clone")
    }

    pub fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("the switch reads");
    }

    /// The code of the next response.
    pub fn code(&mut self) -> u16 {
        self.until(|it| !it.codes.is_empty());
        self.codes.remove(0)
    }

    /// Whether a message of more octets is complete.
    pub fn has_whole(&self, octets: usize) -> bool {
        let large = |it: &Message| it.whole && it.sum.octets > octets as u64;
        self.messages.iter().any(large)
    }

    /// Number of complete messages of less than 1,000 octets.
    pub fn small(&self) -> usize {
        let small = |it: &&Message| it.whole && it.sum.octets < 1_000;
        self.messages.iter().filter(small).count()
    }

    /// Reads until `done`.
    pub fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.read();
        }
    }

    /// Reads the next octets, and answers them.
    pub fn read(&mut self) {
        let count = self.stream.read(&mut self.buffer).expect("octets");
        assert!(count > 0, "cut off");
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(&self.buffer[..count]);
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut used = 0;
        while let Some(decoded) = decoder.decode(&unread[used..]).expect("MSRP") {
            used += decoded.used;
            self.event(decoded.event);
        }
        self.decoder = decoder;
        unread.drain(..used);
        self.unread = unread;
        let reply = std::mem::take(&mut self.reply);
        self.write(reply.as_bytes());
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
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
            Event::Response(response) => self.codes.push(response.code),
            Event::Malformed(_) | Event::Skipped => panic!("the switch writes MSRP"),
        }
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
        assert_eq!(request.range().start, message.sum.octets + 1, "in order");
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
        self.messages[self.current].sum.add(octets);
    }

    fn end(&mut self, flag: Flag) {
        let message = &mut self.messages[self.current];
        assert_ne!(flag, Flag::Abort, "nobody is too slow: {message:?}");
        message.whole = flag == Flag::Last;
    }
}
