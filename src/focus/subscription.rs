//! Subscriptions to the conference event package (RFC 6665, 4575 §3).

use super::RequestId;
use super::dialog::Dialog;
use super::policy::Role;
use super::rates::Rates;
use super::roster::{Seen, View};
use super::timers::TimerKey;
use crate::control::{RoomUri, UserUri};
use crate::time::Moment;

/// One subscription. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SubscriptionId(pub(super) u64);

/// Why a subscription ends (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Termination {
    /// It expired or was unsubscribed.
    Timeout,
    /// The conference has ended.
    NoResource,
    /// The subscriber may not watch any more.
    Rejected,
}

impl Termination {
    /// The `reason` parameter.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NoResource => "noresource",
            Self::Rejected => "rejected",
        }
    }
}

/// What the next NOTIFY carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing, or a partial document if something changed.
    Changes,
    /// The whole document, at once: a SUBSCRIBE was accepted (RFC 6665 §4.2.1.2).
    Full,
    /// The last one.
    Last(Termination),
}

/// One subscriber's subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) room: RoomUri,
    pub(super) user: UserUri,
    /// What the script says the subscriber is.
    pub(super) role: Option<Role>,
    pub(super) dialog: Dialog,
    /// The `id` of the Event header, to be echoed (RFC 6665 §8.2.1).
    pub(super) event_id: Option<String>,
    pub(super) expires: Moment,
    pub(super) rates: Rates,
    /// Only understands full documents (`full_notify_agents`).
    pub(super) full_only: bool,
    /// A document for everybody does not fit into its datagrams.
    pub(super) narrow: bool,
    /// The version of the last document (row E06: counted per subscription).
    pub(super) version: u32,
    pub(super) seen: Seen,
    /// What the last document showed.
    pub(super) view: Option<View>,
    pub(super) due: Due,
    /// Since when the next NOTIFY is due.
    pub(super) due_at: Moment,
    /// Waits for its turn.
    pub(super) queued: bool,
    /// A NOTIFY under way: never two at a time.
    pub(super) in_flight: Option<RequestId>,
    /// A document was lost on the way: what comes next must be full.
    pub(super) gap: bool,
    /// NOTIFYs in a row that were refused.
    pub(super) failures: u32,
    /// The subscriber wants no NOTIFY before.
    pub(super) not_before: Option<Moment>,
    pub(super) last_sent: Option<Moment>,
    pub(super) notify_timer: Option<TimerKey>,
    pub(super) expiry_timer: Option<TimerKey>,
}

impl Subscription {
    /// One that has been told nothing yet, in this run at least: a whole document is due.
    pub(super) fn untold(now: Moment, room: RoomUri, user: UserUri, dialog: Dialog) -> Self {
        Self {
            room,
            user,
            role: None,
            dialog,
            event_id: None,
            expires: now,
            rates: Rates::default(),
            full_only: false,
            narrow: false,
            version: 0,
            seen: Seen::default(),
            view: None,
            due: Due::Full,
            due_at: now,
            queued: false,
            in_flight: None,
            gap: false,
            failures: 0,
            not_before: None,
            last_sent: None,
            notify_timer: None,
            expiry_timer: None,
        }
    }
}
