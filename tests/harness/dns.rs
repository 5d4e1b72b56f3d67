//! Name servers for tests: one that answers from a zone, one that never answers.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype, Serial, Ttl};
use domain::rdata::{A, Aaaa, AllRecordData, Naptr, Soa, Srv};

type Data = AllRecordData<Vec<u8>, Name<Vec<u8>>>;

/// Records and behaviour of a name server.
#[derive(Clone, Default)]
pub struct Zone {
    records: HashMap<(String, Rtype), Vec<Data>>,
    ttl: u32,
    /// Types of questions that get no answer.
    silent: Vec<Rtype>,
    /// Every answer is too long for a datagram.
    truncates: bool,
}

fn name(text: &str) -> Name<Vec<u8>> {
    text.parse().expect("a domain name")
}

impl Zone {
    /// An empty zone; its records are valid for a minute.
    pub fn new() -> Self {
        Self {
            ttl: 60,
            ..Self::default()
        }
    }

    /// Sets the validity of the records in seconds.
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    /// Adds an address, of either family.
    #[must_use]
    pub fn host(self, host: &str, address: &str) -> Self {
        match address.parse().expect("an address") {
            IpAddr::V4(address) => self.add(host, Rtype::A, A::new(address).into()),
            IpAddr::V6(address) => self.add(host, Rtype::AAAA, Aaaa::new(address).into()),
        }
    }

    /// Adds a server of a service.
    #[must_use]
    pub fn srv(self, service: &str, priority: u16, port: u16, host: &str) -> Self {
        let data = Srv::new(priority, 0, port, name(host));
        self.add(service, Rtype::SRV, data.into())
    }

    /// Adds a service of a domain.
    #[must_use]
    pub fn naptr(self, domain: &str, order: u16, service: &str, replacement: &str) -> Self {
        let text = |text: &str| text.parse().expect("a character string");
        let (flags, service, nothing) = (text("s"), text(service), text(""));
        let data = Naptr::new(order, 1, flags, service, nothing, name(replacement));
        self.add(domain, Rtype::NAPTR, data.into())
    }

    /// Adds another name for a host.
    #[must_use]
    pub fn alias(self, alias: &str, host: &str) -> Self {
        let data = domain::rdata::Cname::new(name(host));
        self.add(alias, Rtype::CNAME, data.into())
    }

    /// Leaves questions of this type unanswered.
    #[must_use]
    pub fn silent_about(mut self, kind: Rtype) -> Self {
        self.silent.push(kind);
        self
    }

    /// Makes every answer too long for a datagram.
    #[must_use]
    pub fn by_tcp_alone(mut self) -> Self {
        self.truncates = true;
        self
    }

    fn add(mut self, owner: &str, kind: Rtype, data: Data) -> Self {
        let key = (owner.to_ascii_lowercase(), kind);
        self.records.entry(key).or_default().push(data);
        self
    }

    fn answer(&self, octets: &[u8], by_udp: bool, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
        let query = Message::from_octets(octets.to_vec()).ok()?;
        let question = query.first_question()?;
        let mut owner = question.qname().to_string().to_ascii_lowercase();
        let kind = question.qtype();
        asked.lock().unwrap().push(format!("{kind} {owner}"));
        if self.silent.contains(&kind) {
            return None;
        }
        let mut message = MessageBuilder::from_target(Vec::new()).ok()?;
        message.header_mut().set_tc(by_udp && self.truncates);
        if by_udp && self.truncates {
            let mut short = message.start_answer(&query, Rcode::NOERROR).ok()?;
            short.header_mut().set_tc(true);
            return Some(short.finish());
        }
        let known = self.records.keys().any(|(of, _)| *of == owner);
        let code = if known {
            Rcode::NOERROR
        } else {
            Rcode::NXDOMAIN
        };
        let ttl = Ttl::from_secs(self.ttl);
        let mut answer = message.start_answer(&query, code).ok()?;
        let mut found = false;
        if let Some([data, ..]) = self
            .records
            .get(&(owner.clone(), Rtype::CNAME))
            .map(Vec::as_slice)
        {
            answer
                .push((name(&owner), Class::IN, ttl, data.clone()))
                .ok()?;
            if let Data::Cname(target) = data {
                owner = target.cname().to_string();
            }
        }
        for data in self
            .records
            .get(&(owner.clone(), kind))
            .into_iter()
            .flatten()
        {
            answer
                .push((name(&owner), Class::IN, ttl, data.clone()))
                .ok()?;
            found = true;
        }
        let mut authority = answer.authority();
        if !found {
            let soa = Soa::new(
                name("ns.test"),
                name("admin.test"),
                Serial(1),
                ttl,
                ttl,
                ttl,
                ttl,
            );
            authority.push((name("test"), Class::IN, ttl, soa)).ok()?;
        }
        Some(authority.finish())
    }
}

