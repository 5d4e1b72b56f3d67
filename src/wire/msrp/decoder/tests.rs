use super::super::{
    ByteRange, FailureReport, HeadWriter, MAX_NICKNAME, NicknameError, Status, UseNickname,
    contains_end_line, end_line_after_body,
};
use super::*;
use proptest::prelude::*;

/// Events without regard to how the input was cut.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Request {
        head: String,
        body: Option<Vec<u8>>,
        flag: Option<Flag>,
    },
    Response(String, u16, String),
    Malformed(String, HeadError),
    Lost(DecodeError),
}

#[derive(Default)]
struct Run {
    decoder: Decoder,
    held: Vec<u8>,
    seen: Vec<Seen>,
}

impl Run {
    /// Feeds octets; false once the stream is lost.
    fn feed(&mut self, octets: &[u8]) -> bool {
        self.held.extend_from_slice(octets);
        let mut used = 0;
        loop {
            match self.decoder.decode(&self.held[used..]) {
                Ok(Some(decoded)) => {
                    assert!(decoded.used > 0);
                    used += decoded.used;
                    note(&mut self.seen, decoded.event);
                }
                Ok(None) => break,
                Err(error) => {
                    self.seen.push(Seen::Lost(error));
                    return false;
                }
            }
        }
        self.held.drain(..used);
        assert!(self.held.len() <= MAX_HEAD + MAX_NON_SEND_BODY + 2 * MAX_END_LINE + 2);
        true
    }
}

fn note(seen: &mut Vec<Seen>, event: Event<'_>) {
    match event {
        Event::Message {
            request,
            body,
            flag,
        } => seen.push(Seen::Request {
            head: format!("{request:?}"),
            body: body.map(<[u8]>::to_vec),
            flag: Some(flag),
        }),
        Event::Begin(request) => seen.push(Seen::Request {
            head: format!("{request:?}"),
            body: Some(Vec::new()),
            flag: None,
        }),
        Event::Body(piece) => match seen.last_mut() {
            Some(Seen::Request {
                body: Some(body),
                flag: None,
                ..
            }) if !piece.is_empty() => body.extend_from_slice(piece),
            other => panic!("a body after {other:?}"),
        },
        Event::End(end) => match seen.last_mut() {
            Some(Seen::Request {
                flag: flag @ None, ..
            }) => *flag = Some(end),
            other => panic!("an end after {other:?}"),
        },
        Event::Response(response) => seen.push(Seen::Response(
            response.transaction.to_string(),
            response.code,
            response.comment.to_owned(),
        )),
        Event::Malformed(malformed) => seen.push(Seen::Malformed(
            malformed.transaction.to_string(),
            malformed.error,
        )),
        Event::Skipped => {}
    }
}

fn whole(octets: &[u8]) -> Vec<Seen> {
    let mut run = Run::default();
    run.feed(octets);
    run.seen
}

fn one_by_one(octets: &[u8]) -> Vec<Seen> {
    let mut run = Run::default();
    for octet in octets {
        if !run.feed(&[*octet]) {
            break;
        }
    }
    run.seen
}

fn body_of(seen: &Seen) -> (&[u8], Option<Flag>) {
    match seen {
        Seen::Request {
            body: Some(body),
            flag,
            ..
        } => (body, *flag),
        other => panic!("no body: {other:?}"),
    }
}

fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

const PATHS: &str = "To-Path: msrp://bob.example.org:8888/9di4ea;tcp\n\
                     From-Path: msrp://alice.example.com:7777/iau39;tcp\n";

fn message(start: &str, headers: &str, rest: &str) -> Vec<u8> {
    crlf(&format!("MSRP {start}\n{PATHS}{headers}{rest}"))
}

