//! Who may do what in a room.

use std::str::FromStr;
use std::sync::Arc;

use super::RoomEntry;
use super::config::About;
use super::refusal::{Refusal, Verdict};
use crate::control::{RoomUri, UserUri};
use crate::wire::sip::{Uri, canonical_user, without_separators};

/// What somebody is in a conference.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Role {
    /// Reads only (`a=recvonly` seen from it).
    Observer,
    /// Talks.
    Participant,
    /// May also invite lists, remove, lock.
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

/// When a conference ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Lifetime {
    /// Never: the room outlives its participants.
    Forever,
    /// With its last participant.
    WhileOccupied,
    /// When its creator leaves (RFC 4579 §5.12), or everybody.
    WhileCreatorStays,
}

/// Addresses of record, with `*` for any run of characters; canonical as users are, so that
/// nobody gets past one by another spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(from = "String")]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Users are compared without the difference between `sip:` and `sips:`.
    #[error("a user has the same address with sips: as with sip:; write sip:")]
    Secure,
    /// It can be nobody's address.
    #[error("no address of record (sip:USER@HOST; * stands for any characters)")]
    Malformed,
}

impl FromStr for Pattern {
    type Err = PatternError;

    /// Reads a pattern as the operator wrote it; without scheme `sip:` is meant.
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        let before_host = text.split('@').next().unwrap_or_default();
        let (scheme, rest) = match before_host.split_once(':') {
            Some((scheme, _)) => (scheme.to_ascii_lowercase(), &text[scheme.len() + 1..]),
            None => (String::new(), text),
        };
        match scheme.as_str() {
            "sips" => Err(PatternError::Secure),
            "" | "sip" | "tel" if !text.contains('*') => {
                let scheme = if scheme.is_empty() { "sip" } else { &scheme };
                let uri: Result<Uri, _> = format!("{scheme}:{rest}").parse();
                uri.map(|uri| Self(uri.address_of_record()))
                    .map_err(|_| PatternError::Malformed)
            }
            "tel" => Ok(Self(format!("tel:{}", without_separators(rest)))),
            "" if rest.starts_with('*') => Ok(Self(canonical_wildcard(rest)?)),
            "" | "sip" => Ok(Self(format!("sip:{}", canonical_wildcard(rest)?))),
            _ => Err(PatternError::Malformed),
        }
    }
}

