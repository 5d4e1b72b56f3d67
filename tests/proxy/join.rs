//! Joining, talking, leaving: the INVITE dialog.

use std::net::TcpListener;
use std::time::Duration;

use msrp_conference::wire::sdp::Description;

use crate::harness::agent::{Agent, Transport};
use crate::harness::draft::Dialog;
use crate::harness::host::Host;
use crate::harness::msrp::{Frame, Link};
use crate::harness::participant::{
    Participant, client_path, invite, offer, offer_with, path_of, subscribe,
};
use crate::harness::plan::Plan;
use crate::harness::proxy::wait_until;
use crate::harness::{PATIENCE, SILENCE, on_every_host};

#[test]
fn three_users_talk_over_udp() {
    on_every_host(|host| three_users_talk(host, Transport::Udp));
}

#[test]
fn three_users_talk_over_tcp() {
    on_every_host(|host| three_users_talk(host, Transport::Tcp));
}

fn three_users_talk(host: &Host, transport: Transport) {
    let proxy = Plan::new(host).parameter("notify_interval_ms", 100).start();
    let mut alice = Participant::join_and_subscribe(&proxy, "alice", transport, "lobby");
    alice.sees(&["alice"]);
    let mut bob = Participant::join_and_subscribe(&proxy, "bob", transport, "lobby");
    alice.sees(&["alice", "bob"]);
    bob.sees(&["alice", "bob"]);
    let mut carol = Participant::join_and_subscribe(&proxy, "carol", transport, "lobby");
    for each in [&mut alice, &mut bob, &mut carol] {
        each.sees(&["alice", "bob", "carol"]);
    }

    let words = alice.say("Hello – \u{1F44B}\r\n-------not$ an end\r\n\r\nof anything");
    bob.hears(&words);
    carol.hears(&words);
    let words = carol.say("");
    alice.hears(&words);
    bob.hears(&words);

    bob.leave();
    alice.sees(&["alice", "carol"]);
    carol.sees(&["alice", "carol"]);
    let words = alice.say("gone?");
    carol.hears(&words);
    carol.leave();
    alice.sees(&["alice"]);
    alice.leave();
    assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 0));
    assert_eq!(
        alice
            .link
            .inbox
            .count(|frame| frame.kind == "SEND" && frame.body.is_some()),
        0,
        "heard too much"
    );
    proxy.stop();
}

#[test]
fn u02_offerless_invite_gets_our_offer() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = alice.draft("INVITE", &proxy.room("lobby"));
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 200);
        let offered = Description::parse(&answer.body).expect("an offer");
        assert_eq!(offered.media[0].attribute("setup"), Some(Some("actpass")));
        assert_eq!(
            offered.media[0].attribute("accept-types"),
            Some(Some("message/cpim"))
        );

        let (own_path, room_path) = (client_path(), path_of(&answer.body));
        let dialog = Dialog::new(&draft, &answer);
        let sdp = offer_with(
            &own_path,
            "message/cpim",
            "a=setup:active\r\na=chatroom\r\n",
        );
        alice.send(&dialog.ack(&alice).body("application/sdp", sdp));
        let (room, subscription) = (proxy.room("lobby"), None);
        let link = Link::connect(proxy.msrp);
        let alice = Participant {
            agent: alice,
            room,
            dialog,
            answer,
            link,
            own_path,
            room_path,
            subscription,
        };
        assert!(
            wait_until(PATIENCE, || alice.link.exchange(&alice.bind()).kind
                == "200"),
            "never bound"
        );
        let words = alice.say("you offered");
        bob.hears(&words);
        proxy.stop();
    });
}

#[test]
fn c60_the_focus_connects_to_a_passive_answerer() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = alice.draft("INVITE", &proxy.room("lobby"));
        let answer = alice.exchange(&draft);
        let own_path = format!("msrp://{}/passive;tcp", listener.local_addr().unwrap());
        let sdp = offer_with(
            &own_path,
            "message/cpim",
            "a=setup:passive\r\na=chatroom\r\n",
        );
        alice.send(
            &Dialog::new(&draft, &answer)
                .ack(&alice)
                .body("application/sdp", sdp),
        );
        let mut accepted = None;
        assert!(wait_until(PATIENCE, || {
            accepted = listener.accept().ok();
            accepted.is_some()
        }));
        let stream = accepted.unwrap().0;
        stream.set_nonblocking(false).unwrap();
        let link = Link::over(stream);
        let bind = link
            .request("SEND", PATIENCE)
            .expect("RFC 4975 §5.4: the active side sends at once");
        assert_eq!(bind.value("To-Path"), Some(own_path.as_str()));
        let words = bob.say("over your connection");
        let heard = link.request("SEND", PATIENCE).and_then(|frame| frame.body);
        assert_eq!(heard, Some(words));
        proxy.stop();
    });
}

#[test]
fn f16_cancel_before_the_answer_gets_487() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let conference = proxy.conference_process();
        // The INVITE gets no answer while the conference process is stopped.
        proxy.signal(conference, "STOP");
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = invite(&alice, &proxy.room("lobby"), &client_path());
        alice.send(&draft);
        alice
            .response(&draft, PATIENCE, |code| code == 100)
            .expect("100");
        let cancel = draft.cancel();
        alice.send(&cancel);
        proxy.signal(conference, "CONT");
        assert_eq!(alice.final_response(&cancel).code, 200);
        assert_eq!(alice.final_response(&draft).code, 487);
        let left = || proxy.statistic("participants") + proxy.statistic("conferences");
        assert!(wait_until(PATIENCE, || left() == 0), "{} stay", left());
        assert!(
            wait_until(PATIENCE, || proxy.transactions() == 0),
            "a transaction stays"
        );
        proxy.stop();
    });
}

