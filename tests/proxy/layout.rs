//! The module compares its declarations of the host's memory with the host's own values before it
//! relies on them. A module with a wrong figure does not start, or answers 503, and names the
//! place.

use std::fs;
use std::path::PathBuf;

use crate::harness::agent::{Agent, Transport};
use crate::harness::host::{Family, Host};
use crate::harness::on_every_host;
use crate::harness::plan::{Plan, free_port, module, root};

/// A row of `series.rs`: its releases, and its figures by name.
struct Row {
    releases: Vec<u32>,
    figures: Vec<(String, u64)>,
}

/// The rows of a family, from the source.
fn rows(family: Family) -> Vec<Row> {
    let file = format!("src/host/{}/series.rs", family.as_str());
    let text = fs::read_to_string(root().join(file)).expect("series.rs");
    let (_, table) = text.split_once("static SERIES").expect("the table");
    let (table, _) = table.split_once("\n];").expect("its end");
    let rows = table.split("Series {").skip(1).map(|row| {
        let lines: Vec<_> = row
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let numbers = lines
            .iter()
            .filter(|(_, value)| value.starts_with("Release"));
        let releases = numbers.flat_map(|(_, value)| {
            let inside = value
                .trim_start_matches("Release::new(")
                .trim_end_matches("),");
            let parts = inside
                .split(", ")
                .map(|part| part.parse().expect("a number"));
            parts.collect::<Vec<u32>>()
        });
        let figures = lines
            .iter()
            .filter(|(_, value)| !value.starts_with("Release"));
        let figures = figures.map(|(name, value)| {
            let value = value.trim_end_matches(',').parse().expect("a figure");
            (name.trim().to_owned(), value)
        });
        Row {
            releases: releases.collect(),
            figures: figures.collect(),
        }
    });
    rows.collect()
}

/// Position of `wanted` in `octets`.
fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets.windows(wanted.len()).position(|part| part == wanted)
}

/// The module with one figure higher in every row: by eight, or, for a process' pipe, to the next
/// but one, since the next is the same under another name.
fn with_wrong_figure(host: &Host, name: &str) -> PathBuf {
    let mut octets = fs::read(module()).expect("the module");
    for row in rows(host.family) {
        let releases: Vec<u8> = row
            .releases
            .iter()
            .flat_map(|it| it.to_ne_bytes())
            .collect();
        let figures: Vec<u8> = row
            .figures
            .iter()
            .flat_map(|(_, it)| it.to_ne_bytes())
            .collect();
        // The compiler puts the larger fields first.
        let place = find(&octets, &[figures.clone(), releases].concat());
        let number = row.figures.iter().position(|(known, _)| known == name);
        let number = number.unwrap_or_else(|| panic!("no figure {name}"));
        let place = place.expect("the row in the module") + number * size_of::<u64>();
        let more = if name == "process_pipe" { 16 } else { 8 };
        let wrong = row.figures[number].1 + more;
        octets[place..place + size_of::<u64>()].copy_from_slice(&wrong.to_ne_bytes());
    }
    let file = format!("wrong-{}.so", crate::harness::agent::unique());
    let file = std::env::current_exe()
        .expect("own path")
        .with_file_name(file);
    fs::write(&file, octets).expect("written");
    file
}

/// Whether the log reports a wrong layout at this place.
fn says(log: &str, place: &str) -> bool {
    let line = |line: &&str| line.contains("not laid out as in the releases that were measured");
    log.lines().filter(line).any(|line| line.contains(place))
}

#[test]
fn a_wrong_figure_stops_the_start_and_is_named() {
    const FIGURES: [(&str, &str); 10] = [
        ("message_reception", "the reception of a message"),
        ("message_buffer", "the buffer of a message"),
        ("message_length", "the length of a message"),
        ("message_new_uri", "the Request-URI of a message"),
        ("process_size", "the table of processes"),
        ("process_pipe", "the pipe of a process"),
        ("management_size", "management commands"),
        ("management_recipes", "the recipes of management commands"),
        (
            "management_recipe_size",
            "the recipes of management commands",
        ),
        ("management_aliases", "management commands"),
    ];
    on_every_host(|host| {
        if host.family != Family::OpenSips {
            return;
        }
        for (name, place) in FIGURES {
            let file = with_wrong_figure(host, name);
            let (_, log) = Plan::new(host).module(&file).start_and_end();
            fs::remove_file(file).expect("removed");
            assert!(says(&log, place), "{name}:\n{log}");
        }
    });
}

#[test]
fn a_wrong_figure_that_shows_with_a_request_is_named_and_everything_answered_503() {
    const OPENSIPS: [(&str, &str); 4] = [
        ("socket_address", "socket"),
        ("socket_port", "socket"),
        ("socket_advertised_name", "socket"),
        ("socket_advertised_port", "socket"),
    ];
    const KAMAILIO: [(&str, &str); 1] = [("transaction_request", "the request of a transaction")];
    on_every_host(|host| {
        let figures = match host.family {
            Family::OpenSips => &OPENSIPS[..],
            Family::Kamailio => &KAMAILIO[..],
        };
        for (name, place) in figures {
            let file = with_wrong_figure(host, name);
            let mut plan = Plan::new(host).module(&file);
            let mut port = None;
            if host.family == Family::OpenSips {
                // Only such a socket has values in the last two places.
                let advertising = free_port();
                plan = plan.settings(&format!(
                    "socket=udp:127.0.0.1:{advertising} as 127.0.0.1:{advertising}\n"
                ));
                port = Some(advertising);
            }
            let proxy = plan.start();
            let mut sip = proxy.sip;
            sip.set_port(port.unwrap_or(sip.port()));
            let alice = Agent::new("alice", sip, Transport::Udp);
            for method in ["OPTIONS", "INVITE", "SUBSCRIBE"] {
                let answer = alice.exchange(&alice.draft(method, &proxy.room("lobby")));
                assert_eq!(answer.code, 503, "{name}: {method}\n{}", proxy.log());
            }
            assert!(says(&proxy.log(), place), "{name}:\n{}", proxy.log());
            proxy.stop();
            fs::remove_file(file).expect("removed");
        }
    });
}

#[test]
fn a_host_that_is_laid_out_as_measured_is_not_complained_of() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let log = proxy.log();
        let ours = log.lines().filter(|line| line.contains("msrp_conference"));
        // The example trusts the From header, and gets a warning.
        let ours = ours.filter(|line| !line.contains("parameter identity"));
        let alarms: Vec<_> = ours
            .filter(|line| line.contains("WARNING") || line.contains("ERROR"))
            .collect();
        assert!(alarms.is_empty(), "{alarms:?}");
        proxy.stop();
    });
}

/// A sandbox that forbids the system call that reads the layout.
#[test]
fn a_sandbox_without_process_vm_readv_stops_the_start_by_name() {
    on_every_host(|host| {
        let log = Plan::new(host)
            .forbid(libc::SYS_process_vm_readv)
            .start_refused();
        let said = log.lines().find(|line| line.contains("process_vm_readv"));
        let said = said.unwrap_or_else(|| panic!("not a word:\n{log}"));
        assert!(
            said.contains("Operation not permitted") && said.contains("Allow it"),
            "{said}"
        );
    });
}
