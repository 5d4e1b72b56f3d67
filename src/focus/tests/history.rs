//! The history of rooms passes through the focus: from the switch to the store, and back to a
//! switch without it.

use bytes::Bytes;

use super::*;

const DEN: &str = "sip:den@example.com";
const NEST: &str = "sip:nest@example.com";

fn messages(numbers: impl IntoIterator<Item = u64>) -> Vec<PastMessage> {
    let message = |number| PastMessage {
        number,
        octets: Bytes::from_static(b"four"),
    };
    numbers.into_iter().map(message).collect()
}

/// Permanent rooms with a history, one of which ends its conference when it is empty; a factory of
/// rooms with a history, and a store.
fn den() -> Scenario {
    den_where_factories_make(Lifetime::WhileCreatorStays)
}

fn den_where_factories_make(lifetime: Lifetime) -> Scenario {
    let mut config = config();
    config.rooms.push(
        RoomRules {
            history: 3,
            ..RoomRules::default()
        }
        .of(RoomUri::new(DEN)),
    );
    config.rooms.push(
        RoomRules {
            history: 3,
            lifetime: Lifetime::WhileOccupied,
            ..RoomRules::default()
        }
        .of(RoomUri::new(NEST)),
    );
    config.factories[0].rules.history = 3;
    config.factories[0].rules.lifetime = lifetime;
    let mut scenario = Scenario::with(config);
    scenario.use_store(Answers::Right);
    connect(&mut scenario, 1);
    scenario
}

fn connect(scenario: &mut Scenario, run: u128) {
    scenario.feed(Input::Notice(Notice::Connected {
        run: SwitchRun(run),
        listen: Vec::new(),
    }));
    scenario.transcript();
}

fn told(scenario: &mut Scenario, room: &str, number: u64) {
    scenario.feed(Input::Notice(Notice::Remember {
        room: RoomUri::new(room),
        messages: messages([number]),
        gone: 4,
    }));
}

/// Lines about histories and admissions.
fn lines(scenario: &mut Scenario) -> Vec<String> {
    let all = scenario.transcript();
    let about = ["! recall", "! admit", "! remem", "! forget", "+ ", "- "];
    let lines = all.lines();
    let lines = lines.filter(|line| about.iter().any(|start| line.starts_with(start)));
    lines.map(str::to_owned).collect()
}

#[test]
fn what_the_switch_tells_is_kept_and_the_switch_hears_of_it() {
    let mut scenario = den();
    told(&mut scenario, DEN, 7);
    assert_eq!(
        lines(&mut scenario),
        [
            "+ history of den: [7], gone 4",
            "! remembered den up to 7, 4 octets"
        ],
        "also while nobody is in"
    );
    scenario.look_up(Query::Room(RoomUri::new(ROOM)));
    told(&mut scenario, ROOM, 8);
    assert_eq!(
        lines(&mut scenario),
        ["! remembered lobby up to 8, 4 octets"],
        "no room with a history: only the switch goes on"
    );
}

#[test]
fn a_run_of_the_switch_is_given_a_history_before_it_admits_the_first() {
    let mut scenario = den();
    scenario
        .histories
        .insert(RoomUri::new(DEN), messages(1..=5));
    scenario.join("alice", DEN);
    scenario.join("bob", DEN);
    assert_eq!(
        lines(&mut scenario),
        ["! recall den: [3, 4, 5]", "! admit alice", "! admit bob"]
    );
    assert!(scenario.admissions.iter().all(|it| it.newcomer));
    assert!(scenario.admissions.iter().all(|it| it.policy.history == 3));
    // A room without history is not even looked up.
    scenario
        .histories
        .insert(RoomUri::new(ROOM), messages(1..=5));
    scenario.join("carol", ROOM);
    assert_eq!(lines(&mut scenario), ["! admit carol"]);
    // The same run may have lost the history sent before.
    connect(&mut scenario, 1);
    scenario.join("dave", DEN);
    scenario.join("erin", DEN);
    assert_eq!(
        lines(&mut scenario),
        ["! recall den: [3, 4, 5]", "! admit dave", "! admit erin"]
    );
}

#[test]
fn who_was_in_before_is_no_newcomer() {
    let mut scenario = den();
    scenario
        .histories
        .insert(RoomUri::new(DEN), messages(1..=2));
    scenario.standing = Some(Standing::Gone);
    let mut alice = scenario.join("alice", DEN);
    scenario.transcript();
    // Alice's connection broke, and she comes back by a re-INVITE.
    scenario.lose("alice", DEN, LossCause::Disconnected);
    let again = scenario.request(&mut alice, "INVITE", DEN, &[], &offer("alice"));
    assert_eq!(again, Some(200));
    scenario.ack(&mut alice, DEN, "");
    assert_eq!(lines(&mut scenario), ["! admit alice"]);
    assert!(!scenario.admissions.last().expect("one").newcomer);
    // The proxy and its switch are killed.
    scenario.restart(false, 2);
    scenario.transcript();
    scenario.feed(Input::Deadline);
    scenario.pass(1);
    let last = scenario.admissions.last().expect("one");
    assert!(!last.newcomer && last.policy.history == 3);
    scenario.join("bob", DEN);
    assert!(scenario.admissions.last().expect("one").newcomer);
}

