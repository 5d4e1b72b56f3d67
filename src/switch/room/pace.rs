//! Members of a room that are behind.

use crate::switch::room::Room;

impl Room {
    /// Whether more than this many octets are queued for a member that speakers wait for.
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
        // Checking every member for every message would be too expensive.
        let pushed = self.log.pushed();
        if self.held.speakers.is_empty() {
            if pushed < self.held.look_from {
                return false;
            }
            self.held.look_from = pushed + step;
        }
        self.slowest() > octets as u64
    }

    /// Octets queued for the slowest member here that speakers wait for.
    pub(in crate::switch) fn slowest(&self) -> u64 {
        let waited_for = self.members_here().filter(|session| !session.straggles);
        let waiting = waited_for.map(|session| self.log.waiting(session.position));
        waiting.max().unwrap_or(0)
    }

    /// Stops waiting for members with more than this many octets queued.
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
