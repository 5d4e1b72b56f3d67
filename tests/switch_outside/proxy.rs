//! Real proxies with the switch outside them.

use std::process::Command;

use crate::harness::agent::Transport;
use crate::harness::participant::Participant;
use crate::harness::plan::{Plan, free_port};
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, host, on_every_host};
use crate::program::Program;
use crate::stage::Folder;

fn plan(host: &host::Host, folder: &Folder, msrp: u16) -> Plan {
    Plan::new(host)
        .ports(free_port(), msrp)
        .parameter("switch", format!("unix:{}", folder.socket().display()))
}

fn start(plan: Plan) -> Proxy {
    let proxy = plan.start();
    drives(&proxy, 1);
    proxy
}

/// Waits until it has met a switch so many times.
fn drives(proxy: &Proxy, times: usize) {
    let met = || proxy.log().matches("drives the switch at").count() >= times;
    assert!(wait_until(PATIENCE, met), "{}", proxy.log());
}

fn join(proxy: &Proxy, user: &str) -> Participant {
    Participant::join(proxy, user, Transport::Udp, "lobby")
}

/// All its processes at once, as when the machine's operator has no patience.
fn kill_all(proxy: &Proxy) {
    let pids: Vec<String> = proxy.processes().iter().map(u32::to_string).collect();
    let kill = format!("kill -KILL {}", pids.join(" "));
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("sh")
            .success()
    );
    proxy.assert_gone();
}

#[test]
fn rooms_work_as_with_the_embedded_switch() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let proxy = start(plan(host, &folder, program.msrp.port()));
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby");
        let mut bob = join(&proxy, "bob");
        alice.sees(&["alice", "bob"]);
        let words = bob.say("hello");
        alice.hears(&words);
        assert!(wait_until(PATIENCE, || proxy.statistic("messages_out") == 1));
        bob.leave();
        alice.sees(&["alice"]);
        proxy.stop();
        program.logs("has gone (it stopped)");
    });
}

#[test]
fn flow4_connections_and_talk_live_through_crashes_of_the_proxy() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let plan = plan(host, &folder, program.msrp.port());
        let mut proxy = start(plan.clone());
        let old: Vec<_> = ["alice", "bob", "carol"]
            .map(|user| join(&proxy, user))
            .into();
        let [alice, bob, carol] = &old[..] else {
            unreachable!()
        };
        for round in 0..3 {
            kill_all(&proxy);
            let words = alice.say(&format!("nobody drives, round {round}"));
            bob.hears(&words);
            carol.hears(&words);
            proxy = start(plan.clone());
            let words = bob.say(&format!("back again, round {round}"));
            alice.hears(&words);
            carol.hears(&words);
        }
        // The main process alone: the conference process notices and lets go.
        proxy.signal(proxy.pid, "KILL");
        program.logs("has gone (it stopped)");
        let words = carol.say("still nobody");
        alice.hears(&words);
        bob.hears(&words);
    });
}

#[test]
fn without_its_switch_a_proxy_answers_503_and_says_so_and_recovers() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let port = program.msrp.port();
        let proxy = start(plan(host, &folder, port));
        let _alice = join(&proxy, "alice");
        drop(program);
        assert!(wait_until(PATIENCE, || proxy
            .log()
            .contains("lost the switch at")));
        let bob = crate::harness::agent::Agent::new("bob", proxy.sip, Transport::Udp);
        let path = crate::harness::participant::client_path();
        let draft = crate::harness::participant::invite(&bob, &proxy.room("lobby"), &path);
        let answer = bob.exchange(&draft);
        assert_eq!(
            (answer.code, answer.headers.first("Retry-After").is_some()),
            (503, true)
        );
        let _program = Program::start_at(&folder, port, &[]);
        drives(&proxy, 2);
        join(&proxy, "carol");
    });
}
