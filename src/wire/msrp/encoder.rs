//! Writing heads, end-lines, responses and reports, without allocation.

use super::{ByteRange, FailureReport, Flag, Method, Status, TransactionId};
use bytes::BufMut;

/// Whether `body` holds the end-line of this transaction: then another id must be taken
/// (RFC 4975 §7.1, C04).
pub fn contains_end_line(_body: &[u8], _transaction: &TransactionId) -> bool {
    todo!()
}

/// Writes the CRLF that closes a body, and the end-line.
pub fn end_line_after_body(_out: &mut impl BufMut, _transaction: &TransactionId, _flag: Flag) {
    todo!()
}

/// Writes one head: start line and paths at once, then what is called, in that order.
/// Control characters in values become spaces, so no value can end its line.
#[must_use = "a head ends with `body` or `end`"]
pub struct HeadWriter<'b, B: BufMut> {
    out: &'b mut B,
    transaction: TransactionId,
}

impl<'b, B: BufMut> HeadWriter<'b, B> {
    /// Start line, To-Path and From-Path of a request. Paths are URIs apart by one space.
    pub fn request(
        _out: &'b mut B,
        _transaction: &TransactionId,
        _method: Method<'_>,
        _to_path: &str,
        _from_path: &str,
    ) -> Self {
        todo!()
    }
    /// Start line, To-Path and From-Path of a response. An empty comment is left out. To-Path
    /// is the previous hop for a SEND, the whole From-Path otherwise (§7.2, C44).
    pub fn response(
        _out: &'b mut B,
        _transaction: &TransactionId,
        _code: u16,
        _comment: &str,
        _to_path: &str,
        _from_path: &str,
    ) -> Self {
        todo!()
    }
    /// Message-ID.
    pub fn message_id(self, _id: &str) -> Self {
        todo!()
    }
    /// Byte-Range.
    pub fn byte_range(self, _range: ByteRange) -> Self {
        todo!()
    }
    /// Success-Report; nothing is written for `false`, the default (C40).
    pub fn success_report(self, _wanted: bool) -> Self {
        todo!()
    }
    /// Failure-Report; nothing is written for `Yes`, the default (C40).
    pub fn failure_report(self, _wanted: FailureReport) -> Self {
        todo!()
    }
    /// Status.
    pub fn status(self, _status: Status<'_>) -> Self {
        todo!()
    }
    /// Use-Nickname, quoted and escaped; empty removes the nickname.
    pub fn use_nickname(self, _nickname: &str) -> Self {
        todo!()
    }
    /// Any header.
    pub fn header(self, _name: &str, _value: &str) -> Self {
        todo!()
    }
    /// Content-Type and the blank line: the body follows, then [`end_line_after_body`].
    pub fn body(self, _content_type: &str) {
        todo!()
    }
    /// The end-line at once: a message without body.
    pub fn end(self, _flag: Flag) {
        todo!()
    }
}
