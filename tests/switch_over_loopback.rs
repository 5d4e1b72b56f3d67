//! The switch pool over real connections on loopback.

#[path = "harness/admission.rs"]
#[allow(unreachable_pub)]
mod admission;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use msrp_conference::control::{Dial, LossCause, Notice, Order, RoomUri, SessionId, Setup};
use msrp_conference::counters::Totals;
use msrp_conference::log::Line;
use msrp_conference::net::{Config, Listen, Listeners, Pool, StartError, Transport};
use msrp_conference::wire::msrp::{Decoder, Event, FailureReport, Flag};

use admission::{admission, peer_uri};

const LOBBY: &str = "sip:lobby@example.com";
/// Longer than anything takes on a loaded machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    pool: Pool,
    notices: Receiver<Notice>,
    log: Receiver<Line>,
    address: SocketAddr,
}

impl Rig {
    fn start(threads: usize) -> Self {
        let listeners = Listeners::bind(&[loopback()]).expect("a free port");
        Self::serve(listeners, threads)
    }

    fn serve(listeners: Listeners, threads: usize) -> Self {
        let config = Config {
            threads,
            ..Config::default()
        };
        let (notices, received) = unbounded();
        let (log, lines) = unbounded();
        let pool = Pool::serve(config, listeners, notices, log, Arc::new(|| ()));
        let pool = pool.expect("the pool starts");
        let address = pool.addresses()[0];
        Self {
            pool,
            notices: received,
            log: lines,
            address,
        }
    }

    fn admit(&self, room: &str, name: &str) {
        let own_uri = format!("msrp://{}/{name};tcp", self.address);
        let admission = admission(own_uri, room, name);
        self.pool.order(Order::Admit(Box::new(admission)));
        let notice = self.notice();
        assert!(matches!(notice, Notice::Admitted { .. }), "{notice:?}");
    }

    /// Admits a participant to whom the switch connects.
    fn dial(&self, name: &str, address: SocketAddr) {
        let mut facts = admission(format!("msrp://{}/{name};tcp", self.address), LOBBY, name);
        facts.setup = Setup::Active;
        facts.peer.dial = Some(Dial {
            host: address.ip().to_string(),
            port: address.port(),
            secure: false,
            name: address.ip().to_string(),
            source: Some(address.ip()),
        });
        self.pool.order(Order::Admit(Box::new(facts)));
        let notice = self.notice();
        assert!(matches!(notice, Notice::Admitted { .. }), "{notice:?}");
    }

    /// The next notice, except for message counts, which may come at any time.
    fn notice(&self) -> Notice {
        loop {
            let notice = self.notices.recv_timeout(PATIENCE).expect("a notice");
            if !matches!(notice, Notice::Counted { .. }) {
                return notice;
            }
        }
    }

    /// Admits and binds over a connection of its own.
    fn join(&self, room: &str, name: &str) -> Client {
        self.admit(room, name);
        let mut client = Client::connect(self.address);
        client.bind(name);
        let notice = self.notice();
        assert!(matches!(notice, Notice::Bound { .. }), "{notice:?}");
        client
    }
}

fn loopback() -> Listen {
    Listen {
        transport: Transport::Tcp,
        address: "127.0.0.1:0".parse().unwrap(),
    }
}

/// A received copy of a message.
#[derive(Debug, Default)]
struct Copy {
    to: String,
    body: Vec<u8>,
}

impl Copy {
    fn text(&self) -> &str {
        let body = std::str::from_utf8(&self.body).expect("UTF-8");
        body.split("\r\n\r\n").nth(2).expect("a CPIM message")
    }

    /// The first word.
    fn mark(&self) -> String {
        self.text().split(' ').next().unwrap_or_default().to_owned()
    }
}

