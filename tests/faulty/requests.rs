//! Faulty requests.

use std::time::Instant;

use serde_json::json;

use super::faults::Faults;
use super::harness::agent::{Agent, Transport, unique};
use super::harness::bystanders::Bystanders;
use super::harness::draft::Draft;
use super::harness::host::{Family, Host};
use super::harness::participant::{client_path, offer};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, tail};
use super::harness::{PATIENCE, on_every_host};
use super::pipe::{Answer, Cut, ONE_TRY, Pipe};
use super::{management, plan};

const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PUBLISH",
    "UPDATE",
    "MESSAGE",
    "INFO",
    "REGISTER",
    "PRACK",
    "UNKNOWN",
];

/// Methods whose Contact is the remote target (RFC 3261 §12, 6665, 3515, 3311).
const WITH_CONTACT: [&str; 5] = ["INVITE", "SUBSCRIBE", "NOTIFY", "REFER", "UPDATE"];

/// Branch prefixes of RFC 3261 (§8.1.1.7) and of RFC 2543.
const BRANCHES: [&str; 2] = ["z9hG4bK", "b"];

/// A request to send.
#[derive(Clone)]
struct Packet {
    draft: Draft,
    faults: Faults,
}

impl Packet {
    fn new(draft: &Draft, faults: &Faults) -> Self {
        let (draft, faults) = (faults.in_message(draft), faults.clone());
        Self { draft, faults }
    }

    fn whole(draft: Draft) -> Self {
        Self::new(&draft, &Faults::default())
    }

    /// Whether it must get an answer.
    fn deserves(&self, family: Family) -> bool {
        self.draft.method != "ACK" && !self.faults.are_the_cores(family)
    }

    fn is_answered_by(&self, answer: &Answer) -> bool {
        let without = self.faults.concern("CSeq") && answer.method.is_empty();
        (without || self.draft.method == answer.method) && self.draft.branch() == answer.branch
    }

    /// Asserts that a request that cannot create a dialog created none.
    fn assert_right(&self, answer: &Answer) {
        let makes_one = WITH_CONTACT.contains(&self.draft.method.as_str());
        let wrong = answer.code < 300 && makes_one && self.faults.forbid_a_dialog();
        let farewell = self.draft.header("CSeq") == "2 BYE";
        let wrong = wrong || farewell && answer.code >= 300;
        assert!(!wrong, "{}\nto {self:?}", answer.text);
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.draft.octets()).into_owned();
        write!(f, "{} with {:?}:\n{text}", self.draft.method, self.faults)
    }
}

/// The room that the requests address.
#[derive(Clone, Copy)]
struct Target {
    room: &'static str,
    /// Text behind the To's URI: a tag leads past a challenge.
    tag: &'static str,
}

/// Sends batches over one transport, and handles their answers.
struct Sweep<'a> {
    proxy: &'a Proxy,
    transport: Transport,
    pipe: Pipe,
    /// The agent that the Contacts name.
    contact: &'a Agent,
    target: Target,
}

impl<'a> Sweep<'a> {
    fn new(proxy: &'a Proxy, transport: Transport, contact: &'a Agent, target: Target) -> Self {
        let pipe = Pipe::open(proxy, transport);
        Self {
            proxy,
            transport,
            pipe,
            contact,
            target,
        }
    }

    /// Every method, and CANCEL and ACK behind an INVITE, with these faults.
    fn packets(&self, faults: &Faults) -> Vec<Packet> {
        let mut packets = Vec::new();
        for style in BRANCHES {
            let concerned =
                |method: &&str| !faults.concern("Contact") || WITH_CONTACT.contains(method);
            let drafts = METHODS.into_iter().filter(concerned);
            packets.extend(drafts.map(|method| Packet::new(&self.draft(method, style), faults)));
            if !faults.concern("Contact") {
                for method in ["CANCEL", "ACK"] {
                    let invite = self.draft("INVITE", style);
                    let behind = match method {
                        "CANCEL" => invite.cancel(),
                        _ => invite.ack_of_refusal(invite.header("To")),
                    };
                    packets.extend([Packet::whole(invite), Packet::new(&behind, faults)]);
                }
            }
        }
        packets
    }

