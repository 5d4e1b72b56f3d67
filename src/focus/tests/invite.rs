//! INVITE and its answers.

use super::*;

#[test]
fn join_admits_first_then_answers() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    assert_eq!(scenario.transcript(), "! admit alice\n< 200 alice OK");
    let admission = &scenario.admissions[0];
    assert_eq!(admission.display, "alice A.");
    assert_eq!(admission.peer.path, ["msrp://192.0.2.7:2855/alice;tcp"]);
    assert!(admission.peer.private_messages);
    assert_eq!(
        admission.own_uri,
        format!("msrp://198.51.100.1:2855/{};tcp", admission.session)
    );
}

#[test]
fn c80_answer_in_the_order_clients_need() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    let reply = scenario.reply_to(transaction).expect("an answer").clone();
    let contact = reply.headers.first("Contact");
    assert_eq!(contact, Some("<sip:lobby@example.com>;isfocus"), "F01, G04");
    assert_eq!(
        reply.headers.first("Allow-Events"),
        Some("conference, refer")
    );
    let session = &scenario.sessions["alice"];
    let body = String::from_utf8(reply.body.to_vec()).expect("UTF-8");
    let (origin, rest) = body.split_once("s=-").expect("a session name");
    assert!(origin.starts_with("v=0\r\no=- "), "{origin}");
    let expected = format!(
        "\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=message 2855 TCP/MSRP *\r\n\
         a=accept-types:message/cpim\r\na=path:msrp://198.51.100.1:2855/{session};tcp\r\n\
         a=accept-wrapped-types:*\r\na=setup:passive\r\n\
         a=chatroom:nickname private-messages\r\na=max-size:10485760\r\n"
    );
    assert_eq!(rest, expected);
}

#[test]
fn c67_session_ids_are_long_and_new() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    let (alice, bob) = (&scenario.sessions["alice"], &scenario.sessions["bob"]);
    assert_ne!(alice, bob);
    assert!(alice.as_str().len() * 5 >= 128);
}

#[test]
fn c86_refresh_changes_nothing() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let first = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    let first = scenario.reply_to(first).expect("an answer").clone();
    phone.to_tag = first.to_tag.clone();
    scenario.ack(&mut phone, ROOM, "");
    scenario.transcript();
    let again = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    let again = scenario.reply_to(again).expect("an answer").clone();
    assert_eq!(again.body, first.body);
    assert_eq!(scenario.transcript(), "< 200 alice OK");
}

#[test]
fn changed_offer_amends_the_session() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.join("alice", ROOM);
    scenario.transcript();
    let muted = offer("alice") + "a=recvonly\r\n";
    assert_eq!(
        scenario.request(&mut phone, "INVITE", ROOM, &[], &muted),
        Some(200)
    );
    assert_eq!(scenario.transcript(), "! amend alice\n< 200 alice OK");
    assert!(!scenario.admissions[1].peer.sends);
}

#[test]
fn f20_other_media_are_refused_in_their_place() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let audio = "m=audio 4000 RTP/AVP 0\r\n";
    let both = offer("alice").replace("m=message", &format!("{audio}m=message"));
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &both);
    let reply = scenario.reply_to(transaction).expect("an answer");
    let body = String::from_utf8_lossy(&reply.body);
    let lines: Vec<_> = body.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines, ["m=audio 0 RTP/AVP 0", "m=message 2855 TCP/MSRP *"]);
}

#[test]
fn c88_without_an_offer_we_offer() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], "");
    let reply = scenario.reply_to(transaction).expect("an answer").clone();
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(body.contains("a=setup:actpass\r\n"), "U02: {body}");
    phone.to_tag = reply.to_tag;
    scenario.transcript();
    scenario.ack(&mut phone, ROOM, &offer("alice"));
    assert_eq!(scenario.transcript(), "! amend alice");
    let amended = scenario.admissions.last().expect("an amendment");
    assert_eq!(amended.peer.path, ["msrp://192.0.2.7:2855/alice;tcp"]);
    scenario.pass(600);
    assert_eq!(scenario.transcript(), "", "the ACK has come");
}