/// One connection of a client that answers requests that need an answer.
struct Client {
    stream: TcpStream,
    address: SocketAddr,
    unread: Vec<u8>,
    decoder: Decoder,
    codes: Vec<u16>,
    copies: std::collections::VecDeque<Copy>,
    /// Incomplete copies, by Message-ID.
    begun: HashMap<String, Copy>,
    current: String,
    /// Writes on the connection where more is written than the peer may read at once.
    writer: Option<Sender<Vec<u8>>>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            address,
            unread: Vec::new(),
            decoder: Decoder::new(),
            codes: Vec::new(),
            copies: Default::default(),
            begun: HashMap::new(),
            current: String::new(),
            writer: None,
        }
    }

    fn write(&mut self, octets: &[u8]) {
        match &self.writer {
            Some(writer) => writer.send(octets.to_vec()).expect("the switch reads"),
            None => self.stream.write_all(octets).expect("the switch reads"),
        }
    }

    /// Reads while a thread writes its output.
    fn writing<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        let (sender, octets) = unbounded::<Vec<u8>>();
        let mut stream = self.stream.try_clone().expect("clone");
        let write = move || octets.iter().try_for_each(|some| stream.write_all(&some));
        let thread = thread::spawn(write);
        self.writer = Some(sender);
        let done = body(self);
        self.writer = None;
        thread.join().unwrap().expect("the switch reads");
        done
    }

    fn head(&self, name: &str, tid: &str) -> String {
        let (to, from) = (
            format!("msrp://{}/{name};tcp", self.address),
            peer_uri(name),
        );
        format!("MSRP {tid} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: m{tid}\r\n")
    }

    /// Sends the bodiless SEND and waits for its answer.
    fn bind(&mut self, name: &str) {
        assert_eq!(self.try_bind(name), 200);
    }

    fn try_bind(&mut self, name: &str) -> u16 {
        let head = self.head(name, "bind1234");
        self.write(format!("{head}Byte-Range: 1-0/0\r\n-------bind1234$\r\n").as_bytes());
        self.code()
    }

    fn say(&mut self, name: &str, room: &str, tid: &str, text: &str) {
        let octets = self.said(name, room, tid, text);
        self.write(octets.as_bytes());
    }

    fn said(&self, name: &str, room: &str, tid: &str, text: &str) -> String {
        let body = format!(
            "From: <sip:{name}@example.com>\r\nTo: <{room}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}"
        );
        let (head, length) = (self.head(name, tid), body.len());
        format!(
            "{head}Byte-Range: 1-{length}/{length}\r\nContent-Type: message/cpim\r\n\r\n{body}\r\n-------{tid}$\r\n"
        )
    }

    /// The next response's code.
    fn code(&mut self) -> u16 {
        while self.codes.is_empty() {
            assert!(self.read(), "closed instead of answered");
        }
        self.codes.remove(0)
    }

    /// The next copy.
    fn copy(&mut self) -> Copy {
        loop {
            if let Some(copy) = self.copies.pop_front() {
                return copy;
            }
            assert!(self.read(), "closed instead of delivered");
        }
    }

    /// Reads until the other side has closed.
    fn closed(&mut self) {
        while self.read() {}
    }

    /// Reads once; `false` at the end of the stream.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing came: {error}"),
        };
        self.unread.extend_from_slice(&buffer[..count]);
        let mut answers = String::new();
        let mut used = 0;
        while let Some(decoded) = self.decoder.decode(&self.unread[used..]).expect("MSRP") {
            used += decoded.used;
            match decoded.event {
                Event::Message {
                    request,
                    body,
                    flag,
                } => {
                    let (to, from) = (request.to_path.as_str(), request.from_path.as_str());
                    if request.failure_report == FailureReport::Yes {
                        let tid = request.transaction;
                        answers += &format!(
                            "MSRP {tid} 200 OK\r\nTo-Path: {from}\r\nFrom-Path: {to}\r\n-------{tid}$\r\n"
                        );
                    }
                    self.current = request.message_id.unwrap_or_default().to_owned();
                    let copy = self.begun.entry(self.current.clone()).or_default();
                    to.clone_into(&mut copy.to);
                    copy.body.extend_from_slice(body.unwrap_or_default());
                    if flag == Flag::Last {
                        self.copies.extend(self.begun.remove(&self.current));
                    }
                }
                Event::Response(response) => self.codes.push(response.code),
                // A large copy in pieces; a probe is small.
                Event::Begin(request) => {
                    self.current = request.message_id.unwrap_or_default().to_owned();
                    let copy = self.begun.entry(self.current.clone()).or_default();
                    request.to_path.as_str().clone_into(&mut copy.to);
                }
                Event::Body(octets) => {
                    let copy = self.begun.entry(self.current.clone()).or_default();
                    copy.body.extend_from_slice(octets);
                }
                Event::End(Flag::Last) => self.copies.extend(self.begun.remove(&self.current)),
                Event::End(Flag::More) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        self.unread.drain(..used);
        self.write(answers.as_bytes());
        count > 0
    }
}

