//! SUBSCRIBE and NOTIFY of the conference event.

use std::time::Duration;

use msrp_conference::wire::conference_info::State;
use msrp_conference::wire::sip::{Request, SubscriptionState};

use crate::harness::agent::{Agent, Transport};
use crate::harness::host::Host;
use crate::harness::participant::{Participant, Subscription, subscribe};
use crate::harness::plan::Plan;
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, SILENCE, on_every_host};

fn quick(host: &Host) -> Proxy {
    Plan::new(host).parameter("notify_interval_ms", 100).start()
}

fn state(notify: &Request) -> SubscriptionState {
    let value = notify
        .headers
        .first("Subscription-State")
        .expect("E32: Subscription-State");
    value.parse().expect("a Subscription-State")
}

#[test]
fn e04_e06_full_first_then_partial_with_a_version_each() {
    on_every_host(|host| {
        let proxy = quick(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby");
        alice.sees(&["alice"]);
        let mut bob = Participant::join_and_subscribe(&proxy, "bob", Transport::Udp, "lobby");
        alice.sees(&["alice", "bob"]);
        bob.sees(&["alice", "bob"]);
        let mut carol = Participant::join(&proxy, "carol", Transport::Udp, "lobby");
        alice.sees(&["alice", "bob", "carol"]);
        bob.sees(&["alice", "bob", "carol"]);
        carol.leave();
        alice.sees(&["alice", "bob"]);
        bob.sees(&["alice", "bob"]);
        for each in [&alice, &bob] {
            // The roster itself asserts that the versions are in sequence.
            let kinds = &each.subscription.as_ref().unwrap().roster.kinds;
            assert_eq!(kinds[0], State::Full);
            assert!(
                kinds[1..].iter().all(|kind| *kind == State::Partial),
                "{kinds:?}"
            );
        }
        proxy.stop();
    });
}

#[test]
fn e32_every_notify_carries_the_time_left() {
    on_every_host(|host| {
        let proxy = quick(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let draft = subscribe(&alice.agent, &alice.room, 600);
        let answer = alice.agent.exchange(&draft);
        assert_eq!(
            (answer.code, answer.headers.first("Expires")),
            (200, Some("600"))
        );
        let notify = alice.agent.request("NOTIFY", PATIENCE).expect("a NOTIFY");
        let state = state(&notify);
        assert_eq!(state.state, "active");
        let left: u64 = state
            .params
            .value("expires")
            .expect("expires")
            .parse()
            .unwrap();
        assert!((590..=600).contains(&left), "{left}");
        assert!(notify.headers.first("Contact").is_some());
        proxy.stop();
    });
}

#[test]
fn e11_a_burst_of_joins_is_one_document() {
    on_every_host(|host| {
        // The default pace: 5 s (RFC 4575 §3.9).
        let proxy = Plan::new(host).start();
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby");
        let first = alice.subscription.as_ref().unwrap().last;
        let crowd: Vec<_> = ["bob", "carol", "dave", "erin"]
            .iter()
            .map(|user| Participant::join(&proxy, user, Transport::Udp, "lobby"))
            .collect();
        alice.sees(&["alice", "bob", "carol", "dave", "erin"]);
        let subscription = alice.subscription.as_ref().unwrap();
        assert!(
            subscription.roster.kinds.len() <= 3,
            "{:?}",
            subscription.roster.kinds
        );
        assert!(
            subscription.last - first >= Duration::from_millis(4_900),
            "{:?}",
            subscription.last - first
        );
        drop(crowd);
        proxy.stop();
    });
}

#[test]
fn a_refresh_gets_a_full_document() {
    on_every_host(|host| {
        let proxy = quick(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby");
        let subscription = alice.subscription.as_mut().unwrap();
        let refresh = subscription
            .dialog
            .request(&alice.agent, "SUBSCRIBE")
            .set("Event", "conference")
            .set("Expires", "300");
        let answer = alice.agent.exchange(&refresh);
        assert_eq!(
            (answer.code, answer.headers.first("Expires")),
            (200, Some("300"))
        );
        subscription
            .next(&alice.agent, PATIENCE)
            .expect("E04: a NOTIFY on refresh");
        assert_eq!(subscription.roster.kinds.last(), Some(&State::Full));
        proxy.stop();
    });
}

#[test]
fn expires_0_ends_the_subscription() {
    on_every_host(|host| {
        let proxy = quick(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby");
        let subscription = alice.subscription.as_mut().unwrap();
        let end = subscription
            .dialog
            .request(&alice.agent, "SUBSCRIBE")
            .set("Event", "conference")
            .set("Expires", "0");
        assert_eq!(alice.agent.exchange(&end).code, 200);
        let last = subscription
            .next(&alice.agent, PATIENCE)
            .expect("a last NOTIFY");
        assert_eq!(state(&last).state, "terminated");
        assert!(wait_until(PATIENCE, || proxy.statistic("subscriptions") == 0));
        let _bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        assert!(
            alice.agent.request("NOTIFY", SILENCE).is_none(),
            "a NOTIFY after the end"
        );
        proxy.stop();
    });
}

#[test]
fn a_fetch_gets_one_full_document() {
    on_every_host(|host| {
        let proxy = quick(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let mut fetched = Subscription::start(&alice.agent, &alice.room, 0);
        assert_eq!(fetched.roster.kinds, [State::Full]);
        fetched.follow(&alice.agent, &["sip:alice@127.0.0.1".to_owned()].into());
        assert!(wait_until(PATIENCE, || proxy.statistic("subscriptions") == 0));
        proxy.stop();
    });
}

#[test]
fn e30_other_events_get_489_and_short_ones_423() {
    on_every_host(|host| {
        let proxy = quick(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let answer = alice
            .agent
            .exchange(&subscribe(&alice.agent, &alice.room, 600).set("Event", "presence"));
        assert_eq!(answer.code, 489);
        assert!(answer.headers.has_token("Allow-Events", "conference"));
        let answer = alice
            .agent
            .exchange(&subscribe(&alice.agent, &alice.room, 59));
        assert_eq!(answer.code, 423);
        assert!(
            answer
                .headers
                .first("Min-Expires")
                .is_some_and(|least| least == "60")
        );
        let answer = alice
            .agent
            .exchange(&subscribe(&alice.agent, &alice.room, 86_400));
        assert_eq!(
            (answer.code, answer.headers.first("Expires")),
            (200, Some("3600"))
        );
        proxy.stop();
    });
}

#[test]
fn e01_a_subscriber_who_cannot_read_it_gets_406() {
    on_every_host(|host| {
        let proxy = quick(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let draft = subscribe(&alice.agent, &alice.room, 600).set("Accept", "application/pidf+xml");
        assert_eq!(alice.agent.exchange(&draft).code, 406);
        proxy.stop();
    });
}

#[test]
fn a_room_that_does_not_exist_gets_404() {
    on_every_host(|host| {
        let proxy = quick(host);
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        assert_eq!(
            alice
                .exchange(&subscribe(&alice, &proxy.room("empty"), 600))
                .code,
            404
        );
        proxy.stop();
    });
}

#[test]
fn e02_the_end_of_the_room_ends_the_subscription() {
    on_every_host(|host| {
        let proxy = quick(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "party");
        alice.leave();
        let subscription = alice.subscription.as_mut().unwrap();
        loop {
            let notify = subscription
                .next(&alice.agent, PATIENCE)
                .expect("no NOTIFY terminated");
            let state = state(&notify);
            if state.state == "terminated" {
                assert_eq!(state.params.value("reason"), Some("noresource"));
                break;
            }
        }
        assert!(wait_until(PATIENCE, || proxy.statistic("conferences")
            + proxy.statistic("subscriptions")
            == 0));
        proxy.stop();
    });
}

#[test]
fn e33_a_subscriber_who_refuses_is_forgotten() {
    on_every_host(|host| {
        let proxy = quick(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby");
        alice.agent.answer("NOTIFY", Some(481));
        let _bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        alice
            .subscription
            .as_mut()
            .unwrap()
            .next(&alice.agent, PATIENCE)
            .expect("a NOTIFY");
        assert!(wait_until(PATIENCE, || proxy.statistic("subscriptions") == 0));
        proxy.stop();
    });
}
