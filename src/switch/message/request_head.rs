//! The parts of a request's head that are needed while the message arrives.

use crate::wire::cpim::MESSAGE_CPIM;
use crate::wire::media_type;
use crate::wire::msrp::{ByteRange, FailureReport, Method, Request, TransactionId};

/// The content type of clients that do not support message/cpim.
pub(in crate::switch) const TEXT_PLAIN: &str = "text/plain";

/// The content type of keep-alives that some clients send every few seconds if accept-types has a
/// wildcard.
const HEARTBEAT: &str = "text/x-msrp-heartbeat";

/// The parts of a request's head that the switch needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct RequestHead<'a> {
    pub(in crate::switch) transaction: TransactionId,
    pub(in crate::switch) method: Method<'a>,
    /// Our own URI, as the peer wrote it.
    pub(in crate::switch) to_path: &'a str,
    /// The whole From-Path.
    pub(in crate::switch) from_path: &'a str,
    pub(in crate::switch) message_id: Option<&'a str>,
    pub(in crate::switch) range: ByteRange,
    pub(in crate::switch) success_report: bool,
    pub(in crate::switch) failure_report: FailureReport,
    pub(in crate::switch) content_type: Option<&'a str>,
}

impl<'a> RequestHead<'a> {
    pub(in crate::switch) fn of(request: &Request<'a>) -> Self {
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

    /// The head of a whole message that came by SIP, for which no report is wanted.
    pub(in crate::switch) fn of_submitted(transaction: TransactionId) -> Self {
        Self {
            transaction,
            method: Method::Send,
            to_path: "",
            from_path: "",
            message_id: None,
            range: ByteRange::OPEN,
            success_report: false,
            failure_report: FailureReport::No,
            content_type: Some(MESSAGE_CPIM),
        }
    }

    /// The key that the chunks of one message share (RFC 4975 §5.1). A SEND without Message-ID is a
    /// message of its own.
    pub(in crate::switch) fn message_key(&self) -> &str {
        self.message_id.unwrap_or(self.transaction.as_str())
    }

    /// Whether it is text that is not wrapped in message/cpim.
    pub(in crate::switch) fn is_plain_text(&self) -> bool {
        let media = self.content_type.map_or("", media_type);
        media.eq_ignore_ascii_case(TEXT_PLAIN)
    }

    /// Whether it is a heartbeat.
    pub(in crate::switch) fn is_heartbeat(&self) -> bool {
        is_heartbeat(self.content_type.unwrap_or_default().as_bytes())
    }

    /// Offset of the first octet in the message.
    pub(in crate::switch) fn offset(&self) -> u64 {
        self.range.start.max(1) - 1
    }

    /// The left-most URI of the From-Path (C44).
    pub(in crate::switch) fn previous_hop(&self) -> &'a str {
        self.from_path
            .split_once(' ')
            .map_or(self.from_path, |(first, _)| first)
    }

    pub(in crate::switch) fn keep(&self) -> KeptHead {
        KeptHead {
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

/// An owned head of a SEND or NICKNAME.
#[derive(Clone, Debug)]
pub(in crate::switch) struct KeptHead {
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

impl KeptHead {
    pub(in crate::switch) fn view(&self) -> RequestHead<'_> {
        RequestHead {
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

    /// See [`RequestHead::message_key`].
    pub(in crate::switch) fn message_key(&self) -> &str {
        let own = self.message_id.as_deref();
        own.unwrap_or(self.transaction.as_str())
    }
}

/// Whether a wrapped content type is that of a heartbeat.
pub(in crate::switch) fn is_heartbeat(written: &[u8]) -> bool {
    let written = std::str::from_utf8(written).unwrap_or_default();
    media_type(written).eq_ignore_ascii_case(HEARTBEAT)
}
