//! The start of the proxy: conditions, users, and the behaviour of a proxy that cannot work.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::certificates::{Authority, Folder};
use crate::harness::agent::{Transport, unique};
use crate::harness::host::{Family, Host};
use crate::harness::participant::Participant;
use crate::harness::plan::{Plan, free_port, port_is_free};
use crate::harness::proxy::{Proxy, give, wait_until};
use crate::harness::{PATIENCE, on_every_host};

/// A user without privileges, which every Debian has.
const USER: &str = "nobody";
const GROUP: &str = "nogroup";

/// Whether these tests may start a proxy that drops root's privileges; prints a message when not.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("not root: no proxy is started that gives up root's rights");
    }
    root
}

/// A port only root may take.
fn port_of_root() -> u16 {
    let mut free = (600..1024).rev().filter(|port| port_is_free(*port));
    free.next().expect("a port below 1024")
}

/// A folder that its proxies may enter, whatever user they run as.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let open = Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), open).expect("own folder");
    folder
}

/// Starts it as a user without privileges, expects a refusal with these words, and runs the command
/// at the end of it.
fn mended(plan: Plan, words: &[&str]) {
    let said = plan.start_refused();
    let line = said.lines().find(|line| line.contains(words[0]));
    let line = line.unwrap_or_else(|| panic!("no {words:?} in {said}"));
    for word in words {
        assert!(line.contains(word), "no {word:?} in {line}");
    }
    let (_, command) = line.rsplit_once(": ").expect("a command");
    let done = Command::new("sh").args(["-ec", command]).status();
    assert!(done.expect("sh").success(), "{command}");
}

/// Talks in a new room: the example's own has a history.
fn talk(proxy: &Proxy) {
    let room = unique();
    let alice = Participant::join(proxy, "alice", Transport::Udp, &room);
    let bob = Participant::join(proxy, "bob", Transport::Udp, &room);
    bob.hears(&alice.say("hello"));
}

#[test]
fn a_port_of_roots_is_served_by_somebody_else() {
    if !is_root() {
        return;
    }
    on_every_host(|host| {
        let port = port_of_root();
        let proxy = Plan::new(host)
            .ports(free_port(), port)
            .runs_as(USER, GROUP)
            .start();
        talk(&proxy);
        let status = format!("/proc/{}/status", proxy.conference_process());
        let status = fs::read_to_string(status).expect("it runs");
        let nobody = nix::unistd::User::from_name(USER).expect("users");
        let nobody = nobody.expect(USER).uid.to_string();
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let mut uids = uids.expect("ids").split_ascii_whitespace();
        assert!(uids.all(|uid| uid == nobody), "{status}");
        proxy.stop();
        assert!(port_is_free(port), "the port is taken after a stop");
    });
}

#[test]
fn a_key_that_only_root_may_read_stops_the_start_with_the_command_that_mends_it() {
    if !is_root() {
        return;
    }
    on_every_host(|host| {
        let (folder, authority) = (Folder::new(), Authority::new());
        let files = folder.files(&authority.certify(&["localhost"]));
        let shut = Permissions::from_mode(0o600);
        fs::set_permissions(&files.private_key, shut).expect("own file");
        let parent = files.private_key.parent().expect("a folder");
        fs::set_permissions(parent, Permissions::from_mode(0o700)).expect("own folder");
        let plan = Plan::new(host)
            .runs_as(USER, GROUP)
            .parameter("listen", format!("msrps:127.0.0.1:{}", free_port()))
            .parameter("tls_certificate", files.certificate.display())
            .parameter("tls_private_key", files.private_key.display());
        let folder_words = [
            "parameter tls_certificate",
            "belongs to root (mode 0700)",
            "user nobody may not enter it",
        ];
        mended(plan.clone(), &folder_words);
        let key = files.private_key.display().to_string();
        let key_words = [
            "parameter tls_private_key",
            &key,
            "belongs to root (mode 0600)",
            "user nobody may not read it: chown nobody /",
        ];
        mended(plan.clone(), &key_words);
        let proxy = plan.start();
        talk(&proxy);
        proxy.stop();
    });
}

/// Makes the files that a start as root, as in the README, leaves in the folder of the service.
fn roots_database(host: &Host, folder: &Path) {
    let proxy = Plan::new(host)
        .example("persistent")
        .state_in(folder)
        .start();
    talk(&proxy);
    proxy.stop();
    give(folder, USER, GROUP);
}

#[test]
fn a_database_of_roots_stops_the_start_with_the_command_that_mends_it() {
    if !is_root() {
        return;
    }
    on_every_host(|host| {
        let folder = open_folder();
        roots_database(host, folder.path());
        let plan = Plan::new(host)
            .example("persistent")
            .state_in(folder.path())
            .parameter("db_on_error", "refuse")
            .runs_as(USER, GROUP);
        let file = folder.path().join("state.sqlite");
        let command = format!(": chown nobody {}*", file.display());
        let words = [
            "database",
            "state.sqlite belongs to root",
            "user nobody",
            &command,
        ];
        mended(plan.clone(), &words);
        let proxy = plan.start();
        talk(&proxy);
        proxy.stop();
    });
}

#[test]
fn a_database_of_roots_is_named_where_memory_will_do() {
    if !is_root() {
        return;
    }
    on_every_host(|host| {
        let folder = open_folder();
        roots_database(host, folder.path());
        let proxy = Plan::new(host)
            .example("persistent")
            .state_in(folder.path())
            .parameter("db_on_error", "memory")
            .runs_as(USER, GROUP)
            .start();
        let command = format!(
            "chown nobody {}*",
            folder.path().join("state.sqlite").display()
        );
        let said = |log: &str| log.lines().any(|line| line.contains(&command));
        assert!(
            wait_until(PATIENCE, || said(&proxy.log())),
            "{}",
            proxy.log()
        );
        talk(&proxy);
        proxy.stop();
    });
}