    fn draft(&self, method: &str, style: &str) -> Draft {
        let uri = self.proxy.room(self.target.room);
        let draft = self
            .pipe
            .draft(method, &uri, &format!("{style}{}", unique()));
        let draft = draft.set("To", format!("<{uri}>{}", self.target.tag));
        let draft = match WITH_CONTACT.contains(&method) {
            true => draft.set("Contact", self.contact.contact()),
            false => draft,
        };
        match method {
            "INVITE" => draft.body("application/sdp", offer(&client_path())),
            "SUBSCRIBE" => draft.set("Event", "conference").set("Expires", "0"),
            "REFER" => draft.set("Refer-To", format!("<{uri}>")),
            _ => draft,
        }
    }

    /// Sends a batch; when the proxy closes the connection because of one packet, sends each over a
    /// new connection.
    fn batch(&mut self, packets: Vec<Packet>) -> Result<(), Cut> {
        if self.at_once(packets.clone()).is_ok() {
            return Ok(());
        }
        if self.transport == Transport::Udp || !self.proxy.lives() {
            return Err(Cut);
        }
        for packet in packets {
            self.pipe = Pipe::open(self.proxy, self.transport);
            let due = self.is_due(&packet);
            if self.at_once(vec![packet.clone()]).is_err() {
                assert!(!due, "{}: closed for {packet:?}", self.proxy.host.name);
            }
        }
        self.pipe = Pipe::open(self.proxy, self.transport);
        self.pipe.flush(self.proxy)
    }

    fn at_once(&mut self, packets: Vec<Packet>) -> Result<(), Cut> {
        let octets: Vec<_> = packets.iter().map(|packet| packet.draft.octets()).collect();
        self.pipe.send(octets.iter().map(Vec::as_slice));
        self.pipe.flush(self.proxy)?;
        self.see_to(packets)
    }

    /// Whether it must get an answer.
    fn is_due(&self, packet: &Packet) -> bool {
        packet.deserves(self.proxy.host.family) && !mixes_up(self.proxy, self.transport)
    }

    /// Waits for the expected answers, and ends the calls that were accepted.
    fn see_to(&mut self, mut open: Vec<Packet>) -> Result<(), Cut> {
        let end = Instant::now() + PATIENCE;
        let mut sent = Instant::now();
        loop {
            for answer in self.pipe.answers() {
                let found = open
                    .iter()
                    .position(|packet| packet.is_answered_by(&answer));
                if let Some(found) = found {
                    let packet = open.swap_remove(found);
                    if !mixes_up(self.proxy, self.transport) {
                        packet.assert_right(&answer);
                    }
                    open.extend(self.conclude(&packet, &answer));
                }
            }
            let due = || open.iter().filter(|packet| self.is_due(packet));
            if due().next().is_none() {
                return Ok(());
            }
            let name = &self.proxy.host.name;
            assert!(
                Instant::now() < end,
                "{name}: no answer to {:?}",
                due().next()
            );
            if sent.elapsed() >= ONE_TRY {
                let again: Vec<_> = due().map(|packet| packet.draft.octets()).collect();
                self.pipe.send(again.iter().map(Vec::as_slice));
                sent = Instant::now();
            }
            self.pipe.read()?;
        }
    }

    /// The ACK of an INVITE's answer; an accepted call ends at once.
    fn conclude(&mut self, packet: &Packet, answer: &Answer) -> Option<Packet> {
        if packet.draft.method != "INVITE" {
            return None;
        }
        let ack = packet.draft.ack_of_refusal(&answer.to);
        if answer.code >= 300 {
            self.pipe.send([&ack.octets()[..]].into_iter());
            return None;
        }
        // The ACK of a 2xx is a transaction of its own (RFC 3261 §13.2.2.4).
        let branch = || format!("z9hG4bK{}", unique());
        let via = |draft: &Draft| draft.header("Via").replace(draft.branch(), &branch());
        let ack = ack.clone().set("Via", via(&ack));
        let mut bye = ack.clone().set("Via", via(&ack)).set("CSeq", "2 BYE");
        bye.method = "BYE".into();
        self.pipe
            .send([&ack.octets()[..], &bye.octets()].into_iter());
        let faults = packet.faults.clone();
        Some(Packet { draft: bye, faults })
    }
}

