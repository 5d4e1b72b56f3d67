//! Queries and orders of management, and events.

use super::*;
use crate::control::{RoomUri, Said, UserUri};

const TEAM: &str = "sip:team@example.com";

fn room(uri: &str) -> RoomUri {
    RoomUri::new(uri)
}

fn user(name: &str) -> UserUri {
    UserUri::new(format!("sip:{name}@example.com"))
}

impl Scenario {
    /// Carries out an order of management, and all its effects.
    pub(super) fn manage<T>(&mut self, order: impl FnOnce(&mut Focus, Moment) -> T) -> T {
        let result = order(&mut self.focus, self.now);
        self.feed(Input::Deadline);
        result
    }

    fn told(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.events);
        let line = |event: &Event| {
            let details = event.details().into_iter().map(|(_, value)| match value {
                Detail::Text(text) => short(text),
                Detail::Number(number) => number.to_string(),
            });
            let name = event.kind().info().name.to_owned();
            [name]
                .into_iter()
                .chain(details)
                .collect::<Vec<_>>()
                .join(" ")
        };
        events.iter().map(line).collect()
    }
}

#[test]
fn listeners_are_told_of_users_not_of_devices() {
    let mut scenario = Scenario::new();
    let mut first = scenario.join("alice", ROOM);
    let mut second = scenario.join("alice", ROOM);
    let mut bob = scenario.join("bob", ROOM);
    assert_eq!(
        scenario.told(),
        [
            "start lobby",
            "join lobby alice alice A. moderator",
            "join lobby bob bob A. participant"
        ]
    );
    scenario.request(&mut first, "BYE", ROOM, &[], "");
    assert!(scenario.told().is_empty(), "her other device is in");
    scenario.request(&mut second, "BYE", ROOM, &[], "");
    assert_eq!(scenario.told(), ["leave lobby alice departed"]);
    scenario.request(&mut bob, "BYE", ROOM, &[], "");
    assert_eq!(scenario.told(), ["leave lobby bob departed", "end lobby"]);
    scenario.join("carol", ROOM);
    assert_eq!(scenario.told()[0], "start lobby");
}

#[test]
fn messages_are_counted_and_told_with_who_the_anonymous_are() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.phone("alice");
    let privacy = [("Privacy", "id")];
    assert_eq!(
        scenario.request(&mut alice, "INVITE", ROOM, &privacy, &offer("alice")),
        Some(200)
    );
    scenario.told();
    scenario.feed(Input::Notice(Notice::Counted {
        room: room(ROOM),
        messages: 3,
    }));
    let said = Said {
        room: room(ROOM),
        user: UserUri::new("sip:anonymous1@anonymous.invalid"),
        size: 120,
        content_type: "text/plain".into(),
        private: false,
    };
    scenario.feed(Input::Notice(Notice::Said(said)));
    assert_eq!(scenario.told(), ["message lobby alice 120 text/plain 0"]);
    let shown = scenario
        .focus
        .room_detail(&room(ROOM), 0, 10)
        .expect("a room");
    assert_eq!(shown.summary.messages, 3);
    assert_eq!(shown.users[0].entity, user("alice"));
    assert_eq!(shown.users[0].endpoints[0].status, "connected");
    assert_eq!(
        shown.users[0].endpoints[0].msrp.as_deref(),
        Some("msrp://192.0.2.7:2855/alice;tcp")
    );
}

#[test]
fn a_room_that_was_made_outlives_its_participants_until_it_is_ended() {
    let mut scenario = Scenario::new();
    let entry = RoomEntry::new(room(TEAM));
    assert_eq!(
        scenario.manage(|focus, now| focus.create_room(now, entry.clone())),
        Ok(())
    );
    let exists = scenario.manage(|focus, now| focus.create_room(now, entry.clone()));
    assert_eq!(exists, Err(OperatorError::Exists(room(TEAM))));
    let mut alice = scenario.join("alice", TEAM);
    scenario.feed(Input::Notice(Notice::Counted {
        room: room(TEAM),
        messages: 2,
    }));
    scenario.request(&mut alice, "BYE", TEAM, &[], "");
    let kept = scenario.focus.rooms_page(0, 10);
    assert!(
        kept.iter()
            .any(|it| it.uri == room(TEAM) && it.messages == 2)
    );
    scenario.join("bob", TEAM);
    scenario.told();
    assert_eq!(
        scenario.manage(|focus, now| focus.end_room(now, &room(TEAM))),
        Ok(())
    );
    assert_eq!(scenario.told(), ["leave team bob booted", "end team"]);
    let gone = scenario.manage(|focus, now| focus.end_room(now, &room(TEAM)));
    assert_eq!(gone, Err(OperatorError::NoRoom(room(TEAM))));
}

