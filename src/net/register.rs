//! Maps each session to its switch thread. The acceptor reads it to place connections; threads read
//! it for connections that carry sessions of several threads.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::control::SessionId;
use crate::switch::{Thread, Threads};

/// The sessions of all threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Register {
    sessions: Arc<RwLock<HashMap<SessionId, Place>>>,
}

/// Where a session is.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The thread that has its room.
    owner: Thread,
    /// The thread for its connection, unless that connection has sessions on another thread.
    connection: Thread,
}

impl Register {
    pub(super) fn insert(&self, session: SessionId, owner: Thread) {
        let mut sessions = self
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // A session that is admitted again stays where it is.
        let connection = owner;
        sessions
            .entry(session)
            .or_insert(Place { owner, connection });
    }

    /// The thread for a connection whose first request names this session.
    pub(super) fn thread(&self, session: &str) -> Option<Thread> {
        self.find(session).map(|place| place.connection)
    }

    fn find(&self, session: &str) -> Option<Place> {
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        sessions.get(session).copied()
    }
}

/// The register as one thread sees it.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) register: Register,
    pub(super) own: Thread,
    pub(super) count: u16,
}

impl Threads for View {
    fn own(&self) -> Thread {
        self.own
    }

    fn count(&self) -> u16 {
        self.count
    }

    fn owner(&self, session: &str) -> Option<Thread> {
        self.register.find(session).map(|place| place.owner)
    }

    fn place(&self, session: &SessionId, on: Thread) {
        let sessions = &self.register.sessions;
        let mut sessions = sessions.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = sessions.get_mut(session) {
            place.connection = on;
        }
    }

    fn forget(&self, session: &SessionId) {
        let sessions = &self.register.sessions;
        let mut sessions = sessions.write().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(session);
    }
}
