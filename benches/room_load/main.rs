//! Cost of a delivery: the real switch over loopback beside a floor, a minimal epoll fan-out that
//! does only the unavoidable MSRP work, in the same run. `make bench`.
//!
//! CPU time of the server process, pinned to one core, with the driver on another. Absolute values
//! depend on the machine; the ratios count.

#[path = "../shared/arrival.rs"]
mod arrival;
mod crowd;
mod driver;
mod floor;
mod idle;
mod quiet;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use msrp_conference::control::{
    Admission, Notice, Order, Peer, RoomPolicy, RoomUri, SessionId, Setup, UserUri,
};
use msrp_conference::net::{Config, Listen, Pool, Transport};
use msrp_conference::switch;

/// One workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) rooms: usize,
    pub(crate) members: usize,
    /// Octets of the wrapped text.
    pub(crate) octets: usize,
    /// Messages in flight per room.
    pub(crate) window: usize,
    /// Messages per room.
    pub(crate) messages: usize,
}

const CASES: &[Case] = &[
    case(1, 10, 200, 1, 8_000),
    case(1, 100, 200, 1, 1_200),
    case(100, 10, 200, 1, 120),
    case(1, 1000, 200, 1, 120),
    case(1, 10, 200, 64, 60_000),
    case(1, 100, 200, 64, 12_000),
    case(1, 1000, 200, 64, 1_000),
    case(1, 100, 2_000, 32, 6_000),
    case(1, 100, 64_000, 4, 300),
    case(10, 2, 200, 16, 10_000),
    case(100, 2, 200, 1, 600),
];

