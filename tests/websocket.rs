//! MSRP over WebSocket through the switch pool, over loopback: every transport in one room, and the
//! refusals.

#[path = "harness/admission.rs"]
#[allow(unreachable_pub)]
mod admission;
#[path = "tls/certificates.rs"]
mod certificates;
#[allow(dead_code)]
#[path = "tls/client.rs"]
mod client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use msrp_conference::control::{LossCause, Notice, Order};
use msrp_conference::net::{Config, Listen, Pool, Transport};
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

use admission::admission;
use certificates::{Certified, Folder};
use client::{Connection, How, PATIENCE};

const LOBBY: &str = "sip:lobby@example.com";
const ALL: [Transport; 4] = [
    Transport::Tcp,
    Transport::Tls,
    Transport::Ws,
    Transport::Wss,
];

/// A switch with a listener for every transport.
struct Rig {
    pool: Pool,
    notices: Receiver<Notice>,
    _certificate: Folder,
}

impl Rig {
    fn start() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listen = ALL.map(|transport| Listen {
            transport,
            address: "127.0.0.1:0".parse().unwrap(),
        });
        let folder = Folder::new();
        let mut config = Config {
            listen: listen.into(),
            tls: Some(folder.files(&Certified::self_signed(&["localhost"]))),
            threads: 2,
            ..Config::default()
        };
        change(&mut config);
        let (notices, received) = unbounded();
        let (log, _) = unbounded();
        let pool = Pool::start(config, notices, log, Arc::new(|| ())).expect("the pool starts");
        Self {
            pool,
            notices: received,
            _certificate: folder,
        }
    }

    fn address(&self, transport: Transport) -> SocketAddr {
        let at = ALL.iter().position(|it| *it == transport).unwrap();
        self.pool.addresses()[at]
    }

    /// The URI that the focus would give to a participant.
    fn uri(&self, transport: Transport, name: &str) -> String {
        let scheme = if transport.is_secure() {
            "msrps"
        } else {
            "msrp"
        };
        let over = if transport.is_web() { "ws" } else { "tcp" };
        format!("{scheme}://{}/{name};{over}", self.address(transport))
    }

    fn await_notice<T>(&self, wanted: impl Fn(Notice) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let notice = self.notices.recv_timeout(rest).expect("a notice");
            if let Some(found) = wanted(notice) {
                return found;
            }
        }
    }

    fn admit(&self, transport: Transport, name: &str) {
        let mut admission = admission(self.uri(transport, name), LOBBY, name);
        admission.peer.path = vec![peer_uri(transport, name)];
        self.pool.order(Order::Admit(Box::new(admission)));
        self.await_notice(|notice| matches!(notice, Notice::Admitted { .. }).then_some(()));
    }

    /// A participant who has joined over this transport.
    fn join(&self, transport: Transport, name: &str) -> Member {
        self.admit(transport, name);
        let address = self.address(transport);
        let wire: Box<dyn Wire> = match transport {
            Transport::Tcp => Box::new(client::plain(address)),
            Transport::Tls => Box::new(client::secure(address, &How::default()).unwrap()),
            Transport::Ws => Box::new(Web::open(client::plain(address).stream)),
            Transport::Wss => {
                let secure = client::secure(address, &How::default()).unwrap();
                Box::new(Web::open(secure.stream))
            }
        };
        let mut member = Member {
            wire,
            own: peer_uri(transport, name),
            room: self.uri(transport, name),
            name: name.to_owned(),
            said: 0,
        };
        let answer = member.send("Byte-Range: 1-0/0\r\n", "");
        assert!(answer.contains(" 200 "), "{answer}");
        self.await_notice(|notice| matches!(notice, Notice::Bound { .. }).then_some(()));
        member
    }

    fn lost(&self) -> LossCause {
        self.await_notice(|notice| match notice {
            Notice::Lost { cause, .. } => Some(cause),
            _ => None,
        })
    }

    /// Waits until this many WebSockets were refused.
    fn refused(&self, count: u64) {
        let until = Instant::now() + PATIENCE;
        while self.pool.totals().websockets_refused < count {
            assert!(Instant::now() < until, "refused {:?}", self.pool.totals());
            thread::yield_now();
        }
        assert_eq!(self.pool.totals().websockets_refused, count);
    }
}

fn peer_uri(transport: Transport, name: &str) -> String {
    match transport.is_web() {
        true => format!("msrp://{name}.invalid:9/{name}-peer;ws"),
        false => format!("msrp://127.0.0.1:9/{name}-peer;tcp"),
    }
}

