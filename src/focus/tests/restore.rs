//! Restarts of the proxy: the stored state is restored (docs/restart.md).

use super::*;

/// Three participants in the lobby; Alice and Bob watch and are up to date.
fn lobby() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.describes = true;
    let run = SwitchRun(1);
    scenario.feed(Input::Notice(Notice::Connected {
        run,
        listen: Vec::new(),
    }));
    for user in ["alice", "bob", "carol"] {
        scenario.join(user, ROOM);
    }
    scenario.watch("alice", ROOM);
    scenario.watch("bob", ROOM);
    scenario.pass(10);
    scenario.transcript();
    scenario
}

#[test]
fn with_the_same_switch_everything_goes_on_and_everybody_gets_one_full_document() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Bound);
    scenario.restart(true, 1);
    scenario.pass(60);
    assert_eq!(
        scenario.transcript(),
        "! reconcile lobby (alice bob carol)\n\
         < NOTIFY alice active full v2 (alice=+ bob=+ carol=+)\n\
         < NOTIFY bob active full v2 (alice=+ bob=+ carol=+)"
    );
}

#[test]
fn after_a_crash_versions_and_cseqs_go_on_behind_what_was_used() {
    let mut scenario = lobby();
    let used = scenario.sent.back().expect("a NOTIFY").cseq;
    scenario.standing = Some(Standing::Bound);
    scenario.restart(false, 1);
    assert!(
        scenario
            .transcript()
            .contains("< NOTIFY alice active full v65"),
        "a multiple of the lease, and one"
    );
    assert!(scenario.sent.back().expect("a NOTIFY").cseq > used);
    // Counters are stored again before they are used.
    scenario.restart(false, 1);
    assert!(scenario.transcript().contains("full v129"));
}

#[test]
fn with_another_switch_everybody_is_called_and_nobody_leaves() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Gone);
    scenario.admissions.clear();
    scenario.restart(true, 2);
    let transcript = scenario.transcript();
    for user in ["alice", "bob", "carol"] {
        let admit = transcript.find(&format!("! admit {user}")).expect("admit");
        let invite = transcript.find(&format!("< INVITE {user}")).expect("call");
        let amend = transcript.find(&format!("! amend {user}")).expect("amend");
        assert!(admit < invite && invite < amend, "{transcript}");
    }
    assert_eq!(transcript.matches("< NOTIFY").count(), 2, "{transcript}");
    let offer = scenario
        .sent
        .iter()
        .find(|request| request.method == Method::Invite)
        .expect("a re-INVITE");
    let offer = String::from_utf8_lossy(&offer.body).into_owned();
    assert!(offer.contains("a=setup:actpass"), "{offer}");
    let path = &scenario.admissions[0].own_uri;
    assert!(offer.contains(path.as_str()), "{offer} has {path}");
    scenario.pass(5);
    let transcript = scenario.transcript();
    let back = "active partial v3 (alice=+ bob=+ carol=+)";
    assert_eq!(transcript.matches(back).count(), 2, "{transcript}");
    scenario.pass(120);
    assert_eq!(scenario.transcript(), "", "they are all back");
    assert_eq!(scenario.focus.counts().participants, 3);
}

#[test]
fn who_does_not_answer_leaves_with_bye_and_notify() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Gone);
    scenario.refresh_answer = None;
    scenario.restart(false, 2);
    scenario.transcript();
    scenario.pass(29);
    assert!(!scenario.transcript().contains("BYE"));
    scenario.pass(30);
    let transcript = scenario.transcript();
    assert_eq!(transcript.matches("< BYE").count(), 3, "{transcript}");
    assert_eq!(scenario.focus.counts().conferences, 0, "an ad hoc room");
}

#[test]
fn who_has_no_such_dialog_any_more_leaves_at_once() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Gone);
    scenario.refresh_answer = Some(481);
    scenario.restart(false, 2);
    assert_eq!(scenario.focus.counts().participants, 0);
}

