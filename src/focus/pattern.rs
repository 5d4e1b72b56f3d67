//! Patterns of users' addresses.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::control::UserUri;
use crate::wire::sip::{Uri, canonical_user, without_separators};

/// An address of record, with `*` for any run of characters. It is canonical as users' addresses
/// are, so that another spelling does not evade it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Pattern(String);

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `sips:` pattern: users are compared without the difference between `sip:` and `sips:`.
    #[error("a user has the same address with sips: as with sip:; write sip:")]
    Secure,
    /// No address can match it.
    #[error("no address of record (sip:USER@HOST; * stands for any characters)")]
    Malformed,
}

impl FromStr for Pattern {
    type Err = PatternError;

    /// Reads a pattern as the operator wrote it; the default scheme is `sip:`.
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

/// Canonical form: the user part as in users' addresses, the host in lower case. The text behind
/// the last `*` is a host, or ends with one.
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

/// Reads a pattern stored by an earlier release, which may not be canonical.
impl From<String> for Pattern {
    fn from(text: String) -> Self {
        let canonical = text.parse();
        let canonical = canonical.or_else(|_| text.replacen("sips:", "sip:", 1).parse());
        canonical.unwrap_or(Self(text))
    }
}

impl Pattern {
    /// A pattern from valid text.
    #[cfg(test)]
    pub(crate) fn new(text: &str) -> Self {
        text.parse().expect("a pattern")
    }

    /// The pattern, with its scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a user matches.
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
