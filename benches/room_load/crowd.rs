//! Cost to the switch threads of a room of 20,000 members (or as many as descriptors allow): a
//! delivery beside one in a room of 1,000, one member's join and leave, and the room's end.

use std::io::{BufRead, BufReader, Write};

use super::{Case, Server, driver::Driver};

const MOST: usize = 20_000;

/// As many members as descriptors allow.
fn crowd() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(MOST, |limit| MOST.min(limit - limit / 20))
}

pub(crate) fn run() {
    let members = crowd();
    println!("\na room of {members}, W=1, 200 octets: µs of CPU of the switch threads");
    for threads in [1, 2] {
        let small = delivery(1_000, 60, threads);
        let large = delivery(members, 10, threads);
        println!(
            "{threads} thread(s): a delivery {large:.2}, in a room of 1,000 {small:.2}, ratio {:.2}",
            large / small
        );
        acts(members, threads);
    }
}

fn case(members: usize, messages: usize) -> Case {
    Case {
        rooms: 1,
        members,
        octets: 200,
        window: 1,
        messages,
    }
}

fn delivery(members: usize, messages: usize, threads: usize) -> f64 {
    let case = case(members, messages);
    let server = Server::start_with("switch", &case, threads);
    let mut driver = Driver::connect(server.address, &case);
    driver.run(&case, messages.div_ceil(10));
    let before = server.cpu();
    driver.run(&case, messages);
    (server.cpu() - before) as f64 / 1e3 / (messages * (members - 1)) as f64
}

/// Join, leave, and end of the whole room.
fn acts(members: usize, threads: usize) {
    let case = case(members, 0);
    let mut server = Server::start_with("switch", &case, threads);
    let driver = Driver::connect(server.address, &case);
    let mut input = server.process.stdin.take().expect("its input");
    let mut output = BufReader::new(server.output.take().expect("its output"));
    let mut act = |what: &str| {
        let before = server.cpu();
        writeln!(input, "{what}").expect("it listens");
        let mut line = String::new();
        output.read_line(&mut line).expect("an answer");
        assert_eq!(line.trim(), what);
        (server.cpu() - before) as f64 / 1e3
    };
    act("settle");
    for what in ["join", "leave", "end"] {
        println!("{what:>8} {:>10.0}", act(what));
    }
    drop(driver);
}
