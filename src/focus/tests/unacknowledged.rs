//! A 2xx until its ACK: before it leaves, refused by the host, repeated.

use super::*;
use crate::focus::call::unacknowledged::MAX_REPEATED;

/// An INVITE whose 200 waits for the store.
fn granted(scenario: &mut Scenario, phone: &mut Phone) -> TransactionId {
    scenario.answers_leave = false;
    let transaction = scenario.begin(phone, "INVITE", ROOM, &[], &offer(&phone.user.clone()));
    let reply = scenario.reply_to(transaction).expect("an answer");
    assert_eq!(reply.code, 200);
    phone.to_tag.clone_from(&reply.to_tag);
    scenario.answers_leave = true;
    transaction
}

/// A participant, and its re-INVITE with this offer whose 200 waits for the store.
fn granted_again(scenario: &mut Scenario, phone: &mut Phone, offer: &str) -> TransactionId {
    scenario.answers_leave = false;
    let transaction = scenario.begin(phone, "INVITE", ROOM, &[], offer);
    assert_eq!(scenario.reply_to(transaction).map(|it| it.code), Some(200));
    scenario.answers_leave = true;
    transaction
}

#[test]
fn f16_nothing_is_acknowledged_before_the_200_has_left() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = granted(&mut scenario, &mut phone);
    // The ACK of a 487 that the host gave: it has the same tag and number.
    scenario.ack(&mut phone, ROOM, "");
    scenario.transcript();
    scenario.feed(Input::Unanswered(transaction));
    assert_eq!(scenario.transcript(), "! expel alice\n! close lobby");
    assert_eq!(scenario.focus.counts(), Counts::default());
    assert_eq!(scenario.focus.deadline(), None);
}

#[test]
fn f17_the_ack_is_awaited_from_when_the_200_has_left() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = granted(&mut scenario, &mut phone);
    scenario.transcript();
    scenario.pass(40);
    assert_eq!(scenario.transcript(), "", "the store is slow");
    scenario.feed(Input::Answered(transaction));
    scenario.pass(31);
    assert_eq!(scenario.transcript(), "");
    scenario.pass(1);
    assert_eq!(
        scenario.transcript(),
        "< BYE alice\n! part alice\n! close lobby\n! expel alice"
    );
}

#[test]
fn f16_a_cancel_stops_a_200_that_has_not_left() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = granted(&mut scenario, &mut phone);
    scenario.transcript();
    scenario.feed(Input::Cancel(transaction));
    assert_eq!(
        scenario.transcript(),
        "< withdrawn alice\n< 487 alice Request Terminated\n! expel alice\n! close lobby"
    );
    assert_eq!(scenario.focus.counts(), Counts::default());
    assert_eq!(scenario.focus.deadline(), None);
}

#[test]
fn f16_a_cancel_behind_the_200_changes_nothing() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    scenario.transcript();
    scenario.feed(Input::Cancel(transaction));
    assert_eq!(scenario.transcript(), "");
    assert_eq!(scenario.focus.counts().participants, 1);
}

#[test]
fn a_stop_before_the_200_has_left_refuses_the_invite() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    granted(&mut scenario, &mut phone);
    scenario.transcript();
    scenario.feed(Input::Stop);
    assert_eq!(
        scenario.transcript(),
        "< withdrawn alice\n< 503 alice Service Unavailable\n! expel alice\n! close lobby",
        "no BYE: there is no dialog"
    );
    assert!(scenario.focus.is_idle());
}

