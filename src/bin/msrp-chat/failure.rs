//! Errors for people: the failed operation, the reason, and advice.

use std::fmt;
use std::io;

/// One failure, for people and for scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The attempted operation: `join`, `connect`, `send`, …
    pub(crate) what: &'static str,
    /// The protocol's code, when there is one.
    pub(crate) code: Option<u16>,
    /// The reason that the other side or the system gave.
    pub(crate) reason: String,
    /// Advice to the user.
    pub(crate) advice: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Could not {}: ", self.what)?;
        if let Some(code) = self.code {
            write!(f, "{code} ")?;
        }
        write!(f, "{}. {}", self.reason, self.advice)
    }
}

impl std::error::Error for Failure {}

/// `408` also stands for a transaction without answer (RFC 3261 §8.1.3.1).
pub(crate) const TIMEOUT: u16 = 408;

/// Name of the step that fails when a host name has no address.
pub(crate) const FIND: &str = "find the server";

impl Failure {
    /// A SIP answer to the INVITE.
    pub(crate) fn sip(what: &'static str, code: u16, reason: &str) -> Self {
        Self {
            what,
            code: Some(code),
            reason: reason.to_owned(),
            advice: sip_advice(code).to_owned(),
        }
    }

    /// An MSRP answer.
    pub(crate) fn msrp(what: &'static str, code: u16, comment: &str) -> Self {
        let reason = match comment {
            "" => "the room refused",
            _ => comment,
        };
        Self {
            what,
            code: Some(code),
            reason: reason.to_owned(),
            advice: msrp_advice(code).to_owned(),
        }
    }

    /// No answer at all.
    pub(crate) fn silence(what: &'static str) -> Self {
        Self {
            what,
            code: Some(TIMEOUT),
            reason: "no answer".to_owned(),
            advice: sip_advice(TIMEOUT).to_owned(),
        }
    }

    /// The system's network calls.
    pub(crate) fn network(what: &'static str, place: &str, error: &io::Error) -> Self {
        let (reason, advice) = match error.kind() {
            io::ErrorKind::ConnectionRefused => (
                format!("nothing listens at {place}"),
                "Is the server running, and is that its address and port? Try --tcp if it only \
                 takes TCP.",
            ),
            io::ErrorKind::TimedOut => (
                format!("{place} does not answer"),
                "Check the address, and that no firewall stands between.",
            ),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => (
                format!("there is no way to {place}"),
                "Check the network connection.",
            ),
            _ => (
                format!("{place}: {error}"),
                "Check the address and the network connection.",
            ),
        };
        Self {
            what,
            code: None,
            reason,
            advice: advice.to_owned(),
        }
    }

    /// A host name without an address.
    pub(crate) fn unknown_host(host: &str) -> Self {
        Self {
            what: FIND,
            code: None,
            reason: format!("the name {host} has no address"),
            advice: "Check the spelling, or give the server's address with --proxy HOST:PORT."
                .to_owned(),
        }
    }

    /// An unusable message from the other side.
    pub(crate) fn unusable(what: &'static str, reason: &str, advice: &str) -> Self {
        Self {
            what,
            code: None,
            reason: reason.to_owned(),
            advice: advice.to_owned(),
        }
    }
}

fn sip_advice(code: u16) -> &'static str {
    match code {
        401 | 407 => "Give your account with --user and --password (or MSRP_CHAT_PASSWORD).",
        403 => "You are not allowed in: ask the operator, or log in with --user and --password.",
        404 | 604 => "There is no such room: check the name, or ask the operator to create it.",
        408 => {
            "Check the address and port, that the server runs, and that no firewall stands between."
        }
        420 | 421 => "The server wants something this client does not have.",
        480 => "The room is closed at the moment: try again later.",
        486 | 600 => "The room is full: try again later.",
        415 | 488 | 606 => {
            "Server and client have no kind of chat in common: is this a chat room at all? One \
             that only takes encrypted chat wants --msrps; one without TLS wants it left out."
        }
        501 | 405 => "The server takes no calls at this address: is this the right server?",
        503 => "The server cannot take anybody just now: try again in a minute.",
        500..=599 => "The server has a problem: try again later, or tell its operator.",
        603 => "The other side declined.",
        _ => "Ask the operator of the server.",
    }
}

fn msrp_advice(code: u16) -> &'static str {
    match code {
        400 => "The server did not understand the message.",
        403 => "The room does not allow that.",
        404 => "/who shows who is here.",
        408 => "The connection may be broken: leave and join again.",
        413 => "The message is too large.",
        415 => "The room does not take this kind of message.",
        424 => "A nickname needs at least one visible letter and no control characters.",
        425 => "Somebody else has that nickname: take another.",
        428 => "That participant's client cannot take private messages.",
        481 | 506 => "The room does not know this connection any more: leave and join again.",
        501 => "The room does not offer this.",
        _ => "Ask the operator of the server.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_sentences() {
        assert_eq!(
            Failure::sip("join", 486, "Busy Here").to_string(),
            "Could not join: 486 Busy Here. The room is full: try again later."
        );
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let text = Failure::network("connect", "127.0.0.1:5060", &refused).to_string();
        assert!(text.contains("nothing listens at 127.0.0.1:5060"), "{text}");
    }
}
