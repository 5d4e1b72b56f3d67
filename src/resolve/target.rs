//! The destination of a SIP URI before any name is looked up (RFC 3263 §4, RFC 7118 §5).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::wire::sip::Uri;

/// Longest domain name and longest label in octets (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A transport of SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// A WebSocket (RFC 7118).
    Ws,
    /// A WebSocket in TLS.
    Wss,
}

impl Transport {
    /// As in the `transport` of a URI; `wss` is what both hosts call a WebSocket in TLS.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The transport of that name; `None` for one no host has, or SCTP.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss]
            .into_iter()
            .find(|transport| transport.name().eq_ignore_ascii_case(name))
    }

    /// Whether it needs a connection.
    pub fn is_stream(self) -> bool {
        self != Self::Udp
    }

    /// Whether only the peer can open the connection.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The secure form of this transport, for a `sips` URI (RFC 3261 §26.2.2); there is no TLS over
    /// UDP.
    fn secured(self) -> Option<Self> {
        match self {
            Self::Udp => None,
            Self::Tcp | Self::Tls => Some(Self::Tls),
            Self::Ws | Self::Wss => Some(Self::Wss),
        }
    }

    /// RFC 3261 §19.1.2, RFC 6455 §3.
    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

/// One destination of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// Address and port.
    pub address: SocketAddr,
    /// Transport.
    pub transport: Transport,
}

/// As a SIP URI that names no host: `sip:192.0.2.1:5060;transport=tcp`.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sip:{};transport={}",
            self.address,
            self.transport.name()
        )
    }
}

/// The destination that a URI describes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    /// The transport in the URI; for a `sips` URI its TLS form.
    pub(super) transport: Option<Transport>,
    /// A `sips` URI: only TLS is allowed.
    pub(super) secure: bool,
}

/// The TARGET of RFC 3263 §4.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Host {
    Address(IpAddr),
    /// In lower case, without a dot at the end.
    Name(String),
}

/// Why a URI has no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No URI, or one without a host.
    #[error("no SIP URI")]
    Uri,
    /// SCTP, or one nobody knows.
    #[error("a transport this proxy does not have")]
    Transport,
    /// `sips` over UDP.
    #[error("sips cannot be reached over UDP")]
    Insecure,
    /// No domain name, or port 0.
    #[error("no host or port to send to")]
    Host,
    /// RFC 6761 §6.4: the host of a client reachable over its connection alone (RFC 7118 §5).
    #[error("reached by its own connection alone, which is gone")]
    Unreachable,
}

impl Target {
    /// Reads a SIP or SIPS URI; `maddr` stands for its host (RFC 3263 §4).
    ///
    /// # Errors
    /// Nothing can be sent there, whatever the answers of the name servers.
    pub fn of_uri(text: &str) -> Result<Self, TargetError> {
        let uri: Uri = text.parse().map_err(|_| TargetError::Uri)?;
        let secure = match uri.scheme.as_str() {
            "sip" => false,
            "sips" => true,
            _ => return Err(TargetError::Uri),
        };
        let transport = match uri.params.value("transport") {
            None => None,
            Some(name) => {
                let named = Transport::named(name).ok_or(TargetError::Transport)?;
                Some(match secure {
                    true => named.secured().ok_or(TargetError::Insecure)?,
                    false => named,
                })
            }
        };
        let host = Host::read(uri.params.value("maddr").unwrap_or(&uri.host))?;
        if uri.port == Some(0) {
            return Err(TargetError::Host);
        }
        Ok(Self {
            host,
            port: uri.port,
            transport,
            secure,
        })
    }

    /// The destination without any look-up, if the URI has an address.
    pub fn hop(&self) -> Option<Hop> {
        let Host::Address(address) = self.host else {
            return None;
        };
        let transport = self.plain_transport();
        let port = self.port.unwrap_or(transport.default_port());
        Some(Hop {
            address: SocketAddr::new(address, port),
            transport,
        })
    }

