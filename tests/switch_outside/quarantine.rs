//! The nickname of a user who has left stays reserved for a while, whichever of the two processes
//! dies meanwhile.

use crate::harness::agent::Transport;
use crate::harness::on_every_host;
use crate::harness::participant::Participant;
use crate::harness::proxy::Proxy;
use crate::program::Program;
use crate::proxy::{drives, plan, start};
use crate::stage::Folder;

/// Alice has a nickname and leaves; bob stays and may not have it.
fn alice_leaves_bob(proxy: &Proxy) -> Participant {
    let bob = Participant::join(proxy, "bob", Transport::Udp, "lobby").stays();
    let mut alice = Participant::join(proxy, "alice", Transport::Udp, "lobby");
    assert_eq!(alice.take_nickname("The Alice"), "200");
    alice.leave();
    assert_eq!(bob.take_nickname("the alice"), "425", "as long as all runs");
    bob
}

fn it_is_hers_still(proxy: &Proxy, bob: &Participant) {
    assert_eq!(bob.take_nickname("the alice"), "425", "and after it");
    let alice = Participant::join(proxy, "alice", Transport::Udp, "lobby");
    assert_eq!(alice.take_nickname("The Alice"), "200", "it is hers");
}

#[test]
fn g67_a_nickname_is_kept_by_the_switch_when_the_proxy_is_killed() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let plan = plan(host, &folder, program.msrp.port()).state_in(folder.path());
        let proxy = start(plan.clone());
        let bob = alice_leaves_bob(&proxy);
        proxy.kill_all();
        assert_eq!(bob.take_nickname("the alice"), "425", "nobody drives");
        let proxy = start(plan);
        it_is_hers_still(&proxy, &bob);
        proxy.stop();
    });
}

#[test]
fn g67_a_nickname_is_kept_by_the_focus_when_the_switch_is_killed() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let port = program.msrp.port();
        let proxy = start(plan(host, &folder, port));
        let mut bob = alice_leaves_bob(&proxy);
        drop(program);
        let _program = Program::start_at(&folder, port, &[]);
        drives(&proxy, 2);
        bob.come_back(&proxy);
        it_is_hers_still(&proxy, &bob);
        proxy.stop();
    });
}

/// Both at once: only the stored state is left.
#[test]
fn g67_a_nickname_is_kept_by_the_store_when_both_are_killed() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let port = program.msrp.port();
        let plan = plan(host, &folder, port).state_in(folder.path());
        let proxy = start(plan.clone());
        let mut bob = alice_leaves_bob(&proxy);
        drop(program);
        proxy.kill_all();
        let _program = Program::start_at(&folder, port, &[]);
        let proxy = start(plan);
        bob.come_back(&proxy);
        it_is_hers_still(&proxy, &bob);
        proxy.stop();
    });
}