/// tm answers the INVITE on the script's order, without the focus.
#[test]
fn an_invite_cancelled_while_its_answer_waits_for_the_database_leaves_nobody_behind() {
    const SCRIPTS_OWN: &str =
        "if (is_method(\"CANCEL\")) { if (t_check_trans()) { t_relay(); } exit; }\n";
    on_every_host(|host| {
        for script in ["", SCRIPTS_OWN] {
            let folder = tempfile::tempdir().expect("a folder");
            let proxy = Plan::new(host)
                .script(script)
                .state_in(folder.path())
                .start();
            let file = folder.path().join("state.sqlite");
            let database = rusqlite::Connection::open(file).expect("the database");
            database.execute_batch("BEGIN IMMEDIATE").expect("a lock");
            let alice = Agent::new("alice", proxy.sip, Transport::Udp);
            let draft = invite(&alice, &proxy.room("lobby"), &client_path());
            alice.send(&draft);
            let waits = || proxy.log().contains("alice@127.0.0.1 joined");
            assert!(wait_until(PATIENCE, waits), "{}", proxy.log());
            assert_eq!(alice.exchange(&draft.cancel()).code, 200);
            // tm's 487 comes at once, and is acknowledged; the focus may still wait.
            let early = alice.response(&draft, SILENCE, |code| code >= 200);
            database.execute_batch("COMMIT").expect("the lock's end");
            let answer = early.unwrap_or_else(|| alice.final_response(&draft));
            if answer.code == 200 {
                let mut dialog = Dialog::new(&draft, &answer);
                alice.send(&dialog.ack(&alice));
                assert_eq!(alice.exchange(&dialog.request(&alice, "BYE")).code, 200);
            }
            let left = || ["participants", "sessions"].map(|name| proxy.statistic(name));
            let gone = wait_until(Duration::from_secs(1), || left() == [0, 0]);
            assert!(gone, "{:?} are left", left());
            Participant::join(&proxy, "alice", Transport::Udp, "lobby").leave();
            proxy.stop();
        }
    });
}

#[test]
fn a_cancel_that_matches_nothing_gets_481() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let cancel = invite(&alice, &proxy.room("lobby"), &client_path()).cancel();
        assert_eq!(alice.exchange(&cancel).code, 481);
        proxy.stop();
    });
}

#[test]
fn a_retransmitted_invite_joins_once() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = invite(&alice, &proxy.room("lobby"), &client_path());
        alice.send(&draft);
        alice.send(&draft);
        let answer = alice.final_response(&draft);
        alice.send(&draft);
        let again = alice.final_response(&draft);
        assert_eq!(answer.headers.first("To"), again.headers.first("To"));
        assert_eq!(answer.body, again.body);
        alice.send(&Dialog::new(&draft, &answer).ack(&alice));
        assert!(wait_until(PATIENCE, || proxy.statistic("joins") == 1));
        assert_eq!(proxy.statistic("participants"), 1);
        proxy.stop();
    });
}

#[test]
fn c86_an_unchanged_refresh_keeps_the_session() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        let sdp = offer(&alice.own_path);
        let refresh = alice
            .dialog
            .request(&alice.agent, "INVITE")
            .body("application/sdp", sdp);
        let answer = alice.agent.exchange(&refresh);
        alice.agent.send(&alice.dialog.ack(&alice.agent));
        assert_eq!(answer.code, 200);
        let (before, after) = (
            Description::parse(&alice.answer.body),
            Description::parse(&answer.body),
        );
        assert_eq!(before.unwrap(), after.unwrap());
        let words = alice.say("still on the same connection");
        bob.hears(&words);
        proxy.stop();
    });
}

#[test]
fn a_record_route_is_respected() {
    on_every_host(|host| {
        let proxy = Plan::new(host).parameter("notify_interval_ms", 100).start();
        let hop = Agent::new("hop", proxy.sip, Transport::Udp);
        let route = format!("<sip:{};lr>", hop.local);
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft =
            invite(&alice, &proxy.room("lobby"), &client_path()).add("Record-Route", &route);
        let answer = alice.exchange(&draft);
        assert_eq!(answer.headers.first("Record-Route"), Some(route.as_str()));
        let dialog = Dialog::new(&draft, &answer);
        // The test's hop forwards nothing: those requests go to the proxy directly.
        let near = Dialog {
            routes: Vec::new(),
            ..dialog
        };
        alice.send(&near.ack(&alice));

        let watch = subscribe(&alice, &proxy.room("lobby"), 600).add("Record-Route", &route);
        assert_eq!(alice.exchange(&watch).code, 200);
        let notify = hop
            .request("NOTIFY", PATIENCE)
            .expect("the NOTIFY does not pass the hop");
        assert_eq!(notify.headers.first("Route"), Some(route.as_str()));
        assert_eq!(format!("<{}>", notify.uri), alice.contact());

        let link = Link::connect(proxy.msrp);
        let bind = Frame::request("SEND", &path_of(&answer.body), &path_of(&draft.body))
            .header("Message-ID", "m1")
            .header("Byte-Range", "1-0/0");
        assert_eq!(link.exchange(&bind).kind, "200");
        proxy.signal(proxy.pid, "TERM");
        let bye = hop
            .request("BYE", PATIENCE)
            .expect("the BYE does not pass the hop");
        assert_eq!(bye.headers.first("Route"), Some(route.as_str()));
        assert!(proxy.exit(PATIENCE).is_some());
        proxy.assert_gone();
    });
}
