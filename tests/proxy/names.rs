//! Destinations of the room's own requests: names that resolve and names that do not, several
//! addresses, ended connections, unreachable peers. Nobody else waits for any of it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::harness::agent::{Agent, Transport, unique};
use super::harness::dns::{NameServer, Zone};
use super::harness::draft::{Dialog, Draft};
use super::harness::host::{Family, Host};
use super::harness::invited::Invited;
use super::harness::participant::{Participant, Subscription, client_path, invite, subscribe};
use super::harness::plan::{Plan, free_port};
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, alone, on_every_host};
use super::refer::{last_report, refer, with_list};

/// How long other requests may wait while a look-up hangs: 50 ms are promised, but a machine that
/// runs the whole suite is slower.
const OTHERS_WAIT: Duration = Duration::from_millis(500);

/// Room behind a proxy that this machine's own name server does not know.
fn plan(host: &Host) -> Plan {
    Plan::new(host)
        .parameter("notify_interval_ms", 100)
        .parameter("invite_mode", "dial_out")
}

/// A machine with the test's own name server.
struct Machine {
    server: NameServer,
    folder: TempDir,
}

impl Machine {
    /// `None`, with a message, where we may not have one.
    fn with(zone: Option<Zone>) -> Option<Self> {
        let mut namespace = Command::new("unshare");
        let made = namespace.args(["--mount", "true"]).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("no mount namespace here: names are not tried");
            return None;
        }
        let server = NameServer::of_machine(zone)?;
        let folder = tempfile::tempdir().expect("a folder");
        server.configuration(folder.path(), "");
        Some(Self { server, folder })
    }

    fn plan(&self, host: &Host) -> Plan {
        plan(host).resolving_by(&self.folder.path().join("resolv.conf"))
    }
}

/// A SUBSCRIBE that came through another proxy, so that the NOTIFY goes to this Contact.
fn from_afar(agent: &Agent, room: &str, user: &str, contact: &str) -> Draft {
    subscribe(agent, room, 600)
        .add(
            "Via",
            format!("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{}", unique()),
        )
        .set("From", format!("<sip:{user}@127.0.0.1>;tag={}", unique()))
        .set("Contact", format!("<{contact}>"))
}

/// The longest duration of this many runs.
fn slowest(times: usize, mut each: impl FnMut()) -> Duration {
    let once = |_| {
        let started = Instant::now();
        each();
        started.elapsed()
    };
    (0..times).map(once).max().unwrap_or_default()
}

/// The slowest join of a few.
fn joins(proxy: &Proxy) -> Duration {
    let agents: Vec<_> = (0..10)
        .map(|number| Agent::new(&format!("b{number}"), proxy.sip, Transport::Udp))
        .collect();
    let room = proxy.room("lobby");
    let mut agents = agents.iter();
    slowest(10, || {
        let agent = agents.next().expect("ten");
        let draft = invite(agent, &room, &client_path());
        assert_eq!(agent.exchange(&draft).code, 200);
    })
}

#[test]
fn joins_take_no_longer_while_every_name_server_is_dead() {
    alone(|host| {
        let Some(machine) = Machine::with(None) else {
            return;
        };
        let proxy = machine.plan(host).start();
        let before = joins(&proxy);
        let agent = Agent::new("mallory", proxy.sip, Transport::Udp);
        for number in 0..64 {
            let contact = format!("sip:a@h{number}.slow.test");
            let user = format!("u{}", number / 4);
            let draft = from_afar(&agent, &proxy.room("lobby"), &user, &contact);
            assert_eq!(agent.exchange(&draft).code, 200);
        }
        let all = wait_until(PATIENCE, || proxy.statistic("look_ups") == 64);
        assert!(all, "{} look-ups", proxy.statistic("look_ups"));
        let during = joins(&proxy);
        eprintln!(
            "{}: joins took {before:?} before, {during:?} during",
            host.name
        );
        assert!(proxy.statistic("look_ups") > 0, "all over already");
        assert!(during < OTHERS_WAIT, "a join took {during:?}");
        // Each NOTIFY has its outcome, which ends the subscription.
        let over = wait_until(PATIENCE, || proxy.statistic("subscriptions") == 0);
        assert!(over, "{} subscriptions", proxy.statistic("subscriptions"));
        assert_eq!(proxy.statistic("look_ups_failed"), 64);
        assert!(machine.server.unread() > 0, "nobody was asked");
        proxy.stop();
    });
}

