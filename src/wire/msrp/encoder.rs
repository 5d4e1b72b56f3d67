//! Writing heads, end-lines, responses and reports, without allocation.

use super::{ByteRange, FailureReport, Flag, Method, Status, TransactionId};
use crate::wire::{has_control, is_control};
use bytes::BufMut;
use memchr::memmem;

/// Whether `body` contains seven hyphens followed by this transaction id. Then choose another id
/// (RFC 4975 §7.1, C04).
pub fn contains_end_line(body: &[u8], transaction: &TransactionId) -> bool {
    // With random ids this is nearly always false, so search for the id alone first.
    let id = transaction.as_bytes();
    memmem::find_iter(body, id).any(|place| body[..place].ends_with(b"-------"))
}

/// Writes the CRLF that closes a body, and the end-line.
pub fn end_line_after_body(out: &mut impl BufMut, transaction: &TransactionId, flag: Flag) {
    out.put_slice(b"\r\n");
    end_line(out, transaction, flag);
}

fn end_line(out: &mut impl BufMut, transaction: &TransactionId, flag: Flag) {
    out.put_slice(b"-------");
    out.put_slice(transaction.as_bytes());
    out.put_slice(&[flag.octet(), b'\r', b'\n']);
}

/// Writes the rest of a head after its Message-ID, and the blank line: Byte-Range,
/// Failure-Report, Content-Type. The body follows, then [`end_line_after_body`].
pub fn body_headers(
    out: &mut impl BufMut,
    range: ByteRange,
    report: FailureReport,
    content_type: &str,
) {
    put_byte_range(out, range);
    put_failure_report(out, report);
    put_content_type(out, content_type);
}

/// Writes one head: the start line and paths at once, then the headers in the order of the calls.
/// Control characters in values become spaces, so that no value can end its line.
#[must_use = "a head ends with `body` or `end`"]
pub struct HeadWriter<'b, B: BufMut> {
    out: &'b mut B,
    transaction: &'b TransactionId,
}

impl<'b, B: BufMut> HeadWriter<'b, B> {
    /// Start line, To-Path and From-Path of a request. URIs of a path are separated by one space.
    pub fn request(
        out: &'b mut B,
        transaction: &'b TransactionId,
        method: Method<'_>,
        to_path: &str,
        from_path: &str,
    ) -> Self {
        start(out, transaction);
        put_text(out, method.as_str());
        Self { out, transaction }.paths(to_path, from_path)
    }

    /// Start line, To-Path and From-Path of a response; it ends with `end(Flag::Last)` (C41).
    /// An empty comment is left out. To-Path is the previous hop for a SEND, the whole
    /// From-Path otherwise (§7.2, C44).
    pub fn response(
        out: &'b mut B,
        transaction: &'b TransactionId,
        code: u16,
        comment: &str,
        to_path: &str,
        from_path: &str,
    ) -> Self {
        start(out, transaction);
        put_code(out, code);
        put_comment(out, comment);
        Self { out, transaction }.paths(to_path, from_path)
    }

    fn paths(self, to_path: &str, from_path: &str) -> Self {
        // To-Path first, From-Path second (C02).
        self.out.put_slice(b"\r\nTo-Path: ");
        put_text(self.out, to_path);
        self.out.put_slice(b"\r\nFrom-Path: ");
        put_text(self.out, from_path);
        self.out.put_slice(b"\r\n");
        self
    }

    /// Message-ID.
    pub fn message_id(self, id: &str) -> Self {
        self.header("Message-ID", id)
    }

    /// Byte-Range.
    pub fn byte_range(self, range: ByteRange) -> Self {
        put_byte_range(self.out, range);
        self
    }

    /// Success-Report; nothing is written for `false`, the default (C40).
    pub fn success_report(self, wanted: bool) -> Self {
        if wanted {
            self.out.put_slice(b"Success-Report: yes\r\n");
        }
        self
    }

    /// Failure-Report; nothing is written for `Yes`, the default (C40).
    pub fn failure_report(self, wanted: FailureReport) -> Self {
        put_failure_report(self.out, wanted);
        self
    }

    /// Status.
    pub fn status(self, status: Status<'_>) -> Self {
        self.out.put_slice(b"Status: ");
        put_code(self.out, status.namespace);
        self.out.put_u8(b' ');
        put_code(self.out, status.code);
        put_comment(self.out, status.comment);
        self.out.put_slice(b"\r\n");
        self
    }

    /// Use-Nickname, quoted and escaped; empty removes the nickname (G66).
    pub fn use_nickname(self, nickname: &str) -> Self {
        self.out.put_slice(b"Use-Nickname: \"");
        for part in nickname.split_inclusive(['"', '\\']) {
            let plain = part.trim_end_matches(['"', '\\']);
            put_text(self.out, plain);
            for escaped in part[plain.len()..].bytes() {
                self.out.put_slice(&[b'\\', escaped]);
            }
        }
        self.out.put_slice(b"\"\r\n");
        self
    }

    /// Any header.
    pub fn header(self, name: &str, value: &str) -> Self {
        put_text(self.out, name);
        self.out.put_slice(b": ");
        put_text(self.out, value);
        self.out.put_slice(b"\r\n");
        self
    }

    /// Content-Type and the blank line: the body follows, then [`end_line_after_body`].
    pub fn body(self, content_type: &str) {
        put_content_type(self.out, content_type);
    }

    /// Ends a message without body with its end-line (C05).
    pub fn end(self, flag: Flag) {
        end_line(self.out, self.transaction, flag);
    }
}

fn start(out: &mut impl BufMut, transaction: &TransactionId) {
    out.put_slice(b"MSRP ");
    out.put_slice(transaction.as_bytes());
    out.put_u8(b' ');
}

fn put_byte_range(out: &mut impl BufMut, range: ByteRange) {
    out.put_slice(b"Byte-Range: ");
    put_number(out, range.start);
    out.put_u8(b'-');
    put_number_or_star(out, range.end);
    out.put_u8(b'/');
    put_number_or_star(out, range.total);
    out.put_slice(b"\r\n");
}

fn put_failure_report(out: &mut impl BufMut, wanted: FailureReport) {
    match wanted {
        FailureReport::Yes => {}
        FailureReport::No => out.put_slice(b"Failure-Report: no\r\n"),
        FailureReport::Partial => out.put_slice(b"Failure-Report: partial\r\n"),
    }
}

/// The last header (C02), and the blank line.
fn put_content_type(out: &mut impl BufMut, content_type: &str) {
    out.put_slice(b"Content-Type: ");
    put_text(out, content_type);
    out.put_slice(b"\r\n\r\n");
}

fn put_text(out: &mut impl BufMut, text: &str) {
    if has_control(text.as_bytes()) {
        for octet in text.bytes() {
            out.put_u8(if is_control(octet) { b' ' } else { octet });
        }
    } else {
        out.put_slice(text.as_bytes());
    }
}

fn put_comment(out: &mut impl BufMut, comment: &str) {
    if !comment.is_empty() {
        out.put_u8(b' ');
        put_text(out, comment);
    }
}

fn put_code(out: &mut impl BufMut, code: u16) {
    let digit = |power: u16| b'0' + (code / power % 10) as u8;
    out.put_slice(&[digit(100), digit(10), digit(1)]);
}

fn put_number(out: &mut impl BufMut, mut number: u64) {
    // u64::MAX has twenty digits.
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.put_slice(&digits[start..]);
        }
    }
}

fn put_number_or_star(out: &mut impl BufMut, number: Option<u64>) {
    match number {
        Some(number) => put_number(out, number),
        None => out.put_u8(b'*'),
    }
}