#[test]
fn f17_unusable_answer_in_ack_ends_in_bye() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    scenario.request(&mut phone, "INVITE", ROOM, &[], "");
    scenario.transcript();
    scenario.ack(&mut phone, ROOM, "v=0\r\n");
    assert_eq!(
        scenario.transcript(),
        "< BYE alice\n! part alice\n! close lobby\n! expel alice"
    );
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn f17_no_ack_ends_in_bye() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    scenario.transcript();
    scenario.pass(31);
    assert_eq!(scenario.transcript(), "");
    scenario.pass(2);
    assert_eq!(
        scenario.transcript(),
        "< BYE alice\n! part alice\n! close lobby\n! expel alice"
    );
    assert!(scenario.focus.is_idle());
}

#[test]
fn f16_cancel_leaves_nothing() {
    let mut scenario = Scenario::new();
    scenario.admits = false;
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    scenario.feed(Input::Cancel(transaction));
    assert_eq!(
        scenario.transcript(),
        "! admit alice\n< 487 alice Request Terminated\n! expel alice\n! close lobby"
    );
    assert_eq!(scenario.focus.counts(), Counts::default());
    // The switch's answer comes too late and changes nothing.
    let session = scenario.sessions["alice"].clone();
    scenario.feed(Input::Notice(Notice::Admitted {
        room: RoomUri::new(ROOM),
        session,
    }));
    assert_eq!(scenario.transcript(), "");
}

#[test]
fn cancel_that_overtakes_its_invite_is_remembered() {
    let mut scenario = Scenario::new();
    let coming = TransactionId { hash: 1, label: 2 };
    scenario.feed(Input::Cancel(coming));
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(transaction, coming);
    assert_eq!(scenario.transcript(), "< 487 alice Request Terminated");
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn cancels_are_forgotten_after_a_while() {
    let mut scenario = Scenario::new();
    scenario.feed(Input::Cancel(TransactionId { hash: 1, label: 2 }));
    scenario.pass(9);
    assert_eq!(scenario.focus.deadline(), None);
    scenario.join("alice", ROOM);
}

#[test]
fn silent_switch_is_answered_503() {
    let mut scenario = Scenario::new();
    scenario.admits = false;
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    scenario.pass(6);
    let reply = scenario.reply_to(transaction).expect("an answer");
    assert_eq!(reply.code, 503);
    assert!(reply.headers.first("Retry-After").is_some());
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn f18_second_invite_while_one_is_pending_500() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.join("alice", ROOM);
    scenario.lose("alice", ROOM, LossCause::Disconnected);
    scenario.admits = false;
    let first = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    let second = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert!(scenario.reply_to(first).is_none());
    let reply = scenario.reply_to(second).expect("an answer");
    assert_eq!(reply.code, 500);
    let pause = reply
        .headers
        .first("Retry-After")
        .and_then(|text| text.parse().ok());
    assert!(pause.is_some_and(|seconds: u8| seconds <= 10), "{pause:?}");
}

#[test]
fn f18_an_offer_of_ours_without_answer_is_glare_491() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    assert_eq!(
        scenario.request(&mut phone, "INVITE", ROOM, &[], ""),
        Some(200)
    );
    for method in ["INVITE", "UPDATE"] {
        let mut early = phone.clone();
        early.cseq = phone.cseq;
        let code = scenario.request(&mut early, method, ROOM, &[], &offer("alice"));
        assert_eq!(code, Some(491), "{method}");
        phone.cseq = early.cseq;
    }
    phone.cseq = 1;
    scenario.ack(&mut phone, ROOM, &offer("alice"));
    phone.cseq = 3;
    let code = scenario.request(&mut phone, "UPDATE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(200));
}

#[test]
fn f17_only_the_ack_of_the_last_invite_counts() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.join("alice", ROOM);
    scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    let mut late = phone.clone();
    late.cseq = 1;
    scenario.ack(&mut late, ROOM, "");
    scenario.transcript();
    scenario.pass(32);
    let transcript = scenario.transcript();
    assert!(transcript.starts_with("< BYE alice"), "{transcript}");
}

