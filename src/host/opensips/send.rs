//! Requests of ours on their way into tm. It gets only addresses, so that it queries no name
//! server.
//!
//! A datagram leaves from the conference process. Over a connection, sending may have to wait for
//! the connection, or for a peer that does not read, so such a request leaves from a worker: as an
//! errand in a channel of the bridge, with a job of the core's that makes a worker fetch it.

use std::ffi::{c_int, c_void};
use std::net::IpAddr;
use std::ptr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::abi::{self, opensips_address, opensips_dialog, opensips_sequence};
use super::context::Context;
use super::tm::{borrowed, finished, hand_over};
use super::{MODULE, Module};
use crate::bridge::{Frame, SendError};
use crate::focus::{OutgoingRequest, RequestId};
use crate::host::guard::guard;
use crate::host::symbols::host_symbols;
use crate::host::{logging as log, text};
use crate::resolve::Hop;
use crate::service::{Departure, NotSent};
use crate::wire::sip::Method;

/// Octets of the core's jobs that may wait for a worker before ours is withheld: its pipe takes 64
/// KiB, and writing to a full one would block.
const MAX_JOBS: c_int = 32 * 1024;

host_symbols! {
    /// Core symbols needed to send.
    struct Sending {
        dispatch: abi::DispatchJob = c"ipc_dispatch_rpc",
        jobs: *mut c_int = c"ipc_shared_fd_read",
        find_connection: abi::FindConnection = c"tcp_conn_get",
        release_connection: abi::ReleaseConnection = c"tcp_conn_release",
        default_socket: abi::DefaultSocket = c"get_send_socket",
    }
}

/// A request in the form that tm gets, for this process or another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Errand {
    attempt: u64,
    method: String,
    headers: String,
    body: Bytes,
    next_hop: String,
    call_id: String,
    cseq: u32,
    local_uri: String,
    local_tag: String,
    remote_uri: String,
    remote_tag: String,
    request_uri: String,
    /// The socket to send from; 0 leaves the choice to the host.
    socket: u64,
}

impl Errand {
    /// `socket` is one of the transport of `to`, or 0.
    pub(super) fn new(
        request: &OutgoingRequest,
        to: &Hop,
        attempt: RequestId,
        socket: u64,
    ) -> Self {
        Self {
            attempt: attempt.0,
            method: request.method.as_str().to_owned(),
            headers: text::request_lines(&request.routes, &request.headers),
            body: request.body.clone(),
            next_hop: to.to_string(),
            call_id: request.call_id.clone(),
            cseq: request.cseq,
            local_uri: request.local_uri.clone(),
            local_tag: request.local_tag.clone(),
            remote_uri: request.remote_uri.clone(),
            remote_tag: request.remote_tag.clone(),
            request_uri: request.request_uri.clone(),
            socket,
        }
    }

    fn dialog(&self) -> opensips_dialog {
        let socket = self.socket as *mut c_void;
        let outside = self.remote_tag.is_empty();
        let mut dialog = opensips_dialog {
            call_id: borrowed(self.call_id.as_bytes()),
            remote_tag: borrowed(self.remote_tag.as_bytes()),
            local_tag: borrowed(self.local_tag.as_bytes()),
            // tm counts up before it sends.
            local_sequence: opensips_sequence {
                value: self.cseq.wrapping_sub(1),
                is_set: 1,
            },
            local_uri: borrowed(self.local_uri.as_bytes()),
            remote_uri: borrowed(self.remote_uri.as_bytes()),
            remote_target: borrowed(self.request_uri.as_bytes()),
            outbound_proxy: borrowed(self.next_hop.as_bytes()),
            state: abi::CONFIRMED,
            // Outside a dialog the socket is a preference, and inside one mandatory.
            send_socket: if outside { ptr::null_mut() } else { socket },
            preferred_socket: if outside { socket } else { ptr::null_mut() },
            ..opensips_dialog::default()
        };
        if self.method == Method::Invite.as_str() {
            dialog.transaction_flags = abi::PASS_PROVISIONAL;
        }
        dialog
    }

    /// Sends it through tm, with its own processing context: data that the host's modules write
    /// into it belongs to this request alone.
    ///
    /// # Safety
    /// On the main thread of the conference process or a worker.
    pub(super) unsafe fn send(&self, module: &Module) -> Result<(), NotSent> {
        let mut dialog = self.dialog();
        // SAFETY: dialog and texts live through the call and tm keeps none of them; the
        // socket is one of the host's, made before the fork; the callback's argument is a
        // number.
        let sent = unsafe {
            let Some(_context) = Context::push(&module.core) else {
                return Err(NotSent::Refused(abi::OUT_OF_MEMORY));
            };
            (module.tm.request_within)(
                &borrowed(self.method.as_bytes()),
                &borrowed(self.headers.as_bytes()),
                &borrowed(&self.body),
                &mut dialog,
                finished,
                self.attempt as *mut c_void,
                ptr::null_mut(),
            )
        };
        if sent > 0 {
            Ok(())
        } else {
            Err(NotSent::Refused(sent))
        }
    }

