//! The switch on virtual time, without sockets. Tests are named after the rows they prove.

mod active;
mod chunks;
mod congestion;
mod history;
mod imdn;
mod lifecycle;
mod liveness;
mod memory;
mod message_events;
mod model;
mod nicknames;
mod plain_text;
mod reconcile;
mod requests;
mod rooms;
mod streams;
mod threads;
mod threads_model;
mod transactions;
mod turns;
mod unchunked;

use std::collections::HashMap;
use std::time::Duration;

use super::room::Room;
use super::*;
use crate::control::{
    Admission, AdmitError, LossCause, NicknameChange, Peer, RoomPolicy, RoomUri, SessionId, Setup,
    UserUri,
};
use crate::entropy::Seeded;
use crate::wire::msrp::{Decoder, Event};

pub(super) const LOBBY: &str = "sip:lobby@example.com";

impl Switch {
    /// A session, by its name.
    fn named(&self, name: &str) -> SessionKey {
        self.rooms.named(name).unwrap()
    }

    /// The room of this name.
    fn room(&self, uri: &str) -> Option<&Room> {
        let key = self.rooms.called(&RoomUri::new(uri))?;
        self.rooms.get(key)
    }
}

/// A switch and what its connections were given to write.
pub(super) struct Stage {
    pub(super) switch: Switch,
    pub(super) now: Moment,
    written: HashMap<ConnectionId, Vec<u8>>,
    pub(super) finished: Vec<ConnectionId>,
    pub(super) cut: Vec<ConnectionId>,
    pub(super) resumed: Vec<ConnectionId>,
    readers: HashMap<ConnectionId, Reader>,
    told: Vec<Notice>,
    /// There is a focus, and it keeps what it is told at once.
    pub(super) keeps: bool,
}

/// A peer that reads its input in pieces of any size.
#[derive(Default)]
struct Reader {
    decoder: Decoder,
    rest: Vec<u8>,
    chunks: Vec<Chunk>,
}

/// One SEND as far as it has come, or something without body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) head: Option<Got>,
    pub(super) body: Vec<u8>,
    pub(super) flag: Option<char>,
}

impl Chunk {
    pub(super) fn header(&self, name: &str) -> &str {
        self.head.as_ref().unwrap().header(name).unwrap_or("")
    }
}

impl Reader {
    fn read(&mut self, octets: &[u8]) {
        self.rest.extend_from_slice(octets);
        let mut used = 0;
        while let Some(decoded) = self.decoder.decode(&self.rest[used..]).expect("MSRP") {
            used += decoded.used;
            match decoded.event {
                Event::Message {
                    request,
                    body,
                    flag,
                } => {
                    self.chunks.push(Chunk {
                        head: Some(head_of(&request)),
                        body: body.unwrap_or_default().to_vec(),
                        flag: Some(flag.octet().into()),
                    });
                }
                Event::Begin(request) => self.chunks.push(Chunk {
                    head: Some(head_of(&request)),
                    ..Chunk::default()
                }),
                Event::Body(octets) => {
                    let chunk = self.chunks.last_mut().unwrap();
                    chunk.body.extend_from_slice(octets);
                }
                Event::End(flag) => {
                    self.chunks.last_mut().unwrap().flag = Some(flag.octet().into());
                }
                Event::Response(response) => self.chunks.push(Chunk {
                    head: Some(Got {
                        line: format!("MSRP {} {}", response.transaction, response.code),
                        headers: Vec::new(),
                        body: None,
                    }),
                    ..Chunk::default()
                }),
                other => panic!("the switch wrote {other:?}"),
            }
        }
        self.rest.drain(..used);
    }
}

fn head_of(request: &crate::wire::msrp::Request<'_>) -> Got {
    Got {
        line: format!("MSRP {} {}", request.transaction, request.method.as_str()),
        headers: owned(request.headers()),
        body: None,
    }
}

/// A request as a peer reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
    pub(super) fn tid(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or("")
    }
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_deref().unwrap_or_default()).unwrap()
    }
}

pub(super) fn config() -> Config {
    Config {
        outbox_bytes: 256 * 1024,
        ..Config::default()
    }
}

