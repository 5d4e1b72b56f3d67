//! What one thread tells another.

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

/// What one instance tells another. Sessions, rooms and streams are the receiver's in what
/// goes to the owner of a room; in what comes from one they are the owner's.
#[derive(Debug)]
pub(in crate::switch) enum Parcel {
    /// A connection names a session of yours, and is not decoded until [`Parcel::Claimed`].
    Claim(SessionId, ConnectionId, Security),
    /// Somebody whose session is here has said something.
    Said(Box<Utterance>),
    /// The same of a nickname.
    Wishes(Box<Wish>),
    /// The session has ended here.
    Left(SessionKey, Option<LossCause>),
    /// It is no more here, as was asked for.
    Back(SessionKey, Back),
    /// So many octets of a room's messages wait for nobody here any more.
    Taken(RoomKey, usize),

    /// What becomes of a claim.
    Claimed(ConnectionId, Answer),
    /// The session is yours, for the connection that claimed it.
    Comes(ConnectionId, Box<Newcomer>),
    /// The focus says this of it; there may be something to tell it.
    Amended(Box<Admission>, Option<Box<str>>),
    /// The room's rules have changed.
    Policy(RoomKey, RoomPolicy),
    /// It ends in good order.
    Expel(SessionId),
    /// It is in its room no more, and is to stay a moment.
    Part(SessionId),
    /// It is to be told this.
    Tell(SessionId, Box<str>),
    /// It is to come back: its peer has another path now.
    Recall(SessionId),
    /// A message to a room.
    Entry(RoomKey, Arc<Entry>),
    /// A message to one session.
    Private(SessionId, Arc<Entry>, Option<Credit>),
    /// Octets for a connection there.
    Reply(ConnectionId, Vec<u8>),
    /// So many octets of what it said are where they belong.
    Done(ConnectionId, usize),
    /// The room it speaks in is behind: it is not to be read.
    Hold(ConnectionId),
    /// It may go on.
    Resume(ConnectionId),
    /// What it said could not be dealt with.
    Failed(ConnectionId),

    /// A large message begins, from a session here.
    Opens(StreamKey, Box<Opens>),
    /// It is in order.
    Accepted(StreamKey),
    /// It is not.
    Refused(StreamKey, Code),
    /// Everything of it has come.
    Ended(StreamKey, Box<Ended>),
    /// A large message begins in a room.
    Begins(StreamKey, Arc<Beginning>),
    /// The next octets of either.
    Piece(StreamKey, Bytes),
    /// Its sender waits for those who are behind, who certainly are there, or may be.
    Waits(StreamKey, bool),
    /// Somebody is behind with it.
    Behind(StreamKey),
    /// There is no more of the room's.
    Whole(StreamKey),
    /// The rest will not come.
    Aborted(StreamKey),
    /// So many octets wait for nobody here any more.
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

/// Why a claim brings no session.
#[derive(Debug)]
pub(in crate::switch) enum Answer {
    /// The request that named it is to be answered so.
    Refused(SessionId, Code),
    /// The certificate is not its peer's (C70).
    Imposter,
    /// What kept it is over: it is to be named again.
    Again,
}

/// What waits for a session that comes back.
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

/// A large message of a session that lives elsewhere, as far as it must be known for it to
/// begin.
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
    /// Of the chunk that ends it, which is answered.
    pub(in crate::switch) last: KeptHead,
    /// Of the chunk that came first, if a report is wanted.
    pub(in crate::switch) first: Option<KeptHead>,
    pub(in crate::switch) shift: u64,
}

/// A large message as its receivers' threads must know it when it begins.
#[derive(Debug)]
pub(in crate::switch) struct Beginning {
    pub(in crate::switch) room: RoomKey,
    pub(in crate::switch) from: SessionKey,
    pub(in crate::switch) audience: Audience,
    pub(in crate::switch) announced: Option<u64>,
    pub(in crate::switch) wrapped_type: Box<[u8]>,
    pub(in crate::switch) is_text: bool,
    /// For who reads plain text: what stands in front, and where the text begins.
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
