//! Checks of values against each other, and of the files they name.

use std::collections::HashSet;
use std::path::PathBuf;

use super::table;
use super::value::{ParameterError, Value, Wrong};
use crate::focus::{self, Listen, RoomEntry};
use crate::net;

fn refuse(name: &'static str, value: &str, allowed: impl Into<String>) -> ParameterError {
    let wrong = Wrong::part(value, allowed);
    table::find(name).refuse(&Value::Text(value.to_owned()), wrong)
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
    let allowed = format!("{}; {error}", table::find(name).range());
    refuse(name, &value, allowed)
}

/// A TLS listener has a certificate.
pub(super) fn listeners_have_certificates(
    listen: &[Listen],
    tls: Option<&net::TlsFiles>,
) -> Result<(), ParameterError> {
    let secure = listen.iter().find(|it| it.transport.is_secure());
    match secure {
        Some(listen) if tls.is_none() => {
            let scheme = listen.transport.scheme();
            let allowed = format!("{scheme}: together with tls_certificate");
            Err(refuse("listen", &listen.to_string(), allowed))
        }
        _ => Ok(()),
    }
}

/// The interval we request must not be one that we refuse to others (RFC 4028 §9).
pub(super) fn intervals_fit(focus: &focus::Config) -> Result<(), ParameterError> {
    if focus.min_se <= focus.session_expires {
        return Ok(());
    }
    let allowed = format!("at least min_se, {} seconds", focus.min_se.as_secs());
    let expires = focus.session_expires.as_secs().to_string();
    Err(refuse("session_expires", &expires, allowed))
}

/// No room twice: the second entry's options would silently be lost.
pub(super) fn distinct(rooms: &[RoomEntry], factories: &[RoomEntry]) -> Result<(), ParameterError> {
    let mut seen = HashSet::new();
    let mut all = rooms.iter().chain(factories);
    match all.find(|room| !seen.insert(&room.uri)) {
        None => Ok(()),
        Some(twice) => {
            let allowed = "every room or factory once";
            Err(refuse("room", twice.uri.as_str(), allowed))
        }
    }
}
