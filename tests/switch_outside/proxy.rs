//! Real proxies with the switch outside them.

use std::fs;
use std::time::{Duration, Instant};

use msrp_conference::wire::sip::Message;

use crate::harness::agent::{Agent, Transport};
use crate::harness::participant::{Participant, client_path, invite};
use crate::harness::plan::{Plan, free_port, root};
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, host, on_every_host};
use crate::program::Program;
use crate::stage::Folder;

pub(crate) fn plan(host: &host::Host, folder: &Folder, msrp: u16) -> Plan {
    Plan::new(host)
        .ports(free_port(), msrp)
        .parameter("switch", format!("unix:{}", folder.socket().display()))
}

/// With a database, and short timers.
fn quick(host: &host::Host, folder: &Folder, program: &Program) -> Plan {
    plan(host, folder, program.msrp.port())
        .state_in(folder.path())
        .parameter("notify_interval_ms", 100)
        .parameter("rejoin_grace", 1)
}

pub(crate) fn start(plan: Plan) -> Proxy {
    let proxy = plan.start();
    drives(&proxy, 1);
    proxy
}

/// Waits until it has connected to a switch this many times.
pub(crate) fn drives(proxy: &Proxy, times: usize) {
    let met = || proxy.log().matches("drives the switch at").count() >= times;
    assert!(wait_until(PATIENCE, met), "{}", proxy.log());
}

fn join(proxy: &Proxy, user: &str) -> Participant {
    Participant::join(proxy, user, Transport::Udp, "lobby")
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
            proxy.kill_all();
            let words = alice.say(&format!("nobody drives, round {round}"));
            bob.hears(&words);
            carol.hears(&words);
            proxy = start(plan.clone());
            let words = bob.say(&format!("back again, round {round}"));
            alice.hears(&words);
            carol.hears(&words);
        }
        // Kills only the main process: the conference process notices, and disconnects.
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

/// An answer cannot leave over TCP any more when the host stops; waiting for it would make the host
/// kill the process before its last commit.
#[test]
fn a_stop_does_not_wait_for_answers_over_connections_that_are_gone() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let proxy = start(quick(host, &folder, &program));
        program.signal("STOP");
        let callers: Vec<_> = (0..12)
            .map(|n| {
                let caller = Agent::new(&format!("u{n}"), proxy.sip, Transport::Tcp);
                let room = proxy.room(&format!("room{n}"));
                caller.send(&invite(&caller, &room, &client_path()));
                caller
            })
            .collect();
        let waiting = || proxy.statistic("conferences") == 12;
        assert!(wait_until(PATIENCE, waiting), "{}", proxy.log());
        let started = Instant::now();
        proxy.signal(proxy.pid, "TERM");
        let status = proxy.exit(PATIENCE).expect("it does not end");
        let took = started.elapsed();
        assert!(status.success(), "{status} after {took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        proxy.assert_gone();
        proxy.assert_quiet_log();
        drop(callers);
        program.signal("CONT");
    });
}

/// Ten talk through five crashes of the proxy, on the same connections; one is lost meanwhile.
#[test]
fn flow4_rosters_and_dialogs_live_through_crashes_too() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let plan = quick(host, &folder, &program);
        let mut proxy = start(plan.clone());
        let names: Vec<String> = (0..10).map(|n| format!("user{n}")).collect();
        let mut all: Vec<Participant> = names.iter().map(|user| join(&proxy, user)).collect();
        let mut watcher = Participant::join_and_subscribe(&proxy, "eve", Transport::Udp, "lobby");
        for round in 0..5 {
            proxy.kill_all();
            let mut gone = None;
            if round == 2 {
                gone = all.pop();
                gone.as_ref().expect("ten").link.close();
            }
            let words = all[round].say(&format!("nobody drives, round {round}"));
            watcher.hears(&words);
            proxy = start(plan.clone());
            watcher.subscription.as_mut().expect("hers").roster.crashes += 1;
            let mut truth: Vec<&str> = all.iter().map(|one| one.agent.user.as_str()).collect();
            truth.push("eve");
            next_document(&mut watcher);
            watcher.sees(&truth);
            if let Some(gone) = gone {
                assert!(gone.agent.request("BYE", PATIENCE).is_some());
            }
            let words = watcher.say(&format!("back again, round {round}"));
            for one in &all {
                hears_at_last(one, &words);
            }
        }
        // Dialogs go on: everybody can still leave.
        for one in &mut all {
            one.leave();
        }
        watcher.sees(&["eve"]);
        proxy.stop();
    });
}

