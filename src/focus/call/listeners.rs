//! MSRP addresses for clients: the choice of a listener and of the host in `a=path`.

use std::net::{IpAddr, SocketAddr};

use crate::control::{Listen, Setup, Transport};
use crate::focus::room::policy::Policy;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::offer_answer::{Accepted, Terms};
use crate::focus::sip::rejection::Verdict;
use crate::focus::{Focus, Socket};
use crate::wire::msrp::UriRef;

/// MSRP's registered port (RFC 4975 §15.4), for a description without a listener.
const DEFAULT_PORT: u16 = 2855;

/// The peer a listener is chosen for.
#[derive(Clone, Copy)]
pub(in crate::focus) struct Towards<'a> {
    /// The socket its SIP comes in on.
    pub(in crate::focus) socket: &'a Socket,
    /// The stream runs over TLS.
    pub(in crate::focus) secure: bool,
    /// Its description, if it has sent one.
    pub(in crate::focus) theirs: Option<&'a Accepted>,
}

/// The host in the MSRP URI of a listener.
enum Host {
    Address(IpAddr),
    Name,
}

impl Focus {
    /// Host and port for `a=path`: the first listener of the transport that the peer can reach, by
    /// the address family of its description or of the socket its SIP came to. A listener on one
    /// address appears with that address, one on all addresses with that of the SIP socket. An
    /// advertised port replaces that of the very first listener.
    pub(in crate::focus) fn msrp_address(&self, towards: Towards<'_>) -> (String, u16) {
        let called = literal(&towards.socket.host);
        let transport = self.transport(towards);
        let of_transport = |listen: &&Listen| listen.transport == transport;
        if let Some(advertise) = &self.config.advertise {
            let first = self.switch.listen.iter().find(of_transport);
            let port = first.map_or(DEFAULT_PORT, |listen| listen.address.port());
            let is_first = first.is_none_or(|first| self.switch.listen.first() == Some(first));
            let own = advertise.port.filter(|_| is_first);
            return (advertise.host.clone(), own.unwrap_or(port));
        }
        let chosen = self.listener(towards);
        let any = || self.switch.listen.iter().find(of_transport);
        let Some(listen) = chosen.or_else(any) else {
            return (towards.socket.host.clone(), DEFAULT_PORT);
        };
        let port = listen.address.port();
        match host(listen, called) {
            Some(Host::Address(address)) if Some(address) != called => (bracketed(address), port),
            _ => (towards.socket.host.clone(), port),
        }
    }

    /// Refuses a peer that cannot reach the address it would get.
    pub(in crate::focus) fn check_listener(&self, towards: Towards<'_>) -> Verdict<()> {
        let comes = towards
            .theirs
            .is_none_or(|theirs| theirs.setup == Setup::Passive);
        if !comes || self.config.advertise.is_some() || self.listener(towards).is_some() {
            return Ok(());
        }
        Err(Cause::NoListener.into())
    }

    /// Refuses everybody until the focus knows the listeners of the switch.
    pub(in crate::focus) fn check_switch(&self) -> Verdict<()> {
        if self.switch.listen.is_empty() {
            return Err(Cause::SwitchUnknown.into());
        }
        Ok(())
    }

    fn listener(&self, towards: Towards<'_>) -> Option<&Listen> {
        let transport = self.transport(towards);
        let called = literal(&towards.socket.host);
        let families = [towards.theirs.and_then(address_of), called];
        let mut own = self.switch.listen.iter();
        let of_transport: Vec<_> = own
            .by_ref()
            .filter(|listen| listen.transport == transport)
            .collect();
        let meets = |listen: &&&Listen, peer: &IpAddr| match host(listen, called) {
            Some(Host::Address(address)) => address.is_ipv4() == peer.is_ipv4(),
            Some(Host::Name) => true,
            None => false,
        };
        if families.iter().flatten().next().is_none() {
            return of_transport.first().copied();
        }
        let mut peers = families.iter().flatten();
        peers.find_map(|peer| of_transport.iter().find(|it| meets(it, peer)).copied())
    }

    /// Transports by which MSRP may enter a room: those with a listener, and only TLS if the room
    /// requires it (RFC 7701 §4.1).
    pub(in crate::focus) fn terms(&self, policy: &Policy) -> Terms {
        Terms {
            tcp: self.listens(Transport::Tcp) && !policy.rules.only_tls,
            tls: self.listens(Transport::Tls),
            ws: self.listens(Transport::Ws) && !policy.rules.only_tls,
            wss: self.listens(Transport::Wss),
            plain_text: policy.rules.plain_text,
        }
    }

    fn listens(&self, transport: Transport) -> bool {
        let mut all = self.switch.listen.iter();
        all.any(|it| it.transport == transport)
    }

    /// Transport of the peer: WebSocket if it says so and there is a listener for it. Without such
    /// a listener the peer comes through a relay, over TCP or TLS.
    pub(in crate::focus) fn transport(&self, towards: Towards<'_>) -> Transport {
        let (plain, web) = match towards.secure {
            true => (Transport::Tls, Transport::Wss),
            false => (Transport::Tcp, Transport::Ws),
        };
        let is_web = towards.theirs.is_some_and(Accepted::is_web);
        match is_web && self.listens(web) {
            true => web,
            false => plain,
        }
    }
}

/// Host for a listener in an answer to a caller whose SIP came to `called`; `None` if the listener
/// cannot be reached from there.
fn host(listen: &Listen, called: Option<IpAddr>) -> Option<Host> {
    let own = SocketAddr::ip(&listen.address);
    match called {
        _ if !own.is_unspecified() => Some(Host::Address(own)),
        None => Some(Host::Name),
        Some(called) => listen.meets(&called).then_some(Host::Address(called)),
    }
}

/// The peer's address, if it names one.
fn address_of(theirs: &Accepted) -> Option<IpAddr> {
    let first = theirs.peer.path.first()?;
    let address = literal(UriRef::parse(first).ok()?.host())?;
    (!address.is_unspecified()).then_some(address)
}

fn literal(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
