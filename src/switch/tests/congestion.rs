//! Receivers that are too slow, and what the switch itself tells: RFC 7701 §6.4, §11.

use super::*;

const COMPOSING: &str = "application/im-iscomposing+xml";

#[test]
fn g52_a_slow_receiver_loses_the_oldest_is_told_and_nobody_else_anything() {
    let mut stage = Stage::new();
    let (alice, bob, carol) = (stage.join("alice"), stage.join("bob"), stage.join("carol"));
    stage.switch.blocked(stage.now, bob, true);
    let rounds = 3 * config().outbox_bytes / 10_000;
    let mut texts = Vec::new();
    for round in 0..rounds {
        let text = format!("{round:08}{}", "x".repeat(10_000));
        stage.give_in_time(alice, send("alice", "tid12345", &[], &cpim("alice", &text)));
        texts.push(text);
        let room = stage.switch.room(LOBBY).unwrap();
        assert!(room.log.octets() <= config().outbox_bytes);
    }
    assert_eq!(stage.texts(carol), texts);
    stage.switch.blocked(stage.now, bob, false);
    let mut got = stage.texts(bob);
    let told = got.remove(0);
    assert!(!got.is_empty() && got.len() < texts.len());
    assert_eq!(got, texts[texts.len() - got.len()..]);
    let dropped = (texts.len() - got.len()) as u64;
    assert_eq!(stage.switch.totals().drops_slow_reader, dropped);
    assert!(
        told.starts_with(&format!("{dropped} messages were not delivered")),
        "{told}"
    );
    let room = stage.switch.room(LOBBY).unwrap();
    assert_eq!(room.log.octets(), 0);
}

fn typing(name: &str, tid: &str) -> String {
    let body = cpim(name, &"x".repeat(150)).replace("text/plain", COMPOSING);
    send(name, tid, &["Failure-Report: no"], &body)
}

/// Says so much that the lobby's log holds at least `octets`.
fn fill(stage: &mut Stage, from: ConnectionId, octets: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for round in 0..octets.div_ceil(10_000) {
        let text = format!("{round:08}{}", "x".repeat(10_000));
        let tid = format!("fill{round:04}");
        stage.give_in_time(
            from,
            send(
                "alice",
                &tid,
                &["Failure-Report: no"],
                &cpim("alice", &text),
            ),
        );
        texts.push(text);
    }
    texts
}

#[test]
fn g52_slow_reader_disconnect_ends_the_session() {
    let config = Config {
        slow_reader: SlowReader::Disconnect,
        ..config()
    };
    let mut stage = Stage::with(config, Box::new(Alone));
    let (alice, bob, carol) = (stage.join("alice"), stage.join("bob"), stage.join("carol"));
    stage.switch.blocked(stage.now, bob, true);
    let texts = fill(&mut stage, alice, 2 * config.outbox_bytes);
    assert_eq!(stage.lost(), [("bob".to_owned(), LossCause::TooSlow)]);
    assert_eq!(stage.texts(carol), texts, "everybody else is undisturbed");
    stage.pass(Duration::from_secs(6));
    assert_eq!(stage.cut, [bob]);
}

#[test]
fn g52_a_large_message_with_disconnect_ends_the_session_that_lags() {
    let config = Config {
        slow_reader: SlowReader::Disconnect,
        ..config()
    };
    let mut stage = Stage::with(config, Box::new(Alone));
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.switch.blocked(stage.now, bob, true);
    let body = cpim("alice", &"x".repeat(120_000));
    let text = send("alice", "tid12345", &[], &body);
    for piece in text.as_bytes().chunks(10_000) {
        stage.give(alice, piece);
    }
    assert_eq!(stage.lost(), []);
    stage.pass(Duration::from_secs(3));
    let _ = stage.codes(alice);
    // The message is complete: it waits for bob, like everything within an outbox.
    assert_eq!(stage.lost(), []);
    let text = send(
        "alice",
        "tid12346",
        &[],
        &cpim("alice", &"y".repeat(900_000)),
    );
    for piece in text.as_bytes().chunks(10_000) {
        if !stage.switch.paused(alice) {
            stage.give(alice, piece);
        }
    }
    stage.pass(Duration::from_secs(3));
    assert_eq!(stage.lost(), [("bob".to_owned(), LossCause::TooSlow)]);
}

#[test]
fn g52_the_notice_is_a_status_for_clients_that_know_it() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.switch.blocked(stage.now, bob, true);
    fill(&mut stage, alice, 2 * config().outbox_bytes);
    stage.switch.blocked(stage.now, bob, false);
    let notice = &stage.got(bob)[0];
    let text = notice.text();
    assert!(text.starts_with(&format!("From: <{LOBBY}>\r\nTo: <{LOBBY}>\r\nDateTime: ")));
    let status = "NS: agp <urn:ag-projects:xml:ns:cpim>\r\nagp.Message-Type: status\r\n";
    assert!(text.contains(status), "{text}");
    stage.give(
        alice,
        send("alice", "tid12345", &[], &cpim("alice", "later")),
    );
    assert_eq!(stage.texts(bob), ["later"], "told once");
}

#[test]
fn p21_what_says_that_somebody_is_typing_is_dropped_first_and_is_no_loss() {
    let mut stage = Stage::new();
    let (alice, bob, carol) = (stage.join("alice"), stage.join("bob"), stage.join("carol"));
    stage.switch.blocked(stage.now, bob, true);
    stage.give(carol, typing("carol", "typing01"));
    let texts = fill(&mut stage, alice, config().outbox_bytes / 10 * 9);
    stage.give(carol, typing("carol", "typing02"));
    assert_eq!(stage.switch.totals().drops_slow_reader, 0);
    stage.switch.blocked(stage.now, bob, false);
    assert_eq!(stage.texts(bob), texts, "no notice either");
    stage.give(carol, typing("carol", "typing03"));
    assert_eq!(stage.texts(bob).len(), 1, "a fast reader gets it");
}

