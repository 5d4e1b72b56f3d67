//! The real `msrp-switchd`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use msrp_conference::control::{Notice, Standing};

use crate::certificates::{self, Certified};
use crate::harness::PATIENCE;
use crate::harness::mailbox::Mailbox;
use crate::harness::plan::free_port;
use crate::harness::proxy::wait_until;
use crate::stage::{Focus, Folder};

/// A running `msrp-switchd`. Dropping it kills it.
pub(crate) struct Program {
    child: Child,
    pub(crate) msrp: SocketAddr,
    pub(crate) log: Arc<Mailbox<String>>,
}

fn command(folder: &Folder, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msrp-switchd"));
    command
        .arg("--socket")
        .arg(folder.socket())
        .arg(format!("--listen={listen}"))
        .env_remove("JOURNAL_STREAM")
        .env_remove("NOTIFY_SOCKET");
    command
}

impl Program {
    pub(crate) fn start(folder: &Folder, options: &[&str]) -> Self {
        Self::start_at(folder, free_port(), options)
    }

    /// Waits until it reports to systemd that it is ready.
    pub(crate) fn start_at(folder: &Folder, port: u16, options: &[&str]) -> Self {
        let notify = folder.path().join("notify");
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("a socket");
        fs::set_permissions(&notify, fs::Permissions::from_mode(0o777)).unwrap();
        ready.set_read_timeout(Some(PATIENCE)).unwrap();
        let msrp = SocketAddr::from(([127, 0, 0, 1], port));
        let mut child = command(folder, &format!("msrp:{msrp}"))
            .args(options)
            .env("NOTIFY_SOCKET", &notify)
            .stderr(Stdio::piped())
            .spawn()
            .expect("msrp-switchd");
        let log = Arc::new(Mailbox::new());
        let (lines, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.push(line);
            }
            lines.close();
        });
        let program = Self { child, msrp, log };
        let mut octets = [0; 64];
        let count = ready.recv(&mut octets).expect("it becomes ready");
        assert_eq!(&octets[..count], b"READY=1");
        program
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("sh").success());
    }

    pub(crate) fn logs(&self, text: &str) {
        let line = self.log.take(PATIENCE, |line| line.contains(text));
        let said = || self.log.take(Duration::ZERO, |_| true);
        let others: Vec<_> = std::iter::from_fn(said).collect();
        assert!(line.is_some(), "no line with {text:?} in {others:#?}");
    }

    fn status_of(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn terminate(mut self) -> ExitStatus {
        let kill = format!("kill -TERM {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("sh").success());
        self.child.wait().expect("its end")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Expects it to refuse the start; returns its output.
fn refused(folder: &Folder, listen: &str, options: &[&str]) -> String {
    let output = command(folder, listen)
        .args(options)
        .output()
        .expect("msrp-switchd");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "one clear line: {said}");
    said
}

fn anywhere() -> String {
    format!("msrp:127.0.0.1:{}", free_port())
}

fn am_root() -> bool {
    fs::metadata("/proc/self").expect("/proc").uid() == 0
}

#[test]
fn help_and_manual_page_name_every_option() {
    let output = Command::new(env!("CARGO_BIN_EXE_msrp-switchd"))
        .arg("--help")
        .output()
        .expect("msrp-switchd");
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/msrp-switchd.8");
    let page = fs::read_to_string(page).unwrap().replace('\\', "");
    let options: Vec<&str> = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(options.len() > 10, "{options:?}");
    for option in options {
        assert!(
            page.contains(&format!("--{option}")),
            "--{option} is not in the page"
        );
    }
}

#[test]
fn mistakes_are_said_in_one_line() {
    let folder = Folder::new();
    let said = refused(&folder, "msrp:127.0.0.1:0", &[]);
    assert!(
        said.contains("--listen: \"msrp:127.0.0.1:0\" is not allowed"),
        "{said}"
    );
    let said = refused(&folder, "msrps:127.0.0.1:2856", &[]);
    assert!(said.contains("tls-certificate"), "{said}");
    let said = refused(&folder, &anywhere(), &["--threads=1000"]);
    assert!(
        said.contains("--threads: \"1000\" is not allowed (allowed: 0 to 256)"),
        "{said}"
    );
    let said = refused(&folder, &anywhere(), &["--user=nobody-of-this-name"]);
    assert!(
        said.contains("there is no user \"nobody-of-this-name\""),
        "{said}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let said = refused(&folder, &format!("msrp:{taken}"), &[]);
    assert!(
        said.contains(&format!("cannot listen on {taken}")),
        "{said}"
    );
    assert!(!folder.socket().exists(), "nothing is left behind");
    fs::write(folder.socket(), "a file").unwrap();
    let said = refused(&folder, &anywhere(), &[]);
    assert!(said.contains("is there and is no socket"), "{said}");
    assert_eq!(fs::read_to_string(folder.socket()).unwrap(), "a file");
}

#[test]
fn one_serves_a_socket_and_one_left_behind_is_replaced() {
    let folder = Folder::new();
    drop(UnixListener::bind(folder.socket()).unwrap());
    assert!(folder.socket().exists(), "left behind");
    let program = Program::start(&folder, &[]);
    let said = refused(&folder, &anywhere(), &[]);
    assert!(said.contains("another process serves"), "{said}");
    let focus = Focus::connect(&folder.socket());
    focus.join(program.msrp, "alice");
}

#[test]
fn sigterm_ends_it_in_good_order() {
    let folder = Folder::new();
    let program = Program::start(&folder, &["--socket-mode=0600"]);
    let file = fs::symlink_metadata(folder.socket()).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let focus = Focus::connect(&folder.socket());
    let alice = focus.join(program.msrp, "alice");
    let log = Arc::clone(&program.log);
    let status = program.terminate();
    assert!(status.success(), "{status}");
    assert!(alice.link.is_closed(PATIENCE));
    assert!(
        log.take(PATIENCE, |line| line == "notice: msrp-switchd has stopped")
            .is_some()
    );
    assert!(!folder.socket().exists());
    while focus.notice() != Notice::Disconnected {}
}

#[test]
fn privileges_are_dropped_and_the_socket_is_given_away() {
    let folder = Folder::new();
    if !am_root() {
        let said = refused(&folder, &anywhere(), &["--user=root"]);
        assert!(said.contains("need root at start"), "{said}");
        return;
    }
    let program = Program::start(&folder, &["--user=nobody", "--group=daemon"]);
    let file = fs::metadata(folder.socket()).unwrap();
    let id = |kind: &str, name: &str| -> u32 {
        let output = Command::new("getent")
            .args([kind, name])
            .output()
            .expect("getent");
        let line = String::from_utf8(output.stdout).unwrap();
        line.split(':')
            .nth(2)
            .expect("an id")
            .trim()
            .parse()
            .unwrap()
    };
    let (user, group) = (id("passwd", "nobody"), id("group", "daemon"));
    assert_eq!((file.uid(), file.gid()), (user, group));
    assert_eq!(file.permissions().mode() & 0o777, 0o660);
    let four = |id: u32| {
        [
            id.to_string(),
            id.to_string(),
            id.to_string(),
            id.to_string(),
        ]
        .join(" ")
    };
    assert_eq!(program.status_of("Uid:"), four(user));
    assert_eq!(program.status_of("Gid:"), four(group));
    assert_eq!(program.status_of("CapEff:"), "0000000000000000");
    let threads = fs::read_dir(format!("/proc/{}/task", program.child.id())).unwrap();
    let mut count = 0;
    for thread in threads.flatten() {
        count += 1;
        let status = fs::read_to_string(thread.path().join("status")).unwrap();
        assert!(
            status.contains(&format!("Uid:\t{user}\t{user}\t{user}\t{user}")),
            "{status}"
        );
    }
    assert!(count > 2, "every thread, not only the first");
    Focus::connect(&folder.socket()).join(program.msrp, "alice");
}

/// It will have to read the key again when it changes.
#[test]
fn a_key_that_only_root_may_read_is_refused_with_the_command_that_mends_it() {
    if !am_root() {
        return eprintln!("not root: there are no rights to be given up");
    }
    let folder = Folder::new();
    let files = certificates::Folder::new();
    let tls = files.files(&Certified::self_signed(&["localhost"]));
    let parent = tls.private_key.parent().expect("a folder");
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&tls.private_key, fs::Permissions::from_mode(0o600)).unwrap();
    let said = refused(
        &folder,
        &format!("msrps:127.0.0.1:{}", free_port()),
        &[
            "--user=nobody",
            &format!("--tls-certificate={}", tls.certificate.display()),
            &format!("--tls-private-key={}", tls.private_key.display()),
        ],
    );
    let key = tls.private_key.display();
    let words = format!("user nobody may not read it: chown nobody {key}");
    assert!(said.trim_end().ends_with(&words), "{said}");
}

#[test]
fn the_log_has_levels_the_journal_understands() {
    let folder = Folder::new();
    let path = folder.path().join("journal");
    let journal = fs::File::create(&path).unwrap();
    let file = journal.metadata().unwrap();
    let status = command(&folder, "msrp:nowhere")
        .env("JOURNAL_STREAM", format!("{}:{}", file.dev(), file.ino()))
        .stderr(journal)
        .status()
        .expect("msrp-switchd");
    assert_eq!(status.code(), Some(1));
    let said = fs::read_to_string(path).unwrap();
    assert!(said.starts_with("<3>--listen: "), "{said}");
}

#[test]
fn flow4_a_focus_that_is_killed_and_a_switch_that_is_killed() {
    let folder = Folder::new();
    let program = Program::start(&folder, &["--orphan-timeout=600"]);
    let port = program.msrp.port();
    let focus = Focus::connect(&folder.socket());
    let alice = focus.join(program.msrp, "alice");
    let bob = focus.join(program.msrp, "bob");
    focus.stop();
    program.logs("2 sessions go on for 600s");
    alice.say("still here");
    bob.hears("still here");
    bob.link.close();
    let focus = Focus::connect(&folder.socket());
    let known = wait_until(PATIENCE, || {
        focus.reconcile(&["alice", "bob"])
            == [
                ("alice".to_owned(), Standing::Bound, None),
                ("bob".to_owned(), Standing::Gone, None),
            ]
    });
    assert!(known);
    // After a kill, its socket is left behind.
    drop(program);
    while focus.notice() != Notice::Disconnected {}
    assert!(folder.socket().exists());
    let program = Program::start_at(&folder, port, &[]);
    focus.connected();
    assert_eq!(
        focus.reconcile(&["alice"]),
        [("alice".to_owned(), Standing::Gone, None)]
    );
    focus.join(program.msrp, "alice");
}

#[test]
fn every_focus_learns_the_certificate() {
    let folder = Folder::new();
    let own = Certified::self_signed(&["localhost"]);
    let files = certificates::Folder::new();
    let tls = files.files(&own);
    let program = Program::start(
        &folder,
        &[
            &format!("--listen=msrps:127.0.0.1:{}", free_port()),
            &format!("--tls-certificate={}", tls.certificate.display()),
            &format!("--tls-private-key={}", tls.private_key.display()),
        ],
    );
    for _ in 0..2 {
        let focus = Focus::connect(&folder.socket());
        let fingerprint = own.fingerprint();
        assert_eq!(focus.notice(), Notice::Certificate { fingerprint });
        focus.stop();
        program.logs("has gone");
    }
}
