//! Session timers, UPDATE, glare.

use super::*;

const HALF: u64 = 900;

/// A phone that joined with these headers in its INVITE.
fn joined(scenario: &mut Scenario, headers: &[(&str, &str)]) -> Phone {
    let mut phone = scenario.phone("alice");
    let code = scenario.request(&mut phone, "INVITE", ROOM, headers, &offer("alice"));
    assert_eq!(code, Some(200));
    scenario.ack(&mut phone, ROOM, "");
    scenario.transcript();
    phone
}

#[test]
fn f21_we_refresh_for_who_cannot() {
    let mut scenario = Scenario::new();
    joined(&mut scenario, &[]);
    scenario.pass(HALF);
    assert_eq!(scenario.transcript(), "< INVITE alice");
    let refresh = scenario.sent.back().expect("a refresh").clone();
    let session = refresh.headers.first("Session-Expires");
    assert_eq!(session, Some("1800;refresher=uac"));
    let body = String::from_utf8_lossy(&refresh.body).into_owned();
    scenario.pass(HALF);
    let again = scenario.sent.back().expect("a second refresh");
    assert_ne!(again.id, refresh.id);
    assert_eq!(
        body,
        String::from_utf8_lossy(&again.body),
        "C86: the same o= line"
    );
}

#[test]
fn f21_by_update_where_the_peer_takes_it() {
    let mut scenario = Scenario::new();
    joined(&mut scenario, &[("Allow", "INVITE, ACK, UPDATE")]);
    scenario.pass(HALF);
    assert_eq!(scenario.transcript(), "< UPDATE alice");
    assert!(
        scenario
            .sent
            .back()
            .is_some_and(|request| request.body.is_empty())
    );
    scenario.refresh_answer = Some(501);
    scenario.pass(HALF);
    assert_eq!(scenario.transcript(), "< UPDATE alice\n< INVITE alice");
}

#[test]
fn f21_who_does_not_refresh_gets_bye() {
    let mut scenario = Scenario::new();
    let headers = [
        ("Supported", "timer"),
        ("Session-Expires", "600;refresher=uac"),
    ];
    let mut phone = joined(&mut scenario, &headers);
    scenario.pass(500);
    assert_eq!(
        scenario.request(&mut phone, "UPDATE", ROOM, &headers, ""),
        Some(200)
    );
    assert_eq!(scenario.transcript(), "< 200 alice OK");
    scenario.pass(567);
    assert_eq!(scenario.transcript(), "");
    scenario.pass(1);
    assert_eq!(
        scenario.transcript(),
        "< BYE alice\n! part alice\n! close lobby\n! expel alice"
    );
}

#[test]
fn f21_who_does_not_answer_the_refresh_is_gone() {
    for code in [408, 481] {
        let mut scenario = Scenario::new();
        joined(&mut scenario, &[]);
        scenario.refresh_answer = Some(code);
        scenario.pass(HALF);
        assert_eq!(
            scenario.transcript(),
            "< INVITE alice\n< BYE alice\n! part alice\n! close lobby\n! expel alice"
        );
    }
}

#[test]
fn f21_a_2xx_says_who_refreshes() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let headers = [("Supported", "timer"), ("Session-Expires", "600")];
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &headers, &offer("alice"));
    let reply = scenario.reply_to(transaction).expect("an answer");
    let session = reply.headers.first("Session-Expires");
    assert_eq!(session, Some("600;refresher=uac"));
    assert_eq!(reply.headers.first("Require"), Some("timer"));
}

#[test]
fn a_2xx_to_our_refresh_moves_the_target() {
    let mut scenario = Scenario::new();
    joined(&mut scenario, &[("Allow", "UPDATE")]);
    scenario.refresh_answer = None;
    scenario.pass(HALF);
    let refresh = scenario.sent.back().expect("a refresh").id;
    let response = crate::wire::sip::Response {
        code: 200,
        reason: "OK".to_owned(),
        headers: Headers::new().with("Contact", "<sip:alice@192.0.2.77>"),
        body: bytes::Bytes::new(),
    };
    scenario.feed(Input::Outcome {
        reached: None,
        request: refresh,
        code: 200,
        response: Some(Box::new(response)),
    });
    scenario.pass(HALF);
    let again = scenario.sent.back().expect("another refresh");
    assert_eq!(
        again.request_uri, "sip:alice@192.0.2.77",
        "RFC 3261 §12.2.1.2"
    );
}

#[test]
fn a_2xx_to_a_reinvite_is_acknowledged_over_the_peers_own_connection() {
    let mut scenario = Scenario::new();
    for (transport, acks) in [("udp", 0), ("tcp", 1)] {
        let mut phone = scenario.phone("alice");
        phone.transport = transport;
        scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
        scenario.ack(&mut phone, ROOM, "");
        scenario.refresh_answer = None;
        scenario.pass(HALF);
        let refresh = scenario.sent.back().expect("a refresh").clone();
        scenario.sent.clear();
        scenario.feed(Input::Outcome {
            reached: None,
            request: refresh.id,
            code: 200,
            response: Some(Box::new(crate::wire::sip::Response {
                code: 200,
                reason: "OK".to_owned(),
                headers: Headers::new().with("CSeq", format!("{} INVITE", refresh.cseq)),
                body: bytes::Bytes::new(),
            })),
        });
        assert_eq!(scenario.sent.len(), acks, "{transport}");
        if let Some(ack) = scenario.sent.back() {
            assert_eq!((ack.method.as_str(), ack.cseq), ("ACK", refresh.cseq));
            assert_eq!(ack.flow, refresh.flow);
        }
        scenario.request(&mut phone, "BYE", ROOM, &[], "");
    }
}