#[test]
fn a_session_as_in_rfc4975_11() {
    let mut octets = message(
        "d93kswow SEND",
        "Message-ID: 12339sdqwer\nByte-Range: 1-16/16\nContent-Type: text/plain\n",
        "\nGood day, I am Al\n-------d93kswow$\n",
    );
    octets.extend(message("d93kswow 200 OK", "", "-------d93kswow$\n"));
    octets.extend(message(
        "dkei38sd REPORT",
        "Message-ID: 12339sdqwer\nByte-Range: 1-17/17\nStatus: 000 200 OK\n",
        "-------dkei38sd$\n",
    ));
    let mut decoder = Decoder::new();
    let Ok(Some(Decoded {
        used,
        event:
            Event::Message {
                request,
                body: Some(body),
                flag: Flag::Last,
            },
    })) = decoder.decode(&octets)
    else {
        panic!("a whole SEND")
    };
    assert_eq!(request.method, Method::Send);
    assert_eq!(request.message_id, Some("12339sdqwer"));
    assert_eq!(request.range(), ByteRange::whole(16));
    assert_eq!(request.content_type, Some("text/plain"));
    assert_eq!(
        request.to_path.first(),
        "msrp://bob.example.org:8888/9di4ea;tcp"
    );
    assert_eq!(request.from_path.count(), 1);
    assert_eq!(body, b"Good day, I am Al");
    let rest = &octets[used..];
    let Ok(Some(Decoded {
        used,
        event: Event::Response(response),
    })) = decoder.decode(rest)
    else {
        panic!("a response")
    };
    assert_eq!((response.code, response.comment), (200, "OK"));
    assert_eq!(
        response.from_path().map(|path| path.last()),
        Some("msrp://alice.example.com:7777/iau39;tcp")
    );
    let Ok(Some(Decoded {
        event:
            Event::Message {
                request,
                body: None,
                ..
            },
        ..
    })) = decoder.decode(&rest[used..])
    else {
        panic!("a REPORT without body")
    };
    assert_eq!(request.method, Method::Report);
    assert_eq!(
        request.status,
        Some(Status {
            namespace: 0,
            code: 200,
            comment: "OK"
        })
    );
}

#[test]
fn a_nickname_as_in_rfc7701_9() {
    for (written, name) in [
        ("\"Al the \\\"great\\\"\"", Ok("Al the \"great\"")),
        ("Al", Ok("Al")),
        ("\"\"", Ok("")),
        ("\"Al", Err(NicknameError::Malformed)),
        ("A\"l", Err(NicknameError::Malformed)),
        ("\"A\\l\"", Err(NicknameError::Malformed)),
    ] {
        let octets = message(
            "d93kswow NICKNAME",
            &format!("Use-Nickname: {written}\n"),
            "-------d93kswow$\n",
        );
        let Ok(Some(Decoded {
            event: Event::Message { request, .. },
            ..
        })) = Decoder::new().decode(&octets)
        else {
            panic!("a NICKNAME")
        };
        assert_eq!(request.method, Method::Nickname);
        let decoded = request.use_nickname.unwrap().decode();
        assert_eq!(decoded.as_deref(), name.as_deref(), "{written}");
    }
}

#[test]
fn g60_nickname_length() {
    let longest = "x".repeat(MAX_NICKNAME);
    assert!(UseNickname::new(&longest).decode().is_ok());
    let longer = "x".repeat(MAX_NICKNAME + 1);
    assert_eq!(
        UseNickname::new(&longer).decode(),
        Err(NicknameError::TooLong)
    );
}

#[test]
fn c03_other_hyphens_are_data() {
    let data = "\n-------other$\n\r\n-------a786hjs2!\r\n-------a786hjs2";
    let mut octets = message("a786hjs2 SEND", "Content-Type: a/b\n", "\n");
    octets.extend_from_slice(data.as_bytes());
    octets.extend_from_slice(b"\r\n-------a786hjs2+\r\n");
    for seen in [whole(&octets), one_by_one(&octets)] {
        assert_eq!(body_of(&seen[0]), (data.as_bytes(), Some(Flag::More)));
    }
}

