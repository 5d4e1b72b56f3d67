//! The operator's configuration, already validated (`crate::parameters`).

use std::fmt;
use std::time::Duration;

use super::rules::RoomEntry;
use crate::control::Listen;

/// Address in `a=path` in place of the SIP socket's.
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
    /// MSRP listeners; SDP names the first one of a transport that the peer can reach. Empty: the
    /// listeners that the switch reports.
    pub listen: Vec<Listen>,
    /// Address for the SDP.
    pub advertise: Option<Advertise>,
    /// Rooms that always exist.
    pub rooms: Vec<RoomEntry>,
    /// Conference factories (RFC 4579 §5.4): each INVITE makes a new room with these rules.
    pub factories: Vec<RoomEntry>,
    /// Whether an INVITE may create an unknown room.
    pub adhoc: bool,
    /// Most conferences at a time; beyond: 503.
    pub max_conferences: usize,
    /// Most participants per room; beyond: 486.
    pub max_participants: usize,
    /// Most entries of a list in an INVITE; beyond: 403.
    pub max_list_size: usize,
    /// How the parties on such a list are invited.
    pub invite_mode: InviteMode,
    /// Credentials for digest challenges.
    pub credentials: Vec<Credentials>,
    /// Largest message in octets.
    pub max_message_size: u64,
    /// Time from the 200 to the MSRP bind.
    pub bind_timeout: Duration,
    /// Time from the loss of a connection to the BYE.
    pub rejoin_grace: Duration,
    /// Session interval we propose (RFC 4028).
    pub session_expires: Duration,
    /// Shortest session interval we accept.
    pub min_se: Duration,
    /// Default and longest subscription.
    pub subscription_expires: Duration,
    /// Shortest time between two NOTIFYs to one subscriber.
    pub notify_interval: Duration,
    /// Octets of the host's memory that NOTIFYs may take at a time.
    pub notify_memory: usize,
    /// Most participants in a full roster; larger rooms list moderators only.
    pub roster_limit: usize,
    /// Most users of a room in which a subscriber gets full documents until it shows that it merges
    /// partial ones.
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

/// Credentials for a challenge to the focus (modparam `credential`).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The realm they are for; any realm when absent.
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
