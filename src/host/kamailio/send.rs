//! Requests of ours on their way into tm. It gets only addresses, so that it queries no name
//! server. Connections are opened without waiting (`tcp_async`, the host's default).

use std::ffi::{c_int, c_void};
use std::net::IpAddr;
use std::ptr;

use super::abi::{self, kamailio_address, kamailio_dialog, kamailio_request, kamailio_sequence};
use super::tm::{Tm, borrowed, finished};
use crate::focus::{OutgoingRequest, RequestId};
use crate::host::symbols::host_symbols;
use crate::host::text;
use crate::resolve::{Hop, Transport};
use crate::service::NotSent;
use crate::wire::sip::Method;

host_symbols! {
    /// Core symbols needed to send.
    struct Sending {
        find_connection: abi::FindConnection = c"tcpconn_exists",
        default_socket: abi::DefaultSocket = c"get_send_socket2",
    }
}

impl Tm {
    /// `socket` is one of the transport of `to`, or 0 for one of the host's choice.
    ///
    /// # Safety
    /// On the conference process' main thread.
    pub(super) unsafe fn send(
        &self,
        request: &OutgoingRequest,
        to: &Hop,
        attempt: RequestId,
        socket: u64,
    ) -> Result<(), NotSent> {
        let headers = text::request_lines(&request.routes, &request.headers);
        let next_hop = next_hop(to);
        let mut dialog = dialog(request, &next_hop, socket);
        let mut method = borrowed(request.method.as_str().as_bytes());
        let mut headers = borrowed(headers.as_bytes());
        let mut body = borrowed(&request.body);
        // tm answers the 2xx of every fork with the ACK of the first. An ACK of ours is sent once,
        // without a transaction.
        let (events, callback) = match request.method {
            Method::Ack => (0, ptr::null_mut()),
            Method::Invite => (
                abi::LOCAL_COMPLETED | abi::LOCAL_RESPONSE,
                finished as *mut c_void,
            ),
            _ => (abi::LOCAL_COMPLETED, finished as *mut c_void),
        };
        let mut wanted = kamailio_request {
            method: &mut method,
            headers: &mut headers,
            body: &mut body,
            dialog: &mut dialog,
            events,
            callback,
            argument: attempt.0 as *mut c_void,
            ..kamailio_request::default()
        };
        // SAFETY: record, dialog and texts live through the call and tm keeps none of them;
        // the socket is one of the host's, made before the fork; the callback's argument is
        // a number.
        let sent = unsafe { (self.send_request)(&mut wanted) };
        match sent {
            failed if failed < 0 => Err(NotSent::Refused(failed)),
            // `drop` in event_route[tm:local-request]: there is no transaction left to end.
            0 => Err(NotSent::Dropped),
            _ => Ok(()),
        }
    }
}

/// This host finds a WebSocket over TLS by its address, and knows no `wss` in URIs.
fn next_hop(to: &Hop) -> String {
    let transport = match to.transport {
        Transport::Wss => Transport::Ws,
        other => other,
    };
    Hop { transport, ..*to }.to_string()
}

fn dialog(request: &OutgoingRequest, next_hop: &str, socket: u64) -> kamailio_dialog {
    kamailio_dialog {
        call_id: borrowed(request.call_id.as_bytes()),
        remote_tag: borrowed(request.remote_tag.as_bytes()),
        local_tag: borrowed(request.local_tag.as_bytes()),
        local_sequence: kamailio_sequence {
            value: request.cseq,
            is_set: 1,
        },
        local_uri: borrowed(request.local_uri.as_bytes()),
        remote_uri: borrowed(request.remote_uri.as_bytes()),
        remote_target: borrowed(request.request_uri.as_bytes()),
        destination_uri: borrowed(next_hop.as_bytes()),
        state: abi::CONFIRMED,
        send_socket: socket as *mut c_void,
        ..kamailio_dialog::default()
    }
}

impl Sending {
    /// Whether the core has a connection to this destination, or is making one. Reads its table.
    ///
    /// # Safety
    /// On the conference process' main thread.
    pub(super) unsafe fn connected(&self, to: &Hop) -> bool {
        let any = match to.address.ip() {
            IpAddr::V4(_) => IpAddr::V4([0; 4].into()),
            IpAddr::V6(_) => IpAddr::V6([0; 16].into()),
        };
        // SAFETY: without a socket of the transport the table does not exist. The core reads
        // both addresses; before 5.7.7 and 5.8.1 it takes no protocol, and does not see ours.
        unsafe {
            self.has_socket(to)
                && (self.find_connection)(
                    0,
                    &mut address(to.address.ip()),
                    to.address.port().into(),
                    &mut address(any),
                    0,
                    abi::ANY_PROTOCOL,
                ) == 1
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
    pub(super) unsafe fn socket_towards(&self, to: &Hop) -> *mut c_void {
        let target = socket2::SockAddr::from(to.address);
        let protocol = c_int::from(text::protocol(to.transport.name()));
        // SAFETY: the core reads the address; null stands for no socket, and for nowhere to
        // say why.
        unsafe {
            (self.default_socket)(
                ptr::null_mut(),
                target.as_ptr().cast_mut().cast(),
                protocol,
                ptr::null_mut(),
            )
        }
    }
}

fn address(of: IpAddr) -> kamailio_address {
    let (family, length, octets) = text::address_octets(of);
    kamailio_address {
        family,
        length,
        octets,
    }
}