#[test]
fn a_room_of_100_loses_nothing_and_doubles_nothing() {
    const MEMBERS: usize = 100;
    const EACH: usize = 10;
    let rig = Rig::start(2);
    let names: Vec<String> = (0..MEMBERS).map(|number| format!("user{number}")).collect();
    let clients: Vec<Client> = names.iter().map(|name| rig.join(LOBBY, name)).collect();
    let together = Arc::new(Barrier::new(MEMBERS));
    let threads: Vec<_> = clients
        .into_iter()
        .zip(names)
        .map(|(client, name)| {
            let together = Arc::clone(&together);
            thread::spawn(move || {
                together.wait();
                talk(client, &name, EACH, (MEMBERS - 1) * EACH)
            })
        })
        .collect();
    let mut deliveries = 0;
    for thread in threads {
        let heard = thread.join().expect("a client that got everything");
        assert_eq!(heard.len(), MEMBERS - 1, "no self-echo, nobody missing");
        for (sender, numbers) in heard {
            assert_eq!(
                numbers,
                (0..EACH).collect::<Vec<_>>(),
                "{sender}: order, none twice"
            );
            deliveries += numbers.len();
        }
    }
    assert_eq!(deliveries, 99_000);
    rig.pool.stop();
}

/// Sends `each` messages of 200 octets, receives `expected` copies: numbers by sender.
fn talk(
    mut client: Client,
    name: &str,
    each: usize,
    expected: usize,
) -> HashMap<String, Vec<usize>> {
    for number in 0..each {
        let text = format!("{name} {number} {}", "x".repeat(180));
        client.say(name, LOBBY, &format!("tid{number:05}"), &text);
    }
    let mut heard: HashMap<String, Vec<usize>> = HashMap::new();
    for _ in 0..expected {
        let copy = client.copy();
        let mut words = copy.text().split(' ');
        let sender = words.next().expect("a sender").to_owned();
        let number = words.next().and_then(|word| word.parse().ok());
        heard
            .entry(sender)
            .or_default()
            .push(number.expect("a number"));
    }
    for _ in 0..each {
        assert_eq!(client.code(), 200);
    }
    assert!(client.copies.is_empty(), "nothing more");
    heard
}

