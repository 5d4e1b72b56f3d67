//! Requests, responses and reports once more: RFC 4975 §7, RFC 4976 §6.

use super::*;

fn answer(got: &Got, code: u16) -> String {
    let (to, from) = (
        got.header("From-Path").unwrap(),
        got.header("To-Path").unwrap(),
    );
    let tid = got.tid();
    format!("MSRP {tid} {code} x\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n-------{tid}$\r\n")
}

fn report(name: &str, message_id: &str, status: &str) -> String {
    let id = format!("Message-ID: {message_id}");
    let status = format!("Status: {status}");
    let headers = [id.as_str(), "Byte-Range: 1-9/9", status.as_str()];
    request(name, "report01", "REPORT", &headers, "-------report01$\r\n")
}

fn chunk(tid: &str, start: usize, total: &str, part: &str, flag: char) -> String {
    let range = format!("Byte-Range: {start}-*/{total}");
    let headers = ["Message-ID: chunked1", &range, "Content-Type: message/cpim"];
    let tail = format!("\r\n{part}\r\n-------{tid}{flag}\r\n");
    request("alice", tid, "SEND", &headers, &tail)
}

#[test]
fn c02_headers_stand_in_their_order() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(
        alice,
        send(
            "alice",
            "tid12345",
            &["Success-Report: yes"],
            &cpim("alice", "x"),
        ),
    );
    let names =
        |got: &Got| -> Vec<String> { got.headers.iter().map(|(name, _)| name.clone()).collect() };
    let copy = names(&stage.got(bob)[0]);
    assert_eq!(
        copy,
        [
            "To-Path",
            "From-Path",
            "Message-ID",
            "Byte-Range",
            "Content-Type"
        ]
    );
    let got = stage.got(alice);
    assert_eq!(names(&got[0]), ["To-Path", "From-Path"]);
    assert_eq!(
        names(&got[1]),
        ["To-Path", "From-Path", "Message-ID", "Byte-Range", "Status"]
    );
}

#[test]
fn c09_the_length_of_a_chunk_is_counted_and_not_believed() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let body = cpim("alice", "counted");
    let (first, second) = body.split_at(30);
    let lies = chunk("tid12341", 1, "*", first, '+').replace("1-*/*", "1-7/*");
    stage.give(alice, lies);
    let lies = chunk("tid12342", 31, "*", second, '$').replace("31-*/*", "31-5000/*");
    stage.give(alice, lies);
    assert_eq!(stage.texts(bob), ["counted"]);
}

#[test]
fn c29_chunks_of_any_size_from_nothing_on() {
    let body = cpim("alice", &"z".repeat(150_000));
    for sizes in [[0, 1, 0, 60_000], [1, 1, 1, 1], [0, 150_000, 0, 0]] {
        let mut stage = Stage::new();
        let (alice, bob) = (stage.join("alice"), stage.join("bob"));
        let mut sent = 0;
        for (number, size) in sizes.into_iter().enumerate() {
            let tid = format!("tid1234{number}");
            stage.give(
                alice,
                chunk(&tid, sent + 1, "*", &body[sent..sent + size], '+'),
            );
            sent += size;
        }
        stage.give(alice, chunk("tid12349", sent + 1, "*", &body[sent..], '$'));
        assert_eq!(stage.codes(alice), [200; 5]);
        let got = streams::messages(&stage.chunks(bob));
        assert_eq!(got, [(body.clone().into_bytes(), Some('$'))], "{sizes:?}");
    }
}

#[test]
fn c32_a_message_that_comes_again_on_a_replacement_session_is_answered_and_not_doubled() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let wanted = ["Success-Report: yes"];
    let body = cpim("alice", "once");
    stage.give(alice, send("alice", "tid12345", &wanted, &body));
    stage.switch.closed(stage.now, alice);
    let again = stage.join("alice-2");
    stage.give(again, send("alice-2", "tid12345", &wanted, &body));
    let got = stage.got(again);
    assert_eq!(got[0].line, "MSRP tid12345 200");
    assert!(got[1].line.ends_with(" REPORT"), "and reported");
    assert_eq!(stage.texts(bob), ["once"]);
    stage.give(
        again,
        send("alice-2", "tid12345", &[], &cpim("alice", "another")),
    );
    assert_eq!(
        stage.texts(bob),
        ["another"],
        "the same Message-ID for something else"
    );
}

#[test]
fn c40_absent_headers_mean_responses_and_no_reports() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "x")));
    assert_eq!(stage.codes(alice), [200]);
}

#[test]
fn c47_what_a_response_says_is_not_reported_once_more() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let body = cpim("mallory", "x");
    let (first, second) = body.split_at(30);
    stage.give(alice, chunk("tid12341", 1, "*", first, '+'));
    stage.give(alice, chunk("tid12342", 31, "*", second, '$'));
    assert_eq!(
        stage.codes(alice),
        [200, 403],
        "each chunk has its own response"
    );
}

