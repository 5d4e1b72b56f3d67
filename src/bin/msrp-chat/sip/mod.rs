//! A SIP user agent for one call and one subscription (RFC 3261, 3264, 6665).
//!
//! All parts except [`transport`] are pure: messages and time go in, messages and events come out,
//! so that calls run in tests without a network.

mod agent;
mod call;
mod credentials;
mod dialog;
mod event;
mod served;
mod subscription;
mod transaction;
pub(crate) mod transport;

pub(crate) use agent::{Agent, Identity};
pub(crate) use credentials::Credentials;
pub(crate) use event::{Capabilities, Event};

/// The destination of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hop {
    /// The configured server.
    Server,
    /// The host of a Route or Contact.
    Host(String, u16),
    /// The source of a request.
    Source(std::net::SocketAddr),
}
