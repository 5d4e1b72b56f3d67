//! REFER to the focus, lists in INVITE, parties the focus invites.

use std::time::Duration;

use msrp_conference::wire::sip::Request;

use super::harness::agent::Transport;
use super::harness::host::Host;
use super::harness::invited::Invited;
use super::harness::participant::{Participant, client_path, offer, path_of};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};

fn start(host: &Host) -> Proxy {
    Plan::new(host)
        .parameter("notify_interval_ms", 100)
        .parameter("invite_mode", "dial_out")
        .start()
}

/// REFER outside the INVITE dialog; gives the code.
fn refer(who: &Participant, target: &str) -> u16 {
    let draft = who
        .agent
        .draft("REFER", &who.room)
        .set("Refer-To", target)
        .set("Referred-By", who.agent.address());
    who.agent.exchange(&draft).code
}

/// The next report of how a REFER goes.
fn report(who: &Participant) -> String {
    let (notify, _) = who
        .agent
        .timed_request(PATIENCE, is_report)
        .expect("a NOTIFY of the REFER");
    let body = String::from_utf8_lossy(&notify.body).into_owned();
    let state = notify
        .headers
        .first("Subscription-State")
        .unwrap_or_default();
    format!(
        "{} {}",
        state.split(';').next().unwrap_or_default(),
        body.trim_end()
    )
}

fn is_report(request: &Request) -> bool {
    request.method.as_str() == "NOTIFY"
        && request
            .headers
            .first("Event")
            .is_some_and(|event| event.starts_with("refer"))
}

/// Reports until the last one.
fn last_report(who: &Participant) -> String {
    loop {
        let told = report(who);
        if told.starts_with("terminated") {
            return told;
        }
    }
}

#[test]
fn f04_a_participant_is_added_by_refer() {
    on_every_host(|host| {
        let proxy = start(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "team");
        let carol = Invited::new(&proxy, "carol");
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        assert_eq!(report(&alice), "active SIP/2.0 100 Trying");
        let invite = carol.asked("INVITE");
        let contact = invite.headers.first("Contact").unwrap_or_default();
        assert!(contact.contains(";isfocus"), "F01: {contact}");
        assert_eq!(
            invite.headers.first("Referred-By"),
            Some("<sip:alice@127.0.0.1>")
        );
        carol.answer(&invite, 180);
        let link = carol.accept(&proxy, &invite, &invite.body);
        assert_eq!(last_report(&alice), "terminated SIP/2.0 200 OK");
        alice.sees(&["alice", "carol"]);
        let words = alice.say("welcome");
        let heard = link.request("SEND", PATIENCE).and_then(|frame| frame.body);
        assert_eq!(heard, Some(words));
        proxy.stop();
    });
}

#[test]
fn f06_f07_a_moderator_removes_every_device() {
    on_every_host(|host| {
        let proxy = start(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "team");
        let phone = Participant::join(&proxy, "bob", Transport::Udp, "team");
        let tablet = Participant::join(&proxy, "bob", Transport::Tcp, "team");
        alice.sees(&["alice", "bob"]);
        assert_eq!(refer(&phone, "<sip:alice@127.0.0.1;method=BYE>"), 403);
        assert_eq!(refer(&alice, "<sip:bob@127.0.0.1>;method=BYE"), 200);
        for device in [&phone, &tablet] {
            assert!(device.agent.request("BYE", PATIENCE).is_some());
            assert!(device.link.is_closed(PATIENCE));
        }
        assert_eq!(last_report(&alice), "terminated SIP/2.0 200 OK");
        alice.sees(&["alice"]);
        proxy.stop();
    });
}

