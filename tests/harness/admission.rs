//! Admissions, as a focus gives them to the switch.

use std::time::Duration;

use msrp_conference::control::{Admission, Peer, RoomPolicy, RoomUri, SessionId, Setup, UserUri};

/// A participant in a room; the session has the user's name, and the user connects to `own_uri`.
pub fn admission(own_uri: String, room: &str, name: &str) -> Admission {
    let user = UserUri::new(format!("sip:{name}@example.com"));
    Admission {
        session: SessionId::new(name),
        room: RoomUri::new(room),
        policy: RoomPolicy {
            nicknames: true,
            private_messages: true,
            max_message_size: 10 << 20,
            plain_text: false,
            history: 0,
            bind_timeout: Duration::from_secs(60),
        },
        own_uri,
        user: user.clone(),
        display: String::new(),
        nickname: None,
        uris: vec![user],
        newcomer: true,
        setup: Setup::Passive,
        peer: Peer {
            path: vec![peer_uri(name)],
            accept_types: vec!["message/cpim".into()],
            accept_wrapped_types: vec!["*".into()],
            private_messages: true,
            ..Peer::silent()
        },
    }
}

/// The participant's own MSRP URI, at which nobody listens.
pub fn peer_uri(name: &str) -> String {
    format!("msrp://127.0.0.1:9/{name}-peer;tcp")
}
