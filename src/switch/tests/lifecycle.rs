//! Sessions and connections: RFC 4975 §5.4.

use super::*;

#[test]
fn c60_the_first_send_binds_and_is_answered_before_anything_else() {
    let mut stage = Stage::new();
    stage.admit(admission(LOBBY, "alice"));
    let bob = stage.join("bob");
    stage.give(bob, send("bob", "tid12345", &[], &cpim("bob", "early")));
    let alice = stage.switch.opened(stage.now);
    stage.give(alice, empty_send("alice", "tid12346"));
    let got = stage.got(alice);
    assert_eq!(got[0].line, "MSRP tid12346 200");
    assert!(got[1].text().ends_with("early"), "C61: queued, not lost");
    assert_eq!(
        stage.notices(),
        [Notice::Bound {
            room: RoomUri::new(LOBBY),
            session: SessionId::new("alice"),
        }]
    );
}

#[test]
fn admit_is_answered() {
    let mut stage = Stage::new();
    stage.admit(admission(LOBBY, "alice"));
    let (room, session) = (RoomUri::new(LOBBY), SessionId::new("alice"));
    assert_eq!(stage.notices(), [Notice::Admitted { room, session }]);
    stage.switch.stop();
    stage.admit(admission(LOBBY, "bob"));
    let notices = stage.notices();
    assert!(matches!(
        notices[..],
        [Notice::Refused {
            error: AdmitError::Stopping,
            ..
        }]
    ));
}

#[test]
fn a_full_switch_refuses() {
    let full = Config {
        max_sessions: 1,
        ..config()
    };
    let mut stage = Stage::with(full, Box::new(Alone));
    stage.join("alice");
    stage.admit(admission(LOBBY, "bob"));
    let notices = stage.notices();
    assert!(matches!(
        notices[..],
        [Notice::Refused {
            error: AdmitError::Full,
            ..
        }]
    ));
}

#[test]
fn c60_a_nickname_or_a_message_binds_as_well() {
    let mut stage = Stage::new();
    for (name, text) in [
        (
            "alice",
            request(
                "alice",
                "tid12345",
                "NICKNAME",
                &["Use-Nickname: Al"],
                "-------tid12345$\r\n",
            ),
        ),
        ("bob", send("bob", "tid12345", &[], &cpim("bob", "hi"))),
    ] {
        stage.admit(admission(LOBBY, name));
        let id = stage.switch.opened(stage.now);
        stage.give(id, text);
        assert_eq!(stage.got(id)[0].line, "MSRP tid12345 200");
        let bound = stage
            .notices()
            .into_iter()
            .any(|notice| matches!(notice, Notice::Bound { .. }));
        assert!(bound, "{name}");
    }
}

#[test]
fn c61_nothing_is_sent_before_the_bind() {
    let mut stage = Stage::new();
    stage.admit(admission(LOBBY, "alice"));
    let id = stage.switch.opened(stage.now);
    let bob = stage.join("bob");
    stage.give(bob, send("bob", "tid12345", &[], &cpim("bob", "hi")));
    assert!(stage.raw(id).is_empty());
}

#[test]
fn c62_an_unknown_session_is_481() {
    let mut stage = Stage::new();
    let id = stage.switch.opened(stage.now);
    stage.give(id, empty_send("nobody", "tid12345"));
    assert_eq!(stage.codes(id), [481]);
    let alice = stage.join("alice");
    stage.give(alice, empty_send("nobody", "tid12346"));
    let two = empty_send("alice", "tid12347")
        .replace("To-Path: ", "To-Path: msrp://r.example.com:9/r;tcp ");
    stage.give(alice, two);
    assert_eq!(stage.codes(alice), [481, 481]);
}

#[test]
fn c62_bound_elsewhere_506() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let thief = stage.switch.opened(stage.now);
    stage.give(thief, empty_send("alice", "tid12345"));
    assert_eq!(stage.codes(thief), [506]);
    stage.give(alice, empty_send("alice", "tid12346"));
    assert_eq!(stage.codes(alice), [200]);
}

