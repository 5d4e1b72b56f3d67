//! A request that is not granted: the final answer is the error.

use crate::focus::out::Out;
use crate::focus::{Output, Reply, TransactionId};
use crate::wire::sip::{Headers, reason};
use bytes::Bytes;

/// Methods this focus takes (RFC 3261 §20.5).
pub(in crate::focus) const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, NOTIFY, OPTIONS, PUBLISH, REFER, SUBSCRIBE, UPDATE";
/// Extensions a peer may require (RFC 3261 §20.37).
pub(in crate::focus) const SUPPORTED: [&str; 6] = [
    "timer",
    "recipient-list-invite",
    "norefersub",
    "tdialog",
    "replaces",
    "join",
];
/// Event packages (RFC 6665 §8.2.2); `refer` only as REFER makes it.
pub(in crate::focus) const ALLOW_EVENTS: &str = "conference, refer";

/// Seconds after which a refused caller may try again (RFC 3261 §20.33).
pub(in crate::focus) const RETRY_AFTER: &str = "10";

/// A final answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) struct Refusal {
    pub(in crate::focus) code: u16,
    pub(in crate::focus) headers: Headers,
}

impl Refusal {
    /// The plain status code.
    pub(in crate::focus) fn new(code: u16) -> Self {
        Self {
            code,
            headers: Headers::new(),
        }
    }

    /// 503 for now, with the time after which to try again (RFC 3261 §20.33).
    pub(in crate::focus) fn unavailable(why: impl std::fmt::Display) -> Self {
        Self::new(503).with("Retry-After", RETRY_AFTER).because(why)
    }

    /// With a header that the code asks for.
    pub(in crate::focus) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// With a text for people (RFC 3261 §20.43, 399 miscellaneous warning).
    pub(in crate::focus) fn because(self, text: impl std::fmt::Display) -> Self {
        self.with("Warning", format!("399 msrp_conference \"{text}\""))
    }
}

/// There is no such room, and nobody may make it.
pub(in crate::focus) fn no_room() -> Refusal {
    Refusal::new(404).because("no such room")
}

/// Granted, or refused.
pub(in crate::focus) type Verdict<T> = Result<T, Refusal>;

impl Out {
    /// Answers a transaction.
    pub(in crate::focus) fn reply(
        &mut self,
        transaction: TransactionId,
        code: u16,
        headers: Headers,
        body: impl Into<Bytes>,
        to_tag: Option<String>,
    ) {
        self.totals.refused += u64::from(code >= 400);
        let reply = self.written(code, headers, body, to_tag);
        self.push(Output::Reply(transaction, reply));
    }

    /// An answer as it leaves.
    pub(in crate::focus) fn written(
        &self,
        code: u16,
        headers: Headers,
        body: impl Into<Bytes>,
        to_tag: Option<String>,
    ) -> Reply {
        Reply {
            code,
            reason: reason(code).to_owned(),
            headers: headers.with("Server", self.software.clone()),
            body: body.into(),
            to_tag,
            until_ack: false,
        }
    }

    /// Answers a transaction with a refusal.
    pub(in crate::focus) fn refuse(
        &mut self,
        transaction: TransactionId,
        refusal: Refusal,
        to_tag: Option<String>,
    ) {
        self.reply(
            transaction,
            refusal.code,
            refusal.headers,
            Bytes::new(),
            to_tag,
        );
    }
}
