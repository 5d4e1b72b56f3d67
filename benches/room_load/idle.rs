//! Memory of an idle participant: that of a process with the switch alone, and of one with focus
//! and switch, where every participant has a dialog, an MSRP session and a subscription.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ChildStdout, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::arrival::arrival;
use crossbeam_channel::{Receiver, unbounded};
use msrp_conference::control::{Notice, RoomUri, SwitchRun};
use msrp_conference::entropy::Seeded;
use msrp_conference::focus::{Config, Focus, Input, Output, RoomEntry, TransactionId};
use msrp_conference::net::{self, Listen, Pool, Transport};
use msrp_conference::parameters::Collected;
use msrp_conference::time::{Clock, Moment};

use super::{Case, Server, pinned, session};

const ROOMS: usize = 100;
const MEMBERS: usize = 100;
/// Time of the focus between two participants, and between the last one and the measurement: by
/// then the roster documents of the last ones are forgotten.
const APART: Duration = Duration::from_millis(10);
const SILENCE: Duration = Duration::from_secs(60);

pub(crate) fn run() {
    println!("\nmemory of an idle participant, KiB; {MEMBERS} in each of {ROOMS} rooms");
    print("switch alone", switch());
    print("switch and focus, with dialog and subscription", focus());
}

fn print(what: &str, kibibytes: u64) {
    let each = kibibytes as f64 / (ROOMS * MEMBERS) as f64;
    println!("{what:>50} {each:>8.2}");
}

fn case(rooms: usize, members: usize) -> Case {
    Case {
        rooms,
        members,
        octets: 200,
        window: 1,
        messages: 0,
    }
}

fn switch() -> u64 {
    let nobody = Server::start("switch", &case(1, 1)).pss();
    let mut server = Server::start("switch", &case(ROOMS, MEMBERS));
    let mut input = server.process.stdin.take().expect("its input");
    let address = server.address;
    let mut streams = Vec::new();
    for room in 0..ROOMS {
        for member in 0..MEMBERS {
            let name = session(room, member);
            streams.push(bind(address, &format!("msrp://{address}/{name};tcp")));
        }
        // Unread notices would be counted as memory of participants.
        input.write_all(b"settle\n").expect("it listens");
    }
    let after = server.pss();
    drop(streams);
    after - nobody
}

fn bind(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = format!(
        "MSRP bind1234 SEND\r\nTo-Path: {path}\r\nFrom-Path: msrp://192.0.2.7:2855/p;tcp\r\n\
         Message-ID: bind1234\r\nByte-Range: 1-0/0\r\n-------bind1234$\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a bind");
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).expect("an answer");
    assert!(answer[..count].starts_with(b"MSRP bind1234 200"));
    stream
}