pub(super) fn admission(room: &str, name: &str) -> Admission {
    let user = UserUri::new(format!(
        "sip:{}@example.com",
        name.split('-').next().unwrap()
    ));
    Admission {
        session: SessionId::new(name),
        room: RoomUri::new(room),
        policy: RoomPolicy {
            nicknames: true,
            private_messages: true,
            max_message_size: 1 << 20,
            plain_text: false,
            history: 0,
            bind_timeout: Duration::from_secs(32),
        },
        own_uri: own_uri(name),
        user: user.clone(),
        display: String::new(),
        nickname: None,
        uris: vec![user],
        newcomer: true,
        setup: Setup::Passive,
        peer: Peer {
            path: vec![peer_uri(name)],
            accept_types: vec!["message/cpim".into()],
            accept_wrapped_types: vec!["*".into()],
            private_messages: true,
            ..Peer::silent()
        },
    }
}

pub(super) fn own_uri(name: &str) -> String {
    format!("msrp://192.0.2.1:2855/{name};tcp")
}

pub(super) fn peer_uri(name: &str) -> String {
    format!("msrp://198.51.100.7:9/{name}-peer;tcp")
}

/// A message/cpim body from a user to the room.
pub(super) fn cpim(from: &str, text: &str) -> String {
    cpim_to(from, LOBBY, text)
}

pub(super) fn cpim_to(from: &str, to: &str, text: &str) -> String {
    format!(
        "From: <sip:{from}@example.com>\r\nTo: <{to}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}"
    )
}

/// A request with paths; `headers` are whole lines without line end.
pub(super) fn request(name: &str, tid: &str, method: &str, headers: &[&str], tail: &str) -> String {
    let mut text = format!(
        "MSRP {tid} {method}\r\nTo-Path: {}\r\nFrom-Path: {}\r\n",
        own_uri(name),
        peer_uri(name)
    );
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text + tail
}

/// A SEND of a whole CPIM message.
pub(super) fn send(name: &str, tid: &str, headers: &[&str], body: &str) -> String {
    let id = format!("Message-ID: m{tid}");
    let range = format!("Byte-Range: 1-{0}/{0}", body.len());
    let mut all = vec![id.as_str(), range.as_str()];
    all.extend_from_slice(headers);
    all.push("Content-Type: message/cpim");
    request(
        name,
        tid,
        "SEND",
        &all,
        &format!("\r\n{body}\r\n-------{tid}$\r\n"),
    )
}

