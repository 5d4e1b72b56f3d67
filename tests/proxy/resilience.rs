//! Faults that the proxy must survive, and the state it must leave when it ends.

use std::time::{Duration, Instant};

use msrp_conference::wire::conference_info::DisconnectionMethod;
use msrp_conference::wire::sip::Message;

use crate::harness::agent::{Agent, Received, Transport};
use crate::harness::draft::Dialog;
use crate::harness::host::{Family, Host};
use crate::harness::msrp::Link;
use crate::harness::participant::{Participant, client_path, invite, offer};
use crate::harness::plan::{FOLDER, Plan};
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, on_every_host};

/// Alice and Bob in the lobby.
fn two(proxy: &Proxy) -> (Participant, Participant) {
    let alice = Participant::join(proxy, "alice", Transport::Udp, "lobby");
    let bob = Participant::join(proxy, "bob", Transport::Udp, "lobby");
    (alice, bob)
}

/// Asserts that an existing room still works, and that a new one does.
fn unaffected(proxy: &Proxy, alice: &Participant, bob: &Participant) {
    let words = alice.say("still here");
    bob.hears(&words);
    let mut carol = Participant::join(proxy, "carol", Transport::Udp, "another");
    carol.leave();
    proxy.assert_quiet_log();
}

#[test]
fn a_lost_connection_is_a_lost_participant() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("notify_interval_ms", 100)
            .parameter("rejoin_grace", 1)
            .start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let mut bob = Participant::join_and_subscribe(&proxy, "bob", Transport::Udp, "lobby");
        bob.sees(&["alice", "bob"]);
        alice.link.close();
        assert!(
            alice.agent.request("BYE", PATIENCE).is_some(),
            "no BYE to the lost"
        );
        bob.sees(&["bob"]);
        let subscription = bob.subscription.as_mut().unwrap();
        while !subscription.roster.was_deleted("sip:alice@127.0.0.1") {
            subscription
                .next(&bob.agent, PATIENCE)
                .expect("the departed is never deleted");
        }
        assert_eq!(
            subscription.roster.departure("sip:alice@127.0.0.1"),
            Some(DisconnectionMethod::Failed)
        );
        assert!(wait_until(PATIENCE, || proxy.statistic("losses") == 1));
        proxy.stop();
    });
}

#[test]
fn a_departure_by_bye_is_shown_once_then_deleted() {
    on_every_host(|host| {
        let proxy = Plan::new(host).parameter("notify_interval_ms", 100).start();
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let mut bob = Participant::join_and_subscribe(&proxy, "bob", Transport::Udp, "lobby");
        bob.sees(&["alice", "bob"]);
        alice.leave();
        let subscription = bob.subscription.as_mut().unwrap();
        while !subscription.roster.was_deleted("sip:alice@127.0.0.1") {
            subscription
                .next(&bob.agent, PATIENCE)
                .expect("the departed is never deleted");
        }
        assert_eq!(
            subscription.roster.departure("sip:alice@127.0.0.1"),
            Some(DisconnectionMethod::Departed)
        );
        proxy.stop();
    });
}

#[test]
fn a_session_nobody_binds_is_lost() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("bind_timeout", 1)
            .parameter("rejoin_grace", 1)
            .start();
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = invite(&alice, &proxy.room("lobby"), &client_path());
        let answer = alice.exchange(&draft);
        alice.send(&Dialog::new(&draft, &answer).ack(&alice));
        assert!(alice.request("BYE", PATIENCE).is_some());
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 0));
        proxy.stop();
    });
}

#[test]
fn garbage_on_the_msrp_port_costs_its_connection_only() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let (alice, bob) = two(&proxy);
        let endless_head = [
            b"MSRP abcd1234 SEND\r\n".to_vec(),
            b"X-Long: y\r\n".repeat(20_000),
        ]
        .concat();
        let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for garbage in [
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            &b"\0\0\0\0\r\n\r\n"[..],
            &endless_head,
            &binary,
        ] {
            let link = Link::connect(proxy.msrp);
            link.send_raw(garbage);
            assert!(
                link.is_closed(PATIENCE),
                "left open: {:?}",
                String::from_utf8_lossy(&garbage[..20.min(garbage.len())])
            );
        }
        unaffected(&proxy, &alice, &bob);
        proxy.stop();
    });
}

#[test]
fn a_connection_cut_in_the_middle_of_a_message_is_only_a_loss() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let (alice, bob) = two(&proxy);
        let dave = Participant::join(&proxy, "dave", Transport::Udp, "lobby");
        let octets = dave.frame(&dave.words(&"cut".repeat(1_000))).octets();
        dave.link.send_raw(&octets[..octets.len() / 2]);
        dave.link.close();
        assert!(wait_until(PATIENCE, || proxy.statistic("sessions") == 2));
        unaffected(&proxy, &alice, &bob);
        proxy.stop();
    });
}

