//! REFER to the focus, dialling out, lists.

use super::*;

pub(super) const CAROL: &str = "sip:carol@example.com";

/// Alice made the room, moderates and watches it; Bob is in.
pub(super) fn room() -> (Scenario, Phone, Phone) {
    let mut scenario = Scenario::new();
    let alice = scenario.join("alice", ROOM);
    let bob = scenario.join("bob", ROOM);
    scenario.watch("alice", ROOM);
    scenario.pass(10);
    scenario.transcript();
    (scenario, alice, bob)
}

/// REFER outside the INVITE dialog.
pub(super) fn refer(
    scenario: &mut Scenario,
    user: &str,
    refer_to: &str,
    more: &[(&str, &str)],
) -> Reply {
    let mut phone = scenario.phone(user);
    let mut headers = vec![("Refer-To", refer_to)];
    headers.extend(more);
    let transaction = scenario.begin(&mut phone, "REFER", ROOM, &headers, "");
    scenario.reply_to(transaction).expect("an answer").clone()
}

pub(super) fn answer(user: &str) -> String {
    offer(user).replace("a=setup:actpass", "a=setup:active")
}

#[test]
fn f04_f13_add_by_refer() {
    let (mut scenario, ..) = room();
    let reply = refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    assert_eq!(reply.code, 200, "F13: never 202");
    assert_eq!(
        scenario.transcript(),
        "< 200 alice OK\n! admit carol\n< INVITE carol\n< NOTIFY alice active SIP/2.0 100 Trying\n\
         < NOTIFY alice active partial v2 (carol=?)"
    );
    let invite = scenario.last_sent("carol").clone();
    let contact = invite.headers.first("Contact");
    assert!(
        contact.is_some_and(|value| value.contains(";isfocus")),
        "F01"
    );
    assert_eq!(
        invite.headers.first("Referred-By"),
        Some("<sip:alice@example.com>")
    );
    assert!(String::from_utf8_lossy(&invite.body).contains("a=setup:actpass"));
    scenario.pass(6);
    scenario.feed(Input::Progress {
        request: invite.id,
        code: 180,
    });
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice active SIP/2.0 180 Ringing\n< NOTIFY alice active partial v3 (carol=!)"
    );
    scenario.pass(6);
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    scenario.pass(6);
    assert_eq!(
        scenario.transcript(),
        "! amend carol\n< NOTIFY alice active partial v4 (carol=+)"
    );
    scenario.bind("carol", ROOM);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice terminated SIP/2.0 200 OK"
    );
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+ carol=+");
    assert_eq!(scenario.focus.counts().participants, 3);
}

/// Carol rings, invited by Alice, whose roster does not matter.
fn carol_rings() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    scenario.pass(6);
    scenario.transcript();
    scenario
}

#[test]
fn the_inviter_learns_what_became_of_the_connection() {
    let mut scenario = carol_rings();
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    scenario.pass(6);
    let said = scenario.transcript();
    assert!(!said.contains("terminated"), "not known yet: {said}");
    scenario.lose("carol", ROOM, LossCause::NeverBound);
    scenario.pass(6);
    let said = scenario.transcript();
    let told = "< NOTIFY alice terminated SIP/2.0 480 No MSRP Connection";
    assert!(said.contains(told), "{said}");

    // The connection may come before the answer.
    let mut scenario = carol_rings();
    scenario.bind("carol", ROOM);
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    scenario.pass(6);
    let said = scenario.transcript();
    let told = "< NOTIFY alice terminated SIP/2.0 200 OK";
    assert!(said.contains(told), "{said}");
}

#[test]
fn the_address_our_invite_went_to_counts_as_the_answers_source() {
    let mut scenario = carol_rings();
    let request = scenario.last_sent("carol").id;
    let reached: std::net::IpAddr = "192.168.7.9".parse().unwrap();
    let response = crate::wire::sip::Response {
        code: 200,
        reason: "OK".to_owned(),
        headers: Headers::new()
            .with("To", format!("<{CAROL}>;tag=desk"))
            .with("Contact", "<sip:carol@192.168.7.9>"),
        body: offer("carol")
            .replace("a=setup:active", "a=setup:passive")
            .into(),
    };
    scenario.feed(Input::Outcome {
        request,
        reached: Some(reached),
        code: 200,
        response: Some(Box::new(response)),
    });
    let admission = scenario.admissions.last().expect("an amendment");
    let dial = admission.peer.dial.as_ref().expect("we connect");
    assert_eq!(dial.source, Some(reached));
}

