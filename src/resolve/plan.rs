//! The procedure of RFC 3263 §4: the next records to query, given the answers so far. It sends
//! nothing itself.

use std::net::IpAddr;
use std::time::Duration;

use super::Failure;
use super::located::{Located, Server, Service};
use super::target::{Host, Target, Transport};

/// NAPTR records followed: UDP, TCP and TLS make three.
const MAX_SERVICES: usize = 4;
/// Servers of a service that are looked up (RFC 3263 sets no limit; names servers may).
const MAX_SERVERS: usize = 10;
/// Addresses kept per server.
const MAX_ADDRESSES: usize = 8;

/// A question to a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// NAPTR of a domain.
    Naptr(String),
    /// SRV of a service.
    Srv(String),
    /// A and AAAA of a host.
    Addresses(String),
}

/// A NAPTR record (RFC 3403 §4.1), without the regular expression: SIP uses none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naptr {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: String,
    pub(super) service: String,
    pub(super) replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Empty for the root: the service is not available at this domain.
    pub(super) target: String,
}

/// The records found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Records {
    Naptr(Vec<Naptr>),
    Srv(Vec<Srv>),
    Addresses(Vec<IpAddr>),
}

/// The answer to a question, and its validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Found(Records, Duration),
    /// There are no such records.
    Nothing(Duration),
    /// Unknown: no name server answered, or it failed.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Naptr,
    Srv,
    Addresses,
}

/// One look-up under way.
#[derive(Debug)]
pub(super) struct Plan {
    name: String,
    /// The transport unless records say otherwise.
    transport: Transport,
    port: Option<u16>,
    /// Transports to ask for when the domain has no NAPTR, in the order of our preference.
    candidates: Vec<Transport>,
    stage: Stage,
    questions: Vec<Question>,
    /// The transports of the SRV questions.
    asked: Vec<Transport>,
    services: Vec<Service>,
    /// A domain that names its service unavailable (RFC 2782, a target of ".").
    closed: bool,
    failed: bool,
    ttl: Duration,
}

impl Plan {
    /// `supported` are the transports that the host can use. Only a name is looked up, never an
    /// address.
    pub(super) fn new(target: &Target, supported: &[Transport]) -> Self {
        let name = match &target.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        let candidates = match target.transport {
            Some(transport) => vec![transport],
            None if target.secure => vec![Transport::Tls],
            None => [Transport::Udp, Transport::Tcp, Transport::Tls]
                .into_iter()
                .filter(|transport| supported.contains(transport))
                .collect(),
        };
        let mut plan = Self {
            name,
            transport: target.plain_transport(),
            port: target.port,
            candidates,
            stage: Stage::Naptr,
            questions: Vec::new(),
            asked: Vec::new(),
            services: Vec::new(),
            closed: false,
            failed: false,
            ttl: Duration::MAX,
        };
        match target.transport {
            // §4.2: a port, or a transport without service records, leaves addresses only.
            _ if plan.port.is_some() => plan.ask_for_the_host(),
            Some(transport) if transport.is_websocket() => plan.ask_for_the_host(),
            Some(_) => plan.ask_for_services(),
            None => plan.questions = vec![Question::Naptr(plan.name.clone())],
        }
        plan
    }

    /// Questions to ask now, all at once; empty when the plan is done.
    pub(super) fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Takes the answers, in the order of the questions.
    pub(super) fn take(&mut self, answers: Vec<Answer>) {
        let questions = std::mem::take(&mut self.questions);
        let answers: Vec<_> = answers.into_iter().map(|it| self.note(it)).collect();
        match self.stage {
            Stage::Naptr => self.take_naptr(answers),
            Stage::Srv => self.take_srv(answers),
            Stage::Addresses => self.take_addresses(&questions, answers),
        }
    }

    /// The result, and how long it is valid.
    pub(super) fn result(self) -> (Result<Located, Failure>, Duration) {
        if self.services.is_empty() {
            let failure = match (self.failed, self.closed) {
                (_, true) => Failure::NoService,
                (true, false) => Failure::Unavailable,
                (false, false) => Failure::NoAddress,
            };
            return (Err(failure), self.ttl);
        }
        (Ok(Located::new(self.services)), self.ttl)
    }

    fn note(&mut self, answer: Answer) -> Option<Records> {
        match answer {
            Answer::Found(records, ttl) => {
                self.ttl = self.ttl.min(ttl);
                Some(records)
            }
            Answer::Nothing(ttl) => {
                self.ttl = self.ttl.min(ttl);
                None
            }
            Answer::Failed => {
                self.failed = true;
                None
            }
        }
    }

