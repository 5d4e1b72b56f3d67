//! Which switch thread has which session: read by the acceptor, and by threads for
//! connections that carry sessions of several.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::control::SessionId;
use crate::switch::{Directory, Owner};

/// The sessions of all threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Register {
    threads: Arc<RwLock<HashMap<SessionId, usize>>>,
}

impl Register {
    pub(super) fn insert(&self, session: SessionId, thread: usize) {
        let mut threads = self.threads.write().unwrap_or_else(PoisonError::into_inner);
        threads.insert(session, thread);
    }

    pub(super) fn thread(&self, session: &str) -> Option<usize> {
        let threads = self.threads.read().unwrap_or_else(PoisonError::into_inner);
        threads.get(session).copied()
    }

    fn remove(&self, session: &SessionId) {
        let mut threads = self.threads.write().unwrap_or_else(PoisonError::into_inner);
        threads.remove(session);
    }
}

/// The register as one thread sees it: only the others are elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Others {
    pub(super) register: Register,
    pub(super) own: usize,
}

impl Directory for Others {
    fn owner(&self, session: &str) -> Option<Owner> {
        let thread = self.register.thread(session)?;
        (thread != self.own).then_some(Owner(thread))
    }

    fn forget(&self, session: &SessionId) {
        self.register.remove(session);
    }
}
