//! Identity: privacy, change of device, joining by a dialog, group sessions of RCS clients, and the
//! way back through NAT.

use super::*;

/// `call-id;to-tag=…;from-tag=…` of a phone's dialog, as its own client writes it.
fn reference(phone: &Phone) -> String {
    format!(
        "{};to-tag={};from-tag={}",
        phone.call_id,
        phone.to_tag.as_deref().expect("a dialog"),
        phone.tag
    )
}

fn invite(scenario: &mut Scenario, user: &str, room: &str, headers: &[(&str, &str)]) -> Reply {
    let mut phone = scenario.phone(user);
    let transaction = scenario.begin(&mut phone, "INVITE", room, headers, &offer(user));
    let reply = scenario.reply_to(transaction).expect("an answer").clone();
    phone.to_tag = reply.to_tag.clone();
    if reply.code == 200 {
        scenario.ack(&mut phone, room, "");
    }
    reply
}

#[test]
fn f08_replaces_switches_the_device_unseen() {
    let mut scenario = Scenario::new();
    let old = scenario.join("alice", ROOM);
    scenario.watch("bob", ROOM);
    scenario.pass(10);
    let before = scenario.rosters["bob"].users.clone();
    scenario.transcript();
    let replaces = reference(&old);
    let reply = invite(&mut scenario, "alice", ROOM, &[("Replaces", &replaces)]);
    assert_eq!(reply.code, 200);
    let transcript = scenario.transcript();
    assert!(
        transcript.starts_with("! admit alice\n< 200 alice OK\n< BYE alice\n"),
        "{transcript}"
    );
    scenario.pass(30);
    let mut after = scenario.rosters["bob"].users.clone();
    if let (Some(before), Some(after)) = (&before, &mut after) {
        // Only the time of joining differs.
        after.users[0].endpoints[0].joining_info =
            before.users[0].endpoints[0].joining_info.clone();
    }
    assert_eq!(before, after);
    assert_eq!(scenario.focus.counts().participants, 1);
}

#[test]
fn f08_replaces_only_the_callers_own_dialogs() {
    let mut scenario = Scenario::new();
    let alice = scenario.join("alice", ROOM);
    let replaces = reference(&alice);
    let code = |scenario: &mut Scenario, user: &str, value: &str| {
        invite(scenario, user, ROOM, &[("Replaces", value)]).code
    };
    assert_eq!(code(&mut scenario, "mallory", &replaces), 403);
    assert_eq!(code(&mut scenario, "alice", "x;to-tag=y;from-tag=z"), 481);
    assert_eq!(
        code(&mut scenario, "alice", &format!("{replaces};early-only")),
        486
    );
    assert_eq!(code(&mut scenario, "alice", "nonsense"), 400);
    let both = [("Replaces", replaces.as_str()), ("Join", replaces.as_str())];
    assert_eq!(invite(&mut scenario, "alice", ROOM, &both).code, 400);
}

#[test]
fn f08_early_dialogs_are_not_replaced_and_only_invites_replace() {
    let mut scenario = Scenario::new();
    scenario.admits = false;
    let mut early = scenario.phone("alice");
    scenario.begin(&mut early, "INVITE", ROOM, &[], &offer("alice"));
    let endpoint = scenario.focus.rooms.endpoints().values().next();
    early.to_tag = endpoint.map(|it| it.dialog.key.local_tag().to_owned());
    let replaces = reference(&early);
    for value in [replaces.clone(), format!("{replaces};early-only")] {
        let reply = invite(&mut scenario, "alice", ROOM, &[("Replaces", &value)]);
        assert_eq!(reply.code, 481, "RFC 3891 §3");
    }
    for name in ["Replaces", "Join"] {
        let mut phone = scenario.phone("alice");
        let headers = [("Event", "conference"), (name, replaces.as_str())];
        let code = scenario.request(&mut phone, "SUBSCRIBE", ROOM, &headers, "");
        assert_eq!(code, Some(400), "{name}");
    }
}

#[test]
fn a_second_device_is_what_its_user_is() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.join("alice", ROOM);
    let roles: Vec<_> = scenario
        .focus
        .rooms
        .endpoints()
        .values()
        .map(|it| it.role)
        .collect();
    let moderators = roles.iter().filter(|role| **role == Role::Moderator);
    assert_eq!(moderators.count(), 2, "{roles:?}");
}

