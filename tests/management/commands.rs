//! The effects of the commands, in real proxies.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::agent::Transport;
use crate::harness::host::Family;
use crate::harness::invited::Invited;
use crate::harness::participant::{Participant, client_path, invite};
use crate::harness::plan::Plan;
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, on_every_host};
use crate::{name, order, refused};

/// The entry of a room in the list.
fn listed(proxy: &Proxy, room: &str) -> Option<Value> {
    let list = order(proxy, "list", &[]);
    let rooms = list.as_array().expect("a list").clone();
    rooms.into_iter().find(|it| it["uri"] == room)
}

/// Errors arrive whole over JSON-RPC and MI, and over kamcmd.
#[test]
fn errors_name_what_is_wrong_and_come_whole() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let long = "x".repeat(500);
        for (command, arguments, said) in [
            (
                "create",
                json!(["sip:a@h;maks=1"]),
                "(options: docs/parameters.md#room-string)",
            ),
            (
                "create",
                json!(["sip:a@h;subscribe=nobody"]),
                "(subscribe=anyone|participants)",
            ),
            (
                "create",
                json!(["sip:a@h", format!("{long}=1")]),
                "(options: docs/parameters.md#room-string)",
            ),
            (
                "say",
                json!(["sip:lobby@127.0.0.1", " "]),
                "text is missing (usage: say room text)",
            ),
            ("show", json!([long]), "is no SIP URI (sip:USER@HOST)"),
        ] {
            let (code, text) = refused(&proxy, command, arguments);
            assert_eq!(code, 400, "{text}");
            assert!(text.ends_with(said) && text.len() < 120, "{text}");
        }
        proxy.stop();
    });
}

#[test]
fn a_room_is_made_used_and_ended() {
    on_every_host(|host| {
        let proxy = Plan::new(host).parameter("adhoc", "no").start();
        let team = "sip:team@127.0.0.1";
        let made = order(&proxy, "create", &["sip:team@127.0.0.1;max=3"]);
        assert_eq!(made["uri"], team);
        assert_eq!(refused(&proxy, "create", json!([team])).0, 409);
        let empty = listed(&proxy, team).expect("the new room");
        assert_eq!(empty["participants"], 0);
        let alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "team");
        let bob = Participant::join(&proxy, "bob", Transport::Tcp, "team");
        bob.hears(&alice.say("first"));
        alice.hears(&bob.say("second"));
        assert!(wait_until(PATIENCE, || {
            let room = listed(&proxy, team).expect("the room");
            room["participants"] == 2 && room["subscribers"] == 1 && room["messages"] == 2
        }));
        let shown = order(&proxy, "show", &[team]);
        let users = shown["users"].as_array().expect("users");
        let entities: Vec<_> = users.iter().map(|user| user["entity"].clone()).collect();
        assert_eq!(entities, ["sip:alice@127.0.0.1", "sip:bob@127.0.0.1"]);
        let endpoint = &users[0]["endpoints"][0];
        assert_eq!(endpoint["status"], "connected");
        assert!(
            endpoint["msrp"]
                .as_str()
                .expect("a URI")
                .starts_with("msrp://")
        );
        assert!(endpoint["joined"].as_str().expect("a time").ends_with('Z'));
        assert_eq!(order(&proxy, "end", &[team]), "ok");
        for someone in [&alice, &bob] {
            assert!(someone.agent.request("BYE", PATIENCE).is_some(), "no BYE");
        }
        assert!(listed(&proxy, team).is_none());
        assert_eq!(refused(&proxy, "show", json!([team])).0, 404);
        proxy.stop();
    });
}

