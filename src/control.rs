//! The vocabulary between focus and switch: orders one way, notices the other.
//!
//! Both travel over crossbeam channels inside the conference process, and serialised to a switch
//! outside it. The two sides share nothing else. Every order names its room, because a room lives
//! on one switch thread and its orders stay in sequence there.
//!
//! # A switch that outlives its focus
//! Notices are lost while no focus is there, and so are those on their way when it dies. The focus
//! can recover all their contents: [`Notice::Connected`] announces a switch; the focus then sends
//! [`Order::Reconcile`] for every room it knows, naming the sessions it has, and the switch answers
//! each with [`Notice::Reconciled`]:
//!
//! | missed | recovered from |
//! | --- | --- |
//! | `Lost`, an `Admit` that never arrived | [`Standing::Gone`] |
//! | `Admitted` | [`Standing::Waiting`] |
//! | `Bound` | [`Standing::Bound`] |
//! | `Nickname` | [`Stand::nickname`] |
//! | `Refused` | [`Standing::Gone`] |
//! | `Certificate` | the notice itself, repeated right after `Connected` |
//! | an `Expel` that never arrived | the end of the session: the focus does not name it |
//!
//! A room that ended is not reconciled; a focus that is still running keeps its `Close` for the
//! switch.
//!
//! A notice about a session may come shortly before the answer with the same contents: the focus
//! ignores repeated facts. A queue of notices instead would be bounded by its size, and would still
//! lose what was written to a focus that died before reading it.

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entropy::Entropy;

use crate::wire::fingerprint::Fingerprint;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes text that is already in canonical form.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, to be shared.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// A room's canonical URI, `sip:user@host`: lower-case host, no port, no parameters
    /// (`wire::sip::Uri::address_of_record`).
    RoomUri
}
text_id! {
    /// A participant's canonical address of record, as the roster shows it.
    UserUri
}
text_id! {
    /// The session-id of the MSRP URI we gave to one endpoint (RFC 4975 §14.1): at least
    /// 128 random bits, new for every session.
    SessionId
}

/// Rules the switch enforces for the members of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomPolicy {
    /// Nicknames may be set (RFC 7701 §7).
    pub nicknames: bool,
    /// Private messages may be sent (RFC 7701 §6.2).
    pub private_messages: bool,
    /// The largest message in octets; more is answered 413.
    pub max_message_size: u64,
    /// Accepts text that is not wrapped in message/cpim; the switch wraps it (room option
    /// `plain_text`).
    pub plain_text: bool,
    /// Number of past messages sent to a newcomer, at most [`HISTORY_MESSAGES`]; with 0 the switch
    /// keeps none.
    pub history: u16,
    /// Time an admitted session may stay without a connection before it counts as lost.
    pub bind_timeout: Duration,
}

/// How MSRP travels on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// `msrp:` over TCP.
    Tcp,
    /// `msrps:` over TLS.
    Tls,
    /// `ws:`: over WebSocket (RFC 7977).
    Ws,
    /// `wss:`: over WebSocket over TLS.
    Wss,
}

impl Transport {
    /// URI scheme of a listener's address.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "msrp",
            Self::Tls => "msrps",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The transport of a listener with this scheme.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        let all = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss];
        all.into_iter().find(|it| it.scheme() == scheme)
    }

    /// Runs over TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Runs over WebSocket.
    pub fn is_web(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// One MSRP listener: the switch listens on it, and the focus sends peers to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Its transport.
    pub transport: Transport,
    /// Address and port; port 0 takes any free one.
    pub address: SocketAddr,
}

impl Listen {
    /// Whether a peer that is sent to `named` reaches this listener.
    pub fn serves(&self, named: &Self) -> bool {
        let (own, other) = (self.address, named.address);
        self.transport == named.transport
            && own.port() == other.port()
            && (own.ip() == other.ip() || (own.ip().is_unspecified() && self.meets(&other.ip())))
    }

