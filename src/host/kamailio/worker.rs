//! The script function in a worker: Kamailio's [`Primitives`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::ptr;

use super::abi::{
    self, kamailio_message_prefix, kamailio_reception, kamailio_socket_prefix, kamailio_text,
};
use super::{Format, MODULE, Module, layout};
use crate::bridge::Bridge;
use crate::focus::{Socket, TransactionId};
use crate::host::guard::guard;
use crate::host::layout::LayoutError;
use crate::host::worker::{self, Created, Envelope, Message, Place, Primitives, Transaction};
use crate::host::{IDENTITY_OCTETS, logging as log, refused, text};

/// `msrp_conference_handle([options])`; the argument is what the fixup made of it.
pub(super) unsafe extern "C" fn handle(
    message: *mut abi::Message,
    argument: *mut c_void,
    _unused: *mut c_void,
) -> c_int {
    // SAFETY: the host passes the message its script works on, and what its own fixup made, or
    // null; both live through the call, on this process' main thread.
    run(|module| unsafe {
        let mut text = kamailio_text::default();
        if !argument.is_null() && (module.core.argument)(&mut text, message, argument) < 0 {
            log::warning_in_a_flood(
                "msrp_conference_handle: the host cannot evaluate the argument",
            );
            return None;
        }
        Some((Message::new(message)?, text))
    })
}

/// `KSR.msrp_conference.handle()`.
pub(super) unsafe extern "C" fn handle_kemi(message: *mut abi::Message) -> c_int {
    // SAFETY: the host's promise, as for `handle`.
    unsafe { handle_kemi_options(message, ptr::null()) }
}

/// `KSR.msrp_conference.handle_options("…")`.
pub(super) unsafe extern "C" fn handle_kemi_options(
    message: *mut abi::Message,
    argument: *const kamailio_text,
) -> c_int {
    // SAFETY: as for `handle`; the argument is counted text or null.
    run(|_| unsafe {
        let argument = argument.as_ref().copied().unwrap_or_default();
        Some((Message::new(message)?, argument))
    })
}

fn run<'m>(call: impl FnOnce(&Module) -> Option<(Message<'m>, kamailio_text)>) -> c_int {
    guard(refused::BROKEN, || {
        let called = MODULE
            .get()
            .and_then(|module| Some((module, call(module)?)));
        let Some((module, (message, argument))) = called else {
            return refused::BROKEN;
        };
        // SAFETY: text of the host's, which lives through the call.
        let argument = text::lossy(unsafe { text::octets(argument.s, argument.len) });
        worker::handle(module, &message, &argument)
    })
}

impl Primitives for Module {
    fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// A script that `t_continue()` resumes runs as a failure route.
    fn answers_here(&self) -> bool {
        // SAFETY: a variable of this process.
        let kind = unsafe { *self.core.route_kind };
        kind == abi::PLAIN_ROUTE || kind == abi::FAILURE_ROUTE
    }

    fn place(&self, message: &Message<'_>) -> Option<Place> {
        // SAFETY: the prefix of a message is the same in every series.
        let prefix = unsafe { prefix(message) };
        (prefix.kind == abi::REQUEST).then_some(Place {
            buffer: prefix.buffer.cast_const().cast(),
            length: prefix.length as usize,
            method: prefix.method.s.cast_const().cast(),
            method_length: prefix.method.len,
            line_length: prefix.first_line_length,
        })
    }

    fn envelope(&self, message: &Message<'_>) -> Result<Envelope, LayoutError> {
        // SAFETY: the message buffer was found in its place.
        let prefix = unsafe { prefix(message) };
        let is_new = !prefix.new_uri.s.is_null() && prefix.new_uri.len > 0;
        let uri = if is_new { &prefix.new_uri } else { &prefix.uri };
        let reception = &prefix.reception;
        layout::reception(reception)?;
        Ok(Envelope {
            // SAFETY: text of the host's, which lives through the call.
            uri: text::lossy(unsafe { text::octets(uri.s, uri.len) }),
            source: SocketAddr::new(
                text::address(reception.source.family, reception.source.octets),
                reception.source_port,
            ),
            // SAFETY: the reception is this message's.
            socket: unsafe { read_socket(self, message, reception)? },
        })
    }

    fn identity(&self, message: &Message<'_>) -> String {
        evaluate(self, self.identity, message)
    }

    fn create(&self, message: &Message<'_>) -> Created {
        // SAFETY: a request that a route works on, as `handle` has looked.
        unsafe { self.tm.create(self.series, message.address()) }
    }

    fn keep(&self, message: &Message<'_>, _: &Transaction, invite: bool) -> bool {
        // SAFETY: the message has a current transaction.
        unsafe { self.tm.keep(message.address(), invite) }
    }

    fn reply_tag(&self, message: &Message<'_>, _: &Transaction) -> Option<String> {
        // SAFETY: the message has a current transaction.
        unsafe { self.tm.reply_tag(message.address()) }
    }

    fn answer(
        &self,
        message: &Message<'_>,
        _: &Transaction,
        code: u16,
        reason: &CStr,
        headers: &str,
    ) {
        // SAFETY: the message has a current transaction.
        unsafe { self.tm.answer(message.address(), code, reason, headers) };
    }

    fn cancelled(&self, message: &Message<'_>, _: &Transaction) -> Option<TransactionId> {
        // SAFETY: the message has a transaction, and with it headers that tm has checked.
        unsafe { self.tm.cancelled(message.address()) }
    }

    fn absorb(&self, message: &Message<'_>) {
        // SAFETY: a message that a route works on.
        unsafe { self.tm.absorb(message.address()) };
    }
}

/// # Safety
/// The prefix is the same in every series; what it points to is the host's word.
unsafe fn prefix<'m>(message: &'m Message<'_>) -> &'m kamailio_message_prefix {
    // SAFETY: the message lives as long as its borrow.
    unsafe { &*message.address().cast::<kamailio_message_prefix>() }
}

/// The host's expansion of pseudo-variables.
fn evaluate(module: &Module, format: Format, message: &Message<'_>) -> String {
    let mut buffer = [0u8; IDENTITY_OCTETS];
    let mut length = buffer.len() as c_int;
    // SAFETY: the host writes at most `length` octets and stores how many.
    let printed = unsafe {
        (module.core.print_format)(
            message.address(),
            format.0,
            buffer.as_mut_ptr().cast::<c_char>(),
            &mut length,
        )
    };
    text::evaluated(text::printed(&buffer, printed, length))
}

/// # Safety
/// `reception` is that of `message`, which the host works on.
unsafe fn read_socket(
    module: &Module,
    message: &Message<'_>,
    reception: &kamailio_reception,
) -> Result<Socket, LayoutError> {
    let none = || LayoutError::new("the socket of a message", "there is none");
    // SAFETY: the host's sockets live as long as it, and so do their texts.
    let (socket, address) = unsafe {
        let socket = reception.socket.cast::<kamailio_socket_prefix>().as_ref();
        let socket = socket.ok_or_else(none)?;
        let address = text::octets(socket.address_text.s, socket.address_text.len);
        (socket, text::lossy(address))
    };
    let advertised = module
        .advertised
        .map(|format| evaluate(module, format, message));
    let (host, port) = advertised
        .as_deref()
        .and_then(|text| text.split_once(' '))
        .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
        .unwrap_or((address, socket.port));
    Ok(Socket {
        handle: ptr::from_ref(socket) as u64,
        transport: text::transport(reception.protocol.into()).to_owned(),
        host: text::uri_host(host),
        port,
    })
}
