//! Unusable databases.

use std::fs;

use crate::harness::agent::{Agent, Transport};
use crate::harness::participant::{Participant, client_path, invite};
use crate::harness::plan::Plan;
use crate::harness::proxy::wait_until;
use crate::harness::{PATIENCE, on_every_host};
use crate::{Folder, plan};

#[test]
fn a_damaged_database_refuses_the_start_or_is_left_alone() {
    on_every_host(|host| {
        let folder = Folder::new();
        fs::write(folder.database(), vec![b'x'; 9000]).expect("garbage");
        let said = plan(host, &folder).start_refused();
        assert!(said.contains("damaged"), "{said}");
        assert!(said.contains("move it away to start empty"), "{said}");
        let proxy = plan(host, &folder)
            .parameter("db_on_error", "memory")
            .start();
        assert!(proxy.log().contains("Conferences are kept in memory"));
        // It may hold rules of any room, so nobody joins.
        let stranger = Agent::new("mallory", proxy.sip, Transport::Udp);
        let refused = stranger.exchange(&invite(&stranger, &proxy.room("lobby"), &client_path()));
        assert_eq!(refused.code, 503, "{}", proxy.log());
        assert!(refused.headers.first("Retry-After").is_some());
        let garbage = fs::read(folder.database()).expect("it is there");
        assert_eq!(garbage, vec![b'x'; 9000], "nothing was changed");
        // Repaired while the proxy runs: everything goes into the new file.
        fs::remove_file(folder.database()).expect("moved away");
        let written = || proxy.log().contains("everything is in the database again");
        assert!(wait_until(PATIENCE, written), "{}", proxy.log());
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby").stays();
        proxy.kill_all();
        // The ports of the first plan: alice's phone sends there.
        let proxy = plan(host, &folder)
            .ports(proxy.sip.port(), proxy.msrp.port())
            .start();
        alice.come_back(&proxy);
        proxy.stop();
    });
}

#[test]
fn two_proxies_do_not_share_a_database() {
    on_every_host(|host| {
        let folder = Folder::new();
        let first = plan(host, &folder).start();
        let said = plan(host, &folder).start_refused();
        assert!(
            said.contains("another process uses this database"),
            "{said}"
        );
        let alice = Participant::join(&first, "alice", Transport::Udp, "lobby");
        drop(alice);
        first.stop();
    });
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    on_every_host(|host| {
        let folder = Folder::new();
        let path = folder.0.path().join("not/there/state.sqlite");
        let proxy = Plan::new(host).parameter("db_path", path.display()).start();
        let said = proxy.log();
        assert!(said.contains("no such folder"), "{said}");
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        proxy.stop();
        assert!(
            alice.agent.request("BYE", PATIENCE).is_some(),
            "nothing is kept"
        );
    });
}