/// RFC 3911 §4, RFC 3891 §3: the script's decision holds for the Request-URI only.
#[test]
fn f08_join_and_replaces_lead_to_no_other_room_than_the_one_asked_for() {
    let mut scenario = Scenario::new();
    let alice = scenario.join("alice", ROOM);
    let dialog = reference(&alice);
    let other = "sip:other@example.com";
    for (name, code) in [("Join", 200), ("Replaces", 481)] {
        let reply = invite(&mut scenario, "alice", other, &[(name, &dialog)]);
        assert_eq!(reply.code, code, "{name}");
    }
    let conferences = &scenario.focus.rooms.conferences();
    assert_eq!(conferences[ROOM].participants.len(), 1);
    assert_eq!(conferences[other].participants.len(), 1);
    let headers = [("Join", "x;to-tag=y;from-tag=z"), ("Require", "join")];
    let reply = invite(&mut scenario, "bob", ROOM, &headers);
    assert_eq!(reply.code, 200, "no match: the header is ignored");
    let headers = [("Join", dialog.as_str())];
    assert_eq!(invite(&mut scenario, "carol", ROOM, &headers).code, 200);
    assert_eq!(
        scenario.focus.rooms.conferences()[ROOM].participants.len(),
        3
    );
}

#[test]
fn f11_g05_g06_who_asks_for_privacy_is_anonymous() {
    let mut scenario = Scenario::new();
    invite(&mut scenario, "alice", ROOM, &[("Privacy", "id")]);
    let admission = &scenario.admissions[0];
    assert_eq!(admission.user.as_str(), "sip:anonymous1@anonymous.invalid");
    assert_eq!(admission.uris, std::slice::from_ref(&admission.user));
    assert_eq!(admission.display, "");
    invite(&mut scenario, "bob", ROOM, &[("Privacy", "id")]);
    assert_eq!(
        scenario.admissions[1].user.as_str(),
        "sip:anonymous2@anonymous.invalid"
    );
    // A second device of Alice is the same stranger.
    invite(&mut scenario, "alice", ROOM, &[]);
    assert_eq!(
        scenario.admissions[2].user.as_str(),
        "sip:anonymous1@anonymous.invalid"
    );
    scenario.nickname(ROOM, "sip:anonymous2@anonymous.invalid", "Ghost");
    let bob = &scenario.focus.rooms.conferences()[ROOM].participants["sip:bob@example.com"];
    assert_eq!(bob.nickname.as_deref(), Some("Ghost"));
}

#[test]
fn f11_strangers_share_an_address_and_are_not_one_user() {
    let mut scenario = Scenario::new();
    for _ in 0..2 {
        let mut phone = scenario.phone("anonymous");
        phone.domain = "anonymous.invalid";
        scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("anonymous"));
        scenario.ack(&mut phone, ROOM, "");
    }
    scenario.watch("bob", ROOM);
    let shown = users(&scenario.rosters["bob"]);
    assert_eq!(shown, "anonymous1=+ anonymous2=+");
    let uris: Vec<_> = scenario
        .admissions
        .iter()
        .map(|it| it.user.to_string())
        .collect();
    assert_eq!(uris[0], "sip:anonymous1@anonymous.invalid");
    assert_ne!(uris[0], uris[1]);
}

#[test]
fn rcs_who_left_on_purpose_is_told_so() {
    let group = [
        ("Contribution-ID", "group-1"),
        ("Conversation-ID", "thread-1"),
    ];
    let mut scenario = Scenario::new();
    invite(&mut scenario, "alice", ROOM, &group);
    let mut bob = scenario.phone("bob");
    scenario.request(&mut bob, "INVITE", ROOM, &group, &offer("bob"));
    scenario.ack(&mut bob, ROOM, "");
    scenario.request(&mut bob, "BYE", ROOM, &[], "");
    assert_eq!(invite(&mut scenario, "bob", ROOM, &group).code, 403);
    // Another group session in the same room is independent.
    let other = [("Contribution-ID", "group-2")];
    assert_eq!(invite(&mut scenario, "bob", ROOM, &other).code, 200);
}

#[test]
fn rcs_an_ended_group_says_404() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.phone("alice");
    let room = "sip:new@example.com";
    scenario.request(&mut alice, "INVITE", room, &[], &offer("alice"));
    scenario.ack(&mut alice, room, "");
    let made = scenario.admissions[0].room.to_string();
    scenario.request(&mut alice, "BYE", &made, &[], "");
    assert_eq!(invite(&mut scenario, "alice", &made, &[]).code, 404);
}

#[test]
fn rcs_a_configured_room_takes_the_ids_of_who_comes_first() {
    let mut scenario = Scenario::new();
    let hall = "sip:hall@example.com";
    scenario.watch("bob", hall);
    let group = [("Contribution-ID", "group-1"), ("Subject", "Plans")];
    invite(&mut scenario, "alice", hall, &group);
    invite(
        &mut scenario,
        "carol",
        hall,
        &[("Contribution-ID", "group-2")],
    );
    scenario.pass(6);
    let identity = &scenario.focus.rooms.conferences()[hall].identity;
    assert_eq!(identity.contribution.as_deref(), Some("group-1"));
    let about = scenario.rosters["bob"]
        .description
        .as_ref()
        .expect("a description");
    assert_eq!(about.subject.as_deref(), Some("Plans"));
}

