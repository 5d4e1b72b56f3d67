//! Checks the promises of the room's session description, and whether others can rely on them (RFC
//! 4975 §8, RFC 7701 §8).

use super::report::Finding;
use crate::offer::Peer;
use msrp_conference::wire::msrp::UriRef;
use std::net::IpAddr;

/// Judges the description: can a client that reached `server` by SIP reach its address?
pub(super) fn judge(peer: &Peer, server: IpAddr) -> Finding {
    let first = peer.path.split_whitespace().next().unwrap_or_default();
    let Ok(uri) = UriRef::parse(first) else {
        return Finding::failed(
            format!("a=path:{} is no MSRP URI", peer.path),
            "Is this server msrp_conference?",
        );
    };
    let host = uri.host().trim_matches(['[', ']']);
    let port = uri.port().unwrap_or_default();
    if let Some(finding) = host.parse().ok().and_then(|host| reach(host, server)) {
        return finding;
    }
    if !peer.cpim {
        return Finding::warning(
            format!("chat at {host}:{port}, without message/cpim"),
            "Nobody can be told apart there: is this a chat room?",
        );
    }
    match peer.chatroom.as_deref().map(str::trim) {
        None => Finding::warning(
            format!("chat at {host}:{port}, without a=chatroom"),
            "Clients will offer neither nicknames nor private messages (RFC 7701 §8).",
        ),
        Some("") => Finding::fine(format!("chat at {host}:{port}")),
        Some(features) => Finding::fine(format!("chat at {host}:{port}, with {features}")),
    }
}

/// The problem with an address, for a client that reaches the server at `server`.
fn reach(host: IpAddr, server: IpAddr) -> Option<Finding> {
    const ADVERTISE: &str = "Set the parameter `advertise` to the address or name under which \
        clients reach this machine (docs/nat.md).";
    if host.is_unspecified() {
        return Some(Finding::failed(
            format!("the room names {host} as the place of the chat"),
            ADVERTISE,
        ));
    }
    if host.is_loopback() && !server.is_loopback() {
        return Some(Finding::failed(
            format!("the room names {host}, which only the server itself can reach"),
            ADVERTISE,
        ));
    }
    (private(host) && !private(server)).then(|| {
        Finding::warning(
            format!("the room names {host}, a private address, and was reached at {server}"),
            ADVERTISE,
        )
    })
}

/// Addresses that mean nothing outside of their own network (RFC 1918, RFC 4193, loopback).
fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private() || address.is_loopback() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    fn judged(path: &str, server: &str) -> Verdict {
        let peer = Peer {
            path: path.into(),
            cpim: true,
            chatroom: Some("nickname".into()),
            fingerprints: Vec::new(),
        };
        judge(&peer, server.parse().unwrap()).verdict
    }

    #[test]
    fn addresses_nobody_can_reach_are_told() {
        for (path, server, verdict) in [
            ("msrp://192.0.2.1:2855/s;tcp", "192.0.2.1", Verdict::Fine),
            (
                "msrp://chat.example.com:2855/s;tcp",
                "192.0.2.1",
                Verdict::Fine,
            ),
            ("msrp://127.0.0.1:2855/s;tcp", "127.0.0.1", Verdict::Fine),
            ("msrp://10.0.0.1:2855/s;tcp", "10.0.0.2", Verdict::Fine),
            ("msrp://10.0.0.1:2855/s;tcp", "192.0.2.1", Verdict::Warning),
            (
                "msrp://[fd00::1]:2855/s;tcp",
                "2001:db8::1",
                Verdict::Warning,
            ),
            ("msrp://127.0.0.1:2855/s;tcp", "192.0.2.1", Verdict::Failed),
            ("msrp://0.0.0.0:2855/s;tcp", "192.0.2.1", Verdict::Failed),
            ("http://192.0.2.1/", "192.0.2.1", Verdict::Failed),
        ] {
            assert_eq!(judged(path, server), verdict, "{path} from {server}");
        }
    }
}
