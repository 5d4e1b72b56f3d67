//! One connection as the switch sees it: input that is not yet a whole message, and small output.
//! An idle connection owns no buffer.

use crate::control::SessionId;
use crate::switch::security::Security;
use crate::time::Moment;
use crate::wire::msrp::{Decoder, Path};

use crate::switch::ids::{RoomKey, SessionKey, SessionKeys, StreamKey};
use crate::switch::line::incoming::Incoming;
use crate::switch::message::code::Code;

/// Limit of responses and reports queued for a peer, in octets. Above it, the connection is not
/// read (one read adds little more than its own size).
pub(in crate::switch) const MAX_REPLIES: usize = 64 * 1024;

/// Limit of octets from one connection on their way to other threads. Above it, the connection is
/// not read.
pub(in crate::switch) const MAX_UNORDERED: usize = 64 * 1024;

/// A transport that may carry many sessions.
#[derive(Debug, Default)]
pub(in crate::switch) struct Connection {
    pub(in crate::switch) security: Security,
    pub(in crate::switch) decoder: Decoder,
    /// Octets the decoder has not used yet.
    pub(in crate::switch) unread: Vec<u8>,
    /// The decoder could use some of them, but the sender must wait.
    pub(in crate::switch) interrupted: bool,
    /// A SEND whose end has not arrived yet.
    pub(in crate::switch) incoming: Option<Incoming>,
    /// Responses and reports; they go before any copy (RFC 4975 §7.1.1, C21).
    pub(in crate::switch) replies: Vec<u8>,
    /// Sessions bound to it.
    pub(in crate::switch) sessions: SessionKeys,
    /// The session that starts the next round of fair sending (C22).
    pub(in crate::switch) turn: usize,
    /// The connection is in the list of those with output.
    pub(in crate::switch) dirty: bool,
    /// No more input is read; the connection closes once its output is written.
    pub(in crate::switch) closing: bool,
    /// The peer has closed its side.
    pub(in crate::switch) deaf: bool,
    /// A session was bound to it.
    pub(in crate::switch) bound: bool,
    /// Octets read before the first session was bound.
    pub(in crate::switch) unbound_octets: usize,
    /// When it must close: it has not bound a session, or is closing.
    pub(in crate::switch) close_by: Option<Moment>,
    /// The last time its peer sent or accepted data, or an obligation of the peer began.
    pub(in crate::switch) heard: Moment,
    /// When a timer checks whether its peer is silent.
    pub(in crate::switch) look_at: Option<Moment>,
    /// A probe is outstanding: the peer has sent nothing since.
    pub(in crate::switch) asked: bool,
    /// The time since when the socket accepts no output.
    pub(in crate::switch) blocked: Option<Moment>,
    /// The SEND whose end-line is not written yet: all other output must wait for it.
    pub(in crate::switch) open: Option<(SessionKey, StreamKey)>,
    /// The time since when output has waited for the end of `open`, which must not be interrupted.
    pub(in crate::switch) held_up: Option<Moment>,
    /// The large message that had the last turn (C22).
    pub(in crate::switch) last_stream: Option<(SessionKey, StreamKey)>,
    /// Number of large messages whose receivers it must wait for: no input is read meanwhile.
    pub(in crate::switch) pauses: u32,
    /// The room of its last message.
    pub(in crate::switch) said_in: Option<RoomKey>,
    /// Octets of its messages that are not delivered yet.
    pub(in crate::switch) unordered: usize,
    /// It has named a session that is elsewhere: decoding stops until the session arrives or is
    /// refused.
    pub(in crate::switch) seeking: bool,
    /// State that most connections do not have.
    pub(in crate::switch) rare: Option<Box<Rare>>,
}

/// See [`Connection::rare`].
#[derive(Debug, Default)]
pub(in crate::switch) struct Rare {
    /// The answer to a request whose claim of a session failed.
    pub(in crate::switch) refused: Option<(SessionId, Code)>,
    /// The URI that AUTH assigned to its peer, to put in front of its own.
    pub(in crate::switch) use_path: Option<Box<str>>,
}

impl Connection {
    /// Whether a path is one URI, or one after the URI assigned by AUTH.
    pub(super) fn is_own_path(&self, path: Path<'_>) -> bool {
        match path.count() {
            1 => true,
            2 => {
                let given = self.rare.as_ref().and_then(|it| it.use_path.as_deref());
                given == Some(path.first())
            }
            _ => false,
        }
    }

    /// Whether no session lives on it.
    pub(in crate::switch) fn is_idle(&self) -> bool {
        self.sessions.is_empty() && !self.seeking
    }

    /// Whether it must not be read.
    pub(in crate::switch) fn is_paused(&self) -> bool {
        self.pauses > 0
            || self.seeking
            || self.closing
            || self.deaf
            || self.unordered >= MAX_UNORDERED
            || self.replies.len() > MAX_REPLIES
    }

    /// Whether it may still have a speaker: it is not closing, and has or seeks a session.
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
