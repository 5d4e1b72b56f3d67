//! Values in forms of their own: listeners, addresses, flags, patterns.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{ParameterError, table};
use crate::focus::{Advertise, Credentials, InviteMode, Listen, Transport};
use crate::net;
use crate::switch::SlowReader;

/// What the host read from its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// In quotes.
    Text(String),
    /// Without quotes.
    Number(i64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => number.fmt(f),
        }
    }
}

fn refuse(name: &'static str, value: &str) -> ParameterError {
    table::find(name).refuse(&Value::Text(value.to_owned()))
}

/// `msrp:ADDRESS:PORT`.
pub(super) fn listen(text: &str) -> Result<Listen, ParameterError> {
    let address = text
        .trim()
        .strip_prefix("msrp:")
        .and_then(|rest| rest.parse::<SocketAddr>().ok())
        .filter(|address| address.port() != 0)
        .ok_or_else(|| refuse("listen", text))?;
    Ok(Listen {
        transport: Transport::Tcp,
        address,
    })
}

/// The same listener for the switch.
pub(super) fn net_listen(listen: &Listen) -> net::Listen {
    net::Listen {
        transport: match listen.transport {
            Transport::Tcp => net::Transport::Tcp,
        },
        address: listen.address,
    }
}

/// `drop` or `disconnect`.
pub(super) fn slow_reader(text: &str) -> Result<SlowReader, ParameterError> {
    match text.trim() {
        "drop" => Ok(SlowReader::Drop),
        "disconnect" => Ok(SlowReader::Disconnect),
        _ => Err(refuse("slow_reader", text)),
    }
}

/// `HOST` or `HOST:PORT`; empty: none.
pub(super) fn advertise(text: &str) -> Result<Option<Advertise>, ParameterError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || refuse("advertise", text);
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port: u16 = port.parse().map_err(|_| wrong())?;
            (
                host,
                Some(port)
                    .filter(|port| *port != 0)
                    .ok_or_else(wrong)?
                    .into(),
            )
        }
        _ => (text, None),
    };
    if !is_host(host) {
        return Err(wrong());
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

/// How lists are invited.
pub(super) fn invite_mode(text: &str) -> Result<InviteMode, ParameterError> {
    match text {
        "refer" => Ok(InviteMode::Refer),
        "dial_out" => Ok(InviteMode::DialOut),
        _ => Err(table::find("invite_mode").refuse(&Value::Text(text.to_owned()))),
    }
}

/// Reads `user:realm:password`; the password may hold colons, and is never shown.
pub(super) fn credential(text: &str) -> Result<Credentials, ParameterError> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(user), Some(realm), Some(password)) if !user.is_empty() => Ok(Credentials {
            realm: (!realm.is_empty()).then(|| realm.to_owned()),
            user: user.to_owned(),
            password: password.to_owned(),
        }),
        _ => Err(table::find("credential").refuse(&Value::Text("(hidden)".to_owned()))),
    }
}

/// `yes` or `no`, 1 or 0.
pub(super) fn flag(name: &'static str, value: &Value) -> Result<bool, ParameterError> {
    match value.to_string().trim() {
        "yes" | "1" => Ok(true),
        "no" | "0" => Ok(false),
        _ => Err(table::find(name).refuse(value)),
    }
}

/// A regular expression, checked; empty: none.
pub(super) fn pattern(name: &'static str, text: String) -> Result<Option<String>, ParameterError> {
    if text.is_empty() {
        return Ok(None);
    }
    match regex_lite::Regex::new(&text) {
        Ok(_) => Ok(Some(text)),
        Err(_) => Err(refuse(name, &text)),
    }
}

/// Not empty; whether its pseudo-variables exist only the host can say.
pub(super) fn identity(text: String) -> Result<String, ParameterError> {
    if text.trim().is_empty() {
        return Err(refuse("identity", &text));
    }
    Ok(text)
}
