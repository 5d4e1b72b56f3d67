use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn parse(text: &str) -> Message<'_> {
    Message::parse(text.as_bytes()).unwrap().unwrap()
}

#[test]
fn p03_three_blocks() {
    let text = "From: \"Al \\\"Ice\\\" <x>\" <sip:alice@example.com>\r\n\
                To: <sip:lobby@example.com>\r\n\
                DateTime: 2026-11-23T10:00:00Z\r\n\
                \r\n\
                Content-type: text/plain; charset=utf8\r\n\
                Content-Disposition: render\r\n\
                \r\nHello\r\n\r\nall";
    let message = parse(text);
    assert_eq!(message.from.uri, "sip:alice@example.com");
    assert_eq!(message.from.name(), "Al \"Ice\" <x>");
    assert_eq!(
        message.to,
        [Address {
            display: "",
            uri: "sip:lobby@example.com"
        }]
    );
    assert_eq!(message.content_type, "text/plain; charset=utf8");
    assert_eq!(message.media_type(), "text/plain");
    assert_eq!(message.mime_header("content-disposition"), Some("render"));
    assert_eq!(message.header("DateTime"), Some("2026-11-23T10:00:00Z"));
    assert_eq!(&text[message.content..], "Hello\r\n\r\nall");
}

#[test]
fn rfc4975_11_4_part_without_blank_line() {
    let text = "To: Bob <sip:bob@example.com>\r\nFrom: Alice <sip:alice@example.com>\r\n\
                DateTime: 2026-05-15T15:02:31-03:00\r\nContent-Type: text/plain\r\n\r\nABCD";
    let message = parse(text);
    assert_eq!(message.from.name(), "Alice");
    assert_eq!(message.content_type, "text/plain");
    assert_eq!(&text[message.content..], "ABCD");
    assert_eq!(message.headers().count(), 3);
}

#[test]
fn bare_line_feeds_and_unquoted_names() {
    let text = "From: Al Ice <sip:alice@example.com>\nTo: sip:lobby@example.com\n\n\
                Content-Type: text/plain\n\nhi";
    let message = parse(text);
    assert_eq!(message.from.name(), "Al Ice");
    assert_eq!(message.to[0].uri, "sip:lobby@example.com");
    assert_eq!(&text[message.content..], "hi");
}

#[test]
fn p01_cpim_names_are_case_exact() {
    let text = b"from: <sip:a@b>\r\nTo: <sip:c@d>\r\n\r\nContent-Type: a/b\r\n\r\n";
    assert_eq!(Message::parse(text), Err(CpimError::Address));
}

