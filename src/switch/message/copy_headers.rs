//! The headers of the copies of a whole message.

use crate::wire::msrp::{ByteRange, FailureReport, body_headers};

/// RFC 4975 §7.1.1: a larger chunk must be interruptible, so its range end is `*` (C20).
const INTERRUPTIBLE_ABOVE: usize = 2048;

/// The headers of a copy that are the same for every receiver, and the blank line.
pub(in crate::switch) fn headers(octets: usize, report: FailureReport, media: &str) -> Vec<u8> {
    let whole = ByteRange::whole(octets as u64);
    let end = whole.end.filter(|_| octets <= INTERRUPTIBLE_ABOVE);
    let range = ByteRange { end, ..whole };
    let mut headers = Vec::with_capacity(112);
    body_headers(&mut headers, range, report, media);
    headers
}
