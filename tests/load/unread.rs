//! A member that writes requests for ever and reads no answer.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::agent::{Agent, Transport, unique};
use super::harness::alone;
use super::harness::draft::Dialog;
use super::harness::msrp::Frame;
use super::harness::participant::{Participant, client_path, invite, path_of};
use super::harness::plan::Plan;
use super::harness::proxy::Proxy;
use super::peak;

const OCTETS: usize = 200 << 20;
const ROUNDS: usize = 1_000;

/// A connection without a reader, and the paths of its session.
struct Unread {
    stream: TcpStream,
    own_path: String,
    room_path: String,
}

impl Unread {
    fn join(proxy: &Proxy, room: &str) -> Self {
        let agent = Agent::new(&unique(), proxy.sip, Transport::Udp);
        let (room, own_path) = (proxy.room(room), client_path());
        let draft = invite(&agent, &room, &own_path);
        let answer = agent.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        agent.send(&Dialog::new(&draft, &answer).ack(&agent));
        let stream = TcpStream::connect(proxy.msrp).expect("connect to the MSRP port");
        let limit = Some(Duration::from_millis(100));
        stream.set_write_timeout(limit).expect("a time-out");
        Self {
            stream,
            own_path,
            room_path: path_of(&answer.body),
        }
    }

    /// Requests that need an answer: an empty SEND, one to no session, an invalid nickname.
    fn requests(&self) -> Vec<u8> {
        let other = self.room_path.replacen(";tcp", "x;tcp", 1);
        let empty = |to: &str| {
            Frame::request("SEND", to, &self.own_path)
                .header("Message-ID", unique())
                .header("Byte-Range", "1-0/0")
        };
        let nickname = Frame::request("NICKNAME", &self.room_path, &self.own_path)
            .header("Use-Nickname", "\"\u{7}\"");
        let frames = [empty(&self.room_path), empty(&other), nickname];
        frames.iter().flat_map(Frame::octets).collect()
    }

    /// Writes until everything is written or the test stops; returns the number of octets.
    fn write(mut self, stop: &AtomicBool) -> usize {
        let requests = self.requests().repeat(100);
        let mut written = 0;
        while written < OCTETS && !stop.load(Ordering::Relaxed) {
            let from = written % requests.len();
            written += self.stream.write(&requests[from..]).unwrap_or(0);
        }
        written
    }
}

/// Round trips from one to the other: median, 99th percentile, maximum.
fn round_trips(from: &Participant, to: &Participant) -> [Duration; 3] {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let body = from.words("hello");
            let frame = from.frame(&body).header("Failure-Report", "no");
            let said = Instant::now();
            from.link.send(&frame);
            to.hear();
            said.elapsed()
        })
        .collect();
    times.sort();
    [ROUNDS / 2, ROUNDS / 100 * 99, ROUNDS].map(|place| times[place - 1])
}

#[test]
#[ignore = "for a release build"]
fn who_reads_no_answers_costs_two_megabytes_and_nobody_any_time() {
    alone(|host| {
        let proxy = Plan::new(host).parameter("switch_threads", 1).start();
        let [alice, bob] =
            ["alice", "bob"].map(|user| Participant::join(&proxy, user, Transport::Udp, "hall"));
        let process = proxy.conference_process();
        let before = round_trips(&alice, &bob);
        peak(process);
        let memory = peak(process);
        for room in ["hall", "other"] {
            let unread = Unread::join(&proxy, room);
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = Arc::clone(&stop);
            let writes = thread::spawn(move || unread.write(&stopped));
            let times = round_trips(&alice, &bob);
            stop.store(true, Ordering::Relaxed);
            let written = writes.join().expect("the writer");
            let grown = peak(process).saturating_sub(memory);
            eprintln!(
                "{}: in {room}, {written} octets written; {grown} KiB more; {times:?} a message, \
                 {before:?} alone",
                proxy.host.name
            );
            assert!(grown <= 2 * 1024, "{grown} KiB");
            assert!(times[1] < Duration::from_millis(5), "{times:?}");
        }
        proxy.stop();
    });
}
