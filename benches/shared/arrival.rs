//! A request as a proxy hands it over.

use msrp_conference::focus::{Arrival, Input, ScriptOptions, Socket, TransactionId};

/// A request from 192.0.2.7, for the focus.
pub(crate) fn arrival(
    message: String,
    request_uri: String,
    identity: String,
    transaction: Option<TransactionId>,
    to_tag: Option<String>,
) -> Input {
    Input::Request(Box::new(Arrival {
        transaction,
        to_tag,
        message: message.into_bytes().into(),
        request_uri,
        source: "192.0.2.7:5060".parse().expect("an address"),
        socket: Socket {
            handle: 1,
            transport: "udp".to_owned(),
            host: "198.51.100.1".to_owned(),
            port: 5060,
        },
        identity,
        options: ScriptOptions::default(),
    }))
}