/// Chunks in both directions.
trait Wire: Send {
    fn write(&mut self, chunk: &str);
    /// The next chunk that contains this.
    fn read(&mut self, with: &str) -> String;
}

impl<S: Read + Write + Send> Wire for Connection<S> {
    fn write(&mut self, chunk: &str) {
        Connection::write(self, chunk);
    }

    fn read(&mut self, with: &str) -> String {
        self.message(with).expect("a chunk")
    }
}

struct Web<S> {
    socket: WebSocket<S>,
    /// It sends text.
    text: bool,
}

impl<S: Read + Write> Web<S> {
    fn open(stream: S) -> Self {
        let request = ClientRequestBuilder::new("ws://127.0.0.1/".parse().unwrap())
            .with_sub_protocol("msrp")
            .with_header("Origin", "http://127.0.0.1:8000");
        let (socket, answer) = tungstenite::client(request, stream).expect("a WebSocket");
        let protocol = answer.headers().get("Sec-WebSocket-Protocol").unwrap();
        assert_eq!(protocol, "msrp");
        Self {
            socket,
            text: false,
        }
    }
}

impl<S: Read + Write + Send> Wire for Web<S> {
    fn write(&mut self, chunk: &str) {
        let message = match self.text {
            true => Message::text(chunk),
            false => Message::binary(chunk.as_bytes().to_vec()),
        };
        self.socket.send(message).expect("it reads");
    }

    fn read(&mut self, with: &str) -> String {
        loop {
            let message = self.socket.read().expect("a message");
            if !message.is_text() && !message.is_binary() {
                continue;
            }
            assert_eq!(message.is_text(), self.text, "as it is spoken to");
            let chunk = message.into_text().expect("UTF-8").to_string();
            // W03: one chunk, and all of it.
            let transaction = chunk.split(' ').nth(1).unwrap();
            assert!(chunk.starts_with("MSRP "), "{chunk}");
            assert_eq!(chunk.matches(&format!("-------{transaction}")).count(), 1);
            assert!(chunk.ends_with("\r\n"), "{chunk}");
            if chunk.contains(with) {
                return chunk;
            }
        }
    }
}

struct Member {
    wire: Box<dyn Wire>,
    own: String,
    room: String,
    name: String,
    said: u32,
}

impl Member {
    /// Sends a request; returns its answer.
    fn send(&mut self, headers: &str, body: &str) -> String {
        self.said += 1;
        let id = format!("t{:07}", self.said);
        let (room, own) = (&self.room, &self.own);
        self.wire.write(&format!(
            "MSRP {id} SEND\r\nTo-Path: {room}\r\nFrom-Path: {own}\r\nMessage-ID: m{id}\r\n\
             {headers}{body}-------{id}$\r\n"
        ));
        self.wire.read(&format!("MSRP {id} "))
    }

    fn say(&mut self, text: &str) -> String {
        let name = &self.name;
        let body = format!(
            "From: <sip:{name}@example.com>\r\nTo: <{LOBBY}>\r\n\r\n\
             Content-Type: text/plain\r\n\r\n{text}"
        );
        let length = body.len();
        let headers = format!(
            "Byte-Range: 1-{length}/{length}\r\nFailure-Report: yes\r\n\
             Content-Type: message/cpim\r\n\r\n"
        );
        self.send(&headers, &format!("{body}\r\n"))
    }

    /// The next chunk that contains this text; answers it if necessary.
    fn hears(&mut self, text: &str) -> String {
        let chunk = self.wire.read(text);
        self.answer(&chunk);
        chunk
    }

    fn answer(&mut self, chunk: &str) {
        if !chunk.contains("Failure-Report: no") && !chunk.contains("Failure-Report: partial") {
            let id = chunk.split(' ').nth(1).unwrap();
            let (room, own) = (&self.room, &self.own);
            self.wire.write(&format!(
                "MSRP {id} 200 OK\r\nTo-Path: {room}\r\nFrom-Path: {own}\r\n-------{id}$\r\n"
            ));
        }
    }

    /// Receives a large message of this many octets, in any number of chunks.
    fn hears_all(&mut self, octets: usize) {
        let mut heard = 0;
        while heard < octets {
            let chunk = self.hears("ZZZZ");
            heard += chunk.matches('Z').count();
        }
        assert_eq!(heard, octets);
    }
}