#[test]
fn c04_own_end_line_in_a_body_is_found() {
    let id = TransactionId::new("a786hjs2").unwrap();
    assert!(contains_end_line(b"x-------a786hjs2$", &id));
    assert!(!contains_end_line(
        b"a786hjs2 ------a786hjs2 -------a786hjs",
        &id
    ));
}

#[test]
fn c05_no_body_is_not_an_empty_body() {
    let none = whole(&message(
        "a786 SEND",
        "Message-ID: m123\n",
        "-------a786$\n",
    ));
    assert!(matches!(&none[..], [Seen::Request { body: None, .. }]));
    for rest in ["\n\n-------a786$\n", "\n-------a786$\n"] {
        let octets = message("a786 SEND", "Content-Type: text/plain\n", rest);
        for seen in [whole(&octets), one_by_one(&octets)] {
            assert_eq!(body_of(&seen[0]), (&b""[..], Some(Flag::Last)), "{rest:?}");
        }
    }
}

#[test]
fn c07_other_bodies_are_bounded() {
    for (length, fits) in [(MAX_NON_SEND_BODY, true), (MAX_NON_SEND_BODY + 1, false)] {
        let body = "x".repeat(length);
        let mut octets = message(
            "a786 REPORT",
            "Content-Type: text/plain\n",
            &format!("\n{body}\n-------a786$\n"),
        );
        octets.extend(message("b786 200 OK", "", "-------b786$\n"));
        for seen in [whole(&octets), one_by_one(&octets)] {
            assert_eq!(seen.len(), 2);
            let refused = Seen::Malformed("a786".into(), HeadError::BodyTooLarge);
            assert_eq!(seen[0] == refused, !fits);
        }
    }
}

#[test]
fn c08_unknown_methods_and_headers_are_read() {
    let seen = whole(&message("a786 DANCE", "X-Steps: 7\n", "-------a786$\n"));
    assert!(matches!(&seen[..], [Seen::Request { head, .. }] if head.contains("DANCE")));
}

#[test]
fn c10_bodies_are_opaque() {
    let data: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let mut octets = message("a786 SEND", "Content-Type: a/b\n", "\n");
    octets.extend_from_slice(&data);
    octets.extend_from_slice(b"\r\n-------a786#\r\n");
    assert_eq!(body_of(&whole(&octets)[0]), (&data[..], Some(Flag::Abort)));
}

#[test]
fn c11_framed_but_unparseable_goes_on() {
    use HeadError as E;
    for (start, headers, error) in [
        ("a786 SEND", "Byte-Range: 1-x/3\n", E::ByteRange),
        ("a786 SEND", "Byte-Range: +1-2/3\n", E::ByteRange),
        ("a786 SEND", "Message-ID: a b\n", E::MessageId),
        ("a786 SEND", "Success-Report: perhaps\n", E::Report),
        ("a786 SEND", "Failure-Report: maybe\n", E::Report),
        ("a786 REPORT", "Status: 000 2000\n", E::Status),
        ("a786 SEND", "no colon\n", E::Header),
        ("a786 SEND", "X: a\rb\n", E::Header),
        (
            "a786 SEND",
            "Message-ID: m123\nmessage-id: m123\n",
            E::Repeated,
        ),
        ("a786 SEND", "To-Path: msrp://h:1/s;tcp\n", E::Repeated),
        ("a786 SEND now", "", E::StartLine),
        ("a78 SEND", "", E::TransactionId),
    ] {
        let tid = start.split(' ').next().unwrap();
        for body in ["", "\nbody\n"] {
            let mut octets = message(start, headers, &format!("{body}-------{tid}$\n"));
            octets.extend(message("b786 200 OK", "", "-------b786$\n"));
            let expected = [
                Seen::Malformed(tid.into(), error),
                Seen::Response("b786".into(), 200, "OK".into()),
            ];
            assert_eq!(whole(&octets), expected, "{start} {headers}");
            assert_eq!(one_by_one(&octets), expected, "{start} {headers}");
        }
    }
}

