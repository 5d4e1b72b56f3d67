//! One connection as the switch sees it: input that is not yet a whole message, and small
//! octets to write. While nothing is on the way it owns no buffer.

use crate::control::SessionId;
use crate::switch::security::Security;
use crate::time::Moment;
use crate::wire::msrp::Decoder;

use crate::switch::ids::{RoomKey, SessionKey, StreamKey};
use crate::switch::line::incoming::Incoming;
use crate::switch::message::code::Code;

/// Responses and reports that may wait for a peer: while there are more, nothing of what it
/// sends is read (one read adds little more than its own size).
pub(crate) const MAX_REPLIES: usize = 64 * 1024;

/// Octets of what came on one connection that may be on their way to other threads: more is
/// not read meanwhile.
pub(crate) const MAX_UNORDERED: usize = 64 * 1024;

/// A transport that may carry many sessions.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) security: Security,
    pub(crate) decoder: Decoder,
    /// Octets the decoder has not used yet.
    pub(crate) unread: Vec<u8>,
    /// It could use some of them, but the sender has to wait.
    pub(crate) interrupted: bool,
    /// A SEND whose end has not come yet.
    pub(crate) incoming: Option<Incoming>,
    /// Responses and reports; they go before any copy (RFC 4975 §7.1.1, C21).
    pub(crate) replies: Vec<u8>,
    /// Sessions bound to it.
    pub(crate) sessions: Vec<SessionKey>,
    /// Where the next round of fair sending starts (C22).
    pub(crate) turn: usize,
    /// It stands in the list of those that have something to write.
    pub(crate) dirty: bool,
    /// Nothing more is read; it closes once everything is written.
    pub(crate) closing: bool,
    /// Its peer sends nothing more.
    pub(crate) deaf: bool,
    /// A session was bound to it.
    pub(crate) bound: bool,
    /// Octets read before the first session was bound.
    pub(crate) unbound_octets: usize,
    /// When it must be closed: it has bound no session, or is closing.
    pub(crate) close_by: Option<Moment>,
    /// When its peer was last heard, took something, or began to owe something.
    pub(crate) heard: Moment,
    /// When a timer looks whether its peer is silent.
    pub(crate) look_at: Option<Moment>,
    /// It was asked whether it is there, and has said nothing since.
    pub(crate) asked: bool,
    /// Since when it takes nothing.
    pub(crate) blocked: Option<Moment>,
    /// The SEND of which the end-line is not written yet: nothing else may be before it is.
    pub(crate) open: Option<(SessionKey, StreamKey)>,
    /// Since when something waits for the end of `open`, which may not be interrupted.
    pub(crate) held_up: Option<Moment>,
    /// Which large message had its turn last (C22).
    pub(crate) last_stream: Option<(SessionKey, StreamKey)>,
    /// Large messages for whose receivers it must wait: nothing is read meanwhile.
    pub(crate) pauses: u32,
    /// The room in which it last said something.
    pub(crate) said_in: Option<RoomKey>,
    /// Octets of what it said that are not where they belong yet.
    pub(crate) unordered: usize,
    /// It has named a session that is not here: nothing is decoded until it is, or refused.
    pub(crate) seeking: bool,
    /// How the request is answered that named such a session in vain.
    pub(crate) refused: Option<(SessionId, Code)>,
}

impl Connection {
    /// Nothing lives on it.
    pub(crate) fn is_idle(&self) -> bool {
        self.sessions.is_empty() && !self.seeking
    }

    /// Nothing is to be read from it.
    pub(crate) fn is_paused(&self) -> bool {
        self.pauses > 0
            || self.seeking
            || self.closing
            || self.deaf
            || self.unordered >= MAX_UNORDERED
            || self.replies.len() > MAX_REPLIES
    }

    /// Somebody who speaks may still be behind it.
    pub(crate) fn lives_on(&self) -> bool {
        !self.closing && !self.is_idle()
    }

    /// Its peer has begun a request that has not ended.
    pub(crate) fn has_begun(&self) -> bool {
        self.incoming.is_some() || (!self.unread.is_empty() && !self.interrupted)
    }

    /// Octets that are decoded before anything more is read.
    pub(crate) fn waiting(&self) -> usize {
        match self.interrupted {
            true => self.unread.len(),
            false => 0,
        }
    }

    /// Octets came, or the peer took some.
    pub(crate) fn lives(&mut self, now: Moment) {
        self.heard = now;
        self.asked = false;
    }
}
