//! Answers and reports: RFC 4975 §7.

use super::*;

#[test]
fn c41_a_send_is_answered_with_its_transaction_id() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "hi")));
    let raw = String::from_utf8(stage.raw(alice)).unwrap();
    insta::assert_snapshot!(raw.replace("\r\n", "\n"), @r"
    MSRP tid12345 200 OK
    To-Path: msrp://198.51.100.7:9/alice-peer;tcp
    From-Path: msrp://192.0.2.1:2855/alice;tcp
    -------tid12345$
    ");
}

#[test]
fn g24_a_copy_carries_the_content_octet_for_octet() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let body = "From: Al <sip:alice@example.com>\nTo:  <sip:lobby@example.com>\r\nx-Odd: \u{e9}\r\n\r\nContent-type: text/plain;charset=\"utf8\"\n\nhi\0\r\n-------other$\r\n";
    let body = body.replace("To:  ", "To: ");
    stage.give(alice, send("alice", "tid12345", &[], &body));
    let got = stage.got(bob);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].body.as_deref(), Some(body.as_bytes()));
    let range = format!("1-{0}/{0}", body.len());
    assert_eq!(got[0].header("Byte-Range"), Some(range.as_str()));
    assert_eq!(got[0].header("Content-Type"), Some("message/cpim"));
    assert_eq!(got[0].header("To-Path"), Some(peer_uri("bob").as_str()));
    assert_eq!(got[0].header("From-Path"), Some(own_uri("bob").as_str()));
}

#[test]
fn c20_a_copy_above_2048_octets_is_interruptible() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let body = cpim("alice", &"x".repeat(20_000));
    stage.give(alice, send("alice", "tid12345", &[], &body));
    let got = stage.got(bob);
    let range = format!("1-*/{}", body.len());
    assert_eq!(got[0].header("Byte-Range"), Some(range.as_str()));
    assert_eq!(got[0].body.as_deref(), Some(body.as_bytes()));
}

#[test]
fn c06_every_copy_has_ids_of_its_own() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let others = ["bob", "carol"].map(|name| stage.join(name));
    let mut ids = std::collections::HashSet::new();
    for round in 0..10 {
        let text = send(
            "alice",
            &format!("tid1234{round}"),
            &[],
            &cpim("alice", "hi"),
        );
        stage.give(alice, text);
        for id in others {
            let got = stage.got(id);
            assert!(ids.insert(got[0].tid().to_owned()));
            assert!((4..=32).contains(&got[0].tid().len()));
            assert!(got[0].header("Message-ID").is_some());
        }
    }
}

#[test]
fn c42_failure_report_no_is_never_answered() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let no = &["Failure-Report: no"];
    stage.give(alice, send("alice", "tid12345", no, &cpim("alice", "hi")));
    stage.give(alice, send("alice", "tid12346", no, &cpim("mallory", "hi")));
    stage.give(alice, send("nobody", "tid12347", no, &cpim("alice", "hi")));
    stage.give(alice, send("alice", "tid12348", no, "no cpim"));
    let plain = send("alice", "tid12349", no, "x").replace("message/cpim", "text/plain");
    stage.give(alice, plain);
    assert_eq!(stage.codes(alice), [0u16; 0]);
}

#[test]
fn c43_failure_report_partial_hears_of_failures_only() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let partial = &["Failure-Report: partial"];
    stage.give(
        alice,
        send("alice", "tid12345", partial, &cpim("alice", "hi")),
    );
    assert_eq!(stage.codes(alice), [0u16; 0]);
    stage.give(
        alice,
        send("alice", "tid12346", partial, &cpim("mallory", "hi")),
    );
    assert_eq!(stage.codes(alice), [403]);
}

#[test]
fn c44_a_send_is_answered_to_the_previous_hop_and_a_nickname_along_the_path() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let path = "msrp://relay.example.com:9/r;tcp msrp://10.0.0.1:9/a;tcp";
    let through = |text: String| text.replace(&peer_uri("alice"), path);
    stage.give(alice, through(empty_send("alice", "tid12345")));
    let got = stage.got(alice);
    assert_eq!(
        got[0].header("To-Path"),
        Some("msrp://relay.example.com:9/r;tcp")
    );
    let nickname = request(
        "alice",
        "tid12346",
        "NICKNAME",
        &["Use-Nickname: \"Al\""],
        "-------tid12346$\r\n",
    );
    stage.give(alice, through(nickname));
    let got = stage.got(alice);
    assert_eq!(got[0].line, "MSRP tid12346 200");
    assert_eq!(got[0].header("To-Path"), Some(path));
}

#[test]
fn c45_a_report_is_never_answered() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let headers = ["Message-ID: unknown1", "Status: 000 413 Stop"];
    let tail = "-------tid12345$\r\n";
    stage.give(
        alice,
        request("alice", "tid12345", "REPORT", &headers, tail),
    );
    stage.give(
        alice,
        request("nobody", "tid12345", "REPORT", &headers, tail),
    );
    assert_eq!(stage.codes(alice), [0u16; 0]);
}

