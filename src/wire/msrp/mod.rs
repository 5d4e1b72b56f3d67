//! MSRP (RFC 4975, NICKNAME of RFC 7701, AUTH of RFC 4976): URIs, heads, an incremental
//! decoder, an encoder. No sockets, no sessions, no clock.
//!
//! # Reading
//! The caller owns the input buffer; the [`Decoder`] keeps a few octets of state and no
//! buffer, so an idle connection costs nothing. Call [`Decoder::decode`] with all octets not
//! yet used, drop [`Decoded::used`] of them, repeat until `None`; then read more and append.
//! Everything an event holds borrows from that input: nothing is allocated per message.
//!
//! A request that lies whole in the input comes as one [`Event::Message`]; requests other
//! than SEND always do, since they are small by rule (§7.1). A SEND of which only a part has
//! come is [`Event::Begin`], [`Event::Body`]…, [`Event::End`]. How the input is cut changes
//! which of the two forms and which pieces, never the octets, the order or the flags.
//!
//! A response is one [`Event::Response`], its headers read only when asked for.
//! A request that is framed but breaks the grammar is [`Event::Malformed`] (answer 400,
//! §10.2) and its rest comes as [`Event::Skipped`]. Octets that are no MSRP at all are a
//! [`DecodeError`]: that connection can only be closed.
//!
//! # Writing
//! [`HeadWriter`] appends to any `BufMut` without allocation. A message with a body is
//! `HeadWriter::request(…)….body(content_type)`, the octets, [`end_line_after_body`].

mod decoder;
mod encoder;
mod fields;
mod head;
mod identifier;
mod pieces;
mod uri;

pub use decoder::{DecodeError, Decoded, Decoder, Event, Flag};
pub use encoder::{HeadWriter, body_headers, contains_end_line, end_line_after_body};
pub use head::{
    ByteRange, FailureReport, HeadError, Malformed, Method, NicknameError, Path, Request, Response,
    Status, UseNickname,
};
pub use identifier::{TransactionId, TransactionIds};
pub use pieces::Pieces;
pub use uri::{Uri, UriError, UriFlaw, UriRef};

/// The most octets from the start line to the blank line or end-line. RFC 4975 gives no
/// bound; two paths of [`MAX_PATH_URIS`] ordinary URIs, an AUTH answer and room to spare.
pub const MAX_HEAD: usize = 8 * 1024;
/// The most octets in the body of a request other than SEND (RFC 4975 §7.1).
pub const MAX_NON_SEND_BODY: usize = 10_240;
/// The most URIs in a path: more relays in a row than any deployment has.
pub const MAX_PATH_URIS: usize = 16;
/// The longest transaction id and Message-ID of the grammar (RFC 4975 §9, `ident`).
pub const MAX_IDENTIFIER: usize = 32;
/// The longest transaction id by which a message is still framed, so that it can be
/// answered 400 instead of losing the connection: some clients write whole UUIDs.
pub const MAX_FRAMED_IDENTIFIER: usize = 64;
/// The longest nickname in octets (RFC 7701 §7.1).
pub const MAX_NICKNAME: usize = 1023;