    /// Whether a peer with this address can connect here: both are of one family, or the
    /// listener takes both.
    pub fn meets(&self, peer: &IpAddr) -> bool {
        match self.address.ip() {
            // Linux also accepts IPv4 there, unless `bindv6only` is set.
            IpAddr::V6(own) => own.is_unspecified() || peer.is_ipv6(),
            IpAddr::V4(_) => peer.is_ipv4(),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.scheme(), self.address)
    }
}

/// The first listener of `named` that none of those in `there` serves.
pub fn unserved<'a>(named: &'a [Listen], there: &[Listen]) -> Option<&'a Listen> {
    let served = |named: &&Listen| there.iter().any(|it| it.serves(named));
    named.iter().find(|named| !served(named))
}

/// Which side opens the connection (RFC 4975 §5.4, RFC 6135).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Setup {
    /// The peer connects to us.
    Passive,
    /// We connect to the address in [`Peer::dial`].
    Active,
}

/// The address the switch connects to when it is the active side. The switch decides whether it may
/// (modparam `dial_allow`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dial {
    /// Literal address (IPv6 without brackets) or host name: of the first URI of the path
    /// (RFC 4975 §5.4), or of the c= line under CEMA (RFC 6714 §4.3).
    pub host: String,
    /// Port.
    pub port: u16,
    /// Connects over TLS.
    pub secure: bool,
    /// The host of the path's first URI. The peer's certificate must name it unless there are
    /// fingerprints (RFC 4975 §14.2).
    pub name: String,
    /// IP address the offer or answer came from; `None` when unknown.
    pub source: Option<IpAddr>,
}

/// Contents of the peer's SDP.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// `a=path`, next hop first, the peer's own URI last.
    pub path: Vec<String>,
    /// `a=accept-types`.
    pub accept_types: Vec<String>,
    /// `a=accept-wrapped-types`; empty when absent.
    pub accept_wrapped_types: Vec<String>,
    /// `a=max-size`, octets of a whole message.
    pub max_size: Option<u64>,
    /// `a=chatroom` was present.
    pub chatroom: bool,
    /// `a=chatroom` named private messages.
    pub private_messages: bool,
    /// The peer takes text/plain but not message/cpim: the switch unwraps messages to it and puts
    /// the sender's name in front (room option `plain_text`).
    pub plain_text: bool,
    /// The peer takes a message in one SEND only: a large message to it is not interrupted
    /// (`one_send_agents`).
    pub one_send: bool,
    /// The peer may send content (not `recvonly` seen from it).
    pub sends: bool,
    /// The peer wants content (not `sendonly` seen from it).
    pub receives: bool,
    /// `a=fingerprint` (RFC 8122). If there are any, the peer's certificate must match one of them
    /// (RFC 4975 §14.4).
    pub fingerprints: Vec<Fingerprint>,
    /// The address to connect to; `None` unless we are [`Setup::Active`].
    pub dial: Option<Dial>,
}

impl Peer {
    /// A peer that has not answered our offer yet.
    pub fn silent() -> Self {
        Self {
            path: Vec::new(),
            accept_types: Vec::new(),
            accept_wrapped_types: Vec::new(),
            max_size: None,
            // Assume the peer knows chat rooms until its SDP says otherwise (RFC 7701 §11).
            chatroom: true,
            private_messages: false,
            plain_text: false,
            one_send: false,
            sends: true,
            receives: true,
            fingerprints: Vec::new(),
            dial: None,
        }
    }
}

/// One endpoint as the switch sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Its session.
    pub session: SessionId,
    /// Its room.
    pub room: RoomUri,
    /// The room's rules, the same for every member.
    pub policy: RoomPolicy,
    /// The MSRP URI we gave it, octet for octet as in our SDP.
    pub own_uri: String,
    /// The user's address of record.
    pub user: UserUri,
    /// Display name, empty when unknown.
    pub display: String,
    /// The nickname the user already has in the room. A switch that does not know it assigns it to
    /// the user again, unless another user has it by now.
    pub nickname: Option<String>,
    /// Addresses of record (canonical) the endpoint may write as CPIM From; includes `user`.
    pub uris: Vec<UserUri>,
    /// The endpoint was not in the room before: it gets the room's history.
    pub newcomer: bool,
    /// The side that opens the connection.
    pub setup: Setup,
    /// Contents of the peer's SDP.
    pub peer: Peer,
}

