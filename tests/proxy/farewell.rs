//! Farewells of the room, and headers of RCS and browser clients.

use std::time::Duration;

use msrp_conference::wire::sip::Headers;

use super::harness::agent::{Agent, Transport};
use super::harness::invited::Invited;
use super::harness::msrp::Link;
use super::harness::participant::{Participant, client_path, cpim, invite, offer, offer_with};
use super::harness::plan::Plan;
use super::harness::{PATIENCE, on_every_host};
use super::refer::refer;

/// Well below the second for which MSRP waits for the answer to BYE.
const AT_ONCE: Duration = Duration::from_millis(300);

#[test]
fn who_is_removed_learns_why_before_msrp_closes() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "team");
        bob.agent.answer("BYE", None);
        assert_eq!(refer(&alice, "<sip:bob@127.0.0.1;method=BYE>"), 200);
        let bye = bob.agent.request("BYE", PATIENCE).expect("a BYE");
        let reason = "SIP;cause=403;text=\"Removed from the conference\"";
        assert_eq!(bye.headers.first("Reason"), Some(reason));
        assert!(!bob.link.is_closed(AT_ONCE), "it has not been answered");
        bob.agent.respond(&bye, 200, "", Headers::new(), "");
        assert!(bob.link.is_closed(AT_ONCE), "it has been answered");
        let carol = Participant::join(&proxy, "carol", Transport::Udp, "team");
        carol.agent.answer("BYE", None);
        assert_eq!(refer(&alice, "<sip:carol@127.0.0.1;method=BYE>"), 200);
        assert!(carol.agent.request("BYE", PATIENCE).is_some());
        assert!(carol.link.is_closed(PATIENCE), "it is never answered");
        proxy.stop();
    });
}

#[test]
fn a_dialled_party_that_never_connects_is_gone_after_bind_timeout() {
    on_every_host(|host| {
        let proxy = Plan::new(host).parameter("bind_timeout", 1).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let carol = Invited::new(&proxy, "carol");
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        let request = carol.asked("INVITE");
        let headers = Headers::new()
            .with("Contact", carol.agent.contact())
            .with("Content-Type", "application/sdp");
        carol
            .agent
            .respond(&request, 200, "late", headers, &offer(&client_path()));
        let bye = carol.agent.request("BYE", PATIENCE).expect("a BYE");
        let reason = "SIP;cause=408;text=\"The MSRP connection did not come\"";
        assert_eq!(bye.headers.first("Reason"), Some(reason));
        proxy.stop();
    });
}

#[test]
fn a_conference_takes_no_part_in_a_conference() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let focus = Agent::new("focus", proxy.sip, Transport::Udp);
        let contact = format!("{};isfocus", focus.contact());
        let draft = invite(&focus, &proxy.room("lobby"), &client_path());
        let answer = focus.exchange(&draft.set("Contact", contact));
        assert_eq!(answer.code, 403);
        assert!(answer.headers.first("Warning").is_some());
        proxy.stop();
    });
}

#[test]
fn what_an_rcs_phone_says_with_its_invite_is_heard() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let agent = Agent::new("bob", proxy.sip, Transport::Udp);
        let (room, path) = (proxy.room("lobby"), client_path());
        let words = cpim(&agent.address(), &alice_room(&alice), "hello from my phone");
        let mut body = format!(
            "--b1\r\nContent-Type: application/sdp\r\n\r\n{}\r\n\
             --b1\r\nContent-Type: message/cpim\r\n\r\n",
            offer(&path)
        )
        .into_bytes();
        body.extend_from_slice(&words);
        body.extend_from_slice(b"\r\n--b1\r\nContent-Type: text/plain\r\n\r\n\r\n--b1--\r\n");
        let draft = agent
            .draft("INVITE", &room)
            .body("multipart/mixed;boundary=b1", body);
        let _bob = Participant::enter(agent, room, &draft, path, || Link::connect(proxy.msrp));
        alice.hears(&words);
        proxy.stop();
    });
}

/// The URI that the participant writes as CPIM To.
fn alice_room(alice: &Participant) -> String {
    let words = String::from_utf8(alice.words("x")).expect("text");
    let to = words.lines().find_map(|line| line.strip_prefix("To: <"));
    to.and_then(|to| to.strip_suffix('>'))
        .expect("a To")
        .to_owned()
}

#[test]
fn a_stream_that_says_tls_and_means_the_path_is_taken_as_the_path_says() {
    on_every_host(|host| {
        let uri = "sip:simple@127.0.0.1;plain_text=yes";
        let proxy = Plan::new(host).parameter("room", uri).start();
        let agent = Agent::new("paula", proxy.sip, Transport::Udp);
        let (room, path) = (proxy.room("simple"), client_path().replace(";tcp", ";ws"));
        let sdp = offer_with(&path, "text/plain text/html", "a=setup:active\r\n")
            .replace("TCP/MSRP", "TCP/TLS/MSRP");
        let draft = agent.draft("INVITE", &room).body("application/sdp", sdp);
        let paula = Participant::enter(agent, room, &draft, path, || Link::connect(proxy.msrp));
        let answer = String::from_utf8_lossy(&paula.answer.body).into_owned();
        assert!(answer.contains(" TCP/TLS/MSRP *\r\n"), "{answer}");
        assert!(paula.room_path.starts_with("msrp:"), "{answer}");
        proxy.stop();
    });
}
