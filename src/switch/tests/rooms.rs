//! The receivers of messages: RFC 7701 §6 and §7.

use super::*;

#[test]
fn g23_everybody_but_the_senders_session_gets_a_message() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let others = ["bob", "carol", "alice-tablet"].map(|name| stage.join(name));
    let stranger = stage.enter(admission("sip:other@example.com", "dave"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "hi")));
    assert_eq!(stage.codes(alice), [200]);
    for id in others {
        assert_eq!(
            stage.texts(id),
            ["hi"],
            "G29: also the sender's other device"
        );
    }
    assert!(stage.raw(stranger).is_empty());
}

#[test]
fn g25_who_cannot_take_the_wrapped_type_is_skipped() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let with = |types: &[&str], wrapped: &[&str], name: &str| {
        let mut head = admission(LOBBY, name);
        head.peer.accept_types = types.iter().map(|&text| text.to_owned()).collect();
        head.peer.accept_wrapped_types = wrapped.iter().map(|&text| text.to_owned()).collect();
        head
    };
    let takes = [
        with(&["message/cpim"], &["text/*"], "bob"),
        with(&["message/cpim"], &["image/png", "TEXT/plain"], "carol"),
        with(&["message/cpim", "text/plain"], &[], "dave"),
        with(&["message/cpim", "*"], &["image/png"], "erin"),
        with(&["message/cpim"], &[], "frank"),
    ];
    let takes = takes.map(|head| stage.enter(head));
    let skipped = [
        with(&["message/cpim"], &["image/*"], "grace"),
        with(&["message/cpim", "text/html"], &[], "heidi"),
    ];
    let skipped = skipped.map(|head| stage.enter(head));
    let body = cpim("alice", "hi").replace("text/plain", "text/plain; charset=utf-8");
    stage.give(alice, send("alice", "tid12345", &[], &body));
    for id in takes {
        assert_eq!(stage.texts(id), ["hi"]);
    }
    for id in skipped {
        assert!(stage.raw(id).is_empty());
    }
    assert_eq!(stage.codes(alice), [200], "the sender is not told");
}

#[test]
fn c85_c87_who_receives_nothing_or_not_so_much_is_skipped() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let mut deaf = admission(LOBBY, "bob");
    deaf.peer.receives = false;
    let mut small = admission(LOBBY, "carol");
    small.peer.max_size = Some(200);
    let (bob, carol) = (stage.enter(deaf), stage.enter(small));
    stage.give(
        alice,
        send("alice", "tid12345", &[], &cpim("alice", &"x".repeat(200))),
    );
    stage.give(
        alice,
        send("alice", "tid12346", &[], &cpim("alice", "small")),
    );
    assert!(stage.raw(bob).is_empty());
    assert_eq!(stage.texts(carol), ["small"]);
}

#[test]
fn g40_a_private_message_goes_to_all_sessions_of_one_member() {
    let mut stage = Stage::new();
    let (alice, carol) = (stage.join("alice"), stage.join("carol"));
    let bobs = ["bob", "bob-2"].map(|name| stage.join(name));
    let body = cpim_to("alice", "sip:bob@example.com", "psst");
    stage.give(alice, send("alice", "tid12345", &[], &body));
    assert_eq!(stage.codes(alice), [200]);
    for id in bobs {
        assert_eq!(stage.got(id)[0].body.as_deref(), Some(body.as_bytes()));
    }
    assert!(stage.raw(carol).is_empty());
}

#[test]
fn g41_an_unknown_recipient_is_404() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    for to in [
        "sip:nobody@example.com",
        "mailto:x",
        "sip:lobby@other.example.com",
    ] {
        stage.give(
            alice,
            send("alice", "tid12345", &[], &cpim_to("alice", to, "psst")),
        );
        assert_eq!(stage.codes(alice), [404], "{to}");
    }
}

#[test]
fn g42_g45_a_recipient_without_private_messages_is_428() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let mut unable = admission(LOBBY, "bob");
    unable.peer.private_messages = false;
    let bob = stage.enter(unable);
    let text = send(
        "alice",
        "tid12345",
        &[],
        &cpim_to("alice", "sip:bob@example.com", "psst"),
    );
    stage.give(alice, &text);
    assert_eq!(stage.codes(alice), [428]);
    let able = stage.join("bob-2");
    stage.give(alice, &text);
    assert_eq!(stage.codes(alice), [200]);
    assert_eq!(stage.texts(able), ["psst"]);
    assert!(stage.raw(bob).is_empty(), "it would look public");
}

#[test]
fn g43_a_room_without_private_messages_is_403() {
    let mut stage = Stage::new();
    let names = ["alice", "bob"].map(|name| {
        let mut head = admission(LOBBY, name);
        head.policy.private_messages = false;
        stage.enter(head)
    });
    stage.give(
        names[0],
        send(
            "alice",
            "tid12345",
            &[],
            &cpim_to("alice", "sip:bob@example.com", "psst"),
        ),
    );
    assert_eq!(stage.codes(names[0]), [403]);
}

