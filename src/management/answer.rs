//! Answers and faults, before a host's interface gives them its form.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Longest error text, in octets. Kamailio's binrpc drops the whole answer when it is longer, so
/// that kamcmd prints nothing; its JSON-RPC cuts it at 127.
pub const MAX_FAULT: usize = 119;

/// Why a command was not carried out: a code as in SIP and HTTP, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code} {text}")]
pub struct Fault {
    /// 400, 404, 409, 500, 503, 504.
    pub code: u16,
    /// The error text.
    pub text: String,
}

impl Fault {
    /// A fault; its text is cut at [`MAX_FAULT`] octets.
    pub fn new(code: u16, text: impl std::fmt::Display) -> Self {
        Self {
            code,
            text: shortened(&text.to_string(), MAX_FAULT),
        }
    }
}

/// A text of at most `most` octets; a longer one ends with an ellipsis.
pub(super) fn shortened(text: &str, most: usize) -> String {
    const MORE: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let mut ends = (0..=most.saturating_sub(MORE.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    format!("{}{MORE}", &text[..end.unwrap_or_default()])
}

/// The outcome of a command.
pub type Answer = Result<Value, Fault>;

/// The values that JSON-RPC and binrpc have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// No value: unknown, or not set.
    Null,
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// Several of the same kind.
    List(Vec<Value>),
    /// Named values, in the order in which they are shown.
    Record(Vec<(Cow<'static, str>, Value)>),
}

impl Value {
    /// A record of these fields.
    pub fn record<const N: usize>(fields: [(&'static str, Value); N]) -> Self {
        let fields = fields.into_iter();
        Self::Record(fields.map(|(name, value)| (name.into(), value)).collect())
    }

    /// The field of a record.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Record(fields) => fields
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