#[test]
fn c64_one_connection_carries_sessions_of_rooms_on_several_threads() {
    const ROOMS: usize = 8;
    let rig = Rig::start(3);
    let room = |number: usize| format!("sip:room{number}@example.com");
    let mut shared = Client::connect(rig.address);
    let mut single: Vec<Client> = Vec::new();
    for number in 0..ROOMS {
        single.push(rig.join(&room(number), &format!("single{number}")));
        let name = format!("shared{number}");
        rig.admit(&room(number), &name);
        shared.bind(&name);
        assert!(matches!(rig.notice(), Notice::Bound { .. }));
    }
    for (number, client) in single.iter_mut().enumerate() {
        let text = format!("to shared {number}");
        client.say(&format!("single{number}"), &room(number), "tid12345", &text);
        assert_eq!(client.code(), 200);
        let copy = shared.copy();
        assert_eq!(copy.text(), text);
        assert_eq!(copy.to, peer_uri(&format!("shared{number}")));
        // Less than half an outbox: nobody reads it before the answer.
        let text = format!("to single {number} {}", "y".repeat(500_000));
        shared.say(&format!("shared{number}"), &room(number), "tid12346", &text);
        assert_eq!(shared.code(), 200);
        assert_eq!(client.copy().text(), text);
    }
    // C62: bound to the shared connection, wherever their rooms live.
    let mut thief = Client::connect(rig.address);
    for number in 0..ROOMS {
        assert_eq!(thief.try_bind(&format!("shared{number}")), 506);
    }
    // C63: its loss loses them all.
    drop(shared);
    let mut lost: Vec<String> = (0..ROOMS)
        .map(|_| match rig.notice() {
            Notice::Lost {
                session,
                cause: LossCause::Disconnected,
                ..
            } => session.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    lost.sort();
    let expected: Vec<String> = (0..ROOMS).map(|number| format!("shared{number}")).collect();
    assert_eq!(lost, expected);
}

#[test]
fn c64_a_shared_connection_closes_with_its_last_session() {
    let rig = Rig::start(4);
    let mut client = Client::connect(rig.address);
    let names = ["one", "two", "three", "four", "five"];
    let room = |name: &str| format!("sip:{name}@example.com");
    for name in names {
        rig.admit(&room(name), name);
        client.bind(name);
        rig.notice();
    }
    for (left, name) in names.iter().enumerate().rev() {
        rig.pool.order(Order::Expel {
            room: RoomUri::new(room(name)),
            session: SessionId::new(*name),
        });
        if left > 0 {
            assert_eq!(client.try_bind(names[0]), 200, "it lives on");
        }
    }
    client.closed();
}

#[test]
fn a_large_message_arrives_whole() {
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    let mut bob = rig.join(LOBBY, "bob");
    let reader = thread::spawn(move || bob.copy().text().len());
    alice.say("alice", LOBBY, "tid12345", &"z".repeat(5 << 20));
    assert_eq!(alice.code(), 200);
    assert_eq!(reader.join().unwrap(), 5 << 20);
}

#[test]
fn one_stalled_receiver_leaves_the_others_alone() {
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    let mut bob = rig.join(LOBBY, "bob");
    let mut stalled = rig.join(LOBBY, "stalled");
    // More than the outbox and the socket buffers of the stalled receiver hold.
    const ROUNDS: usize = 2_000;
    let text = "w".repeat(20_000);
    for round in 0..ROUNDS {
        alice.say("alice", LOBBY, &format!("tid{round:05}"), &text);
        assert_eq!(alice.code(), 200);
        assert_eq!(bob.copy().text(), text);
    }
    assert!(rig.pool.totals().drops_slow_reader > 0);
    // The data it then reads consists of whole messages.
    let mut read = 0;
    alice.say("alice", LOBBY, "tidlast1", "last");
    while stalled.copy().text() != "last" {
        read += 1;
    }
    assert!(read > 0 && read < ROUNDS);
}

#[test]
fn a_first_request_in_pieces_and_garbage() {
    let rig = Rig::start(2);
    rig.admit(LOBBY, "alice");
    let mut slow = Client::connect(rig.address);
    let text = format!(
        "{}Byte-Range: 1-0/0\r\n-------bind1234$\r\n",
        slow.head("alice", "bind1234")
    );
    for octet in text.as_bytes() {
        slow.write(&[*octet]);
    }
    assert_eq!(slow.code(), 200);
    let mut garbage = Client::connect(rig.address);
    garbage.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    garbage.closed();
    let mut unknown = Client::connect(rig.address);
    assert_eq!(unknown.try_bind("nobody"), 481);
    assert_eq!(slow.try_bind("alice"), 200, "everybody else is unaffected");
}

#[test]
fn a_start_line_that_cannot_be_read_stands_in_the_log() {
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    let head = alice.head("alice", "tid12345");
    let broken = head.replacen("MSRP tid12345 SEND", "MSRP tid12345 x SEND", 1);
    alice.write(format!("{broken}-------tid12345$\r\n").as_bytes());
    assert_eq!(alice.code(), 400);
    alice.closed();
    let lines = std::iter::from_fn(|| rig.log.recv_timeout(PATIENCE).ok());
    let said = "closed 1 connections on which what came could not be read as MSRP";
    assert!(lines.map(|line| line.text).any(|text| text == said));
}

#[test]
fn a_passive_peer_may_listen_after_its_answer() {
    let rig = Rig::start(1);
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr());
    let address = port.expect("a free port");
    let other = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    rig.dial("alice", address);
    // One thread dials both, in this order: when it reaches the second, the first has refused.
    rig.dial("bob", other.local_addr().expect("its address"));
    other.accept().expect("the switch");
    let listener = TcpListener::bind(address).expect("the same port");
    let (mut stream, _) = listener.accept().expect("the switch");
    let mut octets = [0; 512];
    let count = stream.read(&mut octets).expect("its SEND");
    let text = String::from_utf8_lossy(&octets[..count]);
    assert!(
        text.starts_with("MSRP ") && text.contains(" SEND\r\n"),
        "{text}"
    );
}

#[test]
fn expel_closes_the_connection_after_what_is_queued() {
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    let mut bob = rig.join(LOBBY, "bob");
    alice.say("alice", LOBBY, "tid12345", "bye");
    assert_eq!(alice.code(), 200);
    rig.pool.order(Order::Expel {
        room: RoomUri::new(LOBBY),
        session: SessionId::new("bob"),
    });
    bob.closed();
    assert_eq!(bob.copy().text(), "bye");
}

/// As between the proxy's `init` and its conference process.
#[test]
fn who_connects_before_the_listeners_are_served_is_served_then() {
    let listeners = Listeners::bind(&[loopback()]).expect("a free port");
    let address = listeners.addresses().expect("bound")[0];
    let mut alice = Client::connect(address);
    let rig = Rig::serve(listeners, 1);
    assert_eq!(rig.address, address);
    rig.admit(LOBBY, "alice");
    alice.bind("alice");
    assert!(matches!(rig.notice(), Notice::Bound { .. }));
}

#[test]
fn addresses_in_use_are_named_and_free_again_after_stop() {
    let rig = Rig::start(1);
    let taken = Listen {
        address: rig.address,
        ..loopback()
    };
    let error = Listeners::bind(std::slice::from_ref(&taken)).expect_err("in use");
    assert!(matches!(error, StartError::Bind { address, .. } if address == rig.address));
    assert!(error.to_string().contains(&rig.address.to_string()));
    let mut alice = rig.join(LOBBY, "alice");
    let totals = rig.pool.totals();
    assert_eq!(
        Totals {
            bytes_in: 0,
            bytes_out: 0,
            ..totals
        },
        Totals {
            sessions: 1,
            ..Totals::default()
        }
    );
    rig.pool.stop();
    alice.closed();
    Listeners::bind(&[taken]).expect("free again");
}

#[test]
fn strangers_keep_nobody_out_and_the_oldest_goes() {
    let rig = Rig::start(2);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = limit.current.unwrap_or(u64::MAX);
    // Per address, half of a quarter of the descriptors; both ends are ours here.
    let most = (limit / 4).min(4096) / 2;
    let mut first = TcpStream::connect(rig.address).unwrap();
    let line = "MSRP aaaaaaa1 SEND\r\nTo-Path: msrp://x:1/zz;tcp\r\n";
    let strangers: Vec<_> = (0..most)
        .map(|number| {
            let mut stream = TcpStream::connect(rig.address).expect("it listens");
            if number % 2 == 0 {
                stream.write_all(line.as_bytes()).expect("it reads");
            }
            stream
        })
        .collect();
    first.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(first.read(&mut [0; 1]), Ok(0) | Err(_)), "closed");
    let started = Instant::now();
    let mut alice = rig.join(LOBBY, "alice");
    assert!(started.elapsed() < Duration::from_secs(5));
    let last = strangers.last().unwrap();
    last.set_nonblocking(true).unwrap();
    let error = (&*last).read(&mut [0; 1]).expect_err("nothing was sent");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "it may stay");
    // A member does not count among them, however many come.
    let more: Vec<_> = (0..most + 100)
        .map(|_| TcpStream::connect(rig.address))
        .collect();
    assert_eq!(alice.try_bind("alice"), 200);
    drop(more);
}