    /// Hands it to a worker; without room for it in the channel, this process sends it.
    ///
    /// # Safety
    /// On the conference process' main thread.
    pub(super) unsafe fn hand_over(&self, module: &Module) -> Result<Departure, NotSent> {
        // SAFETY: a variable of the core's, set before the fork.
        if unsafe { waiting(*module.sending.jobs) } > MAX_JOBS {
            return Err(NotSent::Busy);
        }
        let octets = postcard::to_allocvec(self).unwrap_or_default();
        match module.bridge.send_errand(&octets) {
            Ok(()) => {}
            Err(SendError::Full) => return Err(NotSent::Busy),
            Err(_) => {
                // SAFETY: the caller's promise.
                unsafe { self.send(module) }?;
                return Ok(Departure::Sent);
            }
        }
        // SAFETY: the function stays where it is, and is at the same place in every process.
        if unsafe { (module.sending.dispatch)(send_errand, ptr::null_mut()) } < 0 {
            // The pipe is closed: no worker is left.
            return Err(NotSent::Stopping);
        }
        Ok(Departure::Handed)
    }
}

impl Sending {
    /// Whether the core has a connection to this destination, or is making one. Reads its table.
    ///
    /// # Safety
    /// On the conference process' main thread.
    pub(super) unsafe fn connected(&self, to: &Hop) -> bool {
        // SAFETY: without a socket of the transport the table does not exist. No file of the
        // connection is asked for, so nobody else is; a found one is released.
        unsafe {
            if !self.has_socket(to) {
                return false;
            }
            let mut connection = ptr::null_mut();
            let found = (self.find_connection)(
                0,
                &mut address(to.address.ip()),
                to.address.port().into(),
                text::protocol(to.transport.name()).into(),
                ptr::null_mut(),
                &mut connection,
                ptr::null_mut(),
                ptr::null(),
            );
            if found > 0 && !connection.is_null() {
                (self.release_connection)(connection, 0);
            }
            found > 0 && !connection.is_null()
        }
    }

    /// Whether the host has a socket of this transport and family.
    ///
    /// # Safety
    /// On the conference process' main thread.
    pub(super) unsafe fn has_socket(&self, to: &Hop) -> bool {
        // SAFETY: the caller's promise.
        unsafe { !self.socket_towards(to).is_null() }
    }

    /// The socket that the host chooses for this destination; null where it has none.
    ///
    /// # Safety
    /// On the conference process' main thread.
    pub(super) unsafe fn socket_towards(&self, to: &Hop) -> *const c_void {
        let address = socket2::SockAddr::from(to.address);
        let protocol = text::protocol(to.transport.name());
        // SAFETY: the core reads the address; null stands for no message.
        unsafe { (self.default_socket)(ptr::null_mut(), address.as_ptr().cast(), protocol.into()) }
    }
}

fn address(of: IpAddr) -> opensips_address {
    let (family, length, octets) = text::address_octets(of);
    opensips_address {
        family,
        length,
        octets,
    }
}

/// Octets that can be read from a file; 0 when that is unknown.
fn waiting(file: c_int) -> c_int {
    let mut octets: c_int = 0;
    // SAFETY: the kernel writes an int.
    unsafe { libc::ioctl(file, libc::FIONREAD, &raw mut octets) };
    octets
}

/// The core calls this in an idle worker: one errand per job.
unsafe extern "C" fn send_errand(_sender: c_int, _nothing: *mut c_void) {
    guard((), || {
        let Some(module) = MODULE.get() else { return };
        let Some(octets) = module.bridge.errand() else {
            return;
        };
        let errand: Errand = match postcard::from_bytes(&octets) {
            Ok(errand) => errand,
            Err(error) => return log::error(format_args!("an errand is malformed: {error}")),
        };
        // SAFETY: the core calls us on the main thread of a worker.
        let sent = unsafe { errand.send(module) };
        hand_over(&Frame::Sent {
            request: RequestId(errand.attempt),
            error: match sent {
                Ok(()) => 0,
                Err(NotSent::Refused(error)) if error != 0 => error,
                Err(_) => -1,
            },
        });
    });
}
