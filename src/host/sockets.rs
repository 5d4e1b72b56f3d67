//! Choice of the host's socket for a request of ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::focus::Socket;
use crate::resolve::{Hop, Transport};

/// The handle of a socket that can send to this destination: the wished one if it has the transport
/// and family, else its sibling of that transport; 0 leaves the choice to the host. Never force a
/// socket of another transport: the host would send by that one.
pub(super) fn towards(wish: &Socket, to: &Hop, find: impl FnOnce(&Socket) -> u64) -> u64 {
    let address = wish.host.trim_matches(['[', ']']).parse::<IpAddr>();
    let other_family = |address: IpAddr| address.is_ipv4() != to.address.is_ipv4();
    if address.is_ok_and(other_family) {
        return 0;
    }
    if wish.transport == to.transport.name() {
        return wish.handle;
    }
    find(&Socket {
        handle: 0,
        transport: to.transport.name().to_owned(),
        ..wish.clone()
    })
}

/// Documentation addresses (RFC 5737, RFC 3849), one for each transport and family: the host's
/// default socket is the one towards the first of them that it has a socket for.
pub(super) fn samples() -> impl Iterator<Item = Hop> {
    let addresses: [IpAddr; 2] = [
        Ipv4Addr::new(192, 0, 2, 1).into(),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    ];
    let transports = [Transport::Udp, Transport::Tcp, Transport::Tls];
    transports.into_iter().flat_map(move |transport| {
        addresses.map(|address| Hop {
            address: (address, 5060).into(),
            transport,
        })
    })
}

/// Whether requests can reach a socket bound to this address; one bound to every address does not
/// show the machine's own.
pub(super) fn is_an_address(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.is_ok_and(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Target;

    #[test]
    fn a_socket_is_forced_only_where_it_has_the_transport_and_family() {
        let wish = Socket {
            handle: 7,
            transport: "udp".into(),
            host: "192.0.2.1".into(),
            port: 5060,
        };
        for (to, socket) in [
            ("sip:192.0.2.9", 7),
            ("sip:192.0.2.9;transport=tcp", 8),
            ("sip:192.0.2.9;transport=tls", 0),
            ("sip:[2001:db8::9]", 0),
        ] {
            let hop = Target::of_uri(to).expect("a target").hop();
            let sibling = |socket: &Socket| {
                assert_eq!((socket.host.as_str(), socket.port), ("192.0.2.1", 5060));
                if socket.transport == "tcp" { 8 } else { 0 }
            };
            assert_eq!(
                towards(&wish, &hop.expect("an address"), sibling),
                socket,
                "{to}"
            );
        }
    }
}