/// The hall has two places: Alice, who watches, and the next participant. Carol's phone rings.
fn ringing_hall() -> (Scenario, Phone, RoomUri) {
    let mut scenario = Scenario::new();
    let hall = RoomUri::new("sip:hall@example.com");
    let alice = scenario.join("alice", hall.as_str());
    scenario.watch("alice", hall.as_str());
    let headers = [("Refer-To", "<sip:carol@example.com>")];
    let mut phone = scenario.phone("alice");
    let code = scenario.request(&mut phone, "REFER", hall.as_str(), &headers, "");
    assert_eq!(code, Some(200));
    scenario.pass(10);
    (scenario, alice, hall)
}

#[test]
fn the_invited_are_shown_and_count_nowhere() {
    let (mut scenario, _alice, hall) = ringing_hall();
    assert_eq!(scenario.focus.counts().participants, 1);
    let listed = scenario.focus.rooms_page(0, 10);
    assert_eq!(listed[0].participants, 1);
    let shown = scenario.focus.room_detail(&hall, 0, 10).expect("a room");
    assert_eq!(shown.summary.participants, 1);
    let marks: Vec<_> = shown.users.iter().map(|it| it.invited).collect();
    assert_eq!(marks, [false, true]);
    let document = &scenario.rosters["alice"];
    assert_eq!(users(document), "alice=+ carol=?");
    let state = document.conference_state.as_ref().expect("a state");
    assert_eq!((state.user_count, state.active), (Some(1), Some(true)));
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    assert_eq!(scenario.focus.counts().participants, 2);
}

#[test]
fn the_invited_hold_no_place() {
    let (mut scenario, _alice, hall) = ringing_hall();
    let bob = scenario.join("bob", hall.as_str());
    let mut dave = scenario.phone("dave");
    let code = scenario.request(&mut dave, "INVITE", hall.as_str(), &[], &offer("dave"));
    assert_eq!(code, Some(486), "two are in");
    scenario.pass(10);
    scenario.transcript();
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    scenario.pass(10);
    assert_eq!(
        scenario.transcript(),
        "< BYE carol\n! expel carol\n< NOTIFY alice terminated SIP/2.0 486 Busy Here\n\
         < NOTIFY alice active partial v4 (carol=-)\n< NOTIFY alice active partial v5 (carol=x)"
    );
    let counts = scenario.focus.counts();
    assert_eq!((counts.participants, counts.dialogs), (2, 3));
    drop(bob);
}

#[test]
fn an_invited_user_with_a_device_in_is_a_participant() {
    let (mut scenario, _alice, hall) = ringing_hall();
    let mut carol = scenario.join("carol", hall.as_str());
    assert_eq!(scenario.focus.counts().participants, 2);
    // Her second phone rings; a further device needs no place.
    let headers = [("Refer-To", "<sip:carol@example.com>")];
    let mut phone = scenario.phone("alice");
    let code = scenario.request(&mut phone, "REFER", hall.as_str(), &headers, "");
    assert_eq!(code, Some(200));
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    assert_eq!(scenario.focus.counts().participants, 2);
    scenario.request(&mut carol, "BYE", hall.as_str(), &[], "");
    assert_eq!(scenario.focus.counts().participants, 2);
}

#[test]
fn who_is_only_invited_watches_and_publishes_nothing() {
    let mut private = RoomEntry::new(RoomUri::new(ROOM));
    private.rules.subscribe_participants_only = true;
    let mut scenario = Scenario::with(Config {
        rooms: vec![private],
        ..config()
    });
    scenario.join("alice", ROOM);
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let mut carol = scenario.phone("carol");
    for method in ["SUBSCRIBE", "PUBLISH"] {
        let headers = [("Event", "conference"), ("Expires", "600")];
        let code = scenario.request(&mut carol, method, ROOM, &headers, "");
        assert_eq!(code, Some(403), "{method}");
    }
}

