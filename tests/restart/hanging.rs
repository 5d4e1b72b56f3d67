//! A store that hangs: the test stops its thread where it waits for the disk, in the middle of a
//! commit, and lets it go on later.

use std::fs;
use std::ptr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::agent::{Agent, Transport};
use crate::harness::participant::{Participant, client_path, invite};
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, on_every_host};
use crate::{Folder, plan};

/// When a commit counts as failed.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Upper limit for answers that do not wait for the store, on a busy machine too.
const AT_ONCE: Duration = Duration::from_millis(1500);

/// The answer to an INVITE to this room: its code, whether it has Retry-After, and how long it
/// took.
fn call(proxy: &Proxy, user: &str, room: &str) -> (u16, bool, Duration) {
    let agent = Agent::new(user, proxy.sip, Transport::Udp);
    let started = Instant::now();
    let answer = agent.exchange(&invite(&agent, &proxy.room(room), &client_path()));
    let comes_again = answer.headers.first("Retry-After").is_some();
    (answer.code, comes_again, started.elapsed())
}

/// Messages and refusals promise no change, so they do not wait for the store.
fn goes_on(proxy: &Proxy, alice: &Participant) {
    let started = Instant::now();
    alice.say("is anybody there?");
    let invite = invite(&alice.agent, &alice.room, &client_path()).set("Require", "magic");
    assert_eq!(alice.agent.exchange(&invite).code, 420);
    let took = started.elapsed();
    assert!(took < AT_ONCE, "{took:?}\n{}", proxy.log());
}

/// A user joins, and gets the 200 when the commit has counted as failed. Until then nobody knows
/// the stored state of a room that was not looked up before.
fn joins_late(proxy: &Proxy, alice: &Participant, hang: &Hang) -> Participant {
    thread::scope(|scope| {
        let bob = scope.spawn(|| {
            let started = Instant::now();
            let bob = Participant::join(proxy, "bob", Transport::Udp, "lobby");
            (bob, started.elapsed())
        });
        hang.await_commit();
        let erin = scope.spawn(|| call(proxy, "erin", "never-seen"));
        while !bob.is_finished() || !erin.is_finished() {
            goes_on(proxy, alice);
        }
        let (bob, took) = bob.join().expect("he is in");
        let expected = COMMIT_TIMEOUT..COMMIT_TIMEOUT + Duration::from_secs(4);
        assert!(expected.contains(&took), "{took:?}\n{}", proxy.log());
        let (code, comes_again, _) = erin.join().expect("an answer");
        assert!(code == 503 && comes_again, "{code}");
        bob
    })
}

/// Number of times a line was logged.
fn logged(proxy: &Proxy, words: &str) -> usize {
    proxy.log().matches(words).count()
}

const HANGS: &str = "does not return from a commit";
const MEMORY: &str = "conferences are kept in memory, and a crash would lose what changes";
const REFUSE: &str = "nobody new is let in (db_on_error)";
const BACK: &str = "everything is in the database again";

#[test]
fn a_commit_that_does_not_return_counts_as_failed_and_one_snapshot_makes_it_good() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder)
            .parameter("db_sync", "full")
            .parameter("db_on_error", "memory");
        let proxy = plan.clone().start();
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby").stays();
        let hang = Hang::at_next_commit(&proxy);
        let mut bob = joins_late(&proxy, &alice, &hang).stays();
        // Nobody waits any more, and unreadable data does not count as missing.
        let (code, _, took) = call(&proxy, "carol", "lobby");
        assert!(code == 200 && took < AT_ONCE, "{code} {took:?}");
        let (code, comes_again, took) = call(&proxy, "dave", "unheard-of");
        assert!(
            code == 503 && comes_again && took < AT_ONCE,
            "{code} {took:?}"
        );
        for number in 0..200 {
            assert_eq!(bob.take_nickname(&format!("Bob {number}")), "200");
        }
        assert_eq!(logged(&proxy, BACK), 0);
        hang.ends();
        let is_back = || logged(&proxy, BACK) > 0;
        assert!(wait_until(PATIENCE, is_back), "{}", proxy.log());
        assert_eq!(call(&proxy, "dave", "unheard-of").0, 200);
        let counts = [HANGS, MEMORY, BACK].map(|words| logged(&proxy, words));
        assert_eq!(counts, [1, 1, 1], "{}", proxy.log());
        proxy.kill_all();
        let proxy = plan.start();
        alice.come_back(&proxy);
        bob.come_back(&proxy);
        let words = bob.say("that was close");
        alice.hears(&words);
        proxy.stop();
    });
}

