//! The rules of rooms, and the options of a `room` entry that set them, with their syntax and their
//! texts for error messages and `docs/parameters.md`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use crate::control::{HISTORY_MESSAGES, RoomUri, UserUri};
use crate::time::Moment;

/// A `room` or `factory` modparam, or a room made by management.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoomEntry {
    /// Canonical URI.
    pub uri: RoomUri,
    /// Its options.
    pub rules: RoomRules,
    /// When management made it, to the millisecond; `None` for a configured room.
    #[serde(default)]
    pub made: Option<Moment>,
}

/// The rules of a room: its options, and the roles given by management. The database stores them in
/// this form; an option missing from a row has its default.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomRules {
    /// Largest number of participants; `max_participants` when absent.
    pub max_participants: Option<usize>,
    /// Nicknames allowed.
    pub nicknames: bool,
    /// Private messages allowed.
    pub private_messages: bool,
    /// Only participants may subscribe to the conference event package.
    pub subscribe_participants_only: bool,
    /// Moderators.
    pub moderators: Vec<Pattern>,
    /// Users who only read.
    pub observers: Vec<Pattern>,
    /// Roles given by management; they come before the lists.
    pub roles: Vec<(UserUri, Role)>,
    /// Users who may come in; everybody when empty.
    pub allow: Vec<Pattern>,
    /// Users who may not come in, even if `allow` lists them.
    pub deny: Vec<Pattern>,
    /// Starts locked: only moderators come in.
    pub locked: bool,
    /// A user's new device replaces the old one.
    pub one_device: bool,
    /// Only moderators may invite.
    pub only_moderators_invite: bool,
    /// When its conference ends.
    pub lifetime: Lifetime,
    /// Only MSRP over TLS is accepted (RFC 7701 §4.1).
    pub only_tls: bool,
    /// Clients that offer text/plain without message/cpim are admitted.
    pub plain_text: bool,
    /// Number of past messages sent to a newcomer; 0 for none.
    pub history: u16,
    /// Its description for subscribers.
    pub about: About,
}

/// The description of a room for its subscribers (RFC 4575 §5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Its name; the room's address when absent.
    pub name: Option<String>,
    /// Its subject.
    pub subject: Option<String>,
    /// `web-page`, `recording`, `event` and their URIs (§5.3.2).
    pub services: Vec<(Cow<'static, str>, String)>,
}

impl RoomEntry {
    /// A room with the defaults.
    pub fn new(uri: RoomUri) -> Self {
        RoomRules::default().of(uri)
    }
}

impl RoomRules {
    /// A room with these rules.
    pub fn of(self, uri: RoomUri) -> RoomEntry {
        RoomEntry {
            uri,
            rules: self,
            made: None,
        }
    }
}

impl Default for RoomRules {
    fn default() -> Self {
        Self {
            max_participants: None,
            nicknames: true,
            private_messages: true,
            subscribe_participants_only: false,
            moderators: Vec::new(),
            observers: Vec::new(),
            roles: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            locked: false,
            one_device: false,
            only_moderators_invite: false,
            lifetime: Lifetime::Forever,
            only_tls: false,
            plain_text: false,
            history: 0,
            about: About::default(),
        }
    }
}

/// The role of a user in a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads only (`a=recvonly` seen from it).
    #[serde(alias = "Observer")]
    Observer,
    /// Reads and writes.
    #[serde(alias = "Participant")]
    Participant,
    /// May also invite lists, remove, lock.
    #[serde(alias = "Moderator")]
    Moderator,
}

impl Role {
    /// Its name in conference-info and in the script.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Observer, Self::Participant, Self::Moderator]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// The end of a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lifetime {
    /// Never: the room outlives its participants.
    #[serde(rename = "never")]
    Forever,
    /// With its last participant.
    #[serde(rename = "empty")]
    WhileOccupied,
    /// When its creator leaves (RFC 4579 §5.12), or its last participant.
    #[serde(rename = "creator")]
    WhileCreatorStays,
}

/// An option of a room entry.
pub struct RoomOption {
    /// Its name.
    pub name: &'static str,
    /// Allowed values, in words.
    pub allowed: &'static str,
    set: fn(&mut RoomRules, &str) -> Option<()>,
}

impl RoomOption {
    /// Sets the option; `None` for a value that it cannot have.
    pub fn set(&self, rules: &mut RoomRules, value: &str) -> Option<()> {
        (self.set)(rules, value)
    }
}

/// Placeholder for a list of patterns.
pub const PATTERNS: &str = "PATTERN,…";

/// The options: name, allowed values, effect (with the default in brackets), setter.
macro_rules! options {
    ($($name:literal = $allowed:literal, $doc:literal, $set:expr;)*) => {
        /// The options.
        pub const OPTIONS: &[RoomOption] = &[$(RoomOption {
            name: $name,
            allowed: $allowed,
            set: $set,
        }),*];

        /// Syntax of a room entry, in words.
        pub const OPTIONS_ALLOWED: &str = concat!(
            "sip:USER@HOST, then any of",
            $(" ;", $name, "=", $allowed,)*
            " (a PATTERN is an address of record, * stands for any characters)"
        );

        /// Effects of the options, with the defaults in brackets.
        pub const OPTIONS_DOC: &str = concat!(
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

    /// Example values: every option accepts one of them that is not its default.
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

    /// Finds a rule that no option sets, and an option that sets no rule.
    #[test]
    fn every_rule_has_an_option_and_every_option_sets_a_rule() {
        let default = serde_json::to_value(RoomRules::default()).expect("JSON");
        let names: BTreeSet<String> = default
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .cloned()
            .collect();
        let mut set = BTreeSet::from(["roles".to_owned()]); // Management gives these.
        for option in OPTIONS {
            let changed = EXAMPLES.iter().find_map(|value| {
                let mut rules = RoomRules::default();
                option.set(&mut rules, value)?;
                let now = serde_json::to_value(rules).ok()?;
                names.iter().find(|it| default[*it] != now[*it])
            });
            let changed = changed.unwrap_or_else(|| panic!("{} sets nothing", option.name));
            set.insert(changed.clone());
        }
        assert_eq!(set, names);
    }
}
