//! The vocabulary between focus and switch: orders one way, notices the other.
//!
//! Both travel over crossbeam channels inside the conference process, and serialised to a
//! switch outside it. Neither side knows anything else of the other. Every order names its
//! room, because a room lives on one switch thread and its orders stay in sequence there.
//!
//! # A switch that outlives its focus
//! Notices are not kept while no focus is there, nor those that were on their way when it
//! died: everything they say can be asked for. [`Notice::Connected`] tells the focus that a
//! switch is there; it then orders [`Order::Reconcile`] for every room it knows, naming the
//! sessions it believes in, and each is answered by [`Notice::Reconciled`]:
//!
//! | missed | is in the answer as |
//! | --- | --- |
//! | `Lost`, an `Admit` that never arrived | [`Standing::Gone`] |
//! | `Admitted` | [`Standing::Waiting`] |
//! | `Bound` | [`Standing::Bound`] |
//! | `Nickname` | [`Stand::nickname`] |
//! | `Refused` | [`Standing::Gone`] |
//! | `Certificate` | said again right after `Connected` |
//! | an `Expel` that never arrived | the session is not claimed, so it ends |
//!
//! A room that ended is not reconciled; a focus that lives keeps its `Close` for the switch.
//!
//! A notice about a session may come shortly before the answer that says the same of it: the
//! focus ignores what it knows already. Queueing instead would bound what can be missed by a
//! queue's size and still lose what was written to a focus that died before it read it.

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

/// What a room allows its members at the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomPolicy {
    /// Nicknames may be set (RFC 7701 §7).
    pub nicknames: bool,
    /// Private messages may be sent (RFC 7701 §6.2).
    pub private_messages: bool,
    /// The largest message in octets; more is answered 413.
    pub max_message_size: u64,
    /// Text that is not wrapped in message/cpim is taken, and wrapped here (room option
    /// `plain_text`).
    pub plain_text: bool,
    /// How many of the room's last messages a newcomer is given, [`HISTORY_MESSAGES`] at
    /// most; 0: none are kept.
    pub history: u16,
    /// How long an admitted session may stay without a connection before it counts as lost.
    pub bind_timeout: Duration,
}

/// How MSRP travels on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// `msrp:` over TCP.
    Tcp,
    /// `msrps:` over TLS.
    Tls,
}

/// One MSRP listener: the switch listens there, the focus sends peers there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Its transport.
    pub transport: Transport,
    /// Where it listens; port 0 takes any free one.
    pub address: SocketAddr,
}

impl Listen {
    /// Whether who is sent to `named` comes to this one.
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
            // Linux takes IPv4 there, too, unless `bindv6only` is set.
            IpAddr::V6(own) => own.is_unspecified() || peer.is_ipv6(),
            IpAddr::V4(_) => peer.is_ipv4(),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Tcp => "msrp",
            Transport::Tls => "msrps",
        };
        write!(f, "{scheme}:{}", self.address)
    }
}

/// What contradicts what the other side has: the first listener named that nobody serves.
pub fn unserved<'a>(named: &'a [Listen], there: &[Listen]) -> Option<&'a Listen> {
    let served = |named: &&Listen| there.iter().any(|it| it.serves(named));
    named.iter().find(|named| !served(named))
}

/// Which side opens the connection (RFC 4975 §5.4, RFC 6135).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Setup {
    /// The peer connects to us.
    Passive,
    /// We connect to where [`Peer::dial`] says.
    Active,
}

/// Where the switch connects to when it is the active side. Whether it may is the switch's
/// decision (modparam `dial_allow`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dial {
    /// Literal address (IPv6 without brackets) or host name: of the first URI of the path
    /// (RFC 4975 §5.4), or of the c= line under CEMA (RFC 6714 §4.3).
    pub host: String,
    /// Port.
    pub port: u16,
    /// Over TLS.
    pub secure: bool,
    /// The host of the path's first URI: what the peer's certificate must name unless there
    /// are fingerprints (RFC 4975 §14.2).
    pub name: String,
    /// Where the offer or answer came from; none when it is not known.
    pub source: Option<IpAddr>,
}

/// What the peer's SDP said.
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
    /// It takes text/plain and no message/cpim: what it gets is unwrapped, with the sender's
    /// name in front (room option `plain_text`).
    pub plain_text: bool,
    /// It takes a message in one SEND only: a large one to it is not interrupted
    /// (`one_send_agents`).
    pub one_send: bool,
    /// The peer may send content (not `recvonly` seen from it).
    pub sends: bool,
    /// The peer wants content (not `sendonly` seen from it).
    pub receives: bool,
    /// `a=fingerprint` (RFC 8122): when there are any, only a certificate with one of them
    /// is the peer's (RFC 4975 §14.4).
    pub fingerprints: Vec<Fingerprint>,
    /// Where to connect to; none unless we are [`Setup::Active`].
    pub dial: Option<Dial>,
}

