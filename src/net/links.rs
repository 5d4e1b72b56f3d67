//! Connections that carry sessions of several threads: the thread that owns the socket passes
//! octets on, the others write through it, and each side waits until the other has caught up.

use super::carrier::{Carrier, Link};
use super::driver::Driver;
use super::mailbox::Letter;
use crate::switch::{ConnectionId, Owner, Security};

/// Octets that may be on their way to another thread for one connection: more is neither
/// read nor written until it has caught up.
pub(super) const LINK_WINDOW: usize = 256 * 1024;

impl Driver {
    pub(super) fn link(
        &mut self,
        origin: Owner,
        connection: ConnectionId,
        security: Security,
        octets: Vec<u8>,
    ) {
        let id = match self.links.get(&(origin, connection)) {
            Some(&id) => id,
            None => {
                let id = self.parts.switch.opened_over(self.now, security);
                self.parts.switch.share(id);
                self.links.insert((origin, connection), id);
                self.place(id, Carrier::Link(Link::new(id, origin, connection)));
                id
            }
        };
        if let Some(link) = self.link_of(id) {
            link.unacknowledged += octets.len();
            link.waiting.push_back(octets);
        }
        self.catch_up(id);
    }

    /// Octets of another thread's connection are dealt with, and its reading goes on, unless
    /// their sender must wait for receivers here.
    pub(super) fn catch_up(&mut self, id: ConnectionId) {
        loop {
            if self.parts.switch.paused(id) {
                return;
            }
            // What is there is written first: a fast reader must lose nothing.
            if self.parts.switch.pressed() {
                return self.behind.push(id);
            }
            let next = self.link_of(id).and_then(|link| link.waiting.pop_front());
            let Some(octets) = next else { break };
            let now = self.now;
            self.guard(Some(id), |switch| switch.received(now, id, &octets));
        }
        let Some(link) = self.link_of(id) else {
            return;
        };
        let octets = std::mem::take(&mut link.unacknowledged);
        let (origin, connection) = (link.origin, link.connection);
        if octets > 0 {
            self.send(origin, Letter::Taken { connection, octets });
        }
    }

    /// Another thread writes to a connection here; it learns when that is written.
    pub(super) fn reply(&mut self, owner: Owner, connection: ConnectionId, octets: &[u8]) {
        self.parts.switch.link(connection, octets);
        let octets = octets.len();
        match self.socket(connection) {
            Some(socket) => socket.unwritten.push((owner, octets)),
            None => self.tell_written(owner, connection, octets),
        }
    }

    pub(super) fn tell_written(&self, owner: Owner, connection: ConnectionId, octets: usize) {
        let origin = Owner(self.parts.number);
        let letter = Letter::Written {
            origin,
            connection,
            octets,
        };
        self.send(owner, letter);
    }

    /// Everything for a connection is written: so is what other threads had for it.
    pub(super) fn all_written(&mut self, id: ConnectionId) {
        let Some(socket) = self.socket(id) else {
            return;
        };
        for (owner, octets) in std::mem::take(&mut socket.unwritten) {
            self.tell_written(owner, id, octets);
        }
    }

    /// What was sent to another thread's connection is written there.
    pub(super) fn written(&mut self, origin: Owner, connection: ConnectionId, octets: usize) {
        let id = self.links.get(&(origin, connection)).copied();
        let Some(link) = id.and_then(|id| self.link_of(id)) else {
            return;
        };
        link.unwritten = link.unwritten.saturating_sub(octets);
        let (id, free) = (link.id, link.unwritten <= LINK_WINDOW);
        if free {
            self.parts.switch.blocked(self.now, id, false);
        }
    }

    pub(super) fn link_of(&mut self, id: ConnectionId) -> Option<&mut Link> {
        match self.carriers.get_mut(id.index()) {
            Some(Some(Carrier::Link(link))) if link.id == id => Some(link),
            _ => None,
        }
    }

    /// Another thread has caught up: reading goes on where it paused.
    pub(super) fn taken(&mut self, id: ConnectionId, octets: usize) {
        if let Some(socket) = self.socket(id) {
            socket.linked = socket.linked.saturating_sub(octets);
            socket.waker.wake_by_ref();
        }
    }

    /// Whether another thread's connection has more than enough from here for now.
    pub(super) fn link_is_full(&mut self, id: ConnectionId) -> bool {
        let full = self
            .link_of(id)
            .is_some_and(|link| link.unwritten > LINK_WINDOW);
        if full {
            self.parts.switch.blocked(self.now, id, true);
        }
        full
    }
}