/// OpenSIPS 4.0.1 reads a connection with several threads, and mixes up requests that arrive
/// together; it need not answer the result.
fn mixes_up(proxy: &Proxy, transport: Transport) -> bool {
    transport == Transport::Tcp && proxy.host.name.starts_with("opensips-4.0")
}

/// Sends everything, batch by batch, and names a request that ends the proxy.
fn sweep(plan: &Plan, proxy: &Proxy, transport: Transport, target: Target, sets: &[Faults]) {
    let contact = Agent::new("mallory", proxy.sip, Transport::Udp);
    let mut sweep = Sweep::new(proxy, transport, &contact, target);
    let few = mixes_up(proxy, transport);
    let sets = sets.iter().filter(|it| !few || it.number() < 2);
    let mut last = Faults::default();
    for faults in sets {
        let packets = sweep.packets(faults);
        if sweep.batch(packets).is_err() {
            let log = tail(&proxy.log(), 8);
            // It may have taken some time to die.
            let what = killer(plan, transport, target, [&last, faults]);
            let name = &proxy.host.name;
            panic!("{name} is ended over {transport:?} by {what}\n{log}");
        }
        last = faults.clone();
    }
    if mixes_up(proxy, transport) {
        // The room may be empty.
        let _ = proxy.try_call(&management(proxy, "end"), json!([proxy.room(target.room)]));
    }
}

/// The packet, or the two in sequence, that end a fresh proxy.
fn killer(plan: &Plan, transport: Transport, target: Target, sets: [&Faults; 2]) -> String {
    let proxy = plan.clone().start();
    let contact = Agent::new("mallory", proxy.sip, Transport::Udp);
    let mut other = Pipe::open(&proxy, Transport::Udp);
    for number in [1, 2] {
        let sweep = Sweep::new(&proxy, transport, &contact, target);
        let packets = sets.map(|faults| sweep.packets(faults)).concat();
        for some in packets.windows(number) {
            let octets: Vec<_> = some.iter().map(|packet| packet.draft.octets()).collect();
            let mut pipe = Pipe::open(&proxy, transport);
            pipe.send(octets.iter().map(Vec::as_slice));
            if (0..3).any(|_| other.flush(&proxy).is_err()) {
                return format!("{some:?}");
            }
        }
    }
    format!("none alone: those with {sets:?} together")
}

#[test]
fn requests_with_any_three_faults_are_answered_or_dropped_and_harm_nobody() {
    on_every_host(|host| {
        let plan = plan(host);
        let proxy = plan.clone().start();
        let bystanders = Bystanders::join(&proxy, "team");
        let target = Target {
            room: "trap",
            tag: "",
        };
        for transport in [Transport::Udp, Transport::Tcp] {
            sweep(&plan, &proxy, transport, target, &Faults::all());
        }
        bystanders.unharmed(proxy);
    });
}

/// The users with an account; the example challenges everybody else.
const ACCOUNTS: &str = "\
if ($fU =~ \"^(alice|bob)$\") {
    msrp_conference_handle(\"identity=$fu\");
    exit;
}
";

#[test]
fn they_do_no_harm_without_an_account_either() {
    on_every_host(|host| {
        if !host.has_modules(accounts(host)) {
            return;
        }
        let plan = plan(host).example("authenticated").script(ACCOUNTS);
        let plan = plan.parameter("room", "sip:team@127.0.0.1");
        let proxy = plan.clone().start();
        let bystanders = Bystanders::join(&proxy, "team");
        let two = |faults: &Faults| faults.number() < 3;
        let sets: Vec<_> = Faults::all().into_iter().filter(two).collect();
        for transport in [Transport::Udp, Transport::Tcp] {
            for tag in ["", ";tag=somebodys"] {
                let target = Target { room: "lobby", tag };
                sweep(&plan, &proxy, transport, target, &sets);
            }
        }
        bystanders.unharmed(proxy);
    });
}

fn accounts(host: &Host) -> &'static [&'static str] {
    match host.family {
        Family::Kamailio => &["auth", "htable"],
        Family::OpenSips => &["auth", "cachedb_local"],
    }
}