/// A running name server.
pub struct NameServer {
    /// Its address.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    socket: UdpSocket,
}

impl NameServer {
    /// A name server for this zone, on a free port.
    pub fn of(zone: Zone) -> Self {
        Self::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(zone))
    }

    /// A name server that never answers, on a free port.
    pub fn dead() -> Self {
        Self::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None)
    }

    /// A name server that `resolv.conf` can name: on port 53 of a loopback address of its own.
    /// `None`, with a message, where only root may listen there and we are not.
    pub fn of_machine(zone: Option<Zone>) -> Option<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let last = NEXT.fetch_add(1, Ordering::Relaxed);
        let [low, high, ..] = std::process::id().to_le_bytes();
        let address = SocketAddr::from((Ipv4Addr::new(127, 128 | high, low, last), 53));
        if let Err(error) = UdpSocket::bind(address) {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{address}");
            eprintln!("not root: names are not tried");
            return None;
        }
        Some(Self::start(address, zone))
    }

    fn start(address: SocketAddr, zone: Option<Zone>) -> Self {
        let socket = UdpSocket::bind(address).expect("a free port");
        let address = socket.local_addr().expect("its address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            address,
            asked: Arc::clone(&asked),
            socket: socket.try_clone().expect("clone"),
        };
        if let Some(zone) = zone {
            let (of_tcp, of_tcp_asked) = (zone.clone(), Arc::clone(&asked));
            let listener = TcpListener::bind(address).expect("the same port by TCP");
            thread::spawn(move || serve_connections(&listener, &of_tcp, &of_tcp_asked));
            thread::spawn(move || serve_datagrams(&socket, &zone, &asked));
        }
        server
    }

    /// The questions received so far, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Number of unread datagrams, of a server that never answers.
    pub fn unread(&self) -> usize {
        self.socket.set_nonblocking(true).expect("set");
        let each = std::iter::from_fn(|| self.socket.recv(&mut [0; 512]).ok());
        each.count()
    }

    /// Writes a `resolv.conf` into that folder with this server alone, and these further lines.
    pub fn configuration(&self, folder: &Path, more: &str) -> PathBuf {
        let path = folder.join("resolv.conf");
        let text = format!("nameserver {}\n{more}", self.address.ip());
        fs::write(&path, text).expect("written");
        path
    }
}

fn serve_datagrams(socket: &UdpSocket, zone: &Zone, asked: &Mutex<Vec<String>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        if let Some(answer) = zone.answer(&buffer[..length], true, asked) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn serve_connections(listener: &TcpListener, zone: &Zone, asked: &Mutex<Vec<String>>) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut query).is_err() {
                break;
            }
            if let Some(answer) = zone.answer(&query, false, asked) {
                let prefix = u16::try_from(answer.len()).expect("short").to_be_bytes();
                let _ = stream.write_all(&[&prefix, answer.as_slice()].concat());
            }
        }
    }
}