#[test]
fn a_connection_that_names_no_session_is_answered_and_closed() {
    let rig = Rig::start(2);
    let mut unknown = Client::connect(rig.address);
    assert_eq!(unknown.try_bind("nobody"), 481);
    unknown.closed();
}

#[test]
fn who_shuts_down_his_side_still_gets_the_answer() {
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    alice.say("alice", LOBBY, "tid12345", "bye");
    alice.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(alice.code(), 200);
    alice.closed();
}

#[test]
fn who_reads_no_answers_is_not_read_for_ever() {
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    let mut bob = rig.join(LOBBY, "bob");
    let head = alice.head("alice", "k0000001");
    let request = format!("{head}Byte-Range: 1-0/0\r\n-------k0000001$\r\n");
    let requests = request.repeat(1000);
    alice.stream.set_nonblocking(true).unwrap();
    let mut written = 0;
    let mut idle = 0;
    // Until it accepts nothing more for a while: the sockets' buffers, and little besides.
    while idle < 50 {
        match alice.stream.write(requests.as_bytes()) {
            Ok(count) => (written, idle) = (written + count, 0),
            Err(_) => {
                idle += 1;
                assert_eq!(bob.try_bind("bob"), 200, "nobody else waits");
            }
        }
        assert!(written < 64 << 20, "it is read on and on");
    }
    assert!(rig.pool.totals().bytes_in < 16 << 20);
}

