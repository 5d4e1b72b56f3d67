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

/// The factory is `sip:new@example.com`.
#[test]
fn only_names_with_our_token_are_those_of_a_factory() {
    let mut scenario = Scenario::new();
    let kept = RoomUri::new("sip:new-support@example.com");
    let own = RoomUri::new("sip:new-abcdefghijklmnop@example.com");
    for room in [&kept, &own] {
        scenario
            .focus
            .keep_room(scenario.now, RoomEntry::new(room.clone()));
        scenario.join("alice", room.as_str());
    }
    scenario.join("bob", "sip:new-ad-hoc@example.com");
    let mut carol = scenario.phone("carol");
    let gone = "sip:new-abcdefghijklmnoq@example.com";
    let code = scenario.request(&mut carol, "INVITE", gone, &[], &offer("carol"));
    assert_eq!(code, Some(404), "it has ended");
}