#[test]
fn record_routes_become_the_route_set() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let routes = [(
        "Record-Route",
        "<sip:p2.example.com;lr>, <sip:p1.example.com;lr>",
    )];
    scenario.request(&mut phone, "INVITE", ROOM, &routes, &offer("alice"));
    scenario.pass(33);
    let bye = scenario.sent.pop_back().expect("a BYE");
    assert_eq!(bye.method, Method::Bye);
    assert_eq!(bye.request_uri, "sip:alice@192.0.2.7:5060");
    assert_eq!(
        bye.routes,
        ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]
    );
    assert_eq!(bye.next_hop, "sip:p2.example.com;lr");
    assert_eq!(bye.flow, None);
}

#[test]
fn strict_routers_get_what_they_expect() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let routes = [("Record-Route", "<sip:old.example.com>")];
    scenario.request(&mut phone, "INVITE", ROOM, &routes, &offer("alice"));
    scenario.pass(33);
    let bye = scenario.sent.pop_back().expect("a BYE");
    assert_eq!(bye.request_uri, "sip:old.example.com");
    assert_eq!(bye.routes, ["<sip:alice@192.0.2.7:5060>"]);
    assert_eq!(bye.next_hop, "sip:old.example.com", "it goes there first");
}

#[test]
fn contact_leads_back_over_the_transport_it_came_by() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    phone.transport = "tcp";
    let room = "sip:lobby@198.51.100.1";
    let transaction = scenario.begin(&mut phone, "INVITE", room, &[], &offer("alice"));
    let reply = scenario.reply_to(transaction).expect("an answer");
    assert_eq!(
        reply.headers.first("Contact"),
        Some("<sip:lobby@198.51.100.1;transport=tcp>;isfocus")
    );
}

fn body_of(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

#[test]
fn f01_f03_f22_l03_what_a_focus_says_of_itself() {
    let mut scenario = Scenario::new();
    for room in [ROOM, "sip:new@example.com"] {
        let mut phone = scenario.phone("alice");
        let transaction = scenario.begin(&mut phone, "OPTIONS", room, &[], "");
        let reply = scenario.reply_to(transaction).expect("an answer");
        let value = |name| reply.headers.first(name).unwrap_or_default();
        assert!(value("Contact").contains(";isfocus"), "F01");
        assert!(value("Contact").contains(";message"), "F22");
        assert!(value("Allow-Events").contains("conference"), "F03");
        assert!(value("Supported").contains("replaces"), "F03");
        assert!(value("Supported").contains("recipient-list-invite"), "L03");
    }
}

#[test]
fn g03_g08_g09_the_answer_follows_the_rooms_policy() {
    let mut scenario = Scenario::new();
    let answer = |scenario: &mut Scenario, room: &str| {
        let mut phone = scenario.phone("alice");
        let transaction = scenario.begin(&mut phone, "INVITE", room, &[], &offer("alice"));
        body_of(scenario.reply_to(transaction).expect("an answer"))
    };
    let lobby = answer(&mut scenario, ROOM);
    assert!(lobby.contains("a=accept-wrapped-types:*\r\n"), "G03");
    assert!(
        lobby.contains("a=chatroom:nickname private-messages\r\n"),
        "G08, G09"
    );
    let hall = answer(&mut scenario, "sip:hall@example.com");
    assert!(hall.contains("a=chatroom:nickname\r\n"), "G43: {hall}");
}

#[test]
fn g08_a_declaration_that_is_gone_is_off() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.join("alice", ROOM);
    let plain = offer("alice").replace("a=chatroom:nickname private-messages\r\n", "");
    scenario.request(&mut phone, "INVITE", ROOM, &[], &plain);
    let amended = scenario.admissions.last().expect("an amendment");
    assert!(!amended.peer.chatroom && !amended.peer.private_messages);
}

#[test]
fn g07_a_dialog_and_a_session_for_each_device() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.join("alice", ROOM);
    let sessions: Vec<_> = scenario.admissions.iter().map(|a| &a.session).collect();
    assert_ne!(sessions[0], sessions[1]);
    assert_eq!(scenario.focus.counts().dialogs, 2);
    assert_eq!(scenario.focus.counts().participants, 1);
}