#[test]
fn p11_a_disposition_notification_reaches_a_member_without_private_messages() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let mut unable = admission(LOBBY, "bob");
    unable.peer.private_messages = false;
    let bob = stage.enter(unable);
    let body = cpim_to("alice", "sip:bob@example.com", "<imdn/>")
        .replace("text/plain", "message/imdn+xml");
    // A notification by content type only counts as a private message.
    stage.give(alice, send("alice", "tid12344", &[], &body));
    assert_eq!(stage.codes(alice), [428]);
    let body = body.replace(
        "imdn+xml\r\n",
        "imdn+xml\r\nContent-Disposition: Notification; handling=optional\r\n",
    );
    stage.give(alice, send("alice", "tid12345", &[], &body));
    assert_eq!(stage.codes(alice), [200]);
    assert_eq!(stage.texts(bob), ["<imdn/>"]);
}

#[test]
fn g42_who_says_nothing_of_chat_rooms_gets_private_messages() {
    let psst = send(
        "alice",
        "tid12345",
        &[],
        &cpim_to("alice", "sip:bob@example.com", "psst"),
    );
    let cases: [(bool, &[&str], u16); 3] = [
        (false, &["text/plain"], 200),
        (false, &["text/html"], 428),
        (true, &["text/plain"], 428),
    ];
    for (chatroom, types, code) in cases {
        let mut stage = Stage::new();
        let alice = stage.join("alice");
        let mut head = admission(LOBBY, "bob");
        head.peer.private_messages = false;
        head.peer.chatroom = chatroom;
        head.peer.accept_wrapped_types = types.iter().map(|it| (*it).to_owned()).collect();
        stage.admit(head);
        let bob = stage.switch.opened(stage.now);
        stage.give(bob, empty_send("bob", "bindtid1"));
        // Bob may get a welcome.
        stage.raw(bob);
        stage.give(alice, &psst);
        assert_eq!(stage.codes(alice), [code], "{chatroom} {types:?}");
        assert_eq!(stage.texts(bob).len(), usize::from(code == 200));
    }
}

#[test]
fn a_private_message_that_cannot_be_given_is_refused() {
    type Change = fn(&mut Peer);
    let cases: [(Change, u16); 4] = [
        (|peer| peer.receives = false, 403),
        (|peer| peer.max_size = Some(20), 413),
        (
            |peer| peer.accept_wrapped_types = vec!["text/html".into()],
            415,
        ),
        (|_| {}, 200),
    ];
    let psst = cpim_to("alice", "sip:bob@example.com", "psst");
    let psst = send("alice", "tid12345", &["Success-Report: yes"], &psst);
    for (change, code) in cases {
        let mut stage = Stage::new();
        let alice = stage.join("alice");
        let mut head = admission(LOBBY, "bob");
        change(&mut head.peer);
        let bob = stage.enter(head);
        stage.give(alice, &psst);
        let got = stage.got(alice);
        assert!(got[0].line.ends_with(&code.to_string()), "{}", got[0].line);
        assert_eq!(got.len(), 1 + usize::from(code == 200), "a report");
        // Another device of hers that can.
        stage.join("bob-2");
        stage.give(alice, &psst);
        assert!(stage.got(alice)[0].line.ends_with("200"));
        stage.raw(bob);
    }
}

#[test]
fn nothing_goes_out_before_it_is_known_where_to() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let mut unanswered = admission(LOBBY, "bob");
    let path = std::mem::take(&mut unanswered.peer.path);
    let bob = stage.enter(unanswered.clone());
    stage.give(alice, send("alice", "tid12341", &[], &cpim("alice", "one")));
    let large = cpim("alice", &"x".repeat(100_000));
    stage.give(alice, send("alice", "tid12342", &[], &large));
    stage.give(alice, send("alice", "tid12343", &[], &cpim("alice", "two")));
    assert!(stage.raw(bob).is_empty());
    stage.give(bob, empty_send("bob", "tid12344"));
    assert_eq!(stage.codes(bob), [200], "to where it came from");
    unanswered.peer.path = path;
    let order = Order::Amend(Box::new(unanswered));
    stage.switch.order(stage.now, order);
    let chunks = stage.chunks(bob);
    let to = peer_uri("bob");
    assert!(chunks.iter().all(|it| it.header("To-Path") == to));
    let got = streams::messages(&chunks);
    assert_eq!(got.len(), 3);
    assert!(got[0].0.ends_with(b"one"));
    assert!(got.contains(&(large.into_bytes(), Some('$'))));
}

#[test]
fn g44_the_report_about_a_private_message_names_from_and_to() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.join("bob");
    let body = cpim_to("alice", "sip:bob@example.com", "psst");
    stage.give(
        alice,
        send("alice", "tid12345", &["Success-Report: yes"], &body),
    );
    let report = &stage.got(alice)[1];
    assert!(report.line.ends_with(" REPORT"));
    assert_eq!(report.header("Content-Type"), Some("message/cpim"));
    assert!(
        report
            .text()
            .starts_with("From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\r\n")
    );
}