#[test]
fn f06_f07_removal_takes_every_device_and_the_subscriptions() {
    for refer_to in [
        "<sip:bob@example.com;method=BYE>",
        "<sip:bob@example.com>;method=BYE",
    ] {
        let (mut scenario, ..) = room();
        scenario.join("bob", ROOM);
        scenario.watch("bob", ROOM);
        scenario.pass(10);
        scenario.transcript();
        assert_eq!(refer(&mut scenario, "alice", refer_to, &[]).code, 200);
        scenario.pass(20);
        let transcript = scenario.transcript();
        assert_eq!(transcript.matches("< BYE bob").count(), 2, "{transcript}");
        assert!(
            transcript.contains("< NOTIFY bob terminated;rejected"),
            "{transcript}"
        );
        assert!(
            transcript.contains("terminated SIP/2.0 200 OK"),
            "{transcript}"
        );
        assert!(transcript.contains("partial v3 (bob=--)"), "{transcript}");
        assert_eq!(users(&scenario.rosters["alice"]), "alice=+");
    }
}

#[test]
fn f06_the_anonymous_are_removed_by_the_address_they_are_shown_by() {
    let (mut scenario, ..) = room();
    let mut ghost = scenario.phone("ghost");
    let headers = [("Privacy", "id")];
    scenario.request(&mut ghost, "INVITE", ROOM, &headers, &offer("ghost"));
    scenario.ack(&mut ghost, ROOM, "");
    scenario.transcript();
    let target = "<sip:anonymous1@anonymous.invalid;method=BYE>";
    assert_eq!(refer(&mut scenario, "bob", target, &[]).code, 403);
    assert_eq!(refer(&mut scenario, "alice", target, &[]).code, 200);
    assert!(scenario.transcript().contains("< BYE ghost"));
    let nobody = "<sip:anonymous2@anonymous.invalid;method=BYE>";
    assert_eq!(refer(&mut scenario, "alice", nobody, &[]).code, 404);
}

#[test]
fn f04_in_its_dialog_nobody_has_to_prove_who_it_is() {
    let (mut scenario, mut alice, _) = room();
    alice.identity = Some(String::new());
    let headers = [("Refer-To", "<sip:carol@example.com>")];
    let code = scenario.request(&mut alice, "REFER", ROOM, &headers, "");
    assert_eq!(code, Some(200));
    let mut outside = scenario.phone("alice");
    outside.identity = Some(String::new());
    let code = scenario.request(&mut outside, "REFER", ROOM, &headers, "");
    assert_eq!(code, Some(403));
}

#[test]
fn f19_a_merged_refer_482() {
    let (mut scenario, ..) = room();
    let mut phone = scenario.phone("alice");
    let headers = [("Refer-To", "<sip:carol@example.com>")];
    scenario.request(&mut phone, "REFER", ROOM, &headers, "");
    phone.to_tag = None;
    phone.cseq -= 1;
    let code = scenario.request(&mut phone, "REFER", ROOM, &headers, "");
    assert_eq!(code, Some(482));
}

#[test]
fn privileged_acts_need_the_role_403() {
    let (mut scenario, ..) = room();
    let remove = "<sip:alice@example.com;method=BYE>";
    assert_eq!(refer(&mut scenario, "bob", remove, &[]).code, 403);
    assert_eq!(
        refer(&mut scenario, "mallory", &format!("<{CAROL}>"), &[]).code,
        403
    );
    let oneself = "<sip:bob@example.com;method=BYE>";
    assert_eq!(refer(&mut scenario, "bob", oneself, &[]).code, 200);
}

#[test]
fn f12_refer_to_exactly_one_sip_uri() {
    let (mut scenario, ..) = room();
    let mut code = |refer_to: &str| refer(&mut scenario, "alice", refer_to, &[]).code;
    assert_eq!(code("<sip:c@example.com>, <sip:d@example.com>"), 400);
    assert_eq!(code("<tel:+49301234>"), 416);
    assert_eq!(code("<http://example.com>"), 416);
    assert_eq!(code("<sip:nobody@example.com;method=BYE>"), 404);
    assert_eq!(code("<sip:c@example.com;method=INFO>"), 501);
    assert_eq!(code("<sip:lobby@example.com>"), 403);
}

#[test]
fn f15_refer_sub_false_is_echoed_and_silent() {
    let (mut scenario, ..) = room();
    let headers = [("Refer-Sub", "false"), ("Require", "norefersub")];
    let reply = refer(&mut scenario, "alice", &format!("<{CAROL}>"), &headers);
    assert_eq!(reply.headers.first("Refer-Sub"), Some("false"));
    assert!(!scenario.transcript().contains("SIP/2.0"));
}

