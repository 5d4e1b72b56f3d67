//! Tests of whole messages. Several follow the torture tests of RFC 4475 (each names its section);
//! the messages are our own.

use super::*;
use proptest::prelude::*;

fn request(text: &str) -> Request {
    match Message::parse(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text}: {other:?}"),
    }
}

fn refused(text: &str) -> ParseError {
    match Message::parse(text.as_bytes()) {
        Err(error) => error,
        Ok(message) => panic!("{text}: {message:?}"),
    }
}

fn header<T: std::str::FromStr>(headers: &Headers, name: &str) -> T {
    let value = headers.first(name).unwrap_or_else(|| panic!("no {name}"));
    value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
}

const INVITE: &str = "INVITE sip:dev@conf.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK1\r\n\
    From: \"Al\" <sip:al@example.com>;tag=1\r\n\
    To: <sip:dev@conf.example.com>\r\n\
    Call-ID: x@a\r\n\
    CSeq: 1 INVITE\r\n\
    Content-Length: 4\r\n\
    \r\n\
    v=0\n";

#[test]
fn what_was_read_is_written() {
    let message = Message::parse(INVITE.as_bytes()).unwrap();
    assert_eq!(message.write(), INVITE.as_bytes());
    assert_eq!(Message::frame(INVITE.as_bytes()), Ok(Some(INVITE.len())));
    let lf_only = INVITE.replace("\r\n", "\n");
    assert_eq!(Message::parse(lf_only.as_bytes()), Ok(message));
}

#[test]
fn responses_are_read_and_written() {
    let text = "SIP/2.0 488 Not Acceptable  Here\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    let Ok(Message::Response(response)) = Message::parse(text.as_bytes()) else {
        panic!("no response");
    };
    assert_eq!(response.code, 488);
    assert_eq!(response.reason, "Not Acceptable  Here");
    assert_eq!(response.write(), text.as_bytes());
}

#[test]
fn fragments_show_their_status() {
    let status = |text: &str| Response::status_of_fragment(text.as_bytes());
    assert_eq!(status("SIP/2.0 100 Trying"), Some((100, "Trying".into())));
    assert_eq!(
        status("SIP/2.0 486 Busy\r\nX: y\r\n"),
        Some((486, "Busy".into()))
    );
    assert_eq!(status("\r\nsip/2.0 603\n"), Some((603, String::new())));
    assert_eq!(status("BYE sip:a@b SIP/2.0"), None);
    assert_eq!(status(""), None);
}

#[test]
fn f14_fragments_are_a_status_line_and_no_more() {
    assert_eq!(Response::fragment(200, "OK"), "SIP/2.0 200 OK\r\n");
    let hostile = Response::fragment(486, "Busy\r\nContact: <sip:a@b>");
    assert_eq!(hostile, "SIP/2.0 486 Busy  Contact: <sip:a@b>\r\n");
    let read = Response::status_of_fragment(&Response::fragment(100, "Trying"));
    assert_eq!(read, Some((100, "Trying".into())));
}