#[test]
fn glare_is_tried_again() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Gone);
    scenario.refresh_answer = Some(491);
    scenario.restart(false, 2);
    assert_eq!(scenario.focus.counts().participants, 3);
    scenario.refresh_answer = Some(200);
    scenario.pass(120);
    assert_eq!(scenario.focus.counts().participants, 3, "they came in time");
}

#[test]
fn a_switch_that_dies_alone_is_made_good_the_same_way() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Gone);
    scenario.feed(Input::Notice(Notice::Disconnected));
    let run = SwitchRun(2);
    scenario.feed(Input::Notice(Notice::Connected {
        run,
        listen: Vec::new(),
    }));
    let transcript = scenario.transcript();
    assert_eq!(transcript.matches("< INVITE").count(), 3, "{transcript}");
    scenario.pass(120);
    assert_eq!(scenario.focus.counts().participants, 3);
    // The same switch: a missing user has left by themselves.
    scenario.feed(Input::Notice(Notice::Connected {
        run,
        listen: Vec::new(),
    }));
    assert!(!scenario.transcript().contains("INVITE"));
}

#[test]
fn what_expired_meanwhile_is_ended_properly() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Bound);
    scenario.now = scenario.now + Duration::from_secs(4000);
    scenario.restart(false, 1);
    scenario.pass(1);
    let transcript = scenario.transcript();
    assert_eq!(transcript.matches("< NOTIFY").count(), 2, "{transcript}");
    assert_eq!(transcript.matches("< BYE").count(), 3, "{transcript}");
    assert_eq!(
        scenario.focus.counts(),
        Counts {
            requests: scenario.focus.counts().requests,
            ..Counts::default()
        }
    );
}

#[test]
fn the_sockets_of_an_earlier_run_are_looked_up_anew() {
    let scenario = lobby();
    let mut focus = Focus::new(config(), Box::new(Seeded(3)));
    let mut asked = Vec::new();
    focus.restore(
        scenario.now,
        scenario.kept.values().cloned().collect(),
        &mut |socket| {
            asked.push(socket.clone());
            77
        },
    );
    assert_eq!(asked.len(), 1, "once each");
    assert_eq!((asked[0].handle, asked[0].port), (0, 5060));
    let handles = focus
        .rooms
        .endpoints()
        .values()
        .map(|e| e.dialog.socket.handle);
    assert!(handles.eq([77, 77, 77]));
}

#[test]
fn management_may_invite_at_once_into_any_room() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Bound);
    scenario.restart(false, 1);
    let hall = RoomUri::new("sip:hall@example.com");
    let target = "sip:dave@example.com";
    assert_eq!(
        scenario.manage(|focus, now| focus.invite_into(now, &hall, target)),
        Ok(())
    );
    assert_eq!(scenario.last_sent("dave").method, Method::Invite);
}

#[test]
fn records_that_fit_nothing_are_passed_over() {
    let scenario = lobby();
    let conference = |record: &Record| !matches!(record, Record::Conference(_));
    let orphans = scenario.kept.values().filter(|r| conference(r)).cloned();
    let mut focus = Focus::new(config(), Box::new(Seeded(3)));
    focus.restore(scenario.now, orphans.collect(), &mut |_| 0);
    assert_eq!(focus.counts().participants, 0);
    // Subscribers of a conference that has gone get its end.
    let last = watch::subscription::Due::Last(watch::subscription::Termination::NoResource);
    assert!(
        focus
            .watch
            .subscriptions()
            .values()
            .all(|one| one.due == last)
    );
}

#[test]
fn nothing_is_left_when_everybody_has_gone() {
    let mut scenario = lobby();
    scenario.feed(Input::Stop);
    scenario.pass(60);
    assert_eq!(scenario.kept, BTreeMap::new());
}

