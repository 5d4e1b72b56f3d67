//! One connection as the switch sees it: input that is not yet a whole message, and small
//! octets to write. While nothing is on the way it owns no buffer.

use crate::control::SessionId;
use crate::switch::security::Security;
use crate::time::Moment;
use crate::wire::msrp::Decoder;

use crate::switch::ids::{RoomKey, SessionKey, SessionKeys, StreamKey};
use crate::switch::line::incoming::Incoming;
use crate::switch::message::code::Code;

/// Responses and reports that may wait for a peer: while there are more, nothing of what it
/// sends is read (one read adds little more than its own size).
pub(in crate::switch) const MAX_REPLIES: usize = 64 * 1024;

/// Octets of what came on one connection that may be on their way to other threads: more is
/// not read meanwhile.
pub(in crate::switch) const MAX_UNORDERED: usize = 64 * 1024;

/// A transport that may carry many sessions.
#[derive(Debug, Default)]
pub(in crate::switch) struct Connection {
    pub(in crate::switch) security: Security,
    pub(in crate::switch) decoder: Decoder,
    /// Octets the decoder has not used yet.
    pub(in crate::switch) unread: Vec<u8>,
    /// It could use some of them, but the sender has to wait.
    pub(in crate::switch) interrupted: bool,
    /// A SEND whose end has not come yet.
    pub(in crate::switch) incoming: Option<Incoming>,
    /// Responses and reports; they go before any copy (RFC 4975 §7.1.1, C21).
    pub(in crate::switch) replies: Vec<u8>,
    /// Sessions bound to it.
    pub(in crate::switch) sessions: SessionKeys,
    /// Where the next round of fair sending starts (C22).
    pub(in crate::switch) turn: usize,
    /// It stands in the list of those that have something to write.
    pub(in crate::switch) dirty: bool,
    /// Nothing more is read; it closes once everything is written.
    pub(in crate::switch) closing: bool,
    /// Its peer sends nothing more.
    pub(in crate::switch) deaf: bool,
    /// A session was bound to it.
    pub(in crate::switch) bound: bool,
    /// Octets read before the first session was bound.
    pub(in crate::switch) unbound_octets: usize,
    /// When it must be closed: it has bound no session, or is closing.
    pub(in crate::switch) close_by: Option<Moment>,
    /// When its peer was last heard, took something, or began to owe something.
    pub(in crate::switch) heard: Moment,
    /// When a timer looks whether its peer is silent.
    pub(in crate::switch) look_at: Option<Moment>,
    /// It was asked whether it is there, and has said nothing since.
    pub(in crate::switch) asked: bool,
    /// Since when it takes nothing.
    pub(in crate::switch) blocked: Option<Moment>,
    /// The SEND of which the end-line is not written yet: nothing else may be before it is.
    pub(in crate::switch) open: Option<(SessionKey, StreamKey)>,
    /// Since when something waits for the end of `open`, which may not be interrupted.
    pub(in crate::switch) held_up: Option<Moment>,
    /// Which large message had its turn last (C22).
    pub(in crate::switch) last_stream: Option<(SessionKey, StreamKey)>,
    /// Large messages for whose receivers it must wait: nothing is read meanwhile.
    pub(in crate::switch) pauses: u32,
    /// The room in which it last said something.
    pub(in crate::switch) said_in: Option<RoomKey>,
    /// Octets of what it said that are not where they belong yet.
    pub(in crate::switch) unordered: usize,
    /// It has named a session that is not here: nothing is decoded until it is, or refused.
    pub(in crate::switch) seeking: bool,
    /// How the request is answered that named such a session in vain.
    pub(in crate::switch) refused: Option<Box<(SessionId, Code)>>,
}

impl Connection {
    /// Nothing lives on it.
    pub(in crate::switch) fn is_idle(&self) -> bool {
        self.sessions.is_empty() && !self.seeking
    }

    /// Nothing is to be read from it.
    pub(in crate::switch) fn is_paused(&self) -> bool {
        self.pauses > 0
            || self.seeking
            || self.closing
            || self.deaf
            || self.unordered >= MAX_UNORDERED
            || self.replies.len() > MAX_REPLIES
    }

    /// Somebody who speaks may still be behind it.
    pub(in crate::switch) fn lives_on(&self) -> bool {
        !self.closing && !self.is_idle()
    }

    /// Its peer has begun a request that has not ended.
    pub(in crate::switch) fn has_begun(&self) -> bool {
        self.incoming.is_some() || (!self.unread.is_empty() && !self.interrupted)
    }

    /// Octets that are decoded before anything more is read.
    pub(in crate::switch) fn waiting(&self) -> usize {
        match self.interrupted {
            true => self.unread.len(),
            false => 0,
        }
    }

    /// Octets came, or the peer took some.
    pub(in crate::switch) fn lives(&mut self, now: Moment) {
        self.heard = now;
        self.asked = false;
    }
}