    /// §4.1: the records of supported services, by order and preference.
    fn take_naptr(&mut self, answers: Vec<Option<Records>>) {
        let mut services = Vec::new();
        for records in answers.into_iter().flatten() {
            if let Records::Naptr(records) = records {
                services.extend(records);
            }
        }
        services.sort_by_key(|record| (record.order, record.preference));
        let followed = services.iter().filter_map(|record| {
            let transport = service_transport(&record.service)?;
            let fits = self.candidates.contains(&transport)
                && record.flags.eq_ignore_ascii_case("s")
                && !record.replacement.is_empty();
            fits.then(|| (transport, Question::Srv(record.replacement.clone())))
        });
        let (asked, questions): (Vec<_>, Vec<_>) = followed.take(MAX_SERVICES).unzip();
        if asked.is_empty() {
            return self.ask_for_services();
        }
        (self.stage, self.asked, self.questions) = (Stage::Srv, asked, questions);
    }

    fn ask_for_services(&mut self) {
        self.stage = Stage::Srv;
        self.asked = self.candidates.clone();
        let service = |transport: &Transport| match transport {
            Transport::Tls => "_sips._tcp",
            Transport::Tcp => "_sip._tcp",
            _ => "_sip._udp",
        };
        let question = |it| Question::Srv(format!("{}.{}", service(it), self.name));
        self.questions = self.asked.iter().map(question).collect();
    }

    fn take_srv(&mut self, answers: Vec<Option<Records>>) {
        let asked = std::mem::take(&mut self.asked);
        for (transport, records) in asked.into_iter().zip(answers) {
            let Some(Records::Srv(records)) = records else {
                continue;
            };
            let servers: Vec<_> = records
                .into_iter()
                .filter(|record| !record.target.is_empty() && record.port != 0)
                .take(MAX_SERVERS)
                .map(Server::of_record)
                .collect();
            self.closed |= servers.is_empty();
            if !servers.is_empty() {
                self.services.push(Service { transport, servers });
            }
        }
        if self.services.is_empty() && !self.closed {
            return self.ask_for_the_host();
        }
        self.ask_for_addresses();
    }

    /// §4.2: no service records, so the domain is the host.
    fn ask_for_the_host(&mut self) {
        let transport = self.transport;
        let port = self.port.unwrap_or(transport.default_port());
        self.services = vec![Service {
            transport,
            servers: vec![Server::alone(self.name.clone(), port)],
        }];
        self.ask_for_addresses();
    }

    fn ask_for_addresses(&mut self) {
        self.stage = Stage::Addresses;
        let servers = self.services.iter().flat_map(|service| &service.servers);
        for server in servers {
            let question = Question::Addresses(server.name.clone());
            if !self.questions.contains(&question) {
                self.questions.push(question);
            }
        }
    }

    fn take_addresses(&mut self, questions: &[Question], answers: Vec<Option<Records>>) {
        for (question, records) in questions.iter().zip(answers) {
            let (Question::Addresses(name), Some(Records::Addresses(mut found))) =
                (question, records)
            else {
                continue;
            };
            found.truncate(MAX_ADDRESSES);
            let servers = self.services.iter_mut().flat_map(|it| &mut it.servers);
            for server in servers.filter(|server| server.name == *name) {
                server.addresses.clone_from(&found);
            }
        }
        for service in &mut self.services {
            service
                .servers
                .retain(|server| !server.addresses.is_empty());
        }
        self.services.retain(|service| !service.servers.is_empty());
    }
}

