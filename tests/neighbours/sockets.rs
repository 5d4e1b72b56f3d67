//! OpenSIPS' sockets_mgm: sockets come and go while rooms live.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::harness::agent::{Agent, Transport};
use super::harness::host::Family;
use super::harness::participant::{Participant, Subscription};
use super::harness::plan::{Plan, free_port};
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};
use super::story::folder;

/// The tables of sockets_mgm.
fn tables(file: &Path) -> Connection {
    let database = Connection::open(file).expect("a database");
    let made = database.execute_batch(
        "CREATE TABLE version (table_name TEXT, table_version INTEGER);
         INSERT INTO version VALUES ('sockets', 1);
         CREATE TABLE sockets (id INTEGER PRIMARY KEY, socket TEXT, advertised TEXT, tag TEXT,
                               flags TEXT, tos TEXT);",
    );
    made.expect("tables");
    database
}

/// Reloads the tables; the conference process must then have seen this many changes.
fn reload(proxy: &Proxy, changes: usize) {
    let conference = format!("[{}]", proxy.conference_process());
    proxy.call("sockets_reload", json!([]));
    let heard = || {
        let log = proxy.log();
        let is_it = |line: &&str| line.contains(&conference) && line.contains("Reloading process");
        log.lines().filter(is_it).count()
    };
    assert!(wait_until(PATIENCE, || heard() == changes), "{}", heard());
}

/// Whether a proxy answers at this socket.
fn is_open(door: &Agent, room: &str) -> bool {
    let options = door.draft("OPTIONS", room);
    door.send(&options);
    let patience = Duration::from_millis(300);
    door.response(&options, patience, |code| code == 200)
        .is_some()
}

#[test]
fn nothing_is_written_to_a_socket_that_went_away() {
    on_every_host(|host| {
        let modules = ["db_sqlite", "sockets_mgm"];
        if host.family != Family::OpenSips || !host.has_modules(&modules) {
            return;
        }
        let folder = folder();
        let door = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = folder.path().join("sockets.sqlite");
        let database = tables(&file);
        let proxy = Plan::new(host)
            .parameter("notify_interval_ms", 100)
            .lines(&format!(
                "loadmodule \"db_sqlite.so\"\nloadmodule \"sockets_mgm.so\"\n\
                 modparam(\"sockets_mgm\", \"processes\", 2)\n\
                 modparam(\"sockets_mgm\", \"db_url\", \"sqlite://{}\")\n",
                file.display()
            ))
            .start();
        let row = format!("INSERT INTO sockets (socket) VALUES ('udp:{door}')");
        database.execute_batch(&row).expect("a row");
        reload(&proxy, 1);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let watcher = Agent::new("watcher", door, Transport::Udp);
        let room = proxy.room("team");
        assert!(wait_until(PATIENCE, || is_open(&watcher, &room)));
        let mut watch = Subscription::start(&watcher, &room, 600);
        let truth = |users: &[&str]| {
            let uri = |user: &&str| format!("sip:{user}@127.0.0.1");
            users.iter().map(uri).collect()
        };
        watch.follow(&watcher, &truth(&["alice"]));
        database
            .execute_batch("DELETE FROM sockets")
            .expect("no row");
        reload(&proxy, 2);
        // A connection has the socket's file number now.
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "team");
        let carol = Participant::join(&proxy, "carol", Transport::Udp, "team");
        watch.follow(&watcher, &truth(&["alice", "bob", "carol"]));
        let words = alice.say("what is this?");
        bob.hears(&words);
        carol.hears(&words);
        proxy.stop();
    });
}
