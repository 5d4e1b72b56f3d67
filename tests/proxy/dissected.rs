//! Independent check of the switch's output by tshark, where it is installed and may listen on the
//! loopback interface.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use crate::harness::PATIENCE;
use crate::harness::agent::{Transport, unique};
use crate::harness::host::found;
use crate::harness::mailbox::Mailbox;
use crate::harness::msrp::Frame;
use crate::harness::participant::{Participant, cpim};
use crate::harness::plan::Plan;
use crate::harness::proxy::Proxy;

/// One packet, decoded by tshark.
#[derive(Clone, Debug)]
struct Packet {
    transactions: String,
    malformed: bool,
}

/// tshark on the MSRP port.
struct Shark {
    program: Child,
    packets: Arc<Mailbox<Packet>>,
}

impl Shark {
    /// `None`: tshark cannot run here.
    fn start(port: u16) -> Option<Self> {
        let decode = format!("tcp.port=={port},msrp");
        let filter = format!("tcp port {port}");
        let mut program = Command::new("tshark")
            .args(["-l", "-n", "-i", "lo", "-f", &filter, "-d", &decode])
            .args(["-Y", "msrp or _ws.malformed", "-T", "fields"])
            .args(["-e", "msrp.transaction.id", "-e", "_ws.malformed"])
            .args(["-e", "msrp.status.code.invalid", "-E", "occurrence=a"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let lines = BufReader::new(program.stdout.take()?);
        let packets = Arc::new(Mailbox::new());
        let inbox = Arc::clone(&packets);
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut fields = line.split('\t');
                inbox.push(Packet {
                    transactions: fields.next().unwrap_or_default().to_owned(),
                    malformed: fields.any(|field| !field.is_empty()),
                });
            }
            inbox.close();
        });
        Some(Self { program, packets })
    }

    /// Waits until tshark has seen the answer to a request of this participant; repeats the
    /// request, since nothing shows when the capture begins.
    fn hears(&self, who: &Participant) -> bool {
        for _ in 0..100 {
            let frame = who.bind();
            who.link.exchange(&frame);
            let seen = |packet: &Packet| packet.transactions.contains(&frame.id);
            if self.packets.take(PATIENCE / 100, seen).is_some() {
                return true;
            }
            if self.packets.closes(PATIENCE / 1000) {
                return false;
            }
        }
        false
    }
}

impl Drop for Shark {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Produces some of everything that the switch can write.
fn converse(proxy: &Proxy, alice: &Participant) {
    let bob = Participant::join(proxy, "bob", Transport::Udp, "lobby");
    let body = alice.words("tell me");
    let wanting = alice
        .frame(&body)
        .without("Content-Type")
        .header("Success-Report", "yes")
        .content("message/cpim", &body);
    alice.link.exchange(&wanting);
    alice.link.request("REPORT", PATIENCE).expect("a REPORT");
    bob.hears(&body);
    let private = cpim(&alice.agent.address(), "sip:bob@127.0.0.1", "psst");
    alice.link.exchange(&alice.frame(&private));
    bob.hears(&private);
    let forged = cpim("sip:bob@127.0.0.1", &alice.room, "I am Bob");
    alice.link.exchange(&alice.frame(&forged));
    let nickname = Frame::request("NICKNAME", &alice.room_path, &alice.own_path)
        .header("Use-Nickname", "\"Al\"");
    alice.link.exchange(&nickname);
    // A large message that a small one interrupts.
    let large = alice.words(&"large ".repeat(50_000));
    let frame = alice.frame(&large).octets();
    let (front, rest) = frame.split_at(200_000);
    alice.link.send_raw(front);
    let carol = Participant::join(proxy, "carol", Transport::Udp, "lobby");
    let quick = carol.say("quick");
    alice.link.send_raw(rest);
    let mut seen = Vec::new();
    while seen.len() < large.len() + quick.len() {
        seen.extend(bob.hear().body.unwrap_or_default());
    }
}

#[test]
fn what_the_switch_writes_is_msrp_to_others() {
    // The output is the same in every proxy.
    let host = found().swap_remove(0);
    let proxy = Plan::new(&host).start();
    let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
    let shark = Shark::start(proxy.msrp.port());
    let Some(shark) = shark.filter(|shark| shark.hears(&alice)) else {
        let line = b"no tshark here, or it may not capture: the switch's MSRP is not dissected\n";
        std::io::stderr().write_all(line).unwrap();
        return proxy.stop();
    };
    converse(&proxy, &alice);
    let last = alice.frame(&alice.words(&unique()));
    alice.link.exchange(&last);
    let mut packets = shark.packets.drain();
    let seen = |packet: &Packet| packet.transactions.contains(&last.id);
    while !packets.iter().any(seen) {
        let next = shark.packets.take(PATIENCE, |_| true);
        packets.push(next.expect("tshark sees the last answer"));
    }
    let malformed: Vec<_> = packets.iter().filter(|packet| packet.malformed).collect();
    assert!(malformed.is_empty(), "{malformed:?}");
    let messages = packets.iter().filter(|it| !it.transactions.is_empty());
    assert!(messages.count() > 15, "{packets:?}");
    proxy.stop();
}