/// RFC 3263 §4.1; browsers' services (RFC 7118 §6) are none a server connects to.
fn service_transport(service: &str) -> Option<Transport> {
    let is = |name: &str| service.eq_ignore_ascii_case(name);
    match () {
        () if is("SIP+D2U") => Some(Transport::Udp),
        () if is("SIP+D2T") => Some(Transport::Tcp),
        () if is("SIPS+D2T") => Some(Transport::Tls),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::entropy::Seeded;

    const TTL: Duration = Duration::from_secs(300);
    const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

    /// A zone; it answers questions about missing records with "nothing", valid for a minute.
    #[derive(Default)]
    struct Zone(HashMap<String, Answer>);

    impl Zone {
        fn naptr(mut self, name: &str, records: &[(u16, u16, &str, &str, &str)]) -> Self {
            let records =
                records
                    .iter()
                    .map(|&(order, preference, flags, service, replacement)| Naptr {
                        order,
                        preference,
                        flags: flags.into(),
                        service: service.into(),
                        replacement: replacement.into(),
                    });
            let records = Records::Naptr(records.collect());
            self.0
                .insert(format!("NAPTR {name}"), Answer::Found(records, TTL));
            self
        }

        fn srv(mut self, name: &str, records: &[(u16, u16, u16, &str)]) -> Self {
            let records = records.iter().map(|&(priority, weight, port, target)| Srv {
                priority,
                weight,
                port,
                target: target.into(),
            });
            let records = Records::Srv(records.collect());
            self.0
                .insert(format!("SRV {name}"), Answer::Found(records, TTL));
            self
        }

        fn host(mut self, name: &str, addresses: &[&str]) -> Self {
            let addresses = addresses.iter().map(|it| it.parse().expect("an address"));
            let records = Records::Addresses(addresses.collect());
            self.0
                .insert(format!("A {name}"), Answer::Found(records, TTL));
            self
        }

        fn dead(mut self, question: &str) -> Self {
            self.0.insert(question.into(), Answer::Failed);
            self
        }

        /// The destinations in their order, and the questions sent.
        fn locate(&self, uri: &str, supported: &[Transport]) -> (Result<String, Failure>, String) {
            let target = Target::of_uri(uri).expect("a target");
            let (mut plan, mut asked) = (Plan::new(&target, supported), Vec::new());
            while !plan.questions().is_empty() {
                let names = plan.questions().iter().map(|question| match question {
                    Question::Naptr(name) => format!("NAPTR {name}"),
                    Question::Srv(name) => format!("SRV {name}"),
                    Question::Addresses(name) => format!("A {name}"),
                });
                let names: Vec<_> = names.collect();
                let nothing = || Answer::Nothing(Duration::from_secs(60));
                let answers = names.iter().map(|name| self.0.get(name).cloned());
                let answers = answers.map(|it| it.unwrap_or_else(nothing)).collect();
                asked.extend(names);
                plan.take(answers);
            }
            let (found, _) = plan.result();
            let found = found.map(|located| {
                let hops = located.hops(true, &mut Seeded(1));
                let hops = hops.iter().map(|hop| {
                    let text = hop.to_string();
                    text.replace("sip:", "").replace(";transport=", "/")
                });
                hops.collect::<Vec<_>>().join(" ")
            });
            (found, asked.join(", "))
        }
    }

    fn found(text: &str) -> Result<String, Failure> {
        Ok(text.to_owned())
    }

    #[test]
    fn an_explicit_port_leaves_addresses_only() {
        let zone = Zone::default()
            .naptr("h.test", &[(1, 1, "s", "SIP+D2T", "_sip._tcp.h.test")])
            .host("h.test", &["192.0.2.1"]);
        for (uri, place) in [
            ("sip:h.test:5070", "192.0.2.1:5070/udp"),
            ("sip:h.test:5070;transport=tcp", "192.0.2.1:5070/tcp"),
            ("sips:h.test:5070", "192.0.2.1:5070/tls"),
        ] {
            let located = zone.locate(uri, &ALL);
            assert_eq!(located, (found(place), "A h.test".into()), "{uri}");
        }
    }

    #[test]
    fn an_explicit_transport_asks_for_its_service() {
        let zone = Zone::default()
            .srv("_sip._tcp.h.test", &[(1, 0, 5080, "a.h.test")])
            .srv("_sips._tcp.h.test", &[(1, 0, 5081, "a.h.test")])
            .host("a.h.test", &["192.0.2.1"])
            .host("h.test", &["192.0.2.2"]);
        let (places, asked) = zone.locate("sip:h.test;transport=tcp", &ALL);
        assert_eq!(places, found("192.0.2.1:5080/tcp"));
        assert_eq!(asked, "SRV _sip._tcp.h.test, A a.h.test");
        for uri in ["sip:h.test;transport=tls", "sips:h.test;transport=tcp"] {
            assert_eq!(zone.locate(uri, &ALL).0, found("192.0.2.1:5081/tls"));
        }
        // Without such a service the domain is the host.
        let (places, asked) = zone.locate("sip:h.test;transport=udp", &ALL);
        assert_eq!(places, found("192.0.2.2:5060/udp"));
        assert_eq!(asked, "SRV _sip._udp.h.test, A h.test");
        let (places, asked) = zone.locate("sip:h.test;transport=ws", &ALL);
        assert_eq!(
            (places, asked.as_str()),
            (found("192.0.2.2:80/ws"), "A h.test")
        );
    }

    #[test]
    fn naptr_decides_the_transport_among_those_the_proxy_has() {
        let zone = Zone::default()
            .naptr(
                "h.test",
                &[
                    (20, 1, "s", "SIP+D2U", "_sip._udp.h.test"),
                    (10, 2, "S", "sip+d2t", "_sip._tcp.h.test"),
                    (10, 1, "s", "SIPS+D2T", "_sips._tcp.h.test"),
                    (1, 1, "u", "E2U+sip", "x.test"),
                    (1, 1, "s", "SIP+D2S", "_sip._sctp.h.test"),
                ],
            )
            .srv("_sip._udp.h.test", &[(1, 0, 5060, "a.h.test")])
            .srv("_sip._tcp.h.test", &[(1, 0, 5062, "a.h.test")])
            .srv("_sips._tcp.h.test", &[(1, 0, 5063, "a.h.test")])
            .host("a.h.test", &["192.0.2.1"]);
        let (places, _) = zone.locate("sip:h.test", &ALL);
        let all = "192.0.2.1:5063/tls 192.0.2.1:5062/tcp 192.0.2.1:5060/udp";
        assert_eq!(places, found(all));
        let (places, asked) = zone.locate("sip:h.test", &[Transport::Udp]);
        assert_eq!(places, found("192.0.2.1:5060/udp"));
        assert_eq!(asked, "NAPTR h.test, SRV _sip._udp.h.test, A a.h.test");
        let (places, _) = zone.locate("sips:h.test", &ALL);
        assert_eq!(places, found("192.0.2.1:5063/tls"), "nothing but TLS");
    }

    #[test]
    fn without_naptr_every_supported_service_is_asked_for_and_then_the_host() {
        let zone = Zone::default()
            .srv("_sip._tcp.h.test", &[(1, 0, 5062, "a.h.test")])
            .host("a.h.test", &["192.0.2.1"])
            .host("bare.test", &["192.0.2.9", "2001:db8::9"]);
        let (places, asked) = zone.locate("sip:h.test", &[Transport::Udp, Transport::Tcp]);
        assert_eq!(places, found("192.0.2.1:5062/tcp"));
        assert_eq!(
            asked,
            "NAPTR h.test, SRV _sip._udp.h.test, SRV _sip._tcp.h.test, A a.h.test"
        );
        let (places, _) = zone.locate("sip:bare.test", &ALL);
        assert_eq!(places, found("192.0.2.9:5060/udp [2001:db8::9]:5060/udp"));
        let (places, _) = zone.locate("sips:bare.test", &ALL);
        assert_eq!(places, found("192.0.2.9:5061/tls [2001:db8::9]:5061/tls"));
    }

    #[test]
    fn servers_come_by_priority_and_a_server_without_address_is_left_out() {
        let servers = [
            (20, 0, 1, "c.test"),
            (10, 0, 2, "gone.test"),
            (10, 0, 3, "b.test"),
            (5, 0, 4, "b.test"),
        ];
        let zone = Zone::default()
            .srv("_sip._udp.h.test", &servers)
            .host("b.test", &["192.0.2.2"])
            .host("c.test", &["192.0.2.3"]);
        let (places, asked) = zone.locate("sip:h.test;transport=udp", &ALL);
        let all = "192.0.2.2:4/udp 192.0.2.2:3/udp 192.0.2.3:1/udp";
        assert_eq!(places, found(all));
        assert_eq!(
            asked.matches("A b.test").count(),
            1,
            "asked for once: {asked}"
        );
    }

    #[test]
    fn what_does_not_resolve_says_why() {
        let zone = Zone::default()
            .srv("_sip._udp.closed.test", &[(0, 0, 0, "")])
            .host("closed.test", &["192.0.2.1"])
            .dead("NAPTR dead.test")
            .dead("A half.test")
            .srv("_sip._udp.two.test", &[(1, 0, 5060, "half.test")]);
        let failure = |uri: &str| zone.locate(uri, &[Transport::Udp]).0;
        assert_eq!(failure("sip:none.test"), Err(Failure::NoAddress));
        assert_eq!(failure("sip:closed.test"), Err(Failure::NoService));
        assert_eq!(failure("sip:dead.test"), Err(Failure::Unavailable));
        assert_eq!(failure("sip:two.test"), Err(Failure::Unavailable));
    }

    #[test]
    fn a_result_is_good_for_as_long_as_its_shortest_record() {
        let target = Target::of_uri("sip:h.test:5060").expect("a target");
        let mut plan = Plan::new(&target, &ALL);
        let address = Records::Addresses(vec![[192, 0, 2, 1].into()]);
        plan.take(vec![Answer::Found(address, Duration::from_secs(7))]);
        assert_eq!(plan.result().1, Duration::from_secs(7));
    }

    #[test]
    fn a_zone_that_names_a_thousand_servers_is_asked_for_a_few() {
        let names: Vec<String> = (0..1000).map(|n| format!("s{n}.test")).collect();
        let servers: Vec<_> = names
            .iter()
            .map(|name| (1, 0, 5060, name.as_str()))
            .collect();
        let zone = Zone::default().srv("_sip._udp.h.test", &servers);
        let (_, asked) = zone.locate("sip:h.test;transport=udp", &ALL);
        assert_eq!(asked.matches("A s").count(), MAX_SERVERS);
    }
}