impl Peer {
    /// One that has not answered our offer yet.
    pub fn silent() -> Self {
        Self {
            path: Vec::new(),
            accept_types: Vec::new(),
            accept_wrapped_types: Vec::new(),
            max_size: None,
            // Nobody is greeted as unaware of rooms before it has said so (RFC 7701 §11).
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

/// One endpoint as the switch must know it.
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
    /// Who it is.
    pub user: UserUri,
    /// The name to show, empty when unknown.
    pub display: String,
    /// The nickname its user has in the room already; a switch that knows of none gives it
    /// back, unless somebody else has it by now.
    pub nickname: Option<String>,
    /// Every address of record it may write as CPIM From (canonical); holds `user`.
    pub uris: Vec<UserUri>,
    /// It was not in the room before: it is given the room's history.
    pub newcomer: bool,
    /// Who connects.
    pub setup: Setup,
    /// What it told us.
    pub peer: Peer,
}

/// Why the switch does not admit an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdmitError {
    /// No room for one more session.
    Full,
    /// The switch is going down.
    Stopping,
    /// The switch is outside the proxy and cannot be reached.
    Unreachable,
}

/// How a session ended without an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LossCause {
    /// Nobody bound it within `bind_timeout`.
    NeverBound,
    /// The connection closed or failed.
    Disconnected,
    /// The peer broke the protocol in a way that ended its connection.
    ProtocolError,
    /// A message to it failed (no response, or a failure REPORT; RFC 4975 §7.3.2).
    Undeliverable,
    /// It did not take what waited for it, and the operator wants such connections closed
    /// (RFC 7701 §6.4).
    TooSlow,
}

/// One run of a switch: sessions of another run are gone, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SwitchRun(pub u128);

impl SwitchRun {
    /// A run like no other.
    pub fn new(entropy: &mut impl Entropy) -> Self {
        let mut octets = [0; 16];
        entropy.fill(&mut octets);
        Self(u128::from_be_bytes(octets))
    }
}

/// One change of a nickname at one thread of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NicknameChange(pub u64);

/// Most sessions one [`Order::Reconcile`] names, so that the order and its answer stay small
/// (a session and its nickname are well below a kilobyte).
pub const RECONCILE_SESSIONS: usize = 256;

/// How long a nickname is kept for a user who has left (RFC 7701 §7.1).
pub const QUARANTINE: Duration = Duration::from_secs(600);

/// A nickname that is kept for a user who is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldNickname {
    /// Whose.
    pub user: UserUri,
    /// As the user wrote it.
    pub nickname: String,
    /// How much longer.
    pub left: Duration,
}

/// Most messages of a room that a newcomer is given (room option `history`).
pub const HISTORY_MESSAGES: u16 = 500;

/// Most octets of them, whatever an outbox holds: a room's whole history is then one order
/// below the control protocol's longest frame.
pub const HISTORY_OCTETS: usize = 512 * 1024;

/// A message of a room's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMessage {
    /// Its place in the room's history: later ones have higher numbers, over every run of a
    /// switch (milliseconds since 1970, and one more than the last where that is not more).
    pub number: u64,
    /// The whole message/cpim.
    pub octets: Bytes,
}

/// How a session the focus believes in stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// A connection is bound to it.
    Bound,
    /// It waits for its connection.
    Waiting,
    /// The switch does not have it.
    Gone,
}

/// The answer for one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// The session.
    pub session: SessionId,
    /// How it stands.
    pub standing: Standing,
    /// The nickname its user has in the room, as the user wrote it; `None` when gone.
    pub nickname: Option<String>,
}

/// A message that a participant has sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The room.
    pub room: RoomUri,
    /// Who.
    pub user: UserUri,
    /// Octets of the whole CPIM message.
    pub size: u64,
    /// The wrapped content type, without parameters.
    pub content_type: String,
    /// It was for one participant, not for the room.
    pub private: bool,
}