#[test]
fn an_ad_hoc_conference_becomes_the_room_that_is_made() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    let entry = RoomRules {
        nicknames: false,
        ..RoomRules::default()
    }
    .of(room(ROOM));
    assert_eq!(
        scenario.manage(|focus, now| focus.create_room(now, entry)),
        Ok(())
    );
    let amended = scenario.admissions.last().expect("an amendment");
    assert!(!amended.policy.nicknames, "the switch knows the new rules");
    assert!(
        scenario
            .focus
            .room_detail(&room(ROOM), 0, 1)
            .expect("a room")
            .lasting
    );
}

#[test]
fn who_is_banned_goes_and_stays_out_until_unbanned() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.join("mallory", ROOM);
    let lobby = room(ROOM);
    assert_eq!(
        scenario.manage(|focus, now| focus.ban(now, &lobby, &Pattern::new("*mallory@*"))),
        Ok(())
    );
    let counts = scenario.focus.counts();
    assert_eq!(counts.participants, 1);
    let mut again = scenario.phone("mallory");
    let code = scenario.request(&mut again, "INVITE", ROOM, &[], &offer("mallory"));
    assert_eq!(code, Some(403));
    assert!(
        scenario
            .manage(|focus, now| focus.unban(now, &lobby, &Pattern::new("sip:mallory@h")))
            .is_err()
    );
    assert_eq!(
        scenario.manage(|focus, now| focus.unban(now, &lobby, &Pattern::new("*mallory@*"))),
        Ok(())
    );
    scenario.join("mallory", ROOM);
}

#[test]
fn a_locked_room_lets_nobody_in_and_subscribers_see_it() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    let lobby = room(ROOM);
    assert_eq!(
        scenario.manage(|focus, now| focus.lock(now, &lobby, true)),
        Ok(())
    );
    let mut bob = scenario.phone("bob");
    assert_eq!(
        scenario.request(&mut bob, "INVITE", ROOM, &[], &offer("bob")),
        Some(480)
    );
    scenario.pass(6);
    let state = scenario.rosters["alice"].conference_state.clone();
    assert_eq!(state.expect("a state").locked, Some(true));
    assert_eq!(
        scenario.manage(|focus, now| focus.lock(now, &lobby, false)),
        Ok(())
    );
    scenario.join("bob", ROOM);
}

#[test]
fn a_role_is_given_at_once_and_kept() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    let mut bob = scenario.join("bob", ROOM);
    let lobby = room(ROOM);
    let give = |scenario: &mut Scenario, role| {
        let given = scenario.manage(|focus, now| focus.give_role(now, &lobby, &user("bob"), role));
        assert_eq!(given, Ok(()));
    };
    give(&mut scenario, Role::Observer);
    assert!(!scenario.admissions.last().expect("an amendment").peer.sends);
    give(&mut scenario, Role::Moderator);
    assert!(scenario.admissions.last().expect("an amendment").peer.sends);
    scenario.request(&mut bob, "BYE", ROOM, &[], "");
    scenario.told();
    scenario.join("bob", ROOM);
    assert_eq!(scenario.told(), ["join lobby bob bob A. moderator"]);
}

#[test]
fn who_is_expelled_may_come_again() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    let lobby = room(ROOM);
    let bob = user("bob");
    assert_eq!(
        scenario.manage(|focus, now| focus.expel(now, &lobby, &bob)),
        Ok(())
    );
    assert_eq!(
        scenario.manage(|focus, now| focus.expel(now, &lobby, &bob)),
        Err(OperatorError::NotIn(bob))
    );
    scenario.join("bob", ROOM);
}