#[test]
fn c46_a_success_report_covers_the_whole_message() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let body = cpim("alice", "hi");
    let path = "msrp://relay.example.com:9/r;tcp msrp://10.0.0.1:9/a;tcp";
    let wanted = send("alice", "tid12345", &["Success-Report: yes"], &body);
    stage.give(alice, wanted.replace(&peer_uri("alice"), path));
    let got = stage.got(alice);
    assert_eq!(got[0].line, "MSRP tid12345 200");
    assert!(got[1].line.ends_with(" REPORT"));
    assert_eq!(got[1].header("To-Path"), Some(path));
    assert_eq!(got[1].header("Message-ID"), Some("mtid12345"));
    let range = format!("1-{0}/{0}", body.len());
    assert_eq!(got[1].header("Byte-Range"), Some(range.as_str()));
    assert_eq!(got[1].header("Status"), Some("000 200 OK"));
    assert_eq!(got[1].body, None);
}

#[test]
fn c46_a_refused_message_has_no_success_report() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.give(
        alice,
        send(
            "alice",
            "tid12345",
            &["Success-Report: yes"],
            &cpim("mallory", "x"),
        ),
    );
    assert_eq!(stage.codes(alice), [403]);
}

#[test]
fn c08_an_unknown_method_is_501_and_the_connection_lives() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    for method in ["FROB", "AUTH"] {
        stage.give(
            alice,
            request("alice", "tid12345", method, &[], "-------tid12345$\r\n"),
        );
        assert_eq!(stage.codes(alice), [501]);
    }
    stage.give(alice, empty_send("alice", "tid12346"));
    assert_eq!(stage.codes(alice), [200]);
}

#[test]
fn c11_a_framed_but_malformed_request_is_400() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let headers = ["Message-ID: m0001", "Byte-Range: one-two/three"];
    stage.give(
        alice,
        request(
            "alice",
            "tid12345",
            "SEND",
            &headers,
            "-------tid12345$\r\n",
        ),
    );
    assert_eq!(stage.codes(alice), [400]);
}

#[test]
fn c11_broken_cpim_is_400() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    for body in ["", "x", "From: <sip:alice@example.com>\r\n\r\n\r\n"] {
        let text = send("alice", "tid12345", &[], body);
        let text = text.replace("Byte-Range: 1-0/0", "Byte-Range: 1-*/9");
        stage.give(alice, text);
        assert_eq!(stage.codes(alice), [400], "{body:?}");
    }
}

#[test]
fn g20_without_cpim_is_415_but_without_body_is_200() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let plain = send("alice", "tid12345", &[], "hello");
    stage.give(alice, plain.replace("message/cpim", "text/plain"));
    assert_eq!(stage.codes(alice), [415]);
    stage.give(alice, empty_send("alice", "tid12346"));
    stage.give(
        alice,
        request(
            "alice",
            "tid12347",
            "SEND",
            &["Message-ID: m0001"],
            "-------tid12347$\r\n",
        ),
    );
    let keep_alive = [
        "Message-ID: m0002",
        "Byte-Range: 0-0/0",
        "Content-Type: text/plain",
    ];
    stage.give(
        alice,
        request(
            "alice",
            "tid12348",
            "SEND",
            &keep_alive,
            "\r\n\r\n-------tid12348$\r\n",
        ),
    );
    assert_eq!(stage.codes(alice), [200, 200, 200]);
    assert!(stage.raw(bob).is_empty());
}

#[test]
fn a_heartbeat_is_swallowed() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let beat = send("alice", "tid12345", &[], "HEARTBEAT");
    stage.give(alice, beat.replace("message/cpim", "text/x-msrp-heartbeat"));
    assert_eq!(stage.codes(alice), [200]);
    assert!(stage.raw(bob).is_empty());
}

#[test]
fn g21_g22_a_foreign_from_and_two_recipients_are_403() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("bob", "hi")));
    let two = cpim("alice", "hi").replace("\r\n\r\nC", "\r\nTo: <sip:bob@example.com>\r\n\r\nC");
    stage.give(alice, send("alice", "tid12346", &[], &two));
    let said = String::from_utf8_lossy(&stage.raw(alice)).into_owned();
    for why in ["403 From Is Not The Sender", "403 More Than One Recipient"] {
        assert!(said.contains(why), "{said}");
    }
    assert!(stage.raw(bob).is_empty());
}

#[test]
fn g21_any_known_uri_of_the_sender_will_do() {
    let mut stage = Stage::new();
    let mut head = admission(LOBBY, "alice");
    head.uris.push(UserUri::new("tel:+4930123"));
    let alice = stage.enter(head);
    for from in [
        "tel:+4930123",
        "sip:alice@EXAMPLE.com",
        "sips:alice@example.com;x=y",
    ] {
        let body = cpim("alice", "hi").replace("sip:alice@example.com", from);
        stage.give(alice, send("alice", "tid12345", &[], &body));
        assert_eq!(stage.codes(alice), [200], "{from}");
    }
}

