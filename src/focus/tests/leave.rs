//! BYE, loss, rejoin, stop.

use super::*;

#[test]
fn bye_ends_the_session_and_the_adhoc_room() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    let mut bob = scenario.join("bob", ROOM);
    scenario.transcript();
    assert_eq!(
        scenario.request(&mut alice, "BYE", ROOM, &[], ""),
        Some(200)
    );
    assert_eq!(scenario.transcript(), "< 200 alice OK\n! expel alice");
    assert_eq!(scenario.request(&mut bob, "BYE", ROOM, &[], ""), Some(200));
    assert_eq!(
        scenario.transcript(),
        "< 200 bob OK\n! expel bob\n! close lobby"
    );
    assert_eq!(scenario.focus.counts(), Counts::default());
    assert_eq!(scenario.focus.deadline(), None, "no timer is left");
}

#[test]
fn loss_is_forgiven_for_rejoin_grace_then_bye() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.watch("bob", ROOM);
    scenario.pass(10);
    scenario.transcript();
    scenario.lose("alice", ROOM, LossCause::Disconnected);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY bob active partial v2 (alice=h)"
    );
    scenario.pass(29);
    assert_eq!(scenario.transcript(), "");
    scenario.pass(1);
    assert_eq!(
        scenario.transcript(),
        "< BYE alice\n< NOTIFY bob active partial v3 (alice=-)"
    );
    scenario.pass(5);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY bob active partial v4 (alice=x)"
    );
    assert_eq!(users(&scenario.rosters["bob"]), "bob=+");
}

#[test]
fn never_bound_is_not_forgiven() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.transcript();
    scenario.lose("alice", ROOM, LossCause::NeverBound);
    assert_eq!(scenario.transcript(), "< BYE alice\n! close lobby");
}

#[test]
fn reinvite_after_a_loss_makes_a_new_session() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    let before = scenario.sessions["alice"].clone();
    scenario.lose("alice", ROOM, LossCause::Disconnected);
    scenario.pass(20);
    scenario.transcript();
    let body = offer("alice").replace("/alice;tcp", "/alice2;tcp");
    assert_eq!(
        scenario.request(&mut alice, "INVITE", ROOM, &[], &body),
        Some(200)
    );
    scenario.ack(&mut alice, ROOM, "");
    assert_eq!(scenario.transcript(), "! admit alice\n< 200 alice OK");
    assert_ne!(scenario.sessions["alice"], before);
    scenario.pass(600);
    assert_eq!(scenario.transcript(), "");
}

#[test]
fn refused_rejoin_still_ends() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    scenario.lose("alice", ROOM, LossCause::Disconnected);
    scenario.admits = false;
    scenario.begin(&mut alice, "INVITE", ROOM, &[], &offer("alice"));
    scenario.pass(100);
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn stop_says_goodbye_to_everybody() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    scenario.transcript();
    scenario.feed(Input::Stop);
    assert_eq!(
        scenario.transcript(),
        "< BYE alice\n! part alice\n! close lobby\n< NOTIFY alice terminated;noresource deleted v2 ()\n\
         ! expel alice"
    );
    assert!(scenario.focus.is_idle());
    let mut late = scenario.phone("bob");
    let code = scenario.request(&mut late, "INVITE", ROOM, &[], &offer("bob"));
    assert_eq!(code, Some(503));
}

/// An endpoint that we dismiss before the ACK of its 200.
fn dismissed_before_its_ack(scenario: &mut Scenario) -> Phone {
    let mut phone = scenario.phone("alice");
    let code = scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(200));
    scenario.transcript();
    let (room, alice) = (RoomUri::new(ROOM), UserUri::new("sip:alice@example.com"));
    scenario.manage(|focus, now| focus.expel(now, &room, &alice).expect("it"));
    assert_eq!(scenario.transcript(), "! expel alice\n! close lobby");
    assert_eq!(scenario.focus.counts().participants, 0);
    phone
}

/// RFC 3261 §15: no BYE before the ACK.
#[test]
fn a_bye_waits_for_the_ack() {
    let mut scenario = Scenario::new();
    let mut phone = dismissed_before_its_ack(&mut scenario);
    scenario.ack(&mut phone, ROOM, "");
    assert_eq!(scenario.transcript(), "< BYE alice");
    scenario.pass(1);
    assert_eq!(scenario.focus.leftovers(), [""; 0]);
}

