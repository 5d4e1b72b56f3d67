//! Members of a room on other threads, and the octets queued for them there.

use crate::switch::ids::{SessionKey, Thread};
use crate::switch::room::Room;
use crate::switch::room::replica::Replica;

impl Room {
    /// A member lives on another thread from now on.
    pub(in crate::switch) fn add_abroad(&mut self, thread: Thread) {
        match self.replicas.iter_mut().find(|it| it.thread == thread) {
            Some(replica) => replica.members += 1,
            None => self.replicas.push(Replica {
                thread,
                members: 1,
                waiting: 0,
            }),
        }
    }

    pub(in crate::switch) fn remove_abroad(&mut self, thread: Thread) {
        if let Some(replica) = self.replicas.iter_mut().find(|it| it.thread == thread) {
            replica.members = replica.members.saturating_sub(1);
        }
        self.forget_replicas();
    }

    /// Forgets replicas without members once the octets on their way there are accounted for.
    pub(in crate::switch) fn forget_replicas(&mut self) {
        self.replicas.retain(|it| it.members > 0 || it.waiting > 0);
    }

    /// The other threads that have members of the room.
    pub(in crate::switch) fn abroad(&self) -> impl Iterator<Item = Thread> {
        let replicas = self.replicas.iter().filter(|it| it.members > 0);
        replicas.map(|it| it.thread)
    }

    /// Octets queued for the slowest thread.
    pub(in crate::switch) fn waiting_abroad(&self) -> usize {
        let waiting = self.replicas.iter().map(|it| it.waiting);
        waiting.max().unwrap_or(0)
    }

    /// A member moves to another thread.
    pub(in crate::switch) fn goes_abroad(&mut self, key: SessionKey, to: Thread) {
        let Some(session) = self.sessions.get_mut(key.seat) else {
            return;
        };
        let moved = self.members.leave(session.place, key);
        let place = std::mem::replace(&mut session.place, self.members.enter_abroad(key));
        self.add_abroad(to);
        self.moved(moved, place);
    }

    /// A member leaves another thread; it may be here again.
    pub(in crate::switch) fn comes_home(&mut self, key: SessionKey, from: Thread, here: bool) {
        let Some(session) = self.sessions.get_mut(key.seat) else {
            return;
        };
        let place = session.place;
        let moved = self.members.leave_abroad(place, key);
        if here {
            session.place = self.members.enter(key);
            session.position = self.log.end();
        }
        self.remove_abroad(from);
        self.moved(moved, place);
    }

    /// Octets delivered here that the owner of the room does not know of, once there are `least`;
    /// `waiting` octets are not delivered yet.
    pub(in crate::switch) fn newly_taken(&mut self, waiting: u64, least: usize) -> Option<usize> {
        let passed = self.log.pushed().saturating_sub(waiting);
        let original = self.original.as_mut()?;
        if passed < original.reported + least as u64 {
            return None;
        }
        let octets = passed - std::mem::replace(&mut original.reported, passed);
        Some(usize::try_from(octets).unwrap_or(usize::MAX))
    }
}
