//! `room` entries: a URI, then options.

use std::collections::HashSet;

use super::{ParameterError, Value, table};
use crate::control::{HISTORY_MESSAGES, RoomUri};
use crate::focus::{Lifetime, Pattern, RoomEntry};
use crate::wire::sip::Uri;

/// What a room entry may be, in words.
pub(super) const ALLOWED: &str = "sip:USER@HOST, then any of ;max=1..100000 ;nickname=yes|no \
     ;private=yes|no ;subscribe=anyone|participants ;invite=participants|moderators \
     ;moderators=PATTERN,… ;observers=PATTERN,… ;allow=PATTERN,… ;deny=PATTERN,… \
     ;name=TEXT ;subject=TEXT ;web_page=URI ;recording=URI ;event=URI ;locked=yes|no \
     ;devices=many|one ;end=never|empty|creator ;tls=yes|no ;plain_text=yes|no ;history=0..500 (a PATTERN is an address of record, \
     * stands for any characters)";

/// Reads a `room`.
pub(super) fn room(text: &str) -> Result<RoomEntry, ParameterError> {
    read("room", text, Lifetime::Forever)
}

/// Reads a `factory`: its rooms end when their creator leaves, unless it says otherwise.
pub(super) fn factory(text: &str) -> Result<RoomEntry, ParameterError> {
    read("factory", text, Lifetime::WhileCreatorStays)
}

/// No room twice: the second entry's options would silently be lost.
pub(super) fn distinct(rooms: &[RoomEntry], factories: &[RoomEntry]) -> Result<(), ParameterError> {
    let mut seen = HashSet::new();
    let mut all = rooms.iter().chain(factories);
    match all.find(|room| !seen.insert(&room.uri)) {
        None => Ok(()),
        Some(twice) => Err(ParameterError {
            allowed: "every room or factory once".to_owned(),
            ..refuse("room", twice.uri.as_str())
        }),
    }
}

/// Options that are lists of patterns.
const PATTERNS: [&str; 4] = ["moderators", "observers", "allow", "deny"];

fn refuse(parameter: &'static str, text: &str) -> ParameterError {
    table::find(parameter).refuse(&Value::Text(text.to_owned()))
}

fn read(
    parameter: &'static str,
    text: &str,
    lifetime: Lifetime,
) -> Result<RoomEntry, ParameterError> {
    let mut parts = text.trim().split(';');
    let first = parts.next().unwrap_or_default().trim();
    let uri = room_uri(first).ok_or_else(|| ParameterError {
        allowed: "sip:USER@HOST, without a port".to_owned(),
        ..refuse(parameter, first)
    })?;
    let mut entry = RoomEntry {
        lifetime,
        ..RoomEntry::new(uri)
    };
    for option in parts.map(str::trim).filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let name = name.trim();
        apply(&mut entry, name, value.trim()).ok_or_else(|| ParameterError {
            allowed: wrong_pattern(name, value).unwrap_or_else(|| allowed(name)),
            ..refuse(parameter, &format!("{first};{option}"))
        })?;
    }
    Ok(entry)
}

fn room_uri(text: &str) -> Option<RoomUri> {
    let uri: Uri = text.parse().ok()?;
    let is_room =
        uri.scheme == "sip" && uri.user.is_some() && uri.port.is_none() && uri.headers.is_none();
    is_room.then(|| RoomUri::new(uri.address_of_record()))
}

/// The first pattern of a list that is none, and why.
fn wrong_pattern(name: &str, value: &str) -> Option<String> {
    let mut all = value.split(',').filter(|_| PATTERNS.contains(&name));
    all.find_map(|pattern| {
        let pattern = Some(pattern.trim()).filter(|it| !it.is_empty())?;
        let error = pattern.parse::<Pattern>().err()?;
        Some(format!("{pattern}: {error}"))
    })
}

/// What may stand for this option; where all of them are listed if there is no such one.
fn allowed(name: &str) -> String {
    let listed = ALLOWED.split_once(&format!(";{name}="));
    match listed.and_then(|(_, rest)| rest.split([' ', '(']).next()) {
        Some(values) => format!("{name}={values}"),
        None => "options: docs/parameters.md#room-string".to_owned(),
    }
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
        "history" => {
            let most = value.parse().ok();
            entry.history = most.filter(|most| *most <= HISTORY_MESSAGES)?;
        }
        "nickname" => entry.nicknames = yes(value)?,
        "tls" => entry.only_tls = yes(value)?,
        "plain_text" => entry.plain_text = yes(value)?,
        "private" => entry.private_messages = yes(value)?,
        "moderators" => entry.moderators = patterns(value)?,
        "observers" => entry.observers = patterns(value)?,
        "allow" => entry.allow = patterns(value)?,
        "deny" => entry.deny = patterns(value)?,
        "name" => entry.about.name = Some(words(value)?),
        "subject" => entry.about.subject = Some(words(value)?),
        "web_page" => entry.about.services.push(("web-page".into(), uri(value)?)),
        "recording" => entry.about.services.push(("recording".into(), uri(value)?)),
        "event" => entry.about.services.push(("event".into(), uri(value)?)),
        "locked" => entry.locked = yes(value)?,
        "devices" => {
            entry.one_device = match value {
                "many" => false,
                "one" => true,
                _ => return None,
            };
        }
        "invite" => {
            entry.only_moderators_invite = match value {
                "participants" => false,
                "moderators" => true,
                _ => return None,
            };
        }
        "end" => {
            entry.lifetime = match value {
                "never" => Lifetime::Forever,
                "empty" => Lifetime::WhileOccupied,
                "creator" => Lifetime::WhileCreatorStays,
                _ => return None,
            };
        }
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

/// Addresses of record with `*`, separated by commas.
fn patterns(value: &str) -> Option<Vec<Pattern>> {
    let all = value
        .split(',')
        .filter(|pattern| !pattern.trim().is_empty());
    all.map(|pattern| pattern.parse().ok()).collect()
}

fn words(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn uri(value: &str) -> Option<String> {
    let is_uri = value.contains(':') && !value.contains(char::is_whitespace);
    is_uri.then(|| value.to_owned())
}

fn yes(value: &str) -> Option<bool> {
    match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
