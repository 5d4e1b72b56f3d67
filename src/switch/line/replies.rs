//! Replies of the switch: responses (RFC 4975 §7.2) and reports (§7.1.2).

use crate::wire::msrp::{
    ByteRange, FailureReport, Flag, HeadWriter, Malformed, Method, Request, Status, TransactionId,
    end_line_after_body,
};

use crate::switch::message::code::Code;
use crate::switch::message::request_head::RequestHead;

/// Lifetime of the URI that AUTH assigns, in seconds. It lasts as long as the connection; clients
/// renew it before it expires.
const USE_PATH_EXPIRES: &str = "3600";
/// Enough octets for most responses.
const RESPONSE: usize = 256;

/// Writes the response to a request, unless it wants none (C42, C43).
pub(in crate::switch) fn respond(out: &mut Vec<u8>, request: &RequestHead<'_>, code: Code) {
    let wanted = match request.failure_report {
        FailureReport::Yes => true,
        FailureReport::Partial => code != Code::Ok,
        FailureReport::No => false,
    };
    if !wanted || request.method == Method::Report {
        return;
    }
    out.reserve(RESPONSE);
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

/// Answers an AUTH with the URI for the front of the peer's paths (RFC 4976 §5.1).
pub(in crate::switch) fn grant(out: &mut Vec<u8>, request: &Request<'_>, use_path: &str) {
    let (to_path, from_path) = (request.from_path.as_str(), request.to_path.as_str());
    HeadWriter::response(out, &request.transaction, 200, "OK", to_path, from_path)
        .header("Use-Path", use_path)
        .header("Expires", USE_PATH_EXPIRES)
        .end(Flag::Last);
}

/// Answers a request that is framed but malformed (§10.2), if it can be answered.
pub(in crate::switch) fn respond_malformed(out: &mut Vec<u8>, request: &Malformed<'_>) {
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

/// Writes the failure report for a message whose chunks were answered 200 (§7.1.2).
pub(in crate::switch) fn report_failure(
    out: &mut Vec<u8>,
    request: &RequestHead<'_>,
    transaction: &TransactionId,
    code: Code,
) {
    let Some(message_id) = request.message_id else {
        return;
    };
    let (to_path, from_path) = (request.from_path, request.to_path);
    let (code, comment) = code.line();
    HeadWriter::request(out, transaction, Method::Report, to_path, from_path)
        .message_id(message_id)
        .byte_range(ByteRange::whole(request.range.total.unwrap_or(0)))
        .status(Status {
            namespace: 0,
            code,
            comment,
        })
        .end(Flag::Last);
}

/// Writes the success report for a whole message (§7.1.2, C46). A private message's carries
/// its CPIM From and To (RFC 7701 §6.2, G44).
pub(in crate::switch) fn report_success(
    out: &mut Vec<u8>,
    request: &RequestHead<'_>,
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
