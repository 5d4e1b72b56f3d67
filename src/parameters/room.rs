//! `room` entries: a URI, then options.

use super::value::Wrong;
use crate::control::RoomUri;
use crate::focus::rules::{OPTIONS, PATTERNS, RoomOption};
use crate::focus::{Lifetime, Pattern, RoomEntry, RoomRules};
use crate::wire::sip::Uri;

/// Reads a `room`.
pub(super) fn room(text: &str) -> Result<RoomEntry, Wrong> {
    read(text, Lifetime::Forever)
}

/// Reads a `factory`: its rooms end when their creator leaves, unless it sets another lifetime.
pub(super) fn factory(text: &str) -> Result<RoomEntry, Wrong> {
    read(text, Lifetime::WhileCreatorStays)
}

fn read(text: &str, lifetime: Lifetime) -> Result<RoomEntry, Wrong> {
    let mut parts = text.trim().split(';');
    let first = parts.next().unwrap_or_default().trim();
    let uri = room_uri(first).ok_or_else(|| Wrong::part(first, "sip:USER@HOST, without a port"))?;
    let mut rules = RoomRules {
        lifetime,
        ..RoomRules::default()
    };
    for option in parts.map(str::trim).filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let known = OPTIONS.iter().find(|known| known.name == name.trim());
        known
            .and_then(|option| option.set(&mut rules, value.trim()))
            .ok_or_else(|| Wrong::part(format!("{first};{option}"), allowed(known, value)))?;
    }
    Ok(rules.of(uri))
}

fn room_uri(text: &str) -> Option<RoomUri> {
    let uri: Uri = text.parse().ok()?;
    let is_room =
        uri.scheme == "sip" && uri.user.is_some() && uri.port.is_none() && uri.headers.is_none();
    is_room.then(|| RoomUri::new(uri.address_of_record()))
}

/// Allowed values of this option, or the error in one of its patterns; a pointer to the list of
/// options if there is no such option.
fn allowed(option: Option<&RoomOption>, value: &str) -> String {
    let Some(option) = option else {
        return "options: docs/parameters.md#room-string".to_owned();
    };
    let wrong = (option.allowed == PATTERNS).then(|| wrong_pattern(value));
    let allowed = || format!("{}={}", option.name, option.allowed);
    wrong.flatten().unwrap_or_else(allowed)
}

/// The first invalid pattern of a list, and the error.
fn wrong_pattern(value: &str) -> Option<String> {
    value.split(',').find_map(|pattern| {
        let pattern = Some(pattern.trim()).filter(|it| !it.is_empty())?;
        let error = pattern.parse::<Pattern>().err()?;
        Some(format!("{pattern}: {error}"))
    })
}
