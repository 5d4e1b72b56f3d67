//! Tests that reading inverts writing, and that documents are read as their authors meant them.

use super::*;
use crate::wire::sip::MAX_MESSAGE;
use proptest::collection::vec;
use proptest::prelude::*;

const SDP_TEXT: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";

fn headers(content_type: &str) -> Headers {
    Headers::new().with("Content-Type", content_type)
}

fn read(content_type: &str, body: &str) -> Result<Part, ReadError> {
    Part::read(
        headers(content_type),
        Bytes::copy_from_slice(body.as_bytes()),
    )
}

fn parts(content_type: &str, body: &str) -> Vec<Part> {
    match read(content_type, body).map(|part| part.content) {
        Ok(Content::Parts(parts)) => parts,
        other => panic!("{other:?}"),
    }
}

fn octets(part: &Part) -> &[u8] {
    match &part.content {
        Content::Octets(octets) => octets,
        Content::Parts(_) => panic!("{part:?}"),
    }
}

fn invite(content_type: &str, body: &str) -> Result<InviteBody, BodyError> {
    let headers = headers(content_type).with("Content-Length", body.len().to_string());
    InviteBody::read(&headers, &Bytes::copy_from_slice(body.as_bytes()))
}

/// A `multipart/mixed` of parts as (header lines, body).
fn mixed(parts: &[(&str, &str)]) -> String {
    let part = |(fields, body): &(&str, &str)| format!("--b\r\n{fields}\r\n\r\n{body}\r\n");
    parts.iter().map(part).collect::<String>() + "--b--\r\n"
}

const SDP_FIELDS: &str = "Content-Type: application/sdp";
const LIST_FIELDS: &str =
    "Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list";

#[test]
fn l01_the_body_of_rfc_5366() {
    let body = "\
--boundary1\r
Content-Type: application/sdp\r
\r
v=0\r
o=alice 2890844526 2890842807 IN IP4 atlanta.example.com\r
s=-\r
\r
--boundary1\r
Content-Type: application/resource-lists+xml\r
Content-Disposition: recipient-list\r
\r
<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r
<resource-lists/>\r
--boundary1--\r
";
    let said = invite("multipart/mixed;boundary=\"boundary1\"", body).unwrap();
    let sdp = said.sdp.unwrap();
    assert!(sdp.starts_with(b"v=0\r\n") && sdp.ends_with(b"s=-\r\n"));
    assert_eq!(said.lists.len(), 1);
    assert!(said.lists[0].ends_with(b"<resource-lists/>"));
}

#[test]
fn a_single_body_is_a_body_of_one_part() {
    let said = invite("Application/SDP", SDP_TEXT).unwrap();
    assert_eq!(said.sdp.as_deref(), Some(SDP_TEXT.as_bytes()));
    let list =
        headers("application/resource-lists+xml").with("Content-Disposition", "recipient-list");
    let said = InviteBody::read(&list, &Bytes::from_static(b"<x/>")).unwrap();
    assert_eq!((said.sdp, said.lists.len()), (None, 1));
    assert_eq!(invite("text/plain", "").unwrap(), InviteBody::default());
}

#[test]
fn l05_every_list_is_found() {
    let body = mixed(&[
        (LIST_FIELDS, "<a/>"),
        (SDP_FIELDS, SDP_TEXT),
        (LIST_FIELDS, "<b/>"),
    ]);
    let said = invite("multipart/mixed; boundary=b", &body).unwrap();
    assert_eq!(said.lists, ["<a/>", "<b/>"]);
}

#[test]
fn parts_that_must_be_understood_are_415_and_others_are_passed_over() {
    let with = |fields: &str| {
        let body = mixed(&[(SDP_FIELDS, SDP_TEXT), (fields, "x")]);
        invite("multipart/mixed;boundary=b", &body).map(|said| said.sdp.is_some())
    };
    for required in [
        "Content-Type: image/png",
        "Content-Type: image/png\r\nContent-Disposition: icon",
        "Content-Type: image/png\r\nContent-Disposition: icon;handling=required",
        "Content-Type: application/resource-lists+xml",
        "Content-Type: application/sdp\r\nContent-Disposition: early-session",
        "Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\
         Content-Transfer-Encoding: base64",
        "Content-Type: application/sdp\r\nContent-Encoding: gzip",
    ] {
        assert_eq!(with(required), Err(BodyError::Unsupported), "{required}");
    }
    for optional in [
        "Content-Type: image/png\r\nContent-Disposition: icon;handling=Optional",
        "c: image/png\r\nContent-Disposition: icon ; Handling = \"optional\"",
        "Content-Type: application/resource-lists+xml\r\n\
         Content-Disposition: recipient-list-history; handling=optional",
        "Content-Type: multipart/mixed;boundary=c\r\nContent-Disposition: x;handling=optional\
         \r\n\r\n--c\r\n\r\n--c--",
    ] {
        assert_eq!(with(optional), Ok(true), "{optional}");
    }
    assert_eq!(with(SDP_FIELDS), Err(BodyError::TwoDescriptions));
}

