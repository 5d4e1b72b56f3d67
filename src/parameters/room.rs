//! `room` entries: a URI, then options.

use std::collections::HashSet;

use super::{ParameterError, Value, table};
use crate::control::RoomUri;
use crate::focus::RoomEntry;
use crate::wire::sip::Uri;

/// What a room entry may be, in words.
pub(super) const ALLOWED: &str = "sip:USER@HOST, then any of ;max=1..100000 ;nickname=yes|no \
     ;private=yes|no ;subscribe=anyone|participants";

/// Reads one entry.
pub(super) fn room(text: &str) -> Result<RoomEntry, ParameterError> {
    read(text).ok_or_else(|| refuse(text))
}

/// No room twice: the second entry's options would silently be lost.
pub(super) fn distinct(rooms: &[RoomEntry]) -> Result<(), ParameterError> {
    let mut seen = HashSet::new();
    match rooms.iter().find(|room| !seen.insert(&room.uri)) {
        None => Ok(()),
        Some(twice) => Err(ParameterError {
            allowed: "every room once".to_owned(),
            ..refuse(twice.uri.as_str())
        }),
    }
}

fn refuse(text: &str) -> ParameterError {
    table::find("room").refuse(&Value::Text(text.to_owned()))
}

fn read(text: &str) -> Option<RoomEntry> {
    let mut parts = text.trim().split(';');
    let uri: Uri = parts.next()?.trim().parse().ok()?;
    if uri.scheme != "sip" || uri.user.is_none() || uri.port.is_some() || uri.headers.is_some() {
        return None;
    }
    let mut entry = RoomEntry {
        uri: RoomUri::new(uri.address_of_record()),
        max_participants: None,
        nicknames: true,
        private_messages: true,
        subscribe_participants_only: false,
    };
    for option in parts.filter(|option| !option.trim().is_empty()) {
        let (name, value) = option.split_once('=')?;
        apply(&mut entry, name.trim(), value.trim())?;
    }
    Some(entry)
}

fn apply(entry: &mut RoomEntry, name: &str, value: &str) -> Option<()> {
    match name {
        "max" => {
            let max = value
                .parse()
                .ok()
                .filter(|max| (1..=100_000).contains(max))?;
            entry.max_participants = Some(max);
        }
        "nickname" => entry.nicknames = yes(value)?,
        "private" => entry.private_messages = yes(value)?,
        "subscribe" => {
            entry.subscribe_participants_only = match value {
                "anyone" => false,
                "participants" => true,
                _ => return None,
            };
        }
        _ => return None,
    }
    Some(())
}

fn yes(value: &str) -> Option<bool> {
    match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
