//! Connections that a switch thread makes. Sessions with the same peer share one.

use std::sync::Arc;

use super::dial::{DialError, Target};
use super::driver::Driver;
use super::queue::{Accepted, Command};
use crate::log;
use crate::switch::{ConnectionId, Wanted};
use crate::wire::fingerprint;

impl Driver {
    /// Connects, unless there is a connection to the same peer (RFC 4975 §5.4, C64). A task of this
    /// thread does the work; its command carries the result.
    pub(super) fn dial(&mut self, wanted: Wanted) {
        if let Some(id) = self.reusable(&wanted) {
            return self.connected(&wanted, id);
        }
        let dialer = Arc::clone(&self.parts.dialer);
        let Some(queue) = self
            .parts
            .threads
            .get(usize::from(self.parts.number.0))
            .cloned()
        else {
            return;
        };
        tokio::spawn(async move {
            let result = dialer.dial(&wanted).await.map(Box::new);
            queue.send(Command::ConnectFinished(Box::new(wanted), result));
        });
    }

    /// An existing connection that this session may share.
    fn reusable(&mut self, wanted: &Wanted) -> Option<ConnectionId> {
        let &id = self.own_connections.get(&Target::of(&wanted.target))?;
        let transport = self.transport(id)?;
        let peer = transport.stream.peer_addr().ok()?;
        // A fingerprint in another session's description does not vouch for this one.
        let known = match &transport.records {
            Some(records) if !wanted.fingerprints.is_empty() => {
                fingerprint::matches(&wanted.fingerprints, &records.peer())
            }
            _ => true,
        };
        let permitted = self.parts.dialer.permits(&wanted.target, peer);
        (permitted && known).then_some(id)
    }

    pub(super) fn connect_finished(
        &mut self,
        wanted: Wanted,
        result: Result<Box<Accepted>, DialError>,
    ) {
        let problem = match result {
            Ok(accepted) => {
                // Another session may have connected first.
                let reused = self.reusable(&wanted);
                if let Some(id) = reused.or_else(|| self.add_own_connection(&wanted, *accepted)) {
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

    fn add_own_connection(&mut self, wanted: &Wanted, accepted: Accepted) -> Option<ConnectionId> {
        let id = self.add_connection(accepted)?;
        let target = Target::of(&wanted.target);
        if let Some(transport) = self.transport(id) {
            transport.dialled(target.clone());
        }
        self.own_connections.insert(target, id);
        Some(id)
    }

    fn connected(&mut self, wanted: &Wanted, id: ConnectionId) {
        let now = self.now;
        self.guard(Some(id), |switch| {
            switch.connected(now, &wanted.session, id)
        });
    }
}
