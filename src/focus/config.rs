//! What the operator decided, already validated (`crate::parameters`).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::{Listen, RoomUri, UserUri};
use crate::time::Moment;
use crate::wire::sip::{Uri, canonical_user, without_separators};

/// What `a=path` names instead of the SIP socket's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// Literal IP (IPv6 in brackets) or host name.
    pub host: String,
    /// Port instead of the listener's.
    pub port: Option<u16>,
}

/// A `room` or `factory` modparam, or a room that management made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoomEntry {
    /// Canonical URI.
    pub uri: RoomUri,
    /// Its options.
    pub rules: RoomRules,
    /// When management made it, to the millisecond; none for what is configured.
    #[serde(default)]
    pub made: Option<Moment>,
}

/// The rules of a room: its options, and the roles that management gave. The database keeps them
/// as they are here; an option that a row does not name has its default.
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
    /// Who moderates.
    pub moderators: Vec<Pattern>,
    /// Who only reads.
    pub observers: Vec<Pattern>,
    /// Roles that management gave, before what the lists say.
    pub roles: Vec<(UserUri, Role)>,
    /// Who may come in; everybody when empty.
    pub allow: Vec<Pattern>,
    /// Who may not, whatever `allow` says.
    pub deny: Vec<Pattern>,
    /// Starts locked: only moderators come in.
    pub locked: bool,
    /// A user's new device replaces the old one.
    pub one_device: bool,
    /// Only moderators may add somebody.
    pub only_moderators_invite: bool,
    /// When its conference ends.
    pub lifetime: Lifetime,
    /// Only MSRP over TLS is taken (RFC 7701 §4.1).
    pub only_tls: bool,
    /// Clients that offer text/plain and no message/cpim are let in.
    pub plain_text: bool,
    /// How many of its last messages a newcomer is given; none: 0.
    pub history: u16,
    /// What subscribers are told about it.
    pub about: About,
}

/// What is said about a room to whoever watches it (RFC 4575 §5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Its name; the address when absent.
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

/// The focus' configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// MSRP listeners; of those a peer can come to, the first of a transport is put into SDP.
    /// None: those that the switch tells of.
    pub listen: Vec<Listen>,
    /// Address put into SDP.
    pub advertise: Option<Advertise>,
    /// Rooms that always exist.
    pub rooms: Vec<RoomEntry>,
    /// Conference factories (RFC 4579 §5.4): each INVITE makes a new room with these rules.
    pub factories: Vec<RoomEntry>,
    /// Whether an INVITE may create an unknown room.
    pub adhoc: bool,
    /// Most conferences at a time; more: 503.
    pub max_conferences: usize,
    /// Most participants a room; more: 486.
    pub max_participants: usize,
    /// Most entries of a list in an INVITE; more: 403.
    pub max_list_size: usize,
    /// How the parties on such a list are invited.
    pub invite_mode: InviteMode,
    /// What we answer digest challenges with.
    pub credentials: Vec<Credentials>,
    /// Largest message in octets.
    pub max_message_size: u64,
    /// From the 200 to the MSRP bind.
    pub bind_timeout: Duration,
    /// From the loss of a connection to the BYE.
    pub rejoin_grace: Duration,
    /// Session interval we ask for (RFC 4028).
    pub session_expires: Duration,
    /// Shortest session interval we accept.
    pub min_se: Duration,
    /// Default and longest subscription.
    pub subscription_expires: Duration,
    /// Shortest time between two NOTIFYs to one subscriber.
    pub notify_interval: Duration,
    /// Octets of the host's memory that NOTIFYs may take at a time.
    pub notify_memory: usize,
    /// Rooms with more participants list moderators only.
    pub roster_limit: usize,
    /// Up to so many users in a room, subscribers who have not shown that they merge partial
    /// documents get full ones.
    pub full_notify_limit: usize,
    /// Subscribers whose User-Agent this matches get full documents only.
    pub full_notify_agents: Option<String>,
    /// Endpoints whose User-Agent this matches take a message in one SEND only.
    pub one_send_agents: Option<String>,
    /// Server/User-Agent header value.
    pub software: String,
}

/// What somebody is in a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads only (`a=recvonly` seen from it).
    #[serde(alias = "Observer")]
    Observer,
    /// Talks.
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

/// When a conference ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lifetime {
    /// Never: the room outlives its participants.
    #[serde(rename = "never")]
    Forever,
    /// With its last participant.
    #[serde(rename = "empty")]
    WhileOccupied,
    /// When its creator leaves (RFC 4579 §5.12), or everybody.
    #[serde(rename = "creator")]
    WhileCreatorStays,
}

/// Addresses of record, with `*` for any run of characters; canonical as users are, so that
/// nobody gets past one by another spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// How the focus invites (modparam `invite_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteMode {
    /// REFER to the party, which then dials in.
    Refer,
    /// INVITE to the party.
    DialOut,
}

/// What the focus answers a challenge with (modparam `credential`).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Only for this realm; for any when absent.
    pub realm: Option<String>,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
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
