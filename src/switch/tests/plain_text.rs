//! Clients that know text/plain and no message/cpim.

use super::streams::{Large, messages, pattern};
use super::*;

fn head(name: &str) -> Admission {
    let mut head = admission(LOBBY, name);
    head.policy.plain_text = true;
    head
}

/// Alice and Bob know message/cpim, Paula knows text/plain.
fn trio() -> (Stage, ConnectionId, ConnectionId, ConnectionId) {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.enter(head("alice")), stage.enter(head("bob")));
    let mut plain = head("paula");
    plain.display = "Paula \"P\"".into();
    plain.peer.plain_text = true;
    plain.peer.private_messages = false;
    plain.peer.accept_types = vec!["text/plain".into(), "text/html".into()];
    plain.peer.accept_wrapped_types = Vec::new();
    let paula = stage.enter(plain);
    (stage, alice, bob, paula)
}

/// A SEND of text that is not wrapped.
fn plainly(tid: &str, media: &str, headers: &[&str], text: &str) -> String {
    let media = format!("Content-Type: {media}");
    let all = [&["Message-ID: plain001"], headers, &[media.as_str()]].concat();
    let tail = format!("\r\n{text}\r\n-------{tid}$\r\n");
    request("paula", tid, "SEND", &all, &tail)
}

fn bodies(stage: &mut Stage, id: ConnectionId) -> Vec<String> {
    let got = stage.got(id);
    let sends = got.iter().filter(|got| got.line.ends_with(" SEND"));
    sends.map(|got| got.text().to_owned()).collect()
}

#[test]
fn what_they_send_is_wrapped_for_the_others() {
    let (mut stage, alice, bob, paula) = trio();
    let range = "Byte-Range: 1-5/5";
    let media = "text/plain; charset=utf-8";
    let reports = ["Success-Report: yes", range];
    stage.give(paula, plainly("tid00001", media, &reports, "hello"));
    let got = stage.got(paula);
    assert_eq!(got[0].line, "MSRP tid00001 200");
    assert_eq!(
        got[1].header("Byte-Range"),
        Some("1-5/5"),
        "of what was sent"
    );
    for member in [alice, bob] {
        let expected = "From: \"Paula \\\"P\\\"\" <sip:paula@example.com>\r\n\
             To: <sip:lobby@example.com>\r\nDateTime: 1970-01-01T00:16:40Z\r\n\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nhello";
        assert_eq!(bodies(&mut stage, member), [expected]);
    }
}

#[test]
fn what_they_get_says_who_speaks() {
    let (mut stage, alice, bob, paula) = trio();
    stage.give(alice, send("alice", "tid00001", &[], &cpim("alice", "one")));
    let got = stage.got(paula).swap_remove(0);
    assert_eq!(got.text(), "alice@example.com: one");
    let media = got.header("Content-Type");
    assert_eq!(media, Some("text/plain; charset=utf-8"));
    assert_eq!(got.header("Byte-Range"), Some("1-22/22"));
    let nickname = request(
        "bob",
        "tid00002",
        "NICKNAME",
        &["Use-Nickname: \"Bo\u{e9}\""],
        "-------tid00002$\r\n",
    );
    stage.give(bob, nickname);
    stage.give(bob, send("bob", "tid00003", &[], &cpim("bob", "two")));
    assert_eq!(bodies(&mut stage, paula), ["Bo\u{e9}: two"]);
    // The sender gets no copy.
    stage.give(paula, plainly("tid00004", "text/plain", &[], "three"));
    assert_eq!(stage.codes(paula), [200]);
}

#[test]
fn two_of_them_talk_to_each_other() {
    let (mut stage, _, _, paula) = trio();
    let mut plain = head("quentin");
    plain.peer.plain_text = true;
    let quentin = stage.enter(plain);
    stage.give(paula, plainly("tid00001", "text/plain", &[], "hello"));
    assert_eq!(bodies(&mut stage, quentin), ["Paula \"P\": hello"]);
}