/// As in an upgrade: SIGTERM, and a new proxy.
#[test]
fn flow4_a_stop_in_order_ends_nobody() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let plan = quick(host, &folder, &program);
        let proxy = start(plan.clone());
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby");
        let mut bob = join(&proxy, "bob");
        let carol = join(&proxy, "carol");
        alice.sees(&["alice", "bob", "carol"]);
        let before = version(&alice);
        proxy.stop();
        let words = alice.say("nobody drives");
        bob.hears(&words);
        carol.hears(&words);
        let words = bob.say("nor now");
        alice.hears(&words);
        carol.link.close();
        let proxy = start(plan);
        // No count is lost, unlike in a crash.
        next_document(&mut alice);
        assert_eq!(version(&alice), before + 1);
        alice.sees(&["alice", "bob"]);
        assert!(carol.agent.request("BYE", PATIENCE).is_some());
        let judge = Participant::join_and_subscribe(&proxy, "judge", Transport::Udp, "lobby");
        let roster = &judge.subscription.as_ref().expect("his").roster;
        assert_eq!(roster.connected().len(), 3, "{:?}", roster.connected());
        let words = alice.say("who are you?");
        bob.hears(&words);
        judge.hears(&words);
        for one in [&alice, &bob] {
            assert_eq!(asked(one, &["BYE", "INVITE"]), 0, "{}", one.agent.user);
        }
        // Dialogs go on.
        bob.leave();
        alice.sees(&["alice", "judge"]);
        alice.leave();
        proxy.stop();
    });
}

/// Nobody would know their dialogs afterwards.
#[test]
fn without_a_database_a_stop_in_order_ends_everybody() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let plan = plan(host, &folder, program.msrp.port()).parameter("db_path", "");
        let proxy = start(plan.clone());
        let all = ["alice", "bob"].map(|user| join(&proxy, user));
        proxy.stop();
        for one in &all {
            assert!(one.agent.request("BYE", PATIENCE).is_some());
            assert!(one.link.is_closed(PATIENCE), "{} stays", one.agent.user);
        }
        let proxy = start(plan);
        let judge = Participant::join_and_subscribe(&proxy, "judge", Transport::Udp, "lobby");
        let roster = &judge.subscription.as_ref().expect("his").roster;
        assert_eq!(roster.users().len(), 1, "{:?}", roster.users());
        proxy.stop();
    });
}

/// Number of requests with one of these methods in its inbox.
fn asked(one: &Participant, methods: &[&str]) -> usize {
    one.agent.inbox.count(|it| {
        matches!(&it.message, Message::Request(request)
            if methods.contains(&request.method.as_str()))
    })
}

fn version(watcher: &Participant) -> u32 {
    let subscription = watcher.subscription.as_ref().expect("a subscription");
    subscription.roster.version().expect("a document")
}

/// Waits for this message, after any others before it.
fn hears_at_last(one: &Participant, words: &[u8]) {
    while one.hear().body.as_deref() != Some(words) {}
}

/// The full document that every restart brings.
fn next_document(watcher: &mut Participant) {
    let subscription = watcher.subscription.as_mut().expect("a subscription");
    subscription
        .next(&watcher.agent, PATIENCE)
        .expect("a NOTIFY after the restart");
}

#[test]
fn who_loses_the_switch_itself_is_called_by_the_focus() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let port = program.msrp.port();
        let proxy = start(plan(host, &folder, port).parameter("rejoin_grace", 2));
        let mut alice =
            Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby").stays();
        let mut bob = join(&proxy, "bob").stays();
        let carol = join(&proxy, "carol");
        carol.agent.answer("INVITE", None);
        drop(program);
        let _program = Program::start_at(&folder, port, &[]);
        drives(&proxy, 2);
        alice.come_back(&proxy);
        bob.come_back(&proxy);
        let words = bob.say("where were we?");
        alice.hears(&words);
        assert!(carol.agent.request("BYE", PATIENCE).is_some());
        alice.sees(&["alice", "bob"]);
    });
}

/// The example without the lines that contain `word`.
fn without(host: &host::Host, word: &str) -> String {
    let example = root()
        .join("cfg-examples")
        .join(host.family.as_str())
        .join("minimal.cfg");
    let text = fs::read_to_string(example).expect("the example");
    let lines = text.lines().filter(|line| !line.contains(word));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_switch_says_where_it_listens() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let text = without(host, "\"listen\"");
        let proxy = start(plan(host, &folder, program.msrp.port()).text(&text));
        let (alice, bob) = (join(&proxy, "alice"), join(&proxy, "bob"));
        let words = alice.say("hello");
        bob.hears(&words);
    });
}

#[test]
fn a_listen_that_contradicts_the_switch_ends_the_start() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let other = free_port();
        let log = plan(host, &folder, other).start_refused();
        let said = format!(
            "the parameter listen names msrp:127.0.0.1:{other}, but the switch at {} listens at \
             msrp:{}",
            folder.socket().display(),
            program.msrp
        );
        assert!(log.contains(&said), "{log}");
    });
}