/// The user part as users have it, the host in lower case; what stands behind the last `*`
/// is, or ends with, a host.
fn canonical_wildcard(text: &str) -> Result<String, PatternError> {
    let (user, host) = match text.split_once('@') {
        Some((user, host)) => (format!("{}@", canonical_user(user)), host),
        None => {
            let end = text.rfind('*').map_or(0, |at| at + 1);
            (canonical_user(&text[..end]), &text[end..])
        }
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._*[]:".contains(c);
    let names_a_port = host.contains(':') && !host.contains('[');
    match host.chars().all(fits) && !names_a_port && !text.contains(char::is_whitespace) {
        true => Ok(user + &host.to_ascii_lowercase()),
        false => Err(PatternError::Malformed),
    }
}

/// As an earlier release kept it: perhaps not canonical.
impl From<String> for Pattern {
    fn from(text: String) -> Self {
        let canonical = text.parse();
        let canonical = canonical.or_else(|_| text.replacen("sips:", "sip:", 1).parse());
        canonical.unwrap_or(Self(text))
    }
}

impl Pattern {
    /// A pattern that is one.
    #[cfg(test)]
    pub(crate) fn new(text: &str) -> Self {
        text.parse().expect("a pattern")
    }

    /// The pattern, with its scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a user fits.
    pub fn matches(&self, user: &UserUri) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts
            .next()
            .and_then(|first| user.as_str().strip_prefix(first))
        else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

/// The rules of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) max_participants: usize,
    pub(super) nicknames: bool,
    pub(super) private_messages: bool,
    pub(super) subscribe_participants_only: bool,
    pub(super) moderators: Vec<Pattern>,
    pub(super) observers: Vec<Pattern>,
    /// Roles the operator gave, before what the lists say.
    pub(super) roles: Vec<(UserUri, Role)>,
    pub(super) allow: Vec<Pattern>,
    pub(super) deny: Vec<Pattern>,
    pub(super) locked: bool,
    pub(super) one_device: bool,
    pub(super) only_moderators_invite: bool,
    pub(super) lifetime: Lifetime,
    pub(super) only_tls: bool,
    pub(super) plain_text: bool,
    /// How many of the last messages a newcomer is given.
    pub(super) history: u16,
    pub(super) about: About,
    /// It is that of a room which management keeps.
    pub(super) kept: bool,
}

impl Policy {
    /// The policy of a configured room or factory.
    pub(super) fn of_entry(entry: &RoomEntry, max_participants: usize) -> Arc<Self> {
        Arc::new(Self {
            max_participants: entry.max_participants.unwrap_or(max_participants),
            nicknames: entry.nicknames,
            private_messages: entry.private_messages,
            subscribe_participants_only: entry.subscribe_participants_only,
            moderators: entry.moderators.clone(),
            observers: entry.observers.clone(),
            roles: entry.roles.clone(),
            allow: entry.allow.clone(),
            deny: entry.deny.clone(),
            locked: entry.locked,
            one_device: entry.one_device,
            only_moderators_invite: entry.only_moderators_invite,
            lifetime: entry.lifetime,
            only_tls: entry.only_tls,
            plain_text: entry.plain_text,
            history: entry.history,
            about: entry.about.clone(),
            kept: false,
        })
    }

    /// The policy of a room that management keeps.
    pub(super) fn of_kept(entry: &RoomEntry, max_participants: usize) -> Arc<Self> {
        let mut policy = Self::of_entry(entry, max_participants);
        Arc::make_mut(&mut policy).kept = true;
        policy
    }

    /// The rules as an entry for a room.
    pub(super) fn entry(&self, uri: RoomUri) -> RoomEntry {
        RoomEntry {
            uri,
            max_participants: Some(self.max_participants),
            nicknames: self.nicknames,
            private_messages: self.private_messages,
            subscribe_participants_only: self.subscribe_participants_only,
            moderators: self.moderators.clone(),
            observers: self.observers.clone(),
            roles: self.roles.clone(),
            allow: self.allow.clone(),
            deny: self.deny.clone(),
            locked: self.locked,
            one_device: self.one_device,
            only_moderators_invite: self.only_moderators_invite,
            lifetime: self.lifetime,
            only_tls: self.only_tls,
            plain_text: self.plain_text,
            history: self.history,
            about: self.about.clone(),
            made: None,
        }
    }

    /// The policy of an ad hoc room.
    pub(super) fn adhoc(room: &RoomUri, max_participants: usize) -> Arc<Self> {
        let entry = RoomEntry {
            lifetime: Lifetime::WhileOccupied,
            ..RoomEntry::new(room.clone())
        };
        Self::of_entry(&entry, max_participants)
    }

    /// The role somebody has by the room's lists.
    pub(super) fn role(&self, user: &UserUri) -> Role {
        let given = self.roles.iter().find(|(known, _)| known == user);
        if let Some((_, role)) = given {
            *role
        } else if any(&self.moderators, user) {
            Role::Moderator
        } else if any(&self.observers, user) {
            Role::Observer
        } else {
            Role::Participant
        }
    }

    /// Whether somebody may come in at all.
    pub(super) fn admits(&self, user: &UserUri) -> Verdict<()> {
        if any(&self.deny, user) {
            return Err(Refusal::new(403).because("not welcome in this room"));
        }
        if !self.allow.is_empty() && !any(&self.allow, user) && !any(&self.moderators, user) {
            return Err(Refusal::new(403).because("not on the list of this room"));
        }
        Ok(())
    }
}

fn any(patterns: &[Pattern], user: &UserUri) -> bool {
    patterns.iter().any(|pattern| pattern.matches(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_addresses() {
        let alice = UserUri::new("sip:alice@example.com");
        for pattern in [
            "sip:alice@example.com",
            "alice@example.com",
            "*@example.com",
            "*",
            "sip:al*@*.com",
            "*alice*",
        ] {
            assert!(Pattern::new(pattern).matches(&alice), "{pattern}");
        }
        for pattern in [
            "sip:alice@example.co",
            "*@example.org",
            "sip:bob*",
            "lice@example.com",
            "sip:a*b*c*d",
        ] {
            assert!(!Pattern::new(pattern).matches(&alice), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_fits_its_user_in_every_spelling() {
        let mallory = UserUri::new("sip:mallory@example.com");
        for pattern in [
            "mallory@Example.COM",
            "SIP:%6Dallory@example.com",
            "*@Example.com",
            "%6Dal*@EXAMPLE.com",
            "sip:mal*.COM",
        ] {
            assert!(Pattern::new(pattern).matches(&mallory), "{pattern}");
        }
        let number = UserUri::new("tel:+12015550123");
        for pattern in ["tel:+1-201-555-0123", "tel:+1-201-*", "*0123"] {
            assert!(Pattern::new(pattern).matches(&number), "{pattern}");
        }
        let refused = |text: &str| text.parse::<Pattern>().expect_err(text);
        assert_eq!(refused("sips:mallory@example.com"), PatternError::Secure);
        assert_eq!(refused("sips:*@example.com"), PatternError::Secure);
        for text in [
            "x:mallory@h",
            "*@example.com:5060",
            "*@ h",
            "http:*",
            "a b@h",
        ] {
            assert_eq!(refused(text), PatternError::Malformed, "{text}");
        }
    }

    #[test]
    fn patterns_that_an_earlier_release_kept_are_canonical_when_they_are_read() {
        for kept in [
            "\"sip:mallory@Example.COM\"",
            "\"sips:mallory@example.com\"",
        ] {
            let pattern: Pattern = serde_json::from_str(kept).expect("a string");
            assert_eq!(pattern, Pattern::new("mallory@example.com"));
        }
    }
}
