//! The history of rooms with the switch outside: messages sent while there is no focus belong to
//! it, too.

use crate::harness::agent::Transport;
use crate::harness::on_every_host;
use crate::harness::participant::Participant;
use crate::harness::proxy::Proxy;
use crate::harness::stored::{await_history, text_of};
use crate::program::Program;
use crate::proxy::{drives, plan, start};
use crate::stage::Folder;

const DEN: &str = "sip:den@127.0.0.1";

fn join(proxy: &Proxy, user: &str) -> Participant {
    Participant::join(proxy, user, Transport::Udp, "den")
}

fn hears_texts(one: &Participant, texts: &[&str]) {
    let heard = texts
        .iter()
        .map(|_| text_of(&one.hear().body.expect("words")));
    assert_eq!(heard.collect::<Vec<_>>(), texts);
}

#[test]
fn flow4_what_is_said_while_nobody_drives_is_in_the_history_whoever_dies() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let port = program.msrp.port();
        let plan = plan(host, &folder, port)
            .state_in(folder.path())
            .parameter("room", format!("{DEN};history=10"));
        let database = folder.path().join("state.sqlite");
        let proxy = start(plan.clone());
        let mut alice = join(&proxy, "alice").stays();
        let mut bob = join(&proxy, "bob").stays();
        alice.say("one");
        hears_texts(&bob, &["one"]);
        await_history(&database, DEN, &["one"]);

        // The proxy dies, and the conversation goes on.
        proxy.kill_all();
        alice.say("nobody drives");
        hears_texts(&bob, &["nobody drives"]);
        let proxy = start(plan.clone());
        let carol = join(&proxy, "carol");
        hears_texts(&carol, &["one", "nobody drives"]);
        carol.say("back again");
        hears_texts(&alice, &["back again"]);
        hears_texts(&bob, &["back again"]);
        await_history(&database, DEN, &["one", "nobody drives", "back again"]);

        // The switch dies: its next run gets the history from the focus.
        drop((program, carol));
        let program = Program::start_at(&folder, port, &[]);
        drives(&proxy, 2);
        alice.come_back(&proxy);
        bob.come_back(&proxy);
        let dave = join(&proxy, "dave");
        hears_texts(&dave, &["one", "nobody drives", "back again"]);
        bob.say("where were we?");
        hears_texts(&alice, &["where were we?"]);
        hears_texts(&dave, &["where were we?"]);
        let all = ["one", "nobody drives", "back again", "where were we?"];
        await_history(&database, DEN, &all);

        // Both die.
        proxy.kill_all();
        drop((program, dave));
        let _program = Program::start_at(&folder, port, &[]);
        let proxy = start(plan);
        alice.come_back(&proxy);
        let erin = join(&proxy, "erin");
        hears_texts(&erin, &all);
        erin.say("and on it goes");
        hears_texts(&alice, &["and on it goes"]);
        proxy.stop();
    });
}
