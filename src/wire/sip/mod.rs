//! SIP messages and the header values the focus and `msrp-chat` need (RFC 3261).
//!
//! Tolerant in what it reads (folded lines, compact names, odd case, bare LF), strict in
//! what it writes. Who a caller *is* never comes from here: the host says that.

mod grammar;
mod headers;
mod message;
#[cfg(test)]
mod message_tests;
mod reason;
mod uri;
mod values;

pub use headers::{Header, Headers};
pub(crate) use message::parse_headers;
pub use message::{
    MAX_HEADER_BLOCK, MAX_HEADERS, MAX_LINE, MAX_MESSAGE, Message, ParseError, Request, Response,
};
pub use reason::reason;
pub use uri::{MAX_URI, Uri, UriError};
pub use values::{CSeq, Method, NameAddr, Params, SubscriptionState};