/// What the focus asks of the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Take this endpoint in; answered by `Admitted` or `Refused`.
    Admit(Box<Admission>),
    /// The same session with new facts (a re-INVITE changed its SDP). No answer. A changed
    /// peer path unbinds the session: its next connection must bind again.
    Amend(Box<Admission>),
    /// End the session and its connection, unless other sessions use that. No answer.
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
    /// These are sessions of the room the focus believes in; answered by `Reconciled`. The
    /// switch keeps those it has. A room with more than [`RECONCILE_SESSIONS`] takes several.
    Reconcile {
        /// The room.
        room: RoomUri,
        /// The sessions, [`RECONCILE_SESSIONS`] at most.
        sessions: Vec<SessionId>,
        /// Nothing more follows for this room: what no focus has claimed of it ends at once,
        /// without a notice.
        last: bool,
    },
    /// Tell everybody in the room something, in its name. No answer.
    Say {
        /// The room.
        room: RoomUri,
        /// What.
        text: String,
    },
    /// Whether the switch reports every message by `Said` from now on. It does not until
    /// ordered, nor after `Connected`. No answer.
    ReportMessages(bool),
    /// Nobody else gets these nicknames of the room, unless they are somebody's by now: they
    /// were held for their users by another run of the switch. No answer.
    Hold {
        /// The room.
        room: RoomUri,
        /// The nicknames, [`RECONCILE_SESSIONS`] at most.
        nicknames: Vec<HeldNickname>,
    },
    /// What [`Notice::Nickname`] told is kept; only now is it promised to the participant.
    Kept {
        /// The room.
        room: RoomUri,
        /// The change.
        change: NicknameChange,
    },
    /// What is known of the room's history, for a switch that does not have the room; one
    /// that has it knows better. Comes before the `Admit` it is for. No answer.
    Recall {
        /// The room.
        room: RoomUri,
        /// The messages in order, [`HISTORY_MESSAGES`] and [`HISTORY_OCTETS`] at most.
        messages: Vec<PastMessage>,
    },
    /// What [`Notice::Remember`] told is kept now, or never will be. No answer.
    Remembered {
        /// The room.
        room: RoomUri,
        /// The number of the last message.
        up_to: u64,
        /// Octets of all of them.
        octets: usize,
    },
    /// The room's history ends; answered by `Forgotten`.
    Forget {
        /// The room.
        room: RoomUri,
    },
    /// The session is in its room no more; its connection stays until `Expel` follows, a
    /// second at most, while its peer gets the BYE. No answer.
    Part {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
    },
    /// A message that came with the INVITE of this session: taken as if it came over MSRP.
    /// No answer; a refusal goes to the session as a message.
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
    /// The `Reconcile` orders that present a room's sessions: one at least, so that a room the
    /// focus believes to be empty is emptied.
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

    /// The `Hold` orders for a room's nicknames; none if there are none.
    pub fn hold(room: &RoomUri, nicknames: &[HeldNickname]) -> Vec<Order> {
        let chunks = nicknames.chunks(RECONCILE_SESSIONS);
        let order = |chunk: &[HeldNickname]| Order::Hold {
            room: room.clone(),
            nicknames: chunk.to_vec(),
        };
        chunks.map(order).collect()
    }

    /// The room the order is about; `None` for those about all.
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

    /// Whether it lets the switch promise something, and so must wait until that is kept.
    pub fn is_promise(&self) -> bool {
        matches!(self, Order::Kept { .. })
    }
}

/// What the switch tells the focus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// A switch is there; the focus presents its sessions by `Reconcile`. Comes once with the
    /// embedded switch, and after every loss of touch with one outside the proxy.
    Connected {
        /// Which run of it.
        run: SwitchRun,
        /// Where it takes MSRP connections.
        listen: Vec<Listen>,
    },
    /// A switch outside the proxy cannot be reached; `Admit` is answered `Refused` meanwhile.
    /// Its sessions may go on: nothing is known of them until `Connected`.
    Disconnected,
    /// The answer to `Reconcile`, in the order asked.
    Reconciled {
        /// Its room.
        room: RoomUri,
        /// How the sessions stand.
        sessions: Vec<Stand>,
    },
    /// The session exists: its connection may come.
    Admitted {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
    },
    /// The session does not exist.
    Refused {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
        /// Why.
        error: AdmitError,
    },
    /// A connection has bound itself to the session.
    Bound {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
    },
    /// The session ended by itself and is forgotten at the switch.
    Lost {
        /// Its room.
        room: RoomUri,
        /// The session.
        session: SessionId,
        /// How.
        cause: LossCause,
    },
    /// A participant's nickname changed (RFC 7701 §7); `None`: removed. Answered by
    /// [`Order::Kept`].
    Nickname {
        /// The room.
        room: RoomUri,
        /// Whose.
        user: UserUri,
        /// The new one, as the user wrote it.
        nickname: Option<String>,
        /// Which change this is.
        change: NicknameChange,
    },
    /// So many messages came in the room since it was last said; within a second of the
    /// first.
    Counted {
        /// The room.
        room: RoomUri,
        /// How many.
        messages: u64,
    },
    /// The room's history has changed; answered by `Remembered`. Only so much is told without
    /// an answer, and what came meanwhile is told then, as far as it is still in the history.
    /// What no focus heard is told again when one is there. The same may come twice.
    Remember {
        /// The room.
        room: RoomUri,
        /// Messages that are in it from now on; at least one.
        messages: Vec<PastMessage>,
        /// Those up to this number are not, any more.
        gone: u64,
    },
    /// Nothing of the room's history that was told before this is in it any more.
    Forgotten {
        /// The room.
        room: RoomUri,
    },
    /// A message has come; after `ReportMessages` only, and at a bounded rate.
    Said(Said),
    /// The certificate of the TLS listeners has this fingerprint from now on: the value of
    /// our `a=fingerprint` (RFC 8122).
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