#[test]
fn what_the_caller_says_first_may_stand_beside_the_offer() {
    const CPIM: &str = "Content-Type: message/cpim";
    let said = |parts: &[(&str, &str)]| invite("multipart/mixed;boundary=b", &mixed(parts));
    let both = said(&[(SDP_FIELDS, SDP_TEXT), (CPIM, "From: <sip:a@b>")]).expect("a body");
    assert_eq!(both.message.as_deref(), Some(&b"From: <sip:a@b>"[..]));
    assert!(both.sdp.is_some());
    let empty = [
        (SDP_FIELDS, SDP_TEXT),
        ("Content-Type: text/plain;charset=UTF-8", " \r\n"),
    ];
    assert_eq!(said(&empty).expect("a body").message, None);
    for refused in [
        &[(CPIM, "x")][..],
        &[(SDP_FIELDS, SDP_TEXT), (CPIM, "x"), (CPIM, "y")],
        &[(SDP_FIELDS, SDP_TEXT), ("Content-Type: text/plain", "x")],
    ] {
        assert_eq!(said(refused), Err(BodyError::Unsupported), "{refused:?}");
    }
}

#[test]
fn half_of_an_optional_part_says_nothing() {
    let nested = "--c\r\nContent-Type: application/resource-lists+xml\r\n\
                  Content-Disposition: recipient-list\r\n\r\n<a/>\r\n--c\r\n\r\nx\r\n--c--";
    let fields =
        "Content-Type: multipart/mixed;boundary=c\r\nContent-Disposition: render;handling=optional";
    let body = mixed(&[(SDP_FIELDS, SDP_TEXT), (fields, nested)]);
    let said = invite("multipart/mixed;boundary=b", &body).unwrap();
    assert!(said.sdp.is_some() && said.lists.is_empty());
}

#[test]
fn the_last_alternative_that_is_understood_is_taken() {
    let nested = "--c\r\nContent-Type: application/sdp\r\n\r\nv=0 old\r\n\
                  --c\r\nContent-Type: application/sdp\r\n\r\nv=0 new\r\n\
                  --c\r\nContent-Type: application/x-newer\r\n\r\n?\r\n--c--\r\n";
    let fields = "Content-Type: multipart/alternative; boundary=\"c\"";
    let body = mixed(&[(fields, nested), (LIST_FIELDS, "<a/>")]);
    let said = invite("multipart/mixed;boundary=b", &body).unwrap();
    assert_eq!(said.sdp.as_deref(), Some(&b"v=0 new"[..]));
    assert_eq!(said.lists.len(), 1);
    let only = nested.replace("application/sdp", "text/html");
    let refused = invite("multipart/alternative;boundary=c", &only);
    assert_eq!(refused, Err(BodyError::Unsupported));
}

#[test]
fn preamble_epilogue_lf_and_padding_are_tolerated() {
    let body = "hello\n--b \t\nContent-Type: a/b\nContent-ID: <1@h>\n\n--bx\n --b\none\n\n--b\n\n\
                two\n--b\n--b\nX: no body\n--b--\t\nbye\n--b\n";
    let found = parts("multipart/mixed; boundary=b", body);
    assert_eq!(found.len(), 4);
    assert_eq!(octets(&found[0]), b"--bx\n --b\none\n");
    assert_eq!(found[0].content_id.as_deref(), Some("1@h"));
    assert_eq!(octets(&found[1]), b"two");
    assert_eq!(found[1].content_type.essence, "text/plain");
    assert_eq!((octets(&found[2]), found[2].headers.len()), (&b""[..], 0));
    assert_eq!(
        (octets(&found[3]), found[3].headers.first("X")),
        (&b""[..], Some("no body"))
    );
}

#[test]
fn malformed_bodies_are_refused() {
    let cases = [
        ("multipart/mixed", "--b--", ReadError::Boundary),
        (
            "multipart/mixed;boundary=\"\"",
            "--b--",
            ReadError::Boundary,
        ),
        (
            "multipart/mixed;boundary=\"a{\"",
            "--a{--",
            ReadError::Boundary,
        ),
        ("multipart/mixed;boundary=b", "", ReadError::Unfinished),
        (
            "multipart/mixed;boundary=b",
            "--b\r\n\r\nx\r\n",
            ReadError::Unfinished,
        ),
        (
            "multipart/mixed;boundary=b",
            "--b\r\n\r\nx\r\n--b-\r\n",
            ReadError::Unfinished,
        ),
        (
            "multipart/mixed;boundary=b",
            "--b\r\nno colon\r\n\r\nx\r\n--b--",
            ReadError::Header,
        ),
        (
            "multipart/mixed;boundary=b",
            "--b\r\n x: y\r\n\r\nx\r\n--b--",
            ReadError::Header,
        ),
    ];
    for (content_type, body, error) in cases {
        assert_eq!(
            read(content_type, body),
            Err(error),
            "{content_type} {body:?}"
        );
    }
    assert_eq!(
        invite("multipart/mixed;boundary=b", "--b\r\n"),
        Err(BodyError::Malformed(ReadError::Unfinished))
    );
}

