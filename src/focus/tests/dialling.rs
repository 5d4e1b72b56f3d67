//! INVITEs of ours: answers and challenges.

use super::refer::{CAROL, answer, refer, room};
use super::*;

/// A phone of the invited party sends a 2xx, for the first time or again.
fn phone_answers(scenario: &mut Scenario, request: RequestId, tag: &str) {
    let response = crate::wire::sip::Response {
        code: 200,
        reason: "OK".to_owned(),
        headers: Headers::new()
            .with("To", format!("<{CAROL}>;tag={tag}"))
            .with("Contact", format!("<sip:{tag}@192.0.2.9>")),
        body: answer("carol").into(),
    };
    scenario.feed(Input::Outcome {
        reached: None,
        request,
        code: 200,
        response: Some(Box::new(response)),
    });
}

fn challenged() -> Scenario {
    let credentials = Credentials {
        realm: None,
        user: "conference".to_owned(),
        password: "secret".to_owned(),
    };
    Scenario::with(Config {
        credentials: vec![credentials],
        ..config()
    })
}

fn challenge(scenario: &mut Scenario, request: RequestId, code: u16, fields: &str) {
    let name = match code {
        401 => "WWW-Authenticate",
        _ => "Proxy-Authenticate",
    };
    let response = crate::wire::sip::Response {
        code,
        reason: String::new(),
        headers: Headers::new().with(name, format!("Digest {fields}")),
        body: bytes::Bytes::new(),
    };
    scenario.feed(Input::Outcome {
        reached: None,
        request,
        code,
        response: Some(Box::new(response)),
    });
}

/// Realms and nonces in the credentials of the last request.
fn answers(scenario: &Scenario) -> Vec<String> {
    let sent = scenario.sent.back().expect("a request");
    let names = ["Authorization", "Proxy-Authorization"];
    let values = names.iter().flat_map(|name| sent.headers.all(name));
    let field = |value: &str, name: &str| {
        let (_, rest) = value.split_once(&format!("{name}=\"")).expect("the field");
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    values
        .map(|value| format!("{} {}", field(value, "realm"), field(value, "nonce")))
        .collect()
}

#[test]
fn a_forked_invite_keeps_its_first_answer_and_ends_the_others() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let request = scenario.last_sent("carol").id;
    scenario.transcript();
    phone_answers(&mut scenario, request, "desk");
    assert!(scenario.transcript().contains("! amend"));
    // The desk's 2xx comes again: its dialog stands.
    phone_answers(&mut scenario, request, "desk");
    assert_eq!(scenario.transcript(), "");
    for tag in ["car", "sofa", "car"] {
        phone_answers(&mut scenario, request, tag);
    }
    assert_eq!(
        scenario.transcript(),
        "< ACK carol\n< BYE carol\n< ACK carol\n< BYE carol"
    );
    let ack = &scenario.sent[scenario.sent.len() - 2];
    assert_eq!((ack.cseq, ack.remote_tag.as_str()), (1, "sofa"));
    let bye = scenario.sent.back().expect("a BYE").clone();
    assert_eq!(bye.remote_tag, "sofa");
    assert_eq!(bye.request_uri, "sip:sofa@192.0.2.9");
    assert_eq!(bye.cseq, 2, "RFC 3261 §12.2.1.1");
    scenario.pass(32);
    assert!(!scenario.focus.leftovers().contains(&"dialled"));
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+ carol=+");
}

#[test]
fn who_answers_after_all_was_over_gets_bye() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let request = scenario.last_sent("carol").id;
    scenario.party_answers("carol", 480, &[], "");
    scenario.pass(2);
    scenario.transcript();
    phone_answers(&mut scenario, request, "sofa");
    assert_eq!(scenario.transcript(), "< ACK carol\n< BYE carol");
    scenario.pass(40);
    assert!(!scenario.focus.leftovers().contains(&"dialled"));
    scenario.transcript();
    phone_answers(&mut scenario, request, "car");
    assert_eq!(scenario.transcript(), "");
}

#[test]
fn f21_a_422_is_answered_by_a_longer_interval() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let asked = |scenario: &Scenario| {
        let invite = scenario.last_sent("carol");
        let value = |name| invite.headers.first(name).unwrap_or_default().to_owned();
        (value("Session-Expires"), value("Min-SE"))
    };
    assert_eq!(asked(&scenario), ("1800".to_owned(), "90".to_owned()));
    scenario.party_answers("carol", 422, &[("Min-SE", "3600")], "");
    assert_eq!(asked(&scenario), ("3600".to_owned(), "3600".to_owned()));
    assert_eq!(scenario.last_sent("carol").cseq, 2);
    // A second such answer ends the invitation.
    scenario.party_answers("carol", 422, &[("Min-SE", "3600")], "");
    assert!(scenario.focus.invites.ids().is_empty());
}

