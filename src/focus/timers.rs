//! All deadlines of the focus in one ordered set.

use crate::focus::ids::{EndpointId, InvitationId, PublicationId, ReferralId, SubscriptionId};
use std::collections::BTreeMap;

use super::{RequestId, TransactionId};
use crate::time::Moment;

/// The purpose of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The switch has not answered the admission of the endpoint.
    Admission(EndpointId),
    /// The 2xx of this endpoint's INVITE has no ACK (RFC 3261 §13.3.1.4).
    Ack(EndpointId),
    /// The endpoint lost its connection and may come back until then.
    Rejoin(EndpointId),
    /// Our next session refresh (RFC 4028 §10).
    Refresh(EndpointId),
    /// The next re-INVITE to the endpoint, after one that failed for now.
    Renewal(EndpointId),
    /// The session was not refreshed.
    SessionExpiry(EndpointId),
    /// The invited party has not dialled in.
    Invitation(InvitationId),
    /// The subscriber of a REFER may get the next NOTIFY.
    Report(ReferralId),
    /// The subscriber may get the next NOTIFY.
    Notify(SubscriptionId),
    /// The subscription ends unless refreshed.
    Expiry(SubscriptionId),
    /// The publication ends unless refreshed.
    Publication(PublicationId),
    /// The INVITE of this CANCEL can no longer come.
    ForgetCancel(TransactionId),
    /// Phones no longer repeat their 2xx to this INVITE of ours.
    ForgetDialled(RequestId),
    /// Idle documents are dropped.
    Idle,
    /// The nickname of a user who has left is free again.
    HeldNickname,
    /// The look-up of a room has taken too long.
    Lookup,
    /// The rules of this run are applied to the restored state.
    Restored,
    /// The host has not reported the outcome of a request of ours.
    Outcome(RequestId),
}

/// Key of one armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimerKey(Moment, u64);

/// The armed timers in order.
#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: BTreeMap<TimerKey, Timer>,
    sequence: u64,
}

impl TimerKey {
    /// Its time.
    pub(super) fn at(self) -> Moment {
        self.0
    }
}

impl Timers {
    /// Arms a timer.
    pub(super) fn arm(&mut self, at: Moment, timer: Timer) -> TimerKey {
        self.sequence += 1;
        let key = TimerKey(at, self.sequence);
        self.armed.insert(key, timer);
        key
    }

    /// Disarms a timer, if it is still armed.
    pub(super) fn disarm(&mut self, key: Option<TimerKey>) {
        if let Some(key) = key {
            self.armed.remove(&key);
        }
    }

    /// The next timer whose time has come.
    pub(super) fn due(&mut self, now: Moment) -> Option<Timer> {
        let entry = self.armed.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Number of armed timers.
    pub(super) fn len(&self) -> usize {
        self.armed.len()
    }

    /// Time of the next timer.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.armed.first_key_value().map(|(key, _)| key.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_fire_in_order_and_only_when_due() {
        let start = Moment::from_epoch(Duration::from_secs(100));
        let mut timers = Timers::default();
        let late = Timer::Outcome(RequestId(2));
        let early = Timer::Outcome(RequestId(1));
        timers.arm(start + Duration::from_secs(2), late);
        timers.arm(start + Duration::from_secs(1), early);
        let gone = timers.arm(start, Timer::Outcome(RequestId(0)));
        timers.disarm(Some(gone));
        assert_eq!(timers.due(start), None);
        assert_eq!(timers.deadline(), Some(start + Duration::from_secs(1)));
        let now = start + Duration::from_secs(3);
        assert_eq!(timers.due(now), Some(early));
        assert_eq!(timers.due(now), Some(late));
        assert_eq!(timers.due(now), None);
    }
}
