//! Formats only: parsing and writing. No clock, no socket, no state beyond a decoder's.

pub mod conference_info;
pub mod cpim;
pub mod fingerprint;
pub mod msrp;
pub mod multipart;
pub mod resource_lists;
pub mod sdp;
pub mod sip;
pub mod websocket;
mod xml;

/// `type/subtype` of a Content-Type, or the like, without its parameters.
pub fn media_type(content_type: &str) -> &str {
    let end = memchr::memchr(b';', content_type.as_bytes());
    let media = end.and_then(|end| content_type.get(..end));
    media.unwrap_or(content_type).trim_ascii()
}

/// `value` without spaces and tabs around it.
fn trimmed(value: &str) -> &str {
    // Both are ASCII, so this is `str::trim_matches` without decoding characters.
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let start = value.bytes().take_while(|octet| blank(octet)).count();
    let end = value.len() - value.bytes().rev().take_while(|octet| blank(octet)).count();
    value.get(start..end).unwrap_or_default()
}

/// Whether a header must not contain this octet: a control character other than the tab.
fn is_control(octet: u8) -> bool {
    (octet < b' ' && octet != b'\t') || octet == 0x7f
}

/// Whether the text contains one. There is no early exit, so that the compiler can vectorise the
/// loop.
fn has_control(text: &[u8]) -> bool {
    text.iter()
        .fold(false, |found, &octet| found | is_control(octet))
}