#[test]
fn c65_the_session_id_finds_the_session_whatever_the_address() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let other = empty_send("alice", "tid12345").replace("192.0.2.1:2855", "chat.example.com:2855");
    stage.give(alice, other);
    assert_eq!(stage.codes(alice), [200]);
    stage.give(
        alice,
        empty_send("alice", "tid12346").replace("/alice;", "/ALICE;"),
    );
    assert_eq!(stage.codes(alice), [481]);
}

#[test]
fn c63_connection_loss_loses_all_sessions_on_it() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.admit(admission("sip:other@example.com", "alice-2"));
    stage.give(alice, empty_send("alice-2", "tid12345"));
    assert_eq!(stage.codes(alice), [200]);
    stage.notices();
    stage.switch.closed(stage.now, alice);
    let mut lost = stage.lost();
    lost.sort();
    let expected = ["alice", "alice-2"].map(|name| (name.to_owned(), LossCause::Disconnected));
    assert_eq!(lost, expected);
    assert_eq!(stage.switch.sessions(), 0);
}

impl PartialOrd for LossCause {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LossCause {
    fn cmp(&self, _other: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

#[test]
fn c64_expel_closes_the_connection_unless_others_live_on_it() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let other = "sip:other@example.com";
    stage.admit(admission(other, "alice-2"));
    stage.give(alice, empty_send("alice-2", "tid12345"));
    let expel = |name: &str, room: &str| Order::Expel {
        room: RoomUri::new(room),
        session: SessionId::new(name),
    };
    stage.switch.order(stage.now, expel("alice", LOBBY));
    stage.pump();
    assert_eq!(stage.finished, []);
    stage.switch.order(stage.now, expel("alice-2", other));
    stage.pump();
    assert_eq!(stage.finished, [alice]);
    assert_eq!(stage.lost(), [], "an order is not a loss");
}

#[test]
fn expel_flushes_what_is_queued() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.switch.received(
        stage.now,
        alice,
        send("alice", "tid12345", &[], &cpim("alice", "bye")).as_bytes(),
    );
    let order = Order::Expel {
        room: RoomUri::new(LOBBY),
        session: SessionId::new("bob"),
    };
    stage.switch.order(stage.now, order);
    assert_eq!(stage.texts(bob), ["bye"]);
    assert_eq!(stage.finished, [bob]);
}

fn part(name: &str) -> Order {
    Order::Part {
        room: RoomUri::new(LOBBY),
        session: SessionId::new(name),
    }
}

#[test]
fn who_parts_is_in_the_room_no_more_and_connected_until_expelled() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.switch.order(stage.now, part("bob"));
    stage.pump();
    assert_eq!((stage.finished.len(), stage.switch.sessions()), (0, 1));
    stage.give(
        alice,
        send("alice", "tid12345", &[], &cpim("alice", "he is gone")),
    );
    stage.give(bob, send("bob", "tid12346", &[], &cpim("bob", "am I?")));
    assert_eq!(stage.codes(bob), [481]);
    assert_eq!(stage.texts(bob), [""; 0]);
    stage.switch.order(
        stage.now,
        Order::Expel {
            room: RoomUri::new(LOBBY),
            session: SessionId::new("bob"),
        },
    );
    stage.pump();
    assert_eq!(stage.finished, [bob]);
    assert_eq!(stage.lost(), [], "an order is not a loss");
}

#[test]
fn who_parts_is_connected_for_a_second_at_most() {
    let mut stage = Stage::new();
    let bob = stage.join("bob");
    stage.switch.order(stage.now, part("bob"));
    stage.pass(Duration::from_millis(999));
    assert_eq!(stage.finished, []);
    stage.pass(Duration::from_millis(1));
    stage.pump();
    assert_eq!(stage.finished, [bob]);
    assert!(stage.switch.rooms.nobody_lingers());
    // One that has no connection has nothing to wait for.
    stage.admit(admission(LOBBY, "carol"));
    stage.switch.order(stage.now, part("carol"));
    assert!(stage.switch.rooms.nobody_lingers());
}

