//! A 200 whose ACK is late, or never comes (RFC 3261 §13.3.1.4).

use std::time::{Duration, Instant};

use msrp_conference::wire::sip::{Message, Response};

use crate::harness::agent::{Agent, Transport};
use crate::harness::draft::{Dialog, Draft};
use crate::harness::host::{Family, Host};
use crate::harness::participant::{client_path, invite};
use crate::harness::plan::Plan;
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, SILENCE, on_every_host};

/// 64*T1.
const WHOLE: Duration = Duration::from_secs(32);
/// T2: the longest pause between two copies of an answer.
const T2: Duration = Duration::from_secs(4);
/// Allowance for a busy machine.
const LATE: Duration = Duration::from_secs(3);

/// A proxy whose operator wants transactions to end early, and a room that waits for MSRP.
fn start(host: &Host) -> Proxy {
    let tm = match host.family {
        Family::Kamailio => "modparam(\"tm\", \"fr_timer\", 5000)",
        Family::OpenSips => "modparam(\"tm\", \"fr_timeout\", 5)",
    };
    let plan = Plan::new(host).lines(tm);
    plan.parameter("bind_timeout", 120).start()
}

/// The next 200 to this INVITE, and its time.
fn answer(agent: &Agent, invite: &Draft, patience: Duration) -> Option<(Response, Instant)> {
    let received = agent
        .inbox
        .take(patience, |received| match &received.message {
            Message::Response(response) => {
                let call_id = response.headers.first("Call-ID");
                response.code == 200 && call_id == Some(invite.header("Call-ID"))
            }
            Message::Request(_) => false,
        })?;
    match received.message {
        Message::Response(response) => Some((response, received.at)),
        Message::Request(_) => None,
    }
}

#[test]
fn f17_a_200_without_ack_is_repeated_over_64_t1_and_bye_follows() {
    on_every_host(|host| {
        let proxy = start(host);
        let callers = [Transport::Udp, Transport::Tcp].map(|transport| {
            let agent = Agent::new("alice", proxy.sip, transport);
            let invite = invite(&agent, &proxy.room("lobby"), &client_path());
            agent.send(&invite);
            (agent, invite)
        });
        for (agent, invite) in &callers {
            let first = answer(agent, invite, PATIENCE).expect("a 200");
            let bye = agent.timed_request(WHOLE + LATE, |it| it.method.as_str() == "BYE");
            let (_, bye) = bye.expect("no BYE");
            let waited = bye - first.1;
            assert!(waited + LATE > WHOLE, "BYE after {waited:?}");
            let mut last = first.clone();
            while let Some(next) = answer(agent, invite, Duration::ZERO) {
                let pause = next.1 - last.1;
                assert!(pause < T2 + LATE, "{pause:?} between two copies");
                assert_eq!(next.0, first.0, "the same answer");
                last = next;
            }
            let end = last.1 - first.1;
            assert!(end + T2 + LATE > WHOLE, "repeated for {end:?} only");
        }
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 0));
        assert!(wait_until(PATIENCE, || proxy.transactions() == 0));
        proxy.stop();
    });
}

#[test]
fn f17_who_comes_out_of_a_tunnel_is_in_and_hears_the_200_no_more() {
    on_every_host(|host| {
        let proxy = start(host);
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let invite = invite(&alice, &proxy.room("lobby"), &client_path());
        alice.send(&invite);
        let (first, start) = answer(&alice, &invite, PATIENCE).expect("a 200");
        // Longer than the proxy keeps other transactions.
        let mut last = start;
        while last - start < Duration::from_secs(11) {
            (_, last) = answer(&alice, &invite, T2 + LATE).expect("it is repeated");
        }
        alice.send(&invite);
        let (again, at) = answer(&alice, &invite, SILENCE).expect("an INVITE that comes again");
        assert_eq!(again, first, "the same answer");
        assert!(at - last < T2, "at once");
        assert_eq!(proxy.statistic("participants"), 1);
        let mut dialog = Dialog::new(&invite, &first);
        alice.send(&dialog.ack(&alice));
        // One may have been on its way.
        let silence = || answer(&alice, &invite, T2 + LATE).is_none();
        assert!(silence() || silence(), "repeated after the ACK");
        assert!(wait_until(PATIENCE, || proxy.transactions() == 0));
        assert_eq!(proxy.statistic("participants"), 1);
        let bye = dialog.request(&alice, "BYE");
        assert_eq!(alice.exchange(&bye).code, 200);
        proxy.stop();
    });
}

#[test]
fn a_proxy_stops_while_a_200_waits_for_its_ack() {
    on_every_host(|host| {
        let proxy = start(host);
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let invite = invite(&alice, &proxy.room("lobby"), &client_path());
        alice.send(&invite);
        assert!(answer(&alice, &invite, PATIENCE).is_some());
        proxy.stop();
    });
}
