//! The answers of a room: the exact accept, and every refusal with the information the client
//! needs.

use std::thread;

use msrp_conference::wire::sdp::Description;

use crate::harness::agent::{Agent, Transport};
use crate::harness::draft::Draft;
use crate::harness::host::{Family, Host};
use crate::harness::on_every_host;
use crate::harness::participant::{Participant, client_path, invite, offer, offer_with};
use crate::harness::plan::Plan;
use crate::harness::proxy::Proxy;

/// A proxy, and an agent to send requests to it.
fn ask(host: &Host) -> (Proxy, Agent) {
    let proxy = Plan::new(host).start();
    let agent = Agent::new("alice", proxy.sip, Transport::Udp);
    (proxy, agent)
}

#[test]
fn c80_g01_g04_the_answer_is_exact() {
    on_every_host(|host| {
        let (proxy, alice) = ask(host);
        let answer = alice.exchange(&invite(&alice, &proxy.room("lobby"), &client_path()));
        let sdp = Description::parse(&answer.body).unwrap();
        let media = &sdp.media[0];
        assert_eq!(
            (media.port, media.protocol.as_str(), media.formats.as_str()),
            (proxy.msrp.port(), "TCP/MSRP", "*")
        );
        let connection = media.connection.as_ref().or(sdp.connection.as_ref());
        assert_eq!(connection.map(String::as_str), Some("IN IP4 127.0.0.1"));
        let lines: Vec<_> = media
            .attributes
            .iter()
            .map(|a| (a.name.as_str(), a.value.as_deref().unwrap_or("")))
            .collect();
        // opensips-js needs the path directly after accept-types.
        assert_eq!(lines[0], ("accept-types", "message/cpim"));
        assert_eq!(lines[1].0, "path");
        let session = lines[1]
            .1
            .strip_prefix(&format!("msrp://{}/", proxy.msrp))
            .and_then(|rest| rest.strip_suffix(";tcp"));
        assert!(session.is_some_and(|id| id.len() >= 20), "C67: {lines:?}");
        assert_eq!(media.attribute("accept-wrapped-types"), Some(Some("*")));
        assert_eq!(media.attribute("setup"), Some(Some("passive")));
        assert!(media.attribute("chatroom").is_some());
        assert!(media.attribute("connection").is_none(), "U04");

        let contact = answer.headers.first("Contact").unwrap();
        assert!(
            contact.starts_with("<sip:lobby@") && contact.contains(">;isfocus"),
            "{contact}"
        );
        assert!(answer.headers.has_token("Allow-Events", "conference"));
        assert!(answer.headers.has_token("Allow", "INVITE"));
        proxy.stop();
    });
}

#[test]
fn f10_options_tells_what_the_room_can() {
    on_every_host(|host| {
        let (proxy, alice) = ask(host);
        let answer = alice.exchange(&alice.draft("OPTIONS", &proxy.room("lobby")));
        assert_eq!(answer.code, 200);
        for method in ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "SUBSCRIBE"] {
            assert!(answer.headers.has_token("Allow", method), "{method}");
        }
        assert!(answer.headers.has_token("Allow-Events", "conference"));
        assert!(answer.headers.has_token("Accept", "application/sdp"));
        assert!(
            answer
                .headers
                .first("Contact")
                .is_some_and(|contact| contact.contains("isfocus"))
        );
        proxy.stop();
    });
}

#[test]
fn f19_an_unknown_dialog_gets_481() {
    on_every_host(|host| {
        let (proxy, alice) = ask(host);
        let to = format!("<{}>;tag=nobody", proxy.room("lobby"));
        for method in ["BYE", "INVITE", "SUBSCRIBE"] {
            let draft = invite(&alice, &proxy.room("lobby"), &client_path());
            let draft = Draft {
                method: method.into(),
                ..draft
            };
            let draft = draft
                .set("To", &to)
                .set("CSeq", format!("7 {method}"))
                .set("Event", "conference");
            assert_eq!(alice.exchange(&draft).code, 481, "{method}");
        }
        proxy.stop();
    });
}

#[test]
fn f19_an_unknown_method_gets_405_with_allow() {
    on_every_host(|host| {
        let (proxy, alice) = ask(host);
        for method in ["MESSAGE", "INFO", "FROBNICATE"] {
            let answer = alice.exchange(&alice.draft(method, &proxy.room("lobby")));
            assert_eq!(answer.code, 405, "{method}");
            assert!(answer.headers.has_token("Allow", "INVITE"), "{method}");
        }
        proxy.stop();
    });
}

