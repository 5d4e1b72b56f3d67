//! OpenSIPS' sockets_mgm: sockets come and go while rooms live.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::harness::agent::{Agent, Transport};
use super::harness::host::Family;
use super::harness::participant::{Participant, Subscription};
use super::harness::plan::{Plan, free_port};
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};

/// The table of sockets, in text.
fn write(folder: &Path, sockets: &[SocketAddr]) {
    let version = "table_name(string) table_version(int) \nsockets:1\n";
    fs::write(folder.join("version"), version).expect("the versions");
    let mut table = "id(int,auto) socket(string) advertised(string,null) tag(string,null) \
                     flags(string,null) tos(string,null) \n"
        .to_owned();
    for (number, socket) in sockets.iter().enumerate() {
        let socket = socket.to_string().replace(':', "\\:");
        table += &format!("{}:udp\\:{socket}::::\n", number + 1);
    }
    fs::write(folder.join("sockets"), table).expect("the sockets");
}

/// Reloads them and waits until the proxy has this many.
fn reload(proxy: &Proxy, many: usize) {
    proxy.call("sockets_reload", json!([]));
    let list = || proxy.call("sockets_list", json!([]));
    let count = || list().as_array().map_or(0, Vec::len);
    assert!(wait_until(PATIENCE, || count() == many), "{}", list());
}

#[test]
fn nothing_is_written_to_a_socket_that_went_away() {
    on_every_host(|host| {
        let modules = ["db_text", "sockets_mgm"];
        if host.family != Family::OpenSips || !host.has_modules(&modules) {
            return;
        }
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let door = SocketAddr::from(([127, 0, 0, 1], free_port()));
        write(folder.path(), &[]);
        let proxy = Plan::new(host)
            .parameter("notify_interval_ms", 100)
            .lines(&format!(
                "loadmodule \"db_text.so\"\nmodparam(\"db_text\", \"db_mode\", 1)\n\
                 loadmodule \"sockets_mgm.so\"\nmodparam(\"sockets_mgm\", \"processes\", 2)\n\
                 modparam(\"sockets_mgm\", \"db_url\", \"text://{}\")\n",
                folder.path().display()
            ))
            .start();
        write(folder.path(), &[door]);
        reload(&proxy, 1);
        let watcher = Agent::new("watcher", door, Transport::Udp);
        let mut watch = Subscription::start(&watcher, &proxy.room("team"), 600);
        let truth = |users: &[&str]| {
            let uri = |user: &&str| format!("sip:{user}@127.0.0.1");
            users.iter().map(uri).collect()
        };
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        watch.follow(&watcher, &truth(&["alice"]));
        write(folder.path(), &[]);
        reload(&proxy, 0);
        // The number that the socket had is now a connection's.
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "team");
        let carol = Participant::join(&proxy, "carol", Transport::Udp, "team");
        watch.follow(&watcher, &truth(&["alice", "bob", "carol"]));
        let words = alice.say("what is this?");
        bob.hears(&words);
        carol.hears(&words);
        proxy.stop();
    });
}
