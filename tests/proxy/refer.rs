//! REFER to the focus, lists in INVITE, parties the focus invites.

use std::collections::BTreeSet;
use std::time::Duration;

use msrp_conference::wire::multipart::InviteBody;
use msrp_conference::wire::sip::{Headers, Request};
use serde_json::{Value, json};

use super::harness::agent::{Agent, Transport};
use super::harness::draft::{Dialog, Draft};
use super::harness::host::{Family, Host};
use super::harness::invited::Invited;
use super::harness::participant::{Participant, Subscription, client_path, offer};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::sipp::{self, Answering};
use super::harness::{PATIENCE, on_every_host};

pub(super) fn start(host: &Host) -> Proxy {
    Plan::new(host)
        .parameter("notify_interval_ms", 100)
        .parameter("invite_mode", "dial_out")
        .start()
}

/// Sends REFER outside the INVITE dialog; returns the code.
pub(super) fn refer(who: &Participant, target: &str) -> u16 {
    let draft = who
        .agent
        .draft("REFER", &who.room)
        .set("Refer-To", target)
        .set("Referred-By", who.agent.address());
    who.agent.exchange(&draft).code
}

/// The next report on the progress of a REFER.
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

pub(super) fn is_report(request: &Request) -> bool {
    request.method.as_str() == "NOTIFY"
        && request
            .headers
            .first("Event")
            .is_some_and(|event| event.starts_with("refer"))
}

/// Reports until the last one.
pub(super) fn last_report(who: &Participant) -> String {
    loop {
        let told = report(who);
        if told.starts_with("terminated") {
            return told;
        }
    }
}

#[test]
fn f04_f13_a_participant_is_added_by_refer() {
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
fn f06_an_invitation_is_withdrawn_while_it_rings() {
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

/// Runs a command of the operator; returns its answer.
fn manage(proxy: &Proxy, command: &str, arguments: &[&str]) -> Value {
    let separator = match proxy.host.family {
        Family::Kamailio => '.',
        Family::OpenSips => ':',
    };
    let method = format!("msrp_conference{separator}{command}");
    proxy.call(&method, json!(arguments))
}

#[test]
fn the_invited_are_shown_and_count_nowhere() {
    on_every_host(|host| {
        let small = "sip:small@127.0.0.1";
        let proxy = Plan::new(host)
            .parameter("notify_interval_ms", 100)
            .parameter("room", format!("{small};max=2"))
            .start();
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "small");
        let carol = Invited::new(&proxy, "carol");
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        let invite = carol.asked("INVITE");
        carol.answer(&invite, 180);
        while !report(&alice).contains("180") {}
        let known = |status, proxy: &Proxy| {
            let shown = manage(proxy, "show", &[small]);
            let users = shown["users"].as_array().cloned().unwrap_or_default();
            let hers = users.iter().find(|user| user["entity"] == carol.aor());
            let hers = hers.expect("she is shown");
            assert_eq!(hers["endpoints"][0]["status"], status);
            (
                hers["invited"].clone(),
                shown["participants"].as_u64(),
                users.len(),
            )
        };
        assert_eq!(known("alerting", &proxy), (true.into(), Some(1), 2));
        let listed = manage(&proxy, "list", &[]);
        let rooms = listed.as_array().expect("a list");
        let listed = rooms.iter().find(|room| room["uri"] == small);
        assert_eq!(listed.expect("the room")["participants"], 1);
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 1));
        let watch = alice.subscription.as_mut().expect("a subscription");
        while !watch.roster.users().contains(&carol.aor()) {
            let notify = watch.next(&alice.agent, PATIENCE);
            assert!(notify.is_some(), "she is not shown");
        }
        let connected = BTreeSet::from([alice.agent.address()]);
        assert_eq!(watch.roster.connected(), connected);
        // The room holds two: a party who does not answer keeps no place.
        let _bob = Participant::join(&proxy, "bob", Transport::Udp, "small");
        let headers = Headers::new()
            .with("Contact", carol.agent.contact())
            .with("Content-Type", "application/sdp");
        carol
            .agent
            .respond(&invite, 200, "late", headers, &offer(&client_path()));
        assert!(carol.agent.request("BYE", PATIENCE).is_some(), "no BYE");
        assert!(last_report(&alice).contains("486"));
        alice.sees(&["alice", "bob"]);
        assert_eq!(proxy.statistic("participants"), 2);
        assert!(wait_until(PATIENCE, || proxy.transactions() == 0));
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
pub(super) fn with_list(uris: &[String]) -> String {
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
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
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
        alice.send(&Dialog::new(&draft, &answer).ack(&alice));
        for guest in [&bob, &carol] {
            let invite = guest.asked("INVITE");
            let body = String::from_utf8_lossy(&invite.body).into_owned();
            assert!(body.contains("recipient-list-history"), "L08: {body}");
            guest.accept(&proxy, &invite, &sdp_of(&invite));
        }
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 3));
        proxy.stop();
    });
}

