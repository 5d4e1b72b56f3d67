//! Clients, such as browsers', that support text/plain and not message/cpim.

use crate::harness::agent::{Agent, Transport, unique};
use crate::harness::host::Host;
use crate::harness::msrp::{Frame, Link};
use crate::harness::on_every_host;
use crate::harness::participant::{Participant, client_path, cpim, offer_with};
use crate::harness::plan::Plan;
use crate::harness::proxy::Proxy;

/// The offer of opensips-js.
fn plain_offer(path: &str) -> String {
    offer_with(path, "text/plain text/html", "a=setup:active\r\n")
        .replace("a=accept-wrapped-types:*\r\n", "")
}

/// A room that accepts such clients.
fn room(host: &Host) -> Proxy {
    let plan = Plan::new(host);
    let uri = "sip:simple@127.0.0.1;name=Simple;plain_text=yes";
    plan.parameter("room", uri).start()
}

/// Paula joins, and reads the greeting.
fn paula(proxy: &Proxy) -> (Participant, String) {
    let agent = Agent::new("paula", proxy.sip, Transport::Udp);
    let (room, path) = (proxy.room("simple"), client_path());
    let draft = agent.draft("INVITE", &room);
    let draft = draft.body("application/sdp", plain_offer(&path));
    let paula = Participant::enter(agent, room, &draft, path, || Link::connect(proxy.msrp));
    let greeting = read(&paula);
    (paula, greeting)
}

/// The next message that Paula receives.
fn read(paula: &Participant) -> String {
    let heard = paula.hear();
    let media = heard.value("Content-Type").unwrap_or_default();
    assert!(media.starts_with("text/plain"), "{heard:?}");
    String::from_utf8(heard.body.unwrap_or_default()).expect("UTF-8")
}

fn writes(paula: &Participant, text: &str) {
    let frame = Frame::request("SEND", &paula.room_path, &paula.own_path)
        .header("Message-ID", format!("m{}", unique()))
        .header("Byte-Range", format!("1-{0}/{0}", text.len()))
        .content("text/plain", text.as_bytes());
    assert_eq!(paula.link.exchange(&frame).kind, "200");
}

#[test]
fn who_knows_plain_text_only_talks_with_the_others() {
    on_every_host(|host| {
        let proxy = room(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "simple");
        let (paula, greeting) = paula(&proxy);
        assert!(greeting.starts_with("This is the chat room"), "{greeting}");
        assert!(greeting.contains("sip:alice@127.0.0.1"), "{greeting}");
        let answer = String::from_utf8_lossy(&paula.answer.body).into_owned();
        let types = "a=accept-types:text/plain\r\na=path:msrp://";
        assert!(answer.contains(types), "{answer}");
        writes(&paula, "hello");
        let heard = String::from_utf8(alice.hear().body.unwrap_or_default()).expect("UTF-8");
        let head =
            "From: \"paula\" <sip:paula@127.0.0.1>\r\nTo: <sip:simple@127.0.0.1>\r\nDateTime: 2";
        let tail = "Z\r\n\r\nContent-Type: text/plain\r\n\r\nhello";
        let wrapped = heard.starts_with(head) && heard.ends_with(tail);
        assert!(wrapped, "{heard}");
        alice.say("good morning");
        assert_eq!(read(&paula), "alice: good morning");
        let nickname = Frame::request("NICKNAME", &alice.room_path, &alice.own_path)
            .header("Use-Nickname", "\"Al\"");
        assert_eq!(alice.link.exchange(&nickname).kind, "200");
        let private = cpim(&alice.agent.address(), "sip:paula@127.0.0.1", "psst");
        let response = alice.link.exchange(&alice.frame(&private));
        assert_eq!(response.kind, "200");
        assert_eq!(read(&paula), "Al (privately): psst");
        proxy.stop();
    });
}

#[test]
fn a_large_message_reaches_who_knows_plain_text_only() {
    on_every_host(|host| {
        let proxy = room(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "simple");
        let (paula, _) = paula(&proxy);
        let text: String = (0..40_000).map(|number| format!("{number} ")).collect();
        alice.say(&text);
        let read = read(&paula);
        assert!(read == format!("alice: {text}"), "{} octets", read.len());
        writes(&paula, &text);
        let heard = alice.hear().body.unwrap_or_default();
        assert!(heard.ends_with(text.as_bytes()), "{} octets", heard.len());
        proxy.stop();
    });
}

#[test]
fn g02_elsewhere_an_offer_of_plain_text_gets_488() {
    on_every_host(|host| {
        let proxy = room(host);
        let agent = Agent::new("paula", proxy.sip, Transport::Udp);
        let draft = agent.draft("INVITE", &proxy.room("lobby"));
        let draft = draft.body("application/sdp", plain_offer(&client_path()));
        assert_eq!(agent.exchange(&draft).code, 488);
        proxy.stop();
    });
}