#[test]
fn the_operator_speaks_to_a_room() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        assert_eq!(
            order(&proxy, "say", &["lobby@127.0.0.1", "The end is near."]),
            "ok"
        );
        for someone in [&alice, &bob] {
            let heard = String::from_utf8(someone.hear().body.expect("a body")).expect("text");
            assert!(heard.contains("agp.Message-Type: status"), "{heard}");
            assert!(heard.contains("From: <sip:lobby@127.0.0.1>"), "{heard}");
            assert!(heard.ends_with("The end is near."), "{heard}");
        }
        // A number is a text as well.
        proxy.call(&name(&proxy, "say"), json!(["lobby@127.0.0.1", 42]));
        assert!(alice.hear().body.expect("a body").ends_with(b"42"));
        proxy.stop();
    });
}

#[test]
fn who_is_expelled_banned_or_locked_out_stays_out_as_told() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let lobby = "sip:lobby@127.0.0.1";
        let join = |user: &str| {
            let agent = crate::harness::agent::Agent::new(user, proxy.sip, Transport::Udp);
            agent
                .exchange(&invite(&agent, &proxy.room("lobby"), &client_path()))
                .code
        };
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let mallory = Participant::join(&proxy, "mallory", Transport::Udp, "lobby");
        assert_eq!(
            order(&proxy, "expel", &[lobby, "sip:mallory@127.0.0.1"]),
            "ok"
        );
        assert!(mallory.agent.request("BYE", PATIENCE).is_some());
        let again = Participant::join(&proxy, "mallory", Transport::Udp, "lobby");
        assert_eq!(
            order(&proxy, "ban", &[lobby, "sip:mallory@127.0.0.1"]),
            "ok"
        );
        assert!(again.agent.request("BYE", PATIENCE).is_some());
        assert_eq!(join("mallory"), 403);
        assert_eq!(
            order(&proxy, "unban", &[lobby, "sip:mallory@127.0.0.1"]),
            "ok"
        );
        assert_eq!(order(&proxy, "lock", &[lobby]), "ok");
        assert_eq!(join("mallory"), 480);
        assert_eq!(
            order(&proxy, "role", &[lobby, "sip:dave@127.0.0.1", "moderator"]),
            "ok"
        );
        let dave = Participant::join(&proxy, "dave", Transport::Udp, "lobby");
        assert_eq!(order(&proxy, "unlock", &[lobby]), "ok");
        alice.hears(&dave.say("still open"));
        assert_eq!(
            order(&proxy, "role", &[lobby, "sip:dave@127.0.0.1", "observer"]),
            "ok"
        );
        assert!(wait_until(PATIENCE, || {
            let frame = dave.frame(&dave.words("may I?"));
            dave.link.exchange(&frame).kind == "403"
        }));
        proxy.stop();
    });
}

#[test]
fn a_party_is_invited_as_the_mode_says() {
    on_every_host(|host| {
        for (mode, method) in [("refer", "REFER"), ("dial_out", "INVITE")] {
            let proxy = Plan::new(host).parameter("invite_mode", mode).start();
            let carol = Invited::new(&proxy, "carol");
            let room = ["sip:team@127.0.0.1", &carol.uri()];
            order(&proxy, "create", &room[..1]);
            assert!(wait_until(PATIENCE, || {
                proxy.try_call(&name(&proxy, "invite"), json!(room)).is_ok()
            }));
            let asked = carol.asked(method);
            match mode {
                "dial_out" => carol.answer(&asked, 603),
                // She accepted, and does not connect.
                _ => assert_eq!(order(&proxy, "expel", &[room[0], &carol.aor()]), "ok"),
            }
            assert!(wait_until(PATIENCE, || {
                let shown = order(&proxy, "show", &room[..1]);
                shown["users"].as_array().is_some_and(Vec::is_empty)
            }));
            proxy.stop();
        }
    });
}

