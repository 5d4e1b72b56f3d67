//! SIP messages and the header values the focus and `msrp-chat` need (RFC 3261).
//!
//! Tolerant in reading (folded lines, compact names, odd case, bare LF), strict in writing. The
//! caller's identity never comes from here: the host determines it.

pub mod dialog;
mod dialog_reference;
mod digest;
mod event;
mod grammar;
mod headers;
mod message;
#[cfg(test)]
mod message_tests;
mod reason;
mod refer;
mod uri;
mod values;

pub use dialog_reference::{DialogReference, Join, Replaces, TargetDialog};
pub use digest::{Account, DigestError, authorize};
pub use event::{Event, Privacy};
pub use headers::{Header, Headers};
pub(crate) use message::parse_headers;
pub use message::{
    FRAGMENT_TYPE, MAX_HEADER_BLOCK, MAX_HEADERS, MAX_LINE, MAX_MESSAGE, Message, ParseError,
    Request, Response,
};
pub use reason::reason;
pub use refer::{MAX_EMBEDDED, ReferError, ReferTo, ReferredBy, wants_refer_subscription};
pub use uri::{MAX_URI, Uri, UriError};
pub(crate) use uri::{canonical_user, without_separators};
pub use values::{CSeq, Method, NameAddr, Params, SubscriptionState};