#[test]
fn a_users_names_wait_in_line_and_a_stop_waits_for_none() {
    on_every_host(|host| {
        let Some(machine) = Machine::with(None) else {
            return;
        };
        let proxy = machine.plan(host).start();
        let agent = Agent::new("mallory", proxy.sip, Transport::Udp);
        for number in 0..20 {
            let contact = format!("sip:a@h{number}.slow.test");
            let draft = from_afar(&agent, &proxy.room("lobby"), "mallory", &contact);
            assert_eq!(agent.exchange(&draft).code, 200);
        }
        let all = wait_until(PATIENCE, || proxy.statistic("look_ups") == 20);
        assert!(all, "{} look-ups", proxy.statistic("look_ups"));
        let started = Instant::now();
        proxy.stop();
        assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
    });
}

#[test]
fn an_invitation_to_a_dead_zone_ends_with_503_and_its_inviter_is_told() {
    on_every_host(|host| {
        let Some(machine) = Machine::with(None) else {
            return;
        };
        let proxy = machine.plan(host).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        assert_eq!(refer(&alice, "<sip:carol@carol.slow.test>"), 200);
        let told = last_report(&alice);
        assert!(told.starts_with("terminated SIP/2.0 503"), "{told}");
        let log = proxy.log();
        let why = "INVITE to sip:carol@carol.slow.test: the name did not resolve";
        let why = [
            why,
            "INVITE to sip:carol@carol.slow.test: the name servers give no answer",
        ]
        .iter()
        .any(|why| log.contains(why));
        assert!(why, "the log does not say why");
        proxy.stop();
    });
}

#[test]
fn names_that_resolve_are_reached() {
    on_every_host(|host| {
        let port = free_port();
        let zone = Zone::new()
            .srv("_sip._udp.carol.test", 1, port, "a.test")
            .host("a.test", "127.0.0.1");
        let Some(machine) = Machine::with(Some(zone)) else {
            return;
        };
        let proxy = machine.plan(host).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let carol = Invited::with(Agent::at("carol", proxy.sip, port));
        assert_eq!(refer(&alice, "<sip:carol@carol.test>"), 200);
        let invite = carol.asked("INVITE");
        assert_eq!(invite.uri, "sip:carol@carol.test", "the name stays in it");
        let _link = carol.accept(&proxy, &invite, &invite.body);
        assert_eq!(last_report(&alice), "terminated SIP/2.0 200 OK");
        // A route by name is resolved in the same way.
        let draft = from_afar(&alice.agent, &alice.room, "dave", "sip:dave@192.0.2.9");
        let draft = draft.add("Record-Route", "<sip:carol.test;lr>");
        assert_eq!(alice.agent.exchange(&draft).code, 200);
        let notify = carol.agent.request("NOTIFY", PATIENCE);
        let notify = notify.expect("a NOTIFY by the route");
        assert_eq!(notify.uri, "sip:dave@192.0.2.9");
        let asked = machine.server.asked();
        let times = |question: &str| asked.iter().filter(|it| *it == question).count();
        assert_eq!(times("SRV _sip._udp.carol.test"), 1, "{asked:?}");
        proxy.stop();
    });
}

#[test]
fn a_list_may_name_fifty_domains() {
    on_every_host(|host| {
        let port = free_port();
        let mut zone = Zone::new().host("a.test", "127.0.0.1");
        for number in 0..50 {
            zone = zone.srv(&format!("_sip._udp.h{number}.test"), 1, port, "a.test");
        }
        let Some(machine) = Machine::with(Some(zone)) else {
            return;
        };
        let proxy = machine.plan(host).start();
        let everybody = Agent::at("everybody", proxy.sip, port);
        everybody.answer("INVITE", Some(486));
        let uris: Vec<_> = (0..50).map(|n| format!("sip:u{n}@h{n}.test")).collect();
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = alice.draft("INVITE", &proxy.room("lobby"));
        let draft = draft.body("multipart/mixed;boundary=b1", with_list(&uris));
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 200);
        alice.send(&Dialog::new(&draft, &answer).ack(&alice));
        for uri in &uris {
            let invited = everybody.timed_request(PATIENCE, |request| {
                request.method.as_str() == "INVITE" && request.uri == *uri
            });
            assert!(invited.is_some(), "{uri} is not invited");
        }
        assert_eq!(proxy.statistic("look_ups_failed"), 0);
        proxy.stop();
    });
}

