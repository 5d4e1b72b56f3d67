//! The connections a switch thread makes: one for many sessions where the peer is the same.

use std::sync::Arc;

use super::dial::{DialError, Target};
use super::driver::Driver;
use super::mailbox::{Accepted, Letter};
use crate::log;
use crate::switch::{ConnectionId, Security, Wanted};
use crate::wire::fingerprint;

impl Driver {
    /// Connects, unless a connection to the same peer stands (RFC 4975 §5.4, C64). The work
    /// is done by a task of this thread; its letter says how it went.
    pub(super) fn dial(&mut self, wanted: Wanted) {
        if let Some(id) = self.shared(&wanted) {
            return self.connected(&wanted, id);
        }
        let dialer = Arc::clone(&self.parts.dialer);
        let Some(mailbox) = self
            .parts
            .threads
            .get(usize::from(self.parts.number.0))
            .cloned()
        else {
            return;
        };
        tokio::spawn(async move {
            let result = dialer.dial(&wanted).await.map(Box::new);
            mailbox.send(Letter::Dialled(Box::new(wanted), result));
        });
    }

    /// A connection that may serve this session too.
    fn shared(&mut self, wanted: &Wanted) -> Option<ConnectionId> {
        let &id = self.dialled.get(&Target::of(&wanted.target))?;
        let socket = self.socket(id)?;
        let (peer, security) = (socket.peer?, &socket.security);
        // What another was told of the certificate does not vouch for this one.
        let known = match security {
            Security::Tls(shown) if !wanted.fingerprints.is_empty() => {
                fingerprint::matches(&wanted.fingerprints, shown)
            }
            _ => true,
        };
        let permitted = self.parts.dialer.permits(&wanted.target, peer);
        (permitted && known).then_some(id)
    }

    pub(super) fn dialled(&mut self, wanted: Wanted, result: Result<Box<Accepted>, DialError>) {
        let problem = match result {
            Ok(accepted) => {
                // Another session may have been faster.
                let shared = self.shared(&wanted);
                if let Some(id) = shared.or_else(|| self.accept_dialled(&wanted, *accepted)) {
                    return self.connected(&wanted, id);
                }
                "too many connections".to_owned()
            }
            Err(error) => error.to_string(),
        };
        let (host, port) = (&wanted.target.host, wanted.target.port);
        let text = format!("cannot connect to {host} port {port}: {problem}");
        self.log(log::Level::Info, text);
        let now = self.now;
        self.guard(None, |switch| switch.unreachable(now, &wanted.session));
    }

    fn accept_dialled(&mut self, wanted: &Wanted, accepted: Accepted) -> Option<ConnectionId> {
        let id = self.accept(accepted)?;
        let target = Target::of(&wanted.target);
        if let Some(socket) = self.socket(id) {
            socket.target = Some(Box::new(target.clone()));
        }
        self.dialled.insert(target, id);
        Some(id)
    }

    fn connected(&mut self, wanted: &Wanted, id: ConnectionId) {
        let now = self.now;
        self.guard(Some(id), |switch| {
            switch.connected(now, &wanted.session, id)
        });
    }
}