/// The child prints its address, then one path per line, and gets the result after each line, so
/// that nothing else is in progress.
fn focus() -> u64 {
    let mut process = pinned("0", &["--serve", "focus"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a server");
    let mut input = process.stdin.take().expect("its input");
    let mut output = BufReader::new(process.stdout.take().expect("its output"));
    let address: SocketAddr = line(&mut output).parse().expect("an address");
    let pss = || super::pss(process.id());
    let before = pss();
    let mut streams = Vec::new();
    for _ in 0..ROOMS * MEMBERS {
        streams.push(bind(address, &line(&mut output)));
        input.write_all(b"\n").expect("it listens");
    }
    assert_eq!(line(&mut output), "all");
    let after = pss();
    let _ = process.kill();
    let _ = process.wait();
    after - before
}

fn line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    line.trim().to_owned()
}

/// Focus and switch.
struct Both {
    focus: Focus,
    pool: Pool,
    notices: Receiver<Notice>,
    /// The time of the focus, which need not be waited for.
    now: Moment,
    /// The path in the last answer.
    path: String,
}

pub(crate) fn serve_focus() {
    let (notices_in, notices) = unbounded();
    let (log, _lines) = unbounded();
    let config = net::Config {
        listen: vec![Listen {
            transport: Transport::Tcp,
            address: "127.0.0.1:0".parse().expect("an address"),
        }],
        ..net::Config::default()
    };
    let pool = Pool::start(config, notices_in, log, Arc::new(|| ())).expect("a pool");
    let address = pool.addresses()[0];
    let settings = Collected::default().settings().expect("defaults");
    let config = Config {
        rooms: (0..ROOMS)
            .map(|n| RoomEntry::new(RoomUri::new(room(n))))
            .collect(),
        ..settings.focus
    };
    let mut both = Both {
        focus: Focus::new(config, Box::new(Seeded(1))),
        pool,
        notices,
        now: Clock::start().now(),
        path: String::new(),
    };
    both.feed(Input::Notice(Notice::Connected {
        run: SwitchRun(5),
        listen: Vec::new(),
    }));
    println!("{address}");
    let mut lines = std::io::stdin().lines();
    for room in 0..ROOMS {
        for member in 0..MEMBERS {
            both.join(room, member);
            println!("{}", both.path);
            lines.next().expect("a line").expect("text");
            both.hear();
            both.pass(APART);
        }
    }
    both.pass(SILENCE);
    println!("all");
    thread::sleep(Duration::from_secs(3600));
}

fn room(number: usize) -> String {
    format!("sip:room{number}@conference.example.com")
}

impl Both {
    fn feed(&mut self, input: Input) {
        self.focus.handle(self.now, input);
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(output) = self.focus.poll() {
            match output {
                Output::Order(order) => self.pool.order(order),
                Output::Reply(id, reply) if reply.code == 200 => {
                    self.answered(&reply.body);
                    self.focus.handle(self.now, Input::Answered(id));
                }
                Output::Send(request) => {
                    let outcome = Input::Outcome {
                        reached: None,
                        request: request.id,
                        code: 200,
                        response: None,
                    };
                    self.focus.handle(self.now, outcome);
                }
                _ => {}
            }
        }
    }

    fn answered(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        let path = text.lines().find_map(|line| line.strip_prefix("a=path:"));
        if let Some(path) = path {
            path.clone_into(&mut self.path);
        }
    }

    /// INVITE until its 200, ACK, SUBSCRIBE.
    fn join(&mut self, number: usize, member: usize) {
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
             m=message 2855 TCP/MSRP *\r\na=path:msrp://192.0.2.7:2855/p{number}x{member};tcp\r\n\
             a=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\na=setup:active\r\n\
             a=chatroom:nickname private-messages\r\n"
        );
        let name = number * MEMBERS + member;
        self.request(
            number,
            member,
            "INVITE",
            name,
            "Content-Type: application/sdp\r\n",
            &body,
        );
        while !self.hear() {}
        self.request(number, member, "ACK", name, "", "");
        let subscribe = "Event: conference\r\nExpires: 3600\r\n";
        self.request(number, member, "SUBSCRIBE", name, subscribe, "");
        self.pass(Duration::ZERO);
    }

    /// Handles the switch's notices; true when it admitted somebody.
    fn hear(&mut self) -> bool {
        let wait = Duration::from_secs(20);
        let notice = self.notices.recv_timeout(wait).expect("a notice");
        let admitted = matches!(notice, Notice::Admitted { .. });
        self.feed(Input::Notice(notice));
        admitted
    }

    /// Lets time pass for the focus and handles what comes due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.focus.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Deadline);
        }
        self.now = end;
    }

    fn request(
        &mut self,
        number: usize,
        member: usize,
        method: &str,
        name: usize,
        headers: &str,
        body: &str,
    ) {
        let (room, user) = (room(number), format!("sip:user{member}@example.com"));
        let (to, call) = match method {
            "SUBSCRIBE" => (format!("<{room}>"), format!("s{name}")),
            "ACK" => (
                format!("<{room}>;tag={}", self.tag(name)),
                format!("i{name}"),
            ),
            _ => (format!("<{room}>"), format!("i{name}")),
        };
        let message = format!(
            "{method} {room} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{method}{name}\r\n\
             From: <{user}>;tag=t{name}\r\nTo: {to}\r\nCall-ID: {call}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:user{member}@192.0.2.7:5060>\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let transaction = (method != "ACK").then(|| transaction(method, name));
        let to_tag = (method != "ACK").then(|| self.tag(name));
        self.feed(arrival(message, room, user, transaction, to_tag));
    }

    fn tag(&self, name: usize) -> String {
        format!("hosttag{name}")
    }
}

fn transaction(method: &str, name: usize) -> TransactionId {
    TransactionId {
        hash: u32::from(method == "SUBSCRIBE"),
        label: u32::try_from(name).expect("few"),
    }
}
