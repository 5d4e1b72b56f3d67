//! What the switch itself says: responses (RFC 4975 §7.2) and reports (§7.1.2).

use crate::wire::msrp::{
    ByteRange, FailureReport, Flag, HeadWriter, Malformed, Method, Status, TransactionId,
    end_line_after_body,
};

use super::incoming::Facts;

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    BadRequest,
    Forbidden,
    NotFound,
    TooLarge,
    UnsupportedMedia,
    MalformedNickname,
    NicknameTaken,
    NoPrivateMessages,
    NoSession,
    NotImplemented,
    BoundElsewhere,
}

impl Code {
    fn line(self) -> (u16, &'static str) {
        match self {
            Code::Ok => (200, "OK"),
            Code::BadRequest => (400, "Bad Request"),
            Code::Forbidden => (403, "Forbidden"),
            Code::NotFound => (404, "Recipient Not Found"),
            Code::TooLarge => (413, "Message Too Large"),
            Code::UnsupportedMedia => (415, "Unsupported Media Type"),
            Code::MalformedNickname => (424, "Malformed Nickname"),
            Code::NicknameTaken => (425, "Nickname Reserved Or Already In Use"),
            Code::NoPrivateMessages => (428, "Private Messages Not Supported"),
            Code::NoSession => (481, "Session Does Not Exist"),
            Code::NotImplemented => (501, "Not Implemented"),
            Code::BoundElsewhere => (506, "Session Bound To Another Connection"),
        }
    }
}

/// Writes the response a request is due, which may be none (C42, C43).
pub(super) fn respond(out: &mut Vec<u8>, request: &Facts<'_>, code: Code) {
    let wanted = match request.failure_report {
        FailureReport::Yes => true,
        FailureReport::Partial => code != Code::Ok,
        FailureReport::No => false,
    };
    if !wanted || request.method == Method::Report {
        return;
    }
    // RFC 4975 §7.2: to the previous hop for a SEND, along the whole path otherwise (C44).
    let to_path = match request.method {
        Method::Send => request.previous_hop(),
        _ => request.from_path,
    };
    let (number, comment) = code.line();
    HeadWriter::response(
        out,
        &request.transaction,
        number,
        comment,
        to_path,
        request.to_path,
    )
    .end(Flag::Last);
}

/// Answers a request that is framed but malformed (§10.2), if it can be answered.
pub(super) fn respond_malformed(out: &mut Vec<u8>, request: &Malformed<'_>) {
    let (Some(to_path), Some(from_path)) = (request.to_path, request.from_path) else {
        return;
    };
    if request.method == Method::Report || request.failure_report == FailureReport::No {
        return;
    }
    let back = match request.method {
        Method::Send => from_path.first(),
        _ => from_path.as_str(),
    };
    let (number, comment) = Code::BadRequest.line();
    let own = to_path.first();
    HeadWriter::response(out, &request.transaction, number, comment, back, own).end(Flag::Last);
}

/// Writes that a message did not come to its end in time (§7.1.2, §10.4).
pub(super) fn report_expired(
    out: &mut Vec<u8>,
    request: &Facts<'_>,
    transaction: &TransactionId,
    octets: u64,
) {
    let Some(message_id) = request.message_id else {
        return;
    };
    let (to_path, from_path) = (request.from_path, request.to_path);
    HeadWriter::request(out, transaction, Method::Report, to_path, from_path)
        .message_id(message_id)
        .byte_range(ByteRange::whole(octets))
        .status(Status {
            namespace: 0,
            code: 408,
            comment: "The Rest Did Not Come In Time",
        })
        .end(Flag::Last);
}

/// Writes the success report for a whole message (§7.1.2, C46). A private message's carries
/// its CPIM From and To (RFC 7701 §6.2, G44).
pub(super) fn report_success(
    out: &mut Vec<u8>,
    request: &Facts<'_>,
    transaction: &TransactionId,
    octets: u64,
    addresses: Option<&[u8]>,
) {
    let Some(message_id) = request.message_id else {
        return;
    };
    let (to_path, from_path) = (request.from_path, request.to_path);
    let head = HeadWriter::request(out, transaction, Method::Report, to_path, from_path)
        .message_id(message_id)
        .byte_range(ByteRange::whole(octets))
        .status(Status {
            namespace: 0,
            code: 200,
            comment: "OK",
        });
    match addresses {
        None => head.end(Flag::Last),
        Some(addresses) => {
            head.body("message/cpim");
            out.extend_from_slice(addresses);
            end_line_after_body(out, transaction, Flag::Last);
        }
    }
}
