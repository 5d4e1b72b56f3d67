//! What the operator decided.

use std::time::Duration;

/// How long a peer that owes something may be silent.
pub const SILENCE: Duration = Duration::from_secs(100);

/// Settings of the switch: what the operator decides, and one bound of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most octets that may wait for one receiver.
    pub outbox_bytes: usize,
    /// Longest pause between two chunks of a message (RFC 7701 §6.1).
    pub chunk_timeout: Duration,
    /// Messages up to so many octets are delivered as one SEND, even if they came in chunks;
    /// larger ones are passed on while they come in.
    pub forward_whole_below: usize,
    /// What becomes of who does not take what waits for him (RFC 7701 §6.4).
    pub slow_reader: SlowReader,
    /// Nicknames that look like one in use are refused (UTS 39).
    pub nickname_confusables: bool,
    /// A connection silent for so long is gone; zero: nobody looks.
    pub idle_timeout: Duration,
    /// Most sessions of one thread; more are refused as full. No parameter sets it: a peer
    /// cannot make the switch grow without end.
    pub max_sessions: usize,
}

/// What becomes of a receiver for whom more waits than an outbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowReader {
    /// He loses messages and is told so.
    #[default]
    Drop,
    /// He loses his connection.
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
