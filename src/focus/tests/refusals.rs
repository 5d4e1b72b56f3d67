//! Refused requests, each with the required answer.

use super::*;

/// Sends one request outside any dialog and returns the final answer.
fn answer(method: &str, room: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    answer_of(&mut Scenario::new(), method, room, headers, body)
}

fn answer_of(
    scenario: &mut Scenario,
    method: &str,
    room: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, method, room, headers, body);
    scenario.reply_to(transaction).expect("an answer").clone()
}

#[test]
fn f19_unknown_method_405_with_allow() {
    for method in ["MESSAGE", "PRACK", "FOO"] {
        let reply = answer(method, ROOM, &[], "");
        assert_eq!(reply.code, 405, "{method}");
        let allow = reply.headers.first("Allow").expect("Allow");
        assert!(allow.contains("INVITE"), "{allow}");
    }
}

#[test]
fn f19_unknown_extension_420() {
    let reply = answer(
        "INVITE",
        ROOM,
        &[("Require", "100rel, foo")],
        &offer("alice"),
    );
    assert_eq!(reply.code, 420);
    assert_eq!(reply.headers.first("Unsupported"), Some("100rel, foo"));
}

#[test]
fn f19_unknown_body_415() {
    let reply = answer("INVITE", ROOM, &[("Content-Type", "text/plain")], "hello");
    assert_eq!(reply.code, 415);
    let accept = reply.headers.first("Accept").expect("Accept");
    assert!(
        accept.starts_with("application/sdp, multipart/mixed"),
        "{accept}"
    );
    let reply = answer(
        "INVITE",
        ROOM,
        &[("Content-Encoding", "gzip")],
        &offer("alice"),
    );
    assert_eq!(reply.code, 415);
    assert_eq!(reply.headers.first("Accept-Encoding"), Some("identity"));
}

#[test]
fn f19_unknown_dialog_481() {
    let mut scenario = Scenario::new();
    for method in ["INVITE", "BYE", "SUBSCRIBE", "OPTIONS"] {
        let mut phone = scenario.phone("alice");
        phone.to_tag = Some("nobody".to_owned());
        let headers = [("Event", "conference")];
        let code = scenario.request(&mut phone, method, ROOM, &headers, "");
        assert_eq!(code, Some(481), "{method}");
    }
    let mut phone = scenario.phone("alice");
    assert_eq!(
        scenario.request(&mut phone, "BYE", ROOM, &[], ""),
        Some(481)
    );
}

#[test]
fn c84_g02_unusable_offers_488_with_the_reason() {
    let cases = [
        (
            offer("a").replace("message/cpim", "text/plain"),
            "message/cpim",
        ),
        (offer("a").replace("m=message", "m=audio"), "no m=message"),
        (
            offer("a").replace("m=message 2855", "m=message 0"),
            "no m=message",
        ),
        (
            offer("a")
                .replace("TCP/MSRP", "TCP/TLS/MSRP")
                .replace("msrp:", "msrps:"),
            "TLS",
        ),
        (offer("a").replace("a=path:msrp", "a=path:http"), "a=path"),
        (
            offer("a") + "a=file-selector:name:\"x\"\r\n",
            "no m=message",
        ),
    ];
    for (body, why) in cases {
        let reply = answer("INVITE", ROOM, &[], &body);
        assert_eq!(reply.code, 488, "{body}");
        let warning = reply.headers.first("Warning").expect("a Warning");
        assert!(warning.contains(why), "{warning}");
    }
}

#[test]
fn c83_ranges_of_types_cover_cpim() {
    for range in ["*", "message/*", "text/plain message/CPIM"] {
        let body = offer("a").replace(
            "a=accept-types:message/cpim",
            &format!("a=accept-types:{range}"),
        );
        assert_eq!(answer("INVITE", ROOM, &[], &body).code, 200, "{range}");
    }
}

#[test]
fn truncated_sdp_400() {
    assert_eq!(answer("INVITE", ROOM, &[], "m=message").code, 400);
}

