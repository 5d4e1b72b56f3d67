//! What of the focus survives a restart, one record a thing. Whoever keeps records knows how;
//! the focus only says what has changed.
//!
//! Kept are conferences with participants and publications, endpoints with their dialogs,
//! subscriptions, the nicknames of who has just left, and the history of rooms that have one:
//! its messages only pass by here, from the switch to the store. Not kept is what a restart
//! ends anyway or what comes again by itself: invitations under way, REFERs that somebody
//! follows, documents, departures (everybody gets a full document).

mod keep;
mod kept;
mod restore;

use crate::control::{PastMessage, RoomUri, SessionId, SwitchRun, UserUri};
use crate::focus::RoomEntry;
use crate::focus::{Lifetime, Role};
use crate::time::Moment;

pub(super) use keep::Counters;
pub use kept::{Content, Decisions, Found, Kept, Query, Ruling, Unreadable};
pub use restore::FindSocket;

pub use crate::focus::sip::offer_answer::{Accepted, Local, Origin};

/// One change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This is what it is from now on.
    Put(Record),
    /// It is gone.
    Delete(Key),
    /// A room's history has changed.
    Remember(HistoryChange),
}

/// What has become of a room's history. The same change may be made twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryChange {
    /// The room.
    pub room: RoomUri,
    /// Messages that are in it from now on.
    pub messages: Vec<PastMessage>,
    /// Those up to this number are not, any more.
    pub gone: u64,
}

/// One thing that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A room that management made.
    Room(Box<RoomEntry>),
    /// What management decided about a room of the configuration.
    Decisions(Box<Decisions>),
    /// A running conference.
    Conference(Box<ConferenceRecord>),
    /// A user in one.
    Participant(ParticipantRecord),
    /// What somebody published about one.
    Publication(PublicationRecord),
    /// A device in one.
    Endpoint(Box<EndpointRecord>),
    /// A subscription to one.
    Subscription(Box<SubscriptionRecord>),
    /// A nickname held for somebody who has left one.
    HeldNickname(HeldNicknameRecord),
    /// Somebody who left one by BYE, where that matters.
    Departed(DepartedRecord),
    /// No anonymous participant had a higher number; rounded up.
    LastAnonymous(u32),
}

/// What a record is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A room that management made.
    Room(RoomUri),
    /// What management decided about a room of the configuration.
    Decisions(RoomUri),
    /// A conference, with its participants, publications and who left it by BYE.
    Conference(RoomUri),
    /// A user in a conference.
    Participant(RoomUri, UserUri),
    /// A publication.
    Publication(u64),
    /// A device.
    Endpoint(u64),
    /// A subscription.
    Subscription(u64),
    /// The nickname held for a user in a room.
    HeldNickname(RoomUri, UserUri),
    /// A room's whole history.
    History(RoomUri),
    /// Somebody who left a conference by BYE.
    Departed(RoomUri, UserUri),
    /// The number of the last anonymous participant.
    LastAnonymous,
}

/// A running conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConferenceRecord {
    /// Its rules and its room.
    pub rules: RoomEntry,
    /// Only moderators come in.
    pub locked: bool,
    /// What the INVITE that made it said it is about.
    pub subject: Option<String>,
    /// Contribution-ID.
    pub contribution: Option<String>,
    /// Conversation-ID.
    pub conversation: Option<String>,
    /// Who made it.
    pub creator: Option<UserUri>,
}

/// Somebody who left a conference by BYE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DepartedRecord {
    /// The conference's room.
    pub room: RoomUri,
    /// Who.
    pub user: UserUri,
}

/// A user in a conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParticipantRecord {
    /// The conference's room.
    pub room: RoomUri,
    /// Who.
    pub user: UserUri,
    /// The name shown, empty for none.
    pub display: String,
    /// The nickname, as the user wrote it.
    pub nickname: Option<String>,
    /// What the user is.
    pub role: Role,
    /// The number shown instead of the address.
    pub anonymous: Option<u32>,
}

/// What somebody published about a conference (RFC 3903).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicationRecord {
    /// Number of the publication.
    pub id: u64,
    /// The conference's room.
    pub room: RoomUri,
    /// Entity tag.
    pub tag: String,
    /// Who published.
    pub publisher: UserUri,
    /// About everything, not only about the publisher.
    pub unlimited: bool,
    /// The document published.
    pub document: Vec<u8>,
    /// When it expires.
    pub expires: Moment,
}