#[test]
fn whoever_is_removed_before_the_200_has_left_is_told_why() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = granted(&mut scenario, &mut phone);
    let (room, alice) = (RoomUri::new(ROOM), UserUri::new("sip:alice@example.com"));
    let removed = scenario.manage(|focus, now| focus.expel(now, &room, &alice));
    assert_eq!(removed, Ok(()));
    let reply = scenario.reply_to(transaction).expect("an answer");
    assert_eq!(reply.code, 403);
    let warning = "399 msrp_conference \"removed from this room\"";
    assert_eq!(reply.headers.first("Warning"), Some(warning));
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn f16_a_bye_before_the_200_has_left_ends_the_invite_487() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = granted(&mut scenario, &mut phone);
    assert_eq!(
        scenario.request(&mut phone, "BYE", ROOM, &[], ""),
        Some(200)
    );
    let reply = scenario.reply_to(transaction).expect("an answer");
    assert_eq!(reply.code, 487);
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn f18_a_reinvite_while_a_200_has_not_left_500() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = granted(&mut scenario, &mut phone);
    for method in ["INVITE", "UPDATE"] {
        let code = scenario.request(&mut phone, method, ROOM, &[], &offer("alice"));
        assert_eq!(code, Some(500), "{method}");
    }
    scenario.feed(Input::Answered(transaction));
    let code = scenario.request(&mut phone, "UPDATE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(200));
}

#[test]
fn f16_a_reinvite_without_2xx_changes_nothing() {
    let mut scenario = Scenario::new();
    let timer = [
        ("Supported", "timer"),
        ("Session-Expires", "600;refresher=uac"),
    ];
    let mut phone = scenario.phone("alice");
    scenario.request(&mut phone, "INVITE", ROOM, &timer, &offer("alice"));
    scenario.ack(&mut phone, ROOM, "");
    scenario.join("bob", ROOM);
    scenario.watch("bob", ROOM);
    scenario.pass(100);
    let (before, kept) = (scenario.truth(ROOM, false), scenario.kept.clone());
    let muted = offer("alice") + "a=recvonly\r\n";
    let transaction = granted_again(&mut scenario, &mut phone, &muted);
    assert_ne!(scenario.kept, kept, "a restart would find what is promised");
    scenario.feed(Input::Unanswered(transaction));
    let amended = scenario.admissions.last().expect("an amendment");
    assert!(amended.peer.sends, "the switch knows it again as it was");
    assert_eq!(scenario.truth(ROOM, false).users, before.users);
    // The whole state except the number of the peer's last request.
    for (key, record) in &mut scenario.kept {
        if let (Record::Endpoint(now), Some(Record::Endpoint(then))) = (record, kept.get(key)) {
            assert!(now.dialog.remote_cseq >= then.dialog.remote_cseq);
            now.dialog.remote_cseq = then.dialog.remote_cseq;
        }
    }
    assert_eq!(scenario.kept, kept);
    // The session still expires at the time first agreed.
    scenario.transcript();
    scenario.pass(600 - 32 - 100 - 1);
    assert!(!scenario.transcript().contains("BYE"));
    scenario.pass(1);
    assert!(scenario.transcript().contains("< BYE alice"));
}

#[test]
fn f16_a_rejoin_without_2xx_is_no_longer_grace() {
    for is_cancelled in [true, false] {
        let mut scenario = Scenario::new();
        let mut phone = scenario.join("alice", ROOM);
        scenario.lose("alice", ROOM, LossCause::Disconnected);
        scenario.pass(20);
        scenario.admits = !is_cancelled;
        scenario.answers_leave = false;
        let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
        scenario.transcript();
        scenario.feed(match is_cancelled {
            true => Input::Cancel(transaction),
            false => Input::Unanswered(transaction),
        });
        let transcript = scenario.transcript();
        assert!(transcript.ends_with("! expel alice"), "{transcript}");
        scenario.pass(9);
        assert_eq!(scenario.transcript(), "");
        scenario.pass(1);
        assert_eq!(scenario.transcript(), "< BYE alice\n! close lobby");
    }
}

#[test]
fn f16_an_undone_reinvite_gives_an_observer_no_voice() {
    let mut scenario = Scenario::new();
    scenario.join("bob", ROOM);
    let mut phone = scenario.join("alice", ROOM);
    let muted = offer("alice") + "a=recvonly\r\n";
    let transaction = granted_again(&mut scenario, &mut phone, &muted);
    let (room, alice) = (RoomUri::new(ROOM), UserUri::new("sip:alice@example.com"));
    let now = scenario.now;
    let made = scenario.focus.give_role(now, &room, &alice, Role::Observer);
    assert_eq!(made, Ok(()));
    scenario.feed(Input::Unanswered(transaction));
    let amended = scenario.admissions.last().expect("an amendment");
    assert!(!amended.peer.sends);
}

