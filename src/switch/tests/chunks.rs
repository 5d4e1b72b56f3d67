//! Messages in pieces: RFC 4975 §5.1, §7.3.1.

use proptest::prelude::*;

use super::*;

fn chunk(tid: &str, start: usize, total: &str, part: &str, flag: char) -> String {
    let range = format!("Byte-Range: {start}-*/{total}");
    let headers = ["Message-ID: chunked1", &range, "Content-Type: message/cpim"];
    request(
        "alice",
        tid,
        "SEND",
        &headers,
        &format!("\r\n{part}\r\n-------{tid}{flag}\r\n"),
    )
}

fn body() -> String {
    cpim("alice", "The quick brown fox jumps over the lazy dog")
}

#[test]
fn c27_chunks_are_put_together_whatever_their_order() {
    let body = body();
    let (first, rest) = body.split_at(30);
    let (second, third) = rest.split_at(50);
    let parts = [(1, first, '+'), (31, second, '+'), (81, third, '$')];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let mut stage = Stage::new();
        let (alice, bob) = (stage.join("alice"), stage.join("bob"));
        for (turn, index) in order.into_iter().enumerate() {
            assert!(stage.raw(bob).is_empty());
            let (start, part, flag) = parts[index];
            stage.give(
                alice,
                chunk(&format!("tid1234{turn}"), start, "*", part, flag),
            );
        }
        assert_eq!(stage.codes(alice), [200, 200, 200]);
        let got = stage.got(bob);
        assert_eq!(got.len(), 1, "one SEND a message");
        assert_eq!(got[0].text(), body);
    }
}

#[test]
fn c28_of_what_overlaps_the_last_wins() {
    let body = body();
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let spoiled = body[20..60].replace('e', "?");
    stage.give(alice, chunk("tid12341", 21, "*", &spoiled, '+'));
    stage.give(alice, chunk("tid12342", 1, "*", &body[..40], '+'));
    stage.give(alice, chunk("tid12343", 31, "*", &body[30..], '$'));
    assert_eq!(stage.got(bob)[0].text(), body);
}

#[test]
fn c46_a_chunked_message_is_reported_once_and_whole() {
    let body = body();
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    for (tid, start, part, flag) in [
        ("tid12341", 1, &body[..40], '+'),
        ("tid12342", 41, &body[40..], '$'),
    ] {
        let text = chunk(tid, start, "*", part, flag);
        stage.give(
            alice,
            text.replacen("Content-Type", "Success-Report: yes\r\nContent-Type", 1),
        );
    }
    let got = stage.got(alice);
    assert_eq!(got.len(), 3);
    let range = format!("1-{0}/{0}", body.len());
    assert_eq!(got[2].header("Byte-Range"), Some(range.as_str()));
    assert_eq!(got[2].header("Message-ID"), Some("chunked1"));
}

#[test]
fn c30_an_aborted_message_is_forgotten() {
    let body = body();
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, chunk("tid12341", 1, "*", &body[..40], '+'));
    stage.give(alice, chunk("tid12342", 41, "*", &body[40..60], '#'));
    stage.give(alice, chunk("tid12343", 61, "*", &body[60..], '$'));
    assert!(stage.raw(bob).is_empty());
}

#[test]
fn c31_a_chunked_message_above_the_bound_is_413_to_its_end() {
    let mut stage = Stage::new();
    let mut head = admission(LOBBY, "alice");
    head.policy.max_message_size = 50_000;
    let (bob, alice) = (stage.join("bob"), stage.enter(head));
    let part = cpim("alice", &"x".repeat(40_000));
    stage.give(alice, chunk("tid12341", 1, "*", &part, '+'));
    stage.give(alice, chunk("tid12342", part.len() + 1, "*", &part, '+'));
    stage.give(alice, chunk("tid12343", 1, "*", "y", '+'));
    stage.give(alice, chunk("tid12344", 2, "*", "z", '$'));
    assert_eq!(stage.codes(alice), [200, 413, 413, 413]);
    stage.give(alice, chunk("tid12345", 1, "90000", "y", '+'));
    assert_eq!(stage.codes(alice), [413]);
    assert!(stage.raw(bob).is_empty());
}

