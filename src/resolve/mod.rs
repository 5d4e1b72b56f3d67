//! Location of SIP servers (RFC 3263): the destination of a request to a name, found beside the
//! host so that only that request waits for a name server.
//!
//! The procedure, the order of its results, the cache and the limits are pure; time and randomness
//! are arguments. Only `dns` queries name servers, on a thread of its own.

mod dns;
mod located;
mod locator;
mod plan;
mod system;
mod target;

pub use dns::{Outcome, Resolver};
pub use located::Located;
pub use locator::{Locator, LookedUp, MAX_LOOKUPS, MAX_LOOKUPS_OF_A_USER};
pub use system::{NameServers, System};
pub use target::{Hop, Target, TargetError, Transport};

use std::time::Duration;

/// Longest time for a look-up, including all its questions and its wait in the queue.
pub const LIMIT: Duration = Duration::from_secs(4);

/// Why a name has no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No such name, or one without an address.
    #[error("the name has no address")]
    NoAddress,
    /// The domain says that it has no such service (RFC 2782).
    #[error("the domain offers no SIP by a transport of this proxy")]
    NoService,
    /// No name server could be reached, or all failed.
    #[error("the name servers give no answer")]
    Unavailable,
    /// No result within [`LIMIT`].
    #[error("the name did not resolve within 4 s")]
    TimedOut,
    /// Too many other names are queued, for this user or in all.
    #[error("too many names wait to be resolved")]
    Refused,
}