#[test]
fn truncated_sdp_is_refused() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let (alice, bob) = two(&proxy);
        let carol = Agent::new("carol", proxy.sip, Transport::Udp);
        let whole = offer(&client_path());
        for length in [
            0,
            1,
            4,
            40,
            whole.find("m=").unwrap() + 8,
            whole.find("a=path").unwrap() + 9,
        ] {
            let draft = carol
                .draft("INVITE", &proxy.room("lobby"))
                .body("application/sdp", &whole[..length]);
            let answer = carol.exchange(&draft);
            // Without any body it is a valid INVITE without an offer.
            let right = if length == 0 {
                answer.code == 200
            } else {
                [400, 488].contains(&answer.code)
            };
            assert!(right, "{} to {:?}", answer.code, &whole[..length]);
        }
        unaffected(&proxy, &alice, &bob);
        proxy.stop();
    });
}

#[test]
fn oversized_headers_are_survived() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let (alice, bob) = two(&proxy);
        let carol = Agent::new("carol", proxy.sip, Transport::Tcp);
        for size in [3_000, 20_000, 60_000] {
            let long = "x".repeat(size);
            let draft = invite(&carol, &proxy.room("lobby"), &client_path()).set("Subject", &long);
            let routes = format!("<sip:{}@127.0.0.1;lr>", &long[..size / 2]);
            // Answered, or refused by the host; never harmful.
            carol.send(&draft.clone().set("User-Agent", &long));
            carol.send(&draft.set("Record-Route", &routes));
        }
        let draft = carol
            .draft("INVITE", &format!("sip:{}@127.0.0.1", "y".repeat(2_000)))
            .body("application/sdp", offer(&client_path()));
        carol.send(&draft);
        unaffected(&proxy, &alice, &bob);
        proxy.stop();
    });
}

/// The hosts end their TCP processes first: nothing leaves by TCP then.
#[test]
fn sigterm_says_bye_to_everybody_reached_by_udp() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let (alice, bob) = two(&proxy);
        let carol = Participant::join(&proxy, "carol", Transport::Tcp, "another");
        proxy.signal(proxy.pid, "TERM");
        for each in [&alice, &bob] {
            let bye = each.agent.request("BYE", PATIENCE);
            assert!(bye.is_some(), "no BYE to {}", each.agent.user);
        }
        let status = proxy.exit(PATIENCE).expect("it does not end");
        assert!(status.success(), "{status}");
        assert!(carol.agent.request("BYE", Duration::ZERO).is_none());
        proxy.assert_gone();
        restarted(proxy);
    });
}

/// The conference process runs the operator's event routes, and one of them hangs.
#[test]
fn sigterm_is_obeyed_although_a_script_hangs_in_the_conference_process() {
    on_every_host(|host| {
        if host.family != Family::Kamailio || !host.has_modules(&["exec"]) {
            return;
        }
        let proxy = Plan::new(host)
            .lines(&format!(
                "loadmodule \"exec.so\"\n\
                 event_route[msrp-conference:join] {{\n\
                 exec_cmd(\"echo waits > {FOLDER}/waits; exec sleep 60 >/dev/null 2>&1\");\n}}",
            ))
            .start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let waits = proxy.file("waits");
        assert!(wait_until(PATIENCE, || waits.exists()), "{}", proxy.log());
        proxy.signal(proxy.pid, "TERM");
        proxy.exit(PATIENCE).expect("it waits for the script");
        proxy.assert_gone();
        drop(alice);
    });
}

/// More than the connections Kamailio keeps open in each process (eight).
#[test]
fn a_stop_with_many_connections_is_quick_and_quiet() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let everybody: Vec<_> = (0..12)
            .map(|n| {
                Participant::join_and_subscribe(&proxy, &format!("u{n}"), Transport::Tcp, "lobby")
            })
            .collect();
        let started = Instant::now();
        proxy.signal(proxy.pid, "TERM");
        let status = proxy.exit(PATIENCE).expect("it does not end");
        assert!(status.success(), "{status}");
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{:?}",
            started.elapsed()
        );
        proxy.assert_gone();
        proxy.assert_quiet_log();
        for words in ["failed to get fd", "tcp_send failed", "send on"] {
            assert!(!proxy.log().contains(words), "{}", proxy.log());
        }
        drop(everybody);
    });
}