#[test]
fn f14_in_dialog_refers_are_told_apart() {
    let (mut scenario, mut alice, _) = room();
    for target in ["<sip:carol@example.com>", "<sip:dave@example.com>"] {
        let headers = [("Refer-To", target)];
        assert_eq!(
            scenario.request(&mut alice, "REFER", ROOM, &headers, ""),
            Some(200)
        );
    }
    let events: Vec<_> = scenario
        .sent
        .iter()
        .filter_map(|request| request.headers.first("Event"))
        .filter(|event| event.starts_with("refer"))
        .collect();
    assert_eq!(events, ["refer", "refer;id=3"]);
    // A SUBSCRIBE names the REFER; the operation itself goes on (RFC 3515 §2.4.4).
    let headers = [("Event", "refer;id=3"), ("Expires", "0")];
    let code = scenario.request(&mut alice, "SUBSCRIBE", ROOM, &headers, "");
    assert_eq!(code, Some(200));
    scenario.pass(2);
    assert!(scenario.transcript().contains("terminated SIP/2.0 100"));
    assert_eq!(scenario.focus.invites.ids().len(), 2);
    let headers = [("Refer-To", "<sip:erin@example.com>")];
    scenario.request(&mut alice, "REFER", ROOM, &headers, "");
    let last = scenario.sent.back().expect("a NOTIFY");
    assert_eq!(last.headers.first("Event"), Some("refer;id=5"));
    let headers = [("Event", "refer;id=77")];
    let code = scenario.request(&mut alice, "SUBSCRIBE", ROOM, &headers, "");
    assert_eq!(code, Some(403));
    scenario.party_answers("erin", 603, &[], "");
    scenario.pass(2);
    let transcript = scenario.transcript();
    assert!(
        transcript.contains("terminated SIP/2.0 603 Decline"),
        "{transcript}"
    );
}

#[test]
fn f14_reports_come_once_a_second() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let request = scenario.last_sent("carol").id;
    scenario.transcript();
    for code in [180, 183, 180] {
        scenario.feed(Input::Progress { request, code });
    }
    assert!(!scenario.transcript().contains("SIP/2.0"));
    scenario.pass(1);
    assert!(scenario.transcript().contains("active SIP/2.0 180 Ringing"));
}

#[test]
fn l09_e14_every_outcome_shows_in_the_roster() {
    for (code, method) in [
        (486, "Busy"),
        (603, "Failed"),
        (404, "Failed"),
        (408, "Failed"),
    ] {
        let (mut scenario, ..) = room();
        refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
        scenario.pass(6);
        scenario.party_answers("carol", code, &[], "");
        scenario.pass(1);
        let transcript = scenario.transcript();
        assert!(transcript.contains("(carol=-)"), "{transcript}");
        let users = scenario.rosters["alice"].users.as_ref().expect("users");
        let carol = users
            .users
            .iter()
            .find(|user| user.entity == CAROL)
            .expect("carol");
        let endpoint = &carol.endpoints[0];
        let shown = endpoint
            .disconnection_method
            .map(|method| format!("{method:?}"));
        assert_eq!(shown.as_deref(), Some(method));
        let info = endpoint.disconnection_info.as_ref().expect("why");
        assert!(
            info.reason
                .as_ref()
                .is_some_and(|text| text.starts_with(&format!("SIP;cause={code};text=")))
        );
        scenario.pass(20);
        assert_eq!(super::users(&scenario.rosters["alice"]), "alice=+ bob=+");
        assert!(scenario.focus.invites.ids().is_empty());
        assert!(scenario.focus.invites.referrals.len() == 0);
    }
}

#[test]
fn redirections_are_followed_but_not_for_ever() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    for hop in 1..=7 {
        let contact = format!("<sip:carol@hop{hop}.example.com>");
        scenario.party_answers("carol", 302, &[("Contact", &contact)], "");
        let again = scenario.last_sent("carol");
        assert_eq!(again.request_uri, format!("sip:carol@hop{hop}.example.com"));
        assert_eq!(again.cseq, hop + 1);
    }
    scenario.party_answers("carol", 302, &[], "");
    assert!(scenario.focus.invites.ids().is_empty());
}