    /// The transport when no name server is queried for one (RFC 3263 §4.1).
    pub(super) fn plain_transport(&self) -> Transport {
        let default = if self.secure {
            Transport::Tls
        } else {
            Transport::Udp
        };
        self.transport.unwrap_or(default)
    }
}

impl Host {
    fn read(text: &str) -> Result<Self, TargetError> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let octet = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        let label =
            |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(octet);
        if name.len() > MAX_NAME || !name.split('.').all(label) {
            return Err(TargetError::Host);
        }
        if name.rsplit('.').next() == Some("invalid") {
            return Err(TargetError::Unreachable);
        }
        Ok(Self::Name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Target {
        Target::of_uri(uri).unwrap_or_else(|error| panic!("{uri}: {error}"))
    }

    #[test]
    fn an_address_needs_no_look_up() {
        for (uri, hop) in [
            ("sip:a@192.0.2.1", "sip:192.0.2.1:5060;transport=udp"),
            (
                "sip:a@192.0.2.1:5070;lr",
                "sip:192.0.2.1:5070;transport=udp",
            ),
            (
                "sip:192.0.2.1;transport=TCP",
                "sip:192.0.2.1:5060;transport=tcp",
            ),
            (
                "sip:192.0.2.1;transport=tls",
                "sip:192.0.2.1:5061;transport=tls",
            ),
            ("sips:a@192.0.2.1", "sip:192.0.2.1:5061;transport=tls"),
            (
                "sips:a@192.0.2.1:9;transport=tcp",
                "sip:192.0.2.1:9;transport=tls",
            ),
            ("sip:[2001:db8::1]", "sip:[2001:db8::1]:5060;transport=udp"),
            (
                "sip:192.0.2.1;transport=ws",
                "sip:192.0.2.1:80;transport=ws",
            ),
            (
                "sips:192.0.2.1;transport=ws",
                "sip:192.0.2.1:443;transport=wss",
            ),
            (
                "sip:a@h.example.com;maddr=192.0.2.9",
                "sip:192.0.2.9:5060;transport=udp",
            ),
        ] {
            let found = target(uri).hop().map(|hop| hop.to_string());
            assert_eq!(found.as_deref(), Some(hop), "{uri}");
            let again = target(hop).hop().map(|hop| hop.to_string());
            assert_eq!(
                again.as_deref(),
                Some(hop),
                "what tm gets is read as the same"
            );
        }
    }

    #[test]
    fn names_are_compared_without_case_and_final_dot() {
        assert_eq!(
            target("sip:a@P.Example.com."),
            target("sip:b@p.example.com;lr")
        );
        assert_eq!(target("sip:a@h.example.com").hop(), None);
        assert_ne!(target("sip:h.example.com"), target("sips:h.example.com"));
        let far = target("sip:a@192.0.2.1;maddr=h.example.com");
        assert_eq!(far, target("sip:h.example.com"));
    }

    #[test]
    fn what_leads_nowhere_is_refused_at_once() {
        for (uri, error) in [
            ("tel:+1201", TargetError::Uri),
            ("mailto:a@b", TargetError::Uri),
            ("sip:a@h;transport=sctp", TargetError::Transport),
            ("sips:a@h;transport=udp", TargetError::Insecure),
            ("sip:a@h:0", TargetError::Host),
            ("sip:a@a..b", TargetError::Host),
            ("sip:a@h;maddr=x/y", TargetError::Host),
            (
                "sip:x@df7jal23ls0d.invalid;transport=ws",
                TargetError::Unreachable,
            ),
        ] {
            assert_eq!(Target::of_uri(uri), Err(error), "{uri}");
        }
        let long = format!("sip:{}.example.com", "a".repeat(MAX_LABEL + 1));
        assert_eq!(Target::of_uri(&long), Err(TargetError::Host));
        let long = format!("sip:{}com", "a.".repeat(MAX_NAME / 2));
        assert_eq!(Target::of_uri(&long), Err(TargetError::Host));
    }
}