#[test]
fn a_folder_for_the_database_that_cannot_be_made_stops_the_start_with_a_command() {
    if !is_root() {
        return;
    }
    on_every_host(|host| {
        let folder = open_folder();
        let plan = Plan::new(host)
            .parameter("db_path", folder.path().join("made/state.sqlite").display())
            .parameter("db_on_error", "refuse")
            .runs_as(USER, GROUP);
        let said = plan.clone().start_refused();
        let made = folder.path().join("made");
        let command = format!("install -d -o nobody -m 750 {}", made.display());
        assert!(said.contains(&command), "{said}");
        fs::create_dir(&made).expect("made by hand");
        give(&made, USER, GROUP);
        let proxy = plan.start();
        talk(&proxy);
        proxy.stop();
    });
}

#[test]
fn a_control_socket_that_lets_the_proxy_in_nowhere_stops_the_start() {
    if !is_root() {
        return;
    }
    on_every_host(|host| {
        let folder = open_folder();
        let run = folder.path().join("run");
        fs::create_dir(&run).expect("a folder");
        let socket = run.join("control.sock");
        let _switch = UnixListener::bind(&socket).expect("a socket");
        give(&run, "root", "daemon");
        fs::set_permissions(&run, Permissions::from_mode(0o750)).expect("own folder");
        let plan = Plan::new(host)
            .parameter("switch", format!("unix:{}", socket.display()))
            .runs_as(USER, GROUP);
        let said = plan.start_refused();
        let line = said.lines().find(|line| line.contains("parameter switch"));
        let line = line.unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains("user nobody may not enter it"), "{line}");
        // OpenSIPS keeps the supplementary groups it was started with.
        let command = match host.family {
            Family::Kamailio => "usermod --append --groups daemon nobody",
            Family::OpenSips => "start the proxy with -g daemon",
        };
        assert!(line.ends_with(command), "{line}");
    });
}

/// A service manager restarts what has failed, and nothing else.
#[test]
fn a_conference_process_that_cannot_start_is_a_failure_of_the_proxy() {
    on_every_host(|host| {
        let folder = open_folder();
        let plan = Plan::new(host)
            .example("persistent")
            .state_in(folder.path())
            .parameter("db_on_error", "refuse");
        let proxy = plan.clone().start();
        talk(&proxy);
        proxy.stop();
        // An error that appears only when the file is opened for writing.
        let file = folder.path().join("state.sqlite");
        let database = rusqlite::Connection::open(&file).expect("a database");
        let whole = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        whole.expect("a checkpoint");
        drop(database);
        let mut octets = fs::read(&file).expect("a database");
        octets[4096..12_288].fill(0xA5);
        fs::write(&file, octets).expect("own file");
        let said = plan.start_refused();
        let line = said
            .lines()
            .find(|line| line.contains("conference process: "));
        assert!(line.is_some_and(|line| line.contains("damaged")), "{said}");
        assert!(!said.contains("core was generated"), "{said}");
    });
}

#[test]
fn a_check_of_the_configuration_takes_no_port() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let mut check = Command::new(&host.program);
        let option = match host.family {
            Family::Kamailio => "-c",
            Family::OpenSips => "-C",
        };
        check.arg(option).arg("-f").arg(proxy.file("proxy.cfg"));
        let output = check.output().expect("the host");
        assert!(output.status.success(), "{output:?}");
        proxy.stop();
    });
}

/// A process that a script starts (`exec`) inherits the signal mask of its parent; with SIGTERM
/// blocked nobody could end it.
#[test]
fn a_child_of_a_script_inherits_no_blocked_signal() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let id = proxy.conference_process();
        let blocked = |task: &Path| {
            let status = fs::read_to_string(task.join("status")).expect("a task");
            let mask = status.lines().find_map(|it| it.strip_prefix("SigBlk:"));
            u64::from_str_radix(mask.expect("a mask").trim(), 16).expect("a number")
        };
        let tasks = fs::read_dir(format!("/proc/{id}/task")).expect("it runs");
        let tasks: Vec<_> = tasks.map(|task| task.expect("a task").path()).collect();
        assert!(tasks.len() > 2, "{tasks:?}");
        let term = 1 << (nix::sys::signal::Signal::SIGTERM as u32 - 1);
        for task in tasks {
            let main = task.ends_with(id.to_string());
            let expected = if main { 0 } else { term };
            let all = if main { u64::MAX } else { term };
            assert_eq!(blocked(&task) & all, expected, "{}", task.display());
        }
        proxy.stop();
    });
}

/// While the host's orphans live, they hold the listeners, too.
#[test]
fn the_port_is_free_as_soon_as_nobody_serves_it() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let ours = proxy.conference_process();
        proxy.signal(proxy.pid, "KILL");
        let gone = || !proxy.processes().contains(&ours);
        assert!(wait_until(PATIENCE, gone), "the conference process stays");
        let orphans = proxy.processes();
        assert!(
            !orphans.is_empty(),
            "the host's processes die with it: nothing to show here"
        );
        TcpListener::bind(proxy.msrp).expect("it can be taken");
        for pid in orphans {
            proxy.signal(pid, "KILL");
        }
        proxy.assert_gone();
    });
}
