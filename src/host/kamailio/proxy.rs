//! The proxy as the service sees it.

use std::collections::HashSet;

use super::tm::borrowed;
use super::{Module, layout, logging};
use crate::focus::{Event, OutgoingRequest, Reply, RequestId, Socket, TransactionId};
use crate::host::{api, logging as log, sockets, text};
use crate::log::Line;
use crate::resolve::{Hop, Transport};
use crate::service::{Departure, Host, NotReplied, NotSent};

/// The proxy for the service; exists only in the conference process.
pub(super) struct Kamailio {
    module: &'static Module,
    /// Transactions with a kept reference.
    kept: HashSet<TransactionId>,
    stopping: bool,
}

impl Kamailio {
    pub(super) fn new(module: &'static Module) -> Self {
        Self {
            module,
            kept: HashSet::new(),
            stopping: false,
        }
    }

    /// The host's TCP process ends as soon as the host stops: anything sent over it then is lost,
    /// with a line in the log each time. Peers see their connection close.
    fn connections_are_gone(&self, transport: Transport) -> bool {
        self.stopping && transport.is_stream()
    }
}

impl Host for Kamailio {
    fn find_socket(&mut self, socket: &Socket) -> u64 {
        debug_assert!(log::on_main_thread());
        let mut host = borrowed(socket.host.as_bytes());
        let protocol = text::protocol(&socket.transport);
        // SAFETY: the core compares the text with its sockets' and keeps nothing; they are
        // made before the fork and never freed.
        unsafe { (self.module.core.find_socket)(&raw mut host, socket.port, protocol) as u64 }
    }

    /// The advertised address is unknown until the first request.
    fn default_socket(&mut self) -> Option<Socket> {
        debug_assert!(log::on_main_thread());
        sockets::samples().find_map(|to| {
            // SAFETY: on the main thread; the host's sockets live as long as it, and so do
            // their texts.
            let (handle, host, port) = unsafe {
                let handle = self.module.sending.socket_towards(&to);
                let socket = layout::socket(handle as usize).ok()?;
                let address = text::octets(socket.address_text.s, socket.address_text.len);
                (handle, text::lossy(address), socket.port)
            };
            sockets::is_an_address(&host).then(|| Socket {
                handle: handle as u64,
                transport: to.transport.name().to_owned(),
                host: text::uri_host(host),
                port,
            })
        })
    }

    fn reply(&mut self, transaction: TransactionId, reply: &Reply) -> Result<(), NotReplied> {
        debug_assert!(log::on_main_thread());
        // SAFETY: the service runs on the conference process' main thread.
        unsafe {
            let gone = |transport| self.connections_are_gone(transport);
            self.module
                .tm
                .reply_to(self.module.series, transaction, reply, gone)?
        };
        if reply.until_ack {
            self.kept.insert(transaction);
        }
        Ok(())
    }

    fn release(&mut self, transaction: TransactionId) {
        debug_assert!(log::on_main_thread());
        if self.kept.remove(&transaction) {
            // SAFETY: as above; `reply` has kept a reference, and nobody has given it back.
            unsafe { self.module.tm.release_kept(transaction) };
        }
    }

    fn send(
        &mut self,
        request: &OutgoingRequest,
        to: &Hop,
        attempt: RequestId,
    ) -> Result<Departure, NotSent> {
        debug_assert!(log::on_main_thread());
        if self.connections_are_gone(to.transport) {
            return Err(NotSent::Stopping);
        }
        let socket = sockets::towards(&request.socket, to, |socket| self.find_socket(socket));
        // SAFETY: as above.
        unsafe { self.module.tm.send(request, to, attempt, socket)? };
        Ok(Departure::Sent)
    }

    fn connected(&mut self, to: &Hop) -> bool {
        debug_assert!(log::on_main_thread());
        // SAFETY: as above.
        unsafe { self.module.sending.connected(to) }
    }

    fn has_socket(&mut self, to: &Hop) -> bool {
        debug_assert!(log::on_main_thread());
        // SAFETY: as above.
        unsafe { self.module.sending.has_socket(to) }
    }

    fn cancel(&mut self, transaction: TransactionId, transport: Transport) {
        debug_assert!(log::on_main_thread());
        if self.connections_are_gone(transport) {
            return;
        }
        // SAFETY: as above.
        unsafe { self.module.tm.cancel(transaction) };
    }

    fn stopping(&mut self) {
        self.stopping = true;
    }

    fn wants_messages(&mut self) -> bool {
        api::want_messages() || self.module.listeners.wants_messages()
    }

    fn event(&mut self, event: &Event) {
        debug_assert!(log::on_main_thread());
        api::raise(event);
        // SAFETY: as above; the service tells events between host calls.
        unsafe { self.module.listeners.raise(event) };
    }

    fn log(&mut self, line: &Line) {
        logging::write(line);
    }
}