/// Why the switch does not admit an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdmitError {
    /// The switch cannot take one more session.
    Full,
    /// The switch is shutting down.
    Stopping,
    /// The switch is outside the proxy and cannot be reached.
    Unreachable,
}

/// Why a session ended without an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LossCause {
    /// No connection bound it within `bind_timeout`.
    NeverBound,
    /// The connection closed or failed.
    Disconnected,
    /// The peer broke the protocol in a way that ended its connection.
    ProtocolError,
    /// A message to it failed (no response, or a failure REPORT; RFC 4975 §7.3.2).
    Undeliverable,
    /// The peer did not read its pending messages, and the operator wants such connections closed
    /// (RFC 7701 §6.4).
    TooSlow,
}

/// One run of a switch: it has no sessions of earlier runs. Packed, because the alignment of a
/// `u128` would make every endpoint larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(C, packed(8))]
pub struct SwitchRun(pub u128);

impl SwitchRun {
    /// A new random run id.
    pub fn new(entropy: &mut impl Entropy) -> Self {
        let mut octets = [0; 16];
        entropy.fill(&mut octets);
        Self(u128::from_be_bytes(octets))
    }
}

/// One change of a nickname at one thread of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NicknameChange(pub u64);

/// Most sessions in one [`Order::Reconcile`]. It keeps the order and its answer small: a session
/// and its nickname take well below a kilobyte.
pub const RECONCILE_SESSIONS: usize = 256;

/// Time a nickname stays reserved after its user has left (RFC 7701 §7.1).
pub const QUARANTINE: Duration = Duration::from_secs(600);

/// A nickname reserved for a user who has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldNickname {
    /// The user it is reserved for.
    pub user: UserUri,
    /// The nickname, as the user wrote it.
    pub nickname: String,
    /// Remaining time of the reservation.
    pub left: Duration,
}

/// Most past messages sent to a newcomer (room option `history`).
pub const HISTORY_MESSAGES: u16 = 500;

/// Most octets of a room's history, independent of the outbox size: a whole history then fits into
/// one frame of the control protocol.
pub const HISTORY_OCTETS: usize = 512 * 1024;

/// A message of a room's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMessage {
    /// Its position in the room's history. Numbers grow over all runs of a switch: each is the time
    /// in milliseconds since 1970, or the last number plus one if that is larger.
    pub number: u64,
    /// The whole message/cpim.
    pub octets: Bytes,
}

/// State of a session in the answer to [`Order::Reconcile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// A connection is bound to it.
    Bound,
    /// The session waits for its connection.
    Waiting,
    /// The switch does not have the session.
    Gone,
}

/// The answer of the switch for one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// The session.
    pub session: SessionId,
    /// Its state.
    pub standing: Standing,
    /// The nickname its user has in the room, as the user wrote it; `None` when gone.
    pub nickname: Option<String>,
}

/// A message that a participant has sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The room.
    pub room: RoomUri,
    /// The sender.
    pub user: UserUri,
    /// Octets of the whole CPIM message.
    pub size: u64,
    /// The wrapped content type, without parameters.
    pub content_type: String,
    /// The message was private: for one participant, not for the room.
    pub private: bool,
}

