//! The order of writes when there is more output than one turn takes.

use super::*;

fn write_one(stage: &mut Stage) -> Option<ConnectionId> {
    let id = stage.switch.poll_dirty()?;
    let mut batch = Batch::default();
    stage.switch.transmit(stage.now, id, &mut batch);
    Some(id)
}

#[test]
fn a_quiet_room_does_not_wait_until_a_crowd_is_written_to() {
    let mut stage = Stage::new();
    let crowd: Vec<_> = (0..200)
        .map(|number| stage.join(&format!("user{number}")))
        .collect();
    let other = |name: &str| admission("sip:quiet@example.com", name);
    let (alice, bob) = (stage.enter(other("alice")), stage.enter(other("bob")));
    let loud = send("user0", "tid12345", &[], &cpim("user0", "hi"));
    stage.switch.received(stage.now, crowd[0], loud.as_bytes());
    for _ in 0..10 {
        write_one(&mut stage);
    }
    assert!(stage.switch.holds_back(crowd[0]), "more is not read yet");
    let body = cpim_to("alice", "sip:quiet@example.com", "hi");
    let quiet = send("alice", "tid12345", &[], &body);
    stage.switch.received(stage.now, alice, quiet.as_bytes());
    assert!(!stage.switch.holds_back(crowd[1]));
    let before = (0..).take_while(|_| write_one(&mut stage) != Some(bob));
    assert!(before.count() < 40);
    while write_one(&mut stage).is_some() {}
    assert!(!stage.switch.holds_back(crowd[0]));
    assert!(!stage.switch.holds_back(alice));
}

#[test]
fn who_leaves_while_a_room_is_written_to_costs_nobody_a_message() {
    let mut stage = Stage::new();
    let crowd: Vec<_> = (0..100)
        .map(|number| stage.join(&format!("user{number}")))
        .collect();
    let loud = send("user0", "tid12345", &[], &cpim("user0", "hi"));
    stage.switch.received(stage.now, crowd[0], loud.as_bytes());
    for _ in 0..40 {
        write_one(&mut stage);
    }
    stage.switch.closed(stage.now, crowd[3]);
    let mut later = Vec::new();
    while let Some(id) = write_one(&mut stage) {
        later.push(id);
    }
    assert!(crowd[50..].iter().all(|id| later.contains(id)));
}

#[test]
fn what_is_new_is_written_before_more_is_taken_from_others() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let text = send(
        "alice",
        "tid12345",
        &[],
        &cpim("alice", &"x".repeat(20_000)),
    );
    for round in 0..4 {
        assert!(!stage.switch.pressed(), "{round}");
        stage.switch.received(stage.now, alice, text.as_bytes());
    }
    assert!(stage.switch.pressed(), "a quarter of an outbox");
    stage.pump();
    assert!(!stage.switch.pressed());
    stage
        .switch
        .received(stage.now, alice, text.repeat(4).as_bytes());
    for id in [alice, bob] {
        stage.switch.closed(stage.now, id);
    }
    assert!(!stage.switch.pressed(), "the room is gone");
}

#[test]
fn after_a_panic_everybody_has_a_turn() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let text = send("alice", "tid12345", &[], &cpim("alice", "hi"));
    stage.switch.received(stage.now, alice, text.as_bytes());
    // The list of connections with output is lost.
    stage.switch.turns = Default::default();
    stage.pump();
    assert!(stage.raw(bob).is_empty());
    stage.switch.look_at_all();
    assert_eq!(stage.codes(alice), [200]);
    assert_eq!(stage.texts(bob), ["hi"]);
}
