//! The connections of one thread, with their only owner.

use std::collections::VecDeque;

use crate::switch::ids::{ConnectionId, SessionKey, Table};
use crate::switch::line::connection::Connection;

/// Every connection, and the actions for the driver.
#[derive(Debug, Default)]
pub(in crate::switch) struct Connections {
    table: Table<ConnectionId, Connection>,
    /// Connections with output.
    ready: VecDeque<ConnectionId>,
    /// Connections to close at once.
    pub(in crate::switch) closes: VecDeque<ConnectionId>,
    /// Connections that may be read again.
    pub(in crate::switch) resumes: VecDeque<ConnectionId>,
}

impl Connections {
    pub(in crate::switch) fn insert(&mut self, connection: Connection) -> ConnectionId {
        self.table.insert(connection)
    }

    pub(in crate::switch) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.table.get(id)
    }

    pub(in crate::switch) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.table.get_mut(id)
    }

    pub(in crate::switch) fn remove(&mut self, id: ConnectionId) {
        self.table.remove(id);
    }

    /// Adds a session to a connection.
    pub(in crate::switch) fn attach(&mut self, id: ConnectionId, key: SessionKey) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.bound = true;
            connection.close_by = None;
            connection.sessions.push(key);
        }
    }

    /// Marks a connection as dirty; `false` if it was already, or is gone.
    pub(in crate::switch) fn mark(&mut self, id: ConnectionId) -> bool {
        let connection = self.table.get_mut(id);
        connection.is_some_and(|it| !std::mem::replace(&mut it.dirty, true))
    }

    /// A connection has something to write.
    pub(in crate::switch) fn mark_dirty(&mut self, id: ConnectionId) {
        if self.mark(id) {
            self.ready.push_back(id);
        }
    }

    /// Every connection may have something to write.
    pub(in crate::switch) fn mark_all_dirty(&mut self) {
        self.ready = self.table.keys().into();
        for connection in self.table.iter_mut() {
            connection.dirty = true;
        }
    }

    /// The next one that was marked as dirty.
    pub(in crate::switch) fn next_ready(&mut self) -> Option<ConnectionId> {
        self.ready.pop_front()
    }

    /// Writes a response or report.
    pub(in crate::switch) fn reply(&mut self, id: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(connection) = self.table.get_mut(id) {
            write(&mut connection.replies);
            self.mark_dirty(id);
        }
    }

    /// Adds a reason not to read a connection.
    pub(in crate::switch) fn pause(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.pauses += 1;
        }
    }

    /// Removes one such reason.
    pub(in crate::switch) fn resume(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.pauses = connection.pauses.saturating_sub(1);
            if !connection.is_paused() {
                self.resumes.push_back(id);
            }
        }
    }

    /// A connection need not wait for a session any more.
    pub(in crate::switch) fn found(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.seeking = false;
            if !connection.is_paused() {
                self.resumes.push_back(id);
            }
        }
    }

    /// Counts octets from the connection that are on their way to other threads.
    pub(in crate::switch) fn charge(&mut self, id: ConnectionId, octets: usize) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.unordered += octets;
        }
    }

    /// Counts such octets as delivered.
    pub(in crate::switch) fn discharge(&mut self, id: ConnectionId, octets: usize) {
        if let Some(connection) = self.table.get_mut(id) {
            let paused = connection.is_paused();
            connection.unordered = connection.unordered.saturating_sub(octets);
            if paused && !connection.is_paused() {
                self.resumes.push_back(id);
            }
        }
    }

    /// Its replies, to be written now.
    pub(in crate::switch) fn take_replies(&mut self, id: ConnectionId) -> Vec<u8> {
        let Some(connection) = self.table.get_mut(id) else {
            return Vec::new();
        };
        let paused = connection.is_paused();
        let replies = std::mem::take(&mut connection.replies);
        if paused && !connection.is_paused() {
            self.resumes.push_back(id);
        }
        replies
    }

    #[cfg(test)]
    pub(in crate::switch) fn keys(&self) -> Vec<ConnectionId> {
        self.table.keys()
    }

    #[cfg(test)]
    pub(in crate::switch) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.table.iter_mut()
    }
}