/// The party redirects to several places at once; then each answers one of `codes`. Returns the
/// places tried.
fn looked_for(codes: &[(u16, &str)]) -> Vec<String> {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let contacts = "<sip:carol@desk.example.com>;q=0.5, <tel:+15551234>, \
                    <sip:carol@car.example.com>;q=0.9, <sip:carol@hut.example.com>;q=0.1";
    scenario.party_answers("carol", 300, &[("Contact", contacts)], "");
    let mut places = vec![scenario.last_sent("carol").request_uri.clone()];
    for (code, contact) in codes {
        scenario.party_answers("carol", *code, &[("Contact", contact)], "");
        places.push(scenario.last_sent("carol").request_uri.clone());
    }
    assert!(scenario.focus.invites.ids().is_empty());
    places
}

#[test]
fn of_several_places_each_is_tried_the_preferred_first() {
    let place = |name: &str| format!("sip:carol@{name}.example.com");
    let named = ["car", "desk", "hut", "hut"].map(place);
    assert_eq!(looked_for(&[(486, ""), (408, ""), (404, "")]), named);
    // Places named by one of them come before the others, without duplicates.
    let again = "<sip:carol@bus.example.com>, <sip:carol@car.example.com>";
    let answers = [(302, again), (480, ""), (480, ""), (480, "")];
    let named = ["car", "bus", "desk", "hut", "hut"].map(place);
    assert_eq!(looked_for(&answers), named);
    // A 6xx holds for every place.
    assert_eq!(looked_for(&[(603, "")]), ["car", "car"].map(place));
}

#[test]
fn a_room_is_not_led_to_itself() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let contact = format!("<{ROOM};transport=tcp>");
    scenario.party_answers("carol", 302, &[("Contact", &contact)], "");
    assert!(scenario.focus.invites.ids().is_empty());
}

#[test]
fn an_unusable_answer_ends_in_bye() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    scenario.transcript();
    scenario.party_answers("carol", 200, &[], "v=0\r\n");
    scenario.pass(2);
    let transcript = scenario.transcript();
    assert!(transcript.starts_with("< BYE carol\n"), "{transcript}");
    assert!(
        transcript.contains("terminated SIP/2.0 488"),
        "{transcript}"
    );
}

#[test]
fn f06_a_withdrawn_invitation_is_cancelled_and_a_late_answer_gets_bye() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let request = scenario.last_sent("carol").id;
    scenario.transcript();
    let code = refer(
        &mut scenario,
        "alice",
        &format!("<{CAROL};method=BYE>"),
        &[],
    )
    .code;
    assert_eq!(code, 200);
    let transcript = scenario.transcript();
    assert!(
        transcript.contains(&format!("< CANCEL {}", request.0)),
        "{transcript}"
    );
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    assert!(scenario.transcript().contains("< BYE carol"));
    scenario.pass(30);
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+");
}

#[test]
fn nothing_is_left_after_silence() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    scenario.pass(300);
    assert!(scenario.focus.invites.ids().is_empty());
    assert!(scenario.focus.invites.referrals.len() == 0);
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+");
}

/// An INVITE with these parties on its list.
fn list_body(entries: &str) -> (String, String) {
    let body = format!(
        "--b1\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b1\r\n\
         Content-Type: application/resource-lists+xml\r\n\
         Content-Disposition: recipient-list\r\n\r\n\
         <?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\" \
         xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\"><list>{entries}</list></resource-lists>\
         \r\n--b1--\r\n",
        offer("alice")
    );
    ("multipart/mixed;boundary=b1".to_owned(), body)
}

fn invite_with(scenario: &mut Scenario, room: &str, user: &str, entries: &str) -> Option<u16> {
    let (content_type, body) = list_body(entries);
    let headers = [
        ("Content-Type", content_type.as_str()),
        ("Require", "recipient-list-invite"),
    ];
    let mut phone = scenario.phone(user);
    let code = scenario.request(&mut phone, "INVITE", room, &headers, &body);
    if code == Some(200) {
        scenario.ack(&mut phone, room, "");
    }
    code
}

const TWO: &str = "<entry uri=\"sip:bob@example.com\" cp:copyControl=\"to\"/>\
                   <entry uri=\"sip:carol@example.com\"/>\
                   <entry uri=\"sip:alice@example.com\"/>";

#[test]
fn l01_l11_a_list_in_the_invite_is_dialled_out() {
    for room in [ROOM, "sip:new@example.com"] {
        let mut scenario = Scenario::new();
        assert_eq!(invite_with(&mut scenario, room, "alice", TWO), Some(200));
        let transcript = scenario.transcript();
        assert!(transcript.contains("< INVITE bob"), "{transcript}");
        assert!(transcript.contains("< INVITE carol"), "{transcript}");
        assert!(!transcript.contains("< INVITE alice"), "L11: {transcript}");
        let invite = scenario.last_sent("bob");
        let body = String::from_utf8_lossy(&invite.body);
        assert!(
            body.contains("recipient-list-history; handling=optional"),
            "L08"
        );
        assert!(body.contains("sip:bob@example.com"), "L07");
        assert!(
            !body.contains("sip:carol@example.com"),
            "L06, L07: bcc is not told"
        );
    }
}