#[test]
fn f19_an_unknown_require_gets_420_with_unsupported() {
    on_every_host(|host| {
        let (proxy, alice) = ask(host);
        let draft =
            invite(&alice, &proxy.room("lobby"), &client_path()).set("Require", "x-teleport");
        let answer = alice.exchange(&draft);
        assert_eq!(
            (answer.code, answer.headers.first("Unsupported")),
            (420, Some("x-teleport"))
        );
        proxy.stop();
    });
}

#[test]
fn f19_an_unknown_body_gets_415_with_accept() {
    on_every_host(|host| {
        let (proxy, alice) = ask(host);
        let draft = alice
            .draft("INVITE", &proxy.room("lobby"))
            .body("text/html", "<p>");
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 415);
        assert!(answer.headers.has_token("Accept", "application/sdp"));
        proxy.stop();
    });
}

#[test]
fn g02_offers_that_cannot_work_get_488() {
    on_every_host(|host| {
        let (proxy, alice) = ask(host);
        let audio = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let no_cpim = offer_with(&client_path(), "text/plain text/html", "a=setup:active\r\n");
        for sdp in [audio, &no_cpim] {
            let draft = alice
                .draft("INVITE", &proxy.room("lobby"))
                .body("application/sdp", sdp);
            assert_eq!(alice.exchange(&draft).code, 488, "{sdp}");
        }
        assert_eq!(proxy.statistic("participants"), 0);
        proxy.stop();
    });
}

#[test]
fn f20_audio_beside_the_message_stream_is_refused_alone() {
    on_every_host(|host| {
        let (proxy, alice) = ask(host);
        let sdp =
            offer(&client_path()).replace("m=message", "m=audio 4000 RTP/AVP 0 8\r\nm=message");
        let answer = alice.exchange(
            &alice
                .draft("INVITE", &proxy.room("lobby"))
                .body("application/sdp", sdp),
        );
        assert_eq!(answer.code, 200);
        let media = Description::parse(&answer.body).unwrap().media;
        let lines: Vec<_> = media
            .iter()
            .map(|media| (media.kind.as_str(), media.port != 0))
            .collect();
        assert_eq!(lines, [("audio", false), ("message", true)]);
        proxy.stop();
    });
}

#[test]
fn a_full_room_answers_486() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("room", "sip:cabin@127.0.0.1;max=2")
            .start();
        let _alice = Participant::join(&proxy, "alice", Transport::Udp, "cabin");
        let mut bob = Participant::join(&proxy, "bob", Transport::Udp, "cabin");
        let carol = Agent::new("carol", proxy.sip, Transport::Udp);
        let answer = carol.exchange(&invite(&carol, &proxy.room("cabin"), &client_path()));
        assert_eq!(answer.code, 486);
        bob.leave();
        Participant::join_as(carol, &proxy, "cabin");
        proxy.stop();
    });
}

#[test]
fn without_adhoc_an_unknown_room_is_404() {
    on_every_host(|host| {
        let plan = Plan::new(host)
            .parameter("adhoc", "no")
            .parameter("room", "sip:known@127.0.0.1");
        let proxy = plan.start();
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let unknown = proxy.room("unknown");
        assert_eq!(
            alice
                .exchange(&invite(&alice, &unknown, &client_path()))
                .code,
            404
        );
        Participant::join(&proxy, "bob", Transport::Udp, "known");
        proxy.stop();
    });
}

/// The worker ends its script while the answer is being made, in either order.
#[test]
fn every_answer_is_whole_with_what_the_script_appended() {
    const EACH: usize = 400;
    on_every_host(|host| {
        let script = "append_to_reply(\"X-Script: said\\r\\n\");";
        let proxy = Plan::new(host).script(script).start();
        let lobby = proxy.room("lobby");
        // Kamailio's tm keeps no appended headers.
        let appended = (host.family == Family::OpenSips).then_some("X-Script");
        let expected: Vec<_> = ["Allow", "Accept"].into_iter().chain(appended).collect();
        let expected = &expected;
        thread::scope(|scope| {
            for name in ["alice", "bob", "carol", "dave"] {
                let (proxy, lobby) = (&proxy, &lobby);
                scope.spawn(move || {
                    let agent = Agent::new(name, proxy.sip, Transport::Udp);
                    for number in 0..EACH {
                        let answer = agent.exchange(&agent.draft("OPTIONS", lobby));
                        assert_eq!(answer.code, 200);
                        for name in expected {
                            let there = answer.headers.first(name).is_some();
                            assert!(there, "{number}: {name}: {answer:?}");
                        }
                    }
                });
            }
        });
        proxy.stop();
    });
}