#[test]
fn a_notify_is_a_write_only_now_and_then() {
    let mut scenario = lobby();
    let before = scenario.kept.clone();
    for _ in 0..5 {
        let mut phone = scenario.join("dave", ROOM);
        scenario.pass(6);
        scenario.request(&mut phone, "BYE", ROOM, &[], "");
        scenario.pass(6);
    }
    assert_eq!(scenario.kept, before);
}

#[test]
fn nobody_is_called_before_the_switch_has_its_session() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Gone);
    scenario.admits = false;
    scenario.restart(true, 2);
    assert!(!scenario.transcript().contains("INVITE"));
    let session = scenario.sessions["bob"].clone();
    let room = RoomUri::new(ROOM);
    scenario.feed(Input::Notice(Notice::Admitted { room, session }));
    let transcript = scenario.transcript();
    assert!(
        transcript.contains("< INVITE bob\n! amend bob"),
        "{transcript}"
    );
    assert!(!transcript.contains("alice"), "{transcript}");
}

#[test]
fn who_comes_by_himself_meanwhile_is_not_called() {
    let mut scenario = Scenario::new();
    scenario.describes = true;
    let run = SwitchRun(1);
    scenario.feed(Input::Notice(Notice::Connected {
        run,
        listen: Vec::new(),
    }));
    let mut alice = scenario.join("alice", ROOM);
    scenario.standing = Some(Standing::Gone);
    scenario.admits = false;
    scenario.restart(true, 2);
    scenario.transcript();
    let code = scenario.request(&mut alice, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(200));
    scenario.ack(&mut alice, ROOM, "");
    assert!(
        scenario.transcript().contains("! amend alice"),
        "the switch knows her path"
    );
    let session = scenario.sessions["alice"].clone();
    let room = RoomUri::new(ROOM);
    scenario.feed(Input::Notice(Notice::Admitted { room, session }));
    scenario.pass(120);
    assert!(!scenario.transcript().contains("INVITE"));
    assert_eq!(scenario.focus.counts().participants, 1);
}

#[test]
fn a_switch_that_refuses_is_asked_again() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Gone);
    scenario.admits = false;
    scenario.restart(true, 2);
    for user in ["alice", "bob", "carol"] {
        let session = scenario.sessions[user].clone();
        scenario.feed(Input::Notice(Notice::Refused {
            room: RoomUri::new(ROOM),
            session,
            error: crate::control::AdmitError::Unreachable,
        }));
    }
    scenario.admits = true;
    scenario.pass(120);
    assert_eq!(scenario.focus.counts().participants, 3);
}

#[test]
fn who_cannot_be_reached_has_the_grace_to_come_back() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Gone);
    scenario.refresh_answer = Some(408);
    scenario.restart(false, 2);
    scenario.pass(20);
    assert_eq!(scenario.focus.counts().participants, 3);
    assert!(scenario.transcript().matches("< INVITE alice").count() > 3);
    scenario.pass(20);
    assert_eq!(scenario.focus.counts().participants, 0);
}

fn named(scenario: &mut Scenario, user: &str, nickname: &str) {
    scenario.nickname(ROOM, &format!("sip:{user}@example.com"), nickname);
}

fn held(scenario: &Scenario) -> usize {
    let records = scenario.kept.values();
    let held = records.filter(|it| matches!(it, Record::HeldNickname(_)));
    held.count()
}

#[test]
fn g67_another_switch_learns_the_nicknames_of_who_is_not_there_before_it_admits_anybody() {
    let mut scenario = lobby();
    let mut dave = scenario.join("dave", ROOM);
    named(&mut scenario, "dave", "Da");
    named(&mut scenario, "bob", "Bo");
    assert_eq!(held(&scenario), 0);
    scenario.request(&mut dave, "BYE", ROOM, &[], "");
    assert_eq!(held(&scenario), 1);
    scenario.pass(100);
    scenario.transcript();
    scenario.standing = Some(Standing::Gone);
    scenario.restart(false, 2);
    let transcript = scenario.transcript();
    assert!(
        transcript.starts_with("! hold lobby (dave=Da 500s, bob=Bo 600s)\n"),
        "{transcript}"
    );
    // The same run of the switch still has them.
    let run = SwitchRun(2);
    scenario.feed(Input::Notice(Notice::Connected {
        run,
        listen: Vec::new(),
    }));
    assert!(!scenario.transcript().contains("! hold"));
}

