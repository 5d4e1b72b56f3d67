//! Location of SIP servers through the test's own name servers, on loopback.

#[path = "harness/dns.rs"]
#[allow(dead_code, unreachable_pub)]
mod dns;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use dns::{NameServer, Zone};
use domain::base::Rtype;
use msrp_conference::entropy::Seeded;
use msrp_conference::resolve::{
    Failure, LIMIT, Located, NameServers, Resolver, System, Target, Transport,
};

/// Longer than any look-up may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Rig {
    resolver: Resolver,
    woken: Receiver<()>,
}

impl Rig {
    fn asking(servers: &[&NameServer]) -> Self {
        let addresses = servers.iter().map(|server| server.address).collect();
        Self::on(System {
            name_servers: NameServers::These(addresses),
            hosts: PathBuf::from("/does/not/exist"),
        })
    }

    fn on(system: System) -> Self {
        let (wake, woken) = unbounded();
        let supported = vec![Transport::Udp, Transport::Tcp];
        let wake = Arc::new(move || wake.send(()).unwrap_or_default());
        let resolver = Resolver::start(system, supported, wake).expect("a thread");
        Self { resolver, woken }
    }

    fn locate(&self, uri: &str) -> Result<String, Failure> {
        self.look_up(uri).0
    }

    /// The result, its validity, and the duration of the look-up.
    fn look_up(&self, uri: &str) -> (Result<String, Failure>, Duration, Duration) {
        let target = Target::of_uri(uri).expect("a target");
        let started = Instant::now();
        self.resolver.ask(target.clone());
        self.woken.recv_timeout(PATIENCE).expect("woken");
        let took = started.elapsed();
        let (of, found, ttl) = self.resolver.outcome().expect("an outcome");
        assert_eq!(of, target);
        (found.map(|located| places(&located)), ttl, took)
    }
}

fn places(located: &Located) -> String {
    let hops = located.hops(true, &mut Seeded(1));
    let hops = hops.iter().map(|hop| {
        let text = hop.to_string();
        text.replace("sip:", "").replace(";transport=", "/")
    });
    hops.collect::<Vec<_>>().join(" ")
}

fn found(text: &str) -> Result<String, Failure> {
    Ok(text.to_owned())
}

#[test]
fn naptr_srv_and_addresses_are_followed() {
    let zone = Zone::new()
        .naptr("h.test", 20, "SIP+D2U", "_sip._udp.h.test")
        .naptr("h.test", 10, "SIP+D2T", "_sip._tcp.h.test")
        .srv("_sip._tcp.h.test", 2, 5070, "b.h.test")
        .srv("_sip._tcp.h.test", 1, 5071, "a.h.test")
        .srv("_sip._udp.h.test", 1, 5072, "a.h.test")
        .host("a.h.test", "2001:db8::1")
        .host("a.h.test", "192.0.2.1")
        .alias("b.h.test", "c.h.test")
        .host("c.h.test", "192.0.2.3");
    let server = NameServer::of(zone);
    let rig = Rig::asking(&[&server]);
    let (located, ttl, _) = rig.look_up("sip:x@H.test");
    let all = "192.0.2.1:5071/tcp [2001:db8::1]:5071/tcp 192.0.2.3:5070/tcp \
               192.0.2.1:5072/udp [2001:db8::1]:5072/udp";
    assert_eq!(located, found(all));
    assert_eq!(ttl, Duration::from_secs(60));
    assert_eq!(rig.locate("sip:h.test:5060"), Err(Failure::NoAddress));
    assert_eq!(rig.locate("sip:c.h.test"), found("192.0.2.3:5060/udp"));
}

#[test]
fn what_does_not_exist_is_known_for_as_long_as_the_zone_says() {
    let server = NameServer::of(Zone::new().ttl(17));
    let rig = Rig::asking(&[&server]);
    let (located, ttl, _) = rig.look_up("sip:none.test");
    assert_eq!(located, Err(Failure::NoAddress));
    assert_eq!(ttl, Duration::from_secs(17));
}

#[test]
fn an_answer_too_long_for_a_datagram_comes_by_tcp() {
    let zone = Zone::new().host("h.test", "192.0.2.1").by_tcp_alone();
    let server = NameServer::of(zone);
    let rig = Rig::asking(&[&server]);
    assert_eq!(rig.locate("sip:h.test:9"), found("192.0.2.1:9/udp"));
}

#[test]
fn a_dead_name_server_is_left_for_the_next() {
    let zone = Zone::new()
        .srv("_sip._tcp.h.test", 1, 5070, "a.h.test")
        .host("a.h.test", "192.0.2.1");
    let (dead, alive) = (NameServer::dead(), NameServer::of(zone));
    let rig = Rig::asking(&[&dead, &alive]);
    let (located, _, took) = rig.look_up("sip:h.test;transport=tcp");
    assert_eq!(located, found("192.0.2.1:5070/tcp"));
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn without_an_answer_a_look_up_ends_after_four_seconds_and_holds_up_no_other() {
    let dead = NameServer::dead();
    let rig = Rig::asking(&[&dead]);
    let started = Instant::now();
    let names = 64;
    for number in 0..names {
        let target = Target::of_uri(&format!("sip:h{number}.test")).expect("a target");
        rig.resolver.ask(target);
    }
    for _ in 0..names {
        rig.woken.recv_timeout(PATIENCE).expect("woken");
        let (_, found, _) = rig.resolver.outcome().expect("an outcome");
        let why = found.expect_err("nothing");
        assert!(
            matches!(why, Failure::TimedOut | Failure::Unavailable),
            "{why}"
        );
    }
    let took = started.elapsed();
    assert!(
        took > Duration::from_secs(3) && took < LIMIT * 2,
        "{took:?}"
    );
}

#[test]
fn a_server_that_never_answers_for_one_family_does_not_hide_the_other() {
    let zone = Zone::new()
        .host("h.test", "192.0.2.1")
        .silent_about(Rtype::AAAA);
    let server = NameServer::of(zone);
    let rig = Rig::asking(&[&server]);
    let (located, _, took) = rig.look_up("sip:h.test:5060");
    assert_eq!(located, found("192.0.2.1:5060/udp"));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn the_hosts_file_comes_first_and_a_changed_resolv_conf_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "192.0.2.7 known.test\n").expect("written");
    let zones = ["192.0.2.1", "192.0.2.2"].map(|address| {
        let zone = Zone::new().host("h.corp.test", address);
        NameServer::of_machine(Some(zone))
    });
    let [Some(first), Some(second)] = zones else {
        return;
    };
    let conf = first.configuration(folder.path(), "search corp.test\n");
    let rig = Rig::on(System {
        name_servers: NameServers::File(conf),
        hosts,
    });
    assert_eq!(rig.locate("sip:known.test:7"), found("192.0.2.7:7/udp"));
    assert_eq!(first.asked(), [""; 0]);
    assert_eq!(rig.locate("sip:h:7"), found("192.0.2.1:7/udp"));
    second.configuration(folder.path(), "search corp.test\n# another\n");
    assert_eq!(rig.locate("sip:h:7"), found("192.0.2.2:7/udp"));
}

#[test]
fn the_thread_ends_whatever_it_waits_for() {
    let dead = NameServer::dead();
    let rig = Rig::asking(&[&dead]);
    rig.resolver
        .ask(Target::of_uri("sip:h.test").expect("a target"));
    let started = Instant::now();
    drop(rig);
    assert!(started.elapsed() < Duration::from_secs(2));
}
