//! `room` entries: a URI, then options.

use std::collections::HashSet;

use super::{ParameterError, Value, table};
use crate::control::{HISTORY_MESSAGES, RoomUri};
use crate::focus::{Lifetime, Pattern, RoomEntry, RoomRules};
use crate::wire::sip::Uri;

/// Sets an option; `None` when it cannot have this value.
type Set = fn(&mut RoomRules, &str) -> Option<()>;

/// The options: name, allowed values, what it decides, how it is set. What is said of them in
/// error messages and in `docs/parameters.md` comes from here too.
macro_rules! options {
    ($($name:literal = $allowed:literal, $doc:literal, $set:expr;)*) => {
        const OPTIONS: &[(&str, &str, Set)] = &[$(($name, $allowed, $set)),*];

        /// What a room entry may be, in words.
        pub(super) const ALLOWED: &str = concat!(
            "sip:USER@HOST, then any of",
            $(" ;", $name, "=", $allowed,)*
            " (a PATTERN is an address of record, * stands for any characters)"
        );

        /// What the options decide, and in brackets what holds without them.
        pub(super) const DOC: &str = concat!(
            "A room that always exists: its URI, then options. The lists are of addresses of \
             record, separated by commas, in which `*` stands for any characters.\n",
            $("\n- `", $name, "=", $allowed, "`: ", $doc,)*
        );
    };
}

options! {
    "max" = "1..100000", "most participants (`max_participants`)",
        |rules, value| {
            let max = value.parse().ok().filter(|max| (1..=100_000).contains(max));
            max.map(|max| rules.max_participants = Some(max))
        };
    "nickname" = "yes|no", "whether nicknames may be set (yes)",
        |rules, value| yes(value, &mut rules.nicknames);
    "private" = "yes|no", "whether private messages may be sent (yes)",
        |rules, value| yes(value, &mut rules.private_messages);
    "subscribe" = "anyone|participants", "who may subscribe to its conference event package (anyone)",
        |rules, value| {
            let choices = [("anyone", false), ("participants", true)];
            one_of(&choices, value, &mut rules.subscribe_participants_only)
        };
    "invite" = "participants|moderators", "who may add somebody (participants)",
        |rules, value| {
            let choices = [("participants", false), ("moderators", true)];
            one_of(&choices, value, &mut rules.only_moderators_invite)
        };
    "moderators" = "PATTERN,…", "who moderates (nobody)",
        |rules, value| patterns(value, &mut rules.moderators);
    "observers" = "PATTERN,…", "who only reads (nobody)",
        |rules, value| patterns(value, &mut rules.observers);
    "allow" = "PATTERN,…", "who may come in (everybody)",
        |rules, value| patterns(value, &mut rules.allow);
    "deny" = "PATTERN,…", "who may not, whatever `allow` says (nobody)",
        |rules, value| patterns(value, &mut rules.deny);
    "name" = "TEXT", "the name its subscribers are told (the address)",
        |rules, value| words(value).map(|it| rules.about.name = Some(it));
    "subject" = "TEXT", "the subject they are told (that of the INVITE which began it)",
        |rules, value| words(value).map(|it| rules.about.subject = Some(it));
    "web_page" = "URI", "a page about it that they are told of (none)",
        |rules, value| service("web-page", value, rules);
    "recording" = "URI", "a recording that they are told of (none)",
        |rules, value| service("recording", value, rules);
    "event" = "URI", "an event that they are told of (none)",
        |rules, value| service("event", value, rules);
    "locked" = "yes|no", "whether only moderators come in (no)",
        |rules, value| yes(value, &mut rules.locked);
    "devices" = "many|one", "with `one` a user's new device replaces the old (many)",
        |rules, value| one_of(&[("many", false), ("one", true)], value, &mut rules.one_device);
    "end" = "never|empty|creator",
        "whether its conference ends when nobody is in, or when who started it leaves (never)",
        |rules, value| {
            let choices = [
                ("never", Lifetime::Forever),
                ("empty", Lifetime::WhileOccupied),
                ("creator", Lifetime::WhileCreatorStays),
            ];
            one_of(&choices, value, &mut rules.lifetime)
        };
    "tls" = "yes|no", "whether only MSRP over TLS is taken (no)",
        |rules, value| yes(value, &mut rules.only_tls);
    "plain_text" = "yes|no",
        "whether clients that know text/plain and no message/cpim are let in (no)",
        |rules, value| yes(value, &mut rules.plain_text);
    "history" = "0..500",
        "how many of its last messages a newcomer is given, see docs/history.md (0: none are kept)",
        |rules, value| {
            let most = value.parse().ok().filter(|most| *most <= HISTORY_MESSAGES);
            most.map(|most| rules.history = most)
        };
}

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
    let mut rules = RoomRules {
        lifetime,
        ..RoomRules::default()
    };
    for option in parts.map(str::trim).filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let known = OPTIONS.iter().find(|(known, ..)| *known == name.trim());
        known
            .and_then(|(.., set)| set(&mut rules, value.trim()))
            .ok_or_else(|| ParameterError {
                allowed: allowed(known, value),
                ..refuse(parameter, &format!("{first};{option}"))
            })?;
    }
    Ok(rules.of(uri))
}

