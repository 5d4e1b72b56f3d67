//! `Event` (RFC 6665 §8.2.1) and `Privacy` (RFC 3323 §4.2).

use super::grammar::{is_token, one_line, split_outside};
use super::{Headers, Params, ParseError};
use std::fmt;
use std::str::FromStr;

/// `Event: refer;id=93809824`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The package and its templates, as written.
    pub package: String,
    /// The parameters, with `id` among them. Two subscriptions of a dialog differ by package and
    /// id.
    pub params: Params,
}

impl Event {
    /// A package with an optional id: the second REFER of a dialog has its CSeq number there (RFC
    /// 3515 §2.4.6).
    pub fn new(package: &str, id: Option<&str>) -> Self {
        let params = Params::default();
        Event {
            package: package.to_owned(),
            params: match id {
                Some(_) => params.with("id", id),
                None => params,
            },
        }
    }

    /// Its id.
    pub fn id(&self) -> Option<&str> {
        self.params.value("id")
    }

    /// Whether both name the same subscription, by package and id (RFC 6665 §8.2.1).
    pub fn is_same(&self, other: &Event) -> bool {
        self.package == other.package && self.id() == other.id()
    }
}

impl FromStr for Event {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (package, params) = text.split_once(';').unwrap_or((text, ""));
        let package = package.trim();
        if !is_token(package) {
            return Err(ParseError::Header);
        }
        Ok(Event {
            package: package.to_owned(),
            params: Params::parse(params),
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&format!("{}{}", self.package, self.params)))
    }
}

/// The privacy that a caller requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privacy(Vec<String>);

impl Privacy {
    /// Reads the Privacy header fields of a request.
    pub fn of(headers: &Headers) -> Self {
        let values = headers.all("Privacy").flat_map(|line| {
            // The grammar uses semicolons; some clients write commas.
            split_outside(line, b';').flat_map(|value| value.split(','))
        });
        let values = values.map(str::trim).filter(|value| is_token(value));
        let mut privacy = Privacy(values.map(str::to_ascii_lowercase).collect());
        privacy.0.sort_unstable();
        privacy.0.dedup();
        privacy
    }

    /// Whether this value is requested; `none` overrides all others (RFC 3323 §4.2).
    pub fn asks_for(&self, value: &str) -> bool {
        let named = |value: &str| self.0.iter().any(|v| v.eq_ignore_ascii_case(value));
        match value {
            "none" => named("none"),
            value => named(value) && !named("none"),
        }
    }

    /// Whether the caller's identity must be hidden: `id` (RFC 3325 §9.3) or `user`.
    pub fn hides_identity(&self) -> bool {
        self.asks_for("id") || self.asks_for("user")
    }
}

impl fmt::Display for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(";"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f14_events_have_ids() {
        let read: Event = " refer ; ID=93809824 ".parse().unwrap();
        assert_eq!(
            (read.package.as_str(), read.id()),
            ("refer", Some("93809824"))
        );
        assert!(read.is_same(&Event::new("refer", Some("93809824"))));
        assert!(!read.is_same(&Event::new("refer", None)));
        assert!(!read.is_same(&Event::new("conference", Some("93809824"))));
        assert_eq!(Event::new("refer", Some("2")).to_string(), "refer;id=2");
        assert_eq!(Event::new("refer", None).to_string(), "refer");
        for text in ["", ";id=1", "a b", "a,b"] {
            assert!(text.parse::<Event>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn f11_privacy_is_a_set() {
        let of = |value: &str| Privacy::of(&Headers::new().with("Privacy", value));
        assert!(of("id").hides_identity() && of("header; USER").hides_identity());
        assert!(!of("header").hides_identity() && !of("").hides_identity());
        assert!(of("id,critical").asks_for("critical"));
        assert!(!of("none;id").hides_identity() && of("id;none").asks_for("none"));
        assert_eq!(of("id ; history;id").to_string(), "history;id");
        assert!(!Privacy::of(&Headers::new()).hides_identity());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[a-z;=,\"<é ]{0,20}") {
            let _ = Privacy::of(&Headers::new().with("Privacy", text.clone())).to_string();
            if let Ok(read) = text.parse::<Event>() {
                prop_assert!(read.to_string().parse::<Event>().unwrap().is_same(&read));
            }
        }
    }
}