#[test]
fn an_idle_connection_owns_no_buffers() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let text = send("alice", "tid12345", &[], &cpim("alice", &"x".repeat(5000)));
    for part in text.as_bytes().chunks(777) {
        stage.give(alice, part);
    }
    assert_eq!(stage.texts(bob).len(), 1);
    for id in [alice, bob] {
        let connection = stage.switch.connections.get(id).unwrap();
        assert_eq!(connection.unread.capacity(), 0);
        assert_eq!(connection.replies.capacity(), 0);
        assert!(connection.incoming.is_none());
    }
}

#[test]
fn a_private_message_costs_nobody_else_anything_and_keeps_its_place() {
    let mut stage = Stage::new();
    let (alice, bob, carol) = (stage.join("alice"), stage.join("bob"), stage.join("carol"));
    for id in [bob, carol] {
        stage.switch.blocked(stage.now, id, true);
    }
    let private = |tid: &str, text: &str| {
        let body = cpim_to("alice", "sip:bob@example.com", text);
        send("alice", tid, &[], &body)
    };
    stage.give(alice, private("tid12341", "p1"));
    let room = stage.switch.room(LOBBY).unwrap();
    assert_eq!(room.log.octets(), 0);
    for (tid, text) in [("tid12342", "one"), ("tid12343", "two")] {
        stage.give(alice, send("alice", tid, &[], &cpim("alice", text)));
        stage.give(
            alice,
            private(&tid.replace("tid", "pri"), &format!("after {text}")),
        );
    }
    for id in [bob, carol] {
        stage.switch.blocked(stage.now, id, false);
    }
    assert_eq!(
        stage.texts(bob),
        ["p1", "one", "after one", "two", "after two"]
    );
    assert_eq!(stage.texts(carol), ["one", "two"]);
}

#[test]
fn private_messages_to_who_reads_nothing_are_bounded() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.switch.blocked(stage.now, bob, true);
    for number in 0..100 {
        let text = format!("{number:03}{}", "x".repeat(10_000));
        let body = cpim_to("alice", "sip:bob@example.com", &text);
        stage.give(alice, send("alice", "tid12345", &[], &body));
        let session = stage.switch.rooms.session(stage.switch.named("bob"));
        assert!(session.unwrap().own.octets() <= config().outbox_bytes);
    }
    stage.switch.blocked(stage.now, bob, false);
    let mut got = stage.texts(bob);
    let lost = 100 - (got.len() - 1);
    assert!(
        got.remove(0)
            .starts_with(&format!("{lost} messages were not delivered"))
    );
    assert!(got[0].starts_with(&format!("{lost:03}")), "the oldest go");
    assert_eq!(stage.switch.totals().drops_slow_reader, lost as u64);
}

#[test]
fn who_must_leave_gets_what_waits_without_a_copy_of_it() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let slow: Vec<_> = (0..20)
        .map(|number| stage.join(&format!("user{number}")))
        .collect();
    for id in &slow {
        stage.switch.blocked(stage.now, *id, true);
    }
    for number in 0..10 {
        let text = format!("{number}{}", "x".repeat(10_000));
        stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", &text)));
    }
    let room = RoomUri::new(LOBBY);
    stage.switch.order(stage.now, Order::Close { room });
    stage.pump();
    assert_eq!(stage.switch.sessions(), 0);
    for id in &slow {
        let connection = stage.switch.connections.get(*id).unwrap();
        assert_eq!(connection.replies.len(), 0);
        let session = stage.switch.rooms.session(connection.sessions[0]).unwrap();
        assert_eq!(
            std::sync::Arc::strong_count(session.own.first().unwrap()),
            20
        );
    }
    // Meanwhile it is over for them, and the room may begin anew.
    stage.give(slow[0], empty_send("user0", "tid12346"));
    let again = stage.join("user0");
    assert_eq!(stage.switch.sessions(), 1);
    for id in &slow[..19] {
        stage.switch.blocked(stage.now, *id, false);
        assert_eq!(stage.texts(*id).len(), 10);
    }
    assert_eq!(stage.finished.len(), 20, "with alice");
    stage.pass(Duration::from_secs(5));
    assert_eq!(stage.cut, [], "his grace begins when he has left");
    stage.pass(Duration::from_secs(5));
    assert_eq!(stage.cut, [slow[19]]);
    assert_eq!(stage.lost(), []);
    stage.give(again, empty_send("user0", "tid12347"));
    assert_eq!(stage.codes(again), [200]);
}

#[test]
fn a_room_of_thousands_ends_in_turns() {
    let mut stage = Stage::new();
    for number in 0..1_000 {
        stage.admit(admission(LOBBY, &format!("user{number}")));
    }
    let room = RoomUri::new(LOBBY);
    stage.switch.order(stage.now, Order::Close { room });
    assert!(stage.switch.go_on(stage.now));
    let left = stage.switch.sessions();
    assert!(left > 0 && left < 1_000, "{left}");
    // A newcomer joins a room that continues.
    stage.admit(admission(LOBBY, "later"));
    while stage.switch.go_on(stage.now) {}
    assert_eq!(stage.switch.sessions(), 1);
    assert!(stage.switch.rooms.named("later").is_some());
}
