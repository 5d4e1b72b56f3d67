//! Events of the user agent for the rest of the program, and the agent's description of itself.

use crate::failure::Failure;
use bytes::Bytes;
use msrp_conference::wire::sip::Response;

/// The methods we accept.
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, NOTIFY";
pub(super) const USER_AGENT: &str = concat!("msrp-chat/", env!("CARGO_PKG_VERSION"));

/// An event for the rest of the program.
#[derive(Debug)]
pub(crate) enum Event {
    /// The room admitted us; `Agent::stream` has the address to connect to.
    Accepted,
    /// The call failed.
    Failed(Failure),
    /// The room's MSRP address changed: connect anew.
    Moved,
    /// A conference-info document.
    Document(Bytes),
    /// There will be no roster.
    NoRoster(Failure),
    /// The room ended the subscription.
    RosterEnded,
    /// The room ended the call.
    HungUp,
    /// Our BYE is through.
    Left,
    /// The final answer to our OPTIONS.
    Capable(Capabilities),
}

/// The server's answer to OPTIONS about itself and the room (RFC 3261 §11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// The status code; 0 when there was no answer.
    pub(crate) code: u16,
    pub(crate) reason: String,
    /// Server or User-Agent.
    pub(crate) software: String,
}

impl Capabilities {
    pub(super) fn of(response: &Response) -> Self {
        let headers = &response.headers;
        let software = headers.first("Server").or(headers.first("User-Agent"));
        Self {
            code: response.code,
            reason: response.reason.clone(),
            software: software.unwrap_or_default().to_owned(),
        }
    }
}

/// An answer in words: its reason, and the Warning of the element that sent it (RFC 3261 §20.43).
pub(super) fn in_words(response: &Response) -> String {
    let warning = response.headers.first("Warning");
    let text = warning.and_then(|value| value.split('"').nth(1));
    match text {
        Some(text) if !text.is_empty() => format!("{} ({text})", response.reason),
        _ => response.reason.clone(),
    }
}