#[test]
fn p02_escapes() {
    assert_eq!(
        unescaped(r#"a\tb\nc\\d\"e\u00e9\ud83d\ude00\q"#),
        "a\tb\nc\\d\"e\u{e9}\u{1f600}q"
    );
    assert_eq!(unescaped(r"\ud83dx"), "\u{fffd}x");
    assert_eq!(unescaped(r"\u12"), "u12");
    assert_eq!(unescaped("\\"), "\\");
}

#[test]
fn p04_prefix_is_free() {
    let text = "From: <sip:a@b>\r\nTo: <sip:c@d>\r\nNS: x <urn:ietf:params:imdn>\r\n\
                x.Message-ID: 34jk\r\nNS: x <urn:other>\r\nx.Disposition: none\r\n\r\n\
                Content-Type: text/plain\r\n\r\n";
    let message = parse(text);
    assert_eq!(
        message.header_in("urn:ietf:params:imdn", "Message-ID"),
        Some("34jk")
    );
    assert_eq!(
        message.header_in("urn:ietf:params:imdn", "Disposition"),
        None,
        "the prefix was given away"
    );
    assert_eq!(message.header_in("urn:none", "Message-ID"), None);
}

#[test]
fn p06_from_and_to_are_needed() {
    for (head, error) in [
        ("To: <sip:c@d>\r\n", CpimError::Address),
        ("From: <sip:c@d>\r\n", CpimError::Address),
        (
            "From: <sip:a@b>\r\nFrom: <sip:a@b>\r\nTo: <sip:c@d>\r\n",
            CpimError::Address,
        ),
        ("From: <>\r\nTo: <sip:c@d>\r\n", CpimError::Address),
        ("From <sip:a@b>\r\nTo: <sip:c@d>\r\n", CpimError::Header),
    ] {
        let text = format!("{head}\r\nContent-Type: a/b\r\n\r\n");
        assert_eq!(Message::parse(text.as_bytes()), Err(error), "{head}");
    }
    let many = "To: <sip:c@d>\r\n".repeat(MAX_RECIPIENTS + 1);
    let text = format!("From: <sip:a@b>\r\n{many}\r\nContent-Type: a/b\r\n\r\n");
    assert_eq!(Message::parse(text.as_bytes()), Err(CpimError::Recipients));
}

#[test]
fn p06_headers_split_over_chunks() {
    let text = b"From: <sip:a@b>\r\nTo: <sip:c@d>\r\n\r\nContent-Type: text/plain\r\n\r\nx";
    for cut in 0..text.len() - 1 {
        assert_eq!(Message::parse(&text[..cut]), Ok(None), "cut at {cut}");
    }
    assert!(Message::parse(&text[..text.len() - 1]).unwrap().is_some());
}

#[test]
fn headers_are_bounded() {
    let mut text = b"From: <sip:a@b>\r\nSubject: ".to_vec();
    text.resize(MAX_HEAD + 1, b'x');
    assert_eq!(Message::parse(&text), Err(CpimError::TooLarge));
    let lines = "Subject: x\r\n".repeat(MAX_HEAD / 10);
    assert_eq!(Message::parse(lines.as_bytes()), Err(CpimError::TooLarge));
}

#[test]
fn composed_text() {
    let octets = compose(&Composition {
        from: ("Lobby", "sip:lobby@example.com"),
        to: ("", "sip:alice@example.com"),
        date_time: Some(Moment::from_epoch(Duration::from_secs(1_709_210_096))),
        headers: &[
            ("NS", "agp <urn:ag-projects:xml:ns:cpim>"),
            ("agp.Message-Type", "status"),
        ],
        content_type: "text/plain",
        content: b"Welcome",
    });
    insta::assert_snapshot!(String::from_utf8(octets).unwrap().replace('\r', ""), @r#"
    From: "Lobby" <sip:lobby@example.com>
    To: <sip:alice@example.com>
    DateTime: 2024-02-29T12:34:56Z
    NS: agp <urn:ag-projects:xml:ns:cpim>
    agp.Message-Type: status

    Content-Type: text/plain

    Welcome
    "#);
}

#[test]
fn date_times() {
    let at = |seconds| date_time(Moment::from_epoch(Duration::from_secs(seconds)));
    assert_eq!(at(0), "1970-01-01T00:00:00Z");
    assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
    assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
    assert_eq!(at(4_102_444_800), "2100-01-01T00:00:00Z");
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(octets: Vec<u8>) {
        let _ = Message::parse(&octets);
    }

    #[test]
    fn near_messages_never_panic(text in "(From|To|NS|Content-Type|x\\.y)?[:\r\n <>\"\\\\ua0-9é]{0,40}\r?\n\r?\n.{0,9}\n\n") {
        if let Ok(Some(message)) = Message::parse(text.as_bytes()) {
            let _ = (message.from.name(), message.header_in("u", "y"), message.media_type());
        }
    }

    #[test]
    fn what_is_composed_is_read(
        name in "[^\u{fffd}]{0,20}",
        content: Vec<u8>,
        subject in "[ -~]{0,20}",
    ) {
        let octets = compose(&Composition {
            from: (&name, "sip:alice@example.com"),
            to: ("Lobby", "sip:lobby@example.com"),
            date_time: None,
            headers: &[("Subject", &subject)],
            content_type: "text/plain;charset=UTF-8",
            content: &content,
        });
        let message = Message::parse(&octets).unwrap().unwrap();
        prop_assert_eq!(message.from.name(), name);
        prop_assert_eq!(message.from.uri, "sip:alice@example.com");
        prop_assert_eq!(message.to.len(), 1);
        prop_assert_eq!(message.header("Subject"), Some(subject.trim()));
        prop_assert_eq!(message.media_type(), "text/plain");
        prop_assert_eq!(&octets[message.content..], &content[..]);
    }
}