#[test]
fn the_operator_speaks_and_invites() {
    let mut scenario = Scenario::new();
    let hall = room("sip:hall@example.com");
    let target = "sip:carol@example.com";
    let early = scenario.manage(|focus, now| focus.invite_into(now, &hall, target));
    assert_eq!(early, Err(OperatorError::NoSocket));
    let alice = scenario.join("alice", hall.as_str());
    assert_eq!(
        scenario.manage(|focus, now| focus.invite_into(now, &hall, target)),
        Ok(())
    );
    assert_eq!(scenario.last_sent("carol").method, Method::Invite);
    let shown = scenario.focus.room_detail(&hall, 1, 1).expect("a room");
    assert_eq!(shown.users[0].endpoints[0].status, "dialing-out");
    // The hall has two places.
    scenario.join("bob", hall.as_str());
    let full = scenario.manage(|focus, now| focus.invite_into(now, &hall, "sip:dave@example.com"));
    assert_eq!(full.expect_err("refused").code(), 486);
    let again =
        scenario.manage(|focus, now| focus.invite_into(now, &hall, "sip:alice@example.com"));
    assert_eq!(again.expect_err("refused").code(), 409);
    drop(alice);
    std::mem::take(&mut scenario.lines);
    assert_eq!(
        scenario.manage(|focus, _| focus.say(&hall, "hello")),
        Ok(())
    );
    assert_eq!(scenario.lines, ["! say hall hello"]);
}

#[test]
fn an_invitation_into_an_empty_room_leaves_nothing_when_it_fails() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    let hall = room("sip:hall@example.com");
    let target = "sip:carol@example.com";
    assert_eq!(
        scenario.manage(|focus, now| focus.invite_into(now, &hall, target)),
        Ok(())
    );
    assert_eq!(scenario.focus.counts().conferences, 2);
    scenario.party_answers("carol", 486, &[], "");
    assert_eq!(scenario.focus.counts().conferences, 1);
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    assert!(scenario.focus.counts().conferences == 0);
}

#[test]
fn messages_told_of_a_room_that_has_ended_count_nowhere() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    for room in [ROOM, "sip:hall@example.com"] {
        let room = RoomUri::new(room);
        scenario.feed(Input::Notice(Notice::Counted { room, messages: 2 }));
    }
    let counted: Vec<_> = scenario
        .focus
        .rooms
        .messages
        .keys()
        .map(RoomUri::as_str)
        .collect();
    assert_eq!(counted, ["sip:hall@example.com"], "a room that lasts");
}

#[test]
fn the_subject_of_the_operator_stands_before_that_of_the_first_caller() {
    let mut scenario = Scenario::with(Config {
        rooms: vec![
            RoomRules {
                about: About {
                    subject: Some("Plans".to_owned()),
                    ..About::default()
                },
                ..RoomRules::default()
            }
            .of(RoomUri::new(ROOM)),
        ],
        ..config()
    });
    let mut alice = scenario.phone("alice");
    let headers = [("Subject", "Buy now")];
    scenario.request(&mut alice, "INVITE", ROOM, &headers, &offer("alice"));
    scenario.ack(&mut alice, ROOM, "");
    let description = scenario
        .truth(ROOM, false)
        .description
        .expect("a description");
    assert_eq!(description.subject.as_deref(), Some("Plans"));
    let lobby = RoomUri::new(ROOM);
    let detail = scenario.focus.room_detail(&lobby, 0, 1).expect("a room");
    assert_eq!(detail.subject.as_deref(), Some("Plans"));
    scenario
        .manage(|focus, now| focus.invite_into(now, &lobby, "sip:bob@example.com"))
        .expect("invited");
    assert_eq!(
        scenario.last_sent("bob").headers.first("Subject"),
        Some("Plans")
    );
}

#[test]
fn participants_are_counted_as_they_come_and_go_without_visiting_every_conference() {
    let mut scenario = Scenario::new();
    let mut phones = Vec::new();
    for (user, room) in [
        ("alice", ROOM),
        ("bob", ROOM),
        ("alice", "sip:hall@example.com"),
    ] {
        phones.push((scenario.join(user, room), room));
    }
    let visited = |scenario: &Scenario| -> usize {
        scenario
            .focus
            .rooms
            .conferences()
            .values()
            .map(|it| it.present())
            .sum()
    };
    assert_eq!(
        (scenario.focus.counts().participants, visited(&scenario)),
        (3, 3)
    );
    scenario.standing = Some(Standing::Bound);
    scenario.restart(true, 1);
    assert_eq!(
        (scenario.focus.counts().participants, visited(&scenario)),
        (3, 3)
    );
    for (mut phone, room) in phones {
        phone.cseq += 1;
        scenario.request(&mut phone, "BYE", room, &[], "");
        assert_eq!(scenario.focus.counts().participants, visited(&scenario));
    }
    assert_eq!(scenario.focus.counts().participants, 0);
}
