//! Effect of other rooms on a quiet room of two on the same thread: the round trip of a message
//! while somebody floods another room, while a member reads none of its answers, and beside
//! connections that never bind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Case, Server, driver, session};

/// Messages whose round trips are measured.
const ROUNDS: usize = 1_000;
/// The room of the two; the flood is in room 0.
const QUIET: usize = 1;
/// Connections that never bind.
const SILENT: usize = 4_000;

pub(crate) fn run() {
    println!("\nround trip in a quiet room of two on the same thread, µs");
    println!("{:>40} {:>8} {:>8} {:>8}", "beside", "p50", "p99", "most");
    measure("nobody", 2, |_, _| Vec::new());
    for members in [2, 50, 100, 500] {
        measure(
            &format!("a flood in a room of {members}"),
            members,
            |address, stop| flood(address, members, stop),
        );
    }
    measure("a member who reads no answers", 2, no_reader);
    measure(
        &format!("{SILENT} connections that bind nothing"),
        2,
        silent,
    );
}

type Load = Vec<JoinHandle<()>>;

fn measure(what: &str, members: usize, load: impl FnOnce(SocketAddr, &Arc<AtomicBool>) -> Load) {
    let case = Case {
        rooms: 2,
        members,
        octets: 200,
        window: 1,
        messages: 0,
    };
    let server = Server::start("switch", &case);
    let before = server.pss();
    let mut speaker = bind(server.address, QUIET, 0);
    let mut listener = bind(server.address, QUIET, 1);
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(server.address, &stop);
    thread::sleep(Duration::from_millis(500));
    let message = quietly(server.address, QUIET);
    let mut times: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            speaker.write_all(&message).expect("the switch reads");
            hear(&mut listener);
            let spent = started.elapsed().as_micros();
            thread::sleep(Duration::from_millis(2));
            spent
        })
        .collect();
    let after = server.pss();
    stop.store(true, Ordering::Relaxed);
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what:>40} {:>8} {:>8} {:>8}   {:+} KiB",
        at(0.5),
        at(0.99),
        at(1.0),
        after as i64 - before as i64
    );
    drop(server);
    for thread in load {
        let _ = thread.join();
    }
}

fn bind(address: SocketAddr, room: usize, member: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let name = session(room, member);
    stream.write_all(&empty(address, &name)).expect("a bind");
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).expect("an answer");
    assert!(answer[..count].starts_with(b"MSRP bind1234 200"));
    stream
}

fn empty(address: SocketAddr, name: &str) -> Vec<u8> {
    format!(
        "MSRP bind1234 SEND\r\nTo-Path: msrp://{address}/{name};tcp\r\nFrom-Path: msrp://127.0.0.1:9/{name}p;tcp\r\nMessage-ID: bind1234\r\nByte-Range: 1-0/0\r\n-------bind1234$\r\n"
    )
    .into_bytes()
}

/// A message that requests no answer.
fn quietly(address: SocketAddr, room: usize) -> Vec<u8> {
    let message = String::from_utf8(driver::message(address, room, 200)).expect("text");
    let quiet = "Failure-Report: no\r\nContent-Type: message/cpim";
    message
        .replacen("Content-Type: message/cpim", quiet, 1)
        .into_bytes()
}

/// Reads one copy to its end.
fn hear(stream: &mut TcpStream) {
    let (mut octets, mut buffer) = (Vec::new(), [0; 4096]);
    while !octets.ends_with(b"$\r\n") {
        let count = stream.read(&mut buffer).expect("a copy");
        assert!(count > 0, "closed");
        octets.extend_from_slice(&buffer[..count]);
    }
}

fn flood(address: SocketAddr, members: usize, stop: &Arc<AtomicBool>) -> Load {
    let mut readers: Vec<_> = (1..members)
        .map(|member| bind(address, 0, member))
        .collect();
    for reader in &readers {
        reader.set_nonblocking(true).expect("an option");
    }
    let (read, written) = (Arc::new(AtomicU64::new(0)), Arc::clone(stop));
    let stopped = Arc::clone(stop);
    let drain = thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        while !stopped.load(Ordering::Relaxed) {
            let mut some = false;
            for reader in &mut readers {
                if let Ok(count) = reader.read(&mut buffer) {
                    read.fetch_add(count as u64, Ordering::Relaxed);
                    some |= count > 0;
                }
            }
            if !some {
                thread::sleep(Duration::from_micros(200));
            }
        }
    });
    let mut speaker = bind(address, 0, 0);
    let block = quietly(address, 0).repeat(100);
    let write = thread::spawn(move || {
        while !written.load(Ordering::Relaxed) && speaker.write_all(&block).is_ok() {}
    });
    vec![drain, write]
}

/// A member that writes 200 MB of requests and reads no answer.
fn no_reader(address: SocketAddr, stop: &Arc<AtomicBool>) -> Load {
    let mut stream = bind(address, 0, 0);
    let block = empty(address, &session(0, 0)).repeat(400);
    let stop = Arc::clone(stop);
    vec![thread::spawn(move || {
        let mut written = 0;
        stream
            .set_write_timeout(Some(Duration::from_millis(100)))
            .expect("an option");
        while !stop.load(Ordering::Relaxed) && written < 200 << 20 {
            written += stream.write(&block).unwrap_or(0);
        }
    })]
}

fn silent(address: SocketAddr, stop: &Arc<AtomicBool>) -> Load {
    let stop = Arc::clone(stop);
    vec![thread::spawn(move || {
        let connect = |_| TcpStream::connect(address).ok();
        let all: Vec<_> = (0..SILENT).filter_map(connect).collect();
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        drop(all);
    })]
}
