//! Prerequisites of a call: sockets to the server and the agent that makes the call.

use crate::cli::{Access, Arguments};
use crate::failure::Failure;
use crate::offer::Stream;
use crate::sip::transport::{Transport, resolve};
use crate::sip::{Agent, Credentials, Identity};
use msrp_conference::entropy::{self, Entropy, token};
use msrp_conference::wire::sip::{NameAddr, Params, Uri};
use std::net::SocketAddr;

/// Length of a session-id: 130 random bits (RFC 4975 §14.1 requires 80).
const SESSION_ID_CHARACTERS: usize = 26;
/// SIP's own port (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;

/// Caller, room and transport settings of a call.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) room: String,
    pub(crate) from: String,
    pub(crate) name: String,
    pub(crate) access: Access,
    /// Whether to subscribe to the roster.
    pub(crate) roster: bool,
}

impl Arguments {
    /// The caller that these arguments describe.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            room: self.room.clone(),
            from: self.from.clone(),
            name: self.name.clone(),
            access: self.access.clone(),
            roster: !self.no_subscribe,
        }
    }
}

/// Our identity in CPIM: addresses of record.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    pub(crate) uri: String,
    pub(crate) room: String,
}

/// The host for all SIP, and its port.
fn server(caller: &Caller) -> Result<Uri, Failure> {
    match &caller.access.proxy {
        Some(proxy) => uri(&format!("sip:{proxy}")),
        None => uri(&caller.room),
    }
}

fn uri(text: &str) -> Result<Uri, Failure> {
    text.parse()
        .map_err(|_| Failure::unusable("join", "that is no SIP URI", "Write sip:NAME@HOST."))
}

/// The address for all SIP.
pub(crate) async fn server_address(caller: &Caller) -> Result<SocketAddr, Failure> {
    let server = server(caller)?;
    resolve(&server.host, server.port.unwrap_or(SIP_PORT), None).await
}

/// Opens the sockets and makes the agent; sends nothing yet.
pub(crate) async fn open(caller: &Caller) -> Result<(Transport, Agent, Me), Failure> {
    let (room, from) = (uri(&caller.room)?, uri(&caller.from)?);
    let tcp = caller.access.tcp;
    let transport = Transport::open(server_address(caller).await?, tcp).await?;
    let mut random = entropy::System;
    let mut id = [0; 4];
    random.fill(&mut id);
    let session = token(&mut random, SESSION_ID_CHARACTERS);
    let local = transport.local();
    let id = u64::from(u32::from_be_bytes(id));
    let secure = caller.access.msrps;
    let stream = match caller.access.websocket {
        true => Stream::over_websocket(local.ip(), secure, &session, id),
        false => Stream::new(local.ip(), secure, &session, id),
    };
    let identity = Identity {
        from: NameAddr {
            display: caller.name.clone(),
            uri: caller.from.clone(),
            params: Params::default(),
        },
        address: local,
        tcp,
        server_host: room.host.clone(),
    };
    let account = caller.access.account(&caller.from);
    let credentials = account.map(|(user, password)| Credentials { user, password });
    let agent = Agent::new(
        identity,
        &caller.room,
        stream,
        credentials,
        caller.roster,
        Box::new(random),
    );
    let me = Me {
        uri: from.address_of_record(),
        room: room.address_of_record(),
    };
    Ok((transport, agent, me))
}
