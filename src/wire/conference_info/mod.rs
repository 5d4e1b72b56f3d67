//! `application/conference-info+xml` (RFC 4575): the document as a value, writing it full
//! or partial, reading it, the difference of two, and applying a partial one (§4.6).
//!
//! The caller decides who may see which parts. This module has no clock and does not count
//! versions: a version belongs to a subscription (§4.3).

mod apply;
mod diff;
mod model;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use apply::{Applied, ApplyError, MAX_USERS, apply};
pub use diff::diff;
pub use model::{
    CallInfo, ConferenceState, Description, DisconnectionMethod, Document, Endpoint,
    EndpointStatus, ExecutionInfo, HostInfo, JoiningMethod, Media, MediaEntry, MediaStatus, State,
    UriEntry, User, Users,
};
pub use read::{MAX_DEPTH, MAX_ELEMENTS, MAX_OCTETS, ReadError};
pub use write::{Template, UserElement};

/// The media type (RFC 4575 §7.1).
pub const MEDIA_TYPE: &str = "application/conference-info+xml";
/// The namespace of the document (RFC 4575 §7.2).
const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";
/// The namespace of `nickname` (RFC 6501 §4, used as in RFC 7701 §9.6).
const XCON_NAMESPACE: &str = "urn:ietf:params:xml:ns:xcon-conference-info";
