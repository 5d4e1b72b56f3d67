//! Refusals of requests: the final answer is the error.

use super::cause::{Cause, DETAIL};
use crate::focus::out::Out;
use crate::focus::{Output, Reply, TransactionId};
use crate::wire::sip::{Headers, reason};
use bytes::Bytes;

/// Methods the focus accepts (RFC 3261 §20.5).
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
/// Event packages (RFC 6665 §8.2.2); `refer` only for REFER's implicit subscription.
pub(in crate::focus) const ALLOW_EVENTS: &str = "conference, refer";

/// A final answer that refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) struct Refusal {
    pub(in crate::focus) cause: Cause,
    /// The text for a cause whose text is [`DETAIL`].
    detail: Option<String>,
    /// Headers that the status code requires.
    headers: Headers,
}

impl Refusal {
    pub(in crate::focus) fn new(cause: Cause) -> Self {
        Self {
            cause,
            detail: None,
            headers: Headers::new(),
        }
    }

    /// Adds a header that the status code requires.
    pub(in crate::focus) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Adds the text for a cause with [`DETAIL`].
    pub(in crate::focus) fn because(mut self, detail: impl std::fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// The reason as text.
    pub(in crate::focus) fn why(&self) -> &str {
        let row = self.cause.row();
        match (row.text, &self.detail) {
            (DETAIL, Some(detail)) => detail,
            (DETAIL | "", _) => reason(row.code),
            (text, _) => text,
        }
    }

    /// Its headers, with Retry-After (RFC 3261 §20.33) and a Warning for people (§20.43, 399
    /// miscellaneous warning).
    pub(in crate::focus) fn into_headers(self) -> Headers {
        let row = self.cause.row();
        let mut headers = self.headers;
        if let Some(seconds) = row.retry_after {
            headers.push("Retry-After", seconds.to_string());
        }
        let text = match row.text {
            DETAIL => self.detail.as_deref().unwrap_or_default(),
            text => text,
        };
        if !text.is_empty() {
            headers.push("Warning", format!("399 msrp_conference \"{text}\""));
        }
        headers
    }
}

impl From<Cause> for Refusal {
    fn from(cause: Cause) -> Self {
        Self::new(cause)
    }
}

/// The result of a request: granted or refused.
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

    /// An answer in the form in which it is sent.
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
        refusal: impl Into<Refusal>,
        to_tag: Option<String>,
    ) {
        let refusal = refusal.into();
        self.refusals.count(refusal.cause);
        let code = refusal.cause.code();
        let headers = refusal.into_headers();
        self.reply(transaction, code, headers, Bytes::new(), to_tag);
    }
}
