//! Rooms made by management.

use super::*;

const TEAM: &str = "sip:team@example.com";

fn entry() -> RoomEntry {
    RoomRules {
        max_participants: Some(1),
        ..RoomRules::default()
    }
    .of(RoomUri::new(TEAM))
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

/// A room that management made for Alice only, in the store of an earlier run. The configuration
/// has no other room, and ad hoc rooms are on.
fn of_an_earlier_run(answers: Answers) -> Scenario {
    let mut scenario = Scenario::new();
    let private = RoomRules {
        allow: vec![Pattern::new("alice@example.com")],
        ..RoomRules::default()
    }
    .of(RoomUri::new(TEAM));
    let record = Record::Room(Box::new(private));
    scenario.kept.insert(record.key(), record);
    scenario.use_store(answers);
    scenario
}

fn knock(scenario: &mut Scenario, user: &str, room: &str) -> TransactionId {
    let mut phone = scenario.phone(user);
    scenario.begin(&mut phone, "INVITE", room, &[], &offer(user))
}

fn answer(scenario: &Scenario, transaction: TransactionId) -> Option<(u16, Option<String>)> {
    let reply = scenario.reply_to(transaction)?;
    let retry = reply.headers.first("Retry-After");
    Some((reply.code, retry.map(str::to_owned)))
}

#[test]
fn rules_that_cannot_be_read_are_not_taken_for_none() {
    let unavailable = Some((503, Some("10".to_owned())));
    let mut scenario = of_an_earlier_run(Answers::Unreadable);
    for room in [TEAM, "sip:hall@example.com", "sip:new-room@example.com"] {
        let refused = knock(&mut scenario, "mallory", room);
        assert_eq!(answer(&scenario, refused), unavailable, "{room}");
        for (method, headers) in [
            ("SUBSCRIBE", &[("Event", "conference")][..]),
            ("OPTIONS", &[][..]),
        ] {
            let mut phone = scenario.phone("mallory");
            let transaction = scenario.begin(&mut phone, method, room, headers, "");
            assert_eq!(
                answer(&scenario, transaction),
                unavailable,
                "{method} {room}"
            );
        }
    }
    assert_eq!(scenario.focus.counts(), Counts::default());
    // A factory is only in the configuration.
    let made = knock(&mut scenario, "alice", "sip:new@example.com");
    assert_eq!(answer(&scenario, made), Some((200, None)));
    // Once the store can read it, its rules apply.
    scenario.store = Some(Answers::Right);
    let refused = knock(&mut scenario, "mallory", TEAM);
    assert_eq!(answer(&scenario, refused), Some((403, None)));
    let admitted = knock(&mut scenario, "alice", TEAM);
    assert_eq!(answer(&scenario, admitted), Some((200, None)));
}

#[test]
fn a_request_for_a_room_that_is_not_in_memory_waits_so_long_and_with_so_many() {
    let mut scenario = of_an_earlier_run(Answers::Silent);
    let first = knock(&mut scenario, "alice", TEAM);
    let second = knock(&mut scenario, "mallory", TEAM);
    scenario.pass(4);
    assert_eq!(answer(&scenario, first), None);
    // One answer serves all waiting requests.
    scenario.store = Some(Answers::Right);
    scenario.look_up(Query::Room(RoomUri::new(TEAM)));
    assert_eq!(answer(&scenario, first), Some((200, None)));
    assert_eq!(answer(&scenario, second), Some((403, None)));
    // Without an answer the requests are refused in time.
    scenario.store = Some(Answers::Silent);
    let late = knock(&mut scenario, "alice", "sip:other@example.com");
    scenario.pass(3);
    let later = knock(&mut scenario, "alice", "sip:another@example.com");
    scenario.pass(2);
    assert_eq!(answer(&scenario, late).expect("an answer").0, 503);
    assert_eq!(answer(&scenario, later), None);
    scenario.feed(Input::Cancel(later));
    assert_eq!(answer(&scenario, later), Some((487, None)));
    // The number of waiting requests is bounded.
    let mut waiting = 0;
    let refused = loop {
        let one = knock(&mut scenario, "alice", "sip:third@example.com");
        match answer(&scenario, one) {
            None => waiting += 1,
            Some((code, _)) => break code,
        }
    };
    assert_eq!((refused, waiting), (503, 1_000));
    scenario.pass(6);
    assert_eq!(scenario.focus.lookups.len(), 0, "everybody has an answer");
    // A stopping focus refuses the waiting requests.
    let last = knock(&mut scenario, "alice", "sip:fourth@example.com");
    scenario.feed(Input::Stop);
    assert_eq!(answer(&scenario, last).expect("an answer").0, 503);
}

#[test]
fn what_management_decides_leaves_the_rest_of_the_configuration_as_it_is_edited() {
    let hall = || {
        RoomRules {
            deny: vec![Pattern::new("eve@example.com")],
            ..RoomRules::default()
        }
        .of(RoomUri::new("sip:hall@example.com"))
    };
    let room = hall().uri;
    let mut scenario = Scenario::with(Config {
        rooms: vec![hall()],
        ..config()
    });
    scenario.use_store(Answers::Right);
    scenario.look_up(Query::Room(room.clone()));
    let orders = [
        scenario.manage(|focus, now| focus.ban(now, &room, &Pattern::new("mallory@example.com"))),
        scenario.manage(|focus, now| focus.unban(now, &room, &Pattern::new("eve@example.com"))),
        scenario.manage(|focus, now| {
            let boss = UserUri::new("sip:boss@example.com");
            focus.give_role(now, &room, &boss, Role::Moderator)
        }),
    ];
    assert_eq!(orders, [Ok(()), Ok(()), Ok(())]);
    let copies = scenario
        .kept
        .values()
        .filter(|it| matches!(it, Record::Room(_)));
    assert_eq!(copies.count(), 0, "no copy of the entry is kept");
    // The operator edits the entry and restarts the proxy.
    scenario.focus.config.rooms = vec![
        RoomRules {
            max_participants: Some(7),
            deny: vec![
                Pattern::new("eve@example.com"),
                Pattern::new("trudy@example.com"),
            ],
            ..hall().rules
        }
        .of(hall().uri),
    ];
    scenario.restart(true, 1);
    let detail = scenario.focus.room_detail(&room, 0, 1).expect("a room");
    assert_eq!(detail.max_participants, 7);
    for (user, code) in [
        ("mallory", 403),
        ("trudy", 403),
        ("eve", 200),
        ("boss", 200),
    ] {
        let transaction = knock(&mut scenario, user, "sip:hall@example.com");
        assert_eq!(answer(&scenario, transaction), Some((code, None)), "{user}");
    }
    let boss = &scenario.focus.rooms.conferences()["sip:hall@example.com"].participants
        [&UserUri::new("sip:boss@example.com")];
    assert_eq!(boss.role, Role::Moderator);
    assert_eq!(scenario.focus.room_count(), 1);
    // `end` deletes it.
    scenario.look_up(Query::Room(room.clone()));
    assert_eq!(
        scenario.manage(|focus, now| focus.end_room(now, &room)),
        Ok(())
    );
    assert!(!scenario.kept.contains_key(&Key::Decisions(room)));
    let transaction = knock(&mut scenario, "eve", "sip:hall@example.com");
    assert_eq!(answer(&scenario, transaction), Some((403, None)));
}

#[test]
fn a_start_names_the_rooms_about_which_management_has_decided() {
    let mut scenario = Scenario::new();
    let room = RoomUri::new("sip:hall@example.com");
    scenario
        .manage(|focus, now| focus.lock(now, &room, true))
        .expect("a room");
    let records: Vec<Record> = scenario.kept.values().cloned().collect();
    let mut focus = Focus::new(config(), Box::new(Seeded(1)));
    focus.restore(scenario.now, records, &mut |_| 1);
    let lines = std::iter::from_fn(|| focus.poll()).filter_map(|output| match output {
        Output::Log(line) => Some(line),
        _ => None,
    });
    let lines: Vec<_> = lines.collect();
    assert!(
        lines
            .iter()
            .any(|it| it.level == crate::log::Level::Notice
                && it.text.contains("sip:hall@example.com")),
        "{lines:?}"
    );
}

#[test]
fn rooms_that_were_looked_up_are_remembered_up_to_a_bound_and_listed_from_the_store() {
    let mut scenario = of_an_earlier_run(Answers::Right);
    for n in 0..10_100 {
        scenario.look_up(Query::Room(RoomUri::new(format!("sip:r{n}@example.com"))));
    }
    let rooms = scenario.focus.kept_rooms();
    assert_eq!(rooms.known_count(), 10_000);
    let page = scenario.focus.page_needed(0, 10).expect("a question");
    scenario.look_up(page);
    let listed = scenario.focus.rooms_page(0, 10);
    let names: Vec<_> = listed.iter().map(|it| short(it.uri.as_str())).collect();
    assert_eq!(names, ["hall", "team"]);
    assert_eq!(scenario.focus.room_count(), 2);
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
