//! One request of ours that is not sent yet, or may have to be sent again.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::traits::NotSent;
use crate::focus::{OutgoingRequest, RequestId};
use crate::resolve::{Failure, Hop, TargetError};
use crate::time::Moment;
use crate::wire::sip::Method;

/// Longest time between the first try and the last: after it nobody waits for the outcome any more.
const FAILOVER_LIMIT: Duration = Duration::from_secs(40);

/// The upper bits hold the number of the attempt, the lower ones the request: a late outcome must
/// not count for another attempt.
const ATTEMPT_BITS: u32 = 56;

/// The id the host knows an attempt by.
pub(super) fn attempt_id(request: RequestId, attempt: u8) -> RequestId {
    RequestId(request.0 | u64::from(attempt) << ATTEMPT_BITS)
}

/// Request and number of an attempt.
pub(super) fn of_attempt(id: RequestId) -> (RequestId, u8) {
    let number = u8::try_from(id.0 >> ATTEMPT_BITS).unwrap_or(u8::MAX);
    (RequestId(id.0 & !(u64::MAX << ATTEMPT_BITS)), number)
}

/// Why a request is not sent.
#[derive(Clone, Debug)]
pub(super) enum Why {
    Nowhere(TargetError),
    Unresolved(Failure),
    NoSocket(Hop),
    Gone(Hop),
    Host(NotSent),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere(error) => error.fmt(f),
            Self::Unresolved(failure) => failure.fmt(f),
            Self::NoSocket(hop) => write!(f, "the proxy has no socket to send to {hop} from"),
            Self::Gone(hop) => write!(f, "the connection to {hop} is gone"),
            Self::Host(error) => error.fmt(f),
        }
    }
}

/// The event a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its turn, behind earlier ones of its call; nothing has been tried.
    New,
    /// Its next try.
    Due,
    /// A look-up.
    Locating,
    /// A free worker.
    InLine,
    /// The result of a worker.
    Handed,
}

#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) request: Box<OutgoingRequest>,
    pub(super) stage: Stage,
    /// Destinations to try, in this order.
    pub(super) hops: VecDeque<Hop>,
    /// Its next hop still needs a look-up.
    pub(super) unlocated: bool,
    /// Number of times it was sent before.
    pub(super) attempt: u8,
    /// When it was sent for the first time.
    pub(super) first: Option<Moment>,
    /// The destination of the last attempt.
    pub(super) hop: Option<Hop>,
    /// It must not be sent again.
    pub(super) withdrawn: bool,
    /// Why the last place failed.
    pub(super) why: Option<Why>,
}

impl Leaving {
    pub(super) fn new(request: Box<OutgoingRequest>) -> Self {
        Self {
            request,
            stage: Stage::New,
            hops: VecDeque::new(),
            unlocated: true,
            attempt: 0,
            first: None,
            hop: None,
            withdrawn: false,
            why: None,
        }
    }

    pub(super) fn id(&self) -> RequestId {
        self.request.id
    }

    /// The destination where it may ring, if it was sent.
    pub(super) fn rings(&self) -> Option<Hop> {
        self.hop.filter(|_| self.request.method == Method::Invite)
    }

    /// The id of the next attempt, or of the present one.
    pub(super) fn attempt_id(&self) -> RequestId {
        attempt_id(self.request.id, self.attempt)
    }

    /// Whether there is a destination left to try.
    pub(super) fn has_a_place(&self, now: Moment) -> bool {
        let in_time = self.first.is_none_or(|first| first + FAILOVER_LIMIT > now);
        in_time && !self.withdrawn && (self.unlocated || !self.hops.is_empty())
    }

    /// Discards the remaining destinations.
    pub(super) fn give_up(&mut self) {
        self.hops.clear();
        self.unlocated = false;
    }

    /// Whether we send from an IPv4 socket; a name counts as one.
    pub(super) fn is_from_ipv4(&self) -> bool {
        !self.request.socket.host.contains(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_told_apart() {
        let request = RequestId(0x00ff_1234_5678_9abc);
        for number in [0, 1, 8, 255] {
            let id = attempt_id(request, number);
            assert_eq!(of_attempt(id), (request, number));
        }
        assert_eq!(attempt_id(request, 0), request);
    }
}
