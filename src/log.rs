//! Log lines on their way to the host's log; any thread may write one.

use std::fmt;

/// Severity, as both hosts know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A fault that the operator must fix.
    Error,
    /// An error that was dealt with.
    Warning,
    /// Normal but worth a line: start, stop, configuration.
    Notice,
    /// One line a join, leave, loss.
    Info,
    /// For finding faults.
    Debug,
}

/// One line for the host's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its severity.
    pub level: Level,
    /// The text, without a line end.
    pub text: String,
}

impl Line {
    /// A line of this severity.
    pub fn new(level: Level, text: impl fmt::Display) -> Self {
        Self {
            level,
            text: text.to_string(),
        }
    }
}
