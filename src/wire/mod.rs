//! Formats only: parse and write, no clock, no socket, no state beyond a decoder.

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
    content_type
        .split_once(';')
        .map_or(content_type, |(media, _)| media)
        .trim()
}
