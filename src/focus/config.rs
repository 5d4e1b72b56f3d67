//! What the operator decided, already validated (`crate::parameters`).

use std::fmt;
use std::time::Duration;

use super::rules::RoomEntry;
use crate::control::Listen;

/// What `a=path` names instead of the SIP socket's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// Literal IP (IPv6 in brackets) or host name.
    pub host: String,
    /// Port instead of the listener's.
    pub port: Option<u16>,
}

/// The focus' configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// MSRP listeners; of those a peer can come to, the first of a transport is put into SDP.
    /// None: those that the switch tells of.
    pub listen: Vec<Listen>,
    /// Address put into SDP.
    pub advertise: Option<Advertise>,
    /// Rooms that always exist.
    pub rooms: Vec<RoomEntry>,
    /// Conference factories (RFC 4579 §5.4): each INVITE makes a new room with these rules.
    pub factories: Vec<RoomEntry>,
    /// Whether an INVITE may create an unknown room.
    pub adhoc: bool,
    /// Most conferences at a time; more: 503.
    pub max_conferences: usize,
    /// Most participants a room; more: 486.
    pub max_participants: usize,
    /// Most entries of a list in an INVITE; more: 403.
    pub max_list_size: usize,
    /// How the parties on such a list are invited.
    pub invite_mode: InviteMode,
    /// What we answer digest challenges with.
    pub credentials: Vec<Credentials>,
    /// Largest message in octets.
    pub max_message_size: u64,
    /// From the 200 to the MSRP bind.
    pub bind_timeout: Duration,
    /// From the loss of a connection to the BYE.
    pub rejoin_grace: Duration,
    /// Session interval we ask for (RFC 4028).
    pub session_expires: Duration,
    /// Shortest session interval we accept.
    pub min_se: Duration,
    /// Default and longest subscription.
    pub subscription_expires: Duration,
    /// Shortest time between two NOTIFYs to one subscriber.
    pub notify_interval: Duration,
    /// Octets of the host's memory that NOTIFYs may take at a time.
    pub notify_memory: usize,
    /// Rooms with more participants list moderators only.
    pub roster_limit: usize,
    /// Up to so many users in a room, subscribers who have not shown that they merge partial
    /// documents get full ones.
    pub full_notify_limit: usize,
    /// Subscribers whose User-Agent this matches get full documents only.
    pub full_notify_agents: Option<String>,
    /// Endpoints whose User-Agent this matches take a message in one SEND only.
    pub one_send_agents: Option<String>,
    /// Server/User-Agent header value.
    pub software: String,
}

/// How the focus invites (modparam `invite_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteMode {
    /// REFER to the party, which then dials in.
    Refer,
    /// INVITE to the party.
    DialOut,
}

/// What the focus answers a challenge with (modparam `credential`).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Only for this realm; for any when absent.
    pub realm: Option<String>,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
