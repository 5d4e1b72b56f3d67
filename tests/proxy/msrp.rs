//! MSRP on the wire.

use crate::harness::agent::{Agent, Transport, unique};
use crate::harness::draft::Dialog;
use crate::harness::host::Host;
use crate::harness::msrp::{Frame, Link};
use crate::harness::participant::{Participant, client_path, cpim, invite, path_of};
use crate::harness::plan::Plan;
use crate::harness::proxy::Proxy;
use crate::harness::{PATIENCE, on_every_host};

/// Alice and Bob in the lobby.
fn two(host: &Host) -> (Proxy, Participant, Participant) {
    let proxy = Plan::new(host).start();
    let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
    let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
    (proxy, alice, bob)
}

/// Asserts that Alice's frame gets this code and that Bob receives nothing of it: the next thing he
/// receives is her next message.
fn refused(alice: &Participant, bob: &Participant, frame: &Frame, code: &str) {
    let response = alice.link.exchange(frame);
    assert_eq!(response.kind, code, "to {frame:?}");
    let words = alice.say(&format!("after {code}"));
    bob.hears(&words);
}

#[test]
fn c11_framed_nonsense_gets_400() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let bad_range = alice
            .bind()
            .without("Byte-Range")
            .header("Byte-Range", "one-two");
        refused(&alice, &bob, &bad_range, "400");
        let bad_report = alice.bind().header("Failure-Report", "perhaps");
        refused(&alice, &bob, &bad_report, "400");
        proxy.stop();
    });
}

#[test]
fn g21_g22_words_in_anothers_name_get_403() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let forged = cpim("sip:bob@127.0.0.1", &alice.room, "I am Bob");
        refused(&alice, &bob, &alice.frame(&forged), "403");
        let text = String::from_utf8(alice.words("to two")).unwrap();
        let twice = text.replace("DateTime", "To: <sip:bob@127.0.0.1>\r\nDateTime");
        refused(&alice, &bob, &alice.frame(twice.as_bytes()), "403");
        proxy.stop();
    });
}

#[test]
fn g40_g41_a_private_message_reaches_one_or_404() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let carol = Participant::join(&proxy, "carol", Transport::Udp, "lobby");
        let nobody = cpim(&alice.agent.address(), "sip:nobody@127.0.0.1", "psst");
        refused(&alice, &bob, &alice.frame(&nobody), "404");
        let private = cpim(&alice.agent.address(), "sip:bob@127.0.0.1", "psst");
        assert_eq!(alice.link.exchange(&alice.frame(&private)).kind, "200");
        bob.hears(&private);
        let last = alice.say("aloud");
        let _after_404 = carol.hear();
        carol.hears(&last);
        proxy.stop();
    });
}

#[test]
fn g20_content_that_is_not_cpim_gets_415() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let plain = Frame::request("SEND", &alice.room_path, &alice.own_path)
            .header("Message-ID", "plain1")
            .header("Byte-Range", "1-2/2")
            .content("text/plain", b"hi");
        refused(&alice, &bob, &plain, "415");
        // The empty SEND is a keep-alive: never 415, never forwarded.
        refused(&alice, &bob, &alice.bind(), "200");
        proxy.stop();
    });
}

#[test]
fn g20_broken_cpim_is_refused_alone() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        for broken in [
            "no header at all",
            "From: <sip:alice@127.0.0.1>\r\n\r\nContent-Type: text/plain\r\n\r\nno To",
            "\r\n\r\n",
        ] {
            refused(&alice, &bob, &alice.frame(broken.as_bytes()), "400");
        }
        proxy.stop();
    });
}

#[test]
fn c62_an_unknown_session_gets_481() {
    on_every_host(|host| {
        let (proxy, alice, _bob) = two(host);
        let stray = Frame::request(
            "SEND",
            &format!("msrp://{}/nosuchsession00000000;tcp", proxy.msrp),
            &alice.own_path,
        )
        .header("Message-ID", "stray1")
        .header("Byte-Range", "1-0/0");
        assert_eq!(Link::connect(proxy.msrp).exchange(&stray).kind, "481");
        proxy.stop();
    });
}

#[test]
fn c62_a_session_bound_elsewhere_gets_506() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let thief = Link::connect(proxy.msrp);
        assert_eq!(thief.exchange(&alice.bind()).kind, "506");
        let words = bob.say("for Alice alone");
        alice.hears(&words);
        assert_eq!(thief.inbox.drain().len(), 0);
        proxy.stop();
    });
}

#[test]
fn c08_an_unknown_method_gets_501() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        refused(
            &alice,
            &bob,
            &Frame::request("JUMP", &alice.room_path, &alice.own_path),
            "501",
        );
        proxy.stop();
    });
}

#[test]
fn c42_failure_report_no_is_met_with_silence() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let forged = cpim("sip:bob@127.0.0.1", &alice.room, "I am Bob");
        let silent = alice
            .frame(&forged)
            .without("Content-Type")
            .header("Failure-Report", "no")
            .content("message/cpim", &forged);
        alice.link.send(&silent);
        let body = alice.words("also without answer");
        let heard = alice
            .frame(&body)
            .without("Content-Type")
            .header("Failure-Report", "no")
            .content("message/cpim", &body);
        alice.link.send(&heard);
        bob.hears(&body);
        // Responses keep their order: after this one, neither of the two can come.
        alice.say("answered");
        assert_eq!(
            alice
                .link
                .inbox
                .count(|frame| frame.id == silent.id || frame.id == heard.id),
            0
        );
        proxy.stop();
    });
}

