//! Values in forms of their own: listeners, addresses, flags, patterns. The table has the allowed
//! values, unless an error needs more detail.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::value::Wrong;
use crate::focus::{Advertise, Credentials, InviteMode, Listen, Transport};
use crate::net;
use crate::store::{Durability, OnError};
use crate::switch::SlowReader;

/// Place of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchPlace {
    /// In the conference process.
    Embedded,
    /// `msrp-switchd` behind the control socket of this path.
    Unix(PathBuf),
}

/// Longest path of a Unix socket: `sun_path` less its final zero (unix(7)).
const SOCKET_PATH_OCTETS: usize = 107;

/// `embedded`, or `unix:` and an absolute path.
pub(super) fn switch_place(text: &str) -> Result<SwitchPlace, Wrong> {
    let text = text.trim();
    if text == "embedded" {
        return Ok(SwitchPlace::Embedded);
    }
    text.strip_prefix("unix:")
        .filter(|path| path.starts_with('/') && path.len() <= SOCKET_PATH_OCTETS)
        .map(|path| SwitchPlace::Unix(path.into()))
        .ok_or_else(Wrong::value)
}

/// Empty, or an absolute path: hosts change their folder when they become daemons.
pub(super) fn db_path(text: &str) -> Result<Option<PathBuf>, Wrong> {
    match text.trim() {
        "" => Ok(None),
        path if path.starts_with('/') && !path.ends_with('/') => Ok(Some(path.into())),
        _ => Err(Wrong::value()),
    }
}

/// `normal` or `full`.
pub(super) fn db_sync(text: &str) -> Result<Durability, Wrong> {
    match text.trim() {
        "normal" => Ok(Durability::Normal),
        "full" => Ok(Durability::Full),
        _ => Err(Wrong::value()),
    }
}

/// `memory` or `refuse`.
pub(super) fn db_on_error(text: &str) -> Result<OnError, Wrong> {
    match text.trim() {
        "memory" => Ok(OnError::Memory),
        "refuse" => Ok(OnError::Refuse),
        _ => Err(Wrong::value()),
    }
}

/// `msrp:ADDRESS:PORT`, or the same with `msrps:`, `ws:` or `wss:`.
pub(super) fn listen(text: &str) -> Result<Listen, Wrong> {
    let (scheme, rest) = text.trim().split_once(':').ok_or_else(Wrong::value)?;
    let transport = Transport::of_scheme(scheme).ok_or_else(Wrong::value)?;
    let address: SocketAddr = rest.parse().map_err(|_| Wrong::value())?;
    if address.port() == 0 {
        return Err(Wrong::value());
    }
    Ok(Listen { transport, address })
}

/// `own`, `any`, or origins separated by commas.
pub(super) fn ws_origins(text: &str) -> Result<net::Origins, Wrong> {
    text.parse().map_err(|_| Wrong::value())
}

/// Entries of `dial_allow`, separated by commas; `none` alone allows nothing.
pub(super) fn dial_allow(text: &str) -> Result<net::DialPolicy, Wrong> {
    if text.trim() == "none" {
        return Ok(net::DialPolicy(Vec::new()));
    }
    let rules: Result<Vec<net::DialRule>, _> =
        text.split(',').map(|rule| rule.trim().parse()).collect();
    match rules {
        Ok(rules) => Ok(net::DialPolicy(rules)),
        Err(_) => Err(Wrong::value()),
    }
}

/// `drop` or `disconnect`.
pub(super) fn slow_reader(text: &str) -> Result<SlowReader, Wrong> {
    match text.trim() {
        "drop" => Ok(SlowReader::Drop),
        "disconnect" => Ok(SlowReader::Disconnect),
        _ => Err(Wrong::value()),
    }
}

/// `HOST` or `HOST:PORT`; empty: none.
pub(super) fn advertise(text: &str) -> Result<Option<Advertise>, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port: u16 = port.parse().map_err(|_| Wrong::value())?;
            (
                host,
                Some(port)
                    .filter(|port| *port != 0)
                    .ok_or_else(Wrong::value)?
                    .into(),
            )
        }
        _ => (text, None),
    };
    if !is_host(host) {
        return Err(Wrong::value());
    }
    Ok(Some(Advertise {
        host: host.to_owned(),
        port,
    }))
}

/// A host name, a literal IPv4 address, or IPv6 in brackets.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return matches!(inner.parse(), Ok(IpAddr::V6(_)));
    }
    !host.is_empty()
        && host.len() <= 253 // RFC 1035 §2.3.4
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// The way to invite the recipients of a list.
pub(super) fn invite_mode(text: &str) -> Result<InviteMode, Wrong> {
    match text {
        "refer" => Ok(InviteMode::Refer),
        "dial_out" => Ok(InviteMode::DialOut),
        _ => Err(Wrong::value()),
    }
}

/// Reads `user:realm:password`; the password may contain colons, and is never shown.
pub(super) fn credential(text: &str) -> Result<Credentials, Wrong> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(user), Some(realm), Some(password)) if !user.is_empty() => Ok(Credentials {
            realm: (!realm.is_empty()).then(|| realm.to_owned()),
            user: user.to_owned(),
            password: password.to_owned(),
        }),
        _ => Err(Wrong {
            part: Some("(hidden)".to_owned()),
            allowed: None,
        }),
    }
}

/// `yes` or `no`, 1 or 0.
pub(super) fn flag(text: &str) -> Result<bool, Wrong> {
    match text.trim() {
        "yes" | "1" => Ok(true),
        "no" | "0" => Ok(false),
        _ => Err(Wrong::value()),
    }
}

/// A regular expression, checked; empty: none.
pub(super) fn pattern(text: &str) -> Result<Option<String>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    match regex_lite::Regex::new(text) {
        Ok(_) => Ok(Some(text.to_owned())),
        Err(_) => Err(Wrong::value()),
    }
}

/// Pseudo-variables that repeat the request's own claims, with a domain in it: the From header's
/// URI and domain, the realm of the credentials.
const CLAIMED: [&str; 3] = ["fu", "fd", "ar"];

/// A warning about an `identity` whose domain the sender of the request chooses, as far as that
/// shows without the script.
pub(crate) fn doubt(identity: &str) -> Option<String> {
    let mut used = identity.split('$').skip(1).map(|start| {
        let bare = start.strip_prefix('(').unwrap_or(start);
        let end = bare.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        &bare[..end.unwrap_or(bare.len())]
    });
    let claimed = used.find(|name| CLAIMED.contains(name))?;
    Some(format!(
        "parameter identity: the caller writes what ${claimed} holds, and can be anybody of any \
         domain. For testing only; otherwise authenticate against a fixed realm and use a \
         variable that the script sets after that (docs/security.md)"
    ))
}

/// Any text but an empty one; only the host can check its pseudo-variables.
pub(super) fn identity(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() {
        return Err(Wrong::value());
    }
    Ok(text.to_owned())
}