#[test]
fn an_invitation_is_withdrawn_while_it_rings() {
    on_every_host(|host| {
        let proxy = start(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let carol = Invited::new(&proxy, "carol");
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        let invite = carol.asked("INVITE");
        carol.answer(&invite, 180);
        while !report(&alice).contains("180") {}
        assert_eq!(refer(&alice, "<sip:carol@127.0.0.1;method=BYE>"), 200);
        assert!(carol.agent.request("CANCEL", PATIENCE).is_some(), "CANCEL");
        carol.answer(&invite, 487);
        assert!(
            carol.agent.request("ACK", PATIENCE).is_some(),
            "ACK of the 487"
        );
        assert!(wait_until(Duration::from_secs(20), || proxy.transactions() == 0));
        proxy.stop();
    });
}

#[test]
fn l09_every_outcome_is_told_and_nothing_is_left() {
    on_every_host(|host| {
        let proxy = start(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "team");
        for (code, told) in [
            (486, "486 Busy Here"),
            (603, "603 Decline"),
            (404, "404 Not Found"),
        ] {
            let carol = Invited::new(&proxy, "carol");
            assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
            carol.answer(&carol.asked("INVITE"), code);
            assert_eq!(last_report(&alice), format!("terminated SIP/2.0 {told}"));
        }
        let (dave, moved) = (Invited::new(&proxy, "dave"), Invited::new(&proxy, "dave"));
        assert_eq!(refer(&alice, &format!("<{}>", dave.uri())), 200);
        dave.redirect(&dave.asked("INVITE"), &moved.uri());
        let invite = moved.asked("INVITE");
        let _link = moved.accept(&proxy, &invite, &invite.body);
        assert_eq!(last_report(&alice), "terminated SIP/2.0 200 OK");
        alice.sees(&["alice", "dave"]);
        assert!(wait_until(Duration::from_secs(20), || proxy.transactions() == 0));
        proxy.stop();
    });
}

/// The body of an INVITE with a list.
fn with_list(uris: &[String]) -> String {
    let entries: String = uris
        .iter()
        .map(|uri| format!("<entry uri=\"{uri}\" cp:copyControl=\"to\"/>"))
        .collect();
    format!(
        "--b1\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b1\r\n\
         Content-Type: application/resource-lists+xml\r\n\
         Content-Disposition: recipient-list\r\n\r\n<?xml version=\"1.0\"?>\
         <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\" \
         xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\"><list>{entries}</list>\
         </resource-lists>\r\n--b1--\r\n",
        offer(&client_path())
    )
}

#[test]
fn l01_a_list_to_a_factory_makes_a_group() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("notify_interval_ms", 100)
            .parameter("invite_mode", "dial_out")
            .parameter("factory", "sip:new@127.0.0.1;end=empty")
            .start();
        let (bob, carol) = (Invited::new(&proxy, "bob"), Invited::new(&proxy, "carol"));
        let alice = super::harness::agent::Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = alice
            .draft("INVITE", &proxy.room("new"))
            .set("Require", "recipient-list-invite")
            .body(
                "multipart/mixed;boundary=b1",
                with_list(&[bob.uri(), carol.uri()]),
            );
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        let contact = answer.headers.first("Contact").unwrap_or_default();
        assert!(contact.contains("sip:new-"), "F02: {contact}");
        alice.send(&super::harness::draft::Dialog::new(&draft, &answer).ack(&alice));
        for guest in [&bob, &carol] {
            let invite = guest.asked("INVITE");
            let body = String::from_utf8_lossy(&invite.body).into_owned();
            assert!(body.contains("recipient-list-history"), "L08: {body}");
            let sdp = body.split("\r\n\r\n").find(|part| part.contains("v=0"));
            let sdp = sdp.expect("an offer").split("\r\n--").next().expect("SDP");
            let _ = path_of(sdp.as_bytes());
            guest.accept(&proxy, &invite, sdp.as_bytes());
        }
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 3));
        proxy.stop();
    });
}

#[test]
fn l01_by_default_the_listed_are_referred() {
    on_every_host(|host| {
        let proxy = Plan::new(host).parameter("notify_interval_ms", 100).start();
        let bob = Invited::new(&proxy, "bob");
        let alice = super::harness::agent::Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = alice
            .draft("INVITE", &proxy.room("team"))
            .set("Require", "recipient-list-invite")
            .body("multipart/mixed;boundary=b1", with_list(&[bob.uri()]));
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        alice.send(&super::harness::draft::Dialog::new(&draft, &answer).ack(&alice));
        let refer = bob.asked("REFER");
        let refer_to = refer.headers.first("Refer-To").unwrap_or_default();
        assert_eq!(refer_to, format!("<{}>", proxy.room("team")));
        let _bob = Participant::join(&proxy, "bob", Transport::Udp, "team");
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 2));
        proxy.stop();
    });
}