#[test]
fn g67_what_is_held_goes_with_its_quarantine_or_another_nickname() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Bound);
    let mut dave = scenario.join("dave", ROOM);
    named(&mut scenario, "dave", "Da");
    scenario.request(&mut dave, "BYE", ROOM, &[], "");
    scenario.pass(599);
    assert_eq!(held(&scenario), 1);
    scenario.pass(1);
    assert_eq!(held(&scenario), 0);
    let mut dave = scenario.join("dave", ROOM);
    named(&mut scenario, "dave", "Da");
    scenario.request(&mut dave, "BYE", ROOM, &[], "");
    let mut dave = scenario.join("dave", ROOM);
    assert_eq!(held(&scenario), 1, "until he says what he wants");
    named(&mut scenario, "dave", "David");
    assert_eq!(held(&scenario), 0);
    // The conference ends while no focus is running.
    scenario.request(&mut dave, "BYE", ROOM, &[], "");
    assert_eq!(held(&scenario), 1);
    scenario.now = scenario.now + Duration::from_secs(600);
    scenario.restart(false, 1);
    assert_eq!(held(&scenario), 0);
    assert!(!scenario.transcript().contains("! hold"));
}

/// All stored records of one kind.
fn kept<'a, T>(scenario: &'a Scenario, of: impl Fn(&'a Record) -> Option<T>) -> Vec<T> {
    scenario.kept.values().filter_map(of).collect()
}

#[test]
fn deadlines_of_a_clock_that_was_ahead_end_as_if_granted_now() {
    let mut scenario = lobby();
    scenario.standing = Some(Standing::Bound);
    scenario.refresh_answer = None;
    let document = "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" \
                    entity=\"sip:lobby@example.com\" state=\"full\" version=\"1\"/>";
    let mut phone = scenario.phone("alice");
    let headers = [("Event", "conference"), ("Content-Type", info::MEDIA_TYPE)];
    assert_eq!(
        scenario.request(&mut phone, "PUBLISH", ROOM, &headers, document),
        Some(200)
    );
    scenario.now = scenario.now - Duration::from_secs(10 * 365 * 86_400);
    scenario.restart(false, 1);
    scenario.transcript();
    scenario.pass(1801);
    let transcript = scenario.transcript();
    assert_eq!(
        transcript.matches("< BYE").count(),
        3,
        "sessions: {transcript}"
    );
    scenario.pass(1800);
    let transcript = scenario.transcript();
    assert_eq!(scenario.focus.counts(), Counts::default(), "{transcript}");
}

#[test]
fn refreshes_that_fell_due_while_nobody_was_here_go_in_turns() {
    let mut scenario = Scenario::new();
    scenario.feed(Input::Notice(Notice::Connected {
        run: SwitchRun(1),
        listen: Vec::new(),
    }));
    for n in 0..30 {
        scenario.join(&format!("u{n}"), ROOM);
    }
    scenario.standing = Some(Standing::Bound);
    scenario.now = scenario.now + Duration::from_secs(1000);
    scenario.restart(false, 1);
    let refreshes = |scenario: &mut Scenario| scenario.transcript().matches("< INVITE").count();
    assert_eq!(refreshes(&mut scenario), 0, "not all at once");
    let mut apart = 0;
    for _ in 0..30 {
        scenario.now = scenario.now + Duration::from_millis(10);
        scenario.feed(Input::Deadline);
        apart = apart.max(refreshes(&mut scenario));
    }
    assert_eq!(apart, 1);
    scenario.pass(1);
    assert_eq!(scenario.focus.counts().participants, 30);
}

