//! Large messages through the switch pool over real connections on loopback.

#[path = "harness/admission.rs"]
#[allow(unreachable_pub)]
mod admission;
#[path = "harness/large.rs"]
#[allow(unreachable_pub)]
mod large;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use socket2::{Domain, Socket, Type};

use msrp_conference::control::{Notice, Order};
use msrp_conference::net::{Config, Listen, Pool, Transport};

use large::{Reader, Sum};

const LOBBY: &str = "sip:lobby@example.com";
const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    pool: Pool,
    notices: Receiver<Notice>,
    address: SocketAddr,
}

impl Rig {
    fn start(threads: usize) -> Self {
        let config = Config {
            listen: vec![Listen {
                transport: Transport::Tcp,
                address: "127.0.0.1:0".parse().unwrap(),
            }],
            threads,
            ..Config::default()
        };
        let (notices, received) = unbounded();
        let pool = Pool::start(config, notices, unbounded().0, Arc::new(|| ())).expect("a pool");
        let address = pool.addresses()[0];
        Self {
            pool,
            notices: received,
            address,
        }
    }

    fn admit(&self, room: &str, name: &str) {
        let own_uri = format!("msrp://{}/{name};tcp", self.address);
        let mut admission = admission::admission(own_uri, room, name);
        admission.policy.max_message_size = 1 << 30;
        self.pool.order(Order::Admit(Box::new(admission)));
        loop {
            match self.notices.recv_timeout(PATIENCE).expect("a notice") {
                Notice::Admitted { .. } => break,
                Notice::Bound { .. } | Notice::Counted { .. } => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn join(&self, room: &str, name: &str) -> Client {
        self.admit(room, name);
        let mut client = Client::connect(self.address);
        client.bind(name);
        client
    }
}

/// A participant that keeps only sums of messages.
struct Client {
    reader: Reader,
    address: SocketAddr,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("a connection"), address)
    }

    /// Connects with a small receive buffer.
    fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.connect(&address.into()).expect("a connection");
        Self::over(socket.into(), address)
    }

    fn over(stream: TcpStream, address: SocketAddr) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            reader: Reader::new(stream),
            address,
        }
    }

    fn head(&self, name: &str, tid: &str, id: &str, range: &str) -> String {
        format!(
            "MSRP {tid} SEND\r\nTo-Path: msrp://{}/{name};tcp\r\nFrom-Path: msrp://127.0.0.1:9/{name}-peer;tcp\r\nMessage-ID: {id}\r\nByte-Range: {range}\r\n",
            self.address
        )
    }

    fn bind(&mut self, name: &str) {
        let head = self.head(name, "bind1234", "bind1234", "1-0/0");
        self.write(format!("{head}-------bind1234$\r\n").as_bytes());
        assert_eq!(self.reader.code(), 200);
    }

    fn write(&mut self, octets: &[u8]) {
        self.reader.write(octets);
    }

    fn say(&mut self, name: &str, tid: &str, text: &str) {
        let body = cpim(name, LOBBY) + text;
        let head = self.head(name, tid, tid, &format!("1-{0}/{0}", body.len()));
        let octets = format!("{head}Content-Type: message/cpim\r\n\r\n{body}\r\n-------{tid}$\r\n");
        self.write(octets.as_bytes());
    }

    /// Sends `octets` in chunks of `chunk`; returns the sum that a receiver must find.
    fn say_large(&mut self, name: &str, room: &str, octets: usize, chunk: usize) -> Sum {
        self.say_large_held(name, room, octets, chunk, &|| ())
    }

    /// The same; calls `hold` before the last piece.
    fn say_large_held(
        &mut self,
        name: &str,
        room: &str,
        octets: usize,
        chunk: usize,
        hold: &dyn Fn(),
    ) -> Sum {
        let front = cpim(name, room).into_bytes();
        let total = octets + front.len();
        let (mut sent, mut left) = (0, total);
        let mut sum = Sum::default();
        let mut number = 0;
        while sent < total {
            let size = chunk.min(total - sent);
            let mut part = if sent == 0 { front.clone() } else { Vec::new() };
            part.extend((part.len()..size).map(|at| (at * 31 + number) as u8));
            sum.add(&part);
            let flag = if sent + size == total { '$' } else { '+' };
            let tid = format!("large{number:06}");
            let head = self.head(name, &tid, "large", &format!("{}-*/{total}", sent + 1));
            self.write(
                format!("{head}Failure-Report: no\r\nContent-Type: message/cpim\r\n\r\n")
                    .as_bytes(),
            );
            for piece in part.chunks(1 << 16) {
                left -= piece.len();
                if left == 0 {
                    hold();
                }
                self.write(piece);
            }
            self.write(format!("\r\n-------{tid}{flag}\r\n").as_bytes());
            sent += size;
            number += 1;
        }
        sum
    }

    /// Octets of bodies received.
    fn octets(&self) -> u64 {
        let messages = self.reader.messages.iter();
        messages.map(|message| message.sum.octets).sum()
    }
}

fn cpim(name: &str, room: &str) -> String {
    format!(
        "From: <sip:{name}@example.com>\r\nTo: <{room}>\r\n\r\nContent-Type: text/plain\r\n\r\n"
    )
}

/// Runs one test at a time: memory is measured.
static ALONE: Mutex<()> = Mutex::new(());

