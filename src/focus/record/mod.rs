//! The part of the focus' state that survives a restart, one record per object. The store keeps
//! each as the JSON that serde makes of it; the focus only outputs changes.
//!
//! A record uses the types of the running state where these have no timers (`Dialog`, `Media`,
//! `Schedule`). One file per record has both conversions: from the state and back. A new field
//! needs `#[serde(default)]`: rows of an earlier release lack it.
//!
//! Stored are conferences with participants and publications, endpoints with their dialogs,
//! subscriptions, the nicknames of users who have just left, and the history of rooms that have
//! one: its messages pass from the switch to the store without staying here. Not stored is state
//! that a restart ends or that is made anew: invitations under way, REFERs with a subscriber,
//! documents, departures (every subscriber gets a full document).

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

/// One change of the stored state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add or replace this record.
    Put(Record),
    /// Delete the record.
    Delete(Key),
    /// Change a room's history.
    Remember(HistoryChange),
}

/// A change of a room's history. The same change may come twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryChange {
    /// The room.
    pub room: RoomUri,
    /// Messages added to the history.
    pub messages: Vec<PastMessage>,
    /// Messages up to this number have left the history.
    pub gone: u64,
}

/// One stored object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A room made by management.
    Room(Box<RoomEntry>),
    /// Decisions of management about a room of the configuration.
    Decisions(Box<Decisions>),
    /// A running conference.
    Conference(Box<ConferenceRecord>),
    /// A participant of a conference.
    Participant(ParticipantRecord),
    /// A publication about a conference.
    Publication(PublicationRecord),
    /// An endpoint in a conference.
    Endpoint(Box<EndpointRecord>),
    /// A subscription to a conference.
    Subscription(Box<SubscriptionRecord>),
    /// A nickname held for a user who has left a conference.
    HeldNickname(HeldNicknameRecord),
    /// A user who left a conference by BYE, where that matters.
    Departed(DepartedRecord),
    /// The highest number of an anonymous participant, rounded up.
    LastAnonymous(u32),
}

/// The key of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A room made by management.
    Room(RoomUri),
    /// Decisions of management about a room of the configuration.
    Decisions(RoomUri),
    /// A conference, with its participants, its publications and the users who left it by BYE.
    Conference(RoomUri),
    /// A user in a conference.
    Participant(RoomUri, UserUri),
    /// A publication about a conference.
    Publication(RoomUri, u64),
    /// An endpoint.
    Endpoint(u64),
    /// A subscription.
    Subscription(u64),
    /// The nickname held for a user in a room.
    HeldNickname(RoomUri, UserUri),
    /// A room's whole history.
    History(RoomUri),
    /// A user who left a conference by BYE.
    Departed(RoomUri, UserUri),
    /// The number of the last anonymous participant.
    LastAnonymous,
}

/// A user who left a conference by BYE.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DepartedRecord {
    /// The conference's room.
    pub room: RoomUri,
    /// The user.
    pub user: UserUri,
}

/// A nickname held for a user who has left (RFC 7701 §7.1). It outlives its conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldNicknameRecord {
    /// The room.
    pub room: RoomUri,
    /// The user, under the address that the switch knows.
    pub user: UserUri,
    /// The nickname, as the user wrote it.
    pub nickname: String,
    /// End of the reservation.
    pub until: Moment,
}

impl Record {
    /// Its key.
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