/// A scenario whose configuration has this room.
fn with_room(entry: RoomEntry) -> Scenario {
    let mut scenario = Scenario::with(Config {
        rooms: vec![entry],
        ..config()
    });
    scenario.feed(Input::Notice(Notice::Connected {
        run: SwitchRun(1),
        listen: Vec::new(),
    }));
    scenario.standing = Some(Standing::Bound);
    scenario
}

/// Restarts with other rooms in the configuration.
fn restart_with(scenario: &mut Scenario, rooms: Vec<RoomEntry>) {
    scenario.focus.config.rooms = rooms;
    scenario.restart(true, 1);
}

#[test]
fn a_room_taken_out_of_the_configuration_ends_when_nobody_is_in() {
    let entry = RoomEntry::new(RoomUri::new(ROOM));
    let mut scenario = with_room(entry.clone());
    let mut alice = scenario.join("alice", ROOM);
    scenario.watch("bob", ROOM);
    restart_with(&mut scenario, Vec::new());
    assert_eq!(scenario.focus.counts().participants, 1, "who is in stays");
    scenario.pass(10);
    scenario.transcript();
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    scenario.pass(10);
    let transcript = scenario.transcript();
    assert!(
        transcript.contains("NOTIFY bob terminated;noresource"),
        "{transcript}"
    );
    assert_eq!(scenario.focus.counts(), Counts::default());
    // A room without participants ends at once, even with subscribers.
    let mut scenario = with_room(entry);
    scenario.watch("bob", ROOM);
    restart_with(&mut scenario, Vec::new());
    scenario.pass(10);
    assert_eq!(scenario.focus.counts(), Counts::default());
    assert!(scenario.kept.is_empty());
}

#[test]
fn bans_and_roles_changed_in_the_configuration_hold_for_who_is_restored() {
    let entry = || RoomEntry::new(RoomUri::new(ROOM));
    let mut scenario = with_room(
        RoomRules {
            moderators: vec![Pattern::new("boss@example.com")],
            observers: vec![Pattern::new("carol@example.com")],
            ..entry().rules
        }
        .of(entry().uri),
    );
    for user in ["alice", "boss", "carol", "mallory"] {
        scenario.join(user, ROOM);
    }
    let mut given = scenario.phone("dave");
    given.role = Some(Role::Moderator);
    scenario.request(&mut given, "INVITE", ROOM, &[], &offer("dave"));
    scenario.ack(&mut given, ROOM, "");
    scenario.watch("mallory", ROOM);
    scenario.pass(10);
    scenario.transcript();
    restart_with(
        &mut scenario,
        vec![
            RoomRules {
                moderators: vec![Pattern::new("alice@example.com")],
                deny: vec![Pattern::new("mallory@example.com")],
                ..entry().rules
            }
            .of(entry().uri),
        ],
    );
    scenario.pass(10);
    let transcript = scenario.transcript();
    assert!(transcript.contains("< BYE mallory"), "{transcript}");
    assert!(
        transcript.contains("< NOTIFY mallory terminated;rejected"),
        "{transcript}"
    );
    for amended in ["alice", "boss", "carol"] {
        assert!(
            transcript.contains(&format!("! amend {amended}")),
            "{transcript}"
        );
    }
    let roles: Vec<_> = scenario.focus.rooms.conferences()[ROOM]
        .participants
        .iter()
        .map(|(user, it)| format!("{}={}", short(user.as_str()), it.role.as_str()))
        .collect();
    assert_eq!(
        roles.join(" "),
        "alice=moderator boss=participant carol=participant dave=moderator"
    );
    let carol = scenario
        .admissions
        .iter()
        .rev()
        .find(|it| short(it.user.as_str()) == "carol");
    assert!(carol.expect("amended").peer.sends);
    // Once: the next run finds the state left by this one.
    let rooms = scenario.focus.config.rooms.clone();
    scenario.transcript();
    restart_with(&mut scenario, rooms);
    assert!(!scenario.transcript().contains("! amend"));
}