#[test]
fn a_peer_that_closes_first_leaves_nothing_of_its_parting() {
    let mut stage = Stage::new();
    let bob = stage.join("bob");
    stage.switch.order(stage.now, part("bob"));
    stage.switch.closed(stage.now, bob);
    assert!(stage.switch.rooms.nobody_lingers());
    assert_eq!(stage.lost(), []);
}

#[test]
fn a_dialled_party_that_answers_and_never_connects_is_lost_after_bind_timeout() {
    let mut stage = Stage::new();
    // It may ring for minutes.
    let mut ringing = admission(LOBBY, "alice");
    let answered = ringing.clone();
    ringing.policy.bind_timeout += Duration::from_secs(200);
    ringing.peer = Peer::silent();
    stage.admit(ringing);
    stage.pass(Duration::from_secs(60));
    stage
        .switch
        .order(stage.now, Order::Amend(Box::new(answered)));
    stage.pass(Duration::from_secs(31));
    assert_eq!(stage.lost(), []);
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.lost(), [("alice".to_owned(), LossCause::NeverBound)]);
}

#[test]
fn a_message_that_came_with_the_invite_is_said_after_the_usual_checks() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.admit(admission(LOBBY, "bob"));
    let submit = |text: &str, from: &str| Order::Submit {
        room: RoomUri::new(LOBBY),
        session: SessionId::new("bob"),
        message: cpim(from, text).into(),
    };
    stage.switch.order(stage.now, submit("hello", "bob"));
    assert_eq!(stage.texts(alice), ["hello"]);
    stage.switch.order(stage.now, submit("it was she", "alice"));
    assert_eq!(stage.texts(alice), [""; 0]);
    let bob = stage.switch.opened(stage.now);
    stage.give(bob, empty_send("bob", "tid12345"));
    let told = stage.texts(bob);
    assert!(told[0].contains("not delivered: 403"), "{told:?}");
}

#[test]
fn close_ends_every_session_of_the_room() {
    let mut stage = Stage::new();
    let ids = ["alice", "bob"].map(|name| stage.join(name));
    let other = stage.enter(admission("sip:other@example.com", "carol"));
    stage.switch.order(
        stage.now,
        Order::Close {
            room: RoomUri::new(LOBBY),
        },
    );
    stage.pump();
    stage.finished.sort();
    assert_eq!(stage.finished, ids);
    stage.give(other, empty_send("carol", "tid12345"));
    assert_eq!(stage.codes(other), [200]);
    assert_eq!(stage.switch.sessions(), 1);
}

#[test]
fn a_session_nobody_binds_is_lost() {
    let mut stage = Stage::new();
    stage.admit(admission(LOBBY, "alice"));
    stage.pass(Duration::from_secs(31));
    assert_eq!(stage.lost(), []);
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.lost(), [("alice".to_owned(), LossCause::NeverBound)]);
}

#[test]
fn a_connection_that_binds_nothing_is_closed() {
    let mut stage = Stage::new();
    let id = stage.switch.opened(stage.now);
    let alice = stage.join("alice");
    stage.pass(Duration::from_secs(32));
    assert_eq!(stage.cut, [id]);
    stage.give(alice, empty_send("alice", "tid12345"));
    assert_eq!(stage.codes(alice), [200]);
}

#[test]
fn an_unbound_connection_may_not_send_much() {
    let mut stage = Stage::new();
    stage.join("alice");
    let id = stage.switch.opened(stage.now);
    for _ in 0..1000 {
        stage.give(id, empty_send("alice", "tid12345"));
    }
    assert_eq!(stage.cut, [id]);
    assert_eq!(stage.switch.totals().not_msrp, 1);
}

