//! The script function, in the host's worker processes: make the transaction, hand the
//! request over, never wait.

use std::ffi::{c_char, c_int, c_void};
use std::net::SocketAddr;
use std::{ptr, slice};

use super::abi::{
    self, kamailio_message_prefix, kamailio_reception, kamailio_socket_prefix, kamailio_text,
};
use super::tm::Created;
use super::{Format, MODULE, Module, layout};
use crate::bridge::{Frame, SendError};
use crate::focus::{Arrival, Socket, TransactionId};
use crate::host::guard::guard;
use crate::host::layout::LayoutError;
use crate::host::{IDENTITY_OCTETS, LEADING_OCTETS, TAKEN, logging as log, options, refused, text};

/// `msrp_conference_handle([options])`; the argument is what the fixup made of it.
pub(super) unsafe extern "C" fn handle(
    message: *mut abi::Message,
    argument: *mut c_void,
    _unused: *mut c_void,
) -> c_int {
    guard(refused::BROKEN, || {
        let Some(module) = MODULE.get() else {
            return refused::BROKEN;
        };
        // SAFETY: the host passes the message its script works on, and what its own fixup
        // made, or null; both live through the call, on this process' main thread.
        unsafe {
            let mut text = kamailio_text::default();
            if !argument.is_null() && (module.core.argument)(&mut text, message, argument) < 0 {
                log::error("msrp_conference_handle: the host cannot evaluate the argument");
                return refused::MALFORMED;
            }
            take(
                module,
                message,
                &text::lossy(text::octets(text.s, text.len)),
            )
        }
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
    guard(refused::BROKEN, || {
        let Some(module) = MODULE.get() else {
            return refused::BROKEN;
        };
        // SAFETY: as for `handle`; the argument is counted text or null.
        unsafe {
            let argument = match argument.as_ref() {
                Some(argument) => text::lossy(text::octets(argument.s, argument.len)),
                None => String::new(),
            };
            take(module, message, &argument)
        }
    })
}

/// # Safety
/// In a worker, on its main thread, with the message its script works on.
unsafe fn take(module: &Module, message: *mut abi::Message, argument: &str) -> c_int {
    let options = match options::parse(argument) {
        Ok(options) => options,
        Err(error) => {
            log::error(format_args!("msrp_conference_handle: {error}"));
            return refused::MALFORMED;
        }
    };
    // SAFETY: the caller promises the message.
    unsafe {
        if (*message.cast::<kamailio_message_prefix>()).kind != abi::REQUEST {
            return refused::NOT_OURS;
        }
        let request = match Request::read(module, message) {
            Ok(request) => request,
            Err(error) => {
                module.tm.absorb(message);
                return distrust(module, message, &error);
            }
        };
        let identity = match options.identity {
            Some(identity) => identity,
            None => evaluate(module, module.identity, message),
        };
        let arrival = Arrival {
            transaction: None,
            to_tag: None,
            message: bytes::Bytes::copy_from_slice(request.octets),
            request_uri: request.uri,
            source: request.source,
            socket: request.socket,
            identity,
            options: options.script,
        };
        match request.method {
            b"CANCEL" => cancel(module, message),
            b"ACK" => acknowledge(module, message, arrival),
            method => hand_over(module, message, arrival, method == b"INVITE"),
        }
    }
}

/// Transaction first, so that retransmissions end here; then the hand-over.
///
/// # Safety
/// As for [`take`].
unsafe fn hand_over(
    module: &Module,
    message: *mut abi::Message,
    mut arrival: Arrival,
    invite: bool,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match module.tm.create(message) {
            Created::New(id) => arrival.transaction = Some(id),
            Created::Absorbed => return TAKEN,
            Created::None => return refused::MALFORMED,
            Created::Failed(code) => {
                return refused::without_transaction(code);
            }
        }
        if let Some(transaction) = module.tm.current()
            && let Err(error) = layout::kept_request(module.series, message, transaction)
        {
            return distrust(module, message, &error);
        }
        if invite {
            module.tm.watch_cancel(message);
        }
        if !module.tm.keep(message, invite) {
            module.tm.answer(message, 500, c"Server Internal Error");
            return TAKEN;
        }
        arrival.to_tag = module.tm.reply_tag(message);
        match module.bridge.send(&Frame::Request(Box::new(arrival))) {
            Ok(()) => {}
            Err(SendError::Frame(error)) => {
                log::warning_in_a_flood(error);
                module.tm.answer(message, 513, c"Message Too Large");
            }
            Err(error) => {
                log::warning_in_a_flood(error);
                module
                    .tm
                    .refuse(message, 503, c"Service Unavailable", refused::BUSY);
            }
        }
    }
    TAKEN
}

/// An ACK may carry an answer, so it goes over before tm absorbs it.
///
/// # Safety
/// As for [`take`].
unsafe fn acknowledge(module: &Module, message: *mut abi::Message, arrival: Arrival) -> c_int {
    if let Err(error) = module.bridge.send(&Frame::Request(Box::new(arrival))) {
        log::warning_in_a_flood(format_args!("an ACK was lost: {error}"));
    }
    // SAFETY: the caller's promise.
    unsafe { module.tm.absorb(message) };
    TAKEN
}

/// The CANCEL is answered here; what it means for the INVITE the focus decides.
///
/// # Safety
/// As for [`take`].
unsafe fn cancel(module: &Module, message: *mut abi::Message) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let meant = module.tm.cancelled(message);
        let Created::New(_) = module.tm.create(message) else {
            return TAKEN;
        };
        match meant {
            Some(id) => {
                tell_cancelled(module, id);
                module.tm.answer(message, 200, c"canceling");
            }
            None => module
                .tm
                .answer(message, 481, c"Call/Transaction Does Not Exist"),
        }
    }
    TAKEN
}

