//! One connection as the switch sees it: input that is not yet a whole message, and small
//! octets to write. While nothing is on the way it owns no buffer.

use std::sync::Arc;

use crate::control::SessionId;
use crate::time::Moment;
use crate::wire::fingerprint::Fingerprint;
use crate::wire::msrp::Decoder;

use super::guests::MAX_UNORDERED;
use super::ids::{RoomKey, SessionKey, StreamKey};
use super::incoming::Incoming;
use super::message::Code;

/// How a connection is secured, as far as its sessions care.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    #[default]
    Plain,
    /// By TLS. What the peer's certificate could be announced by; empty: it showed none.
    Tls(Arc<[Fingerprint]>),
}

/// Responses and reports that may wait for a peer: while there are more, nothing of what it
/// sends is read (one read adds little more than its own size).
pub(super) const MAX_REPLIES: usize = 64 * 1024;

/// A transport that may carry many sessions.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) security: Security,
    pub(super) decoder: Decoder,
    /// Octets the decoder has not used yet.
    pub(super) unread: Vec<u8>,
    /// It could use some of them, but the sender has to wait.
    pub(super) interrupted: bool,
    /// A SEND whose end has not come yet.
    pub(super) incoming: Option<Incoming>,
    /// Responses and reports; they go before any copy (RFC 4975 §7.1.1, C21).
    pub(super) replies: Vec<u8>,
    /// Sessions bound to it.
    pub(super) sessions: Vec<SessionKey>,
    /// Where the next round of fair sending starts (C22).
    pub(super) turn: usize,
    /// It stands in the list of those that have something to write.
    pub(super) dirty: bool,
    /// Nothing more is read; it closes once everything is written.
    pub(super) closing: bool,
    /// Its peer sends nothing more.
    pub(super) deaf: bool,
    /// A session was bound to it.
    pub(super) bound: bool,
    /// Octets read before the first session was bound.
    pub(super) unbound_octets: usize,
    /// When it must be closed: it has bound no session, or is closing.
    pub(super) close_by: Option<Moment>,
    /// When its peer was last heard, took something, or began to owe something.
    pub(super) heard: Moment,
    /// When a timer looks whether its peer is silent.
    pub(super) look_at: Option<Moment>,
    /// It was asked whether it is there, and has said nothing since.
    pub(super) asked: bool,
    /// Since when it takes nothing.
    pub(super) blocked: Option<Moment>,
    /// The SEND of which the end-line is not written yet: nothing else may be before it is.
    pub(super) open: Option<(SessionKey, StreamKey)>,
    /// Since when something waits for the end of `open`, which may not be interrupted.
    pub(super) held_up: Option<Moment>,
    /// Which large message had its turn last (C22).
    pub(super) last_stream: Option<(SessionKey, StreamKey)>,
    /// Large messages for whose receivers it must wait: nothing is read meanwhile.
    pub(super) pauses: u32,
    /// The room in which it last said something.
    pub(super) said_in: Option<RoomKey>,
    /// Octets of what it said that are not where they belong yet.
    pub(super) unordered: usize,
    /// It has named a session that is not here: nothing is decoded until it is, or refused.
    pub(super) seeking: bool,
    /// How the request is answered that named such a session in vain.
    pub(super) refused: Option<(SessionId, Code)>,
}

impl Connection {
    /// Nothing lives on it.
    pub(super) fn is_idle(&self) -> bool {
        self.sessions.is_empty() && !self.seeking
    }

    /// Nothing is to be read from it.
    pub(super) fn is_paused(&self) -> bool {
        self.pauses > 0
            || self.seeking
            || self.closing
            || self.deaf
            || self.unordered >= MAX_UNORDERED
            || self.replies.len() > MAX_REPLIES
    }

    /// Somebody who speaks may still be behind it.
    pub(super) fn lives_on(&self) -> bool {
        !self.closing && !self.is_idle()
    }

    /// Its peer has begun a request that has not ended.
    pub(super) fn has_begun(&self) -> bool {
        self.incoming.is_some() || (!self.unread.is_empty() && !self.interrupted)
    }

    /// Octets that are decoded before anything more is read.
    pub(super) fn waiting(&self) -> usize {
        match self.interrupted {
            true => self.unread.len(),
            false => 0,
        }
    }
}
