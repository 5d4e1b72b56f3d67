//! Connecting to a peer: the allowed addresses, name resolution that blocks no other work, one
//! address after the other (RFC 4975 §6.2, C68), TLS (§14.2).
//!
//! The peer's description names the address to connect to. Anyone who may join can write one, so
//! they could direct the server at the operator's own machines (RFC 4975 §14.5, C88). The allow
//! list is therefore checked against the resolved address, immediately before connecting to it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::places::{Parties, Places, parties};
use super::queue::Accepted;
use super::tls::{Records, Tls};
use crate::control::Dial;
use crate::switch::{Security, Wanted};

/// Time limit for resolving a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for a connection attempt to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two attempts to reach a peer; it doubles after each attempt...
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// ...up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// Number of addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// One entry of `dial_allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialRule {
    /// Every address.
    Any,
    /// Every address of the public internet, without loopback, link-local, private and special
    /// ones.
    Public,
    /// The address the offer came from.
    Source,
    /// The addresses of a network.
    Network {
        /// Its address.
        address: IpAddr,
        /// Prefix length in bits.
        prefix: u8,
    },
    /// A host name; `*.` before it stands for every name below it. All addresses it resolves to are
    /// allowed.
    Host(String),
}

/// Text that is not an entry of `dial_allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither any, public, source, an address, a network nor a host name")]
pub struct DialRuleError;

impl FromStr for DialRule {
    type Err = DialRuleError;

    fn from_str(text: &str) -> Result<Self, DialRuleError> {
        match text {
            "any" => return Ok(Self::Any),
            "public" => return Ok(Self::Public),
            "source" => return Ok(Self::Source),
            _ => {}
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(|_| DialRuleError)?)),
            None => (text, None),
        };
        if let Ok(address) = address.parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.unwrap_or(most);
            return match prefix <= most {
                true => Ok(Self::Network { address, prefix }),
                false => Err(DialRuleError),
            };
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        match is_name && prefix.is_none() {
            true => Ok(Self::Host(text.to_ascii_lowercase())),
            false => Err(DialRuleError),
        }
    }
}

impl DialRule {
    fn permits(&self, host: &str, address: IpAddr, source: Option<IpAddr>) -> bool {
        match self {
            Self::Any => true,
            Self::Public => is_public(address),
            Self::Source => source.is_some_and(|source| source.to_canonical() == address),
            Self::Network {
                address: network,
                prefix,
            } => is_within(address, *network, *prefix),
            Self::Host(pattern) => match pattern.strip_prefix('*') {
                Some(below) => host.to_ascii_lowercase().ends_with(below),
                None => host.eq_ignore_ascii_case(pattern),
            },
        }
    }
}

/// Where the switch may connect to; an empty list allows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialPolicy(pub Vec<DialRule>);

impl Default for DialPolicy {
    fn default() -> Self {
        Self(vec![DialRule::Public, DialRule::Source])
    }
}

impl DialPolicy {
    /// Whether this address may be connected to; `host` is the name it stands for.
    pub(super) fn permits(&self, target: &Dial, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // The unspecified address: the operating system would connect to this machine.
        !address.is_unspecified()
            && self
                .0
                .iter()
                .any(|rule| rule.permits(&target.host, address, target.source))
    }
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let same = |left: u128, right: u128, width: u32| {
        let shift = width.saturating_sub(u32::from(prefix));
        left.checked_shr(shift) == right.checked_shr(shift)
    };
    match (address, network.to_canonical()) {
        (IpAddr::V4(left), IpAddr::V4(right)) => {
            same(u128::from(left.to_bits()), u128::from(right.to_bits()), 32)
        }
        (IpAddr::V6(left), IpAddr::V6(right)) => same(left.to_bits(), right.to_bits(), 128),
        _ => false,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The special blocks of the IANA registry (RFC 6890) do not count as public internet.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    !(first == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (first == 100 && second & 0xc0 == 64) // RFC 6598
        || (first == 192 && second == 0 && third == 0) // RFC 6890
        || (first == 198 && second & 0xfe == 18) // RFC 2544
        || first >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only 2000::/3 is assigned (RFC 4291 §2.4). Excluded from it: Teredo and other special blocks
    // (2001::/23), documentation, and 6to4, which wraps any IPv4 address.
    segments[0] & 0xe000 == 0x2000
        && !(segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xdb8))
        && segments[0] != 0x2002
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}

/// Identifies connections that can be shared (RFC 4975 §5.4, C64).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    host: String,
    port: u16,
    /// The name that the peer's certificate must vouch for, if the target has one.
    name: Option<String>,
}

impl Target {
    pub(super) fn of(dial: &Dial) -> Self {
        Self {
            host: dial.host.to_ascii_lowercase(),
            port: dial.port,
            name: dial.secure.then(|| dial.name.to_ascii_lowercase()),
        }
    }
}

/// The reason why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("the name does not resolve: {0}")]
    Resolve(io::Error),
    #[error("dial_allow forbids its address")]
    Forbidden,
    #[error("{0}")]
    Connect(io::Error),
    #[error("no TLS: {0}")]
    Handshake(io::Error),
    #[error("no TLS: it announced no certificate, and there is no tls_ca_list to judge by")]
    NoTrust,
    #[error("its name can be no certificate's")]
    Name,
    #[error("too many are tried for its room or its network")]
    Crowded,
}

/// Connects for all threads.
pub(super) struct Dialer {
    policy: DialPolicy,
    tls: Arc<Tls>,
    places: Arc<Places>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)
    }
}

impl Dialer {
    pub(super) fn new(policy: DialPolicy, tls: Arc<Tls>) -> Self {
        Self {
            policy,
            tls,
            places: Arc::default(),
        }
    }

