//! A value in the host's configuration, and the errors of one.

use std::fmt;

/// A value as the host read it from its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// In quotes.
    Text(String),
    /// Without quotes.
    Number(i64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => number.fmt(f),
        }
    }
}

/// A parameter with a value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name}: {value:?} is not allowed (allowed: {allowed})")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// The operator's text.
    pub value: String,
    /// The allowed values.
    pub allowed: String,
}

/// Why a text is not a valid value of its parameter, as far as the table does not say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The wrong part; `None`: all of it.
    pub(super) part: Option<String>,
    /// The allowed values of that part; `None`: those of the table.
    pub(super) allowed: Option<String>,
}

impl Wrong {
    /// The value is wrong, and the table says what is allowed.
    pub(super) fn value() -> Self {
        Self::default()
    }

    /// A part of the value is wrong.
    pub(super) fn part(part: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self {
            part: Some(part.into()),
            allowed: Some(allowed.into()),
        }
    }
}