/// An order of the focus to the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Admit this endpoint; answered by `Admitted` or `Refused`.
    Admit(Box<Admission>),
    /// The same session with new parameters (a re-INVITE changed its SDP). No answer. A changed
    /// peer path unbinds the session: its next connection must bind again.
    Amend(Box<Admission>),
    /// End the session, and its connection unless other sessions use it. No answer.
    Expel {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
    },
    /// End every session of the room. No answer.
    Close {
        /// The room.
        room: RoomUri,
    },
    /// Sessions of the room that the focus knows; answered by `Reconciled`. The switch keeps those
    /// it has. A room with more than [`RECONCILE_SESSIONS`] sessions takes several orders.
    Reconcile {
        /// The room.
        room: RoomUri,
        /// The sessions, [`RECONCILE_SESSIONS`] at most.
        sessions: Vec<SessionId>,
        /// This is the last order for the room: sessions of it that the focus has not named end at
        /// once, without a notice.
        last: bool,
    },
    /// Send a text to everybody in the room, in the name of the room. No answer.
    Say {
        /// The room.
        room: RoomUri,
        /// The text.
        text: String,
    },
    /// Whether the switch reports every message by `Said` from now on. Off at first and after every
    /// `Connected`. No answer.
    ReportMessages(bool),
    /// Reserve these nicknames of the room, except those in use by now: another run of the switch
    /// had reserved them for their users. No answer.
    Hold {
        /// The room.
        room: RoomUri,
        /// The nicknames, [`RECONCILE_SESSIONS`] at most.
        nicknames: Vec<HeldNickname>,
    },
    /// The nickname of [`Notice::Nickname`] is stored: only now the switch confirms it to the
    /// participant.
    Kept {
        /// The room.
        room: RoomUri,
        /// The change.
        change: NicknameChange,
    },
    /// The stored history of the room, for a switch that does not have the room; a switch that has
    /// it ignores the order. Comes before the `Admit` that needs it. No answer.
    Recall {
        /// The room.
        room: RoomUri,
        /// The messages in order, [`HISTORY_MESSAGES`] and [`HISTORY_OCTETS`] at most.
        messages: Vec<PastMessage>,
    },
    /// The messages of [`Notice::Remember`] are stored, or never will be. No answer.
    Remembered {
        /// The room.
        room: RoomUri,
        /// The number of the last message.
        up_to: u64,
        /// Total octets of the messages.
        octets: usize,
    },
    /// Delete the room's history; answered by `Forgotten`.
    Forget {
        /// The room.
        room: RoomUri,
    },
    /// The session has left its room. Its connection stays open while the peer gets the BYE, until
    /// `Expel` follows, for at most a second. No answer.
    Part {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
    },
    /// A message from the INVITE of this session: the switch treats it as received over MSRP. No
    /// answer; the switch reports a refusal to the session in a message.
    Submit {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
        /// The whole message/cpim.
        message: Bytes,
    },
}

impl Order {
    /// The `Reconcile` orders that name a room's sessions. There is at least one: a room without
    /// sessions must be emptied, too.
    pub fn reconcile(room: &RoomUri, sessions: &[SessionId]) -> Vec<Order> {
        let mut chunks: Vec<&[SessionId]> = sessions.chunks(RECONCILE_SESSIONS).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let last = chunks.len() - 1;
        let order = |(number, chunk): (usize, &[SessionId])| Order::Reconcile {
            room: room.clone(),
            sessions: chunk.to_vec(),
            last: number == last,
        };
        chunks.into_iter().enumerate().map(order).collect()
    }

    /// The `Hold` orders for a room's nicknames; empty without nicknames.
    pub fn hold(room: &RoomUri, nicknames: &[HeldNickname]) -> Vec<Order> {
        let chunks = nicknames.chunks(RECONCILE_SESSIONS);
        let order = |chunk: &[HeldNickname]| Order::Hold {
            room: room.clone(),
            nicknames: chunk.to_vec(),
        };
        chunks.map(order).collect()
    }

    /// The room of the order; `None` for orders about all rooms.
    pub fn room(&self) -> Option<&RoomUri> {
        match self {
            Order::Admit(admission) | Order::Amend(admission) => Some(&admission.room),
            Order::Expel { room, .. }
            | Order::Close { room }
            | Order::Say { room, .. }
            | Order::Hold { room, .. }
            | Order::Kept { room, .. }
            | Order::Recall { room, .. }
            | Order::Remembered { room, .. }
            | Order::Forget { room }
            | Order::Part { room, .. }
            | Order::Submit { room, .. }
            | Order::Reconcile { room, .. } => Some(room),
            Order::ReportMessages(_) => None,
        }
    }