#[test]
fn f05_l01_by_refer_as_the_default_is() {
    let mut scenario = Scenario::with(Config {
        invite_mode: InviteMode::Refer,
        ..config()
    });
    invite_with(&mut scenario, ROOM, "alice", TWO);
    scenario.watch("alice", ROOM);
    scenario.transcript();
    let refer = scenario.last_sent("bob").clone();
    assert_eq!(refer.method, Method::Refer);
    assert_eq!(
        refer.headers.first("Refer-To"),
        Some("<sip:lobby@example.com>")
    );
    assert_eq!(
        refer.headers.first("Referred-By"),
        Some("<sip:alice@example.com>")
    );
    scenario.party_answers("bob", 202, &[], "");
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=p carol=p");
    let pending = &scenario.truth(ROOM, false).users.expect("users").users[1].endpoints[0];
    let method = pending.joining_method;
    assert_eq!(method, Some(info::JoiningMethod::DialedIn), "not dialled");
    // Bob dials in: his element in the roster stays the same.
    scenario.join("bob", ROOM);
    scenario.pass(20);
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+ carol=p");
    // Carol tries, and declines.
    let refer = scenario.last_sent("carol").clone();
    let mut carol = scenario.phone("carol");
    carol.call_id = refer.call_id.clone();
    carol.to_tag = Some(refer.local_tag.clone());
    let headers = [
        ("Event", "refer"),
        ("Subscription-State", "active"),
        ("Content-Type", "message/sipfrag;version=2.0"),
    ];
    let trying = "SIP/2.0 100 Trying\r\n";
    scenario.request(&mut carol, "NOTIFY", ROOM, &headers, trying);
    scenario.pass(20);
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+ carol=d");
    let headers = [
        ("Event", "refer"),
        ("Subscription-State", "terminated;reason=noresource"),
        ("Content-Type", "message/sipfrag;version=2.0"),
    ];
    let code = scenario.request(
        &mut carol,
        "NOTIFY",
        ROOM,
        &headers,
        "SIP/2.0 603 Decline\r\n",
    );
    assert_eq!(code, Some(200));
    scenario.pass(20);
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+");
    assert!(!scenario.focus.invites.leftovers().contains(&"referred"));
}

#[test]
fn who_was_referred_and_never_comes_is_given_up() {
    let mut scenario = Scenario::with(Config {
        invite_mode: InviteMode::Refer,
        ..config()
    });
    invite_with(&mut scenario, ROOM, "alice", TWO);
    scenario.party_answers("bob", 200, &[], "");
    scenario.pass(400);
    assert!(scenario.focus.invites.ids().is_empty());
    assert!(!scenario.focus.invites.leftovers().contains(&"referred"));
}

#[test]
fn l02_lists_come_with_the_first_invite_only() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    let (content_type, body) = list_body(TWO);
    let headers = [("Content-Type", content_type.as_str())];
    let transaction = scenario.begin(&mut alice, "INVITE", ROOM, &headers, &body);
    let reply = scenario.reply_to(transaction).expect("an answer");
    assert_eq!(reply.code, 420);
    assert_eq!(
        reply.headers.first("Unsupported"),
        Some("recipient-list-invite")
    );
}

#[test]
fn l04_lists_need_the_role_and_have_a_size() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    assert_eq!(invite_with(&mut scenario, ROOM, "bob", TWO), Some(403));
    let many: String = (0..6)
        .map(|n| format!("<entry uri=\"sip:u{n}@example.com\"/>"))
        .collect();
    assert_eq!(
        invite_with(&mut scenario, "sip:x@example.com", "alice", &many),
        Some(403)
    );
    let huge: String = (0..10_001)
        .map(|n| format!("<entry uri=\"sip:u{n}@example.com\"/>"))
        .collect();
    assert_eq!(
        invite_with(&mut scenario, "sip:x@example.com", "alice", &huge),
        Some(403)
    );
    let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]><entry uri=\"sip:&a;@example.com\"/>";
    assert_eq!(
        invite_with(&mut scenario, "sip:x@example.com", "alice", bomb),
        Some(400)
    );
    assert_eq!(scenario.focus.counts().conferences, 1);
}