#[test]
fn foreign_text_starts_no_header_when_written() {
    let mut hostile = request(INVITE);
    hostile.uri = "sip:a@b SIP/2.0\r\nX: y".into();
    hostile.headers.push("Subject", "hi\r\nRoute: <sip:evil>");
    hostile.headers.push("l", "9999");
    let again = request(std::str::from_utf8(&hostile.write()).unwrap());
    assert_eq!(again.headers.first("Route"), None);
    assert_eq!(again.headers.first("X"), None);
    assert_eq!(
        again.headers.all("Content-Length").collect::<Vec<_>>(),
        ["4"]
    );
    let response = Response {
        code: 200,
        reason: "OK\r\nX: y".into(),
        headers: Headers::new(),
        body: Default::default(),
    };
    let text = String::from_utf8(response.write()).unwrap();
    assert_eq!(text, "SIP/2.0 200 OK  X: y\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn torture_3_1_1_1_folding_odd_case_and_white_space() {
    let read = request(
        "INVITE sip:v@chair.example.com;unknownparam SIP/2.0\r\nTO :\r\n sip:v@chair.example.com ;  \
         tag    = 191n\r\nfrom   : \"J Rosenberg \\\\\\\"\"       <sip:jd@example.com>\r\n  ;\r\n  \
         tag = 98asjd8\r\nMaX-fOrWaRdS: 0068\r\nContent-Length   : 3\r\ncseq: 0009\r\n  INVITE\r\n\
         Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390\r\ns :\r\n\
         NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
         UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nv:  SIP  / 2.0  / TCP     s.example.com   ;\r\n  \
         branch  =   z9  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9h\r\n\
         m:\"Quoted string \\\"\\\"\" <sip:jd@example.com> ; newparam =\r\n      newvalue ;\r\n  \
         secondparam ; q = 0.33\r\n\r\nv=0",
    );
    let to: NameAddr = header(&read.headers, "To");
    assert_eq!(
        (to.uri.as_str(), to.tag()),
        ("sip:v@chair.example.com", Some("191n"))
    );
    let from: NameAddr = header(&read.headers, "f");
    assert_eq!(
        (from.display.as_str(), from.tag()),
        ("J Rosenberg \\\"", Some("98asjd8"))
    );
    let contact: NameAddr = header(&read.headers, "Contact");
    assert_eq!(contact.display, "Quoted string \"\"");
    assert_eq!(contact.params.value("newparam"), Some("newvalue"));
    assert!(contact.params.has("secondparam"));
    assert_eq!(header::<CSeq>(&read.headers, "CSeq").number, 9);
    assert_eq!(read.headers.elements("Via").len(), 3);
    assert_eq!(read.headers.first("Subject"), Some(""));
    assert_eq!(
        read.headers.first("newfangledheader"),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(&read.body[..], b"v=0");
}

#[test]
fn torture_3_1_1_2_wide_range_of_characters() {
    let read = request(
        "!Method09_*+`.%d'~ sip:1_u~(to-be!s)&isn't+it$/c?,/;;*:&it+has=1,w!*pas$w~d(d't)@example.com SIP/2.0\r\n\
         To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_u~?,/;;*@example.com>\r\n\
         From: token1~` token2'+_ token3*%!.- <sip:m@example.com>;fromParam''~+*_!.-%=\"\u{440}\u{430}\";tag=_t~1'+`*%!-.\r\n\
         Call-ID: i.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n\
         CSeq: 139122385 !Method09_*+`.%d'~\r\n\
         extensionHeader-!.%*+_`'~:\u{feff}\u{5927}\r\n\
         Content-Length: 0\r\n\r\n",
    );
    assert_eq!(read.method, Method::Other("!Method09_*+`.%d'~".into()));
    let uri: Uri = read.uri.parse().unwrap();
    assert_eq!(uri.host, "example.com");
    assert_eq!(uri.to_string(), read.uri);
    let to: NameAddr = header(&read.headers, "To");
    // NUL never reaches a host that uses C strings.
    assert_eq!(to.display, "BEL:\u{7} NUL:  DEL:\u{7f}");
    let from: NameAddr = header(&read.headers, "From");
    assert_eq!(from.display, "token1~` token2'+_ token3*%!.-");
    assert_eq!(from.tag(), Some("_t~1'+`*%!-."));
    assert_eq!(from.params.value("fromparam''~+*_!.-%"), Some("ра"));
    assert!(read.headers.first("Call-ID").unwrap().ends_with("\"][?}{"));
    assert!(read.headers.first("extensionHeader-!.%*+_`'~").is_some());
}

#[test]
fn torture_3_1_1_5_percent_is_no_escape_outside_uris() {
    let read = request(
        "RE%47IST%45R sip:r.example.com SIP/2.0\r\nTo: \"%Z%45\" <sip:r@example.com>\r\n\
         Contact: <sip:1@h>\r\nC%6Fntact: <sip:2@h>\r\nContact: <sip:3@h>\r\nl: 0\r\n\r\n",
    );
    assert_ne!(read.method, Method::Register);
    assert_eq!(header::<NameAddr>(&read.headers, "t").display, "%Z%45");
    assert_eq!(read.headers.elements("Contact"), ["<sip:1@h>", "<sip:3@h>"]);
}

#[test]
fn torture_3_1_1_6_no_white_space_before_the_bracket() {
    let read: NameAddr = "caller<sip:caller@example.com>;tag=323".parse().unwrap();
    assert_eq!((read.display.as_str(), read.tag()), ("caller", Some("323")));
}

#[test]
fn torture_3_1_1_7_long_values() {
    let long = "amazinglylong".repeat(40);
    let read = request(&format!(
        "INVITE sip:u@h SIP/2.0\r\nTo: \"{long}\" <sip:{long}@h>\r\nUnknown-{long}: {long}\r\n{}l: 0\r\n\r\n",
        format!("v: SIP/2.0/TCP {long}.example.com\r\n").repeat(40),
    ));
    assert_eq!(header::<NameAddr>(&read.headers, "To").display, long);
    assert_eq!(read.headers.elements("Via").len(), 40);
}

#[test]
fn torture_3_1_1_8_extra_trailing_octets() {
    let two = format!("{INVITE}{INVITE}");
    assert_eq!(&request(&two).body[..], b"v=0\n");
    assert_eq!(Message::frame(two.as_bytes()), Ok(Some(INVITE.len())));
}

#[test]
fn torture_3_1_1_12_and_13_reason_phrases() {
    let reason = |line: &str| match Message::parse(format!("{line}\r\n\r\n").as_bytes()) {
        Ok(Message::Response(response)) => response.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason("SIP/2.0 200 = 2**3 * 5**2 но 99"),
        "= 2**3 * 5**2 но 99"
    );
    assert_eq!(reason("SIP/2.0 100 "), "");
    assert_eq!(reason("SIP/2.0 100"), "");
}

#[test]
fn torture_3_1_2_2_and_3_3_9_content_length() {
    let with = |length: &str| INVITE.replace("Content-Length: 4", length);
    assert_eq!(
        refused(&with("Content-Length: 9999")),
        ParseError::Truncated
    );
    for length in [
        "l: -999",
        "l: +4",
        "l: 4 4",
        "l:",
        "l: 99999999999999999999",
        "l: 4\r\nl: 5",
    ] {
        assert_eq!(
            refused(&with(length)),
            ParseError::ContentLength,
            "{length}"
        );
        let framed = Message::frame(with(length).as_bytes());
        assert_eq!(framed, Err(ParseError::ContentLength), "{length}");
    }
    assert_eq!(
        &request(&with("l: 4\r\nContent-Length: 4")).body[..],
        b"v=0\n"
    );
}

#[test]
fn torture_3_1_2_4_overlarge_values() {
    assert!("36893488147419103232 REGISTER".parse::<CSeq>().is_err());
    assert!("0 INVITE".parse::<CSeq>().is_ok());
}

#[test]
fn torture_3_1_2_6_13_to_15_addresses() {
    let parse = |text: &str| text.parse::<NameAddr>();
    assert!(parse("\"Mr. J. User <sip:j.user@example.com>").is_err());
    let spaced = parse("\"Watson, Thomas\" < sip:t.watson@example.org >").unwrap();
    assert_eq!(spaced.uri, "sip:t.watson@example.org");
    let unquoted = parse("Bell, Alexander <sip:a.g.bell@example.com>;tag=43").unwrap();
    assert_eq!(
        unquoted.to_string(),
        "\"Bell, Alexander\" <sip:a.g.bell@example.com>;tag=43"
    );
    let bare = parse("sip:user@example.com?Route=%3Csip:sip.example.com%3E").unwrap();
    assert_eq!(
        bare.to_string(),
        "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"
    );
}

#[test]
fn torture_3_1_2_7_to_10_and_16_request_lines() {
    let line = |line: &str| INVITE.replace("INVITE sip:dev@conf.example.com SIP/2.0", line);
    for bad in [
        "INVITE <sip:user@example.com> SIP/2.0",
        "INVITE sip:user@example.com; lr SIP/2.0",
        "INVITE sip:user@example.com SIP/7.0",
        "INVITE sip:user@example.com",
        "INVITE user SIP/2.0",
        "INV(TE sip:user@example.com SIP/2.0",
    ] {
        assert_eq!(refused(&line(bad)), ParseError::StartLine, "{bad}");
    }
    let loose = request(&line("INVITE  sip:user@example.com  sip/2.0  "));
    assert_eq!(loose.uri, "sip:user@example.com");
}

#[test]
fn torture_3_1_2_19_overlarge_response_code() {
    for code in ["4294967301", "2OO", "20", "099", "700", "+20"] {
        let text = format!("SIP/2.0 {code} better not\r\n\r\n");
        assert_eq!(refused(&text), ParseError::StartLine, "{code}");
    }
}

#[test]
fn torture_3_3_2_unknown_schemes_are_read_as_text() {
    let read = request(&INVITE.replace(
        "sip:dev@conf.example.com SIP",
        "nobodyKnowsThis:totally SIP",
    ));
    assert_eq!(read.uri.parse::<Uri>(), Err(UriError::Scheme));
}

#[test]
fn torture_3_4_1_no_content_length_in_a_datagram() {
    let without = INVITE.replace("Content-Length: 4\r\n", "");
    assert_eq!(&request(&without).body[..], b"v=0\n");
    assert_eq!(
        Message::frame(without.as_bytes()),
        Err(ParseError::ContentLength)
    );
}

#[test]
fn header_blocks_are_well_formed_or_refused() {
    let block = |block: &str| refused(&format!("BYE sip:a@b SIP/2.0\r\n{block}"));
    assert_eq!(block(" folded: first\r\n\r\n"), ParseError::Header);
    assert_eq!(block("no colon\r\n\r\n"), ParseError::Header);
    assert_eq!(block(": no name\r\n\r\n"), ParseError::Header);
    assert_eq!(block("To: x\r\n"), ParseError::Truncated);
    assert_eq!(refused(""), ParseError::Truncated);
    assert_eq!(refused("\r\n\r\n"), ParseError::Truncated);
}

#[test]
fn sizes_are_bounded() {
    let parse = |block: String| {
        Message::parse(format!("BYE sip:a@b SIP/2.0\r\n{block}l: 0\r\n\r\n").as_bytes()).map(|_| ())
    };
    assert_eq!(parse("X: y\r\n".repeat(MAX_HEADERS - 1)), Ok(()));
    assert_eq!(
        parse("X: y\r\n".repeat(MAX_HEADERS)),
        Err(ParseError::TooLarge)
    );
    assert_eq!(
        parse(format!("X: {}\r\n", "y".repeat(MAX_LINE))),
        Err(ParseError::TooLarge)
    );
    assert_eq!(
        parse(format!("X: y\r\n{}", " z\r\n".repeat(MAX_LINE))),
        Err(ParseError::TooLarge)
    );
    let endless = "X: y\r\n".repeat(MAX_HEADER_BLOCK / 6 + 1);
    assert_eq!(
        Message::frame(endless.as_bytes()),
        Err(ParseError::TooLarge)
    );
    assert_eq!(
        Message::frame(&[b'x'; MAX_HEADER_BLOCK + 1]),
        Err(ParseError::TooLarge)
    );
    // As large, and whole; malformed, too: the kind does not depend on how it came.
    let whole = format!("BYE sip:a@b SIP/2.0\r\nno colon\r\n{endless}l: 0\r\n\r\n");
    assert_eq!(Message::frame(whole.as_bytes()), Err(ParseError::TooLarge));
    let huge = format!("BYE sip:a@b SIP/2.0\r\nl: {}\r\n\r\n", MAX_MESSAGE + 1);
    assert_eq!(Message::frame(huge.as_bytes()), Err(ParseError::TooLarge));
}

#[test]
fn streams_are_framed_across_any_cut() {
    let stream = format!("\r\n\r\n{INVITE}");
    for cut in 0..stream.len() {
        assert_eq!(Message::frame(&stream.as_bytes()[..cut]), Ok(None), "{cut}");
    }
    assert_eq!(Message::frame(stream.as_bytes()), Ok(Some(stream.len())));
    assert!(Message::parse(stream.as_bytes()).is_ok());
}

fn any_headers() -> impl Strategy<Value = Headers> {
    let pair = ("[A-Za-z][A-Za-z0-9-]{1,8}", "[!-~]([ -~é]{0,12}[!-~])?");
    proptest::collection::vec(pair, 0..6).prop_map(|pairs| {
        pairs.iter().fold(Headers::new(), |headers, (name, value)| {
            headers.with(name, value)
        })
    })
}

proptest! {
    #[test]
    fn requests_survive(
        method in "[A-Z]{3,9}", uri in "sip:[a-z]{1,5}@[a-z]{1,5}", headers in any_headers(),
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let written = Request { method: method.as_str().into(), uri, headers, body: body.into() };
        let octets = written.write();
        prop_assert_eq!(Message::frame(&octets), Ok(Some(octets.len())));
        let length = written.body.len().to_string();
        let expected = Request { headers: written.headers.clone().with("l", length), ..written };
        prop_assert_eq!(Message::parse(&octets), Ok(Message::Request(expected)));
    }

    #[test]
    fn responses_survive(code in 100u16..700, reason in "([!-~]([ -~é]{0,12}[!-~])?)?", headers in any_headers()) {
        let written = Response { code, reason, headers, body: Default::default() };
        let expected = Response { headers: written.headers.clone().with("l", "0"), ..written.clone() };
        prop_assert_eq!(Message::parse(&written.write()), Ok(Message::Response(expected)));
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::parse(&octets);
        let _ = Message::frame(&octets);
        let _ = Response::status_of_fragment(&octets);
    }

    #[test]
    fn damaged_messages_never_panic(at in 0..INVITE.len(), octet: u8, cut in 0..INVITE.len()) {
        let mut octets = INVITE.as_bytes().to_vec();
        octets[at] = octet;
        let _ = Message::parse(&octets);
        let framed = Message::frame(&octets);
        prop_assert!(!matches!(framed, Ok(Some(length)) if length > octets.len()));
        octets.truncate(cut);
        let _ = Message::parse(&octets);
        let _ = Message::frame(&octets);
    }
}