fn room_uri(text: &str) -> Option<RoomUri> {
    let uri: Uri = text.parse().ok()?;
    let is_room =
        uri.scheme == "sip" && uri.user.is_some() && uri.port.is_none() && uri.headers.is_none();
    is_room.then(|| RoomUri::new(uri.address_of_record()))
}

/// What may stand for this option, or why one of its patterns is none; where all options are
/// listed if there is no such one.
fn allowed(option: Option<&(&str, &str, Set)>, value: &str) -> String {
    match option {
        Some((name, values, _)) => {
            let wrong = (*values == "PATTERN,…").then(|| wrong_pattern(value));
            wrong
                .flatten()
                .unwrap_or_else(|| format!("{name}={values}"))
        }
        None => "options: docs/parameters.md#room-string".to_owned(),
    }
}

/// The first pattern of a list that is none, and why.
fn wrong_pattern(value: &str) -> Option<String> {
    value.split(',').find_map(|pattern| {
        let pattern = Some(pattern.trim()).filter(|it| !it.is_empty())?;
        let error = pattern.parse::<Pattern>().err()?;
        Some(format!("{pattern}: {error}"))
    })
}

/// Addresses of record with `*`, separated by commas.
fn patterns(value: &str, list: &mut Vec<Pattern>) -> Option<()> {
    let all = value.split(',').filter(|it| !it.trim().is_empty());
    *list = all.map(|it| it.parse().ok()).collect::<Option<_>>()?;
    Some(())
}

fn words(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn service(purpose: &'static str, uri: &str, rules: &mut RoomRules) -> Option<()> {
    let is_uri = uri.contains(':') && !uri.contains(char::is_whitespace);
    let services = &mut rules.about.services;
    is_uri.then(|| services.push((purpose.into(), uri.to_owned())))
}

fn yes(value: &str, flag: &mut bool) -> Option<()> {
    one_of(&[("yes", true), ("no", false)], value, flag)
}

fn one_of<T: Copy>(choices: &[(&str, T)], value: &str, choice: &mut T) -> Option<()> {
    let (_, chosen) = choices.iter().find(|(name, _)| *name == value)?;
    *choice = *chosen;
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Map;

    use super::*;

    /// Of these every option takes one that is not its default.
    const EXAMPLES: [&str; 8] = [
        "no",
        "yes",
        "one",
        "7",
        "empty",
        "participants",
        "moderators",
        "http://h",
    ];

    /// A rule that no option sets is found here, and an option that sets none.
    #[test]
    fn every_rule_has_an_option_and_every_option_sets_a_rule() {
        let rules = |options: &str| {
            let entry = room(&format!("sip:a@h{options}")).ok()?;
            serde_json::to_value(entry.rules).ok()
        };
        let default = rules("").expect("a room");
        let names: BTreeSet<String> = default
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .cloned()
            .collect();
        let mut set = BTreeSet::from(["roles".to_owned()]); // Management gives these.
        for (option, ..) in OPTIONS {
            let mut examples = EXAMPLES
                .iter()
                .filter_map(|it| rules(&format!(";{option}={it}")));
            let changed = examples.find_map(|now| names.iter().find(|it| default[*it] != now[*it]));
            set.insert(
                changed
                    .unwrap_or_else(|| panic!("{option} sets nothing"))
                    .clone(),
            );
        }
        assert_eq!(set, names);
    }
}