#[test]
fn fifty_parties_and_nothing_is_left() {
    let mut scenario = Scenario::with(Config {
        max_list_size: 50,
        ..config()
    });
    let entries: String = (0..50)
        .map(|n| format!("<entry uri=\"sip:u{n}@example.com\"/>"))
        .collect();
    invite_with(&mut scenario, ROOM, "alice", &entries);
    scenario.watch("alice", ROOM);
    for n in 0..40 {
        let user = format!("u{n}");
        match n % 4 {
            0 => scenario.party_answers(&user, 486, &[], ""),
            1 => scenario.party_answers(&user, 603, &[], ""),
            2 => scenario.party_answers(&user, 200, &[], &answer(&user)),
            _ => {
                scenario.party_answers(&user, 302, &[("Contact", "<sip:x@y.example>")], "");
                scenario.party_answers(&user, 480, &[], "");
            }
        }
    }
    scenario.pass(300);
    assert!(scenario.focus.invites.ids().is_empty());
    assert_eq!(scenario.focus.counts().participants, 11);
    let roster = scenario.rosters["alice"].users.as_ref().expect("users");
    assert_eq!(roster.users.len(), 11);
    scenario.feed(Input::Stop);
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn a_wrong_password_is_not_sent_twice() {
    let challenge = "Digest realm=\"example.com\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    let mut scenario = Scenario::with(Config {
        credentials: vec![Credentials {
            realm: Some("example.com".to_owned()),
            user: "conference".to_owned(),
            password: "secret".to_owned(),
        }],
        ..config()
    });
    scenario.join("alice", ROOM);
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    scenario.party_answers("carol", 407, &[("Proxy-Authenticate", challenge)], "");
    let again = scenario.last_sent("carol").clone();
    assert_eq!(again.cseq, 2);
    let answer = again
        .headers
        .first("Proxy-Authorization")
        .expect("an answer");
    assert!(answer.contains("username=\"conference\""), "{answer}");
    assert!(answer.contains("uri=\"sip:carol@example.com\""), "{answer}");
    // A repeated challenge means that the password is wrong.
    scenario.party_answers("carol", 407, &[("Proxy-Authenticate", challenge)], "");
    assert!(scenario.focus.invites.ids().is_empty());
}

#[test]
fn a_challenge_without_credentials_is_a_failure() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let challenge = "Digest realm=\"example.com\", nonce=\"n1\"";
    scenario.party_answers("carol", 401, &[("WWW-Authenticate", challenge)], "");
    scenario.pass(2);
    assert!(scenario.transcript().contains("terminated SIP/2.0 401"));
}

#[test]
fn what_a_list_writes_behind_a_uri_is_not_in_our_request() {
    let mut scenario = Scenario::new();
    let entries =
        "<entry uri=\"sip:bob:pw@example.com;method=MESSAGE;transport=tcp?Subject=x&amp;Body=y\"/>";
    assert_eq!(
        invite_with(&mut scenario, ROOM, "alice", entries),
        Some(200)
    );
    let invite = scenario.last_sent("bob");
    let clean = "sip:bob@example.com;transport=tcp";
    assert_eq!(invite.request_uri, clean);
    assert_eq!(invite.next_hop, clean);
    assert_eq!(invite.remote_uri, clean);
}

#[test]
fn a_telephone_number_on_a_list_is_refused_as_in_a_refer() {
    let mut scenario = Scenario::new();
    let entries = format!("{TWO}<entry uri=\"tel:+15551234\"/>");
    assert_eq!(
        invite_with(&mut scenario, ROOM, "alice", &entries),
        Some(416)
    );
    assert_eq!(scenario.focus.counts(), Counts::default());
}

/// Alice's REFER for Carol outside her INVITE dialog, and the dialog it made.
fn followed(scenario: &mut Scenario) -> Phone {
    let mut phone = scenario.phone("alice");
    let headers = [("Refer-To", "<sip:carol@example.com>")];
    let code = scenario.request(&mut phone, "REFER", ROOM, &headers, "");
    assert_eq!(code, Some(200));
    scenario.pass(6);
    scenario.transcript();
    phone
}