#[test]
fn rcs_ids_and_subject_go_on_to_whom_we_invite() {
    let mut scenario = Scenario::new();
    let group = [
        ("Contribution-ID", "group-1"),
        ("Conversation-ID", "thread-1"),
        ("Subject", "Plans"),
    ];
    invite(&mut scenario, "alice", ROOM, &group);
    let mut phone = scenario.phone("alice");
    let headers = [("Refer-To", "<sip:carol@example.com>")];
    scenario.request(&mut phone, "REFER", ROOM, &headers, "");
    let invited = scenario.last_sent("carol");
    for (name, value) in group {
        assert_eq!(invited.headers.first(name), Some(value));
    }
}

#[test]
fn f19_a_merged_request_482() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    phone.to_tag = None;
    phone.cseq -= 1;
    phone.via = "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKfork";
    let code = scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(482));
}

#[test]
fn requests_go_back_over_the_connection_they_came_by() {
    let via_proxy = "SIP/2.0/TCP p.example.com, SIP/2.0/TCP 192.0.2.7:5060";
    let cases = [
        ("udp", "192.0.2.7:5060", None, None),
        (
            "udp",
            "203.0.113.9:40000",
            None,
            Some("sip:203.0.113.9:40000"),
        ),
        (
            "tcp",
            "203.0.113.9:40000",
            None,
            Some("sip:203.0.113.9:40000;transport=tcp"),
        ),
        (
            "ws",
            "[2001:db8::9]:40000",
            None,
            Some("sip:[2001:db8::9]:40000;transport=ws"),
        ),
        ("tcp", "203.0.113.9:40000", Some(via_proxy), None),
    ];
    for (transport, source, via, flow) in cases {
        let mut scenario = Scenario::new();
        let mut phone = scenario.phone("alice");
        phone.transport = transport;
        phone.source = source;
        phone.via = via.unwrap_or(phone.via);
        scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
        scenario.pass(33);
        let bye = scenario.sent.pop_back().expect("a BYE");
        assert_eq!(bye.flow.as_deref(), flow, "{transport} {source}");
        assert_eq!(bye.next_hop, "sip:alice@192.0.2.7:5060");
        assert_eq!(bye.request_uri, bye.next_hop);
    }
}

#[test]
fn requests_are_sent_on_behalf_of_who_caused_them() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    let target = "<sip:carol@far.example.com;transport=tcp>";
    let refer = [("Refer-To", target)];
    let mut outside = scenario.phone("alice");
    scenario.request(&mut outside, "REFER", ROOM, &refer, "");
    let sent = |scenario: &Scenario, method: &str| {
        let all = scenario.sent.iter();
        let one = all.rev().find(|request| request.method.as_str() == method);
        one.expect("a request").clone()
    };
    let invite = sent(&scenario, "INVITE");
    assert_eq!(invite.next_hop, "sip:carol@far.example.com;transport=tcp");
    assert_eq!(invite.principal, "sip:alice@example.com", "who invites");
    // A caller with another user in From is still treated as themselves.
    let mut mallory = scenario.phone("mallory");
    mallory.identity = Some("sip:account@example.com".to_owned());
    scenario.request(&mut mallory, "INVITE", ROOM, &[], &offer("mallory"));
    scenario.pass(33);
    let bye = sent(&scenario, "BYE");
    assert_eq!(bye.principal, "sip:account@example.com");
}

#[test]
fn e14_hold_shows_in_the_roster() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    scenario.watch("bob", ROOM);
    scenario.pass(10);
    let held = offer("alice") + "a=inactive\r\n";
    assert_eq!(
        scenario.request(&mut alice, "INVITE", ROOM, &[], &held),
        Some(200)
    );
    scenario.ack(&mut alice, ROOM, "");
    scenario.pass(5);
    let status = |scenario: &Scenario| {
        let users = scenario.rosters["bob"].users.as_ref().expect("users");
        users.users[0].endpoints[0].status
    };
    assert_eq!(status(&scenario), Some(info::EndpointStatus::OnHold));
    scenario.request(&mut alice, "INVITE", ROOM, &[], &offer("alice"));
    scenario.ack(&mut alice, ROOM, "");
    scenario.pass(5);
    assert_eq!(status(&scenario), Some(info::EndpointStatus::Connected));
}

