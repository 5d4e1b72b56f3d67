//! A request on its way in: what of its head must be remembered until its end has come.

use crate::wire::media_type;
use crate::wire::msrp::{ByteRange, FailureReport, Method, Request, TransactionId};

use super::ids::SessionKey;
use super::plain::TEXT_PLAIN;

/// A SEND with a body of which the end has not come.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It has been answered; the rest is of no use.
    Skip,
    /// It is for this session.
    Send(Box<Sending>),
}

/// What of a SEND for a session here has come.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) session: SessionKey,
    pub(super) facts: OwnedFacts,
    /// Octets kept until the end has come, while they are few.
    pub(super) octets: Vec<u8>,
    /// They are many: each piece goes to its message as it comes.
    pub(super) flows: bool,
    /// Octets of the body so far.
    pub(super) length: u64,
    /// It has been answered with an error: the rest of the body is of no use.
    pub(super) refused: bool,
}

/// What the switch needs of a request's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) transaction: TransactionId,
    pub(super) method: Method<'a>,
    /// Our own URI, as the peer wrote it.
    pub(super) to_path: &'a str,
    /// The whole From-Path.
    pub(super) from_path: &'a str,
    pub(super) message_id: Option<&'a str>,
    pub(super) range: ByteRange,
    pub(super) success_report: bool,
    pub(super) failure_report: FailureReport,
    pub(super) content_type: Option<&'a str>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(request: &Request<'a>) -> Self {
        Self {
            transaction: request.transaction,
            method: request.method,
            to_path: request.to_path.first(),
            from_path: request.from_path.as_str(),
            message_id: request.message_id,
            range: request.range(),
            success_report: request.success_report,
            failure_report: request.failure_report,
            content_type: request.content_type,
        }
    }

    /// What the chunks of one message have in common (RFC 4975 §5.1); one SEND without
    /// Message-ID stands for itself.
    pub(super) fn name(&self) -> &str {
        self.message_id.unwrap_or(self.transaction.as_str())
    }

    /// It is text that is not wrapped in message/cpim.
    pub(super) fn is_plain_text(&self) -> bool {
        let media = self.content_type.map_or("", media_type);
        media.eq_ignore_ascii_case(TEXT_PLAIN)
    }

    /// The same when `shift` octets stand before the sender's.
    pub(super) fn shifted(&self, shift: u64) -> Self {
        let total = self.range.total;
        let range = ByteRange {
            start: self.range.start.max(1).saturating_add(shift),
            total: total.map(|total| total.saturating_add(shift)),
            ..self.range
        };
        match shift {
            0 => *self,
            _ => Self { range, ..*self },
        }
    }

    /// Offset of the first octet in the message.
    pub(super) fn offset(&self) -> u64 {
        self.range.start.max(1) - 1
    }

    /// The left-most URI of the From-Path (C44).
    pub(super) fn previous_hop(&self) -> &'a str {
        self.from_path
            .split_once(' ')
            .map_or(self.from_path, |(first, _)| first)
    }

    pub(super) fn keep(&self) -> OwnedFacts {
        OwnedFacts {
            transaction: self.transaction,
            is_nickname: self.method == Method::Nickname,
            to_path: self.to_path.into(),
            from_path: self.from_path.into(),
            message_id: self.message_id.map(Into::into),
            range: self.range,
            success_report: self.success_report,
            failure_report: self.failure_report,
            content_type: self.content_type.map(Into::into),
        }
    }
}

/// The same of a SEND or NICKNAME, kept.
#[derive(Clone, Debug)]
pub(super) struct OwnedFacts {
    transaction: TransactionId,
    is_nickname: bool,
    to_path: Box<str>,
    from_path: Box<str>,
    message_id: Option<Box<str>>,
    range: ByteRange,
    success_report: bool,
    failure_report: FailureReport,
    content_type: Option<Box<str>>,
}

impl OwnedFacts {
    pub(super) fn view(&self) -> Facts<'_> {
        Facts {
            transaction: self.transaction,
            method: match self.is_nickname {
                true => Method::Nickname,
                false => Method::Send,
            },
            to_path: &self.to_path,
            from_path: &self.from_path,
            message_id: self.message_id.as_deref(),
            range: self.range,
            success_report: self.success_report,
            failure_report: self.failure_report,
            content_type: self.content_type.as_deref(),
        }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        let own = self.message_id.as_deref();
        own.unwrap_or(self.transaction.as_str()) == name
    }
}