fn subscribe(scenario: &mut Scenario, phone: &mut Phone, headers: &[(&str, &str)]) -> Reply {
    let transaction = scenario.begin(phone, "SUBSCRIBE", ROOM, headers, "");
    scenario.reply_to(transaction).expect("an answer").clone()
}

#[test]
fn a_subscription_to_a_refer_is_granted_no_longer_than_asked() {
    let (mut scenario, ..) = room();
    let mut phone = followed(&mut scenario);
    for (asked, granted) in [("20", "20"), ("100000", "300")] {
        let headers = [("Event", "refer"), ("Expires", asked)];
        let reply = subscribe(&mut scenario, &mut phone, &headers);
        assert_eq!(reply.code, 200);
        assert_eq!(reply.headers.first("Expires"), Some(granted));
        let contact = reply.headers.first("Contact");
        assert!(contact.is_some_and(|it| it.contains("sip:lobby@")));
    }
    let headers = [("Event", "refer"), ("Expires", "soon")];
    assert_eq!(subscribe(&mut scenario, &mut phone, &headers).code, 400);
    subscribe(
        &mut scenario,
        &mut phone,
        &[("Event", "refer"), ("Expires", "20")],
    );
    scenario.pass(19);
    assert_eq!(
        scenario.transcript().lines().last(),
        Some("< NOTIFY alice active SIP/2.0 100 Trying")
    );
    scenario.pass(1);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice terminated SIP/2.0 100 Trying"
    );
    let last = scenario.sent.back().expect("a NOTIFY");
    let state = last.headers.first("Subscription-State");
    assert_eq!(state, Some("terminated;reason=timeout"));
    assert_eq!(scenario.focus.invites.referrals.len(), 0);
}

#[test]
fn a_subscribe_in_the_dialog_of_a_refer_must_mean_it() {
    let (mut scenario, ..) = room();
    let mut phone = followed(&mut scenario);
    for (event, code) in [
        (Some("refer"), 200),
        (Some("refer;id=1"), 200),
        (Some("refer;id=9"), 481),
        (Some("conference"), 403),
        (Some("presence"), 489),
        (None, 489),
    ] {
        let headers: Vec<_> = event.map(|event| ("Event", event)).into_iter().collect();
        let reply = subscribe(&mut scenario, &mut phone, &headers);
        assert_eq!(reply.code, code, "{event:?}");
    }
}

#[test]
fn a_final_result_is_not_overwritten_while_it_waits() {
    let (mut scenario, ..) = room();
    let mut phone = scenario.phone("alice");
    let headers = [("Refer-To", "<sip:carol@example.com>")];
    scenario.request(&mut phone, "REFER", ROOM, &headers, "");
    // Within a second of the first NOTIFY.
    scenario.party_answers("carol", 603, &[], "");
    let reply = subscribe(&mut scenario, &mut phone, &[("Event", "refer")]);
    assert_eq!(reply.code, 200);
    scenario.pass(1);
    let transcript = scenario.transcript();
    assert!(
        transcript.ends_with("< NOTIFY alice terminated SIP/2.0 603 Decline"),
        "{transcript}"
    );
}

#[test]
fn who_removes_themselves_in_their_dialog_is_told_the_result_before_the_bye() {
    let (mut scenario, _, mut bob) = room();
    let headers = [("Refer-To", "<sip:bob@example.com;method=BYE>")];
    let code = scenario.request(&mut bob, "REFER", ROOM, &headers, "");
    assert_eq!(code, Some(200));
    let transcript = scenario.transcript();
    assert!(
        transcript.starts_with(
            "< 200 bob OK\n< NOTIFY bob terminated SIP/2.0 200 OK\n< BYE bob\n! part bob"
        ),
        "{transcript}"
    );
    assert_eq!(scenario.focus.invites.referrals.len(), 0);
}

#[test]
fn who_is_removed_learns_before_the_bye_that_nothing_more_is_told() {
    let (mut scenario, _, mut bob) = room();
    let headers = [("Refer-To", "<sip:carol@example.com>")];
    scenario.request(&mut bob, "REFER", ROOM, &headers, "");
    scenario.pass(6);
    scenario.transcript();
    refer(
        &mut scenario,
        "alice",
        "<sip:bob@example.com;method=BYE>",
        &[],
    );
    let transcript = scenario.transcript();
    let (before, _) = transcript.split_once("< BYE bob").expect("a BYE");
    assert!(
        before.contains("< NOTIFY bob terminated SIP/2.0 100 Trying"),
        "{transcript}"
    );
}
