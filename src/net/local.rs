//! Which of this machine's addresses a peer sees.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Port 9, discard; nothing is sent.
const DISCARD: u16 = 9;

/// The address from which this machine speaks to `peer`.
///
/// # Errors
///
/// What the system says when there is no way to it.
pub fn address_towards(peer: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Connecting a datagram socket looks the route up, and does no more.
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