#[test]
fn c49_reports_about_what_was_never_sent_change_nothing() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    for status in ["000 481 Gone", "000 413 Stop", "000 200 OK"] {
        stage.give(bob, report("bob", "unknown1", status));
    }
    assert_eq!(stage.lost(), []);
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "x")));
    assert_eq!(stage.texts(bob), ["x"]);
}

#[test]
fn c50_another_namespace_says_nothing() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "x")));
    let got = stage.got(bob);
    let id = got[0].header("Message-ID").unwrap();
    stage.give(bob, report("bob", id, "001 481 Whatever"));
    assert_eq!(stage.lost(), []);
    stage.give(bob, report("bob", id, "000 481 Gone"));
    assert_eq!(stage.lost().len(), 1);
}

#[test]
fn c51_sending_waits_for_no_response() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    for number in 0..100 {
        let tid = format!("tid{number:05}");
        stage.give(alice, send("alice", &tid, &[], &cpim("alice", &tid)));
    }
    assert_eq!(stage.texts(bob).len(), 100);
}

#[test]
fn r02_a_relay_may_cut_and_mix_messages_as_it_likes() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let bodies = ["one", "two"].map(|text| cpim("alice", text));
    for (round, cut) in [(0, 10), (1, 40), (2, 1)].into_iter().enumerate() {
        for (message, body) in bodies.iter().enumerate() {
            let from = [0, 10, 50][round];
            let to = if round == 2 { body.len() } else { from + cut.1 };
            let flag = if round == 2 { '$' } else { '+' };
            let tid = format!("tid{round}{message}abc");
            let text = chunk(&tid, from + 1, "*", &body[from..to], flag);
            stage.give(
                alice,
                text.replace("chunked1", &format!("chunked{message}")),
            );
        }
    }
    assert_eq!(stage.codes(alice), [200; 6]);
    assert_eq!(stage.texts(bob), ["one", "two"]);
}

#[test]
fn r03_a_relays_408_after_its_200_ends_the_session() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "x")));
    let got = stage.got(bob);
    stage.give(bob, answer(&got[0], 200));
    assert_eq!(stage.lost(), []);
    let id = got[0].header("Message-ID").unwrap();
    stage.give(bob, report("bob", id, "000 408 Timeout"));
    assert_eq!(stage.lost(), [("bob".to_owned(), LossCause::Undeliverable)]);
}

#[test]
fn r04_a_relay_that_lost_its_client_says_481() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "x")));
    let got = stage.got(bob);
    let id = got[0].header("Message-ID").unwrap();
    stage.give(bob, report("bob", id, "000 481 Gone"));
    assert_eq!(stage.lost(), [("bob".to_owned(), LossCause::Undeliverable)]);
    assert_eq!(stage.finished, [bob]);
}

#[test]
fn g29_g40_all_devices_of_a_user_are_reached() {
    let mut stage = Stage::new();
    let (alice, tablet) = (stage.join("alice"), stage.join("alice-tablet"));
    let bobs = ["bob", "bob-2"].map(|name| stage.join(name));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "all")));
    let private = cpim_to("alice", "sip:bob@example.com", "bob");
    stage.give(alice, send("alice", "tid12346", &[], &private));
    let own = cpim_to("alice", "sip:alice@example.com", "note");
    stage.give(alice, send("alice", "tid12347", &[], &own));
    assert_eq!(stage.texts(tablet), ["all", "note"]);
    for bob in bobs {
        assert_eq!(stage.texts(bob), ["all", "bob"]);
    }
    assert_eq!(stage.codes(alice), [200; 3]);
}

#[test]
fn g31_message_ids_towards_receivers_are_ours() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "a")));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "b")));
    let got = stage.got(bob);
    assert_eq!(got.len(), 2);
    assert_ne!(got[0].header("Message-ID"), got[1].header("Message-ID"));
}

#[test]
fn g50_the_switch_answers_and_reports_before_any_receiver_does() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.switch.blocked(stage.now, bob, true);
    let wanted = send(
        "alice",
        "tid12345",
        &["Success-Report: yes"],
        &cpim("alice", "x"),
    );
    stage.give(alice, wanted);
    assert_eq!(stage.got(alice).len(), 2);
}

#[test]
fn c32_a_device_that_lives_and_words_of_long_ago_are_no_repetition() {
    let mut stage = Stage::new();
    let (phone, tablet) = (stage.join("alice-phone"), stage.join("alice-tablet"));
    let bob = stage.join("bob");
    let ok = |name: &str| send(name, "tid12345", &[], &cpim("alice", "ok"));
    for _ in 0..3 {
        stage.give(phone, ok("alice-phone"));
        stage.give(tablet, ok("alice-tablet"));
    }
    assert_eq!(stage.texts(bob), ["ok"; 6]);
    stage.switch.closed(stage.now, phone);
    stage.pass(Duration::from_secs(61));
    let phone = stage.join("alice-phone");
    stage.give(phone, ok("alice-phone"));
    assert_eq!(stage.texts(bob), ["ok"]);
}
