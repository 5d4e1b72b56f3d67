//! Subscriptions to the conference event package (RFC 6665, 4575 §3).

use crate::control::{RoomUri, UserUri};
use crate::focus::RequestId;
use crate::focus::Role;
use crate::focus::roster::view::{Seen, View};
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::shared::Shared;
use crate::focus::timers::TimerKey;
use crate::focus::watch::event_rate::EventRates;
use crate::time::Moment;

/// Why a subscription ends (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Termination {
    /// It expired or was unsubscribed.
    Timeout,
    /// The conference has ended.
    NoResource,
    /// The subscriber may no longer watch.
    Rejected,
}

impl Termination {
    /// The `reason` parameter.
    pub(in crate::focus) fn reason(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NoResource => "noresource",
            Self::Rejected => "rejected",
        }
    }
}

/// Contents of the next NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Due {
    /// Nothing, or a partial document if something changed.
    Changes,
    /// The whole document, at once: a SUBSCRIBE was accepted (RFC 6665 §4.2.1.2).
    Full,
    /// The final NOTIFY.
    Last(Termination),
}

/// Whether the subscriber merges partial documents (RFC 4575 §4.6); many do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Merging {
    /// Its User-Agent says that it does not merge (`full_notify_agents`).
    Never,
    /// Unknown.
    Unknown,
    /// It merges: it counts the documents it gets (`Last-Notify-Version`).
    Shown,
}

/// One subscriber's subscription.
#[derive(Debug)]
pub(in crate::focus) struct Subscription {
    pub(in crate::focus) room: RoomUri,
    pub(in crate::focus) user: UserUri,
    /// The role that the script gives the subscriber.
    pub(in crate::focus) role: Option<Role>,
    pub(in crate::focus) dialog: Dialog,
    /// The `id` of the Event header, to be echoed (RFC 6665 §8.2.1).
    pub(in crate::focus) event_id: Option<Box<str>>,
    pub(in crate::focus) expires: Moment,
    pub(in crate::focus) rates: EventRates,
    pub(in crate::focus) merging: Merging,
    /// The whole roster does not fit into its datagrams.
    pub(in crate::focus) narrow: bool,
    /// The version of the last document (row E06: counted per subscription).
    pub(in crate::focus) version: u32,
    pub(in crate::focus) seen: Seen,
    /// The view of the last document.
    pub(in crate::focus) view: Option<View>,
    pub(in crate::focus) due: Due,
    /// Since when the next NOTIFY is due.
    pub(in crate::focus) due_at: Moment,
    /// It is in the queue for NOTIFYs.
    pub(in crate::focus) queued: bool,
    /// The NOTIFY in flight; there is at most one.
    pub(in crate::focus) in_flight: Option<RequestId>,
    /// A document was lost: the next one must be full.
    pub(in crate::focus) gap: bool,
    /// Consecutive refusals of NOTIFYs.
    pub(in crate::focus) failures: u32,
    /// The subscriber wants no NOTIFY before this time.
    pub(in crate::focus) not_before: Option<Moment>,
    pub(in crate::focus) last_sent: Option<Moment>,
    /// When the last full document went out.
    pub(in crate::focus) full_sent: Option<Moment>,
    /// Earliest time of the requested full document: its user has requested many.
    pub(in crate::focus) full_from: Option<Moment>,
    pub(in crate::focus) notify_timer: Option<TimerKey>,
    pub(in crate::focus) expiry_timer: Option<TimerKey>,
}

impl Subscription {
    /// Shares its texts with other subscriptions.
    pub(in crate::focus) fn share(&mut self, shared: &mut Shared) {
        shared.room(&mut self.room);
        shared.user(&mut self.user);
        shared.dialog(&mut self.dialog);
    }

    /// A subscription that has seen no document, at least in this run: a full document is due.
    pub(in crate::focus) fn untold(
        now: Moment,
        room: RoomUri,
        user: UserUri,
        dialog: Dialog,
    ) -> Self {
        Self {
            room,
            user,
            role: None,
            dialog,
            event_id: None,
            expires: now,
            rates: EventRates::default(),
            merging: Merging::Unknown,
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
            full_sent: None,
            full_from: None,
            notify_timer: None,
            expiry_timer: None,
        }
    }
}
