//! What goes into the focus and what comes out of it.

use crate::focus::Role;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Event;
use super::record::{Change, Found, HistoryChange, Query};
use crate::control::{Notice, Order};
use crate::log::Line;
use crate::wire::sip::{Headers, Method, Response};

/// A server transaction of the host: the pair tm knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TransactionId {
    /// tm's hash index.
    pub hash: u32,
    /// tm's label.
    pub label: u32,
}

/// One of the host's SIP sockets: where a request came in, and where to send from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Socket {
    /// The host's own name of it, opaque to the focus.
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

/// A request a worker handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The server transaction to answer; none for ACK.
    pub transaction: Option<TransactionId>,
    /// The To-tag the host will put into its own replies to this transaction, when it has
    /// one; then the dialog must use it too.
    pub to_tag: Option<String>,
    /// The message as received.
    pub message: Bytes,
    /// The Request-URI as the script left it.
    pub request_uri: String,
    /// Where it came from.
    pub source: SocketAddr,
    /// Where it came in.
    pub socket: Socket,
    /// Who the host says the caller is (modparam `identity`).
    pub identity: String,
    /// What the script said about this request.
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

/// What happens to the focus.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request, CANCEL aside.
    Request(Box<Arrival>),
    /// The host answered a CANCEL; this is the transaction it meant.
    Cancel(TransactionId),
    /// A provisional response to an INVITE of ours.
    Progress {
        /// The request.
        request: RequestId,
        /// Status code.
        code: u16,
    },
    /// The host took our 2xx to this transaction: it has left.
    Answered(TransactionId),
    /// The host did not take it, most likely because it gave another final answer itself:
    /// the peer has not been told what the 2xx says.
    Unanswered(TransactionId),
    /// The outcome of a request of ours.
    Outcome {
        /// The request.
        request: RequestId,
        /// The address an INVITE went to, where that is known.
        reached: Option<IpAddr>,
        /// Status code; 408 when nothing came.
        code: u16,
        /// The response, unless the host made the code up.
        response: Option<Box<Response>>,
    },
    /// The switch says something.
    Notice(Notice),
    /// What was asked by [`Output::Ask`].
    Found(Found),
    /// Nobody new may come in, or everybody again: what joins promise cannot be kept now.
    Close(bool),
    /// The moment of `deadline()` has come.
    Deadline,
    /// The host stops: end every dialog and subscription.
    Stop,
    /// The host stops, and the next run will restore what is kept: everything is kept as it
    /// is, and nobody is told.
    Suspend,
}

/// A request of ours, until its outcome.
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
    /// Body; its Content-Type stands in `headers`.
    pub body: Bytes,
    /// Our To-tag, where the host takes one.
    pub to_tag: Option<String>,
    /// A 2xx to INVITE: the host repeats it for 64*T1 (RFC 3261 §13.3.1.4) unless there is
    /// an ACK, or [`Output::Release`], before.
    pub until_ack: bool,
}

/// A request of ours, all fields decided; the host adds Via, Max-Forwards, Content-Length
/// and sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRequest {
    /// How its outcome will be named.
    pub id: RequestId,
    /// Method.
    pub method: Method,
    /// Request-URI (strict routing already worked in, RFC 3261 §12.2.1.1).
    pub request_uri: String,
    /// Route header values, top first; empty without a route set.
    pub routes: Vec<String>,
    /// Where to send, a SIP URI: the first route, else the Request-URI (RFC 3261 §8.1.2).
    pub next_hop: String,
    /// Where the peer was last heard from, a SIP URI with an address: its connection, which is
    /// a shortcut while it lives (with `transport=wss` where that is a WebSocket in TLS), or
    /// the way through the NAT before it.
    pub flow: Option<String>,
    /// On whose behalf, an address of record: the identity that opened the dialog, the user
    /// who invited, the party that was dialled and answered.
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

/// What the focus wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Keep these changes, all or none, before anything that follows is told to anybody.
    Store(Vec<Change>),
    /// Keep this, too; nobody waits for it but the switch, which is told then.
    Remember(HistoryChange, Order),
    /// Ask whoever keeps records; the answer is [`Input::Found`]. Nobody may wait for it but
    /// who it is for.
    Ask(Query),
    /// Answer a server transaction.
    Reply(TransactionId, Reply),
    /// Forget the 2xx to this transaction, which has not left yet: a refusal follows.
    Withdraw(TransactionId),
    /// The 2xx to this INVITE need not be repeated any more.
    Release(TransactionId),
    /// Send a request. An ACK has no outcome; it is of a 2xx to an INVITE of ours.
    Send(Box<OutgoingRequest>),
    /// CANCEL an INVITE of ours that has no outcome yet; its outcome still comes.
    Cancel(RequestId),
    /// Tell the switch.
    Order(Order),
    /// Tell whoever listens in the host.
    Event(Event),
    /// Write to the host's log.
    Log(Line),
}