#[test]
fn a_subscription_whose_200_is_refused_is_none() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.notify_answer = None;
    scenario.answers_leave = false;
    let mut phone = scenario.phone("alice");
    let event = [("Event", "conference")];
    let transaction = scenario.begin(&mut phone, "SUBSCRIBE", ROOM, &event, "");
    scenario.feed(Input::Unanswered(transaction));
    let counts = scenario.focus.counts();
    assert_eq!((counts.subscriptions, counts.transactions), (0, 0));
    assert_eq!(counts.dialogs, 1, "the INVITE's");
    scenario.transcript();
    scenario.join("bob", ROOM);
    scenario.pass(10);
    assert!(!scenario.transcript().contains("NOTIFY"));
}

#[test]
fn a_call_is_forgotten_with_its_last_subscription() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    let mut phone = scenario.phone("alice");
    let fetch = [("Event", "conference"), ("Expires", "0")];
    let code = scenario.request(&mut phone, "SUBSCRIBE", ROOM, &fetch, "");
    assert_eq!(code, Some(200));
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    scenario.pass(1);
    assert_eq!(scenario.focus.dialogs.leftovers(), [""; 0]);
}

#[test]
fn an_invite_that_comes_again_gets_the_same_200_again() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let first = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    let first = scenario.reply_to(first).expect("an answer").clone();
    assert!(first.until_ack);
    scenario.pass(12);
    // The host has forgotten the transaction and makes another.
    let again = |scenario: &mut Scenario, phone: &mut Phone| {
        phone.cseq = 0;
        let transaction = scenario.begin(phone, "INVITE", ROOM, &[], &offer("alice"));
        scenario.reply_to(transaction).expect("an answer").clone()
    };
    let second = again(&mut scenario, &mut phone);
    assert_eq!((second.code, &second.body), (200, &first.body));
    assert_eq!(second.headers, first.headers);
    assert_eq!(second.to_tag, first.to_tag);
    assert_eq!(scenario.focus.counts().participants, 1);
    assert_eq!(scenario.focus.counts().dialogs, 1);
    // A copy that came another way is not a retransmission.
    let mut fork = Phone {
        via: "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK2",
        ..phone.clone()
    };
    assert_eq!(again(&mut scenario, &mut fork).code, 482);
    phone.to_tag = first.to_tag;
    scenario.ack(&mut phone, ROOM, "");
    scenario.transcript();
    scenario.pass(100);
    assert_eq!(scenario.transcript(), "", "the ACK has come");
}

#[test]
fn so_many_answers_are_repeated_at_a_time() {
    let most = MAX_REPEATED + 5;
    let mut scenario = Scenario::with(Config {
        max_participants: most,
        ..config()
    });
    let mut phones = Vec::new();
    for number in 0..most {
        let mut phone = scenario.phone(&format!("u{number}"));
        let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("x"));
        let reply = scenario.reply_to(transaction).expect("an answer");
        assert_eq!(reply.until_ack, number < MAX_REPEATED, "{number}");
        phone.to_tag.clone_from(&reply.to_tag);
        phones.push(phone);
    }
    // Each ACK makes room for one more.
    phones
        .iter_mut()
        .take(6)
        .for_each(|phone| scenario.ack(phone, ROOM, ""));
    let code = scenario.request(&mut phones[0], "INVITE", ROOM, &[], &offer("x"));
    assert_eq!(code, Some(200));
    assert_eq!(scenario.focus.dialogs.unacknowledged(), MAX_REPEATED);
    scenario.pass(32);
    assert_eq!(scenario.focus.counts().transactions, 0);
}
