//! Who of a room is behind.

use crate::switch::room::Room;

impl Room {
    /// Whether more than so much waits for somebody who is waited for.
    pub(in crate::switch) fn is_behind(&mut self, octets: usize, outbox_bytes: usize) -> bool {
        let step = outbox_bytes as u64 / 16;
        if self.waiting_abroad() > octets {
            return true;
        }
        if self.log.octets() <= octets {
            return false;
        }
        if self.held.stragglers == 0 {
            return true;
        }
        // To look at everybody for every message would be dear.
        let pushed = self.log.pushed();
        if self.held.speakers.is_empty() {
            if pushed < self.held.look_from {
                return false;
            }
            self.held.look_from = pushed + step;
        }
        self.slowest() > octets as u64
    }

    /// Octets that wait for the slowest here who is waited for.
    pub(in crate::switch) fn slowest(&self) -> u64 {
        let waited_for = self.members_here().filter(|session| !session.straggles);
        let waiting = waited_for.map(|session| self.log.waiting(session.position));
        waiting.max().unwrap_or(0)
    }

    /// Nobody waits any more for those for whom more than so much waits.
    pub(in crate::switch) fn leave_behind(&mut self, octets: u64) {
        for key in self.members.here() {
            if let Some(session) = self.sessions.get_mut(key.seat)
                && !session.straggles
                && self.log.waiting(session.position) > octets
            {
                session.straggles = true;
                self.held.stragglers += 1;
            }
        }
    }
}