#[test]
fn g28_chunks_that_stop_coming_are_forgotten() {
    let body = body();
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, chunk("tid12341", 1, "*", &body[..40], '+'));
    stage.pass(Duration::from_secs(500));
    stage.give(alice, chunk("tid12342", 41, "*", &body[40..60], '+'));
    stage.pass(Duration::from_secs(500));
    let key = stage.switch.named("alice");
    assert!(
        !stage
            .switch
            .rooms
            .session(key)
            .unwrap()
            .assemblies
            .get()
            .unwrap()
            .is_empty(),
        "each chunk sets the timer anew"
    );
    stage.pass(Duration::from_secs(40));
    assert!(
        stage
            .switch
            .rooms
            .session(key)
            .unwrap()
            .assemblies
            .get()
            .is_none(),
        "nothing is kept for it"
    );
    // Its chunks were answered 200, yet it is not delivered: a report says so.
    let report = stage.got(alice).remove(2);
    assert!(report.line.ends_with("REPORT"), "{}", report.line);
    assert_eq!(report.header("Message-ID"), Some("chunked1"));
    assert!(report.header("Status").unwrap().starts_with("000 408 "));
    stage.give(alice, chunk("tid12343", 61, "*", &body[60..], '$'));
    assert!(stage.raw(bob).is_empty());
    stage.pass(Duration::from_secs(540));
    assert_eq!(stage.got(alice).len(), 2, "nor is its rest");
}

fn bodiless(tid: &str, flag: char) -> String {
    let tail = format!("-------{tid}{flag}\r\n");
    request("alice", tid, "SEND", &["Message-ID: chunked1"], &tail)
}

#[test]
fn a_message_ends_without_octets_too() {
    for size in [40, 100_000] {
        let body = cpim("alice", &"x".repeat(size));
        for (flag, arrives) in [('$', true), ('#', false)] {
            let mut stage = Stage::new();
            let (alice, bob) = (stage.join("alice"), stage.join("bob"));
            stage.give(alice, chunk("tid12341", 1, "*", &body, '+'));
            stage.give(alice, bodiless("tid12342", flag));
            assert_eq!(stage.codes(alice), [200, 200]);
            let got = streams::messages(&stage.chunks(bob));
            let whole = (body.clone().into_bytes(), Some('$'));
            assert_eq!(got.contains(&whole), arrives, "{size} {flag}");
            assert!(got.iter().all(|(_, end)| *end == Some(flag)));
            assert_eq!(
                (stage.switch.streams.len(), stage.switch.budget.octets()),
                (0, 0)
            );
            stage.give(alice, bodiless("tid12343", '$'));
            assert_eq!(stage.codes(alice), [200], "a keep-alive");
        }
    }
}

#[test]
fn a_start_line_that_cannot_be_read_is_answered_and_the_end() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let broken = empty_send("alice", "ab").replace("MSRP ab SEND", "MSRP ab cd SEND");
    stage.give(alice, broken + &empty_send("alice", "tid12345"));
    assert_eq!(stage.codes(alice), [400]);
    assert_eq!(stage.finished, [alice]);
    let lost = ("alice".to_owned(), LossCause::ProtocolError);
    assert_eq!(stage.lost(), [lost]);
    assert_eq!(stage.switch.totals().not_msrp, 1);
}

#[test]
fn messages_under_assembly_are_bounded() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    for number in 0..20 {
        let text = chunk(&format!("tid123{number:02}"), 1, "*", "x", '+');
        stage.give(alice, text.replace("chunked1", &format!("chunked{number}")));
    }
    let codes = stage.codes(alice);
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 8);
    assert_eq!(codes.iter().filter(|code| **code == 413).count(), 12);
}

/// The first chunk of a message of a session.
fn first_chunk(name: &str, number: usize, headers: &[&str], octets: usize) -> String {
    let (tid, id) = (
        format!("tid{number:05}"),
        format!("Message-ID: first{number}"),
    );
    let mut all = vec![id.as_str()];
    all.extend_from_slice(headers);
    all.push("Content-Type: message/cpim");
    let end = format!("\r\n{}\r\n-------{tid}+\r\n", "x".repeat(octets));
    request(name, &tid, "SEND", &all, &end)
}

/// A room with a message that comes in two reads, which must pass.
fn passes(stage: &mut Stage) {
    let admission = |name| admission("sip:quiet@example.com", name);
    let (carol, dave) = (
        stage.enter(admission("carol")),
        stage.enter(admission("dave")),
    );
    let body = cpim_to("carol", "sip:quiet@example.com", &"y".repeat(700));
    let text = send("carol", "tid12345", &[], &body);
    let (front, rest) = text.split_at(500);
    stage.give(carol, front);
    stage.give(carol, rest);
    assert_eq!(stage.codes(carol), [200]);
    assert_eq!(stage.got(dave)[0].text(), body);
}