#[test]
fn c11_what_a_400_needs() {
    let octets = message(
        "a786 SEND",
        "Byte-Range: x\nFailure-Report: no\n",
        "\nx\n-------a786$\n",
    );
    let Ok(Some(Decoded {
        event: Event::Malformed(malformed),
        ..
    })) = Decoder::new().decode(&octets)
    else {
        panic!("malformed")
    };
    assert_eq!(malformed.failure_report, FailureReport::No);
    assert_eq!(
        malformed.from_path.map(|path| path.first()),
        Some("msrp://alice.example.com:7777/iau39;tcp")
    );
    let mut octets = message("a786 SEND", "", "");
    octets.extend_from_slice(b"X: \xff\r\n-------a786$\r\n");
    let Ok(Some(Decoded {
        event: Event::Malformed(malformed),
        ..
    })) = Decoder::new().decode(&octets)
    else {
        panic!("malformed")
    };
    assert_eq!(malformed.error, HeadError::Encoding);
    assert!(malformed.from_path.is_some());
}

#[test]
fn c11_garbage_is_fatal() {
    for garbage in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"MSRP\r\n",
        b"MSRP \r\n",
        b"MSRP a786\r\n",
        b"MSRP a786 20 OK\r\n",
        b"MSRP a786 S\xffND\r\n",
    ] {
        assert_eq!(whole(garbage), [Seen::Lost(DecodeError::StartLine)]);
        assert_eq!(one_by_one(garbage), [Seen::Lost(DecodeError::StartLine)]);
    }
}

#[test]
fn heads_are_bounded() {
    let endless = format!("MSRP a786 SEND\r\nX: {}", "x".repeat(2 * MAX_HEAD));
    let many = format!("MSRP a786 SEND\r\n{}", "X: y\r\n".repeat(MAX_HEAD));
    let start = format!("MSRP a786 {}", "x".repeat(2 * MAX_HEAD));
    let nonsense = format!("MSRP !! {}\r\n", "x".repeat(2 * MAX_HEAD));
    for text in [endless, many, start, nonsense] {
        let lost = [Seen::Lost(DecodeError::HeadTooLarge)];
        assert_eq!(whole(text.as_bytes()), lost);
        assert_eq!(one_by_one(text.as_bytes()), lost);
    }
}

