//! SIP messages and the header values the focus and `msrp-chat` need (RFC 3261).
//!
//! Tolerant in what it reads (folded lines, compact names, odd case, bare LF), strict in
//! what it writes. Who a caller *is* never comes from here: the host says that.

mod headers;
mod message;
mod uri;
mod values;

pub use headers::{Header, Headers};
pub use message::{Message, ParseError, Request, Response};
pub use uri::{Uri, UriError};
pub use values::{CSeq, Method, NameAddr, Params, SubscriptionState};

/// The registered reason phrase of a status code (RFC 3261 §21 and later ones).
pub fn reason(_code: u16) -> &'static str {
    todo!()
}
