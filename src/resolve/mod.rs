//! Location of SIP servers (RFC 3263): where a request to a name goes, decided beside the host
//! so that nobody waits for a name server but that request.
//!
//! The procedure, the order of what it finds, the cache and the limits are pure; time and
//! randomness are arguments. Only `dns` asks name servers, on a thread of its own.

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

/// How long a look-up may take, all its questions and its turn in the line included.
pub const LIMIT: Duration = Duration::from_secs(4);

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No such name, or one without an address.
    #[error("the name has no address")]
    NoAddress,
    /// The domain says that it has no such service (RFC 2782).
    #[error("the domain offers no SIP by a transport of this proxy")]
    NoService,
    /// No name server could be asked, or those that could failed.
    #[error("the name servers give no answer")]
    Unavailable,
    /// Nothing within [`LIMIT`].
    #[error("the name did not resolve within 4 s")]
    TimedOut,
    /// Too many other names wait, of this user or of all.
    #[error("too many names wait to be resolved")]
    Refused,
}