#[test]
fn a_bye_waits_no_longer_than_an_ack_may_take() {
    let mut scenario = Scenario::new();
    dismissed_before_its_ack(&mut scenario);
    scenario.pass(31);
    assert_eq!(scenario.transcript(), "");
    scenario.pass(1);
    assert_eq!(scenario.transcript(), "< BYE alice");
    assert_eq!(scenario.focus.leftovers(), [""; 0]);
}

#[test]
fn who_hangs_up_first_needs_no_bye() {
    let mut scenario = Scenario::new();
    let mut phone = dismissed_before_its_ack(&mut scenario);
    let code = scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(481), "that is no dialog of anybody who is in");
    scenario.request(&mut phone, "BYE", ROOM, &[], "");
    scenario.pass(60);
    assert_eq!(
        scenario.transcript(),
        "< 481 alice Call/Transaction Does Not Exist\n< 200 alice OK"
    );
    assert_eq!(scenario.focus.leftovers(), [""; 0]);
}

#[test]
fn at_the_end_nothing_waits_for_an_ack() {
    let mut scenario = Scenario::new();
    dismissed_before_its_ack(&mut scenario);
    scenario.feed(Input::Stop);
    assert_eq!(scenario.transcript(), "< BYE alice");
    assert!(scenario.focus.is_idle());
}

fn reason_of_the_last_bye(scenario: &Scenario) -> &str {
    let mut sent = scenario.sent.iter().rev();
    let bye = sent.find(|request| request.method == Method::Bye);
    let bye = bye.expect("a BYE");
    bye.headers.first("Reason").expect("a Reason")
}

#[test]
fn every_bye_says_why() {
    let joined = || {
        let mut scenario = Scenario::new();
        let alice = scenario.join("alice", ROOM);
        (scenario, alice)
    };
    let (mut scenario, _) = joined();
    scenario.lose("alice", ROOM, LossCause::Disconnected);
    scenario.pass(30);
    let lost = "SIP;cause=408;text=\"The MSRP connection was lost\"";
    assert_eq!(reason_of_the_last_bye(&scenario), lost);

    let (mut scenario, _) = joined();
    scenario.lose("alice", ROOM, LossCause::NeverBound);
    let never = "SIP;cause=408;text=\"The MSRP connection did not come\"";
    assert_eq!(reason_of_the_last_bye(&scenario), never);

    let (mut scenario, _) = joined();
    scenario.join("bob", ROOM);
    let room = RoomUri::new(ROOM);
    let bob = UserUri::new("sip:bob@example.com");
    scenario.focus.remove(scenario.now, &room, &bob);
    scenario.feed(Input::Deadline);
    let removed = "SIP;cause=403;text=\"Removed from the conference\"";
    assert_eq!(reason_of_the_last_bye(&scenario), removed);
    scenario.focus.dismiss_all(scenario.now, &room);
    scenario.feed(Input::Deadline);
    let ended = "SIP;cause=410;text=\"The conference has ended\"";
    assert_eq!(reason_of_the_last_bye(&scenario), ended);

    let (mut scenario, _) = joined();
    scenario.refresh_answer = Some(481);
    scenario.pass(900);
    let expired = "SIP;cause=408;text=\"The session was not refreshed\"";
    assert_eq!(reason_of_the_last_bye(&scenario), expired);

    let (mut scenario, _) = joined();
    scenario.feed(Input::Stop);
    let stopping = "SIP;cause=503;text=\"Shutting down\"";
    assert_eq!(reason_of_the_last_bye(&scenario), stopping);
}

#[test]
fn msrp_stays_until_the_bye_is_answered() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.lose("alice", ROOM, LossCause::Disconnected);
    scenario.pass(30);
    assert!(!scenario.transcript().contains("! part"), "there is none");
    scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.transcript();
    let room = RoomUri::new(ROOM);
    scenario.focus.dismiss_all(scenario.now, &room);
    let mut outputs = Vec::new();
    while let Some(output) = scenario.focus.poll() {
        outputs.push(output);
    }
    let byes: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send(request) if request.method == Method::Bye => Some(request.id),
            _ => None,
        })
        .collect();
    let expelled = |outputs: &[Output]| {
        let orders = outputs.iter();
        orders
            .filter(|it| matches!(it, Output::Order(Order::Expel { .. })))
            .count()
    };
    assert_eq!((byes.len(), expelled(&outputs)), (2, 0));
    for request in byes {
        scenario.focus.handle(
            scenario.now,
            Input::Outcome {
                request,
                code: 200,
                response: None,
                reached: None,
            },
        );
    }
    let outputs: Vec<_> = std::iter::from_fn(|| scenario.focus.poll()).collect();
    assert_eq!(expelled(&outputs), 2);
    assert!(scenario.focus.rooms.parting.is_empty());
}
