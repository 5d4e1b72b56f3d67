//! The proxy was restarted: what is kept is taken up (docs/restart.md).

use super::*;

/// Three in the lobby, alice and bob watching, everybody told everything.
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
    // Kept again before it was used.
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
    // The same switch: who is gone now has gone by himself.
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
        .endpoints
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
    // Subscribers of a conference that is no more are told so.
    let last = watch::subscription::Due::Last(watch::subscription::Termination::NoResource);
    assert!(
        focus
            .watch
            .subscriptions
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
            refusal: crate::control::Refusal::Unreachable,
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
    // The same run knows them itself.
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
    // It ends while nobody is here.
    scenario.request(&mut dave, "BYE", ROOM, &[], "");
    assert_eq!(held(&scenario), 1);
    scenario.now = scenario.now + Duration::from_secs(600);
    scenario.restart(false, 1);
    assert_eq!(held(&scenario), 0);
    assert!(!scenario.transcript().contains("! hold"));
}