#[test]
fn a_connection_that_names_no_session_is_answered_and_closed() {
    for octets in [
        empty_send("nobody", "tid12345"),
        send("nobody", "tid12345", &[], &"x".repeat(100_000)),
    ] {
        let mut stage = Stage::new();
        let id = stage.switch.opened(stage.now);
        stage.give(id, octets);
        assert_eq!(stage.codes(id), [481]);
        assert_eq!(stage.finished, [id]);
    }
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.give(alice, empty_send("nobody", "tid12345"));
    assert_eq!(
        (stage.codes(alice), &stage.finished[..]),
        (vec![481], &[][..])
    );
}

#[test]
fn c11_garbage_closes_the_connection() {
    let mut stage = Stage::new();
    let id = stage.switch.opened(stage.now);
    stage.give(id, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(stage.cut, [id]);
    let alice = stage.join("alice");
    stage.give(alice, [b'x'; 100]);
    assert_eq!(stage.cut, [id, alice]);
    assert_eq!(
        stage.lost(),
        [("alice".to_owned(), LossCause::ProtocolError)]
    );
}

#[test]
fn amend_with_a_new_path_unbinds_and_keeps_what_is_queued() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let mut head = admission(LOBBY, "alice");
    stage
        .switch
        .order(stage.now, Order::Amend(Box::new(head.clone())));
    stage.pump();
    assert_eq!(stage.finished, [], "C86: nothing changed");
    head.peer.path = vec!["msrp://198.51.100.7:9/new;tcp".into()];
    stage.switch.order(stage.now, Order::Amend(Box::new(head)));
    stage.pump();
    assert_eq!(stage.finished, [alice]);
    stage.give(bob, send("bob", "tid12345", &[], &cpim("bob", "later")));
    let again = stage.switch.opened(stage.now);
    stage.give(again, empty_send("alice", "tid12346"));
    let got = stage.got(again);
    assert_eq!(
        got[1].header("To-Path"),
        Some("msrp://198.51.100.7:9/new;tcp")
    );
    assert!(got[1].text().ends_with("later"));
}

#[test]
fn c88_a_bind_may_overtake_the_ack_that_names_the_path() {
    let mut stage = Stage::new();
    let mut unanswered = admission(LOBBY, "alice");
    let path = std::mem::take(&mut unanswered.peer.path);
    unanswered.peer.chatroom = false;
    let (alice, bob) = (stage.enter(unanswered.clone()), stage.join("bob"));
    unanswered.peer.path = path;
    unanswered.peer.chatroom = true;
    let head = Order::Amend(Box::new(unanswered));
    stage.switch.order(stage.now, head);
    stage.pump();
    assert_eq!(stage.finished, []);
    assert_eq!(stage.got(alice), [], "G10: she does know rooms");
    let words = cpim("alice", "still bound");
    stage.give(alice, send("alice", "tid12345", &[], &words));
    assert_eq!(stage.got(alice)[0].line, "MSRP tid12345 200");
    assert_eq!(stage.got(bob)[0].text(), words);
}

#[test]
fn g10_who_answers_late_and_knows_no_rooms_is_told_then() {
    let mut stage = Stage::new();
    let mut unanswered = admission(LOBBY, "alice");
    let path = std::mem::take(&mut unanswered.peer.path);
    unanswered.peer.chatroom = false;
    let alice = stage.enter(unanswered.clone());
    assert_eq!(stage.got(alice), []);
    unanswered.peer.path = path;
    let head = Order::Amend(Box::new(unanswered));
    stage.switch.order(stage.now, head);
    stage.pump();
    assert!(stage.got(alice)[0].text().contains("This is the chat room"));
}

#[test]
fn r01_copies_go_along_the_whole_path() {
    let mut stage = Stage::new();
    let mut head = admission(LOBBY, "bob");
    head.peer
        .path
        .insert(0, "msrp://relay.example.com:9/r;tcp".into());
    let (alice, bob) = (stage.join("alice"), stage.enter(head));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "hi")));
    let path = format!("msrp://relay.example.com:9/r;tcp {}", peer_uri("bob"));
    assert_eq!(stage.got(bob)[0].header("To-Path"), Some(path.as_str()));
}