#[test]
fn adhoc_no_404() {
    let closed = || {
        Scenario::with(Config {
            adhoc: false,
            ..config()
        })
    };
    for method in ["INVITE", "OPTIONS"] {
        let reply = answer_of(&mut closed(), method, ROOM, &[], "");
        assert_eq!(reply.code, 404, "{method}");
        let reply = answer_of(&mut closed(), method, "sip:hall@example.com", &[], "");
        assert_eq!(reply.code, 200, "{method}");
    }
}

#[test]
fn script_decides_over_adhoc() {
    let mut scenario = Scenario::with(Config {
        adhoc: false,
        ..config()
    });
    let mut phone = scenario.phone("alice");
    phone.cseq = 1;
    let transaction = TransactionId { hash: 9, label: 9 };
    scenario
        .replies
        .insert(transaction, ("alice".to_owned(), None));
    let mut arrival = arrival(
        &phone,
        "INVITE",
        ROOM,
        &[],
        &offer("alice"),
        Some(transaction),
    );
    arrival.options.create = Some(true);
    scenario.feed(Input::Request(Box::new(arrival)));
    assert_eq!(
        scenario.reply_to(transaction).map(|reply| reply.code),
        Some(200)
    );
}

#[test]
fn full_room_486() {
    let hall = "sip:hall@example.com";
    let mut scenario = Scenario::new();
    scenario.join("alice", hall);
    scenario.join("bob", hall);
    scenario.join("bob", hall);
    let mut phone = scenario.phone("carol");
    let code = scenario.request(&mut phone, "INVITE", hall, &[], &offer("carol"));
    assert_eq!(code, Some(486), "a second device of bob counts as bob");
}

#[test]
fn devices_of_one_user_are_bounded() {
    let mut scenario = Scenario::new();
    for _ in 0..16 {
        scenario.join("alice", ROOM);
    }
    let mut phone = scenario.phone("alice");
    let code = scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(486));
}

#[test]
fn too_many_conferences_503() {
    let mut scenario = Scenario::new();
    for room in [
        "sip:a@example.com",
        "sip:b@example.com",
        "sip:c@example.com",
    ] {
        scenario.join("alice", room);
    }
    let mut phone = scenario.phone("alice");
    let code = scenario.request(
        &mut phone,
        "INVITE",
        "sip:d@example.com",
        &[],
        &offer("alice"),
    );
    assert_eq!(code, Some(503));
}

#[test]
fn rooms_are_sip_uris() {
    assert_eq!(answer("INVITE", "tel:+4930123", &[], &offer("a")).code, 416);
    assert_eq!(
        answer("INVITE", "http://example.com", &[], &offer("a")).code,
        416
    );
    assert_eq!(
        answer("INVITE", "sip:example.com", &[], &offer("a")).code,
        404
    );
}

#[test]
fn one_room_however_it_is_written() {
    let mut scenario = Scenario::new();
    scenario.join("alice", "sip:lobby@EXAMPLE.com:5060;transport=tcp");
    scenario.join("bob", "sips:lobby@example.com");
    assert_eq!(scenario.focus.counts().conferences, 1);
}

#[test]
fn f10_options_tells_what_we_can() {
    let reply = answer("OPTIONS", ROOM, &[], "");
    assert_eq!(reply.code, 200);
    for name in ["Allow", "Allow-Events", "Accept", "Contact"] {
        assert!(reply.headers.first(name).is_some(), "{name}");
    }
    let contact = reply.headers.first("Contact").expect("a Contact");
    for tag in [
        ">;isfocus;message",
        ";methods=\"INVITE,ACK",
        ";events=\"conference,refer\"",
    ] {
        assert!(contact.contains(tag), "F22: {contact}");
    }
    assert!(String::from_utf8_lossy(&reply.body).contains("m=message"));
}

