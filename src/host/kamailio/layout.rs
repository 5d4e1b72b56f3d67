//! Checks the layout of structures in Kamailio's memory against our declarations and the row of its
//! series, as far as only messages show them: at the first request, and at each response.
//! `start_checks` does the rest in `init`.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::{
    self, kamailio_event, kamailio_message_prefix, kamailio_reception, kamailio_socket_prefix,
    kamailio_text, kamailio_transaction_prefix,
};
use super::series::Series;
use crate::host::layout::{LayoutError, same, see, see_text};
use crate::host::text;

/// Checks the socket of a request: its address and its port are there twice, as numbers and as
/// text. Called for the first request of each process.
pub(super) fn reception(reception: &kamailio_reception) -> Result<(), LayoutError> {
    static SEEN: AtomicBool = AtomicBool::new(false);
    if SEEN.load(Ordering::Relaxed) {
        return Ok(());
    }
    let family = reception.source.family as c_int;
    let known = family == libc::AF_INET || family == libc::AF_INET6;
    same("the address family of a message", known, true)?;
    socket(reception.socket as usize)?;
    SEEN.store(true, Ordering::Relaxed);
    Ok(())
}

/// A socket of the host's, if its layout is right.
pub(super) fn socket(at: usize) -> Result<kamailio_socket_prefix, LayoutError> {
    const SOCKET: &str = "a socket of the host's";
    // SAFETY: any octets are a socket to look at.
    let socket: kamailio_socket_prefix = unsafe { see(SOCKET, at)? };
    let at = |text: kamailio_text| see_text(SOCKET, text.s, text.len);
    let address = text::address(socket.address.family, socket.address.octets);
    let said = at(socket.address_text)?;
    let bare = said.trim_matches(['[', ']']).split('%').next();
    let said = bare.and_then(|bare| bare.parse().ok());
    same(SOCKET, said, Some(address))?;
    same(SOCKET, at(socket.port_text)?, socket.port.to_string())?;
    let known = (1..=6).contains(&socket.protocol);
    same("the transport of a socket", known, true)?;
    Ok(socket)
}

/// Whether a transaction has this request in the expected place: the replies of the conference
/// process rely on it. For a message that tm made from its copy, to resume a script with it, the
/// number is one less.
///
/// # Safety
/// In a worker, with the message its script works on and a transaction of tm's.
pub(super) unsafe fn kept_request(
    series: &Series,
    message: *const abi::Message,
    transaction: *const kamailio_transaction_prefix,
) -> Result<(), LayoutError> {
    const WHAT: &str = "the request of a transaction";
    let place = transaction as usize + series.transaction_request;
    // SAFETY: any octets are what is looked at here; the message is the caller's promise.
    unsafe {
        let [start, end]: [usize; 2] = see(WHAT, place)?;
        let kept: kamailio_message_prefix = see(WHAT, start)?;
        let own = &*message.cast::<kamailio_message_prefix>();
        let number = if kept.id == own.id.wrapping_add(1) {
            kept.id
        } else {
            own.id
        };
        same(
            WHAT,
            (kept.id, kept.process, kept.length, kept.kind),
            (number, own.process, own.length, own.kind),
        )?;
        let has_room = end.wrapping_sub(start) >= size_of::<kamailio_message_prefix>();
        same("the end of a transaction's request", has_room, true)
    }
}

/// Whether tm's record of an event has the expected layout.
///
/// # Safety
/// `event` is what tm passed to a callback of a request of ours, which still runs.
pub(super) unsafe fn event(event: &kamailio_event) -> Result<(), LayoutError> {
    const WHAT: &str = "tm's record of a response";
    same(WHAT, (100..700).contains(&event.code), true)?;
    let response = event.response as usize;
    if response == 0 || response == abi::FAKED_RESPONSE {
        return Ok(());
    }
    // SAFETY: any octets are what is looked at here.
    let prefix: kamailio_message_prefix = unsafe { see(WHAT, response)? };
    same(WHAT, prefix.kind, abi::RESPONSE)
}