fn tell_cancelled(module: &Module, id: TransactionId) {
    if let Err(error) = module.bridge.send(&Frame::Cancel(id)) {
        log::warning_in_a_flood(format_args!("a CANCEL was lost: {error}"));
    }
}

/// The message is not where this series keeps it: nothing of it is touched.
///
/// # Safety
/// As for [`take`].
unsafe fn distrust(module: &Module, message: *mut abi::Message, error: &LayoutError) -> c_int {
    error.say_once();
    // SAFETY: tm works with its own idea of the message.
    unsafe { module.tm.answer(message, 503, c"Service Unavailable") };
    TAKEN
}

/// What the host's parser makes of pseudo-variables.
///
/// # Safety
/// As for [`take`].
unsafe fn evaluate(module: &Module, format: Format, message: *mut abi::Message) -> String {
    let mut buffer = [0u8; IDENTITY_OCTETS];
    let mut length = buffer.len() as c_int;
    // SAFETY: the host writes at most `length` octets and stores how many.
    let printed = unsafe {
        (module.core.print_format)(
            message,
            format.0,
            buffer.as_mut_ptr().cast::<c_char>(),
            &mut length,
        )
    };
    if printed < 0 {
        return String::new();
    }
    let length = usize::try_from(length).unwrap_or(0);
    text::evaluated(buffer.get(..length).unwrap_or_default())
}

/// A request as it lies in the host's memory.
struct Request<'a> {
    octets: &'a [u8],
    method: &'a [u8],
    uri: String,
    source: SocketAddr,
    socket: Socket,
}

impl<'a> Request<'a> {
    /// Reads it, unless the layout is not what it should be: the method must lie at the start of
    /// the buffer, behind nothing but line ends.
    ///
    /// # Safety
    /// `message` is one the host works on.
    unsafe fn read(module: &Module, message: *mut abi::Message) -> Result<Self, LayoutError> {
        let elsewhere = || LayoutError::new("the buffer of a message", "its method is not in it");
        // SAFETY: the prefix is the same in every series; buffer and method are checked
        // against each other before anything is read through them.
        unsafe {
            let prefix = &*message.cast::<kamailio_message_prefix>();
            let start = prefix.buffer as usize;
            let length = prefix.length as usize;
            let method = prefix.method.s as usize;
            let before = method.wrapping_sub(start);
            let line = usize::try_from(prefix.first_line_length).unwrap_or(0);
            let method_length = usize::try_from(prefix.method.len).unwrap_or(0);
            if before > LEADING_OCTETS || line == 0 || before + line > length {
                return Err(elsewhere());
            }
            let whole = slice::from_raw_parts(start as *const u8, length);
            let (leading, octets) = whole.split_at(before);
            if leading.iter().any(|octet| !matches!(octet, b'\r' | b'\n')) {
                return Err(elsewhere());
            }
            let method = octets.get(..method_length).ok_or_else(elsewhere)?;
            let reception = &prefix.reception;
            layout::reception(reception)?;
            let uri = if prefix.new_uri.s.is_null() || prefix.new_uri.len <= 0 {
                &prefix.uri
            } else {
                &prefix.new_uri
            };
            Ok(Self {
                octets,
                method,
                uri: text::lossy(text::octets(uri.s, uri.len)),
                source: SocketAddr::new(
                    text::address(reception.source.family, reception.source.octets),
                    reception.source_port,
                ),
                socket: read_socket(module, message, reception)?,
            })
        }
    }
}

/// # Safety
/// `reception` is that of `message`, which the host works on.
unsafe fn read_socket(
    module: &Module,
    message: *mut abi::Message,
    reception: &kamailio_reception,
) -> Result<Socket, LayoutError> {
    // SAFETY: the host's sockets live as long as it.
    let socket = unsafe { reception.socket.cast::<kamailio_socket_prefix>().as_ref() };
    let socket =
        socket.ok_or_else(|| LayoutError::new("the socket of a message", "there is none"))?;
    // SAFETY: the caller's promise; the socket's texts live as long as it.
    let (advertised, address) = unsafe {
        (
            module
                .advertised
                .map(|format| evaluate(module, format, message)),
            text::lossy(text::octets(socket.address_text.s, socket.address_text.len)),
        )
    };
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
