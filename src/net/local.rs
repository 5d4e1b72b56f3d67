//! The local address that a peer sees.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Port 9, discard; nothing is sent.
const DISCARD: u16 = 9;

/// Returns the local address from which packets to `peer` are sent.
///
/// # Errors
///
/// The error of the operating system when there is no route to the peer.
pub fn address_towards(peer: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Connecting a datagram socket only looks up the route.
    socket.connect((peer, DISCARD))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_spoken_to_from_loopback() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(address_towards(loopback).unwrap(), loopback);
    }
}
