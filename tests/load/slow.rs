//! Slow members stay, and vanished members do not. All of it takes its time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockFilter, SockRef, Socket, Type};

use super::harness::agent::{Agent, Transport};
use super::harness::alone;
use super::harness::msrp::{Frame, Link};
use super::harness::participant::{Participant, client_path, cpim, invite};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};

const UPLOAD: Duration = Duration::from_secs(45);
const MESSAGES: usize = 40;
const OCTETS: usize = 8 * 1024;

/// A connection with a limited rate, in octets a second. Both ends of its near side are ours.
fn slow_line(proxy: &Proxy, up: usize, down: usize) -> Link {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (inner, _) = listener.accept().expect("accept");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(8 * 1024).expect("small");
    socket.set_send_buffer_size(8 * 1024).expect("small");
    socket.connect(&proxy.msrp.into()).expect("connect");
    let outer = TcpStream::from(socket);
    for (from, to, pace) in [(&inner, &outer, up), (&outer, &inner, down)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || carry(from, to, pace));
    }
    Link::over(near)
}

/// Copies octets, a twentieth of a second at a time.
fn carry(mut from: TcpStream, mut to: TcpStream, pace: usize) {
    let (_never, clock) = mpsc::channel::<()>();
    let mut octets = vec![0; (pace / 20).max(1)];
    while let Ok(count @ 1..) = from.read(&mut octets) {
        if to.write_all(&octets[..count]).is_err() {
            break;
        }
        let waits = Duration::from_secs_f64(count as f64 / pace as f64);
        assert_eq!(clock.recv_timeout(waits), Err(RecvTimeoutError::Timeout));
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Joins with this connection.
fn enter(proxy: &Proxy, user: &str, room: &str, connect: impl FnOnce() -> Link) -> Participant {
    let agent = Agent::new(user, proxy.sip, Transport::Udp);
    let (room, own_path) = (proxy.room(room), client_path());
    let draft = invite(&agent, &room, &own_path);
    Participant::enter(agent, room, &draft, own_path, connect)
}

/// The next CPIM body of this user; chunks in between are collected.
fn words_of(user: &str, listener: &Participant, between: &mut Vec<u8>) -> Vec<u8> {
    let begin = format!("From: <sip:{user}@");
    loop {
        let frame = listener.link.inbox.take(UPLOAD * 2, |frame| {
            frame.kind == "SEND" && frame.body.is_some()
        });
        let body = frame.and_then(|frame| frame.body);
        let body = body.unwrap_or_else(|| panic!("{} hears nothing", listener.agent.user));
        match body.starts_with(begin.as_bytes()) {
            true => return body,
            false => between.extend(body),
        }
    }
}

#[test]
#[ignore = "takes a minute"]
fn a_long_upload_and_a_slow_reader_stay_and_lose_nothing() {
    const FAST: usize = 100 << 20;
    const UP: usize = 10 * 1024;
    const DOWN: usize = 8 * 1024;
    alone(|host| {
        let proxy = Plan::new(host).start();
        let direct = || Link::connect(proxy.msrp);
        let uploads = enter(&proxy, "uploads", "hall", || slow_line(&proxy, UP, FAST));
        let alice = enter(&proxy, "alice", "hall", direct);
        let bob = enter(&proxy, "bob", "hall", direct);
        let reads = enter(&proxy, "reads", "porch", || slow_line(&proxy, FAST, DOWN));
        let carol = enter(&proxy, "carol", "porch", direct);
        let large = uploads.words(&"u".repeat(UP * UPLOAD.as_secs() as usize));
        let upload = uploads.frame(&large);
        let started = Instant::now();
        uploads.link.send(&upload);
        // The messages for the slow reader are sent at once; those beside the upload, one a second.
        let text = "m".repeat(OCTETS);
        let read: Vec<_> = (0..MESSAGES)
            .map(|number| carol.say(&format!("{number} {text}")))
            .collect();
        let mut heard = Vec::new();
        for number in 0..MESSAGES {
            let due = started + Duration::from_secs(number as u64 + 2);
            wait_until(due.saturating_duration_since(Instant::now()), || false);
            let said = alice.say(&number.to_string());
            assert!(words_of("alice", &bob, &mut heard) == said);
            assert!(words_of("alice", &uploads, &mut Vec::new()) == said);
        }
        let answer = uploads.link.response(&upload, UPLOAD * 2);
        assert_eq!(answer.expect("an answer").kind, "200");
        let uploaded = started.elapsed();
        let end = alice.say("end");
        assert!(words_of("alice", &bob, &mut heard) == end);
        assert!(heard == large, "{} of {} octets", heard.len(), large.len());
        for body in &read {
            assert!(words_of("carol", &reads, &mut Vec::new()) == *body);
        }
        let all_read = started.elapsed();
        eprintln!(
            "{}: uploaded in {uploaded:?}, read in {all_read:?}",
            proxy.host.name
        );
        let left = ["losses", "drops_slow_reader", "participants"].map(|it| proxy.statistic(it));
        assert_eq!(left, [0, 0, 5]);
        proxy.stop();
    });
}

/// Drops everything that arrives from now on without a notice to the sender, as if the machine were
/// gone.
fn vanish(stream: &TcpStream) {
    let drop_all = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
    let socket = SockRef::from(stream);
    socket.attach_filter(&[drop_all]).expect("a filter");
}

/// Time until a vanished participant is noticed, with or without messages to them.
fn found_after(proxy: &Proxy, speaks: bool) -> Duration {
    let alice = enter(proxy, "alice", "hall", || Link::connect(proxy.msrp));
    let mut line = None;
    let bob = enter(proxy, "bob", "hall", || {
        let stream = TcpStream::connect(proxy.msrp).expect("connect");
        line = stream.try_clone().ok();
        Link::over(stream)
    });
    vanish(&line.expect("a connection"));
    let started = Instant::now();
    if speaks {
        let body = cpim(&alice.agent.address(), &alice.room, "are you there?");
        assert_eq!(alice.link.exchange(&alice.frame(&body)).kind, "200");
    }
    let limit = Duration::from_secs(130);
    // Alice sends keep-alives all the while.
    let found = wait_until(limit, || {
        let keep_alive = Frame::request("SEND", &alice.room_path, &alice.own_path)
            .header("Message-ID", "alive")
            .header("Byte-Range", "1-0/0");
        assert_eq!(alice.link.exchange(&keep_alive).kind, "200");
        proxy.statistic("losses") == 1
    });
    assert!(found, "{}", proxy.log());
    drop(bob);
    started.elapsed()
}

#[test]
#[ignore = "takes two minutes"]
fn who_is_gone_without_a_word_is_found_when_somebody_speaks() {
    alone(|host| {
        let proxy = Plan::new(host).start();
        let took = found_after(&proxy, true);
        eprintln!("{}: found after {took:?}", proxy.host.name);
        assert!(took <= Duration::from_secs(120), "{took:?}");
        proxy.stop();
    });
}

#[test]
fn who_is_gone_without_a_word_is_found_within_idle_timeout() {
    const IDLE: Duration = Duration::from_secs(4);
    alone(|host| {
        let plan = Plan::new(host).parameter("idle_timeout", IDLE.as_secs());
        let proxy = plan.start();
        let took = found_after(&proxy, false);
        // A busy machine takes its time.
        assert!(took < IDLE * 2, "{took:?}");
        proxy.stop();
    });
}
