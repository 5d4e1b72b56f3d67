//! Rooms that management made.

use super::*;

const TEAM: &str = "sip:team@example.com";

fn entry() -> RoomEntry {
    RoomEntry {
        max_participants: Some(1),
        ..RoomEntry::new(RoomUri::new(TEAM))
    }
}

fn stored(scenario: &mut Scenario) -> Vec<Change> {
    let mut all = Vec::new();
    while let Some(output) = scenario.focus.poll() {
        if let Output::Store(changes) = output {
            all.extend(changes);
        }
    }
    all
}

#[test]
fn a_kept_room_is_stored_and_can_be_joined() {
    let mut scenario = Scenario::with(Config {
        adhoc: false,
        ..config()
    });
    scenario.focus.keep_room(scenario.now, entry());
    let changes = stored(&mut scenario);
    assert_eq!(changes, [Change::Put(Record::Room(Box::new(entry())))]);
    assert_eq!(scenario.focus.kept_rooms().count(), 1);
    scenario.join("alice", TEAM);
    scenario.transcript();
    let mut bob = scenario.phone("bob");
    let code = scenario.request(&mut bob, "INVITE", TEAM, &[], &offer("bob"));
    assert_eq!(code, Some(486), "its own maximum counts");
}

#[test]
fn a_forgotten_room_ends_with_its_last_participant() {
    let mut scenario = Scenario::with(Config {
        adhoc: false,
        ..config()
    });
    scenario.focus.keep_room(scenario.now, entry());
    let mut alice = scenario.join("alice", TEAM);
    stored(&mut scenario);
    let room = RoomUri::new(TEAM);
    assert!(scenario.focus.forget_room(scenario.now, &room));
    assert!(!scenario.focus.forget_room(scenario.now, &room), "once");
    let changes = stored(&mut scenario);
    assert_eq!(changes, [Change::Delete(Key::Room(room))]);
    assert_eq!(scenario.focus.counts().conferences, 1);
    scenario.request(&mut alice, "BYE", TEAM, &[], "");
    assert_eq!(scenario.focus.counts().conferences, 0);
}