#[test]
fn a_party_is_invited_before_any_request_has_come() {
    on_every_host(|host| {
        // The harness checks whether the proxy answers.
        let ok = match host.family {
            Family::Kamailio => "\"200\"",
            Family::OpenSips => "200",
        };
        let script =
            format!("if (is_method(\"OPTIONS\")) {{ sl_send_reply({ok}, \"OK\"); exit; }}\n");
        let proxy = Plan::new(host).script(&script).start();
        let carol = Invited::new(&proxy, "carol");
        let room = ["sip:team@127.0.0.1", &carol.uri()];
        order(&proxy, "create", &room[..1]);
        assert_eq!(order(&proxy, "invite", &room), "ok");
        let asked = carol.asked("REFER");
        let contact = asked.headers.first("Contact").unwrap_or_default();
        assert!(contact.contains(&proxy.sip.to_string()), "{contact}");
        proxy.stop();
    });
}

#[test]
fn mistakes_are_errors_with_code_and_text() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        for (command, arguments, code, said) in [
            (
                "show",
                json!(["sip:nowhere@127.0.0.1"]),
                404,
                "there is no room",
            ),
            ("show", json!(["not a room"]), 400, "is no SIP URI"),
            ("show", json!([42]), 400, "is no SIP URI"),
            (
                "end",
                json!(["sip:nowhere@127.0.0.1"]),
                404,
                "there is no room",
            ),
            (
                "expel",
                json!(["lobby@127.0.0.1", "nobody@127.0.0.1"]),
                404,
                "is not in the room",
            ),
            (
                "role",
                json!(["lobby@127.0.0.1", "a@127.0.0.1", "king"]),
                400,
                "is not participant",
            ),
            (
                "list",
                json!(["many"]),
                400,
                "is not a number from 1 to 1000",
            ),
            ("list", json!([0]), 400, "is not a number"),
            ("create", json!(["lobby@127.0.0.1"]), 409, "already"),
            (
                "create",
                json!(["team@127.0.0.1;colour=red"]),
                400,
                "colour",
            ),
            (
                "invite",
                json!(["lobby@127.0.0.1", "http://h"]),
                400,
                "is no SIP URI",
            ),
        ] {
            let (found, text) = refused(&proxy, command, arguments.clone());
            assert_eq!(found, code, "{command} {arguments}: {text}");
            assert!(text.contains(said), "{command} {arguments}: {text}");
        }
        // OpenSIPS itself refuses the wrong number of parameters, with JSON-RPC's code.
        let code = match host.family {
            Family::Kamailio => 400,
            Family::OpenSips => -32602,
        };
        for (command, arguments) in [
            ("show", json!([])),
            ("expel", json!(["lobby@127.0.0.1"])),
            ("show", json!(["lobby@127.0.0.1", 1, 2, 3])),
            ("stats", json!(["surplus"])),
        ] {
            assert_eq!(refused(&proxy, command, arguments).0, code, "{command}");
        }
        assert_eq!(refused(&proxy, "show", json!([[1, 2]])).0, 400);
        proxy.assert_quiet_log();
        proxy.stop();
    });
}

#[test]
fn a_thousand_rooms_are_listed_in_pages() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        for number in 0..1_000 {
            order(
                &proxy,
                "create",
                &[&format!("sip:room-{number:04}@conference.example.com")],
            );
        }
        let list = name(&proxy, "list");
        let mut uris = Vec::new();
        loop {
            let page = proxy.call(&list, json!([100, uris.len()]));
            let page = page.as_array().expect("a list");
            // The size of OpenSIPS' datagrams.
            let octets = serde_json::to_string(page).expect("JSON").len();
            assert!(octets < 32 * 1024, "{octets}");
            uris.extend(
                page.iter()
                    .map(|room| room["uri"].as_str().expect("a URI").to_owned()),
            );
            if page.len() < 100 {
                break;
            }
        }
        assert_eq!(uris.len(), 1_001, "the lobby, too");
        assert!(uris.is_sorted());
        assert_eq!(
            order(&proxy, "list", &[]).as_array().map(Vec::len),
            Some(100)
        );
        assert_eq!(order(&proxy, "stats", &[])["rooms"], 1_001);
        assert_eq!(proxy.call(&list, json!([10, 5_000])), json!([]));
        proxy.stop();
    });
}

