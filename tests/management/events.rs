//! Events, as the operator's script or a subscriber of the event interface gets them.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::agent::Transport;
use crate::harness::host::{Family, Host};
use crate::harness::participant::Participant;
use crate::harness::plan::Plan;
use crate::harness::proxy::{Proxy, wait_until};
use crate::harness::{PATIENCE, on_every_host};

const ROUTES: &str = "
event_route[msrp-conference:start] { xlog(\"L_NOTICE\", \"EVENT start $msrp_conference(event_room)\\n\"); }
event_route[msrp-conference:end] { xlog(\"L_NOTICE\", \"EVENT end $msrp_conference(event_room)\\n\"); }
event_route[msrp-conference:join] { xlog(\"L_NOTICE\", \"EVENT join $msrp_conference(event_room) $msrp_conference(event_user) $msrp_conference(event_role)\\n\"); }
event_route[msrp-conference:leave] { xlog(\"L_NOTICE\", \"EVENT leave $msrp_conference(event_room) $msrp_conference(event_user) $msrp_conference(event_method)\\n\"); }
event_route[msrp-conference:message] { xlog(\"L_NOTICE\", \"EVENT message $msrp_conference(event_room) $msrp_conference(event_user) $msrp_conference(event_content_type)\\n\"); }
";

/// Source of events: the log that Kamailio's routes write, or OpenSIPS' event interface.
enum Ear {
    Log,
    Socket(UnixDatagram),
}

impl Ear {
    fn listening(host: &Host, plan: Plan) -> (Proxy, Self) {
        match host.family {
            Family::Kamailio => {
                let proxy = plan.lines("loadmodule \"xlog.so\"").routes(ROUTES).start();
                (proxy, Ear::Log)
            }
            Family::OpenSips => {
                let proxy = plan.lines("loadmodule \"event_datagram.so\"").start();
                let path = proxy.file("ear");
                let socket = UnixDatagram::bind(&path).expect("a socket");
                socket.set_read_timeout(Some(PATIENCE)).expect("time-out");
                for event in ["START", "END", "JOIN", "LEAVE", "MESSAGE"] {
                    let event = format!("E_MSRP_CONFERENCE_{event}");
                    let socket = format!("unix:{}", path.display());
                    let named = json!({ "event": event, "socket": socket });
                    proxy.call("event_subscribe", named);
                }
                (proxy, Ear::Socket(socket))
            }
        }
    }

    /// Waits for an event with these values.
    fn hears(&self, proxy: &Proxy, event: &str, values: &[&str]) {
        match self {
            Ear::Log => {
                let line = format!("EVENT {event} {}", values.join(" "));
                let heard = wait_until(PATIENCE, || proxy.log().contains(&line));
                assert!(heard, "no {line:?} in {}", proxy.log());
            }
            Ear::Socket(socket) => {
                let mut buffer = [0; 4096];
                let length = socket.recv(&mut buffer).expect("an event");
                let told: Value = serde_json::from_slice(&buffer[..length]).expect("JSON");
                let name = format!("E_MSRP_CONFERENCE_{}", event.to_uppercase());
                assert_eq!(told["method"], name.as_str(), "{told}");
                let details: Vec<_> = told["params"]
                    .as_object()
                    .expect("details")
                    .values()
                    .filter_map(Value::as_str)
                    .collect();
                for value in values {
                    assert!(details.contains(value), "{value} is not in {told}");
                }
            }
        }
    }
}

#[test]
fn listeners_are_told_what_happens() {
    on_every_host(|host| {
        let (proxy, ear) = Ear::listening(host, Plan::new(host));
        let team = "sip:team@127.0.0.1";
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        ear.hears(&proxy, "start", &[team]);
        ear.hears(&proxy, "join", &[team, "sip:alice@127.0.0.1", "moderator"]);
        let mut bob = Participant::join(&proxy, "bob", Transport::Tcp, "team");
        ear.hears(&proxy, "join", &[team, "sip:bob@127.0.0.1", "participant"]);
        // The switch learns of a subscriber with the next count.
        let told = |words: &str| bob.hears(&alice.say(words));
        match &ear {
            Ear::Log => {
                let heard = wait_until(PATIENCE, || {
                    told("hello");
                    proxy.log().contains("EVENT message")
                });
                assert!(heard);
                ear.hears(
                    &proxy,
                    "message",
                    &[team, "sip:alice@127.0.0.1", "text/plain"],
                );
            }
            Ear::Socket(socket) => {
                socket.set_nonblocking(true).expect("set");
                let mut buffer = [0; 4096];
                let heard = wait_until(PATIENCE, || {
                    told("hello");
                    socket.peek_one(&mut buffer)
                });
                assert!(heard, "no message was told");
                socket.set_nonblocking(false).expect("set");
                ear.hears(
                    &proxy,
                    "message",
                    &[team, "sip:alice@127.0.0.1", "text/plain"],
                );
                drain(socket);
            }
        }
        bob.leave();
        ear.hears(&proxy, "leave", &[team, "sip:bob@127.0.0.1", "departed"]);
        alice.leave();
        ear.hears(&proxy, "leave", &[team, "sip:alice@127.0.0.1", "departed"]);
        ear.hears(&proxy, "end", &[team]);
        proxy.stop();
    });
}

trait Peek {
    fn peek_one(&self, buffer: &mut [u8]) -> bool;
}

impl Peek for UnixDatagram {
    /// Whether a datagram waits.
    fn peek_one(&self, buffer: &mut [u8]) -> bool {
        use std::os::fd::AsRawFd;
        // SAFETY: the buffer is valid for its length.
        let got = unsafe {
            libc::recv(
                self.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_PEEK | libc::MSG_DONTWAIT,
            )
        };
        got > 0
    }
}

/// Drops the messages that arrived while we waited for the first.
fn drain(socket: &UnixDatagram) {
    let mut buffer = [0; 4096];
    let pause = Duration::from_millis(500);
    socket.set_read_timeout(Some(pause)).expect("time-out");
    while socket.recv(&mut buffer).is_ok() {}
    socket.set_read_timeout(Some(PATIENCE)).expect("time-out");
}

#[test]
fn a_flood_of_messages_does_not_hold_up_calls_of_whoever_listens() {
    on_every_host(|host| {
        let (proxy, _ear) = Ear::listening(host, Plan::new(host));
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let flood = alice.frame(&alice.words("x")).octets();
        let end = Instant::now() + Duration::from_secs(2);
        let mut slowest = Duration::ZERO;
        let mut number = 0;
        while Instant::now() < end {
            for _ in 0..200 {
                alice.link.send_raw(&flood);
            }
            number += 1;
            let started = Instant::now();
            let mut bob = Participant::join(&proxy, &format!("u{number}"), Transport::Udp, "other");
            slowest = slowest.max(started.elapsed());
            bob.leave();
        }
        assert!(number > 1, "one call took two seconds");
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        proxy.assert_quiet_log();
        proxy.stop();
    });
}

#[test]
fn a_script_in_another_language_is_called_back() {
    const SCRIPT: &str = r#"
function ksr_request_route() { KSR.msrp_conference.handle(); }
function ksr_msrp_conference_event(name) {
    KSR.warn("CALLED " + name + " " + KSR.pv.get("$msrp_conference(event)") + " "
        + KSR.pv.get("$msrp_conference(event_room)") + "\n");
}
"#;
    on_every_host(|host| {
        let modules = host.modules.clone();
        let modules = modules.unwrap_or("/usr/lib/x86_64-linux-gnu/kamailio/modules".into());
        if host.family != Family::Kamailio || !modules.join("app_jsdt.so").exists() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kemi.js");
        std::fs::write(&file, SCRIPT).expect("the script");
        let proxy = Plan::new(host)
            .parameter("event_callback", "ksr_msrp_conference_event")
            .lines(&format!(
                "loadmodule \"app_jsdt.so\"\nmodparam(\"app_jsdt\", \"load\", \"{}\")\n\
                 cfgengine \"jsdt\"\n",
                file.display()
            ))
            .start();
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        alice.leave();
        let called = ["start start", "join join", "leave leave", "end end"];
        for line in called.map(|it| format!("CALLED msrp-conference:{it} sip:team@127.0.0.1")) {
            let heard = wait_until(PATIENCE, || proxy.log().contains(&line));
            assert!(heard, "no {line:?} in {}", proxy.log());
        }
        proxy.stop();
    });
}
