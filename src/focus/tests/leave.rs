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
        "< BYE alice\n! expel alice\n! close lobby\n< NOTIFY alice terminated;noresource deleted v2 ()"
    );
    assert!(scenario.focus.is_idle());
    let mut late = scenario.phone("bob");
    let code = scenario.request(&mut late, "INVITE", ROOM, &[], &offer("bob"));
    assert_eq!(code, Some(503));
}
