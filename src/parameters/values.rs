//! Values in forms of their own: listeners, addresses, flags, patterns.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{ParameterError, table};
use crate::focus::{self, Advertise, Credentials, InviteMode, Listen, Transport};
use crate::net;
use crate::store::{Durability, OnError};
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

/// Where the switch is.
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
pub(super) fn switch_place(text: &str) -> Result<SwitchPlace, ParameterError> {
    let text = text.trim();
    if text == "embedded" {
        return Ok(SwitchPlace::Embedded);
    }
    text.strip_prefix("unix:")
        .filter(|path| path.starts_with('/') && path.len() <= SOCKET_PATH_OCTETS)
        .map(|path| SwitchPlace::Unix(path.into()))
        .ok_or_else(|| refuse("switch", text))
}

/// Nothing, or an absolute path: hosts change their folder when they become daemons.
pub(super) fn db_path(text: &str) -> Result<Option<PathBuf>, ParameterError> {
    match text.trim() {
        "" => Ok(None),
        path if path.starts_with('/') && !path.ends_with('/') => Ok(Some(path.into())),
        _ => Err(refuse("db_path", text)),
    }
}

/// `normal` or `full`.
pub(super) fn db_sync(text: &str) -> Result<Durability, ParameterError> {
    match text.trim() {
        "normal" => Ok(Durability::Normal),
        "full" => Ok(Durability::Full),
        _ => Err(refuse("db_sync", text)),
    }
}

/// `memory` or `refuse`.
pub(super) fn db_on_error(text: &str) -> Result<OnError, ParameterError> {
    match text.trim() {
        "memory" => Ok(OnError::Memory),
        "refuse" => Ok(OnError::Refuse),
        _ => Err(refuse("db_on_error", text)),
    }
}

fn refuse(name: &'static str, value: &str) -> ParameterError {
    table::find(name).refuse(&Value::Text(value.to_owned()))
}

/// `msrp:ADDRESS:PORT`, or the same with `msrps:`, `ws:` or `wss:`.
pub(super) fn listen(text: &str) -> Result<Listen, ParameterError> {
    let wrong = || refuse("listen", text);
    let (scheme, rest) = text.trim().split_once(':').ok_or_else(wrong)?;
    let transport = Transport::of_scheme(scheme).ok_or_else(wrong)?;
    let address: SocketAddr = rest.parse().map_err(|_| wrong())?;
    if address.port() == 0 {
        return Err(wrong());
    }
    Ok(Listen { transport, address })
}

/// The certificate files, read and checked; none without `tls_certificate`.
pub(super) fn tls(
    certificate: &str,
    private_key: &str,
    ca_list: &str,
    verify_client: bool,
) -> Result<Option<net::TlsFiles>, ParameterError> {
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    let Some(certificate) = path(certificate) else {
        return Ok(None);
    };
    let files = net::TlsFiles {
        private_key: path(private_key).unwrap_or_else(|| certificate.clone()),
        certificate,
        ca_list: path(ca_list),
        verify_client,
    };
    match files.check() {
        Ok(()) => Ok(Some(files)),
        Err(error) => Err(unusable(&files, &error)),
    }
}

fn unusable(files: &net::TlsFiles, error: &net::TlsError) -> ParameterError {
    let name = error.parameter();
    let value = match name {
        "tls_certificate" => files.certificate.display().to_string(),
        "tls_private_key" => files.private_key.display().to_string(),
        "tls_verify_client" => "yes".to_owned(),
        "tls_ca_list" => files
            .ca_list
            .clone()
            .unwrap_or_default()
            .display()
            .to_string(),
        _ => "msrps:".to_owned(),
    };
    let parameter = table::find(name);
    ParameterError {
        allowed: format!("{}; {error}", parameter.range()),
        ..parameter.refuse(&Value::Text(value))
    }
}

/// `own`, `any`, or origins separated by commas.
pub(super) fn ws_origins(text: &str) -> Result<net::Origins, ParameterError> {
    text.parse().map_err(|_| refuse("ws_origins", text))
}

/// Entries of `dial_allow`, separated by commas; `none` alone allows nothing.
pub(super) fn dial_allow(text: &str) -> Result<net::DialPolicy, ParameterError> {
    if text.trim() == "none" {
        return Ok(net::DialPolicy(Vec::new()));
    }
    let rules: Result<Vec<net::DialRule>, _> =
        text.split(',').map(|rule| rule.trim().parse()).collect();
    match rules {
        Ok(rules) => Ok(net::DialPolicy(rules)),
        Err(_) => Err(refuse("dial_allow", text)),
    }
}

/// A TLS listener has a certificate.
pub(super) fn listeners_have_certificates(
    listen: &[Listen],
    tls: Option<&net::TlsFiles>,
) -> Result<(), ParameterError> {
    let secure = listen.iter().find(|it| it.transport.is_secure());
    match secure {
        Some(listen) if tls.is_none() => Err(ParameterError {
            allowed: format!(
                "{}: together with tls_certificate",
                listen.transport.scheme()
            ),
            ..refuse("listen", &listen.to_string())
        }),
        _ => Ok(()),
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

/// What we ask for ourselves must not be what we refuse to others (RFC 4028 §9).
pub(super) fn intervals_fit(focus: &focus::Config) -> Result<(), ParameterError> {
    if focus.min_se <= focus.session_expires {
        return Ok(());
    }
    Err(ParameterError {
        allowed: format!("at least min_se, {} seconds", focus.min_se.as_secs()),
        ..refuse(
            "session_expires",
            &focus.session_expires.as_secs().to_string(),
        )
    })
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

/// Pseudo-variables that repeat what a request says, with a domain in it: the From header's URI
/// and domain, the realm of the credentials.
const CLAIMED: [&str; 3] = ["fu", "fd", "ar"];

/// What is doubtful about an `identity`, as far as it can be seen without the script: whoever
/// writes the request chooses the domain.
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

/// Not empty; whether its pseudo-variables exist only the host can say.
pub(super) fn identity(text: String) -> Result<String, ParameterError> {
    if text.trim().is_empty() {
        return Err(refuse("identity", &text));
    }
    Ok(text)
}
