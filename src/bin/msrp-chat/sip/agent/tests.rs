use super::*;
use bytes::Bytes;
use msrp_conference::entropy::Seeded;
use msrp_conference::wire::sip::Headers;
use std::time::Duration;

const SERVER: &str = "192.0.2.1:5060";
const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\n\
    a=path:msrp://192.0.2.1:2855/s3ss;tcp\r\na=setup:passive\r\n";

fn at(seconds: u64) -> Moment {
    Moment::from_epoch(Duration::from_secs(seconds))
}

/// An agent and its room, which the test plays.
struct Room {
    agent: Agent,
    sent: VecDeque<Message>,
}

impl Room {
    fn new(account: bool) -> Self {
        let identity = Identity {
            from: "\"Al\" <sip:alice@example.com>".parse().unwrap(),
            address: "192.0.2.7:5090".parse().unwrap(),
            tcp: false,
            server_host: "conf.example.com".into(),
        };
        let credentials = account.then(|| Credentials {
            user: "alice".into(),
            password: "secret".into(),
        });
        let stream = Stream::new("192.0.2.7".parse().unwrap(), false, "own", 1);
        let room = "sip:lobby@conf.example.com";
        let entropy = Box::new(Seeded(1));
        let mut agent = Agent::new(identity, room, stream, credentials, true, entropy);
        agent.join(at(0));
        Self {
            agent,
            sent: VecDeque::new(),
        }
    }

    fn sent(&mut self) -> Option<Message> {
        for (_, octets) in self.agent.outgoing() {
            self.sent.push_back(Message::parse(&octets).unwrap());
        }
        self.sent.pop_front()
    }

    fn asked(&mut self, method: Method) -> Request {
        match self.sent() {
            Some(Message::Request(request)) if request.method == method => request,
            other => panic!("{method} expected, not {other:?}"),
        }
    }

    fn status(&mut self) -> Response {
        match self.sent() {
            Some(Message::Response(response)) => response,
            other => panic!("a response expected, not {other:?}"),
        }
    }

    fn answer(&mut self, request: &Request, code: u16, headers: &[(&str, &str)], body: &str) {
        let mut all = Headers::new();
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            for value in request.headers.all(name) {
                all.push(name, value);
            }
        }
        let to = request.headers.first("To").unwrap();
        let tag = if to.contains("tag=") {
            ""
        } else {
            ";tag=focus"
        };
        all.push("To", format!("{to}{tag}"));
        for (name, value) in headers {
            all.push(name, *value);
        }
        let response = Response {
            code,
            reason: "said the room".into(),
            headers: all,
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        self.receive(Message::Response(response));
    }

    fn receive(&mut self, message: Message) {
        self.agent.receive(at(1), SERVER.parse().unwrap(), message);
    }

