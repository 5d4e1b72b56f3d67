//! Each user has at most one invitation to a room, and a conference is not invited.

use super::refer::{CAROL, answer, refer, room};
use super::*;

fn lines(transcript: &str, what: &str) -> usize {
    transcript.lines().filter(|line| *line == what).count()
}

#[test]
fn a_party_is_called_once_whoever_wants_it() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let ringing = scenario.last_sent("carol").id;
    scenario.feed(Input::Progress {
        request: ringing,
        code: 180,
    });
    refer(
        &mut scenario,
        "bob",
        &format!("<{CAROL};transport=tcp>"),
        &[],
    );
    scenario.pass(6);
    let transcript = scenario.transcript();
    assert_eq!(lines(&transcript, "< INVITE carol"), 1, "{transcript}");
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+ carol=!");
    scenario.party_answers("carol", 486, &[], "");
    scenario.pass(6);
    let transcript = scenario.transcript();
    for user in ["alice", "bob"] {
        let told = format!("< NOTIFY {user} terminated SIP/2.0 486 Busy Here");
        assert_eq!(lines(&transcript, &told), 1, "{transcript}");
    }
    assert!(scenario.focus.invites.ids().is_empty());
}

#[test]
fn who_joins_by_themselves_is_called_no_more() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    scenario.pass(6);
    let ringing = scenario.last_sent("carol").id;
    let promised = scenario.sessions["carol"].clone();
    scenario.transcript();
    scenario.join("carol", ROOM);
    scenario.sessions.insert("phone".to_owned(), promised);
    scenario.pass(6);
    let transcript = scenario.transcript();
    let cancel = format!("< CANCEL {}", ringing.0);
    assert_eq!(lines(&transcript, &cancel), 1, "{transcript}");
    let told = "< NOTIFY alice terminated SIP/2.0 200 OK";
    assert_eq!(lines(&transcript, told), 1, "{transcript}");
    assert!(scenario.focus.invites.ids().is_empty());
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+ carol=+");
    // The party answers all the same.
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    assert_eq!(scenario.transcript(), "< ACK carol\n< BYE carol");
    assert_eq!(scenario.focus.counts().participants, 3);
}

#[test]
fn two_lists_with_one_user_make_one_invitation_that_ends_with_the_join() {
    let mut scenario = Scenario::with(Config {
        invite_mode: InviteMode::Refer,
        ..config()
    });
    let list = "<?xml version=\"1.0\"?><resource-lists \
                xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
                <entry uri=\"sip:carol@example.com\"/></list></resource-lists>";
    for user in ["alice", "alice"] {
        let body = format!(
            "--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n\
             --b\r\nContent-Type: application/resource-lists+xml\r\n\
             Content-Disposition: recipient-list\r\n\r\n{list}\r\n--b--\r\n",
            offer(user)
        );
        let mut phone = scenario.phone(user);
        let headers = [("Content-Type", "multipart/mixed;boundary=b")];
        let code = scenario.request(&mut phone, "INVITE", ROOM, &headers, &body);
        assert_eq!(code, Some(200));
        scenario.ack(&mut phone, ROOM, "");
    }
    assert_eq!(scenario.focus.invites.ids().len(), 1);
    let refers = scenario.sent.iter();
    assert_eq!(refers.filter(|it| it.method == Method::Refer).count(), 1);
    scenario.join("carol", ROOM);
    assert_eq!(scenario.focus.invites.leftovers(), [""; 0]);
}

/// INVITEs of this number of Carol's devices, all before the switch admits any.
fn come_together(scenario: &mut Scenario, devices: usize) -> Vec<Option<u16>> {
    scenario.admits = false;
    let before = scenario.admissions.len();
    let mut begun = Vec::new();
    for _ in 0..devices {
        let mut phone = scenario.phone("carol");
        begun.push(scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("carol")));
    }
    scenario.admits = true;
    let admitted: Vec<_> = scenario.admissions[before..].to_vec();
    for admission in admitted {
        scenario.feed(Input::Notice(Notice::Admitted {
            room: admission.room,
            session: admission.session,
        }));
    }
    let code = |transaction| Some(scenario.reply_to(transaction)?.code);
    begun.into_iter().map(code).collect()
}

#[test]
fn devices_that_join_together_have_keys_of_their_own() {
    for invited in [false, true] {
        let (mut scenario, ..) = room();
        if invited {
            refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
        }
        assert_eq!(come_together(&mut scenario, 2), [Some(200); 2]);
        let document = scenario.truth(ROOM, false);
        let users = document.users.expect("users").users;
        let carol = users.iter().find(|user| user.entity == CAROL);
        let keys = carol.expect("carol").endpoints.iter().map(|it| &it.entity);
        let keys: Vec<_> = keys.collect();
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0], keys[1]);
    }
}

#[test]
fn devices_that_are_being_admitted_count_against_the_most() {
    let (mut scenario, ..) = room();
    let codes = come_together(&mut scenario, 17);
    let refused: Vec<_> = codes.iter().filter(|code| **code != Some(200)).collect();
    assert_eq!(refused, [&Some(486)]);
}

#[test]
fn a_conference_takes_no_part_in_a_conference() {
    let (mut scenario, ..) = room();
    let mut phone = scenario.phone("other");
    let contact = [("Contact", "<sip:other@192.0.2.9>;isfocus")];
    let code = scenario.request(&mut phone, "INVITE", ROOM, &contact, &offer("other"));
    assert_eq!(code, Some(403));
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    scenario.pass(6);
    scenario.transcript();
    scenario.party_answers("carol", 200, &contact, &answer("carol"));
    scenario.pass(6);
    let transcript = scenario.transcript();
    assert!(transcript.starts_with("< BYE carol\n"), "{transcript}");
    assert!(
        transcript.contains("< NOTIFY alice terminated SIP/2.0 403 Forbidden"),
        "{transcript}"
    );
    assert_eq!(scenario.focus.counts().participants, 2);
}

#[test]
fn two_rooms_that_invite_each_other_end_when_all_people_have_left() {
    // The request of room A, as room B receives it.
    let (mut scenario, mut alice, mut bob) = room();
    refer(&mut scenario, "alice", "<sip:second@example.com>", &[]);
    let invite = scenario.last_sent("second").clone();
    let contact = invite
        .headers
        .first("Contact")
        .expect("a Contact")
        .to_owned();
    let mut second = scenario.phone("lobby");
    let headers = [("Contact", contact.as_str())];
    let room_b = "sip:second@example.com";
    let code = scenario.request(&mut second, "INVITE", room_b, &headers, &offer("lobby"));
    assert_eq!(code, Some(403));
    scenario.party_answers("second", 403, &[], "");
    for phone in [&mut alice, &mut bob] {
        scenario.request(phone, "BYE", ROOM, &[], "");
    }
    scenario.pass(60);
    assert_eq!(scenario.focus.counts().conferences, 0);
}
