//! The script function in a worker: OpenSIPS' [`Primitives`].

use std::ffi::{CStr, c_char, c_int};
use std::net::SocketAddr;

use super::abi::{self, opensips_message_prefix, opensips_reception, opensips_text};
use super::series::Series;
use super::{Format, MODULE, Module, layout};
use crate::bridge::Bridge;
use crate::focus::{Socket, TransactionId};
use crate::host::guard::guard;
use crate::host::layout::LayoutError;
use crate::host::worker::{self, Created, Envelope, Message, Place, Primitives, Transaction};
use crate::host::{IDENTITY_OCTETS, refused, text};

/// `msrp_conference_handle([options])`.
pub(super) unsafe extern "C" fn handle(
    message: *mut abi::Message,
    argument: *const opensips_text,
) -> c_int {
    guard(refused::BROKEN, || {
        let Some(module) = MODULE.get() else {
            return refused::BROKEN;
        };
        // SAFETY: the host passes the message its script works on, and the expanded argument
        // or null; both live through the call, on this process' main thread.
        let (message, argument) = unsafe {
            let Some(message) = Message::new(message) else {
                return refused::BROKEN;
            };
            let argument = argument.as_ref();
            let octets = argument.map_or(&b""[..], |it| text::octets(it.s, it.len));
            (message, text::lossy(octets))
        };
        worker::handle(module, &message, &argument)
    })
}

impl Primitives for Module {
    fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// In a failure route tm holds its lock on the replies, and an answer would wait for it for
    /// ever; other routes have no request of a peer.
    fn answers_here(&self) -> bool {
        // SAFETY: a variable of this process.
        unsafe { *self.core.route_kind == abi::REQUEST_ROUTE }
    }

    fn place(&self, message: &Message<'_>) -> Option<Place> {
        // SAFETY: the prefix of a message is the same in every series; the other two offsets
        // are checked by what they must agree with before anything is read through them.
        unsafe {
            let prefix = &*message.address().cast::<opensips_message_prefix>();
            let (buffer, length) = layout::buffer(self.series, message.address());
            (prefix.kind == abi::REQUEST).then_some(Place {
                buffer,
                length,
                method: prefix.method.s.cast_const().cast(),
                method_length: prefix.method.len,
                line_length: prefix.first_line_length,
            })
        }
    }

    fn envelope(&self, message: &Message<'_>) -> Result<Envelope, LayoutError> {
        let base = message.address().cast::<u8>();
        // SAFETY: the offsets are those of this series, whose message buffer was found in its
        // place.
        unsafe {
            let prefix = &*base.cast::<opensips_message_prefix>();
            let new_uri = &*base
                .add(self.series.message_new_uri)
                .cast::<opensips_text>();
            let is_new = !new_uri.s.is_null() && new_uri.len > 0;
            let uri = if is_new { new_uri } else { &prefix.uri };
            let reception = &*base
                .add(self.series.message_reception)
                .cast::<opensips_reception>();
            layout::reception(self.series, reception, || {
                text::lossy(&print(self, self.reception, message))
            })?;
            Ok(Envelope {
                uri: text::lossy(text::octets(uri.s, uri.len)),
                source: SocketAddr::new(
                    text::address(reception.source.family, reception.source.octets),
                    reception.source_port,
                ),
                socket: read_socket(self.series, reception)?,
            })
        }
    }

    fn identity(&self, message: &Message<'_>) -> String {
        text::evaluated(&print(self, self.identity, message))
    }

    fn create(&self, message: &Message<'_>) -> Created {
        // SAFETY: a request that a route works on, as `handle` has looked.
        unsafe { self.tm.create(self.series, message.address()) }
    }

    fn keep(&self, message: &Message<'_>, _: &Transaction, invite: bool) -> bool {
        // SAFETY: the message has a current transaction.
        unsafe { self.tm.keep(message.address(), invite) }
    }

    /// The focus chooses the tag of an answer itself.
    fn reply_tag(&self, _: &Message<'_>, _: &Transaction) -> Option<String> {
        None
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

/// The host's expansion of pseudo-variables.
fn print(module: &Module, format: Format, message: &Message<'_>) -> Vec<u8> {
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
    text::printed(&buffer, printed, length).to_vec()
}

/// # Safety
/// `reception` is that of a message the host works on.
unsafe fn read_socket(
    series: &Series,
    reception: &opensips_reception,
) -> Result<Socket, LayoutError> {
    let socket = reception.socket.cast::<u8>();
    if socket.is_null() {
        return Err(LayoutError::new("the socket of a message", "there is none"));
    }
    // SAFETY: the host's socket, as the caller promises.
    let (host, port) = unsafe { addresses(series, socket) }.advertised;
    Ok(Socket {
        handle: socket as u64,
        transport: text::transport(reception.protocol).to_owned(),
        host,
        port,
    })
}

/// A socket's own address and its advertised one.
pub(super) struct Addresses {
    pub(super) bound: (String, u16),
    pub(super) advertised: (String, u16),
}

/// # Safety
/// `socket` is one of the host's, or was one: the record stays, and so does the private memory
/// its texts lie in.
pub(super) unsafe fn addresses(series: &Series, socket: *const u8) -> Addresses {
    // SAFETY: the caller's promise; the offsets are those of this series.
    let (name, name_port, address, port) = unsafe {
        let at = |offset| {
            let counted = &*socket.add(offset).cast::<opensips_text>();
            text::lossy(text::octets(counted.s, counted.len))
        };
        (
            at(series.socket_advertised_name),
            at(series.socket_advertised_port),
            at(series.socket_address),
            socket.add(series.socket_port).cast::<u16>().read(),
        )
    };
    let advertised = if name.is_empty() { &address } else { &name };
    Addresses {
        advertised: (
            text::uri_host(advertised.clone()),
            name_port.parse().unwrap_or(port),
        ),
        bound: (address, port),
    }
}
