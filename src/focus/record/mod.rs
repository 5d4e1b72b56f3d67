//! What of the focus survives a restart, one record a thing. The store keeps each as the JSON that
//! serde makes of it; the focus only says what has changed.
//!
//! A record holds the types of the running state where these have no timers (`Dialog`, `Media`,
//! `Schedule`), and stands in one file with both ways: from the state to it and back. A field that
//! is added needs `#[serde(default)]`: rows of an earlier release lack it.
//!
//! Kept are conferences with participants and publications, endpoints with their dialogs,
//! subscriptions, the nicknames of who has just left, and the history of rooms that have one:
//! its messages only pass by here, from the switch to the store. Not kept is what a restart
//! ends anyway or what comes again by itself: invitations under way, REFERs that somebody
//! follows, documents, departures (everybody gets a full document).

mod conference;
mod endpoint;
mod keep;
mod kept;
mod participant;
mod publication;
mod restore;
mod subscription;

use serde::{Deserialize, Serialize};

use crate::control::{PastMessage, RoomUri, UserUri};
use crate::focus::RoomEntry;
use crate::time::Moment;

pub use conference::ConferenceRecord;
pub use endpoint::EndpointRecord;
pub(super) use keep::Counters;
pub use kept::{Content, Decisions, Found, Kept, Query, Ruling, Unreadable};
pub use participant::ParticipantRecord;
pub use publication::PublicationRecord;
pub use restore::FindSocket;
pub use subscription::SubscriptionRecord;

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
    /// A publication about a conference.
    Publication(RoomUri, u64),
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

/// Somebody who left a conference by BYE.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DepartedRecord {
    /// The conference's room.
    pub room: RoomUri,
    /// Who.
    pub user: UserUri,
}

/// A nickname held for a user who has left (RFC 7701 §7.1). It outlives its conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
            Record::Conference(conference) => Key::Conference(conference.room.clone()),
            Record::Participant(one) => Key::Participant(one.room.clone(), one.user.clone()),
            Record::Publication(one) => Key::Publication(one.room.clone(), one.id),
            Record::Endpoint(one) => Key::Endpoint(one.id),
            Record::Subscription(one) => Key::Subscription(one.id),
            Record::HeldNickname(one) => Key::HeldNickname(one.room.clone(), one.user.clone()),
            Record::Departed(one) => Key::Departed(one.room.clone(), one.user.clone()),
            Record::LastAnonymous(_) => Key::LastAnonymous,
        }
    }
}
