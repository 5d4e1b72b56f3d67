//! The operator's configuration of the switch.

use std::time::Duration;

/// How long a peer may be silent while the switch waits for it.
pub const SILENCE: Duration = Duration::from_secs(100);

/// Settings of the switch: the operator's, and one limit of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Limit of octets queued for one receiver.
    pub outbox_bytes: usize,
    /// Longest pause between two chunks of a message (RFC 7701 §6.1).
    pub chunk_timeout: Duration,
    /// Messages up to this many octets are delivered as one SEND, even if they came in chunks;
    /// larger ones are passed on while they arrive.
    pub forward_whole_below: usize,
    /// The treatment of a receiver that does not keep up (RFC 7701 §6.4).
    pub slow_reader: SlowReader,
    /// Refuse nicknames that look like one in use (UTS 39).
    pub nickname_confusables: bool,
    /// A connection silent for this long counts as lost; zero disables the check.
    pub idle_timeout: Duration,
    /// Limit of sessions of one thread; further ones are refused as full. No parameter sets it: it
    /// keeps peers from growing the switch without end.
    pub max_sessions: usize,
}

/// The treatment of a receiver whose queue exceeds an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowReader {
    /// The receiver loses messages and gets a notice of that.
    #[default]
    Drop,
    /// The receiver loses the connection.
    Disconnect,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            outbox_bytes: 1 << 20,
            chunk_timeout: Duration::from_secs(540),
            forward_whole_below: 64 * 1024,
            slow_reader: SlowReader::Drop,
            nickname_confusables: false,
            idle_timeout: Duration::ZERO,
            max_sessions: 1_000_000,
        }
    }
}
