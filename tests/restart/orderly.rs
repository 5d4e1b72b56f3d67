//! Orderly stops, and the starts after them.

use serde_json::json;

use crate::harness::agent::{Agent, Transport};
use crate::harness::host::Family;
use crate::harness::participant::{Participant, client_path, invite};
use crate::harness::plan::Plan;
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, SILENCE, on_every_host};
use crate::{Folder, plan};

#[test]
fn flow4_who_answers_is_back_without_a_word_and_who_does_not_leaves() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder);
        let proxy = plan.clone().start();
        let watch = |user| Participant::join_and_subscribe(&proxy, user, Transport::Udp, "lobby");
        let (mut alice, mut bob) = (watch("alice").stays(), watch("bob").stays());
        let carol = Participant::join(&proxy, "carol", Transport::Udp, "lobby");
        carol.agent.answer("INVITE", None);
        alice.sees(&["alice", "bob", "carol"]);
        bob.sees(&["alice", "bob", "carol"]);
        proxy.stop();
        for one in [&alice, &bob, &carol] {
            let bye = one.agent.inbox.count(|it| {
                matches!(&it.message, msrp_conference::wire::sip::Message::Request(request)
                    if request.method.as_str() == "BYE")
            });
            assert_eq!(bye, 0, "{} got a BYE", one.agent.user);
        }
        let proxy = plan.start();
        alice.come_back(&proxy);
        bob.come_back(&proxy);
        let words = alice.say("I am back");
        bob.hears(&words);
        for one in [&mut alice, &mut bob] {
            // The next version, as a full document: an orderly stop loses no count.
            let subscription = one.subscription.as_mut().expect("a subscription");
            let before = subscription.roster.version().expect("a document");
            subscription
                .next(&one.agent, PATIENCE)
                .expect("a NOTIFY after the restart");
            assert_eq!(subscription.roster.version(), Some(before + 1));
            one.sees(&["alice", "bob"]);
        }
        assert!(carol.agent.request("BYE", PATIENCE).is_some());
        alice.leave();
        bob.sees(&["bob"]);
        bob.leave();
        proxy.stop();
    });
}

#[test]
fn over_tcp_dialogs_and_subscriptions_go_on_too() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder);
        let proxy = plan.clone().start();
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby").stays();
        let bob = Participant::join(&proxy, "bob", Transport::Tcp, "lobby");
        proxy.stop();
        let proxy = plan.start();
        alice.come_back(&proxy);
        // Bob's phone listens on no port: it cannot be called, and leaves.
        let mut judge = Participant::join_and_subscribe(&proxy, "judge", Transport::Udp, "lobby");
        judge.sees(&["alice", "judge"]);
        drop(bob);
        proxy.stop();
    });
}

#[test]
fn nicknames_are_given_back() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder);
        let proxy = plan.clone().start();
        let mut alice =
            Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby").stays();
        assert_eq!(alice.take_nickname("The Alice"), "200");
        let named = |alice: &mut Participant| {
            let key = alice.agent.address();
            loop {
                let subscription = alice.subscription.as_mut().expect("hers");
                if subscription.roster.nicknames().contains_key(&key) {
                    return;
                }
                let come = subscription.next(&alice.agent, PATIENCE);
                come.expect("a NOTIFY with the nickname");
            }
        };
        named(&mut alice);
        proxy.stop();
        let proxy = plan.start();
        alice.come_back(&proxy);
        let bob = Participant::join_and_subscribe(&proxy, "bob", Transport::Udp, "lobby");
        let roster = &bob.subscription.as_ref().expect("his").roster;
        assert_eq!(roster.nicknames().len(), 1);
        assert_eq!(bob.take_nickname("the alice"), "425", "it is hers");
        proxy.stop();
    });
}

#[test]
fn without_a_database_everybody_gets_bye_and_no_file_is_made() {
    on_every_host(|host| {
        let folder = Folder::new();
        let proxy = Plan::new(host).parameter("db_path", "").start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        proxy.stop();
        assert!(alice.agent.request("BYE", SILENCE).is_some());
        assert!(!folder.database().exists());
    });
}

#[test]
fn a_lobby_that_nobody_is_in_costs_nothing_to_restart() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder);
        for _ in 0..2 {
            let proxy = plan.clone().start();
            let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
            alice.leave();
            let gone = || proxy.statistic("conferences") == 0;
            assert!(wait_until(PATIENCE, gone));
            proxy.stop();
        }
    });
}

/// The answer to an operator is a promise, too.
#[test]
fn rooms_roles_and_bans_of_management_outlast_a_kill() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder).parameter("adhoc", "no");
        let proxy = plan.clone().start();
        let order = |proxy: &Proxy, command: &str, arguments: &[&str]| {
            let separator = match host.family {
                Family::Kamailio => '.',
                Family::OpenSips => ':',
            };
            proxy.call(
                &format!("msrp_conference{separator}{command}"),
                json!(arguments),
            )
        };
        order(&proxy, "create", &["sip:team@127.0.0.1;max=3"]);
        order(&proxy, "create", &["sip:gone@127.0.0.1"]);
        let mut alice =
            Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "team").stays();
        order(
            &proxy,
            "role",
            &["sip:team@127.0.0.1", "sip:alice@127.0.0.1", "moderator"],
        );
        order(&proxy, "end", &["sip:gone@127.0.0.1"]);
        proxy.kill_all();
        let proxy = plan.start();
        alice.come_back(&proxy);
        let shown = order(&proxy, "show", &["sip:team@127.0.0.1"]);
        assert_eq!(shown["users"][0]["role"], "moderator", "{shown}");
        let listed = order(&proxy, "list", &[]).to_string();
        assert!(listed.contains("sip:team@127.0.0.1"), "{listed}");
        assert!(!listed.contains("sip:gone@127.0.0.1"), "{listed}");
        let agent = Agent::new("bob", proxy.sip, Transport::Udp);
        let draft = invite(&agent, &proxy.room("gone"), &client_path());
        assert_eq!(agent.exchange(&draft).code, 404);
        alice.leave();
        proxy.stop();
    });
}
