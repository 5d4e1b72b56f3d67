//! Notices about messages to the focus, and the operator's announcements.

use super::*;
use crate::control::Said;

fn counted(stage: &mut Stage) -> u64 {
    let notices = stage.all_notices();
    let counts = notices.iter().filter_map(|notice| match notice {
        Notice::Counted { messages, .. } => Some(*messages),
        _ => None,
    });
    counts.sum()
}

fn said(stage: &mut Stage) -> Vec<Said> {
    let notices = stage.all_notices().into_iter();
    let said = notices.filter_map(|notice| match notice {
        Notice::Said(said) => Some(said),
        _ => None,
    });
    said.collect()
}

fn speak(stage: &mut Stage, id: ConnectionId, number: usize) {
    let octets = send(
        "alice",
        &format!("tid{number:05}"),
        &[],
        &cpim("alice", "hi"),
    );
    stage.give(id, octets);
}

#[test]
fn messages_are_counted_at_once_and_then_together() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.join("bob");
    stage.all_notices();
    speak(&mut stage, alice, 1);
    assert_eq!(counted(&mut stage), 1, "at once");
    for number in 2..50 {
        speak(&mut stage, alice, number);
    }
    assert!(stage.all_notices().is_empty(), "no notice a message");
    stage.pass(Duration::from_secs(1));
    assert_eq!(counted(&mut stage), 48);
    stage.pass(Duration::from_secs(5));
    assert!(stage.all_notices().is_empty());
    speak(&mut stage, alice, 50);
    assert_eq!(counted(&mut stage), 1);
}

#[test]
fn what_is_not_counted_yet_is_when_the_room_empties() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    for number in 1..5 {
        speak(&mut stage, alice, number);
    }
    let room = RoomUri::new(LOBBY);
    stage.switch.order(stage.now, Order::Close { room });
    stage.pump();
    assert_eq!(counted(&mut stage), 4);
}

#[test]
fn messages_are_told_one_by_one_while_somebody_listens() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.join("bob");
    speak(&mut stage, alice, 1);
    assert!(said(&mut stage).is_empty(), "nobody listens");
    stage.switch.order(stage.now, Order::ReportMessages(true));
    speak(&mut stage, alice, 2);
    let told = said(&mut stage);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].room.as_str(), LOBBY);
    assert!(told[0].user.as_str().contains("alice"));
    assert_eq!(told[0].content_type, "text/plain");
    assert_eq!(told[0].size as usize, cpim("alice", "hi").len());
    assert!(!told[0].private);
    stage.switch.order(stage.now, Order::ReportMessages(false));
    speak(&mut stage, alice, 3);
    assert!(said(&mut stage).is_empty());
}

#[test]
fn of_a_flood_only_so_many_are_told() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.switch.order(stage.now, Order::ReportMessages(true));
    for number in 0..2_000 {
        speak(&mut stage, alice, number);
    }
    assert_eq!(said(&mut stage).len(), 500);
    stage.pass(Duration::from_secs(1));
    speak(&mut stage, alice, 2_000);
    assert_eq!(said(&mut stage).len(), 1);
}

#[test]
fn what_the_operator_says_comes_from_the_room_to_everybody() {
    let mut stage = Stage::new();
    let members = ["alice", "bob", "alice-tablet"].map(|name| stage.join(name));
    let stranger = stage.enter(admission("sip:other@example.com", "dave"));
    let say = |room: &str| Order::Say {
        room: RoomUri::new(room),
        text: "the end is near".into(),
    };
    stage
        .switch
        .order(stage.now, say("sip:nowhere@example.com"));
    stage.switch.order(stage.now, say(LOBBY));
    stage.pump();
    for id in members {
        assert_eq!(stage.texts(id), ["the end is near"]);
    }
    assert!(stage.raw(stranger).is_empty());
    assert_eq!(
        stage.switch.totals().messages_in,
        0,
        "no participant sent it"
    );
    assert_eq!(counted(&mut stage), 0);
}
