//! The history of rooms: newcomers get earlier messages, over restarts too.

use serde_json::json;

use crate::harness::agent::Transport;
use crate::harness::host::{Family, Host};
use crate::harness::on_every_host;
use crate::harness::participant::Participant;
use crate::harness::plan::Plan;
use crate::harness::proxy::Proxy;
use crate::harness::stored::{await_history, history_in, text_of};
use crate::{Folder, plan};

const DEN: &str = "sip:den@127.0.0.1";

/// A room that keeps three messages.
fn with_den(host: &Host, folder: &Folder) -> Plan {
    plan(host, folder).parameter("room", format!("{DEN};history=3"))
}

fn join(proxy: &Proxy, user: &str) -> Participant {
    Participant::join(proxy, user, Transport::Udp, "den")
}

/// The next messages it receives must be these.
fn hears_all(one: &Participant, messages: &[&Vec<u8>]) {
    for message in messages {
        one.hears(message);
    }
}

/// Checks that `one` has missed nothing: the next message they receive is this one.
fn hears_nothing_but(one: &Participant, speaker: &Participant, text: &str) {
    let words = speaker.say(text);
    one.hears(&words);
}

#[test]
fn a_newcomer_sees_the_last_messages_also_after_a_kill_and_nobody_sees_them_twice() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = with_den(host, &folder);
        let proxy = plan.clone().start();
        let mut alice = join(&proxy, "alice").stays();
        let said = ["one", "two", "three", "four"].map(|text| alice.say(text));
        let mut bob = join(&proxy, "bob").stays();
        hears_all(&bob, &[&said[1], &said[2], &said[3]]);
        hears_nothing_but(&alice, &bob, "five");
        await_history(&folder.database(), DEN, &["three", "four", "five"]);
        proxy.kill_all();

        let proxy = plan.clone().start();
        alice.come_back(&proxy);
        bob.come_back(&proxy);
        let carol = join(&proxy, "carol");
        let heard: Vec<_> = (0..3).map(|_| carol.hear().body.expect("words")).collect();
        assert_eq!(&heard[..2], [said[2].clone(), said[3].clone()]);
        assert_eq!(text_of(&heard[2]), "five");
        let six = carol.say("six");
        alice.hears(&six);
        bob.hears(&six);
        hears_nothing_but(&bob, &alice, "seven");
        await_history(&folder.database(), DEN, &["five", "six", "seven"]);
        proxy.stop();

        // In order, and nobody is in any more.
        drop((alice, bob, carol));
        let proxy = plan.start();
        let dave = join(&proxy, "dave");
        let heard = (0..3).map(|_| text_of(&dave.hear().body.expect("words")));
        assert_eq!(heard.collect::<Vec<_>>(), ["five", "six", "seven"]);
        proxy.stop();
    });
}

#[test]
fn a_history_outlives_an_empty_room_and_ends_by_management() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder);
        let proxy = plan.clone().start();
        let order = |proxy: &Proxy, command: &str, argument: &str| {
            let separator = match host.family {
                Family::Kamailio => '.',
                Family::OpenSips => ':',
            };
            let method = format!("msrp_conference{separator}{command}");
            proxy.call(&method, json!([argument]))
        };
        order(&proxy, "create", &format!("{DEN};history=2"));
        let shown = order(&proxy, "show", DEN);
        assert_eq!(shown["history"], 2, "{shown}");
        let mut alice = join(&proxy, "alice");
        let said = ["one", "two"].map(|text| alice.say(text));
        alice.leave();
        await_history(&folder.database(), DEN, &["one", "two"]);
        let bob = join(&proxy, "bob");
        hears_all(&bob, &[&said[0], &said[1]]);
        drop(bob);
        proxy.kill_all();
        let proxy = plan.start();
        let carol = join(&proxy, "carol");
        hears_all(&carol, &[&said[0], &said[1]]);
        order(&proxy, "end", DEN);
        // An answered message is stored.
        assert_eq!(history_in(&folder.database(), DEN), Vec::<String>::new());
        order(&proxy, "create", &format!("{DEN};history=2"));
        let dave = join(&proxy, "dave");
        let erin = join(&proxy, "erin");
        hears_nothing_but(&dave, &erin, "first");
        hears_nothing_but(&erin, &dave, "second");
        await_history(&folder.database(), DEN, &["first", "second"]);
        proxy.stop();
    });
}

#[test]
fn without_a_database_a_history_lasts_as_long_as_the_proxy() {
    on_every_host(|host| {
        let plan = Plan::new(host)
            .parameter("db_path", "")
            .parameter("room", format!("{DEN};history=3"));
        let proxy = plan.clone().start();
        let mut alice = join(&proxy, "alice");
        let said = ["one", "two"].map(|text| alice.say(text));
        let mut bob = join(&proxy, "bob");
        hears_all(&bob, &[&said[0], &said[1]]);
        alice.leave();
        bob.leave();
        let carol = join(&proxy, "carol");
        hears_all(&carol, &[&said[0], &said[1]]);
        proxy.stop();
        let proxy = plan.start();
        let dave = join(&proxy, "dave");
        let erin = join(&proxy, "erin");
        hears_nothing_but(&dave, &erin, "nothing is left");
        proxy.stop();
    });
}

/// Private messages and typing notices do not belong to the history.
#[test]
fn what_is_not_said_to_the_room_is_not_in_the_file() {
    on_every_host(|host| {
        let folder = Folder::new();
        let proxy = with_den(host, &folder).start();
        let alice = join(&proxy, "alice");
        let bob = join(&proxy, "bob");
        let private = crate::harness::participant::cpim(
            &alice.agent.address(),
            &bob.agent.address(),
            "between us",
        );
        let typing = String::from_utf8(alice.words("typing")).expect("text");
        let typing = typing.replace("text/plain", "application/im-iscomposing+xml");
        for body in [private, typing.into_bytes(), alice.words("hello")] {
            assert_eq!(alice.link.exchange(&alice.frame(&body)).kind, "200");
            bob.hears(&body);
        }
        await_history(&folder.database(), DEN, &["hello"]);
        let carol = join(&proxy, "carol");
        assert_eq!(text_of(&carol.hear().body.expect("words")), "hello");
        hears_nothing_but(&carol, &alice, "and that was all");
        proxy.stop();
    });
}
