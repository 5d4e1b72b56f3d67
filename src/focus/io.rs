//! Inputs and outputs of the focus.

use crate::focus::Role;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Event;
use super::record::{Change, Found, HistoryChange, Query};
use crate::control::{Notice, Order};
use crate::log::Line;
use crate::wire::sip::{Headers, Method, Response};

/// A server transaction of the host: its key in tm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TransactionId {
    /// tm's hash index.
    pub hash: u32,
    /// tm's label.
    pub label: u32,
}

/// One of the host's SIP sockets, on which a request came in or is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Socket {
    /// The host's own handle for it, opaque to the focus.
    pub handle: u64,
    /// `udp`, `tcp`, `tls`, `ws`, `wss`.
    pub transport: String,
    /// Address the host advertises for it: literal IP or name, IPv6 in brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Socket {
    /// The `transport` of a URI that leads here: `ws` over TLS too (RFC 7118 §5.2).
    pub fn uri_transport(&self) -> &str {
        match self.transport.as_str() {
            "wss" => "ws",
            other => other,
        }
    }
}

/// A request from a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The server transaction to answer; `None` for ACK.
    pub transaction: Option<TransactionId>,
    /// The To-tag that the host puts into its own replies to this transaction, if it has one; then
    /// the dialog must use the same tag.
    pub to_tag: Option<String>,
    /// The message as received.
    pub message: Bytes,
    /// The Request-URI as the script left it.
    pub request_uri: String,
    /// Its source address.
    pub source: SocketAddr,
    /// The socket it came in on.
    pub socket: Socket,
    /// The caller's identity from the host (modparam `identity`).
    pub identity: String,
    /// The script's options for this request.
    pub options: ScriptOptions,
}

/// `msrp_conference_handle("name=value;…")`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptOptions {
    /// `create=yes|no`: overrides `adhoc` for this request.
    pub create: Option<bool>,
    /// `role=moderator|participant|observer`: overrides the room's lists.
    pub role: Option<Role>,
}

/// An input of the focus.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request other than CANCEL.
    Request(Box<Arrival>),
    /// The host answered a CANCEL for this transaction.
    Cancel(TransactionId),
    /// A provisional response to an INVITE of ours.
    Progress {
        /// The request.
        request: RequestId,
        /// Status code.
        code: u16,
    },
    /// The host has sent our 2xx to this transaction.
    Answered(TransactionId),
    /// The host has not sent our 2xx, most likely because it gave another final answer itself: the
    /// peer does not know the 2xx.
    Unanswered(TransactionId),
    /// The outcome of a request of ours.
    Outcome {
        /// The request.
        request: RequestId,
        /// The address an INVITE went to, if known.
        reached: Option<IpAddr>,
        /// Status code; 408 without a response.
        code: u16,
        /// The response; `None` when the host generated the code.
        response: Option<Box<Response>>,
    },
    /// A notice of the switch.
    Notice(Notice),
    /// The answer to [`Output::Ask`].
    Found(Found),
    /// Refuse new participants, or admit them again: at present the store cannot keep what a join
    /// promises.
    Close(bool),
    /// The time of `deadline()` has come.
    Deadline,
    /// The host stops: end every dialog and subscription.
    Stop,
    /// The host stops, and the next run will restore the stored state: store everything, and send
    /// nothing.
    Suspend,
}

/// Id of a request of ours, valid until its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// An answer to a server transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub code: u16,
    /// Reason phrase.
    pub reason: String,
    /// Headers beyond those the host copies (Via, From, To, Call-ID, CSeq) or counts
    /// (Content-Length).
    pub headers: Headers,
    /// Body; its Content-Type is in `headers`.
    pub body: Bytes,
    /// Our To-tag, if the host accepts one.
    pub to_tag: Option<String>,
    /// For a 2xx to INVITE: the host repeats it for 64*T1 (RFC 3261 §13.3.1.4), until an ACK or
    /// [`Output::Release`] comes.
    pub until_ack: bool,
}

/// A request of ours with all fields set; the host adds Via, Max-Forwards and Content-Length and
/// sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRequest {
    /// Its id in the outcome.
    pub id: RequestId,
    /// Method.
    pub method: Method,
    /// Request-URI (strict routing already worked in, RFC 3261 §12.2.1.1).
    pub request_uri: String,
    /// Route header values, top first; empty without a route set.
    pub routes: Vec<String>,
    /// Next hop, a SIP URI: the first route, else the Request-URI (RFC 3261 §8.1.2).
    pub next_hop: String,
    /// Flow to the peer, a SIP URI with the address it was last heard from. It is a shortcut over
    /// its connection while that lives (with `transport=wss` for a WebSocket in TLS), or the way
    /// through the NAT before it.
    pub flow: Option<String>,
    /// The user on whose behalf it is sent, an address of record: the identity that opened the
    /// dialog, the user who invited, or the dialled party that answered.
    pub principal: String,
    /// Call-ID.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// From URI (ours).
    pub local_uri: String,
    /// From tag.
    pub local_tag: String,
    /// To URI (theirs).
    pub remote_uri: String,
    /// To tag; empty outside a dialog.
    pub remote_tag: String,
    /// The socket to send from.
    pub socket: Socket,
    /// Headers beyond Via, From, To, Call-ID, CSeq, Max-Forwards, Route, Content-Length.
    pub headers: Headers,
    /// Body.
    pub body: Bytes,
}

/// An output of the focus: an action for the host side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Store these changes, all or none, before the following outputs are carried out.
    Store(Vec<Change>),
    /// Store this, too. Only the switch waits for it, and then gets this order.
    Remember(HistoryChange, Order),
    /// Query the store; the answer is [`Input::Found`]. Only the request that needs the answer may
    /// wait for it.
    Ask(Query),
    /// Answer a server transaction.
    Reply(TransactionId, Reply),
    /// Drop the 2xx to this transaction, which has not left yet: a refusal follows.
    Withdraw(TransactionId),
    /// Stop repeating the 2xx to this INVITE.
    Release(TransactionId),
    /// Send a request. An ACK has no outcome; it acknowledges a 2xx to an INVITE of ours.
    Send(Box<OutgoingRequest>),
    /// CANCEL an INVITE of ours that has no outcome yet; its outcome still comes.
    Cancel(RequestId),
    /// Send an order to the switch.
    Order(Order),
    /// Raise an event in the host.
    Event(Event),
    /// Write to the host's log.
    Log(Line),
}