    /// Number of attempts delayed by others of the same room or network.
    pub(super) fn delayed(&self) -> u64 {
        self.places.delayed()
    }

    /// Whether this target may share a connection made for another one.
    pub(super) fn permits(&self, target: &Dial, address: SocketAddr) -> bool {
        self.policy.permits(target, address.ip())
    }

    /// Connects to the address in the peer's description.
    pub(super) async fn dial(&self, wanted: &Wanted) -> Result<Accepted, DialError> {
        let target = &wanted.target;
        let parties = parties(target.source, &wanted.room);
        let connecting = self.connect_within(wanted.within, target, parties);
        let mut stream = connecting.await?;
        super::tune(&stream);
        if !target.secure {
            return accepted(stream, None, Security::Plain);
        }
        let material = self.tls.material();
        let config = material
            .client(wanted.fingerprints.clone())
            .ok_or(DialError::NoTrust)?;
        let records = Records::connect(config, &target.name).ok_or(DialError::Name)?;
        let mut records = Box::new(records);
        let handshake = records.shake_hands(&mut stream);
        in_time(HANDSHAKE_TIMEOUT, handshake)
            .await
            .map_err(DialError::Handshake)?;
        let security = Security::Tls(records.peer().into());
        accepted(stream, Some(records), security)
    }

    /// Retries until the deadline: a peer that has just answered may not listen yet, or its network
    /// may not be ready.
    async fn connect_within(
        &self,
        within: Duration,
        target: &Dial,
        parties: Parties,
    ) -> Result<TcpStream, DialError> {
        let until = Instant::now() + within;
        let mut pause = FIRST_PAUSE;
        loop {
            let place = timeout_at(until, self.places.acquire(parties.clone())).await;
            let Ok(Some(place)) = place else {
                return Err(DialError::Crowded);
            };
            let result = self.connect(target).await;
            drop(place);
            let passing = matches!(result, Err(DialError::Connect(_)));
            if !passing || Instant::now() + pause >= until {
                return result;
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&self, target: &Dial) -> Result<TcpStream, DialError> {
        // The resolver of the operating system, on a thread of the runtime's small pool.
        let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
        let found = in_time(RESOLVE_TIMEOUT, lookup)
            .await
            .map_err(DialError::Resolve)?;
        let mut problem = DialError::Forbidden;
        let allowed = found.filter(|address| self.policy.permits(target, address.ip()));
        for address in allowed.take(MAX_ADDRESSES) {
            match in_time(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => problem = DialError::Connect(error),
            }
        }
        Err(problem)
    }
}

async fn in_time<T>(most: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(most, work).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn accepted(
    stream: TcpStream,
    records: Option<Box<Records>>,
    security: Security,
) -> Result<Accepted, DialError> {
    Ok(Accepted {
        stream: stream.into_std().map_err(DialError::Connect)?,
        records,
        web: None,
        security,
        permit: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, source: &str) -> Dial {
        Dial {
            host: host.into(),
            port: 2855,
            secure: false,
            name: host.into(),
            source: source.parse().ok(),
        }
    }

    fn policy(text: &str) -> DialPolicy {
        DialPolicy(text.split(' ').map(|rule| rule.parse().unwrap()).collect())
    }

    fn permits(policy: &DialPolicy, address: &str, source: &str) -> bool {
        policy.permits(&target(address, source), address.parse().unwrap())
    }

    #[test]
    fn c88_by_default_no_address_of_the_operators_own() {
        let default = DialPolicy::default();
        for address in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "::7f00:1",
        ] {
            assert!(!permits(&default, address, "8.8.8.8"), "{address}");
        }
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert!(permits(&default, address, "10.0.0.1"), "{address}");
        }
    }

    #[test]
    fn c88_an_inner_address_is_fine_where_the_offer_came_from_it() {
        let default = DialPolicy::default();
        assert!(permits(&default, "10.1.2.3", "10.1.2.3"));
        assert!(permits(&default, "::ffff:10.1.2.3", "10.1.2.3"));
        assert!(permits(&default, "10.1.2.3", "::ffff:10.1.2.3"));
        assert!(permits(&default, "::1", "::1"));
        assert!(!permits(&default, "10.1.2.3", "10.1.2.4"));
        assert!(!permits(&default, "10.1.2.3", "unknown"));
        assert!(!permits(&policy("public"), "10.1.2.3", "10.1.2.3"));
        assert!(!permits(&DialPolicy(Vec::new()), "8.8.8.8", "8.8.8.8"));
    }

    #[test]
    fn networks_and_hosts_are_allowed_by_name() {
        let inner = policy("10.0.0.0/8 192.168.1.7 fd00::/8 *.relay.example relay.example.org");
        for (address, allowed) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
            ("fd12::1", true),
            ("fe80::1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(permits(&inner, address, ""), allowed, "{address}");
        }
        let address = IpAddr::from([127, 0, 0, 1]);
        for (host, allowed) in [
            ("a.relay.example", true),
            ("A.B.Relay.Example", true),
            ("relay.example", false),
            ("evilrelay.example", false),
            ("relay.example.org", true),
            ("x.relay.example.org", false),
        ] {
            assert_eq!(inner.permits(&target(host, ""), address), allowed, "{host}");
        }
        assert!(permits(&policy("any"), "127.0.0.1", ""));
        assert!(permits(&policy("0.0.0.0/0"), "127.0.0.1", ""));
        assert!(!permits(&policy("any"), "0.0.0.0", ""));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/x",
            "a b",
            "*",
            "a/8",
            "*.",
            "a_b",
        ] {
            assert_eq!(text.parse::<DialRule>(), Err(DialRuleError), "{text}");
        }
    }
}
