//! Reading the header block of a request into its fields.
#![expect(
    clippy::result_large_err,
    reason = "both sides borrow and are moved once; a box would cost an allocation"
)]

use super::head::{ByteRange, FailureReport, HeadError, Malformed, Method, Path, Request, Status};
use super::{MAX_FRAMED_IDENTIFIER, TransactionId, UseNickname};
use crate::wire::{has_control, trimmed};

/// The header fields read so far. Reading continues after a bad line: the paths and Failure-Report
/// decide whether and where a 400 may go.
#[derive(Default)]
pub(super) struct Fields<'a> {
    to_path: Option<Path<'a>>,
    from_path: Option<Path<'a>>,
    message_id: Option<&'a str>,
    byte_range: Option<ByteRange>,
    success_report: Option<bool>,
    failure_report: Option<FailureReport>,
    status: Option<Status<'a>>,
    content_type: Option<&'a str>,
    use_nickname: Option<UseNickname<'a>>,
    error: Option<HeadError>,
}

/// Reads a request from its start line's parts and its header lines.
pub(super) fn request<'a>(
    transaction: TransactionId,
    method: Method<'a>,
    start_line_ok: bool,
    block: &'a [u8],
) -> Result<Request<'a>, Malformed<'a>> {
    let mut fields = Fields::default();
    if !start_line_ok {
        fields.fail(HeadError::StartLine);
    }
    if !transaction.is_ident() {
        fields.fail(HeadError::TransactionId);
    }
    let headers = match std::str::from_utf8(block) {
        Ok(text) => {
            fields.lines(text);
            text
        }
        Err(_) => {
            fields.fail(HeadError::Encoding);
            fields.lines_that_are_text(block);
            ""
        }
    };
    fields.finish(transaction, method, headers)
}

impl<'a> Fields<'a> {
    fn fail(&mut self, error: HeadError) {
        self.error.get_or_insert(error);
    }

    fn lines_that_are_text(&mut self, block: &'a [u8]) {
        for line in block.split(|&octet| octet == b'\n') {
            if let Ok(text) = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)) {
                self.line(text);
            }
        }
    }

    /// A line ends with CRLF; a bare LF counts as a control character within the line.
    fn lines(&mut self, text: &'a str) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text.as_bytes()) {
            let line = &text[start..end];
            if let Some(line) = line.strip_suffix('\r') {
                self.line(line);
            } else {
                self.fail(HeadError::Header);
            }
            start = end + 1;
        }
    }

    fn line(&mut self, line: &'a str) {
        let Some(colon) = memchr::memchr(b':', line.as_bytes()) else {
            return self.fail(HeadError::Header);
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let spaced = name.bytes().any(|octet| octet == b' ' || octet == b'\t');
        if name.is_empty() || spaced || has_control(line.as_bytes()) {
            return self.fail(HeadError::Header);
        }
        // The grammar requires one space (C02); none or several are accepted.
        self.field(name, trimmed(value));
    }

    /// Header names are matched without case: deployed clients write odd ones.
    fn field(&mut self, name: &str, value: &'a str) {
        use HeadError as E;
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match () {
            () if is("To-Path") => set(&mut self.to_path, Path::parse(value), E::Path),
            () if is("From-Path") => set(&mut self.from_path, Path::parse(value), E::Path),
            () if is("Message-ID") => set(&mut self.message_id, identifier(value), E::MessageId),
            () if is("Byte-Range") => {
                set(&mut self.byte_range, ByteRange::parse(value), E::ByteRange)
            }
            () if is("Success-Report") => set(&mut self.success_report, yes_no(value), E::Report),
            () if is("Failure-Report") => {
                set(&mut self.failure_report, failure_report(value), E::Report)
            }
            () if is("Status") => set(&mut self.status, Status::parse(value), E::Status),
            () if is("Content-Type") => set(&mut self.content_type, Some(value), E::Header),
            () if is("Use-Nickname") => set(
                &mut self.use_nickname,
                Some(UseNickname::new(value)),
                E::Header,
            ),
            // Unknown headers are ignored (C08).
            () => Ok(()),
        }
        .unwrap_or_else(|error| self.fail(error));
    }

    fn finish(
        mut self,
        transaction: TransactionId,
        method: Method<'a>,
        headers: &'a str,
    ) -> Result<Request<'a>, Malformed<'a>> {
        if self.to_path.is_none() || self.from_path.is_none() {
            self.fail(HeadError::Path);
        }
        let failure_report = self.failure_report.unwrap_or_default();
        match (self.error, self.to_path, self.from_path) {
            (None, Some(to_path), Some(from_path)) => Ok(Request {
                transaction,
                method,
                to_path,
                from_path,
                message_id: self.message_id,
                byte_range: self.byte_range,
                success_report: self.success_report.unwrap_or(false),
                failure_report,
                status: self.status,
                content_type: self.content_type.filter(|value| !value.is_empty()),
                use_nickname: self.use_nickname,
                headers,
            }),
            (error, to_path, from_path) => Err(Malformed {
                transaction,
                method,
                to_path,
                from_path,
                failure_report,
                error: error.unwrap_or(HeadError::Path),
            }),
        }
    }
}

fn set<T>(place: &mut Option<T>, value: Option<T>, error: HeadError) -> Result<(), HeadError> {
    if place.is_some() {
        return Err(HeadError::Repeated);
    }
    *place = Some(value.ok_or(error)?);
    Ok(())
}

/// Accepts Message-IDs longer than the grammar's, up to the length of a decorated UUID: some
/// clients write them, and they are only compared for equality.
fn identifier(value: &str) -> Option<&str> {
    let fits = (1..=MAX_FRAMED_IDENTIFIER).contains(&value.len());
    (fits && value.bytes().all(|octet| octet.is_ascii_graphic())).then_some(value)
}

fn yes_no(value: &str) -> Option<bool> {
    match () {
        () if value.eq_ignore_ascii_case("yes") => Some(true),
        () if value.eq_ignore_ascii_case("no") => Some(false),
        () => None,
    }
}

fn failure_report(value: &str) -> Option<FailureReport> {
    match yes_no(value) {
        Some(true) => Some(FailureReport::Yes),
        Some(false) => Some(FailureReport::No),
        None => value
            .eq_ignore_ascii_case("partial")
            .then_some(FailureReport::Partial),
    }
}