    /// A request of the room within the dialog that `of` began.
    fn request(
        &mut self,
        of: &Request,
        method: &str,
        cseq: u32,
        extra: &[(&str, &str)],
        body: &str,
    ) {
        let mut headers = Headers::new()
            .with(
                "Via",
                format!("SIP/2.0/UDP {SERVER};branch=z9hG4bK{method}{cseq}"),
            )
            .with("From", "<sip:lobby@conf.example.com>;tag=focus")
            .with("To", of.headers.first("From").unwrap())
            .with("Call-ID", of.headers.first("Call-ID").unwrap())
            .with("CSeq", format!("{cseq} {method}"));
        for (name, value) in extra {
            headers.push(name, *value);
        }
        self.receive(Message::Request(Request {
            method: method.into(),
            uri: "sip:alice@192.0.2.7:5090".into(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }));
    }

    fn joined(account: bool) -> (Self, Request, Request) {
        let mut room = Room::new(account);
        let invite = room.asked(Method::Invite);
        let contact = ("Contact", "<sip:lobby@conf.example.com>;isfocus");
        room.answer(&invite, 200, &[contact], ANSWER);
        room.asked(Method::Ack);
        let subscribe = room.asked(Method::Subscribe);
        assert!(matches!(room.agent.event(), Some(Event::Accepted)));
        (room, invite, subscribe)
    }
}

const NOTIFY: [(&str, &str); 3] = [
    ("Event", "conference"),
    ("Subscription-State", "active;expires=600"),
    ("Content-Type", "application/conference-info+xml"),
];

#[test]
fn a_call_from_join_to_leave() {
    let (mut room, invite, subscribe) = Room::joined(false);
    assert_eq!(invite.uri, "sip:lobby@conf.example.com");
    assert_eq!(subscribe.uri, "sip:lobby@conf.example.com");
    assert_ne!(
        subscribe.headers.first("Call-ID"),
        invite.headers.first("Call-ID"),
        "E34: outside the call's dialog"
    );
    room.answer(&subscribe, 200, &[("Expires", "600")], "");
    room.request(&subscribe, "NOTIFY", 1, &NOTIFY, "<x/>");
    assert_eq!(room.status().code, 200);
    assert!(matches!(room.agent.event(), Some(Event::Document(_))));
    room.agent.leave(at(2));
    let last = room.asked(Method::Subscribe);
    assert_eq!(last.headers.first("Expires"), Some("0"));
    let bye = room.asked(Method::Bye);
    assert!(bye.headers.first("To").unwrap().contains("tag=focus"));
    room.answer(&bye, 200, &[], "");
    assert!(matches!(room.agent.event(), Some(Event::Left)));
    assert!(!room.agent.finished(), "the last NOTIFY is still to come");
    let terminated = [
        ("Event", "conference"),
        ("Subscription-State", "terminated;reason=timeout"),
    ];
    room.request(&subscribe, "NOTIFY", 2, &terminated, "");
    assert!(room.agent.finished());
}

#[test]
fn e37_notify_before_the_200() {
    let (mut room, _, subscribe) = Room::joined(false);
    room.request(&subscribe, "NOTIFY", 1, &NOTIFY, "<x/>");
    assert_eq!(room.status().code, 200);
    assert!(matches!(room.agent.event(), Some(Event::Document(_))));
    room.answer(&subscribe, 200, &[("Expires", "600")], "");
    assert!(room.agent.event().is_none());
}

#[test]
fn a_repeated_notify_is_answered_and_not_taken_twice() {
    let (mut room, _, subscribe) = Room::joined(false);
    for _ in 0..2 {
        room.request(&subscribe, "NOTIFY", 1, &NOTIFY, "<x/>");
        assert_eq!(room.status().code, 200);
    }
    assert!(matches!(room.agent.event(), Some(Event::Document(_))));
    assert!(room.agent.event().is_none());
}

#[test]
fn the_subscription_is_refreshed_and_begun_anew_after_481() {
    let (mut room, _, subscribe) = Room::joined(false);
    room.answer(&subscribe, 200, &[("Expires", "100")], "");
    assert_eq!(room.agent.deadline(), Some(at(81)));
    room.agent.tick(at(81));
    let refresh = room.asked(Method::Subscribe);
    assert!(refresh.headers.first("To").unwrap().contains("tag=focus"));
    room.answer(&refresh, 481, &[], "");
    let anew = room.asked(Method::Subscribe);
    assert_ne!(
        anew.headers.first("Call-ID"),
        refresh.headers.first("Call-ID")
    );
}

#[test]
fn e30_a_longer_subscription_is_asked_for_when_told() {
    let (mut room, _, subscribe) = Room::joined(false);
    room.answer(&subscribe, 423, &[("Min-Expires", "1200")], "");
    let longer = room.asked(Method::Subscribe);
    assert_eq!(longer.headers.first("Expires"), Some("1200"));
    room.answer(&longer, 489, &[], "");
    assert!(matches!(room.agent.event(), Some(Event::NoRoster(_))));
}

#[test]
fn a_challenge_is_answered_once() {
    let mut room = Room::new(true);
    let challenge = [(
        "WWW-Authenticate",
        r#"Digest realm="conf", nonce="n", qop="auth""#,
    )];
    let invite = room.asked(Method::Invite);
    room.answer(&invite, 401, &challenge, "");
    room.asked(Method::Ack);
    let again = room.asked(Method::Invite);
    assert_eq!(again.headers.first("CSeq"), Some("2 INVITE"));
    assert_eq!(again.headers.all("Via").count(), 1);
    assert!(
        again
            .headers
            .first("Authorization")
            .unwrap()
            .contains("username=\"alice\"")
    );
    assert!(!again.body.is_empty());
    room.answer(&again, 401, &challenge, "");
    room.asked(Method::Ack);
    assert!(matches!(
        room.agent.event(),
        Some(Event::Failed(Failure {
            code: Some(401),
            ..
        }))
    ));
}

#[test]
fn a_repeated_200_is_acknowledged_again() {
    let (mut room, invite, _) = Room::joined(false);
    room.answer(&invite, 200, &[], ANSWER);
    let ack = room.asked(Method::Ack);
    assert_eq!(ack.headers.first("CSeq"), Some("1 ACK"));
}

#[test]
fn a_redirection_is_followed() {
    let mut room = Room::new(false);
    let invite = room.asked(Method::Invite);
    room.answer(
        &invite,
        302,
        &[("Contact", "<sip:new@conf.example.com>")],
        "",
    );
    room.asked(Method::Ack);
    assert_eq!(room.asked(Method::Invite).uri, "sip:new@conf.example.com");
}

#[test]
fn nobody_answers() {
    let mut room = Room::new(false);
    while let Some(next) = room.agent.deadline() {
        room.agent.tick(next);
    }
    let event = room.agent.event();
    assert!(matches!(
        event,
        Some(Event::Failed(Failure {
            code: Some(408),
            ..
        }))
    ));
}

#[test]
fn a_bye_of_the_room_ends_the_call() {
    let (mut room, invite, _) = Room::joined(false);
    room.request(&invite, "BYE", 1, &[], "");
    assert_eq!(room.status().code, 200);
    assert!(matches!(room.agent.event(), Some(Event::HungUp)));
    room.request(&invite, "BYE", 2, &[], "");
    assert_eq!(room.status().code, 481);
}

#[test]
fn a_reinvite_with_a_new_path_moves_us() {
    let (mut room, invite, subscribe) = Room::joined(false);
    room.answer(&subscribe, 200, &[("Expires", "600")], "");
    room.request(&invite, "INVITE", 1, &[], ANSWER);
    assert!(room.agent.event().is_none(), "a refresh changes nothing");
    assert_eq!(room.status().code, 200);
    room.request(&invite, "INVITE", 2, &[], &ANSWER.replace("s3ss", "other"));
    let answer = room.status();
    assert!(String::from_utf8_lossy(&answer.body).contains("a=setup:active"));
    assert!(matches!(room.agent.event(), Some(Event::Moved)));
    let next = room.agent.deadline().unwrap();
    room.agent.tick(next);
    assert_eq!(room.status().code, 200, "repeated until the ACK");
    room.request(&invite, "ACK", 2, &[], "");
    assert!(room.sent().is_none());
    room.agent.tick(at(60));
    assert!(!matches!(room.sent(), Some(Message::Response(_))));
}

#[test]
fn a_reinvite_without_offer_gets_ours() {
    let (mut room, invite, _) = Room::joined(false);
    room.request(&invite, "INVITE", 1, &[], "");
    assert!(!room.status().body.is_empty());
    room.request(&invite, "ACK", 1, &[], &ANSWER.replace("s3ss", "other"));
    assert!(matches!(room.agent.event(), Some(Event::Moved)));
}

#[test]
fn strangers_are_turned_away() {
    let (mut room, invite, _) = Room::joined(false);
    let mut stranger = invite.clone();
    stranger.headers.set("Call-ID", "unknown");
    for (method, code) in [
        ("BYE", 481),
        ("INVITE", 481),
        ("NOTIFY", 481),
        ("INFO", 405),
    ] {
        room.request(&stranger, method, 9, &[], "");
        assert_eq!(room.status().code, code, "{method}");
    }
}

#[test]
fn leaving_before_the_answer_cancels_after_the_first_provisional_one() {
    let mut room = Room::new(false);
    let invite = room.asked(Method::Invite);
    room.agent.leave(at(1));
    assert!(room.sent().is_none());
    room.answer(&invite, 100, &[], "");
    let cancel = room.asked(Method::Cancel);
    assert_eq!(cancel.headers.first("Via"), invite.headers.first("Via"));
    room.answer(&cancel, 200, &[], "");
    room.answer(&invite, 487, &[], "");
    room.asked(Method::Ack);
    assert!(matches!(room.agent.event(), Some(Event::Left)));
    assert!(room.agent.finished());
}