#[test]
fn while_the_store_hangs_nobody_new_is_let_in_where_the_operator_wants_that() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder).parameter("db_sync", "full");
        let proxy = plan.start();
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let hang = Hang::at_next_commit(&proxy);
        let mut bob = joins_late(&proxy, &alice, &hang);
        let (code, comes_again, took) = call(&proxy, "carol", "lobby");
        assert!(
            code == 503 && comes_again && took < AT_ONCE,
            "{code} {took:?}"
        );
        goes_on(&proxy, &alice);
        alice.leave();
        hang.ends();
        let is_back = || logged(&proxy, BACK) > 0;
        assert!(wait_until(PATIENCE, is_back), "{}", proxy.log());
        assert_eq!(call(&proxy, "carol", "lobby").0, 200);
        let counts = [HANGS, REFUSE, BACK].map(|words| logged(&proxy, words));
        assert_eq!(counts, [1, 1, 1], "{}", proxy.log());
        bob.leave();
        proxy.stop();
    });
}

/// A stop does not wait for a store that hangs.
#[test]
fn a_proxy_whose_store_hangs_stops_in_time() {
    on_every_host(|host| {
        let folder = Folder::new();
        let proxy = plan(host, &folder).parameter("db_sync", "full").start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let hang = Hang::at_next_commit(&proxy);
        let bob = joins_late(&proxy, &alice, &hang);
        drop((alice, bob));
        proxy.stop();
    });
}

/// How often to check whether a hanging thread has been killed.
const LOOK: Duration = Duration::from_millis(20);

/// The store's thread of a proxy, traced from one system call to the next by a thread of ours
/// (ptrace) until it would sync a file; there it stays. To the proxy, that looks like a disk that
/// hangs.
struct Hang {
    stopped: Receiver<()>,
    /// Dropping it lets the thread go on.
    release: Sender<()>,
    tracer: thread::JoinHandle<()>,
}

impl Hang {
    /// From the next commit on, with `db_sync` `full`.
    fn at_next_commit(proxy: &Proxy) -> Self {
        let thread = store_thread(proxy.conference_process());
        let (follows, following) = channel();
        let (stops, stopped) = channel();
        let (release, released) = channel();
        let tracer = thread::spawn(move || {
            trace(
                libc::PTRACE_SEIZE,
                thread,
                libc::PTRACE_O_TRACESYSGOOD as usize,
            );
            trace(libc::PTRACE_INTERRUPT, thread, 0);
            wait(thread);
            trace(libc::PTRACE_SYSCALL, thread, 0);
            let _ = follows.send(());
            while !syncs(thread, wait(thread)) {
                trace(libc::PTRACE_SYSCALL, thread, 0);
            }
            let _ = stops.send(());
            while released.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if is_over(thread) {
                    return;
                }
            }
            trace(libc::PTRACE_DETACH, thread, 0);
        });
        following.recv_timeout(PATIENCE).expect("a tracer");
        Self {
            stopped,
            release,
            tracer,
        }
    }

    fn await_commit(&self) {
        self.stopped.recv_timeout(PATIENCE).expect("a commit");
    }

    /// Ends the hang.
    fn ends(self) {
        drop(self.release);
        self.tracer.join().expect("a tracer");
    }
}

fn store_thread(process: u32) -> libc::pid_t {
    let folder = format!("/proc/{process}/task");
    let threads = fs::read_dir(folder).expect("threads").flatten();
    let name = |path: std::path::PathBuf| fs::read_to_string(path).unwrap_or_default();
    let mut threads = threads.filter(|it| name(it.path().join("comm")) == "msrp-store\n");
    let found = threads.next().expect("a thread of the store").file_name();
    found.to_string_lossy().parse().expect("a number")
}

fn trace(request: libc::c_uint, thread: libc::pid_t, data: usize) {
    let nowhere = ptr::null_mut::<libc::c_void>();
    // SAFETY: of these requests none reads or writes memory of ours.
    let done = unsafe { libc::ptrace(request, thread, nowhere, data) };
    let error = std::io::Error::last_os_error();
    assert!(done >= 0, "ptrace {request:#x}: {error}");
}

fn wait(thread: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: the status is ours.
    let found = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
    assert!(found == thread && libc::WIFSTOPPED(status), "{status:#x}");
    status
}

/// Whether the thread has ended with its process; its parent learns of that after us.
fn is_over(thread: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: the status is ours.
    let found = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL | libc::WNOHANG) };
    found == thread
}

/// Whether the thread has stopped at the entry to a system call that waits for the disk.
fn syncs(thread: libc::pid_t, status: libc::c_int) -> bool {
    if libc::WSTOPSIG(status) != libc::SIGTRAP | 0x80 {
        return false;
    }
    // SAFETY: all zeroes is such a structure.
    let mut call: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of_val(&call);
    let request = libc::PTRACE_GET_SYSCALL_INFO;
    // SAFETY: the kernel writes no more than the size that it is told.
    let known = unsafe { libc::ptrace(request, thread, size, &raw mut call) };
    if known <= 0 || call.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return false;
    }
    // SAFETY: the kernel says that this is the part it has filled in.
    let number = unsafe { call.u.entry.nr };
    [libc::SYS_fsync, libc::SYS_fdatasync].contains(&(number as libc::c_long))
}
