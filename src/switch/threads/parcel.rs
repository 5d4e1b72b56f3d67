//! Messages between threads.

use std::sync::Arc;

use bytes::Bytes;

use crate::control::{Admission, LossCause, RoomPolicy, SessionId};
use crate::switch::ids::{ConnectionId, Credit, RoomKey, SessionKey, StreamKey};
use crate::switch::message::assembly::Opening;
use crate::switch::message::code::Code;
use crate::switch::message::entry::{Audience, Entry};
use crate::switch::message::request_head::{KeptHead, RequestHead};
use crate::switch::message::utterance::Utterance;
use crate::switch::room::session::Session;
use crate::switch::security::Security;

/// A message from one instance to another. Keys of sessions, rooms and streams are always those of
/// the room's owner, whether it receives the parcel or sends it.
#[derive(Debug)]
pub(in crate::switch) enum Parcel {
    /// A connection names a session of yours, and is not decoded until [`Parcel::Claimed`].
    Claim(SessionId, ConnectionId, Security),
    /// A session of yours, which lives here, has sent a message.
    Said(Box<Utterance>),
    /// Such a session has sent a NICKNAME.
    Wishes(Box<Wish>),
    /// The session has ended here.
    Left(SessionKey, Option<LossCause>),
    /// The session has gone back, as requested.
    Back(SessionKey, Back),
    /// This many octets of a room's messages are delivered here.
    Taken(RoomKey, usize),

    /// The answer to a claim that brings no session.
    Claimed(ConnectionId, Answer),
    /// The session is yours, for the connection that claimed it.
    Comes(ConnectionId, Box<Newcomer>),
    /// The focus amends the session; it may include a status text for it.
    Amended(Box<Admission>, Option<Box<str>>),
    /// The room's rules have changed.
    Policy(RoomKey, RoomPolicy),
    /// End the session in good order.
    Expel(SessionId),
    /// It has left its room; its connection stays for a moment.
    Part(SessionId),
    /// Deliver this status text to it.
    Tell(SessionId, Box<str>),
    /// Send it back: its peer has another path now.
    Recall(SessionId),
    /// A message to a room.
    Entry(RoomKey, Arc<Entry>),
    /// A message to one session.
    Private(SessionId, Arc<Entry>, Option<Credit>),
    /// Octets for a connection there.
    Reply(ConnectionId, Vec<u8>),
    /// This many octets of its messages are delivered.
    Done(ConnectionId, usize),
    /// The room it speaks in is behind: do not read it.
    Hold(ConnectionId),
    /// Read it again.
    Resume(ConnectionId),
    /// The processing of its message failed.
    Failed(ConnectionId),

    /// A large message of a session here begins.
    Opens(StreamKey, Box<Opens>),
    /// The owner accepts it.
    Accepted(StreamKey),
    /// The owner refuses it.
    Refused(StreamKey, Code),
    /// It is complete.
    Ended(StreamKey, Box<Ended>),
    /// A large message begins in a room.
    Begins(StreamKey, Arc<Beginning>),
    /// The next octets of a large message, to or from the owner.
    Piece(StreamKey, Bytes),
    /// Its sender waits for receivers that are behind, which you certainly have or may have.
    Waits(StreamKey, bool),
    /// A receiver here is behind with it.
    Behind(StreamKey),
    /// The room's large message has ended.
    Whole(StreamKey),
    /// The rest will not arrive.
    Aborted(StreamKey),
    /// This many octets are delivered here.
    Passed(StreamKey, u64),
}

/// A session that moves to the thread that has claimed it.
#[derive(Debug)]
pub(in crate::switch) struct Newcomer {
    pub(in crate::switch) session: Session,
    /// Its room, as the owner knows it.
    pub(in crate::switch) room: RoomKey,
    pub(in crate::switch) policy: RoomPolicy,
}

/// The reason why a claim brings no session.
#[derive(Debug)]
pub(in crate::switch) enum Answer {
    /// Answer the request that named it with this code.
    Refused(SessionId, Code),
    /// The certificate does not match the peer's fingerprints (C70).
    Imposter,
    /// The obstacle is gone: claim it again.
    Again,
}

/// Output queued for a session while it comes back.
#[derive(Debug, Default)]
pub(in crate::switch) struct Back {
    pub(in crate::switch) own: Vec<Arc<Entry>>,
    pub(in crate::switch) lost: u64,
    pub(in crate::switch) notice: Option<Box<str>>,
}

/// A NICKNAME of such a session.
#[derive(Debug)]
pub(in crate::switch) struct Wish {
    pub(in crate::switch) session: SessionKey,
    pub(in crate::switch) connection: ConnectionId,
    pub(in crate::switch) head: KeptHead,
    pub(in crate::switch) nickname: Option<Box<str>>,
}

/// The data with which a large message of a session that lives elsewhere begins.
#[derive(Debug)]
pub(in crate::switch) struct Opens {
    pub(in crate::switch) session: SessionKey,
    pub(in crate::switch) connection: ConnectionId,
    pub(in crate::switch) name: Box<str>,
    pub(in crate::switch) opening: Opening,
}

/// The end of a large message.
#[derive(Debug)]
pub(in crate::switch) struct Ended {
    pub(in crate::switch) connection: ConnectionId,
    /// The head of the chunk that ends it, which is answered.
    pub(in crate::switch) last: KeptHead,
    /// The head of the chunk that came first, if a report is wanted.
    pub(in crate::switch) first: Option<KeptHead>,
    pub(in crate::switch) shift: u64,
}

/// The data with which a large message begins on its receivers' threads.
#[derive(Debug)]
pub(in crate::switch) struct Beginning {
    pub(in crate::switch) room: RoomKey,
    pub(in crate::switch) from: SessionKey,
    pub(in crate::switch) audience: Audience,
    pub(in crate::switch) announced: Option<u64>,
    pub(in crate::switch) wrapped_type: Box<[u8]>,
    pub(in crate::switch) is_text: bool,
    /// For plain-text clients: the text to put in front, and the offset where the content begins.
    pub(in crate::switch) opening: Box<str>,
    pub(in crate::switch) content: u64,
}

impl Ended {
    pub(in crate::switch) fn new(
        connection: ConnectionId,
        last: &RequestHead<'_>,
        first: &RequestHead<'_>,
        shift: u64,
    ) -> Self {
        Self {
            connection,
            last: last.keep(),
            first: first.success_report.then(|| first.keep()),
            shift,
        }
    }
}