#[test]
fn deployed_clients_are_understood() {
    let octets = crlf(&format!(
        "\n\nMSRP a786 SEND\n{}X-Odd:nospace\nBYTE-RANGE: 0-0/0\nfailure-report: Partial\n-------a786$\n\
         MSRP b786 200\n{PATHS}\n-------b786$\n\n",
        PATHS.replace("To-Path", "to-path"),
    ));
    let seen = one_by_one(&octets);
    assert_eq!(seen, whole(&octets));
    assert!(matches!(&seen[0], Seen::Request { head, body: None, .. }
        if head.contains("failure_report: Partial") && head.contains("start: 0")));
    assert_eq!(seen[1], Seen::Response("b786".into(), 200, String::new()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_octets_never_panic(octets: Vec<u8>, prefix in "(MSRP [a-z0-9 -]{0,12}(\r\n)?)?") {
        let mut input = prefix.into_bytes();
        input.extend(octets);
        prop_assert_eq!(whole(&input), one_by_one(&input));
    }

    #[test]
    fn broken_messages_decode_alike_however_cut(
        place in 0usize..400,
        octet: u8,
        cut in 1usize..60,
    ) {
        let mut octets = message(
            "a786 SEND",
            "Message-ID: m123\nByte-Range: 1-5/5\nContent-Type: text/plain\n",
            "\nhello\n-------a786$\n",
        );
        octets.extend(message("b786 200 OK", "", "-------b786$\n"));
        let place = place % octets.len();
        octets[place] = octet;
        let mut run = Run::default();
        for piece in octets.chunks(cut) {
            if !run.feed(piece) {
                break;
            }
        }
        prop_assert_eq!(run.seen, whole(&octets));
    }

    #[test]
    fn any_cut_gives_the_same_events(
        bodies in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "(\r\n|-------|a786|[$]|x){0,30}".prop_map(String::into_bytes),
            ],
            1..5,
        ),
        cuts in prop::collection::vec(1usize..90, 1..40),
    ) {
        let id = TransactionId::new("a786").unwrap();
        let mut octets = Vec::new();
        let mut sent = Vec::new();
        for body in bodies {
            if contains_end_line(&body, &id) {
                continue;
            }
            HeadWriter::request(&mut octets, &id, Method::Send, "msrp://h:1/a;tcp", "msrp://h:2/b;tcp")
                .message_id("m123")
                .byte_range(ByteRange::whole(body.len() as u64))
                .body("a/b");
            octets.extend_from_slice(&body);
            end_line_after_body(&mut octets, &id, Flag::Last);
            sent.push(body);
        }
        let mut run = Run::default();
        let (mut rest, mut cuts) = (&octets[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            prop_assert!(run.feed(piece));
            rest = tail;
        }
        prop_assert!(run.held.is_empty());
        prop_assert_eq!(&run.seen, &whole(&octets));
        let read: Vec<_> = run.seen.iter().map(|seen| body_of(seen).0.to_vec()).collect();
        prop_assert_eq!(read, sent);
    }

    #[test]
    fn what_is_written_is_read(
        method in "[A-Z]{1,10}",
        id in "[a-zA-Z0-9][a-zA-Z0-9.+%=-]{3,31}",
        start: u64, end: Option<u64>, total: Option<u64>,
        success: bool,
        report in prop_oneof![Just(FailureReport::Yes), Just(FailureReport::No), Just(FailureReport::Partial)],
        code in 100u16..1000,
        comment in "([!-~]([ -~]{0,20}[!-~])?)?",
        nickname in "[^\\p{Cc}]{0,60}",
    ) {
        let transaction = TransactionId::new(&id).unwrap();
        let (to, from) = ("msrp://h:1/a;tcp msrp://h:3/c;tcp", "msrp://h:2/b;tcp");
        let range = ByteRange { start, end, total };
        let status = Status { namespace: 0, code, comment: &comment };
        let mut octets = Vec::new();
        HeadWriter::request(&mut octets, &transaction, Method::from_token(&method), to, from)
            .message_id(&id)
            .byte_range(range)
            .success_report(success)
            .failure_report(report)
            .status(status)
            .use_nickname(&nickname)
            .end(Flag::Last);
        let first = octets.len();
        HeadWriter::response(&mut octets, &transaction, code, &comment, to, from).end(Flag::Last);
        let mut decoder = Decoder::new();
        let decoded = decoder.decode(&octets).unwrap().unwrap();
        let Event::Message { request, body: None, flag: Flag::Last } = decoded.event else {
            panic!("{:?}", decoded.event)
        };
        prop_assert_eq!(decoded.used, first);
        prop_assert_eq!(request.transaction, transaction);
        prop_assert_eq!(request.method.as_str(), &method);
        prop_assert_eq!((request.to_path.as_str(), request.from_path.as_str()), (to, from));
        prop_assert_eq!(request.message_id, Some(&*id));
        prop_assert_eq!(request.byte_range, Some(range));
        prop_assert_eq!(request.success_report, success);
        prop_assert_eq!(request.failure_report, report);
        prop_assert_eq!(request.status, Some(status));
        prop_assert_eq!(request.use_nickname.unwrap().decode().unwrap(), nickname);
        let Event::Response(response) = decoder.decode(&octets[first..]).unwrap().unwrap().event else {
            panic!("a response")
        };
        prop_assert_eq!((response.code, response.comment), (code, &*comment));
        prop_assert_eq!(response.to_path().map(|path| path.as_str()), Some(to));
    }
}
