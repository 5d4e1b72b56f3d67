//! What messages that are not whole cost the thread that holds them, and who pays for it.

use std::collections::HashMap;

use crate::switch::ids::ConnectionId;

/// Octets of unfinished messages in one instance: a dozen of the largest messages at a time,
/// whatever the number of sessions.
const LEAST_SIZE: usize = 128 * 1024 * 1024;
/// The same as a multiple of what may wait for one receiver.
const OUTBOXES: usize = 16;
/// One connection, which may be a gateway's, holds at most this part of it.
const CONNECTION_PART: usize = 4;
/// One session holds at most this part: more than a message of any allowed size needs.
const SESSION_PART: usize = 8;
/// Once it is full, this part is freed at once, so that it is not done for every chunk.
const FREED_PART: usize = 16;

/// Octets of messages that are not whole yet, by the connection they come on.
#[derive(Debug)]
pub(in crate::switch) struct Budget {
    size: usize,
    octets: usize,
    shares: HashMap<ConnectionId, usize>,
}

/// What one session has in the budget.
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
    /// With room for messages to receivers for whom so much may wait.
    pub(in crate::switch) fn new(outbox_bytes: usize) -> Self {
        Self::of(LEAST_SIZE.max(OUTBOXES.saturating_mul(outbox_bytes)))
    }

    /// With room for so many octets.
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

    /// Most octets of one session.
    pub(in crate::switch) fn session_limit(&self) -> usize {
        self.size / SESSION_PART
    }

    /// Most octets of one connection.
    pub(in crate::switch) fn connection_limit(&self) -> usize {
        self.size / CONNECTION_PART
    }

    /// Octets that came on one connection.
    pub(in crate::switch) fn share(&self, on: ConnectionId) -> usize {
        self.shares.get(&on).copied().unwrap_or(0)
    }

    /// More is held than there is room for.
    pub(in crate::switch) fn is_full(&self) -> bool {
        self.octets > self.size
    }

    /// The connection that holds the most, and the share that would be just: that of each if
    /// all held the same. `None` while there is room.
    pub(in crate::switch) fn greediest(&self) -> Option<(ConnectionId, usize)> {
        let target = self.size - self.size / FREED_PART;
        if self.octets <= target {
            return None;
        }
        let most = self.shares.iter().max_by_key(|(_, octets)| **octets);
        most.map(|(on, _)| (*on, target / self.shares.len()))
    }

    /// A session on this connection holds so much from now on.
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