/// A room that this thread, of `threads`, owns.
fn room_on(thread: u64, threads: u64) -> String {
    let rooms = (0..).map(|number| format!("sip:room{number}@example.com"));
    let owner = |room: &String| {
        let mut hasher = DefaultHasher::new();
        RoomUri::new(room.as_str()).hash(&mut hasher);
        hasher.finish() % threads
    };
    rooms
        .into_iter()
        .find(|room| owner(room) == thread)
        .expect("one of them")
}

/// Relays, each with a session in a room of its own beside the one in a common room: the number of
/// threads, and the threads of those rooms.
struct Relays {
    threads: usize,
    room: String,
    home: fn(usize) -> String,
}

impl Relays {
    const SENDERS: usize = 16;
    const BURSTS: usize = 2;
    /// Messages of each sender in a burst.
    const MESSAGES: usize = 280;
    const BURST_OCTETS: usize = 2_800_000;

    /// Every message reaches everybody once and in one order, though all send more at a time than
    /// any buffer holds.
    fn lose_nothing(&self) {
        let rig = Rig::start(self.threads);
        let together = Arc::new(Barrier::new(Self::SENDERS));
        let clients: Vec<_> = (0..Self::SENDERS).map(|it| self.relay(&rig, it)).collect();
        let mut reader = rig.join(&self.room, "reader");
        let threads: Vec<_> = (0..)
            .zip(clients)
            .map(|(number, mut client)| {
                let (together, room) = (Arc::clone(&together), self.room.clone());
                thread::spawn(move || {
                    let burst = |burst| {
                        together.wait();
                        Self::burst(&mut client, &room, number, burst)
                    };
                    (0..Self::BURSTS).flat_map(burst).collect::<Vec<_>>()
                })
            })
            .collect();
        let all = Self::SENDERS * Self::BURSTS * Self::MESSAGES;
        let all: Vec<String> = (0..all).map(|_| reader.copy().mark()).collect();
        let different: HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "none twice, none missing");
        for (number, thread) in threads.into_iter().enumerate() {
            let heard = thread.join().expect("somebody who got everything");
            let own = format!("{number}.");
            let others = all.iter().filter(|it| !it.starts_with(&own));
            assert!(heard.iter().eq(others), "{number}: another order");
        }
        assert_eq!(rig.pool.totals().drops_slow_reader, 0);
    }

    fn relay(&self, rig: &Rig, number: usize) -> Client {
        let mut client = rig.join(&(self.home)(number), &format!("home{number}"));
        let name = format!("user{number}");
        rig.admit(&self.room, &name);
        client.bind(&name);
        rig.notice();
        client
    }

    /// Sends everything at once, and receives the messages of the others.
    fn burst(client: &mut Client, room: &str, number: usize, burst: usize) -> Vec<String> {
        let (name, text) = (format!("user{number}"), "x".repeat(400));
        let said = |turn| {
            let text = format!("{number}.{burst}.{turn} {text}");
            client.said(&name, room, &format!("t{burst}x{turn:06}"), &text)
        };
        let octets: String = (0..Self::MESSAGES).map(said).collect();
        assert!(octets.len() * Self::SENDERS >= Self::BURST_OCTETS);
        let others = (Self::SENDERS - 1) * Self::MESSAGES;
        client.writing(|client| {
            client.write(octets.as_bytes());
            (0..others).map(|_| client.copy().mark()).collect()
        })
    }
}