#[test]
fn p20_typing_reaches_everybody_but_who_comes_later() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, typing("alice", "typing01"));
    let carol = stage.join("carol");
    assert_eq!(stage.texts(bob).len(), 1);
    assert!(stage.raw(carol).is_empty());
    assert!(stage.raw(alice).is_empty());
}

#[test]
fn g10_who_does_not_know_chat_rooms_is_welcomed_with_a_roster() {
    let mut stage = Stage::new();
    stage.join("alice");
    stage.join("alice-tablet");
    stage.join("carol");
    let mut head = admission(LOBBY, "bob");
    head.peer.chatroom = false;
    stage.admit(head);
    let bob = stage.switch.opened(stage.now);
    stage.give(bob, empty_send("bob", "bindtid1"));
    let got = stage.got(bob);
    assert_eq!(
        got[0].line, "MSRP bindtid1 200",
        "the bind is answered first"
    );
    assert_eq!(got.len(), 2);
    let text = got[1].text();
    assert!(text.contains("agp.Message-Type: status"), "{text}");
    assert!(
        text.ends_with(
            "This is the chat room sip:lobby@example.com. \
         Here are: sip:alice@example.com, sip:carol@example.com"
        ),
        "{text}"
    );
    let dave = stage.join("dave");
    assert!(
        stage.raw(dave).is_empty(),
        "who knows chat rooms hears nothing"
    );
}

#[test]
fn g52_large_messages_do_not_pile_up_for_who_takes_nothing() {
    let mut stage = Stage::new();
    let (alice, bob, carol) = (stage.join("alice"), stage.join("bob"), stage.join("carol"));
    stage.switch.blocked(stage.now, bob, true);
    let mut sent = Vec::new();
    for number in 0..20u32 {
        let body = cpim("alice", &format!("{number:04}{}", "x".repeat(100_000)));
        let text = send("alice", &format!("tid{number:05}"), &[], &body);
        for piece in text.as_bytes().chunks(20_000) {
            stage.give(alice, piece);
        }
        sent.push(body.into_bytes());
        assert!(stage.switch.budget.octets() <= 2 * config().outbox_bytes);
    }
    assert_eq!(stage.codes(alice), [200; 20]);
    let all: Vec<_> = sent.iter().map(|body| (body.clone(), Some('$'))).collect();
    assert_eq!(streams::messages(&stage.chunks(carol)), all);
    stage.switch.blocked(stage.now, bob, false);
    let to_bob = streams::messages(&stage.chunks(bob));
    assert!(to_bob[0].0.ends_with(b"your connection is too slow."));
    assert!(
        to_bob.len() > 1 && all.ends_with(&to_bob[1..]),
        "the newest"
    );
    assert_eq!(
        (stage.switch.streams.len(), stage.switch.budget.octets()),
        (0, 0)
    );
}

/// Lets alice speak as fast as she is read, while bob reads up to `pace` octets at a time.
fn flood(pace: usize, rounds: usize) -> (Stage, ConnectionId, Vec<String>, Vec<String>) {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.switch.blocked(stage.now, bob, true);
    let (mut said, mut read) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for _ in 0..100 {
            if stage.switch.paused(alice) {
                break;
            }
            let text = format!("{:08}{}", said.len(), "x".repeat(2_000));
            let words = send("alice", "tid12345", &[], &cpim("alice", &text));
            stage.give(alice, words);
            said.push(text);
        }
        stage.raw(alice);
        if pace == 0 {
            stage.pass(Duration::from_millis(500));
            continue;
        }
        // One write to bob.
        stage.switch.blocked(stage.now, bob, false);
        let key = stage.switch.named("bob");
        let mut batch = Batch::default();
        stage.switch.drain(stage.now, key, pace, &mut batch);
        stage.written.entry(bob).or_default().extend(batch.to_vec());
        stage.switch.blocked(stage.now, bob, true);
        read.extend(stage.texts(bob));
        stage.pass(Duration::from_millis(500));
    }
    (stage, bob, said, read)
}

#[test]
fn who_reads_fast_enough_loses_nothing_of_a_flood() {
    let outbox = config().outbox_bytes;
    let (mut stage, bob, said, mut read) = flood(outbox / 8, 50);
    assert!(read.len() > 100);
    assert_eq!(stage.switch.totals().drops_slow_reader, 0);
    stage.switch.blocked(stage.now, bob, false);
    read.extend(stage.texts(bob));
    assert_eq!(read, said);
}

#[test]
fn who_reads_nothing_holds_a_flood_up_for_a_moment_only() {
    let (mut stage, bob, said, read) = flood(0, 10);
    assert!(read.is_empty());
    assert!(said.len() > 5 * 100, "{}", said.len());
    let lost = stage.switch.totals().drops_slow_reader;
    // As before, messages within an outbox are not lost.
    stage.switch.blocked(stage.now, bob, false);
    let read = stage.texts(bob);
    assert_eq!(read.len() as u64 - 1 + lost, said.len() as u64);
    assert!(read.len() * 2_000 > config().outbox_bytes / 2);
    // Bob has caught up: speakers wait for him again.
    let room = stage.switch.room(LOBBY).unwrap();
    assert_eq!(room.held.stragglers, 0);
}