#[test]
fn out_of_order_cseq_500() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.join("alice", ROOM);
    phone.cseq -= 1;
    assert_eq!(
        scenario.request(&mut phone, "BYE", ROOM, &[], ""),
        Some(500)
    );
}

#[test]
fn callers_without_identity_403() {
    for nobody in [
        "",
        "alice",
        "sip:alice:secret@example.com",
        "sip:alice@h?To=x",
    ] {
        let mut scenario = Scenario::new();
        let mut phone = scenario.phone("alice");
        phone.identity = Some(nobody.to_owned());
        let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
        let code = scenario.reply_to(transaction).map(|reply| reply.code);
        assert_eq!(code, Some(403), "{nobody:?}");
    }
}

#[test]
fn long_contacts_400_and_long_addresses_403() {
    let mut scenario = Scenario::new();
    let long = "x".repeat(600);
    let contact = format!("<sip:{long}@192.0.2.7>");
    for (method, headers) in [
        ("INVITE", vec![("Contact", contact.as_str())]),
        (
            "SUBSCRIBE",
            vec![("Contact", &contact), ("Event", "conference")],
        ),
    ] {
        let mut phone = scenario.phone("alice");
        let body = offer("alice");
        let body = if method == "INVITE" {
            body.as_str()
        } else {
            ""
        };
        let code = scenario.request(&mut phone, method, "sip:hall@example.com", &headers, body);
        assert_eq!(code, Some(400), "{method}");
    }
    let mut phone = scenario.phone("alice");
    phone.identity = Some(format!("sip:{long}@example.com"));
    let code = scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(403));
    assert_eq!(scenario.focus.counts(), Counts::default());
    assert_eq!(scenario.focus.totals().refused, 3);
    let mut alice = scenario.join("alice", ROOM);
    let target = format!("<sip:{long}@example.com>");
    let headers = [("Refer-To", target.as_str())];
    let code = scenario.request(&mut alice, "REFER", ROOM, &headers, "");
    assert_eq!(code, Some(400));
}

#[test]
fn nobody_new_comes_in_while_nothing_can_be_kept() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    scenario.feed(Input::Close(true));
    for (method, headers) in [
        ("INVITE", &[][..]),
        ("SUBSCRIBE", &[("Event", "conference")][..]),
    ] {
        let mut phone = scenario.phone("bob");
        let body = if method == "INVITE" {
            offer("bob")
        } else {
            String::new()
        };
        let transaction = scenario.begin(&mut phone, method, ROOM, headers, &body);
        let reply = scenario.reply_to(transaction).expect("an answer");
        assert_eq!(
            (reply.code, reply.headers.first("Retry-After")),
            (503, Some("10"))
        );
    }
    // Participants stay, and may leave.
    assert_eq!(
        scenario.request(&mut alice, "INVITE", ROOM, &[], &offer("alice")),
        Some(200)
    );
    scenario.ack(&mut alice, ROOM, "");
    assert_eq!(
        scenario.request(&mut alice, "BYE", ROOM, &[], ""),
        Some(200)
    );
    scenario.feed(Input::Close(false));
    scenario.join("bob", ROOM);
}

#[test]
fn refusals_are_logged_once_a_minute_by_their_cause() {
    let mut scenario = Scenario::new();
    let call = |scenario: &mut Scenario| {
        let mut phone = scenario.phone("alice");
        phone.identity = Some("nobody".to_owned());
        scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    };
    let lines = |scenario: &Scenario| {
        let lines = scenario.logged.iter().filter(|it| it.contains("refused"));
        lines.cloned().collect::<Vec<_>>()
    };
    (0..3).for_each(|_| call(&mut scenario));
    let once = "requests refused: 1 (403 the caller has no identity)".to_owned();
    assert_eq!(lines(&scenario), std::slice::from_ref(&once));
    scenario.pass(60);
    call(&mut scenario);
    let again = "requests refused: 3 (403 the caller has no identity)".to_owned();
    assert_eq!(lines(&scenario), [once, again]);
}