#[test]
fn what_a_contact_says_behind_its_uri_is_not_in_our_requests() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    phone.cseq += 1;
    let transaction = TransactionId {
        hash: 1,
        label: 9_000,
    };
    let mut arrival = arrival(
        &phone,
        "INVITE",
        ROOM,
        &[],
        &offer("alice"),
        Some(transaction),
    );
    let text = String::from_utf8_lossy(&arrival.message);
    let text = text.replace(
        "<sip:alice@192.0.2.7:5060>",
        "<sip:alice@192.0.2.7:5060;method=MESSAGE?Subject=x&Body=y>",
    );
    arrival.message = text.into();
    scenario
        .replies
        .insert(transaction, ("alice".to_owned(), None));
    scenario.feed(Input::Request(Box::new(arrival)));
    phone.to_tag = scenario
        .reply_to(transaction)
        .expect("an answer")
        .to_tag
        .clone();
    scenario.ack(&mut phone, ROOM, "");
    scenario
        .manage(|focus, now| {
            focus.expel(
                now,
                &RoomUri::new(ROOM),
                &UserUri::new("sip:alice@example.com"),
            )
        })
        .expect("alice is in");
    let bye = scenario.sent.back().expect("a BYE");
    assert_eq!(bye.request_uri, "sip:alice@192.0.2.7:5060");
}

#[test]
fn local_numbers_of_two_contexts_are_two_users() {
    let mut scenario = Scenario::new();
    for identity in [
        "tel:0100;phone-context=a.example",
        "tel:01-00;phone-context=B.example",
    ] {
        let mut phone = scenario.phone("0100");
        phone.tag = identity.to_owned().replace([':', ';', '='], "-");
        phone.identity = Some(identity.to_owned());
        assert_eq!(
            scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("x")),
            Some(200)
        );
    }
    let conference = &scenario.focus.rooms.conferences()[ROOM];
    let users: Vec<_> = conference
        .participants
        .keys()
        .map(UserUri::as_str)
        .collect();
    assert_eq!(
        users,
        [
            "tel:0100;phone-context=a.example",
            "tel:0100;phone-context=b.example"
        ]
    );
}

#[test]
fn a_password_is_no_part_of_a_room() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let code = scenario.request(
        &mut phone,
        "INVITE",
        "sip::pw@example.com",
        &[],
        &offer("alice"),
    );
    assert_eq!(code, Some(400), "nobody's room");
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(
        &mut phone,
        "INVITE",
        "sip:lobby:pw@example.com",
        &[],
        &offer("alice"),
    );
    let reply = scenario.reply_to(transaction).expect("an answer");
    assert_eq!(
        reply.headers.first("Contact"),
        Some("<sip:lobby@example.com>;isfocus")
    );
    assert!(scenario.focus.rooms.conferences().contains_key(ROOM));
}

#[test]
fn g05_every_address_the_host_names_is_the_callers() {
    let given = |identity: &'static str| {
        let mut scenario = Scenario::new();
        let mut phone = scenario.phone("alice");
        phone.identity = Some(identity.to_owned());
        let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
        let code = scenario.reply_to(transaction).expect("an answer").code;
        let admission = scenario.admissions.pop();
        let uris: Option<Vec<String>> =
            admission.map(|it| it.uris.iter().map(ToString::to_string).collect());
        (code, uris.unwrap_or_default().join(" "))
    };
    for (identity, code, uris) in [
        ("sip:alice@example.com", 200, "sip:alice@example.com"),
        (
            "sip:alice@example.com,<tel:+1-201>, \"A, B\" <sips:Ali@Example.org:5061;x=y>",
            200,
            "sip:alice@example.com sip:Ali@example.org tel:+1201",
        ),
        // A local number needs its context.
        (
            "sip:alice@example.com, <tel:0100;phone-context=a.example>, tel:+1, tel:+1",
            200,
            "sip:alice@example.com tel:+1 tel:0100;phone-context=a.example",
        ),
        ("sip:a,b@example.com", 200, "sip:a,b@example.com"),
        (
            "sip:alice@example.com, nonsense",
            200,
            "sip:alice@example.com",
        ),
        (", sip:alice@example.com", 403, ""),
        ("nonsense, sip:alice@example.com", 403, ""),
        (
            "sip:anonymous@anonymous.invalid, sip:alice@example.com",
            200,
            "sip:anonymous1@anonymous.invalid",
        ),
    ] {
        assert_eq!(given(identity), (code, uris.to_owned()), "{identity}");
    }
}

#[test]
fn f19_only_the_method_and_number_of_an_ongoing_transaction_are_merged() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    let mut again = phone.clone();
    // A client that reuses Call-ID and tag for its subscription.
    again.to_tag = None;
    again.cseq -= 1;
    let mut watcher = again.clone();
    let event = [("Event", "conference")];
    let code = scenario.request(&mut watcher, "SUBSCRIBE", ROOM, &event, "");
    assert_eq!(code, Some(200));
    scenario.pass(33);
    let mut third = again.clone();
    let code = scenario.request(&mut third, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(200), "that transaction is over");
    scenario.pass(60);
}