const fn case(rooms: usize, members: usize, octets: usize, window: usize, messages: usize) -> Case {
    Case {
        rooms,
        members,
        octets,
        window,
        messages,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--serve", "switch", rooms, members, threads] => {
            serve_switch(
                Transport::Tcp,
                number(rooms),
                number(members),
                number(threads),
            );
        }
        ["--serve", "web", rooms, members, threads] => {
            serve_switch(
                Transport::Ws,
                number(rooms),
                number(members),
                number(threads),
            );
        }
        ["--serve", "focus"] => idle::serve_focus(),
        ["--serve", "floor", rooms, members, _] => floor::serve(number(rooms), number(members)),
        ["--drive", which] => {
            let rounds = which.parse().unwrap_or(3);
            run(rounds);
            web(rounds);
            quiet::run();
            idle::run();
            crowd::run();
        }
        ["--web", rounds] => web(number(rounds)),
        ["--quiet"] => quiet::run(),
        ["--idle"] => idle::run(),
        ["--crowd"] => crowd::run(),
        // `cargo test --all-targets` runs this without the argument.
        _ if words.contains(&"--bench") => {
            let rounds = std::env::var("ROUNDS").unwrap_or_else(|_| "3".into());
            let status = pinned("1", &["--drive", &rounds]).status();
            assert!(status.expect("the driver runs").success());
        }
        _ => println!("run by `cargo bench --bench room_load`"),
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// This program, pinned to one core.
fn pinned(core: &str, arguments: &[&str]) -> Command {
    let own = std::env::current_exe().expect("this program");
    let mut command = Command::new("sh");
    // Room for 20,000 connections, where that is allowed.
    let script = "ulimit -n 50000 2>/dev/null; exec taskset -c \"$0\" \"$@\"";
    command.args(["-c", script, core]).arg(own).args(arguments);
    command
}

fn run(rounds: usize) {
    println!("µs of server CPU a delivery, median of {rounds}; ratio to the floor");
    println!(
        "{:>6} {:>8} {:>7} {:>4} {:>9} {:>9} {:>7} {:>12}",
        "rooms", "members", "octets", "W", "floor", "switch", "ratio", "deliveries/s"
    );
    let only = std::env::var("CASE").ok().map(|text| number(&text));
    for (index, case) in CASES.iter().enumerate() {
        if only.is_some_and(|only| only != index) {
            continue;
        }
        let mut floor = Vec::new();
        let mut switch = Vec::new();
        let mut rate = 0.0;
        for _ in 0..rounds {
            floor.push(measure("floor", case).0);
            let (cost, per_second) = measure("switch", case);
            switch.push(cost);
            rate = f64::max(rate, per_second);
        }
        let (floor, switch) = (median(floor), median(switch));
        println!(
            "{:>6} {:>8} {:>7} {:>4} {floor:>9.3} {switch:>9.3} {:>7.2} {rate:>12.0}",
            case.rooms,
            case.members,
            case.octets,
            case.window,
            switch / floor,
        );
    }
}

/// Cost that WebSocket adds to a delivery.
fn web(rounds: usize) {
    println!("\nµs of server CPU a delivery over WebSocket, median of {rounds}; ratio to TCP");
    for case in CASES {
        let pairs = (0..rounds).map(|_| (measure("switch", case).0, measure("web", case).0));
        let (tcp, web): (Vec<_>, Vec<_>) = pairs.unzip();
        let (tcp, web) = (median(tcp), median(web));
        println!(
            "{:>6} {:>8} {:>7} {:>4} {tcp:>9.3} {web:>9.3} {:>7.2}",
            case.rooms,
            case.members,
            case.octets,
            case.window,
            web / tcp,
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server process and its address.
struct Server {
    process: Child,
    address: SocketAddr,
    output: Option<ChildStdout>,
}

impl Server {
    fn start(kind: &str, case: &Case) -> Self {
        Self::start_with(kind, case, 1)
    }

    fn start_with(kind: &str, case: &Case, threads: usize) -> Self {
        let numbers = [case.rooms, case.members, threads].map(|it| it.to_string());
        let [rooms, members, threads] = &numbers;
        let mut process = pinned("0", &["--serve", kind, rooms, members, threads])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        output.read_line(&mut line).expect("its address");
        let address = line.trim().parse().expect("an address");
        Self {
            process,
            address,
            output: Some(output.into_inner()),
        }
    }

    /// Nanoseconds of CPU of all its threads.
    fn cpu(&self) -> u64 {
        let process = self.process.id();
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("a running server");
        tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    fn pss(&self) -> u64 {
        pss(self.process.id())
    }
}

/// Memory of a process in KiB, without its code and whatever else it maps from files.
fn pss(process: u32) -> u64 {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Pss_Anon:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// µs of CPU per delivery, and deliveries per second.
fn measure(kind: &str, case: &Case) -> (f64, f64) {
    let server = Server::start(kind, case);
    let empty = server.pss();
    let mut driver = driver::Driver::connect_over(server.address, case, kind == "web");
    if std::env::var_os("MEMORY").is_some() {
        let each = (server.pss() - empty) as f64 / (case.rooms * case.members) as f64;
        eprintln!("{kind}: {each:.2} KiB a connection");
    }
    // Warms caches and buffers on both sides.
    driver.run(case, case.messages.div_ceil(10));
    let (cpu, started) = (server.cpu(), std::time::Instant::now());
    driver.run(case, case.messages);
    let spent = started.elapsed();
    let cpu = server.cpu() - cpu;
    let deliveries = (case.rooms * case.messages * (case.members - 1)) as f64;
    (
        cpu as f64 / 1000.0 / deliveries,
        deliveries / spent.as_secs_f64(),
    )
}

pub(crate) fn session(room: usize, member: usize) -> String {
    format!("r{room}m{member}-abcdefghijklmnop")
}

pub(crate) fn room_uri(room: usize) -> String {
    format!("sip:room{room}@example.com")
}

fn serve_switch(transport: Transport, rooms: usize, members: usize, threads: usize) {
    let (notices, received) = crossbeam_channel::unbounded();
    let (log, _lines) = crossbeam_channel::unbounded();
    let config = Config {
        listen: vec![Listen {
            transport,
            address: "127.0.0.1:0".parse().expect("an address"),
        }],
        switch: switch::Config {
            outbox_bytes: 16 << 20,
            ..switch::Config::default()
        },
        threads,
        ..Config::default()
    };
    let pool = Pool::start(config, notices, log, Arc::new(|| ())).expect("a pool");
    let address = pool.addresses()[0];
    for room in 0..rooms {
        for member in 0..members {
            let admission = admission(address, room, member);
            pool.order(Order::Admit(Box::new(admission)));
            received.recv().expect("an answer");
        }
    }
    println!("{address}");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        act(&pool, &received, &line, members);
        println!("{line}");
    }
    std::thread::sleep(Duration::from_secs(3600));
}

/// Carries out one action on room 0.
fn act(pool: &Pool, notices: &crossbeam_channel::Receiver<Notice>, what: &str, members: usize) {
    let room = RoomUri::new(room_uri(0));
    let left = match what {
        // Excludes leftovers of the members' joins from the action.
        "settle" => {
            notices.try_iter().for_each(drop);
            return;
        }
        "join" => {
            let admission = admission(pool.addresses()[0], 0, members);
            pool.order(Order::Admit(Box::new(admission)));
            let admitted = |notice: &Notice| matches!(notice, Notice::Admitted { .. });
            while !admitted(&notices.recv().expect("an answer")) {}
            return;
        }
        "leave" => {
            let session = SessionId::new(session(0, members / 2).as_str());
            pool.order(Order::Expel { room, session });
            members
        }
        _ => {
            pool.order(Order::Close { room });
            0
        }
    };
    while pool.totals().sessions > left as u64 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn admission(address: SocketAddr, room: usize, member: usize) -> Admission {
    let session = session(room, member);
    let user = UserUri::new(format!("sip:user{member}@example.com"));
    Admission {
        own_uri: format!("msrp://{address}/{session};tcp"),
        session: SessionId::new(session.as_str()),
        room: RoomUri::new(room_uri(room)),
        policy: RoomPolicy {
            nicknames: false,
            private_messages: false,
            max_message_size: 10 << 20,
            plain_text: false,
            history: 0,
            bind_timeout: Duration::from_secs(60),
        },
        user: user.clone(),
        display: String::new(),
        nickname: None,
        uris: vec![user],
        newcomer: true,
        setup: Setup::Passive,
        peer: Peer {
            path: vec![format!("msrp://127.0.0.1:9/{session}p;tcp")],
            accept_types: vec!["message/cpim".into()],
            accept_wrapped_types: vec!["*".into()],
            ..Peer::silent()
        },
    }
}
