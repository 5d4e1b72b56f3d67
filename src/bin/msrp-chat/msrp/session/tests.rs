use super::*;
use msrp_conference::entropy::Seeded;
use msrp_conference::wire::msrp::Decoder;

const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\n\
    a=path:msrp://192.0.2.1:2855/room;tcp\r\n";
const ROOM_PATH: &str = "msrp://192.0.2.1:2855/room;tcp";
const NOW: Moment = Moment::from_epoch(Duration::from_secs(1_000_000));

fn session() -> Session {
    let mut stream = Stream::new("192.0.2.7".parse().unwrap(), false, "own", 1);
    stream.read(ANSWER.as_bytes()).unwrap();
    let me = ("Al", "sip:alice@h");
    Session::start(NOW, &stream, me, "sip:lobby@h", &mut Seeded(1))
}

fn feed(session: &mut Session, octets: &[u8]) {
    let (mut decoder, mut rest) = (Decoder::new(), octets);
    while let Some(decoded) = decoder.decode(rest).unwrap() {
        rest = &rest[decoded.used..];
        session.take(decoded.event);
    }
}

fn text(session: &mut Session) -> String {
    String::from_utf8(session.take_output()).unwrap()
}

/// Answers the last request that the session wrote.
fn respond(session: &mut Session, code: u16) -> String {
    let written = text(session);
    let id = TransactionId::new(written.split(' ').nth(1).unwrap()).unwrap();
    let mut octets = Vec::new();
    HeadWriter::response(
        &mut octets,
        &id,
        code,
        "said the room",
        "msrp://192.0.2.7:9/own;tcp",
        ROOM_PATH,
    )
    .end(Flag::Last);
    feed(session, &octets);
    written
}

fn send(id: &str, headers: &str, body: &str, flag: char) -> Vec<u8> {
    format!(
        "MSRP {id} SEND\r\nTo-Path: msrp://192.0.2.7:9/own;tcp\r\nFrom-Path: {ROOM_PATH}\r\n\
         Message-ID: m123\r\n{headers}\r\n{body}\r\n-------{id}{flag}\r\n"
    )
    .into_bytes()
}

const CPIM: &str = "From: Bob <sip:bob@h>\r\nTo: <sip:lobby@h>\r\n\r\n\
    Content-Type: text/plain\r\n\r\nhello";
const CPIM_TYPE: &str = "Content-Type: message/cpim\r\n";

#[test]
fn c60_an_empty_send_binds() {
    let mut session = session();
    let bind = respond(&mut session, 200);
    assert!(
        bind.contains(" SEND\r\nTo-Path: msrp://192.0.2.1:2855/room;tcp\r\n"),
        "{bind}"
    );
    assert!(bind.contains("Byte-Range: 1-0/0\r\n-------"), "{bind}");
    assert_eq!(session.happening(), Some(Happening::Bound));
    assert_eq!(session.unanswered(), 0);
}

#[test]
fn what_is_said_arrives_or_not() {
    let mut session = session();
    respond(&mut session, 200);
    session.happening();
    session.say(NOW, None, "hello");
    let sent = respond(&mut session, 200);
    assert!(sent.contains("To: <sip:lobby@h>\r\n") && sent.contains("From: \"Al\" <sip:alice@h>"));
    assert_eq!(session.happening(), Some(Happening::Sent));
    session.say(NOW, Some("sip:bob@h"), "psst");
    assert!(respond(&mut session, 428).contains("To: <sip:bob@h>\r\n"));
    assert!(matches!(
        session.happening(),
        Some(Happening::NotSent(Failure { code: Some(428), .. }, text)) if text == "psst"
    ));
    session.nickname(NOW, "Al \"B\"");
    assert!(respond(&mut session, 425).contains("Use-Nickname: \"Al \\\"B\\\"\"\r\n"));
    assert!(matches!(
        session.happening(),
        Some(Happening::NotNicknamed(_))
    ));
}

#[test]
fn c20_long_messages_are_interruptible() {
    let mut session = session();
    session.take_output();
    session.say(NOW, None, &"x".repeat(3000));
    assert!(text(&mut session).contains("Byte-Range: 1-*/3"));
}

#[test]
fn c48_thirty_seconds_without_answer() {
    let mut session = session();
    let late = session.deadline().unwrap();
    assert_eq!(late, NOW + RESPONSE_TIMEOUT);
    session.tick(late);
    assert!(matches!(
        session.happening(),
        Some(Happening::NotBound(Failure {
            code: Some(408),
            ..
        }))
    ));
}

#[test]
fn a_message_is_answered_and_shown() {
    let mut session = session();
    session.take_output();
    feed(&mut session, &send("aaaa", CPIM_TYPE, CPIM, '$'));
    assert_eq!(
        text(&mut session),
        format!(
            "MSRP aaaa 200 OK\r\nTo-Path: {ROOM_PATH}\r\n\
             From-Path: msrp://192.0.2.7:9/own;tcp\r\n-------aaaa$\r\n"
        )
    );
    let Some(Happening::Message(message)) = session.happening() else {
        panic!("a message")
    };
    assert_eq!((message.name.as_str(), message.private), ("Bob", false));
    assert_eq!(message.content, b"hello");
    let private = CPIM.replace("sip:lobby", "sip:alice");
    feed(&mut session, &send("aaab", CPIM_TYPE, &private, '$'));
    assert!(matches!(session.happening(), Some(Happening::Message(message)) if message.private));
}

#[test]
fn c42_c43_silence_where_it_is_asked_for() {
    let mut session = session();
    session.take_output();
    for report in ["no", "partial"] {
        let headers = format!("Failure-Report: {report}\r\n{CPIM_TYPE}");
        feed(&mut session, &send("aaaa", &headers, CPIM, '$'));
        assert_eq!(text(&mut session), "");
    }
}

#[test]
fn c46_a_success_report_covers_the_message() {
    let mut session = session();
    session.take_output();
    let (first, last) = CPIM.split_at(20);
    let success = "Success-Report: yes\r\n";
    let headers = format!("Byte-Range: 1-20/*\r\n{success}{CPIM_TYPE}");
    feed(&mut session, &send("aaaa", &headers, first, '+'));
    assert!(!text(&mut session).contains("REPORT"));
    let headers = format!("Byte-Range: 21-*/*\r\n{success}{CPIM_TYPE}");
    feed(&mut session, &send("aaab", &headers, last, '$'));
    let report = text(&mut session);
    let range = format!(
        "Byte-Range: 1-{0}/{0}\r\nStatus: 000 200 OK\r\n",
        CPIM.len()
    );
    assert!(
        report.contains("Message-ID: m123\r\n") && report.contains(&range),
        "{report}"
    );
    assert!(matches!(session.happening(), Some(Happening::Message(_))));
}

#[test]
fn c08_unknown_methods_are_refused_by_name() {
    let mut session = session();
    session.take_output();
    let octets = String::from_utf8(send("aaaa", "", "", '$')).unwrap();
    feed(&mut session, octets.replace("SEND", "DANCE").as_bytes());
    assert!(text(&mut session).starts_with("MSRP aaaa 501 "));
}

#[test]
fn server_notices_are_no_chat() {
    let mut session = session();
    let notice = CPIM.replace(
        "\r\n\r\nContent",
        "\r\nNS: agp <urn:ag-projects:xml:ns:cpim>\r\nagp.Message-Type: status\r\n\r\nContent",
    );
    feed(&mut session, &send("aaaa", CPIM_TYPE, &notice, '$'));
    assert!(matches!(session.happening(), Some(Happening::Message(message)) if message.notice));
}