#[test]
fn f21_the_invited_may_ask_for_a_longer_interval_twice() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    for wanted in ["91", "92", "93"] {
        scenario.party_answers("carol", 422, &[("Min-SE", wanted)], "");
    }
    assert_eq!(scenario.last_sent("carol").cseq, 3);
    assert!(scenario.focus.invites.ids().is_empty());
}

#[test]
fn f21_what_the_invited_says_about_the_timer_counts() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let headers = [
        ("Session-Expires", "600;refresher=uas"),
        ("Require", "timer"),
    ];
    scenario.party_answers("carol", 200, &headers, &answer("carol"));
    scenario.pass(567);
    assert!(!scenario.transcript().contains("BYE carol"));
    scenario.pass(1);
    assert!(scenario.transcript().contains("< BYE carol"));
}

#[test]
fn every_challenge_on_the_way_is_answered() {
    let mut scenario = challenged();
    scenario.join("alice", ROOM);
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let request = scenario.last_sent("carol").id;
    challenge(&mut scenario, request, 407, "realm=\"proxy\", nonce=\"1\"");
    assert_eq!(answers(&scenario), ["proxy 1"]);
    challenge(&mut scenario, request, 401, "realm=\"phone\", nonce=\"2\"");
    assert_eq!(answers(&scenario), ["phone 2", "proxy 1"]);
    let stale = "realm=\"proxy\", nonce=\"3\", stale=true";
    challenge(&mut scenario, request, 407, stale);
    assert_eq!(answers(&scenario), ["phone 2", "proxy 3"]);
    assert_eq!(scenario.sent.back().map(|sent| sent.cseq), Some(4));
    // A server cannot make us retry for ever.
    challenge(&mut scenario, request, 407, stale);
    challenge(&mut scenario, request, 407, stale);
    assert!(scenario.focus.invites.ids().is_empty());
}

#[test]
fn challenged_refreshes_notifies_and_farewells_are_answered() {
    let mut scenario = challenged();
    let alice = scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    let proxy = "realm=\"proxy\", nonce=\"1\"";
    scenario.refresh_answer = None;
    scenario.pass(900);
    let refresh = scenario.sent.back().expect("a refresh").clone();
    assert_eq!(refresh.method, Method::Invite);
    challenge(&mut scenario, refresh.id, 407, proxy);
    assert_eq!(answers(&scenario), ["proxy 1"]);
    let again = scenario.sent.back().expect("it again").clone();
    assert_eq!((again.id, again.cseq), (refresh.id, refresh.cseq + 1));
    assert_eq!(again.body, refresh.body);
    scenario.feed(Input::Outcome {
        reached: None,
        request: again.id,
        code: 200,
        response: None,
    });
    scenario.notify_answer = None;
    scenario.join("bob", ROOM);
    scenario.pass(5);
    let notify = scenario.sent.back().expect("a NOTIFY").clone();
    assert_eq!(notify.method, Method::Notify);
    challenge(&mut scenario, notify.id, 401, proxy);
    let again = scenario.sent.back().expect("it again").clone();
    assert_eq!(
        (again.method, again.cseq),
        (Method::Notify, notify.cseq + 1)
    );
    scenario.notify_answer = Some(200);
    scenario.feed(Input::Outcome {
        reached: None,
        request: again.id,
        code: 200,
        response: None,
    });
    assert_eq!(scenario.focus.counts().requests, 0);
    drop(alice);
}

#[test]
fn l04_nobody_has_us_call_the_world() {
    let (mut scenario, ..) = room();
    let call = |scenario: &mut Scenario, number: usize| {
        let target = format!("<sip:u{number}@example.com>");
        refer(scenario, "alice", &target, &[])
    };
    for number in 0..20 {
        assert_eq!(call(&mut scenario, number).code, 200);
    }
    let reply = call(&mut scenario, 20);
    assert_eq!(reply.code, 480);
    assert_eq!(reply.headers.first("Retry-After"), Some("60"));
    assert!(reply.headers.first("Warning").is_some());
    scenario.pass(60);
    assert_eq!(call(&mut scenario, 21).code, 200);
}

#[test]
fn the_first_request_of_an_invited_party_may_have_any_number() {
    let (mut scenario, ..) = room();
    refer(&mut scenario, "alice", &format!("<{CAROL}>"), &[]);
    let invite = scenario.last_sent("carol").clone();
    scenario.party_answers("carol", 200, &[], &answer("carol"));
    let mut carol = scenario.phone("carol");
    carol.call_id = invite.call_id;
    carol.to_tag = Some(invite.local_tag);
    carol.tag = "party-carol".to_owned();
    let request = |scenario: &mut Scenario, carol: &mut Phone, number: u32| {
        // The scenario counts up first.
        carol.cseq = number.wrapping_sub(1);
        scenario.request(carol, "OPTIONS", ROOM, &[], "")
    };
    assert_eq!(request(&mut scenario, &mut carol, 0), Some(200));
    assert_eq!(request(&mut scenario, &mut carol, 0), Some(500));
    assert_eq!(request(&mut scenario, &mut carol, 1), Some(200));
}