pub(super) fn empty_send(name: &str, tid: &str) -> String {
    let headers = ["Message-ID: bind0001", "Byte-Range: 1-0/0"];
    request(name, tid, "SEND", &headers, &format!("-------{tid}$\r\n"))
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(config(), Box::new(Alone))
    }

    pub(super) fn with(config: Config, threads: Box<dyn Threads>) -> Self {
        // Ids of several instances meet on one connection.
        let own = u64::from(threads.own().0);
        Self {
            switch: Switch::new(config, Box::new(Seeded(7 + own)), threads),
            now: Moment::from_epoch(Duration::from_secs(1_000)),
            written: HashMap::new(),
            finished: Vec::new(),
            cut: Vec::new(),
            resumed: Vec::new(),
            readers: HashMap::new(),
            told: Vec::new(),
            keeps: true,
        }
    }

    /// Admits and says so.
    pub(super) fn admit(&mut self, admission: Admission) {
        let order = Order::Admit(Box::new(admission));
        self.switch.order(self.now, order);
    }

    /// Admits to the lobby, connects and binds; the answer and the notices are taken.
    pub(super) fn join(&mut self, name: &str) -> ConnectionId {
        self.enter(admission(LOBBY, name))
    }

    pub(super) fn enter(&mut self, admission: Admission) -> ConnectionId {
        let name = admission.session.to_string();
        self.admit(admission);
        let id = self.switch.opened(self.now);
        self.give(id, empty_send(&name, "bindtid1"));
        assert_eq!(self.codes(id), [200]);
        self.notices();
        id
    }

    pub(super) fn give(&mut self, id: ConnectionId, octets: impl AsRef<[u8]>) {
        self.switch.received(self.now, id, octets.as_ref());
        self.pump();
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.switch.tick(self.now);
        self.pump();
    }

    pub(super) fn pump(&mut self) {
        while self.switch.go_on(self.now) {}
        self.hear();
        let mut batch = Batch::default();
        while let Some(id) = self.switch.poll_dirty() {
            loop {
                batch.clear();
                let after = self.switch.transmit(self.now, id, &mut batch);
                let written = self.written.entry(id).or_default();
                written.extend_from_slice(&batch.to_vec());
                match after {
                    After::More => continue,
                    After::Idle => break,
                    After::Close => {
                        self.finished.push(id);
                        self.switch.closed(self.now, id);
                        break;
                    }
                }
            }
        }
        while let Some(id) = self.switch.poll_close() {
            self.cut.push(id);
            self.switch.closed(self.now, id);
        }
        let mut more = false;
        while let Some(id) = self.switch.poll_resume() {
            self.resumed.push(id);
            while self.switch.unread(id) > 0 && !self.switch.paused(id) {
                self.switch.received(self.now, id, &[]);
                more = true;
            }
        }
        if more {
            self.pump();
        }
    }

    /// The same for a sender that waits while its connection is paused.
    pub(super) fn give_in_time(&mut self, id: ConnectionId, octets: impl AsRef<[u8]>) {
        self.give(id, octets);
        let until = self.now + Duration::from_secs(10);
        while self.switch.paused(id) && self.now < until {
            self.pass(Duration::from_millis(100));
        }
    }

    /// Everything written to a connection so far, SEND by SEND; the last may be open.
    pub(super) fn chunks(&mut self, id: ConnectionId) -> Vec<Chunk> {
        let raw = self.raw(id);
        let reader = self.readers.entry(id).or_default();
        reader.read(&raw);
        reader.chunks.clone()
    }

    pub(super) fn raw(&mut self, id: ConnectionId) -> Vec<u8> {
        self.pump();
        self.written.remove(&id).unwrap_or_default()
    }

    /// Everything written to a connection, decoded.
    pub(super) fn got(&mut self, id: ConnectionId) -> Vec<Got> {
        let raw = self.raw(id);
        let mut rest = &raw[..];
        let mut decoder = Decoder::new();
        let mut got = Vec::new();
        while let Some(decoded) = decoder.decode(rest).expect("the switch writes MSRP") {
            rest = &rest[decoded.used..];
            match decoded.event {
                Event::Message { request, body, .. } => got.push(Got {
                    line: format!("MSRP {} {}", request.transaction, request.method.as_str()),
                    headers: owned(request.headers()),
                    body: body.map(<[u8]>::to_vec),
                }),
                Event::Response(response) => got.push(Got {
                    line: format!("MSRP {} {}", response.transaction, response.code),
                    headers: owned(response.headers()),
                    body: None,
                }),
                other => panic!("the switch wrote {other:?}"),
            }
        }
        assert!(rest.is_empty(), "half a message: {rest:?}");
        got
    }

    /// The status codes of the responses written; nothing else may have been written.
    pub(super) fn codes(&mut self, id: ConnectionId) -> Vec<u16> {
        let got = self.got(id);
        got.iter()
            .map(|got| {
                got.line
                    .rsplit(' ')
                    .next()
                    .unwrap()
                    .parse()
                    .expect("a response")
            })
            .collect()
    }

    /// The wrapped texts of the SENDs written.
    pub(super) fn texts(&mut self, id: ConnectionId) -> Vec<String> {
        let got = self.got(id);
        let sends = got.iter().filter(|got| got.line.ends_with(" SEND"));
        sends
            .map(|got| got.text().split("\r\n\r\n").nth(2).unwrap().to_owned())
            .collect()
    }

    pub(super) fn notices(&mut self) -> Vec<Notice> {
        let mut notices = self.all_notices();
        // Counts of messages have tests of their own.
        notices.retain(|notice| !matches!(notice, Notice::Counted { .. }));
        notices
    }

    pub(super) fn all_notices(&mut self) -> Vec<Notice> {
        self.hear();
        std::mem::take(&mut self.told)
    }

    fn hear(&mut self) {
        while let Some(notice) = self.switch.poll_notice() {
            if self.keeps
                && let Notice::Nickname { change, .. } = notice
            {
                self.keep(change);
            }
            self.told.push(notice);
        }
    }

    pub(super) fn keep(&mut self, change: NicknameChange) {
        let room = RoomUri::new(LOBBY);
        self.switch.order(self.now, Order::Kept { room, change });
    }

    pub(super) fn lost(&mut self) -> Vec<(String, LossCause)> {
        let notices = self.notices().into_iter();
        notices
            .filter_map(|notice| match notice {
                Notice::Lost { session, cause, .. } => Some((session.to_string(), cause)),
                _ => None,
            })
            .collect()
    }
}

fn owned<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
