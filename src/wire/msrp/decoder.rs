//! The incremental decoder: octets in, events out, no buffer of its own.

use super::{Malformed, Request, Response};

/// How a chunk ends (RFC 4975 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `$`: the last chunk.
    Last,
    /// `+`: more chunks follow.
    More,
    /// `#`: the sender gave the message up.
    Abort,
}

impl Flag {
    /// The octet on the wire.
    pub const fn octet(self) -> u8 {
        match self {
            Flag::Last => b'$',
            Flag::More => b'+',
            Flag::Abort => b'#',
        }
    }
}

/// What the octets mean. Everything borrows from the input.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A whole request.
    Message {
        /// Its head.
        request: Request<'a>,
        /// Its body; `None` when it has none, which is not the same as an empty one (C05).
        body: Option<&'a [u8]>,
        /// How it ends.
        flag: Flag,
    },
    /// The head of a SEND with a body of which the end has not come yet.
    Begin(Request<'a>),
    /// A piece of that body, not empty.
    Body(&'a [u8]),
    /// The end of that body.
    End(Flag),
    /// A whole response.
    Response(Response<'a>),
    /// A request to be answered 400; its rest will be skipped.
    Malformed(Malformed<'a>),
    /// Octets without meaning: line ends between messages, the rest of a malformed request.
    Skipped,
}

/// An event and how much of the input it took.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// Octets to drop from the front of the input; never zero.
    pub used: usize,
    /// The event.
    pub event: Event<'a>,
}

/// The stream is lost: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No MSRP start line.
    #[error("not an MSRP start line")]
    StartLine,
    /// A head above [`super::MAX_HEAD`].
    #[error("header block too large")]
    HeadTooLarge,
    /// A response with a body.
    #[error("malformed response")]
    Response,
}

/// Decodes one connection's input.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    scanned: usize,
}

impl Decoder {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }
    /// The first event of `input`, which starts where the last event ended; `None` when more
    /// octets must come. What is left then is at most [`super::MAX_HEAD`] plus
    /// [`super::MAX_NON_SEND_BODY`] plus an end-line.
    ///
    /// # Errors
    /// The stream cannot be framed any more; every further call fails the same way.
    pub fn decode<'a>(&mut self, _input: &'a [u8]) -> Result<Option<Decoded<'a>>, DecodeError> {
        todo!()
    }
}