#[test]
fn parts_levels_and_octets_are_bounded() {
    let many = "--b\r\n\r\n".repeat(MAX_PARTS - 1) + "--b--";
    assert_eq!(
        parts("multipart/mixed;boundary=b", &many).len(),
        MAX_PARTS - 1
    );
    let many = format!("--b\r\n\r\n{many}");
    assert_eq!(
        read("multipart/mixed;boundary=b", &many),
        Err(ReadError::TooLarge)
    );
    let nest = |depth: usize| {
        (0..depth).fold(String::from("x"), |inner, level| {
            let inside = match level {
                0 => String::new(),
                _ => format!("Content-Type: multipart/mixed;boundary=b{}\r\n", level - 1),
            };
            format!("--b{level}\r\n{inside}\r\n{inner}\r\n--b{level}--")
        })
    };
    let outer = |depth: usize| format!("multipart/mixed;boundary=b{}", depth - 1);
    assert!(read(&outer(MAX_DEPTH), &nest(MAX_DEPTH)).is_ok());
    let deeper = MAX_DEPTH + 1;
    assert_eq!(
        read(&outer(deeper), &nest(deeper)),
        Err(ReadError::TooLarge)
    );
    let large = "x".repeat(MAX_MESSAGE + 1);
    assert_eq!(read("text/plain", &large), Err(ReadError::TooLarge));
}

#[test]
fn l08_an_invite_with_a_history_on_the_wire() {
    let sdp = OutgoingPart {
        content_type: "application/sdp",
        disposition: None,
        body: b"v=0\r\n",
    };
    let history = OutgoingPart {
        content_type: crate::wire::resource_lists::MEDIA_TYPE,
        disposition: Some(crate::wire::resource_lists::HISTORY_DISPOSITION),
        body: b"<resource-lists/>",
    };
    let (content_type, body) = write(&[sdp.clone(), history], "Aa0_").unwrap();
    assert_eq!(content_type, "multipart/mixed;boundary=\"Aa0_\"");
    let lines = "--Aa0_|Content-Type: application/sdp||v=0||--Aa0_|\
                 Content-Type: application/resource-lists+xml|\
                 Content-Disposition: recipient-list-history; handling=optional||\
                 <resource-lists/>|--Aa0_--|";
    assert_eq!(body, lines.replace('|', "\r\n"));
    let unlucky = OutgoingPart {
        body: b"--Aa0_",
        ..sdp.clone()
    };
    assert_eq!(write(&[unlucky], "Aa0_"), Err(BoundaryError::InPart));
    for boundary in ["", "a\r\n", "a ", "é", &"x".repeat(71)] {
        assert_eq!(
            write(std::slice::from_ref(&sdp), boundary),
            Err(BoundaryError::Malformed)
        );
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        bodies in vec(vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'-')], 0..40), 1..6),
        boundary in "[A-Za-z0-9'()+_,./:=? -]{0,20}[A-Za-z0-9]",
    ) {
        let outgoing: Vec<_> = bodies.iter().map(|body| OutgoingPart {
            content_type: "a/b", disposition: Some("x;handling=optional"), body,
        }).collect();
        match write(&outgoing, &boundary) {
            Ok((content_type, body)) => {
                let part = Part::read(headers(&content_type), body).unwrap();
                let Content::Parts(parts) = part.content else { panic!() };
                prop_assert_eq!(parts.iter().map(octets).collect::<Vec<_>>(), bodies);
                prop_assert!(parts.iter().all(|p| !p.disposition.required));
            }
            Err(error) => {
                prop_assert_eq!(error, BoundaryError::InPart);
            }
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(
        octets in vec(any::<u8>(), 0..80), text in "(--b(--)?\r?\n|Content-Type: multipart/[a-z]{2};boundary=b\r?\n|[a-z: \r\n-]{0,6}){0,12}",
    ) {
        for body in [Bytes::from(octets), Bytes::from(text)] {
            let headers = headers("multipart/mixed;boundary=b");
            let _ = InviteBody::read(&headers, &body);
            let _ = Part::read(headers, body);
        }
    }
}
