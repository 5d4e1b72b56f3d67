//! Bodies in parts: the first line is the Content-Type, the rest the body.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use msrp_conference::wire::multipart::{InviteBody, Part};
use msrp_conference::wire::sip::Headers;

fuzz_target!(|octets: &[u8]| {
    let Some(end) = octets.iter().position(|octet| *octet == b'\n') else {
        return;
    };
    let Ok(content_type) = std::str::from_utf8(&octets[..end]) else {
        return;
    };
    let headers = Headers::new().with("Content-Type", content_type.trim_end());
    let body = Bytes::copy_from_slice(&octets[end + 1..]);
    let _ = InviteBody::read(&headers, &body);
    let _ = Part::read(headers, body);
});