#[test]
fn f05_l01_by_default_the_listed_are_referred() {
    on_every_host(|host| {
        let proxy = Plan::new(host).parameter("notify_interval_ms", 100).start();
        let bob = Invited::new(&proxy, "bob");
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = alice
            .draft("INVITE", &proxy.room("team"))
            .set("Require", "recipient-list-invite")
            .body("multipart/mixed;boundary=b1", with_list(&[bob.uri()]));
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        alice.send(&Dialog::new(&draft, &answer).ack(&alice));
        let refer = bob.asked("REFER");
        let refer_to = refer.headers.first("Refer-To").unwrap_or_default();
        assert_eq!(refer_to, format!("<{}>", proxy.room("team")));
        let _bob = Participant::join(&proxy, "bob", Transport::Udp, "team");
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 2));
        proxy.stop();
    });
}

#[test]
fn fifty_parties_every_outcome_and_nothing_is_left() {
    on_every_host(|host| {
        let proxy = start(host);
        let guests: Vec<_> = (0..50)
            .map(|n| Invited::new(&proxy, &format!("guest{n}")))
            .collect();
        let uris: Vec<_> = guests.iter().map(Invited::uri).collect();
        let host_agent = Agent::new("alice", proxy.sip, Transport::Tcp);
        let draft = host_agent
            .draft("INVITE", &proxy.room("party"))
            .set("Require", "recipient-list-invite")
            .body("multipart/mixed;boundary=b1", with_list(&uris));
        let answer = host_agent.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        host_agent.send(&Dialog::new(&draft, &answer).ack(&host_agent));
        let mut watch = Subscription::start(&host_agent, &proxy.room("party"), 600);
        let mut links = Vec::new();
        let mut inside = BTreeSet::from(["sip:alice@127.0.0.1".to_owned()]);
        for (n, guest) in guests.iter().enumerate() {
            let invite = guest.asked("INVITE");
            match n % 5 {
                0 => guest.answer(&invite, 486),
                1 => guest.answer(&invite, 603),
                2 => guest.redirect(&invite, "sip:nobody@127.0.0.1:9"),
                3 => {
                    links.push(guest.accept(&proxy, &invite, &sdp_of(&invite)));
                    inside.insert(guest.agent.address());
                }
                // Never answers: tm gives up.
                _ => {}
            }
        }
        watch.follow(&host_agent, &inside);
        // Parties who never answered end with tm's time-out, and Alice, who never connects by MSRP,
        // with hers.
        inside.remove("sip:alice@127.0.0.1");
        let over = wait_until(Duration::from_secs(90), || {
            while watch.next(&host_agent, Duration::ZERO).is_some() {}
            watch.roster.users() == inside && proxy.transactions() == 0
        });
        let left = watch.roster.users();
        let more: Vec<_> = left.difference(&inside).collect();
        let transactions = proxy.transactions();
        assert!(over, "still there: {more:?}, {transactions} transactions");
        assert_eq!(proxy.statistic("participants"), 10);
        proxy.stop();
    });
}

#[test]
fn malformed_requests_get_their_answer_and_cost_nothing() {
    on_every_host(|host| {
        let proxy = start(host);
        let agent = Agent::new("alice", proxy.sip, Transport::Udp);
        let room = proxy.room("team");
        let list = |body: &str| {
            agent
                .draft("INVITE", &room)
                .body("multipart/mixed;boundary=b1", body)
        };
        let code = |draft: &Draft| agent.exchange(draft).code;
        let whole = with_list(&["sip:x@127.0.0.1".to_owned()]);
        let endless = whole.replace("--b1--", "");
        assert_eq!(code(&list(&endless)), 400, "no closing boundary");
        let bomb = whole.replace(
            "<resource-lists",
            "<!DOCTYPE r [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><resource-lists",
        );
        assert_eq!(code(&list(&bomb)), 400, "a DTD");
        let many: Vec<_> = (0..101).map(|n| format!("sip:u{n}@127.0.0.1")).collect();
        assert_eq!(code(&list(&with_list(&many))), 403, "max_list_size");
        let absurd = agent.draft("REFER", &room).set("Refer-To", "<<sip:>>;;;");
        assert_eq!(code(&absurd), 400);
        assert_eq!(proxy.statistic("conferences"), 0);
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        alice.dialog.cseq = 0x7FFF_FFFE;
        let last = alice.dialog.request(&alice.agent, "OPTIONS");
        assert_eq!(alice.agent.exchange(&last).code, 200);
        alice.dialog.cseq = 1;
        let late = alice.dialog.request(&alice.agent, "OPTIONS");
        assert_eq!(alice.agent.exchange(&late).code, 500, "CSeq out of order");
        proxy.stop();
    });
}

/// The offer inside an INVITE, which may also have a list.
fn sdp_of(invite: &Request) -> Vec<u8> {
    let body = InviteBody::read(&invite.headers, &invite.body).expect("a readable body");
    body.sdp.expect("an offer").to_vec()
}

#[test]
fn an_independent_client_moderates_and_brings_a_list() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("invite_mode", "dial_out")
            .parameter("factory", "sip:new@127.0.0.1")
            .start();
        for scenario in ["moderate", "list"] {
            let guest = Answering::start("guest", 1);
            let port = guest.port.to_string();
            sipp::run_with(scenario, proxy.sip, 1, 1, &["-key", "guest", &port]);
            guest.finish();
        }
        assert!(wait_until(PATIENCE, || proxy.statistic("conferences") == 0));
        proxy.stop();
    });
}