#[test]
fn a_pseudonym_is_not_given_again_after_a_restart() {
    let mut scenario = Scenario::new();
    let mut numbers = Vec::new();
    for orderly in [false, true, false] {
        scenario.join("keeper", ROOM);
        let mut phone = scenario.phone("alice");
        let headers = [("Privacy", "id")];
        scenario.request(&mut phone, "INVITE", ROOM, &headers, &offer("alice"));
        scenario.ack(&mut phone, ROOM, "");
        let conference = &scenario.focus.rooms.conferences()[ROOM];
        let alice = &conference.participants[&UserUri::new("sip:alice@example.com")];
        numbers.push(alice.anonymous.expect("anonymous"));
        scenario.request(&mut phone, "BYE", ROOM, &[], "");
        scenario.standing = Some(Standing::Bound);
        scenario.restart(orderly, 1);
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn records_without_their_conference_are_deleted() {
    let mut scenario = lobby();
    let lost = |record: &Record| matches!(record, Record::Participant(one) if short(one.user.as_str()) == "carol");
    scenario.kept.retain(|_, record| !lost(record));
    let conference = Key::Conference(RoomUri::new("sip:gone@example.com"));
    assert!(!scenario.kept.contains_key(&conference));
    let orphan = record::ParticipantRecord {
        room: RoomUri::new("sip:gone@example.com"),
        user: UserUri::new("sip:dave@example.com"),
        display: String::new(),
        nickname: None,
        role: Role::Participant,
        anonymous: None,
    };
    scenario.kept.insert(
        Record::Participant(orphan.clone()).key(),
        Record::Participant(orphan),
    );
    scenario.standing = Some(Standing::Bound);
    scenario.restart(false, 1);
    let endpoints = kept(&scenario, |record| match record {
        Record::Endpoint(one) => Some(short(one.user.as_str())),
        _ => None,
    });
    assert_eq!(endpoints, ["alice", "bob"]);
    let participants = kept(&scenario, |record| match record {
        Record::Participant(one) => Some(short(one.user.as_str())),
        _ => None,
    });
    assert_eq!(participants, ["alice", "bob"]);
}

#[test]
fn who_left_on_purpose_is_a_row_each_bounded_and_known_after_a_restart() {
    let mut scenario = Scenario::new();
    let group = [("Contribution-ID", "group-1")];
    let come_and_go = |scenario: &mut Scenario, user: &str| {
        let mut phone = scenario.phone(user);
        let code = scenario.request(&mut phone, "INVITE", ROOM, &group, &offer(user));
        if code == Some(200) {
            scenario.ack(&mut phone, ROOM, "");
            scenario.request(&mut phone, "BYE", ROOM, &[], "");
        }
        code
    };
    let mut keeper = scenario.phone("keeper");
    scenario.request(&mut keeper, "INVITE", ROOM, &group, &offer("keeper"));
    scenario.ack(&mut keeper, ROOM, "");
    for n in 0..1_010 {
        assert_eq!(come_and_go(&mut scenario, &format!("u{n}")), Some(200));
    }
    let rows = |scenario: &Scenario| {
        let all = kept(scenario, |it| {
            matches!(it, Record::Departed(_)).then_some(())
        });
        all.len()
    };
    assert_eq!(rows(&scenario), 1_000);
    scenario.standing = Some(Standing::Bound);
    scenario.restart(false, 1);
    assert_eq!(
        come_and_go(&mut scenario, "u7"),
        Some(403),
        "left on purpose"
    );
    assert_eq!(
        come_and_go(&mut scenario, "u1005"),
        Some(200),
        "beyond the bound"
    );
    keeper.cseq += 1;
    scenario.request(&mut keeper, "BYE", ROOM, &[], "");
    assert_eq!(rows(&scenario), 0, "they go with the conference");
}