#[test]
fn every_transport_talks_to_every_other() {
    let rig = Rig::start();
    let mut members = ALL.map(|transport| rig.join(transport, transport.scheme()));
    for speaker in 0..members.len() {
        let text = format!("from {}", members[speaker].name);
        assert!(members[speaker].say(&text).contains(" 200 "));
        for (_, hearer) in (0..).zip(&mut members).filter(|(at, _)| *at != speaker) {
            hearer.hears(&text);
        }
    }
    // Five megabytes, from each kind of client to all.
    const LARGE: usize = 5 << 20;
    for speaker in 0..members.len() {
        thread::scope(|scope| {
            for (at, member) in members.iter_mut().enumerate() {
                scope.spawn(move || match at == speaker {
                    true => assert!(member.say(&"Z".repeat(LARGE)).contains(" 200 ")),
                    false => member.hears_all(LARGE),
                });
            }
        });
    }
    rig.pool.stop();
}

#[test]
fn w02_who_sends_text_gets_text() {
    let rig = Rig::start();
    let mut bob = rig.join(Transport::Tcp, "bob");
    rig.admit(Transport::Ws, "alice");
    let mut web = Web::open(client::plain(rig.address(Transport::Ws)).stream);
    web.text = true;
    let mut alice = Member {
        wire: Box::new(web),
        own: peer_uri(Transport::Ws, "alice"),
        room: rig.uri(Transport::Ws, "alice"),
        name: "alice".to_owned(),
        said: 0,
    };
    assert!(alice.send("Byte-Range: 1-0/0\r\n", "").contains(" 200 "));
    assert!(alice.say("caf\u{e9}").contains(" 200 "));
    bob.hears("caf\u{e9}");
    bob.say("\u{1f600}");
    alice.hears("\u{1f600}");
    rig.pool.stop();
}

/// For clients that need a relay (RFC 4976): the listener is its own relay.
#[test]
fn w06_auth_gives_a_path_by_which_the_room_is_reached() {
    let rig = Rig::start();
    let mut bob = rig.join(Transport::Tcp, "bob");
    rig.admit(Transport::Ws, "alice");
    let address = rig.address(Transport::Ws);
    let mut web = Web::open(client::plain(address).stream);
    let own = peer_uri(Transport::Ws, "alice");
    let auth = |id: &str, to: &str| {
        format!("MSRP {id} AUTH\r\nTo-Path: {to}\r\nFrom-Path: {own}\r\n-------{id}$\r\n")
    };
    web.write(&auth("auth1234", &format!("msrp://{address};ws")));
    let granted = web.read("MSRP auth1234 200");
    let given = granted.lines().find_map(|it| it.strip_prefix("Use-Path: "));
    let given = given.expect("a path").to_owned();
    assert!(given.starts_with(&format!("msrp://{address}/")), "{given}");
    // It stays the same as long as the connection lives.
    web.write(&auth("auth1235", &format!("msrp://{address};ws")));
    assert!(web.read("MSRP auth1235 200").contains(&given));
    let mut alice = Member {
        wire: Box::new(web),
        own: own.clone(),
        room: format!("{given} {}", rig.uri(Transport::Ws, "alice")),
        name: "alice".to_owned(),
        said: 0,
    };
    assert!(alice.send("Byte-Range: 1-0/0\r\n", "").contains(" 200 "));
    assert!(alice.say("by the given path").contains(" 200 "));
    bob.hears("by the given path");
    bob.say("and back");
    assert!(
        alice
            .hears("and back")
            .contains(&format!("To-Path: {own}\r\n"))
    );
    // Nobody else's path leads there, and a session is not a relay.
    alice.room = format!("msrp://x:1/y;ws {}", rig.uri(Transport::Ws, "alice"));
    assert!(alice.send("Byte-Range: 1-0/0\r\n", "").contains(" 481 "));
    alice
        .wire
        .write(&auth("auth1236", &rig.uri(Transport::Ws, "alice")));
    alice.wire.read("MSRP auth1236 501");
    rig.pool.stop();
}