#[test]
fn the_death_of_the_conference_process_stops_the_proxy_whole() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let (_alice, _bob) = two(&proxy);
        proxy.signal(proxy.conference_process(), "KILL");
        let status = proxy.exit(PATIENCE).expect("the host goes on without it");
        assert!(
            !status.success(),
            "a service manager would leave it at that"
        );
        proxy.assert_gone();
        restarted(proxy);
    });
}

#[test]
fn the_death_of_the_main_process_takes_ours_along() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let (_alice, _bob) = two(&proxy);
        let ours = proxy.conference_process();
        proxy.signal(proxy.pid, "KILL");
        assert!(
            wait_until(PATIENCE, || !proxy.processes().contains(&ours)),
            "the conference process is an orphan"
        );
        // The host itself orphans the others, which keep its SIP sockets.
        for pid in proxy.processes() {
            proxy.signal(pid, "KILL");
        }
        proxy.assert_gone();
        restarted(proxy);
    });
}

/// The same proxy again at once, on the same ports.
fn restarted(proxy: Proxy) {
    let proxy = proxy.restart();
    let (alice, bob) = two(&proxy);
    unaffected(&proxy, &alice, &bob);
    proxy.stop();
}

#[test]
fn a_stopped_conference_process_disturbs_nothing_else() {
    on_every_host(|host| {
        let proxy = Plan::new(host).script(ping(host)).start();
        let (alice, bob) = two(&proxy);
        let conference = proxy.conference_process();
        proxy.signal(conference, "STOP");
        let carol = Agent::new("carol", proxy.sip, Transport::Udp);
        let waiting = invite(&carol, &proxy.room("lobby"), &client_path());
        carol.send(&waiting);
        for _ in 0..200 {
            let ping = carol.draft("OPTIONS", &proxy.room("ping"));
            carol.send(&ping);
            let answer = carol.response(&ping, Duration::from_secs(2), |code| code >= 200);
            assert_eq!(
                answer.map(|answer| answer.code),
                Some(200),
                "the proxy's other traffic stands still"
            );
        }
        proxy.signal(conference, "CONT");
        // The focus' answer if it was in time, otherwise the host's.
        let code = carol.final_response(&waiting).code;
        assert!([200, 408, 503].contains(&code), "{code}");
        unaffected(&proxy, &alice, &bob);
        proxy.stop();
    });
}

#[test]
fn more_requests_than_the_queue_holds_get_503() {
    on_every_host(|host| {
        let proxy = Plan::new(host).script(ping(host)).start();
        let (alice, bob) = two(&proxy);
        let conference = proxy.conference_process();
        proxy.signal(conference, "STOP");
        let carol = Agent::new("carol", proxy.sip, Transport::Udp);
        let filler = "z".repeat(1_500);
        let mut refused = None;
        let _ = (0..100).any(|_| {
            for _ in 0..200 {
                carol.send(&carol.draft("OPTIONS", &proxy.room("lobby")).set("Subject", &filler));
            }
            assert!(answers(&carol, &proxy.room("ping")), "the other traffic stands still");
            let full = |received: &Received| {
                matches!(&received.message, Message::Response(response) if response.code == 503)
            };
            refused = carol.inbox.take(Duration::ZERO, full);
            refused.is_some()
        });
        let refused = refused.expect("20,000 requests in the queue of a stopped process");
        let Message::Response(refused) = refused.message else {
            unreachable!()
        };
        assert_eq!(refused.headers.first("Retry-After"), Some("10"));
        let why = refused.headers.first("Warning").unwrap_or_default();
        assert!(why.contains("does not keep up"), "{why}");
        proxy.signal(conference, "CONT");
        assert!(
            answers(&carol, &proxy.room("lobby")),
            "no answer from a room after the queue was full"
        );
        unaffected(&proxy, &alice, &bob);
        let done = wait_until(PATIENCE * 3, || proxy.transactions() == 0);
        assert!(done, "{} transactions stay", proxy.transactions());
        proxy.stop();
    });
}

/// Whether an OPTIONS gets its 200, apart from losses and refusals of a full queue.
fn answers(agent: &Agent, uri: &str) -> bool {
    (0..20).any(|_| {
        let options = agent.draft("OPTIONS", uri);
        agent.send(&options);
        let answer = agent.response(&options, Duration::from_secs(1), |code| code >= 200);
        answer.is_some_and(|answer| answer.code == 200)
    })
}

/// The proxy's other traffic: a script that answers `sip:ping@…` itself.
fn ping(host: &Host) -> &'static str {
    match host.family {
        Family::Kamailio => "if ($rU == \"ping\") { sl_send_reply(\"200\", \"OK\"); exit; }",
        Family::OpenSips => "if ($rU == \"ping\") { sl_send_reply(200, \"OK\"); exit; }",
    }
}