#[test]
fn many_ask_at_the_same_time() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        thread::scope(|scope| {
            for asker in 0..8 {
                let proxy = &proxy;
                scope.spawn(move || {
                    for number in 0..25 {
                        let room = format!("sip:r{asker}-{number}@127.0.0.1");
                        order(proxy, "create", &[&room]);
                        assert_eq!(order(proxy, "show", &[&room])["uri"], room);
                        assert_eq!(order(proxy, "end", &[&room]), "ok");
                    }
                });
            }
            for number in 0..20 {
                bob.hears(&alice.say(&format!("meanwhile {number}")));
            }
        });
        assert_eq!(order(&proxy, "stats", &[])["rooms"], 1);
        proxy.stop();
    });
}

/// Files that the processes of a proxy have open, all together.
fn open_files(proxy: &Proxy) -> usize {
    let of = |pid: &u32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    proxy.processes().iter().map(of).sum()
}

#[test]
fn a_conference_process_that_hangs_is_an_error_in_time_and_leaks_nothing() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        order(&proxy, "list", &[]);
        let before = open_files(&proxy);
        let process = proxy.conference_process();
        proxy.signal(process, "STOP");
        let started = Instant::now();
        let (code, text) = refused(&proxy, "end", json!(["lobby@127.0.0.1"]));
        let took = started.elapsed();
        assert_eq!(code, 504, "{text}");
        assert!(text.contains("does not answer"), "{text}");
        assert!(
            (Duration::from_secs(2)..Duration::from_secs(10)).contains(&took),
            "{took:?}"
        );
        refused(&proxy, "list", json!([]));
        proxy.signal(process, "CONT");
        assert_eq!(
            listed(&proxy, "sip:lobby@127.0.0.1").expect("a room")["participants"],
            1
        );
        // A command whose caller no longer waited was not carried out.
        assert!(
            alice
                .agent
                .request("BYE", Duration::from_millis(300))
                .is_none()
        );
        assert!(
            wait_until(PATIENCE, || open_files(&proxy) <= before),
            "files leak"
        );
        proxy.stop();
    });
}

#[test]
fn what_management_made_and_changed_is_there_after_a_restart() {
    on_every_host(|host| {
        let state = std::env::current_exe().expect("own path");
        let state = state.with_file_name(format!("state-{}", crate::harness::agent::unique()));
        fs::create_dir_all(&state).expect("a folder");
        let plan = Plan::new(host).parameter("adhoc", "no").state_in(&state);
        let proxy = plan.clone().start();
        let team = "sip:team@127.0.0.1";
        order(&proxy, "create", &["sip:team@127.0.0.1;max=3"]);
        order(&proxy, "ban", &[team, "sip:mallory@127.0.0.1"]);
        order(&proxy, "role", &[team, "sip:dave@127.0.0.1", "moderator"]);
        order(&proxy, "lock", &[team]);
        let made = listed(&proxy, team).expect("the room")["created"].clone();
        order(&proxy, "create", &["sip:gone@127.0.0.1"]);
        order(&proxy, "end", &["sip:gone@127.0.0.1"]);
        proxy.stop();
        let proxy = plan.start();
        let room = listed(&proxy, team).expect("the room is kept");
        assert_eq!(room["created"], made);
        assert!(listed(&proxy, "sip:gone@127.0.0.1").is_none());
        let shown = order(&proxy, "show", &[team]);
        assert_eq!((&shown["locked"], &shown["max"]), (&json!(true), &json!(3)));
        let join = |user: &str| {
            let agent = crate::harness::agent::Agent::new(user, proxy.sip, Transport::Udp);
            agent
                .exchange(&invite(&agent, &proxy.room("team"), &client_path()))
                .code
        };
        assert_eq!(join("mallory"), 403);
        assert_eq!(join("alice"), 480);
        let _dave = Participant::join(&proxy, "dave", Transport::Udp, "team");
        proxy.stop();
        let _ = fs::remove_dir_all(state);
    });
}