#[test]
fn a_closed_page_is_a_lost_connection_at_once() {
    let rig = Rig::start();
    let began = Instant::now();
    for transport in [Transport::Ws, Transport::Wss] {
        drop(rig.join(transport, "alice"));
        assert_eq!(rig.lost(), LossCause::Disconnected);
    }
    // With a Close frame, and the TCP connection left open.
    let address = rig.address(Transport::Ws);
    rig.admit(Transport::Ws, "bob");
    let mut web = Web::open(client::plain(address).stream);
    let (room, own) = (
        rig.uri(Transport::Ws, "bob"),
        peer_uri(Transport::Ws, "bob"),
    );
    web.write(&format!(
        "MSRP bind1234 SEND\r\nTo-Path: {room}\r\nFrom-Path: {own}\r\nMessage-ID: m\r\n\
         Byte-Range: 1-0/0\r\n-------bind1234$\r\n"
    ));
    web.read("MSRP bind1234 200");
    web.socket.close(None).expect("it reads");
    assert_eq!(rig.lost(), LossCause::Disconnected);
    assert!(web.socket.read().expect("an answer").is_close());
    closes_with_its_first_request(&rig);
    assert!(began.elapsed() < Duration::from_secs(20));
    rig.pool.stop();
}

/// The first request and a Close frame in one segment: both get their answer.
fn closes_with_its_first_request(rig: &Rig) {
    rig.admit(Transport::Ws, "carol");
    let (mut stream, _) = knock(rig.address(Transport::Ws), str::to_owned);
    let (room, own) = (
        rig.uri(Transport::Ws, "carol"),
        peer_uri(Transport::Ws, "carol"),
    );
    let request = format!(
        "MSRP bind5678 SEND\r\nTo-Path: {room}\r\nFrom-Path: {own}\r\nMessage-ID: m\r\n\
         Byte-Range: 1-0/0\r\n-------bind5678$\r\n"
    );
    let length = u16::try_from(request.len()).unwrap().to_be_bytes();
    // Masked with zeros (RFC 6455 §5.3); the second frame is Close.
    let head = [0x82, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    let close = [0x88, 0x80, 0, 0, 0, 0];
    let all = [&head, request.as_bytes(), &close].concat();
    stream.write_all(&all).unwrap();
    assert_eq!(rig.lost(), LossCause::Disconnected);
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    let text = String::from_utf8_lossy(&answers);
    assert!(text.contains("MSRP bind5678 200"), "{text}");
    let close = [0x88, 2, 0x03, 0xe8];
    assert!(answers.ends_with(&close), "no Close: {answers:?}");
}

/// The server's response to a handshake.
fn knock(address: SocketAddr, change: impl Fn(&str) -> String) -> (TcpStream, String) {
    let request = change(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Origin: http://127.0.0.1\r\nSec-WebSocket-Protocol: msrp\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    );
    let mut stream = client::plain(address).stream;
    stream.write_all(request.as_bytes()).unwrap();
    let (mut head, mut octet) = (String::new(), [0]);
    while !head.ends_with("\r\n\r\n") && stream.read(&mut octet).unwrap_or(0) > 0 {
        head.push(octet[0].into());
    }
    (stream, head)
}

#[test]
fn w08_pages_of_others_and_other_protocols_are_refused() {
    let rig = Rig::with(|config| config.ws_origins = "https://a.example".parse().unwrap());
    let address = rig.address(Transport::Ws);
    for (count, from, to, status) in [
        (1, "http://127.0.0.1", "http://evil.example", "403"),
        (2, "http://127.0.0.1", "http://a.example", "403"),
        (
            3,
            "Origin: http://127.0.0.1\r\nSec-WebSocket-Protocol: msrp",
            "A: b",
            "400",
        ),
        (4, "GET / HTTP/1.1", "MSRP a SEND", "400"),
    ] {
        let (_, head) = knock(address, |request| request.replace(from, to));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        rig.refused(count);
    }
    let own = |request: &str| request.replace("http://127.0.0.1", "https://a.example");
    let (_, head) = knock(address, own);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(!head.to_ascii_lowercase().contains("deflate"), "{head}");
    rig.pool.stop();
}

/// Frames that a client must not send end the WebSocket, before a session and within one.
#[test]
fn what_is_no_frame_of_a_client_ends_the_websocket() {
    let rig = Rig::start();
    let address = rig.address(Transport::Ws);
    let mut quiet = rig.join(Transport::Ws, "quiet");
    let frames: [(&str, &[u8]); 5] = [
        ("unmasked", b"\x82\x05MSRP "),
        ("reserved bits", b"\xc2\x80\0\0\0\0"),
        ("unknown kind", b"\x83\x80\0\0\0\0"),
        ("endless ping", b"\x89\xfe\x01\x00\0\0\0\0"),
        ("continues nothing", b"\x80\x80\0\0\0\0"),
    ];
    let mut count = 0;
    for (what, frame) in frames {
        for bound in [false, true] {
            let (mut stream, head) = knock(address, str::to_owned);
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            if bound {
                let name = format!("{}{count}", &what[..2]);
                rig.admit(Transport::Ws, &name);
                let (room, own) = (
                    rig.uri(Transport::Ws, &name),
                    peer_uri(Transport::Ws, &name),
                );
                let bind = format!(
                    "MSRP bind1234 SEND\r\nTo-Path: {room}\r\nFrom-Path: {own}\r\n\
                     Message-ID: m\r\nByte-Range: 1-0/0\r\n-------bind1234$\r\n"
                );
                let length = u16::try_from(bind.len()).unwrap().to_be_bytes();
                let octets = [&[0x82, 0xfe], &length[..], &[0; 4], bind.as_bytes()].concat();
                stream.write_all(&octets).unwrap();
                rig.await_notice(|notice| matches!(notice, Notice::Bound { .. }).then_some(()));
            }
            stream.write_all(frame).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            if bound {
                assert!(rest.ends_with(b"\x88\x02\x03\xea"), "{what}: {rest:?}");
                rig.lost();
            }
            count += 1;
            rig.refused(count);
        }
    }
    assert!(quiet.say("still here").contains(" 200 "));
    rig.pool.stop();
}

#[test]
fn w07_pings_are_answered_and_a_flood_of_them_hinders_nobody() {
    let rig = Rig::start();
    let mut alice = rig.join(Transport::Ws, "alice");
    let mut bob = rig.join(Transport::Tcp, "bob");
    rig.admit(Transport::Ws, "mallory");
    let mut web = Web::open(client::plain(rig.address(Transport::Ws)).stream);
    let (room, own) = (
        rig.uri(Transport::Ws, "mallory"),
        peer_uri(Transport::Ws, "mallory"),
    );
    web.write(&format!(
        "MSRP bind1234 SEND\r\nTo-Path: {room}\r\nFrom-Path: {own}\r\nMessage-ID: m\r\n\
         Byte-Range: 1-0/0\r\n-------bind1234$\r\n"
    ));
    web.read("MSRP bind1234 200");
    let flood = [b"\x89\xfd\0\0\0\0".as_slice(), &[b'p'; 125]]
        .concat()
        .repeat(8);
    let stream = web.socket.get_mut();
    stream
        .set_write_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    for number in 0..200 {
        // The switch stops reading a client that reads no pongs, once there is no more room.
        let _ = stream.write(&flood);
        let text = format!("message {number}.");
        assert!(alice.say(&text).contains(" 200 "));
        bob.hears(&text);
    }
    rig.pool.stop();

    let rig = Rig::start();
    rig.admit(Transport::Ws, "alice");
    let mut web = Web::open(client::plain(rig.address(Transport::Ws)).stream);
    let (room, own) = (
        rig.uri(Transport::Ws, "alice"),
        peer_uri(Transport::Ws, "alice"),
    );
    web.write(&format!(
        "MSRP bind1234 SEND\r\nTo-Path: {room}\r\nFrom-Path: {own}\r\nMessage-ID: m\r\n\
         Byte-Range: 1-0/0\r\n-------bind1234$\r\n"
    ));
    web.read("MSRP bind1234 200");
    web.socket
        .send(Message::Ping(b"there?".as_slice().into()))
        .unwrap();
    let pong = web.socket.read().expect("a pong");
    assert_eq!(pong, Message::Pong(b"there?".as_slice().into()));
    rig.pool.stop();
}

/// Sockets that never upgrade, or upgrade and send nothing, count as strangers like all others.
#[test]
fn sockets_that_never_upgrade_keep_nobody_out() {
    let rig = Rig::start();
    let address = rig.address(Transport::Ws);
    let most = (rustix::process::getrlimit(rustix::process::Resource::Nofile).current)
        .map_or(10_000, |limit| (limit / 4).min(10_000) as usize);
    let silent: Vec<_> = (0..most).map(|_| client::plain(address).stream).collect();
    let mut alice = rig.join(Transport::Ws, "alice");
    assert!(alice.say("through the crowd").contains(" 200 "));
    drop(silent);
    rig.pool.stop();
}

#[test]
fn a_slow_handshake_is_ended() {
    let rig = Rig::start();
    let mut stream = client::plain(rig.address(Transport::Ws)).stream;
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let began = Instant::now();
    assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    let took = began.elapsed();
    assert!((5..25).contains(&took.as_secs()), "{took:?}");
    rig.refused(1);
    rig.pool.stop();
}