#[test]
fn whoever_begins_many_messages_far_out_keeps_nobody_from_speaking() {
    let mut stage = Stage::new();
    let id = stage.join("greedy0");
    for session in 1..260 {
        let name = format!("greedy{session}");
        stage.admit(admission(LOBBY, &name));
        stage.give(id, empty_send(&name, "bindtid1"));
    }
    for session in 0..260 {
        for number in 0..8 {
            let far = ["Byte-Range: 65500-*/65536"];
            stage.give(
                id,
                first_chunk(&format!("greedy{session}"), number, &far, 1),
            );
        }
    }
    assert_eq!(stage.switch.budget.octets(), 260 * 8, "what has come");
    passes(&mut stage);
}

#[test]
fn once_the_pot_is_full_the_oldest_of_the_greediest_go() {
    let mut stage = Stage::new();
    stage.switch.budget = Budget::of(128_000);
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let modest = first_chunk("bob", 1, &["Byte-Range: 1-*/*"], 3000);
    stage.give(bob, modest);
    let connections: Vec<ConnectionId> = (0..8).map(|at| stage.join(&format!("g{at}"))).collect();
    stage.pass(Duration::from_secs(1));
    for (at, id) in connections.iter().enumerate() {
        for number in 0..2 {
            let octets = 7500;
            stage.give(
                *id,
                first_chunk(&format!("g{at}"), number, &["Byte-Range: 1-*/*"], octets),
            );
            assert_eq!(stage.codes(*id), [200]);
        }
    }
    // 123,000 are held; of the greediest two lose one each.
    stage.pass(Duration::from_secs(1));
    stage.give(alice, first_chunk("alice", 1, &["Byte-Range: 1-*/*"], 6000));
    assert_eq!(stage.codes(alice), [200], "never the newest of an innocent");
    assert!(stage.switch.budget.octets() <= 120_000);
    let dropped = stage.switch.totals().unfinished_dropped;
    assert_eq!(dropped, 2);
    let mut reported = 0;
    for (at, id) in connections.iter().enumerate() {
        for report in stage.got(*id) {
            assert_eq!(report.header("Message-ID"), Some("first0"), "the oldest");
            let status = report.header("Status").unwrap();
            assert!(status.starts_with("000 413 "), "{status}");
            reported += 1;
            let rest = first_chunk(&format!("g{at}"), 0, &["Byte-Range: 7501-*/*"], 10);
            stage.give(*id, rest);
            assert_eq!(stage.codes(*id), [413], "nor is its rest taken");
        }
    }
    assert_eq!(reported, dropped);
    assert!(stage.raw(bob).len() < 300, "her answer and nothing else");
    passes(&mut stage);
}

#[test]
fn a_session_and_a_connection_have_their_own_bounds() {
    for (sessions, limit) in [(1, 128_000 / 8), (8, 128_000 / 4)] {
        let mut stage = Stage::new();
        stage.switch.budget = Budget::of(128_000);
        let id = stage.join("greedy0");
        for session in 1..sessions {
            let name = format!("greedy{session}");
            stage.admit(admission(LOBBY, &name));
            stage.give(id, empty_send(&name, "bindtid1"));
        }
        stage.raw(id);
        for number in 0..7 * sessions {
            stage.pass(Duration::from_millis(1));
            let name = format!("greedy{}", number % sessions);
            let headers = ["Byte-Range: 1-*/*", "Failure-Report: partial"];
            stage.give(id, first_chunk(&name, number, &headers, 5000));
            assert!(stage.switch.budget.octets() <= limit);
        }
        assert!(stage.switch.budget.octets() > limit - 5000);
        let kept = (limit / 5000) as u64;
        let dropped = stage.switch.totals().unfinished_dropped;
        assert_eq!(dropped, 7 * sessions as u64 - kept);
        let reports = stage.got(id);
        let named = reports.iter().map(|it| it.header("Message-ID").unwrap());
        let expected: Vec<String> = (0..dropped).map(|at| format!("first{at}")).collect();
        assert!(named.eq(expected.iter()), "the oldest first");
    }
}

#[test]
fn who_asks_for_no_report_gets_none_of_what_is_let_go() {
    let mut stage = Stage::new();
    stage.switch.budget = Budget::of(80_000);
    let alice = stage.join("alice");
    for number in 0..3 {
        let headers = ["Byte-Range: 1-*/*", "Failure-Report: no"];
        stage.give(alice, first_chunk("alice", number, &headers, 4000));
    }
    assert_eq!(stage.switch.totals().unfinished_dropped, 1);
    assert!(stage.raw(alice).is_empty());
}

