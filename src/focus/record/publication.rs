//! The record of a publication.

use serde::{Deserialize, Serialize};

use crate::control::{RoomUri, UserUri};
use crate::focus::ids::PublicationId;
use crate::focus::room::publications::Publication;
use crate::time::Moment;

/// A publication about a conference (RFC 3903).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PublicationRecord {
    /// Number of the publication.
    pub id: u64,
    /// The conference's room.
    pub room: RoomUri,
    /// Entity tag.
    pub tag: String,
    /// The publisher.
    pub publisher: UserUri,
    /// It may be about everything, not only about the publisher.
    pub unlimited: bool,
    /// The document published.
    pub document: String,
    /// When it expires.
    pub expires: Moment,
}

impl PublicationRecord {
    /// The record of a publication.
    pub(in crate::focus) fn of(
        room: &RoomUri,
        id: PublicationId,
        publication: &Publication,
    ) -> Self {
        Self {
            id: id.0,
            room: room.clone(),
            tag: publication.tag.clone(),
            publisher: publication.publisher.clone(),
            unlimited: publication.unlimited,
            // It was parsed before, so it is UTF-8.
            document: String::from_utf8_lossy(&publication.document).into_owned(),
            expires: publication.expiry.at().in_millis(),
        }
    }
}