#[test]
fn c64_bursts_over_connections_shared_by_eight_threads_reach_everybody() {
    let relays = Relays {
        threads: 8,
        room: LOBBY.into(),
        home: |number| format!("sip:home{number}@example.com"),
    };
    relays.lose_nothing();
}

#[test]
fn c64_bursts_over_connections_that_live_on_one_thread_reach_a_room_on_another() {
    let relays = Relays {
        threads: 2,
        room: room_on(0, 2),
        home: |_| room_on(1, 2),
    };
    relays.lose_nothing();
}

/// A gateway that reads nothing for a while, with a session in a room on each thread: it gets a
/// report of every message it does not receive.
#[test]
fn g52_a_shared_connection_loses_nothing_without_a_word() {
    const THREADS: u64 = 8;
    const EACH: usize = 30;
    // Thirty of them are more than an outbox.
    let text = "y".repeat(60_000);
    let rig = Rig::start(THREADS as usize);
    let mut gateway = Client::connect(rig.address);
    let rooms: Vec<_> = (0..THREADS)
        .map(|thread| room_on(thread, THREADS))
        .collect();
    let speakers: Vec<_> = (0..)
        .zip(&rooms)
        .map(|(number, room)| {
            let name = format!("gateway{number}");
            rig.admit(room, &name);
            gateway.bind(&name);
            rig.notice();
            rig.join(room, &format!("speaker{number}"))
        })
        .collect();
    thread::scope(|scope| {
        for (number, (mut speaker, room)) in speakers.into_iter().zip(&rooms).enumerate() {
            let (name, text) = (format!("speaker{number}"), &text);
            scope.spawn(move || {
                for turn in 0..=EACH {
                    let text = if turn == EACH { "last" } else { text };
                    speaker.say(&name, room, &format!("tid{turn:05}"), text);
                    assert_eq!(speaker.code(), 200);
                }
            });
        }
    });
    let (mut heard, mut told, mut ended) = (0, 0, 0);
    while ended < rooms.len() {
        let copy = gateway.copy();
        match copy.text() {
            "last" => ended += 1,
            text if *text == *"y".repeat(60_000) => heard += 1,
            notice => {
                assert!(notice.contains("not delivered"), "{notice}");
                told += copy.mark().parse::<usize>().expect("how many");
            }
        }
    }
    assert_eq!(
        heard + told,
        rooms.len() * EACH,
        "{heard} heard, {told} told of"
    );
    assert!(heard > 0);
}

/// The switch stops reading an upload while a receiver accepts nothing. If the session ends then,
/// its connection, which lives on another thread, remains available to the others on it.
#[test]
fn c64_a_session_that_ends_while_its_upload_waits_leaves_the_connection_to_the_others() {
    const OCTETS: usize = 9 << 20;
    let rig = Rig::start(2);
    let (room, home) = (room_on(0, 2), room_on(1, 2));
    let mut shared = rig.join(&home, "home");
    rig.admit(&room, "upload");
    shared.bind("upload");
    rig.notice();
    let stalled = rig.join(&room, "stalled");
    let octets = shared.said("upload", &room, "tidlarge", &"z".repeat(OCTETS));
    let mut left = octets.as_bytes();
    let waits = Some(Duration::from_millis(300));
    shared.stream.set_write_timeout(waits).unwrap();
    while let Ok(count) = shared.stream.write(left) {
        left = &left[count..];
        assert!(!left.is_empty(), "nobody waited for");
    }
    shared.stream.set_write_timeout(None).unwrap();
    let started = Instant::now();
    rig.pool.order(Order::Expel {
        room: RoomUri::new(room),
        session: SessionId::new("upload"),
    });
    shared.write(left);
    assert_eq!(shared.code(), 481);
    assert_eq!(shared.try_bind("home"), 200);
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(stalled);
}
