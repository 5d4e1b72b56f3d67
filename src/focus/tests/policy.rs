//! Roles, lists, locks, lifetimes, factories.

use super::*;

const CLUB: &str = "sip:club@example.com";
const FACTORY: &str = "sip:new@example.com";

/// A scenario whose only room is the club with these options.
fn club(change: impl FnOnce(&mut RoomEntry)) -> Scenario {
    let mut entry = RoomEntry::new(RoomUri::new(CLUB));
    change(&mut entry);
    Scenario::with(Config {
        rooms: vec![entry],
        ..config()
    })
}

fn knock(scenario: &mut Scenario, user: &str) -> Reply {
    let mut phone = scenario.phone(user);
    let transaction = scenario.begin(&mut phone, "INVITE", CLUB, &[], &offer(user));
    scenario.reply_to(transaction).expect("an answer").clone()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().copied().map(Pattern::new).collect()
}

#[test]
fn deny_and_allow_lists_403() {
    let mut scenario = club(|room| {
        room.allow = patterns(&["*@example.com"]);
        room.deny = patterns(&["sip:mal*"]);
    });
    let refused = knock(&mut scenario, "mallory");
    assert_eq!(refused.code, 403);
    let why = refused.headers.first("Warning").expect("a reason");
    assert!(why.contains("not welcome"), "{why}");
    assert_eq!(knock(&mut scenario, "alice").code, 200);
    let mut scenario = club(|room| room.allow = patterns(&["*@example.org"]));
    assert_eq!(knock(&mut scenario, "alice").code, 403);
}

#[test]
fn locked_rooms_let_moderators_in() {
    let mut scenario = club(|room| {
        room.locked = true;
        room.moderators = patterns(&["bob@example.com"]);
    });
    assert_eq!(knock(&mut scenario, "alice").code, 480);
    assert_eq!(knock(&mut scenario, "bob").code, 200);
    assert_eq!(knock(&mut scenario, "alice").code, 480);
}

#[test]
fn c87_observers_only_read() {
    let mut scenario = club(|room| room.observers = patterns(&["alice@example.com"]));
    let reply = knock(&mut scenario, "alice");
    assert!(String::from_utf8_lossy(&reply.body).contains("a=sendonly\r\n"));
    assert!(!scenario.admissions[0].peer.sends);
    scenario.watch("bob", CLUB);
    let roster = scenario.rosters["bob"].users.as_ref().expect("users");
    assert_eq!(roster.users[0].roles, ["observer"]);
}

#[test]
fn roles_come_from_the_rooms_lists() {
    let mut scenario = club(|room| room.moderators = patterns(&["alice@*"]));
    knock(&mut scenario, "alice");
    knock(&mut scenario, "bob");
    scenario.watch("bob", CLUB);
    let roster = scenario.rosters["bob"].users.as_ref().expect("users");
    let roles: Vec<_> = roster.users.iter().map(|user| &user.roles[0]).collect();
    assert_eq!(roles, ["moderator", "participant"]);
}

#[test]
fn the_creator_of_an_adhoc_room_moderates_it() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.watch("bob", ROOM);
    let roster = scenario.rosters["bob"].users.as_ref().expect("users");
    let roles: Vec<_> = roster.users.iter().map(|user| &user.roles[0]).collect();
    assert_eq!(roles, ["moderator", "participant"]);
}

#[test]
fn one_device_replaces_the_other() {
    let mut scenario = club(|room| room.one_device = true);
    knock(&mut scenario, "alice");
    scenario.transcript();
    knock(&mut scenario, "alice");
    assert_eq!(
        scenario.transcript(),
        "! admit alice\n< 200 alice OK\n< BYE alice\n! part ?\n! expel ?"
    );
    assert_eq!(scenario.focus.counts().participants, 1);
}

#[test]
fn a_room_may_end_when_empty() {
    let mut scenario = club(|room| room.lifetime = Lifetime::WhileOccupied);
    let mut alice = scenario.join("alice", CLUB);
    scenario.watch("bob", CLUB);
    scenario.transcript();
    scenario.request(&mut alice, "BYE", CLUB, &[], "");
    assert_eq!(
        scenario.transcript(),
        "< 200 alice OK\n! expel alice\n\
         ! close club\n< NOTIFY bob terminated;noresource deleted v2 ()"
    );
}

#[test]
fn f02_a_factory_makes_a_new_room_each_time() {
    let mut scenario = Scenario::new();
    let mut contacts = Vec::new();
    for user in ["alice", "bob"] {
        let mut phone = scenario.phone(user);
        let transaction = scenario.begin(&mut phone, "INVITE", FACTORY, &[], &offer(user));
        let reply = scenario.reply_to(transaction).expect("an answer");
        contacts.push(
            reply
                .headers
                .first("Contact")
                .expect("a Contact")
                .to_owned(),
        );
    }
    assert_ne!(contacts[0], contacts[1]);
    let made = contacts[0].trim_start_matches('<');
    let (made, parameters) = made.split_once('>').expect("a name-addr");
    assert!(
        made.starts_with("sip:new-") && made.ends_with("@example.com"),
        "{made}"
    );
    assert_eq!(parameters, ";isfocus");
    // Who is told the room's URI joins it, also with ad hoc rooms off.
    scenario.join("carol", made);
    assert_eq!(scenario.focus.counts().conferences, 2);
}

#[test]
fn f02_a_factory_has_no_roster() {
    let mut scenario = Scenario::new();
    for method in ["SUBSCRIBE", "PUBLISH"] {
        let mut phone = scenario.phone("alice");
        let headers = [("Event", "conference")];
        let code = scenario.request(&mut phone, method, "sip:new@example.com", &headers, "");
        assert_eq!(code, Some(404), "{method}");
    }
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn f09_a_factory_made_room_ends_with_its_creator() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.phone("alice");
    scenario.request(&mut alice, "INVITE", FACTORY, &[], &offer("alice"));
    scenario.ack(&mut alice, FACTORY, "");
    let room = scenario.admissions[0].room.to_string();
    scenario.join("bob", &room);
    scenario.transcript();
    scenario.request(&mut alice, "BYE", &room, &[], "");
    let transcript = scenario.transcript();
    assert!(
        transcript.starts_with("< 200 alice OK\n! expel alice\n< BYE bob\n! part bob\n! close"),
        "{transcript}"
    );
    assert_eq!(scenario.focus.counts(), Counts::default());
}