#[test]
fn c46_success_report_is_sent() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let body = alice.words("tell me");
        let frame = alice
            .frame(&body)
            .without("Content-Type")
            .header("Success-Report", "yes")
            .content("message/cpim", &body);
        assert_eq!(alice.link.exchange(&frame).kind, "200");
        bob.hears(&body);
        let report = alice.link.request("REPORT", PATIENCE).expect("a REPORT");
        assert!(
            report
                .value("Status")
                .is_some_and(|status| status.starts_with("000 200")),
            "{report:?}"
        );
        assert_eq!(report.value("Message-ID"), frame.value("Message-ID"));
        assert_eq!(report.value("To-Path"), Some(alice.own_path.as_str()));
        assert_eq!(
            report.value("Byte-Range"),
            Some(format!("1-{0}/{0}", body.len()).as_str())
        );
        proxy.stop();
    });
}

#[test]
fn chunks_arrive_as_one_message() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let text: String = (0..6_000).map(|number| format!("{number} ")).collect();
        let body = alice.words(&text);
        let message = format!("m{}", unique());
        let (total, step) = (body.len(), 2_048);
        for (index, chunk) in body.chunks(step).enumerate() {
            let start = index * step + 1;
            let last = start + chunk.len() > total;
            let frame = Frame::request("SEND", &alice.room_path, &alice.own_path)
                .header("Message-ID", &message)
                .header(
                    "Byte-Range",
                    format!("{start}-{}/{total}", start + chunk.len() - 1),
                )
                .content("message/cpim", chunk)
                .flag(if last { '$' } else { '+' });
            assert_eq!(alice.link.exchange(&frame).kind, "200");
        }
        bob.hears(&body);
        proxy.stop();
    });
}

#[test]
fn c30_an_aborted_message_is_never_delivered() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let body = alice.words("half a");
        let frame = Frame::request("SEND", &alice.room_path, &alice.own_path)
            .header("Message-ID", "aborted1")
            .header("Byte-Range", "1-*/1000")
            .content("message/cpim", &body)
            .flag('#');
        alice.link.send(&frame);
        let words = alice.say("whole");
        bob.hears(&words);
        proxy.stop();
    });
}

#[test]
fn c60_content_in_the_first_request_binds_and_is_delivered() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        // A second endpoint of Alice's whose first SEND has a text in it.
        let agent = Agent::new("alice", proxy.sip, Transport::Udp);
        let own_path = client_path();
        let draft = invite(&agent, &proxy.room("lobby"), &own_path);
        let answer = agent.exchange(&draft);
        agent.send(&Dialog::new(&draft, &answer).ack(&agent));
        let link = Link::connect(proxy.msrp);
        let words = alice.words("from my other device");
        let frame = Frame::request("SEND", &path_of(&answer.body), &own_path)
            .header("Message-ID", "first1")
            .header("Byte-Range", format!("1-{0}/{0}", words.len()))
            .content("message/cpim", &words);
        assert_eq!(link.exchange(&frame).kind, "200");
        bob.hears(&words);
        alice.hears(&words);
        proxy.stop();
    });
}

#[test]
fn c85_a_message_above_the_limit_gets_413() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("max_message_size", 10_000)
            .start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        let body = alice.words(&"x".repeat(10_000));
        refused(&alice, &bob, &alice.frame(&body), "413");
        proxy.stop();
    });
}

#[test]
fn c44_a_nickname_is_taken_once() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        let nickname = |who: &Participant, name: &str| {
            let frame = Frame::request("NICKNAME", &who.room_path, &who.own_path)
                .header("Use-Nickname", format!("\"{name}\""));
            who.link.exchange(&frame)
        };
        let response = nickname(&alice, "Al");
        assert_eq!(
            (response.kind.as_str(), response.value("To-Path")),
            ("200", Some(alice.own_path.as_str()))
        );
        assert_eq!(nickname(&bob, " al ").kind, "425", "G62");
        proxy.stop();
    });
}

#[test]
fn c71_every_wrapped_type_passes() {
    on_every_host(|host| {
        let (proxy, alice, bob) = two(host);
        for kind in [
            "multipart/mixed; boundary=b",
            "multipart/alternative; boundary=b",
            "multipart/signed; boundary=b; protocol=\"application/pkcs7-signature\"",
            "message/cpim",
        ] {
            let body = format!(
                "From: <{}>\r\nTo: <{}>\r\n\r\nContent-Type: {kind}\r\n\r\n\
                 --b\r\nContent-Type: text/plain\r\n\r\nwrapped\r\n--b--\r\n",
                alice.agent.address(),
                alice.room
            );
            let response = alice.link.exchange(&alice.frame(body.as_bytes()));
            assert_eq!(response.kind, "200", "{kind}");
            bob.hears(body.as_bytes());
        }
        proxy.stop();
    });
}
