//! The proxy as the service sees it.

use super::abi;
use super::context::Context;
use super::send::Errand;
use super::tm::borrowed;
use super::{Module, layout, logging, worker};
use crate::focus::{Event, OutgoingRequest, Reply, RequestId, Socket, TransactionId};
use crate::host::{api, logging as log, sockets, text};
use crate::log::Line;
use crate::resolve::{Hop, Transport};
use crate::service::{Departure, Host, NotReplied, NotSent};
use crate::wire::sip::Method;

/// The proxy for the service; exists only in the conference process.
pub(super) struct OpenSips(pub(super) &'static Module);

impl OpenSips {
    /// Calls tm, or other functions that may run callbacks of other modules, with a context of the
    /// call's own; `None` when the host has no memory for one.
    fn call<R>(&self, body: impl FnOnce(&'static Module) -> R) -> Option<R> {
        debug_assert!(log::on_main_thread());
        // SAFETY: the service runs on the conference process' main thread.
        let _context = unsafe { Context::push(&self.0.core) }?;
        Some(body(self.0))
    }

    /// The host's handle of a socket that it still has, else 0, for one of its choice: sockets_mgm
    /// closes sockets, and MSRP connections may have their file numbers by now.
    fn present(&mut self, socket: &Socket) -> u64 {
        let found = self.find_socket(socket);
        if found == socket.handle || socket.handle == 0 {
            return found;
        }
        // The socket is gone, or another one advertises the same address.
        let record = socket.handle as *const u8;
        // SAFETY: a handle of this run names a socket the host has or had.
        let it = unsafe { worker::addresses(self.0.series, record) };
        let bound = Socket {
            host: it.bound.0,
            port: it.bound.1,
            ..socket.clone()
        };
        let same = it.advertised == (socket.host.clone(), socket.port);
        match same && self.find_socket(&bound) == socket.handle {
            true => socket.handle,
            false => found,
        }
    }

    /// While the host shuts down, its TCP process is gone or going, and a request for one of its
    /// connections would wait until the host's SIGKILL. Peers see their connection close.
    fn connections_are_gone(&self, transport: Transport) -> bool {
        // SAFETY: reads a variable of the host.
        transport.is_stream() && unsafe { (self.0.core.core_status)() } == abi::TERMINATING
    }
}

impl Host for OpenSips {
    fn find_socket(&mut self, socket: &Socket) -> u64 {
        debug_assert!(log::on_main_thread());
        let host = borrowed(socket.host.as_bytes());
        let protocol = text::protocol(&socket.transport);
        // SAFETY: the core compares the text with its sockets' and keeps nothing.
        unsafe { (self.0.core.find_socket)(&raw const host, socket.port, protocol, 0) as u64 }
    }

    fn default_socket(&mut self) -> Option<Socket> {
        debug_assert!(log::on_main_thread());
        sockets::samples().find_map(|to| {
            // SAFETY: on the main thread.
            let handle = unsafe { self.0.sending.socket_towards(&to) };
            let words = layout::socket_words(self.0.series, handle as usize);
            let [host, port, ..] = words.ok()?;
            let bound = Socket {
                handle: handle as u64,
                transport: to.transport.name().to_owned(),
                host,
                port: port.parse().ok()?,
            };
            // No request has confirmed the place of the texts yet.
            if self.find_socket(&bound) != bound.handle || !sockets::is_an_address(&bound.host) {
                return None;
            }
            // SAFETY: it is a socket of the host's.
            let it = unsafe { worker::addresses(self.0.series, handle.cast()) };
            let (host, port) = it.advertised;
            Some(Socket {
                host,
                port,
                ..bound
            })
        })
    }

    fn reply(&mut self, transaction: TransactionId, reply: &Reply) -> Result<(), NotReplied> {
        let gone = |transport| self.connections_are_gone(transport);
        // SAFETY: on the main thread, with a context.
        self.call(|module| unsafe { module.tm.reply_to(transaction, reply, gone) })
            .unwrap_or(Err(NotReplied::Refused))
    }

    fn send(
        &mut self,
        request: &OutgoingRequest,
        to: &Hop,
        attempt: RequestId,
    ) -> Result<Departure, NotSent> {
        // tm has acknowledged every 2xx to an INVITE of ours by itself.
        if request.method == Method::Ack {
            return Ok(Departure::Sent);
        }
        if self.connections_are_gone(to.transport) {
            return Err(NotSent::Stopping);
        }
        let wish = Socket {
            handle: self.present(&request.socket),
            ..request.socket.clone()
        };
        let socket = sockets::towards(&wish, to, |socket| self.find_socket(socket));
        let errand = Errand::new(request, to, attempt, socket);
        // SAFETY: the service runs on the conference process' main thread.
        unsafe {
            if to.transport.is_stream() {
                return errand.hand_over(self.0);
            }
            errand.send(self.0)?;
        }
        Ok(Departure::Sent)
    }

    fn hands_over(&mut self, to: &Hop) -> bool {
        to.transport.is_stream()
    }

    fn connected(&mut self, to: &Hop) -> bool {
        debug_assert!(log::on_main_thread());
        // SAFETY: as above.
        unsafe { self.0.sending.connected(to) }
    }

    fn has_socket(&mut self, to: &Hop) -> bool {
        debug_assert!(log::on_main_thread());
        // SAFETY: as above.
        unsafe { self.0.sending.has_socket(to) }
    }

    fn cancel(&mut self, transaction: TransactionId, transport: Transport) {
        if self.connections_are_gone(transport) {
            return;
        }
        // SAFETY: on the main thread, with a context.
        self.call(|module| unsafe { module.tm.cancel(transaction) });
    }

    fn wants_messages(&mut self) -> bool {
        // SAFETY: the service runs on the conference process' main thread.
        let subscribed = unsafe { self.0.events.wants_messages() };
        api::want_messages() || subscribed
    }

    fn event(&mut self, event: &Event) {
        self.call(|module| {
            api::raise(event);
            // SAFETY: on the main thread, with a context; the service tells events between
            // host calls.
            unsafe { module.events.raise(event) };
        });
    }

    fn log(&mut self, line: &Line) {
        logging::write(line);
    }
}