#[test]
fn the_next_server_is_tried_when_one_does_not_answer() {
    on_every_host(|host| {
        let (silent, port) = (free_port(), free_port());
        let _silent = UdpSocket::bind(("127.0.0.1", silent)).expect("bind");
        let zone = Zone::new()
            .srv("_sip._udp.p.test", 1, silent, "a.test")
            .srv("_sip._udp.p.test", 2, port, "a.test")
            .host("a.test", "127.0.0.1");
        let Some(machine) = Machine::with(Some(zone)) else {
            return;
        };
        // How long tm waits for an answer.
        let timer = match host.family {
            Family::Kamailio => "modparam(\"tm\", \"fr_timer\", 1000)",
            Family::OpenSips => "modparam(\"tm\", \"fr_timeout\", 2)",
        };
        let proxy = machine.plan(host).lines(timer).start();
        let agent = Agent::at("alice", proxy.sip, port);
        let draft = from_afar(&agent, &proxy.room("lobby"), "alice", "sip:alice@p.test");
        assert_eq!(agent.exchange(&draft).code, 200);
        let first = agent.request("NOTIFY", PATIENCE).expect("a NOTIFY");
        assert_eq!(first.uri, "sip:alice@p.test");
        let cseq = first.headers.first("CSeq");
        assert_eq!(cseq, Some("1 NOTIFY"), "the same request");
        assert_eq!(proxy.statistic("subscriptions"), 1);
        proxy.stop();
    });
}

/// A phone that accepts connections.
struct Listening {
    listener: TcpListener,
}

impl Listening {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self { listener }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("its address")
    }

    /// The next connection to it, as a user agent; `None` when none comes.
    fn taken(&self, user: &str) -> Option<Agent> {
        self.listener.set_nonblocking(true).expect("set");
        let mut taken = None;
        wait_until(PATIENCE, || {
            taken = self.listener.accept().ok();
            taken.is_some()
        });
        let (stream, _) = taken?;
        stream.set_nonblocking(false).expect("set");
        Some(Agent::over(user, stream, Transport::Tcp))
    }
}

#[test]
fn when_its_connection_is_gone_a_phone_is_reached_at_its_contact() {
    on_every_host(|host| {
        let proxy = plan(host).start();
        let phone = Listening::new();
        let agent = Agent::new("alice", proxy.sip, Transport::Tcp);
        let agent = agent.reached_at(&phone.address().to_string());
        let subscription = Subscription::start(&agent, &proxy.room("lobby"), 600);
        let call = subscription.dialog.call_id;
        drop(agent);
        let _bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        let again = phone.taken("alice");
        let again = again.expect("a connection to where the Contact leads");
        let notify = again.request("NOTIFY", PATIENCE).expect("a NOTIFY");
        assert_eq!(notify.headers.first("Call-ID"), Some(call.as_str()));
        proxy.stop();
    });
}

#[test]
fn a_refresh_over_a_new_connection_moves_the_flow() {
    on_every_host(|host| {
        let proxy = plan(host).start();
        let nowhere = "192.0.2.77:5060";
        let old = Agent::new("alice", proxy.sip, Transport::Tcp).reached_at(nowhere);
        let mut subscription = Subscription::start(&old, &proxy.room("lobby"), 600);
        let new = Agent::new("alice", proxy.sip, Transport::Tcp).reached_at(nowhere);
        let refresh = subscription.dialog.request(&new, "SUBSCRIBE");
        let refresh = refresh.set("Event", "conference").set("Expires", "600");
        assert_eq!(new.exchange(&refresh).code, 200);
        assert!(new.request("NOTIFY", PATIENCE).is_some(), "by the new one");
        drop(old);
        let _bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        assert!(new.request("NOTIFY", PATIENCE).is_some(), "again");
        proxy.stop();
    });
}