/// A dialog (RFC 3261 §12).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DialogRecord {
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's tag.
    pub remote_tag: String,
    /// Our URI.
    pub local_uri: String,
    /// The peer's URI.
    pub remote_uri: String,
    /// The peer's Contact.
    pub remote_target: String,
    /// Route set, top first.
    pub route_set: Vec<String>,
    /// Where the peer itself was last heard from.
    pub flow: Option<String>,
    /// No CSeq number of ours was higher; rounded up, so that not every request is a write.
    pub local_cseq: u32,
    /// The peer's last CSeq number.
    pub remote_cseq: u32,
    /// Transport of the SIP socket.
    pub transport: String,
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Our Contact.
    pub contact: String,
}

/// The agreed SDP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaRecord {
    /// What our description says.
    pub local: Local,
    /// Its `o=` line.
    pub origin: Origin,
    /// Our description as sent last.
    pub ours: String,
    /// The peer's description, and what it means.
    pub theirs: Option<Accepted>,
    /// The peer takes a message in one SEND only.
    pub one_send: bool,
}

/// A session timer (RFC 4028).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionTimerRecord {
    /// Seconds agreed.
    pub interval: u64,
    /// We refresh.
    pub we_refresh: bool,
    /// The peer listed `timer` in Supported.
    pub peer_supports: bool,
    /// We refresh by UPDATE.
    pub by_update: bool,
    /// When we refresh.
    pub refresh: Option<Moment>,
    /// When the session ends unrefreshed.
    pub expires: Moment,
}

/// A device in a conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointRecord {
    /// Its number.
    pub id: u64,
    /// The conference's room.
    pub room: RoomUri,
    /// Whose it is.
    pub user: UserUri,
    /// What else its user may call itself.
    pub other_uris: Vec<UserUri>,
    /// The name shown, empty for none.
    pub display: String,
    /// Key of its element in conference-info.
    pub entity: String,
    /// What it may do.
    pub role: Role,
    /// Its user's number, if that is anonymous.
    pub anonymous: Option<u32>,
    /// When it joined.
    pub joined: Moment,
    /// We called it.
    pub dialed_out: bool,
    /// Who asked it to join.
    pub referred_by: Option<String>,
    /// The peer takes UPDATE.
    pub peer_updates: bool,
    /// It has sent a REFER in its dialog.
    pub has_referred: bool,
    /// Its session at the switch; none after a loss.
    pub session: Option<SessionId>,
    /// The run of the switch that admitted the session.
    pub run: Option<SwitchRun>,
    /// The session timer.
    pub timer: Option<SessionTimerRecord>,
    /// Its dialog.
    pub dialog: DialogRecord,
    /// Its SDP; the peer's side is not known if the ACK with it was missed.
    pub media: MediaRecord,
}

/// A subscription (RFC 6665).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionRecord {
    /// Its number.
    pub id: u64,
    /// The room.
    pub room: RoomUri,
    /// Who watches.
    pub user: UserUri,
    /// What the script said the subscriber is.
    pub role: Option<Role>,
    /// `id` of the Event header.
    pub event_id: Option<String>,
    /// When it expires.
    pub expires: Moment,
    /// The rates agreed, as in Subscription-State (RFC 6446 §9.2).
    pub rates: String,
    /// Understands full documents only.
    pub full_only: bool,
    /// No document had a higher version; rounded up, so that not every NOTIFY is a write.
    pub version: u32,
    /// Its dialog.
    pub dialog: DialogRecord,
}

/// A nickname held for a user who has left (RFC 7701 §7.1). It outlives its conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeldNicknameRecord {
    /// The room.
    pub room: RoomUri,
    /// Whose it is, as the switch knows the user.
    pub user: UserUri,
    /// The nickname, as the user wrote it.
    pub nickname: String,
    /// How long it is held.
    pub until: Moment,
}

impl Record {
    /// What it is found by.
    pub fn key(&self) -> Key {
        match self {
            Record::Room(entry) => Key::Room(entry.uri.clone()),
            Record::Decisions(one) => Key::Decisions(one.uri.clone()),
            Record::Conference(conference) => Key::Conference(conference.rules.uri.clone()),
            Record::Participant(one) => Key::Participant(one.room.clone(), one.user.clone()),
            Record::Publication(one) => Key::Publication(one.id),
            Record::Endpoint(one) => Key::Endpoint(one.id),
            Record::Subscription(one) => Key::Subscription(one.id),
            Record::HeldNickname(one) => Key::HeldNickname(one.room.clone(), one.user.clone()),
            Record::Departed(one) => Key::Departed(one.room.clone(), one.user.clone()),
            Record::LastAnonymous(_) => Key::LastAnonymous,
        }
    }
}

impl Lifetime {
    /// Its name, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forever => "never",
            Self::WhileOccupied => "empty",
            Self::WhileCreatorStays => "creator",
        }
    }

    /// The lifetime of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Forever, Self::WhileOccupied, Self::WhileCreatorStays]
            .into_iter()
            .find(|lifetime| lifetime.as_str() == name)
    }
}