#[test]
fn c87_content_from_a_peer_that_may_not_send_is_403() {
    let mut stage = Stage::new();
    let mut head = admission(LOBBY, "alice");
    head.peer.sends = false;
    let alice = stage.enter(head);
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "hi")));
    stage.give(alice, empty_send("alice", "tid12346"));
    assert_eq!(stage.codes(alice), [403, 200]);
}

#[test]
fn c85_a_message_above_the_rooms_size_is_413() {
    let mut stage = Stage::new();
    let mut head = admission(LOBBY, "alice");
    head.policy.max_message_size = 100_000;
    let alice = stage.enter(head);
    stage.give(
        alice,
        send(
            "alice",
            "tid12345",
            &[],
            &cpim("alice", &"x".repeat(100_000)),
        ),
    );
    assert_eq!(stage.codes(alice), [413]);
    // Announced too small: counted, not believed (C09).
    let lie = send(
        "alice",
        "tid12346",
        &[],
        &cpim("alice", &"x".repeat(100_000)),
    );
    let honest = lie
        .lines()
        .find(|line| line.starts_with("Byte-Range"))
        .unwrap()
        .to_owned();
    stage.give(alice, lie.replace(&honest, "Byte-Range: 1-25/25"));
    assert_eq!(stage.codes(alice), [413]);
    stage.give(alice, empty_send("alice", "tid12347"));
    assert_eq!(stage.codes(alice), [200]);
}

#[test]
fn c04_our_end_line_is_never_in_the_body() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "one")));
    let first = stage.got(bob)[0].tid().to_owned();
    // The ids of this session count up: guess the next ones.
    let key = stage.switch.named("bob");
    let ids = &stage.switch.rooms.session(key).unwrap().ids;
    let number = ids
        .number(&crate::wire::msrp::TransactionId::new(&first).unwrap())
        .unwrap();
    let guess = [1, 2].map(|ahead| format!("\r\n-------{}$\r\n", ids.id(number + ahead)));
    let body = cpim("alice", &guess.concat());
    stage.give(alice, send("alice", "tid12346", &[], &body));
    let got = stage.got(bob);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].body.as_deref(), Some(body.as_bytes()));
}

#[test]
fn the_first_copy_asks_for_a_response_and_the_next_for_failures_only() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    for tid in ["tid12345", "tid12346"] {
        stage.give(alice, send("alice", tid, &[], &cpim("alice", "hi")));
    }
    let got = stage.got(bob);
    assert_eq!(got[0].header("Failure-Report"), None);
    assert_eq!(got[1].header("Failure-Report"), Some("partial"));
}

pub(super) fn answer(got: &Got, code: u16) -> String {
    let (to, from) = (
        got.header("From-Path").unwrap(),
        got.header("To-Path").unwrap(),
    );
    let tid = got.tid();
    format!("MSRP {tid} {code} x\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n-------{tid}$\r\n")
}

#[test]
fn c50_c89_a_peer_without_the_session_loses_it() {
    for by_report in [false, true] {
        let mut stage = Stage::new();
        let (alice, bob) = (stage.join("alice"), stage.join("bob"));
        stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "hi")));
        let got = stage.got(bob);
        // A message the peer did not want is no reason.
        stage.give(bob, answer(&got[0], 415));
        assert_eq!(stage.lost(), []);
        if by_report {
            let id = format!("Message-ID: {}", got[0].header("Message-ID").unwrap());
            let headers = [id.as_str(), "Byte-Range: 1-9/9", "Status: 000 408 Timeout"];
            stage.give(
                bob,
                request(
                    "bob",
                    "tid12346",
                    "REPORT",
                    &headers,
                    "-------tid12346$\r\n",
                ),
            );
        } else {
            stage.give(bob, answer(&got[0], 481));
        }
        assert_eq!(stage.lost(), [("bob".to_owned(), LossCause::Undeliverable)]);
    }
}

#[test]
fn g51_reports_of_receivers_are_not_passed_on() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(
        alice,
        send(
            "alice",
            "tid12345",
            &["Success-Report: yes"],
            &cpim("alice", "hi"),
        ),
    );
    stage.raw(alice);
    let got = stage.got(bob);
    assert_eq!(got[0].header("Success-Report"), None);
    let id = format!("Message-ID: {}", got[0].header("Message-ID").unwrap());
    let headers = [id.as_str(), "Byte-Range: 1-9/9", "Status: 000 200 OK"];
    stage.give(
        bob,
        request(
            "bob",
            "tid12346",
            "REPORT",
            &headers,
            "-------tid12346$\r\n",
        ),
    );
    assert!(stage.raw(alice).is_empty());
    assert!(stage.raw(bob).is_empty());
}
