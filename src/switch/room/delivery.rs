//! Puts messages where their receivers find them.

use std::sync::Arc;

use crate::switch::ids::SessionKey;
use crate::switch::message::entry::Entry;
use crate::switch::room::Room;

impl Room {
    /// Puts a message into the log; returns the members that lost earlier messages, and how many.
    pub(in crate::switch) fn append(
        &mut self,
        entry: Arc<Entry>,
        outbox_bytes: usize,
    ) -> Vec<(SessionKey, u64)> {
        self.log.push(entry, self.members.here().len());
        match self.log.octets() > outbox_bytes {
            true => self.shed(outbox_bytes - outbox_bytes / 4),
            false => Vec::new(),
        }
    }

    /// Members more than an outbox behind lose their oldest messages. A quarter of the outbox is
    /// freed at once, so that this does not happen for every message.
    fn shed(&mut self, keep: usize) -> Vec<(SessionKey, u64)> {
        let from = self.log.position_within(keep);
        let mut losers = Vec::new();
        for &member in self.members.here() {
            if let Some(session) = self.sessions.get_mut(member.seat) {
                let lost = session.skip_to(from, &mut self.log);
                if lost > 0 {
                    losers.push((member, lost));
                }
            }
        }
        self.log.trim();
        losers
    }

    /// Puts a message into a session's own queue; returns how many earlier ones are lost. `None`:
    /// the session does not accept such messages.
    pub(in crate::switch) fn give(
        &mut self,
        key: SessionKey,
        entry: Arc<Entry>,
        outbox_bytes: usize,
    ) -> Option<u64> {
        let session = self.sessions.get_mut(key.seat)?;
        if !session.takes_entry(&entry) {
            return None;
        }
        session.own.push(self.log.end(), entry);
        let mut lost = 0;
        while session.own.octets() > outbox_bytes && session.own.len() > 1 {
            session.own.pop();
            lost += 1;
        }
        Some(lost)
    }
}
