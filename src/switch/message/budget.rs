//! The memory that incomplete messages take on a thread, and the sessions charged for it.

use std::collections::HashMap;

use crate::switch::ids::ConnectionId;

/// Limit of octets of incomplete messages in one instance: about a dozen of the largest messages,
/// whatever the number of sessions.
const LEAST_SIZE: usize = 128 * 1024 * 1024;
/// The same limit as a multiple of an outbox.
const OUTBOXES: usize = 16;
/// Divisor for the limit of one connection, which may be a gateway's.
const CONNECTION_PART: usize = 4;
/// Divisor for the limit of one session: more than a message of any allowed size needs.
const SESSION_PART: usize = 8;
/// Divisor for the part that is freed at once when the budget is full, so that freeing is rare.
const FREED_PART: usize = 16;

/// Octets of incomplete messages, by connection.
#[derive(Debug)]
pub(in crate::switch) struct Budget {
    size: usize,
    octets: usize,
    shares: HashMap<ConnectionId, usize>,
}

/// One session's share of the budget.
#[derive(Debug, Default)]
pub(in crate::switch) struct Charge {
    octets: usize,
    on: ConnectionId,
}

impl Charge {
    /// Octets of this session.
    pub(in crate::switch) fn octets(&self) -> usize {
        self.octets
    }
}

impl Budget {
    /// A budget for outboxes of this size, in octets.
    pub(in crate::switch) fn new(outbox_bytes: usize) -> Self {
        Self::of(LEAST_SIZE.max(OUTBOXES.saturating_mul(outbox_bytes)))
    }

    /// A budget of this many octets.
    pub(in crate::switch) fn of(size: usize) -> Self {
        Self {
            size,
            octets: 0,
            shares: HashMap::new(),
        }
    }

    /// Octets of all.
    #[cfg(test)]
    pub(in crate::switch) fn octets(&self) -> usize {
        self.octets
    }

    /// Limit of one session, in octets.
    pub(in crate::switch) fn session_limit(&self) -> usize {
        self.size / SESSION_PART
    }

    /// Limit of one connection, in octets.
    pub(in crate::switch) fn connection_limit(&self) -> usize {
        self.size / CONNECTION_PART
    }

    /// Octets that came on one connection.
    pub(in crate::switch) fn share(&self, on: ConnectionId) -> usize {
        self.shares.get(&on).copied().unwrap_or(0)
    }

    /// Whether the budget is exceeded.
    pub(in crate::switch) fn is_full(&self) -> bool {
        self.octets > self.size
    }

    /// The connection that holds the most, and the fair share: that of each if all held the same.
    /// `None` while the budget is not exceeded.
    pub(in crate::switch) fn greediest(&self) -> Option<(ConnectionId, usize)> {
        let target = self.size - self.size / FREED_PART;
        if self.octets <= target {
            return None;
        }
        let most = self.shares.iter().max_by_key(|(_, octets)| **octets);
        most.map(|(on, _)| (*on, target / self.shares.len()))
    }

    /// Sets the octets that a session on this connection holds.
    pub(in crate::switch) fn charge(
        &mut self,
        charge: &mut Charge,
        on: Option<ConnectionId>,
        octets: usize,
    ) {
        if charge.octets > 0 {
            self.octets -= charge.octets;
            let share = self.share(charge.on) - charge.octets;
            match share {
                0 => self.shares.remove(&charge.on),
                _ => self.shares.insert(charge.on, share),
            };
        }
        *charge = Charge {
            octets,
            on: on.unwrap_or_default(),
        };
        if octets > 0 {
            self.octets += octets;
            *self.shares.entry(charge.on).or_default() += octets;
        }
    }
}
