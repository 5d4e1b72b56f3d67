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
        room.rules.allow = patterns(&["*@example.com"]);
        room.rules.deny = patterns(&["sip:mal*"]);
    });
    let refused = knock(&mut scenario, "mallory");
    assert_eq!(refused.code, 403);
    let why = refused.headers.first("Warning").expect("a reason");
    assert!(why.contains("not welcome"), "{why}");
    assert_eq!(knock(&mut scenario, "alice").code, 200);
    let mut scenario = club(|room| room.rules.allow = patterns(&["*@example.org"]));
    assert_eq!(knock(&mut scenario, "alice").code, 403);
}

#[test]
fn locked_rooms_let_moderators_in() {
    let mut scenario = club(|room| {
        room.rules.locked = true;
        room.rules.moderators = patterns(&["bob@example.com"]);
    });
    assert_eq!(knock(&mut scenario, "alice").code, 480);
    assert_eq!(knock(&mut scenario, "bob").code, 200);
    assert_eq!(knock(&mut scenario, "alice").code, 480);
}

#[test]
fn c87_observers_only_read() {
    let mut scenario = club(|room| room.rules.observers = patterns(&["alice@example.com"]));
    let reply = knock(&mut scenario, "alice");
    assert!(String::from_utf8_lossy(&reply.body).contains("a=sendonly\r\n"));
    assert!(!scenario.admissions[0].peer.sends);
    scenario.watch("bob", CLUB);
    let roster = scenario.rosters["bob"].users.as_ref().expect("users");
    assert_eq!(roster.users[0].roles, ["observer"]);
}

/// The switch silences observers, whatever they offer or answer.
#[test]
fn c87_observers_cannot_write_by_any_way_of_negotiation() {
    let mut scenario = club(|room| room.rules.observers = patterns(&["alice@example.com"]));
    let ways = |answer: &str| [String::new(), answer.to_owned()];
    let says = offer("alice");
    for answer in ways("a=sendrecv\r\n") {
        let answer = format!("{says}{answer}");
        // Our offer is in the 200, the observer's answer in the ACK.
        let mut phone = scenario.phone("alice");
        phone.call_id.push_str(&answer.len().to_string());
        assert_eq!(
            scenario.request(&mut phone, "INVITE", CLUB, &[], ""),
            Some(200)
        );
        scenario.ack(&mut phone, CLUB, &answer);
        // The same in a re-INVITE.
        assert_eq!(
            scenario.request(&mut phone, "INVITE", CLUB, &[], ""),
            Some(200)
        );
        scenario.ack(&mut phone, CLUB, &answer);
        // An offer of the observer.
        assert_eq!(
            scenario.request(&mut phone, "INVITE", CLUB, &[], &answer),
            Some(200)
        );
        scenario.ack(&mut phone, CLUB, "");
        scenario.pass(5);
    }
    // Our refresh by re-INVITE, answered without a direction.
    scenario.describes = true;
    scenario.pass(1000);
    assert!(scenario.admissions.len() > 3);
    for admission in &scenario.admissions {
        assert!(!admission.peer.sends, "{admission:?}");
    }
}

/// An observer who becomes a participant may write, although our description made them silent.
#[test]
fn c87_who_was_an_observer_may_write_as_a_participant() {
    let mut scenario = club(|room| room.rules.observers = patterns(&["alice@example.com"]));
    let mut phone = scenario.phone("alice");
    scenario.request(&mut phone, "INVITE", CLUB, &[], "");
    let answer = format!("{}a=recvonly\r\n", offer("alice"));
    scenario.ack(&mut phone, CLUB, &answer);
    let (room, alice) = (RoomUri::new(CLUB), UserUri::new("sip:alice@example.com"));
    let roles = [Role::Participant, Role::Observer, Role::Participant];
    for role in roles {
        scenario.manage(|focus, now| focus.give_role(now, &room, &alice, role).expect("it"));
        let last = scenario.admissions.last().expect("it was told");
        assert_eq!(last.peer.sends, role == Role::Participant);
    }
}

#[test]
fn roles_come_from_the_rooms_lists() {
    let mut scenario = club(|room| room.rules.moderators = patterns(&["alice@*"]));
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

fn roles(scenario: &Scenario, room: &str) -> Vec<(String, Role)> {
    let participants = &scenario.focus.rooms.conferences()[room].participants;
    let all = participants.iter();
    all.map(|(user, it)| (short(user.as_str()), it.role))
        .collect()
}

/// DESIGN §5: only the user who starts a room that is not configured moderates it.
#[test]
fn who_moderates_does_not_depend_on_who_comes_first() {
    for lifetime in [Lifetime::WhileOccupied, Lifetime::WhileCreatorStays] {
        let mut scenario = club(|room| {
            room.rules.lifetime = lifetime;
            room.rules.moderators = patterns(&["bob@example.com"]);
        });
        scenario.join("alice", CLUB);
        scenario.join("bob", CLUB);
        let expected = [("alice", Role::Participant), ("bob", Role::Moderator)];
        let expected = expected.map(|(user, role)| (user.to_owned(), role));
        assert_eq!(roles(&scenario, CLUB), expected, "{lifetime:?}");
    }
}

#[test]
fn a_room_that_was_watched_first_ends_with_its_creator_all_the_same() {
    let mut scenario = club(|room| room.rules.lifetime = Lifetime::WhileCreatorStays);
    scenario.watch("carol", CLUB);
    let mut alice = scenario.join("alice", CLUB);
    scenario.join("bob", CLUB);
    scenario.request(&mut alice, "BYE", CLUB, &[], "");
    assert_eq!(scenario.focus.counts().participants, 0);
}

#[test]
fn the_creator_who_comes_back_moderates_again() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    scenario.join("carol", ROOM);
    scenario.join("alice", ROOM);
    let expected = [
        ("alice", Role::Moderator),
        ("bob", Role::Participant),
        ("carol", Role::Participant),
    ];
    let expected = expected.map(|(user, role)| (user.to_owned(), role));
    assert_eq!(roles(&scenario, ROOM), expected);
}

