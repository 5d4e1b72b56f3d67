//! Losses under overload, and their limits.

use std::time::Duration;

use msrp_conference::wire::sip::Message;

use super::harness::agent::{Agent, Received, Transport, unique};
use super::harness::draft::Dialog;
use super::harness::msrp::{Frame, Link};
use super::harness::participant::{client_path, offer, path_of};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};

/// Sends requests of others until the queue of the stopped conference process is full.
fn fill(proxy: &Proxy) {
    let crowd = Agent::new("crowd", proxy.sip, Transport::Udp);
    let filler = "z".repeat(1_500);
    let full = (0..200).any(|_| {
        for _ in 0..100 {
            let draft = crowd.draft("OPTIONS", &proxy.room("lobby"));
            crowd.send(&draft.set("Subject", &filler));
        }
        let refused = |received: &Received| {
            matches!(&received.message, Message::Response(response) if response.code == 503)
        };
        let patience = Duration::from_millis(20);
        crowd.inbox.take(patience, refused).is_some()
    });
    assert!(full, "20,000 requests in the queue of a stopped process");
}

#[test]
fn an_ack_that_finds_the_queue_full_is_not_lost_for_good() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        // One connection handles one request after the other.
        let alice = Agent::new("alice", proxy.sip, Transport::Tcp);
        // The ACK carries the answer: without it the session cannot be used.
        let draft = alice.draft("INVITE", &proxy.room("team"));
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 200);
        let own = client_path();
        let ack = || {
            let ack = Dialog::new(&draft, &answer).ack(&alice);
            let ack = ack.set("Subject", "z".repeat(3_000));
            ack.body("application/sdp", offer(&own))
        };
        let conference = proxy.conference_process();
        proxy.signal(conference, "STOP");
        fill(&proxy);
        alice.send(&ack());
        let next = alice.draft("OPTIONS", &proxy.room("team"));
        let next = alice.exchange(&next.set("Subject", "z".repeat(3_000))).code;
        proxy.signal(conference, "CONT");
        assert_eq!(next, 503, "there was room for the ACK");
        let link = Link::connect(proxy.msrp);
        let bind = Frame::request("SEND", &path_of(&answer.body), &own)
            .header("Message-ID", format!("m{}", unique()))
            .header("Byte-Range", "1-0/0");
        link.send(&bind);
        let mut bound = None;
        wait_until(PATIENCE, || {
            // A repeated 200 gets its ACK again (RFC 3261 §13.2.2.4).
            if alice
                .response(&draft, Duration::ZERO, |code| code == 200)
                .is_some()
            {
                alice.send(&ack());
            }
            bound = link.response(&bind, Duration::from_millis(50));
            bound.is_some()
        });
        let bound = bound.expect("the ACK is lost for good");
        assert_eq!(bound.kind, "200", "the participant is out");
        // The queue must be processed before the gauge moves.
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 1));
        assert_eq!(proxy.statistic("losses"), 0);
        proxy.stop();
    });
}