#[test]
fn f21_no_interval_is_shorter_than_90_s() {
    let mut scenario = Scenario::new();
    joined(&mut scenario, &[("Session-Expires", "0")]);
    scenario.pass(44);
    assert_eq!(scenario.transcript(), "");
    scenario.pass(1);
    assert_eq!(scenario.transcript(), "< INVITE alice");
}

#[test]
fn f18_glare_491() {
    let mut scenario = Scenario::new();
    let mut phone = joined(&mut scenario, &[]);
    scenario.refresh_answer = None;
    scenario.pass(HALF);
    let ours = scenario.sent.back().expect("a refresh").id;
    let code = scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(491));
    // Both sides got 491; ours retries soon, once.
    scenario.refresh_answer = Some(200);
    scenario.transcript();
    let outcome = Input::Outcome {
        reached: None,
        request: ours,
        code: 491,
        response: None,
    };
    scenario.feed(outcome);
    scenario.pass(2);
    assert_eq!(scenario.transcript(), "< INVITE alice");
}

#[test]
fn a_refused_refresh_leaves_the_session_running() {
    let mut scenario = Scenario::new();
    joined(&mut scenario, &[]);
    scenario.refresh_answer = Some(488);
    scenario.pass(HALF);
    assert_eq!(scenario.transcript(), "< INVITE alice");
    assert_eq!(scenario.focus.counts().participants, 1);
}

#[test]
fn update_with_an_offer_is_answered_at_once() {
    let mut scenario = Scenario::new();
    let mut phone = joined(&mut scenario, &[]);
    let muted = offer("alice") + "a=recvonly\r\n";
    let transaction = scenario.begin(&mut phone, "UPDATE", ROOM, &[], &muted);
    let reply = scenario.reply_to(transaction).expect("an answer").clone();
    assert_eq!(scenario.transcript(), "! amend alice\n< 200 alice OK");
    assert!(String::from_utf8_lossy(&reply.body).contains("a=sendonly"));
    scenario.pass(40);
    assert_eq!(scenario.transcript(), "", "no ACK is awaited");
}

/// Answers our last request to Alice with 422.
fn refuse_422(scenario: &mut Scenario, min_se: &str) {
    let request = scenario.sent.back().expect("a request").id;
    let response = crate::wire::sip::Response {
        code: 422,
        reason: "Session Interval Too Small".to_owned(),
        headers: Headers::new().with("Min-SE", min_se),
        body: bytes::Bytes::new(),
    };
    scenario.feed(Input::Outcome {
        reached: None,
        request,
        code: 422,
        response: Some(Box::new(response)),
    });
}

#[test]
fn f21_a_422_that_asks_for_no_longer_interval_is_not_asked_again() {
    let mut scenario = Scenario::new();
    joined(&mut scenario, &[]);
    scenario.refresh_answer = None;
    scenario.pass(HALF);
    assert_eq!(scenario.transcript(), "< INVITE alice");
    refuse_422(&mut scenario, "1800");
    scenario.pass(10);
    assert_eq!(scenario.transcript(), "");
    scenario.pass(HALF);
    assert_eq!(
        scenario.transcript(),
        "< BYE alice\n! part alice\n! close lobby\n! expel alice"
    );
}

#[test]
fn f21_a_422_is_answered_by_a_longer_interval_twice_at_most() {
    let mut scenario = Scenario::new();
    joined(&mut scenario, &[]);
    scenario.refresh_answer = None;
    scenario.pass(HALF);
    for wanted in ["1801", "1802", "1803"] {
        refuse_422(&mut scenario, wanted);
    }
    scenario.pass(10);
    assert_eq!(scenario.transcript(), ["< INVITE alice"; 3].join("\n"));
    let last = scenario.sent.back().expect("a refresh");
    let session = last.headers.first("Session-Expires");
    assert_eq!(session, Some("1802;refresher=uac"));
}

#[test]
fn f18_an_update_of_ours_without_offer_is_no_glare() {
    let mut scenario = Scenario::new();
    let mut phone = joined(&mut scenario, &[("Allow", "INVITE, ACK, UPDATE")]);
    scenario.refresh_answer = None;
    scenario.pass(HALF);
    assert_eq!(scenario.transcript(), "< UPDATE alice");
    let code = scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(200));
}

#[test]
fn f18_who_made_the_call_id_waits_longer_after_491() {
    for dialed_out in [false, true] {
        let mut scenario = Scenario::new();
        joined(&mut scenario, &[]);
        let id = *scenario.focus.rooms.endpoints().keys().next().expect("one");
        if let Some(endpoint) = scenario.focus.rooms.endpoint_mut(id) {
            endpoint.dialed_out = dialed_out;
        }
        let pauses: Vec<_> = (0..1000).map(|_| scenario.focus.glare_pause(id)).collect();
        let (least, most) = match dialed_out {
            true => (2100, 4000),
            false => (0, 2000),
        };
        let least = Duration::from_millis(least);
        let most = Duration::from_millis(most);
        assert!(pauses.iter().all(|pause| (least..=most).contains(pause)));
        let half = least + (most - least) / 2;
        assert!(pauses.iter().any(|it| *it > half) && pauses.iter().any(|it| *it < half));
    }
}