    /// Whether the order lets the switch confirm something, so that it must wait for the store.
    pub fn is_promise(&self) -> bool {
        matches!(self, Order::Kept { .. })
    }
}

/// A notice of the switch to the focus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// A switch is reachable; the focus names its sessions by `Reconcile`. Comes once with the
    /// embedded switch, and after every reconnection with one outside the proxy.
    Connected {
        /// The run of the switch.
        run: SwitchRun,
        /// Addresses it accepts MSRP connections on.
        listen: Vec<Listen>,
    },
    /// A switch outside the proxy cannot be reached; `Admit` is answered `Refused` meanwhile. Its
    /// sessions may go on: their state is unknown until `Connected`.
    Disconnected,
    /// The answer to `Reconcile`, in the order of the request.
    Reconciled {
        /// Its room.
        room: RoomUri,
        /// States of the sessions.
        sessions: Vec<Stand>,
    },
    /// The switch has admitted the session and waits for its connection.
    Admitted {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
    },
    /// The switch has not admitted the session.
    Refused {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
        /// The reason.
        error: AdmitError,
    },
    /// A connection is bound to the session.
    Bound {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
    },
    /// The session ended without an order; the switch has forgotten it.
    Lost {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
        /// The cause.
        cause: LossCause,
    },
    /// A participant's nickname changed (RFC 7701 §7); `None`: removed. Answered by
    /// [`Order::Kept`].
    Nickname {
        /// The room.
        room: RoomUri,
        /// The user.
        user: UserUri,
        /// The new one, as the user wrote it.
        nickname: Option<String>,
        /// Number of the change.
        change: NicknameChange,
    },
    /// Messages counted in the room since the last such notice; sent within a second of the first
    /// message.
    Counted {
        /// The room.
        room: RoomUri,
        /// Number of messages.
        messages: u64,
    },
    /// The room's history has changed; answered by `Remembered`. The switch sends a bounded amount
    /// without an answer. It sends later messages after the answer, if they are still in the
    /// history. Changes that no focus received are sent again once a focus is there. The same
    /// change may come twice.
    Remember {
        /// The room.
        room: RoomUri,
        /// Messages added to the history; at least one.
        messages: Vec<PastMessage>,
        /// Messages up to this number have left the history.
        gone: u64,
    },
    /// The room's history no longer contains any message reported before this notice.
    Forgotten {
        /// The room.
        room: RoomUri,
    },
    /// A participant sent a message; only after `ReportMessages`, and at a bounded rate.
    Said(Said),
    /// New fingerprint of the certificate of the TLS listeners: the value of our `a=fingerprint`
    /// (RFC 8122).
    Certificate {
        /// `SHA-256 …`.
        fingerprint: Fingerprint,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_names_its_room() {
        let room = RoomUri::new("sip:lobby@example.com");
        let order = Order::Close { room: room.clone() };
        assert_eq!(order.room(), Some(&room));
        assert_eq!(Order::ReportMessages(true).room(), None);
    }

    #[test]
    fn a_room_is_presented_in_bounded_parts_the_last_of_which_says_so() {
        let room = RoomUri::new("sip:lobby@example.com");
        for count in [
            0,
            1,
            RECONCILE_SESSIONS,
            RECONCILE_SESSIONS + 1,
            3 * RECONCILE_SESSIONS,
        ] {
            let all: Vec<_> = (0..count)
                .map(|n| SessionId::new(format!("s{n}")))
                .collect();
            let mut named = Vec::new();
            let mut lasts = Vec::new();
            for order in Order::reconcile(&room, &all) {
                let Order::Reconcile { sessions, last, .. } = order else {
                    panic!("{order:?}");
                };
                assert!(sessions.len() <= RECONCILE_SESSIONS);
                named.extend(sessions);
                lasts.push(last);
            }
            assert_eq!(named, all);
            assert_eq!(lasts.pop(), Some(true));
            assert!(!lasts.contains(&true));
        }
    }
}