#[test]
fn c82_several_uris_are_one_path() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let path = "a=path:msrps://relay.example.com:9000/r;tcp msrp://192.0.2.7:2855/alice;tcp";
    let relayed = offer("alice").replace("a=path:msrp://192.0.2.7:2855/alice;tcp", path);
    scenario.request(&mut phone, "INVITE", ROOM, &[], &relayed);
    assert_eq!(
        scenario.admissions[0].peer.path,
        [
            "msrps://relay.example.com:9000/r;tcp",
            "msrp://192.0.2.7:2855/alice;tcp"
        ]
    );
}

#[test]
fn a_plain_text_room_tells_the_switch_who_knows_no_cpim() {
    let plain = offer("alice")
        .replace("message/cpim", "text/plain text/html")
        .replace("a=accept-wrapped-types:*\r\n", "");
    let mut config = config();
    let room = RoomEntry::new(RoomUri::new(ROOM));
    config.rooms.push(
        RoomRules {
            plain_text: true,
            ..room.rules
        }
        .of(room.uri),
    );
    let mut scenario = Scenario::with(config);
    let mut phone = scenario.phone("alice");
    let (code, answer) = {
        let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &plain);
        let reply = scenario.reply_to(transaction).expect("an answer");
        (reply.code, body_of(reply))
    };
    assert_eq!(code, 200);
    let types = "a=accept-types:text/plain\r\na=path:";
    assert!(answer.contains(types), "{answer}");
    let admission = scenario.admissions.last().expect("an admission");
    assert!(admission.policy.plain_text && admission.peer.plain_text);
    scenario.join("bob", ROOM);
    let admission = scenario.admissions.last().expect("an admission");
    assert!(
        !admission.peer.plain_text,
        "who offers message/cpim gets it"
    );
    let mut elsewhere = Scenario::new();
    let mut phone = elsewhere.phone("alice");
    let transaction = elsewhere.begin(&mut phone, "INVITE", ROOM, &[], &plain);
    assert_eq!(
        elsewhere.reply_to(transaction).expect("an answer").code,
        488
    );
}

#[test]
fn who_takes_one_send_a_message_is_known_by_its_user_agent() {
    for (agent, one_send) in [("Blink 5.0", true), ("Phone 1.0", false)] {
        let mut scenario = Scenario::new();
        let mut phone = scenario.phone("alice");
        let headers = [("User-Agent", agent)];
        scenario.request(&mut phone, "INVITE", ROOM, &headers, &offer("alice"));
        let admission = scenario.admissions.last().expect("an admission");
        assert_eq!(admission.peer.one_send, one_send, "{agent}");
    }
}

#[test]
fn what_a_phone_says_with_its_invite_is_said_once_it_is_in() {
    let cpim = "From: <sip:alice@example.com>\r\nTo: <sip:lobby@example.com>\r\n\r\n\
                Content-Type: text/plain\r\n\r\nhello";
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n\
         --b\r\nContent-Type: message/cpim\r\n\r\n{cpim}\r\n--b--\r\n",
        offer("alice")
    );
    let mut scenario = Scenario::new();
    let mut alice = scenario.phone("alice");
    let mixed = [("Content-Type", "multipart/mixed;boundary=b")];
    let code = scenario.request(&mut alice, "INVITE", ROOM, &mixed, &body);
    assert_eq!(code, Some(200));
    assert_eq!(scenario.transcript(), "! admit alice\n< 200 alice OK");
    scenario.ack(&mut alice, ROOM, "");
    let said = format!("! submit alice {} octets", cpim.len());
    assert_eq!(scenario.transcript(), said);
    scenario.ack(&mut alice, ROOM, "");
    assert_eq!(scenario.transcript(), "", "once");
    // Later the session can carry messages.
    let code = scenario.request(&mut alice, "INVITE", ROOM, &mixed, &body);
    assert_eq!(code, Some(415));
}