/// Peak memory of this process so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn g26_200_megabytes_go_through_a_room_of_10_in_flat_memory() {
    const OCTETS: usize = 200 << 20;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    let receivers: Vec<_> = (0..9)
        .map(|number| {
            let mut client = rig.join(LOBBY, &format!("user{number}"));
            thread::spawn(move || {
                client.reader.until(|it| it.has_whole(OCTETS));
                client.reader
            })
        })
        .collect();
    // Resets the peak.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak();
    let sent = alice.say_large("alice", LOBBY, OCTETS, 1 << 20);
    for receiver in receivers {
        let messages = receiver.join().unwrap().messages;
        assert_eq!(messages[0].sum, sent);
        assert_eq!(messages[0].chunks, 1, "one SEND while nothing else waits");
    }
    let grown = peak().saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB more");
    rig.pool.stop();
}

#[test]
fn c21_small_messages_pass_a_large_one_at_once() {
    const OCTETS: usize = 50 << 20;
    const SMALL: usize = 20;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    let mut carol = rig.join(LOBBY, "carol");
    let mut bob = rig.join(LOBBY, "bob");
    // A receiver that does not read is disconnected, and bob and carol must lose nothing.
    let mut stream = carol.reader.stream();
    let drain = thread::spawn(move || {
        let mut octets = vec![0; 1 << 16];
        while matches!(stream.read(&mut octets), Ok(1..)) {}
    });
    // However slow this machine is, the large message must not end before the small ones arrive.
    let (go, held) = unbounded::<()>();
    let hold = move || {
        let _ = held.recv();
    };
    // Closing with unread data would cut off the last message sent.
    let sender = thread::spawn(move || {
        let sent = alice.say_large_held("alice", LOBBY, OCTETS, OCTETS, &hold);
        (sent, alice)
    });
    bob.reader.until(|it| !it.messages.is_empty());
    let mut worst = Duration::ZERO;
    for number in 1..=SMALL {
        let said = Instant::now();
        carol.say("carol", &format!("quick{number:03}"), "now");
        bob.reader.until(|it| it.small() == number);
        worst = worst.max(said.elapsed());
        let under_way = !bob.reader.messages[0].whole;
        assert!(under_way, "the large one is still under way");
    }
    drop(go);
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    bob.reader.until(|it| it.has_whole(OCTETS));
    let (sent, _alice) = sender.join().unwrap();
    assert_eq!(bob.reader.messages[0].sum, sent);
    let carol = carol.reader.stream();
    carol.shutdown(std::net::Shutdown::Both).unwrap();
    drain.join().unwrap();
    rig.pool.stop();
}

/// Octets that may be between a receiver and the last data written to it: its own receive buffer,
/// as small as the system allows, and data that the switch has handed over but that is not sent
/// yet. The send buffer of a waiting connection grows to megabytes.
const IN_FRONT: u64 = 128 * 1024;

#[test]
fn c21_a_response_overtakes_a_large_message_also_in_the_send_buffer() {
    const OCTETS: usize = 50 << 20;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rig = Rig::start(1);
    let mut alice = rig.join(LOBBY, "alice");
    rig.admit(LOBBY, "bob");
    let mut bob = Client::connect_narrow(rig.address);
    bob.bind("bob");
    let sender = thread::spawn(move || alice.say_large("alice", LOBBY, OCTETS, OCTETS));
    let mut in_front = Vec::new();
    for round in 1..=5 {
        while bob.octets() <= round * (5 << 20) {
            bob.reader.read();
        }
        // Everything between the two fills up meanwhile; the time for that does not matter.
        thread::sleep(Duration::from_millis(200));
        let before = bob.octets();
        let tid = format!("asks{round:04}");
        let head = bob.head("bob", &tid, &tid, "1-0/0");
        bob.write(format!("{head}-------{tid}$\r\n").as_bytes());
        assert_eq!(bob.reader.code(), 200);
        in_front.push(bob.octets() - before);
    }
    assert!(
        in_front.iter().all(|octets| *octets < IN_FRONT),
        "{in_front:?}"
    );
    bob.reader.until(|it| it.has_whole(OCTETS));
    assert_eq!(bob.reader.messages[0].sum, sender.join().unwrap());
    rig.pool.stop();
}

#[test]
fn r06_a_large_message_over_a_connection_shared_by_threads() {
    const OCTETS: usize = 8 << 20;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rig = Rig::start(4);
    let rooms: Vec<String> = (0..6)
        .map(|number| format!("sip:room{number}@example.com"))
        .collect();
    let names: Vec<String> = (0..6).map(|number| format!("listener{number}")).collect();
    let mut shared = Client::connect(rig.address);
    for (room, name) in rooms.iter().zip(&names) {
        rig.admit(room, name);
        shared.bind(name);
    }
    let reader = thread::spawn(move || {
        let large = |it: &&large::Message| it.whole && it.sum.octets > OCTETS as u64;
        let mut shared = shared.reader;
        shared.until(|it| it.messages.iter().filter(large).count() == 6);
        shared
    });
    let talkers: Vec<_> = rooms
        .iter()
        .enumerate()
        .map(|(number, room)| {
            let name = format!("talker{number}");
            let mut client = rig.join(room, &name);
            let room = room.clone();
            thread::spawn(move || client.say_large(&name, &room, OCTETS, 300_000))
        })
        .collect();
    let sent = talkers.into_iter().map(|it| it.join().unwrap());
    let mut sent: Vec<Sum> = sent.collect();
    let shared = reader.join().unwrap();
    let got = shared.messages.iter().map(|it| it.sum);
    let mut got: Vec<Sum> = got.filter(|it| it.octets > OCTETS as u64).collect();
    sent.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, sent);
    rig.pool.stop();
}