#[test]
fn what_is_private_is_marked() {
    let (mut stage, alice, bob, paula) = trio();
    let body = cpim_to("alice", "sip:paula@example.com", "psst");
    stage.give(alice, send("alice", "tid00001", &[], &body));
    assert_eq!(stage.codes(alice), [200], "she needs no private-messages");
    let expected = "alice@example.com (privately): psst";
    assert_eq!(bodies(&mut stage, paula), [expected]);
    assert!(stage.got(bob).is_empty());
}

#[test]
fn what_is_no_text_is_not_for_them() {
    let (mut stage, alice, bob, paula) = trio();
    let of = |media: &str, extra: &str| {
        let media = format!("Content-Type: {media}\r\n{extra}\r\n");
        cpim("alice", "x").replace("Content-Type: text/plain\r\n\r\n", &media)
    };
    let skipped = [
        of("image/png", ""),
        of("application/im-iscomposing+xml", ""),
        of("message/imdn+xml", ""),
        // Offered, but the name could not stand in front.
        of("text/html", ""),
        of("text/plain; charset=utf-16", ""),
        of("text/plain", "Content-Transfer-Encoding: base64\r\n"),
    ];
    for (number, body) in skipped.iter().enumerate() {
        let tid = format!("tid{number:05}");
        stage.give(alice, send("alice", &tid, &[], body));
        assert!(bodies(&mut stage, paula).is_empty(), "{body}");
        assert_eq!(bodies(&mut stage, bob).len(), 1, "{body}");
    }
    let taken = of("Text/Plain; format=flowed; Charset=\"UTF8\"", "");
    stage.give(alice, send("alice", "tid00101", &[], &taken));
    assert_eq!(bodies(&mut stage, paula), ["alice@example.com: x"]);
}

#[test]
fn g20_elsewhere_text_without_message_cpim_is_415() {
    let (mut stage, alice, _, paula) = trio();
    for media in ["text/html", "application/im-iscomposing+xml"] {
        stage.give(paula, plainly("tid00001", media, &[], "x"));
        assert_eq!(stage.codes(paula), [415], "{media}");
    }
    // A room accepts plain text from every member, or from none.
    let text = plainly("tid00002", "text/plain", &[], "x").replace("/paula", "/alice");
    stage.give(alice, &text);
    assert_eq!(stage.codes(alice), [200]);
    let mut strict = Stage::new();
    let alice = strict.join("alice");
    strict.give(alice, &text);
    assert_eq!(strict.codes(alice), [415]);
}

#[test]
fn g10_they_are_greeted_in_plain_text() {
    let mut stage = Stage::new();
    stage.enter(head("alice"));
    let mut plain = head("paula");
    plain.peer.plain_text = true;
    plain.peer.chatroom = false;
    stage.admit(plain);
    let paula = stage.switch.opened(stage.now);
    stage.give(paula, empty_send("paula", "tid00001"));
    let got = stage.got(paula);
    assert_eq!(got[0].line, "MSRP tid00001 200");
    assert!(got[1].text().starts_with("This is the chat room"));
    assert!(got[1].text().contains("sip:alice@example.com"));
}

#[test]
fn a_keep_alive_of_theirs_is_none_of_the_rooms_business() {
    let (mut stage, alice, _, paula) = trio();
    let media = "text/x-msrp-heartbeat";
    stage.give(paula, plainly("tid00001", media, &[], "HEARTBEAT"));
    let range = ["Byte-Range: 1-0/0"];
    stage.give(paula, plainly("tid00002", "text/plain", &range, ""));
    assert_eq!(stage.codes(paula), [200, 200]);
    assert!(stage.got(alice).is_empty());
}