#[test]
fn a_route_of_another_transport_is_taken_by_that_transport() {
    on_every_host(|host| {
        let proxy = plan(host).start();
        let edge = Listening::new();
        let agent = Agent::new("alice", proxy.sip, Transport::Udp);
        let routes = format!(
            "<sip:{};transport=tcp;r2=on;lr>, <sip:127.0.0.1:9;r2=on;lr>",
            edge.address()
        );
        let draft = subscribe(&agent, &proxy.room("lobby"), 600).add("Record-Route", routes);
        assert_eq!(agent.exchange(&draft).code, 200);
        let edge = edge.taken("edge").expect("a connection to the first route");
        let notify = edge.request("NOTIFY", PATIENCE).expect("a NOTIFY");
        let routes = notify.headers.elements("Route");
        assert!(routes[0].contains("transport=tcp"), "{routes:?}");
        let via = notify.headers.first("Via").unwrap_or_default();
        assert!(via.starts_with("SIP/2.0/TCP"), "{via}");
        proxy.stop();
    });
}

#[test]
fn what_the_script_drops_was_not_sent() {
    on_every_host(|host| {
        // OpenSIPS knows no drop in its local route.
        if host.family != Family::Kamailio {
            return;
        }
        let drops = "event_route[tm:local-request] { if ($rm == \"INVITE\") { drop; } }";
        let proxy = plan(host).routes(drops).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let carol = Invited::new(&proxy, "carol");
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        // Far less than the minutes for which an INVITE waits.
        let told = last_report(&alice);
        assert!(told.starts_with("terminated SIP/2.0 503"), "{told}");
        assert!(carol.agent.request("INVITE", Duration::ZERO).is_none());
        assert!(wait_until(PATIENCE, || proxy.transactions() == 0));
        proxy.stop();
    });
}

/// A port whose connections are never accepted: the kernel drops the SYN.
struct Unreachable {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl Unreachable {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        listener.bind(&any.into()).expect("bind");
        listener.listen(0).expect("listen");
        let address = listener.local_addr().expect("its address");
        let address = address.as_socket().expect("an IP address");
        let soon = Duration::from_millis(50);
        let full = std::iter::from_fn(|| TcpStream::connect_timeout(&address, soon).ok());
        Self {
            address,
            _queued: full.collect(),
            _listener: listener,
        }
    }
}

#[test]
fn fifty_unreachable_peers_stop_nobody() {
    alone(|host| {
        let peers: Vec<_> = (0..50).map(|_| Unreachable::new()).collect();
        let proxy = plan(host).start();
        let list = if host.family == Family::Kamailio {
            "msrp_conference.list"
        } else {
            "msrp_conference:list"
        };
        // Answered by the conference process alone.
        let before = slowest(20, || drop(proxy.call(list, json!([]))));
        let agent = Agent::new("mallory", proxy.sip, Transport::Tcp);
        for (number, peer) in peers.iter().enumerate() {
            let contact = format!("sip:u{number}@{};transport=tcp", peer.address);
            let user = format!("u{number}");
            let draft = from_afar(&agent, &proxy.room("lobby"), &user, &contact);
            agent.send(&draft);
        }
        // Answered at once while NOTIFYs go out to all fifty.
        let (started, mut pause) = (Instant::now(), Duration::ZERO);
        while proxy.statistic("notifies") < 50 || started.elapsed() < Duration::from_secs(1) {
            pause = pause.max(slowest(5, || drop(proxy.call(list, json!([])))));
            assert!(started.elapsed() < PATIENCE, "no NOTIFYs");
        }
        let join = joins(&proxy);
        eprintln!(
            "{}: {before:?} before, a pause of {pause:?}, a join {join:?}",
            host.name
        );
        assert!(
            pause < OTHERS_WAIT,
            "the conference process stood for {pause:?}"
        );
        assert!(join < OTHERS_WAIT * 2, "a join took {join:?}");
        drop(peers);
        proxy.stop();
    });
}