#[test]
fn a_single_message_above_its_share_is_refused_itself() {
    let mut stage = Stage::new();
    stage.switch.budget = Budget::of(8000);
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let single = send("alice", "tid12342", &[], &cpim("alice", &"x".repeat(3000)));
    for piece in single.as_bytes().chunks(500) {
        stage.give(alice, piece);
    }
    assert_eq!(stage.codes(alice), [413]);
    assert_eq!(stage.switch.budget.octets(), 0);
    stage.give(alice, &single[..800]);
    assert!(stage.switch.budget.octets() > 0);
    stage.switch.closed(stage.now, alice);
    assert_eq!(stage.switch.budget.octets(), 0);
    assert!(stage.raw(bob).is_empty());
}

#[test]
fn a_send_that_stands_still_for_the_chunk_timeout_is_answered_408() {
    let mut stage = Stage::with(
        Config {
            chunk_timeout: Duration::from_secs(20),
            ..config()
        },
        Box::new(Alone),
    );
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let single = send("alice", "tid12342", &[], &cpim("alice", &"x".repeat(3000)));
    let (front, rest) = single.split_at(1000);
    stage.give(alice, front);
    stage.pass(Duration::from_secs(21));
    assert_eq!(stage.switch.budget.octets(), 0);
    stage.give(alice, rest);
    assert_eq!(stage.codes(alice), [408]);
    assert!(stage.raw(bob).is_empty());
    stage.give(alice, single.replace("tid12342", "tid12343"));
    assert_eq!(stage.codes(alice), [200]);
}

/// A conversation with everything in it.
fn conversation() -> String {
    let body = body();
    [
        send(
            "alice",
            "tid00001",
            &["Success-Report: yes"],
            &cpim("alice", "one"),
        ),
        empty_send("alice", "tid00002"),
        chunk("tid00003", 1, "*", &body[..40], '+'),
        send(
            "alice",
            "tid00004",
            &[],
            &cpim("alice", &"-------".repeat(900)),
        ),
        chunk("tid00005", 41, "*", &body[40..], '$'),
        send("alice", "tid00006", &[], &cpim("mallory", "x")),
        request(
            "alice",
            "tid00007",
            "NICKNAME",
            &["Use-Nickname: \"Al\""],
            "-------tid00007$\r\n",
        ),
        send("nobody", "tid00008", &[], &cpim("alice", "x")),
        send(
            "alice",
            "tid00009",
            &[],
            &cpim("alice", &"\u{e4}".repeat(4000)),
        ),
        request("alice", "tid00010", "FROB", &[], "-------tid00010$\r\n"),
    ]
    .concat()
}

fn outcome(cuts: &[usize]) -> (Vec<Got>, Vec<Got>) {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    // Without a focus the switch answers NICKNAMEs at once, and so in order.
    stage.switch.unclaim(stage.now, Duration::from_secs(60));
    let text = conversation();
    let mut rest = text.as_bytes();
    for cut in cuts.iter().copied().cycle() {
        let (part, tail) = rest.split_at(cut.min(rest.len()));
        stage.give(alice, part);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(stage.switch.budget.octets(), 0);
    (stage.got(alice), stage.got(bob))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_split_of_the_input_has_the_same_outcome(cuts in prop::collection::vec(1usize..4000, 1..20)) {
        prop_assert_eq!(outcome(&cuts), outcome(&[usize::MAX]));
    }

    #[test]
    fn arbitrary_octets_never_panic(parts in prop::collection::vec(any::<Vec<u8>>(), 1..4)) {
        let mut stage = Stage::new();
        let alice = stage.join("alice");
        stage.give(alice, b"MSRP ");
        for part in parts {
            stage.give(alice, part);
        }
    }

    #[test]
    fn damaged_octets_never_panic_and_leave_others_alone(at in 0usize..9000, octet in any::<u8>()) {
        let mut stage = Stage::new();
        let (alice, bob) = (stage.join("alice"), stage.join("bob"));
        let mut text = conversation().into_bytes();
        let at = at % text.len();
        text[at] = octet;
        stage.give(alice, text);
        stage.raw(bob);
        stage.give(bob, empty_send("bob", "tid12345"));
        prop_assert_eq!(stage.codes(bob), [200]);
    }
}

#[test]
fn a_chunk_far_out_costs_no_more_than_its_octets() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let body = cpim("alice", &"x".repeat(60_000));
    let (front, last) = body.split_at(body.len() - 1);
    stage.give(alice, chunk("tid12341", body.len(), "*", last, '$'));
    assert_eq!(stage.switch.budget.octets(), 1);
    stage.give(alice, chunk("tid12342", 1, "*", front, '+'));
    assert_eq!(stage.switch.budget.octets(), 0);
    assert_eq!(stage.got(bob)[0].text(), body);
}