#[test]
fn their_chunks_are_put_together() {
    let (mut stage, alice, _, paula) = trio();
    let chunk = |tid: &str, range: &str, text: &str, flag: char| {
        let range = format!("Byte-Range: {range}");
        let text = plainly(tid, "text/plain", &[&range], text);
        text.replace(&format!("-------{tid}$"), &format!("-------{tid}{flag}"))
    };
    // The last comes first (C27).
    stage.give(paula, chunk("tid00001", "4-6/6", "def", '$'));
    stage.give(paula, chunk("tid00002", "1-3/6", "abc", '+'));
    assert_eq!(stage.codes(paula), [200, 200]);
    assert_eq!(stage.texts(alice), ["abcdef"]);
    assert_eq!(stage.switch.budget.octets(), 0);
}

#[test]
fn what_they_send_may_be_large() {
    let (mut stage, alice, bob, paula) = trio();
    let mut large = Large::of(pattern(300_000));
    let head = String::from_utf8(large.open(10_000)).unwrap();
    let head = head
        .replace("/alice", "/paula")
        .replace("message/cpim", "text/plain")
        .replace("Content-Type", "Success-Report: yes\r\nContent-Type");
    stage.give(paula, head);
    while large.sent < large.body.len() {
        stage.give(paula, large.part(50_000));
    }
    stage.give(paula, large.close('$'));
    let got = stage.got(paula);
    assert_eq!(got[1].header("Byte-Range"), Some("1-300000/300000"));
    for member in [alice, bob] {
        let chunks = stage.chunks(member);
        let total = chunks[0].header("Byte-Range").to_owned();
        let (body, flag) = messages(&chunks).swap_remove(0);
        assert_eq!(total, format!("1-*/{}", body.len()));
        assert_eq!(flag, Some('$'));
        let message = crate::wire::cpim::Message::parse(&body).unwrap().unwrap();
        assert_eq!(message.from.uri, "sip:paula@example.com");
        assert_eq!(body[message.content..], large.body);
    }
    assert_eq!(
        (stage.switch.streams.len(), stage.switch.budget.octets()),
        (0, 0)
    );
}

#[test]
fn what_they_get_may_be_large_and_in_chunks() {
    let (mut stage, alice, bob, paula) = trio();
    let text = pattern(300_000);
    let mut large = Large::of(cpim("alice", &text));
    // The headers alone begin it.
    stage.give(alice, large.open(150));
    stage.give(alice, large.part(10_000));
    stage.give(bob, send("bob", "tid00001", &[], &cpim("bob", "quick")));
    while large.sent < large.body.len() {
        stage.give(alice, large.part(50_000));
    }
    stage.give(alice, large.close('$'));
    let chunks = stage.chunks(paula);
    assert!(chunks.len() > 2, "interrupted (C21)");
    let expected = format!("alice@example.com: {text}");
    let total = format!("/{}", expected.len());
    assert!(chunks[0].header("Byte-Range").ends_with(&total));
    let got = messages(&chunks);
    assert_eq!(got[0], (expected.into_bytes(), Some('$')));
    assert_eq!(got[1].0, b"bob@example.com: quick");
    assert!(chunks[2].header("Content-Type").starts_with("text/plain"));
    // Content other than text is not delivered, however large.
    let image = cpim("alice", &text).replace("text/plain", "image/png");
    let mut large = Large::of(image);
    let head = String::from_utf8(large.open(1_000_000)).unwrap();
    stage.give(alice, head.replace("single01", "single02"));
    stage.give(alice, "\r\n-------single02$\r\n");
    assert_eq!(stage.chunks(paula).len(), chunks.len());
}

#[test]
fn a_message_of_the_largest_size_is_not_too_large_for_its_wrapping() {
    let (mut stage, alice, _, paula) = trio();
    let size = 1 << 20;
    let whole = pattern(size);
    for (size, code) in [(size, 200), (size + 1, 413)] {
        let range = format!("Byte-Range: 1-{size}/{size}");
        let text = format!("{whole}{}", "x".repeat(size - whole.len()));
        stage.give(paula, plainly("tid00001", "text/plain", &[&range], &text));
        assert_eq!(stage.codes(paula), [code]);
    }
    assert_eq!(messages(&stage.chunks(alice)).len(), 1);
}