#[test]
fn of_two_who_start_a_room_the_one_who_is_in_first_moderates() {
    let mut scenario = Scenario::new();
    scenario.admits = false;
    let start = |scenario: &mut Scenario, user: &str| {
        let mut phone = scenario.phone(user);
        scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer(user))
    };
    let cancelled = start(&mut scenario, "alice");
    start(&mut scenario, "bob");
    start(&mut scenario, "carol");
    scenario.feed(Input::Cancel(cancelled));
    for user in ["bob", "carol"] {
        let session = scenario.sessions[user].clone();
        let room = RoomUri::new(ROOM);
        scenario.feed(Input::Notice(Notice::Admitted { room, session }));
    }
    let expected = [("bob", Role::Moderator), ("carol", Role::Participant)];
    let expected = expected.map(|(user, role)| (user.to_owned(), role));
    assert_eq!(roles(&scenario, ROOM), expected);
}

/// Decisions of management also apply to users who are joining and to users who only watch.
#[test]
fn a_ban_counts_against_what_is_under_way() {
    let mut scenario = club(|_| {});
    scenario.join("alice", CLUB);
    scenario.watch("mallory", CLUB);
    scenario.admits = false;
    let mut phone = scenario.phone("mallory");
    let waiting = scenario.begin(&mut phone, "INVITE", CLUB, &[], &offer("mallory"));
    scenario.transcript();
    let room = RoomUri::new(CLUB);
    let mallory = Pattern::new("mallory@example.com");
    scenario.manage(|focus, now| focus.ban(now, &room, &mallory).expect("it"));
    assert_eq!(scenario.reply_to(waiting).expect("an answer").code, 403);
    let transcript = scenario.transcript();
    assert!(transcript.contains("terminated;rejected"), "{transcript}");
    assert_eq!(scenario.focus.counts().subscriptions, 0);
}

#[test]
fn a_role_counts_for_who_rings_and_for_who_waits_for_the_switch() {
    let mut scenario = club(|_| {});
    scenario.join("alice", CLUB);
    let room = RoomUri::new(CLUB);
    let invite = |focus: &mut Focus, now| {
        let target = "sip:carol@example.com";
        focus.invite_into(now, &room, target).expect("it");
    };
    scenario.manage(invite);
    scenario.admits = false;
    let mut phone = scenario.phone("dave");
    scenario.begin(&mut phone, "INVITE", CLUB, &[], &offer("dave"));
    for user in ["carol", "dave"] {
        let user = UserUri::new(format!("sip:{user}@example.com"));
        let observer = Role::Observer;
        scenario.manage(|focus, now| focus.give_role(now, &room, &user, observer).expect("it"));
    }
    let session = scenario.sessions["dave"].clone();
    let admitted = Notice::Admitted {
        room: room.clone(),
        session,
    };
    scenario.feed(Input::Notice(admitted));
    let sdp = [("Content-Type", "application/sdp")];
    scenario.party_answers("carol", 200, &sdp, &offer("carol"));
    let roles = roles(&scenario, CLUB);
    assert_eq!(
        roles[1..]
            .iter()
            .filter(|(_, it)| *it == Role::Observer)
            .count(),
        2
    );
    for user in ["carol", "dave"] {
        let last = scenario
            .admissions
            .iter()
            .rfind(|it| short(it.user.as_str()) == user);
        assert!(!last.expect("it was told").peer.sends, "{user}");
    }
}

/// The limit counts joining devices as well, such as those of a burst of INVITEs.
#[test]
fn devices_that_are_just_joining_count() {
    let mut scenario = Scenario::new();
    scenario.admits = false;
    let mut codes = Vec::new();
    for number in 0..17 {
        let mut phone = scenario.phone("alice");
        phone.tag = format!("tag-{number}");
        let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
        codes.push(scenario.reply_to(transaction).map(|reply| reply.code));
    }
    assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 16);
    assert_eq!(codes[16], Some(486));
}

/// One account cannot use up all rooms.
#[test]
fn the_rooms_of_one_maker_are_bounded() {
    let mut scenario = Scenario::with(Config {
        max_conferences: 10_000,
        ..config()
    });
    let ask = |scenario: &mut Scenario, user: &str, number: usize| {
        let room = format!("sip:room{number}@example.com");
        let mut phone = scenario.phone(user);
        let code = scenario.request(&mut phone, "INVITE", &room, &[], &offer(user));
        (code, phone, room)
    };
    let (_, mut first, room) = ask(&mut scenario, "mallory", 0);
    for number in 1..1_000 {
        assert_eq!(ask(&mut scenario, "mallory", number).0, Some(200));
    }
    assert_eq!(ask(&mut scenario, "mallory", 1_000).0, Some(403));
    assert_eq!(ask(&mut scenario, "alice", 1_000).0, Some(200));
    scenario.request(&mut first, "BYE", &room, &[], "");
    assert_eq!(ask(&mut scenario, "mallory", 1_001).0, Some(200));
}

#[test]
fn one_device_replaces_the_other() {
    let mut scenario = club(|room| room.rules.one_device = true);
    scenario.join("alice", CLUB);
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
    let mut scenario = club(|room| room.rules.lifetime = Lifetime::WhileOccupied);
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
    // A user who knows the room's URI may join it, even with ad hoc rooms off.
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