#[test]
fn a_history_ends_with_a_room_that_does_not_last() {
    ends_with_its_room(Lifetime::WhileCreatorStays);
}

#[test]
fn a_history_ends_with_a_room_of_a_factory_that_nobody_can_come_back_to() {
    ends_with_its_room(Lifetime::Forever);
}

fn ends_with_its_room(lifetime: Lifetime) {
    let mut scenario = den_where_factories_make(lifetime);
    let mut alice = scenario.phone("alice");
    let new = "sip:new@example.com";
    let code = scenario.request(&mut alice, "INVITE", new, &[], &offer("alice"));
    assert_eq!(code, Some(200));
    let room = scenario.admissions[0].room.to_string();
    scenario.ack(&mut alice, &room, "");
    told(&mut scenario, &room, 7);
    scenario.transcript();
    let code = scenario.request(&mut alice, "BYE", &room, &[], "");
    assert_eq!(code, Some(200));
    let name = short(&room);
    let gone = [
        format!("- history of {name}"),
        format!("! forget {name}"),
        // Reported by the switch before it forgot the history.
        format!("- history of {name}"),
    ];
    assert_eq!(lines(&mut scenario), gone);
    told(&mut scenario, &room, 8);
    let only = [format!("! remembered {name} up to 8, 4 octets")];
    assert_eq!(lines(&mut scenario), only, "nothing is kept any more");
}

#[test]
fn a_history_outlives_the_conferences_of_a_room_that_lasts_until_management_ends_it() {
    let mut scenario = den();
    for room in [DEN, NEST] {
        let mut alice = scenario.join("alice", room);
        scenario.request(&mut alice, "BYE", room, &[], "");
        assert_eq!(lines(&mut scenario), ["! admit alice"]);
    }
    scenario
        .histories
        .insert(RoomUri::new(DEN), messages(1..=2));
    let now = scenario.now;
    let ended = scenario.focus.end_room(now, &RoomUri::new(DEN));
    assert_eq!(ended, Ok(()));
    scenario.focus.tell_what_changed();
    scenario.feed(Input::Deadline);
    let gone = ["- history of den", "! forget den", "- history of den"];
    assert_eq!(lines(&mut scenario), gone);
    scenario.join("bob", DEN);
    assert_eq!(lines(&mut scenario), ["! admit bob"]);
    // The room has left the configuration: its history can still be ended.
    let old = RoomUri::new("sip:old@example.com");
    assert!(scenario.focus.end_room(now, &old).is_err());
    scenario.histories.insert(old.clone(), messages(1..=2));
    scenario.look_up(Query::Room(old.clone()));
    assert_eq!(scenario.focus.end_room(now, &old), Ok(()));
    scenario.focus.tell_what_changed();
    scenario.feed(Input::Deadline);
    let gone = ["- history of old", "! forget old", "- history of old"];
    assert_eq!(lines(&mut scenario), gone);
}

#[test]
fn without_a_store_conferences_end_with_the_proxy_and_lasting_histories_do_not() {
    let mut scenario = den();
    scenario.join("alice", DEN);
    scenario.join("bob", NEST);
    scenario.transcript();
    scenario.feed(Input::Stop);
    let all = scenario.transcript();
    assert!(all.contains("! close nest"), "{all}");
    assert!(!all.contains("history"), "{all}");
}

#[test]
fn who_joins_waits_for_the_history_and_is_refused_when_it_cannot_be_read() {
    let mut scenario = den();
    scenario
        .histories
        .insert(RoomUri::new(DEN), messages(1..=2));
    let knock = |scenario: &mut Scenario, user: &str| {
        let mut phone = scenario.phone(user);
        scenario.begin(&mut phone, "INVITE", DEN, &[], &offer(user))
    };
    // A room of the configuration is known after a look-up.
    scenario.look_up(Query::Room(RoomUri::new(DEN)));
    scenario.store = Some(Answers::Silent);
    let first = knock(&mut scenario, "alice");
    let second = knock(&mut scenario, "bob");
    assert_eq!(lines(&mut scenario), [""; 0], "nobody is admitted yet");
    let history = Query::History(RoomUri::new(DEN), 3);
    scenario.store = Some(Answers::Right);
    scenario.look_up(history.clone());
    let admitted = ["! recall den: [1, 2]", "! admit alice", "! admit bob"];
    assert_eq!(lines(&mut scenario), admitted);
    for transaction in [first, second] {
        assert_eq!(scenario.reply_to(transaction).expect("an answer").code, 200);
    }
    // The switch may have lost it; and now the store cannot read it.
    connect(&mut scenario, 1);
    scenario.store = Some(Answers::Unreadable);
    let third = knock(&mut scenario, "carol");
    let reply = scenario.reply_to(third).expect("an answer");
    assert_eq!(
        (reply.code, reply.headers.first("Retry-After")),
        (503, Some("10"))
    );
    assert_eq!(lines(&mut scenario), [""; 0]);
    // Without an answer the request is refused in time; a caller who gave up is not admitted later.
    scenario.store = Some(Answers::Silent);
    let fourth = knock(&mut scenario, "dave");
    scenario.pass(6);
    assert_eq!(scenario.reply_to(fourth).expect("an answer").code, 503);
    scenario.store = Some(Answers::Right);
    scenario.look_up(history);
    assert_eq!(lines(&mut scenario), ["! recall den: [1, 2]"]);
}
