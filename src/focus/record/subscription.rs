//! The record of a subscription.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keep::Counters;
use crate::control::{RoomUri, UserUri};
use crate::focus::Role;
use crate::focus::ids::SubscriptionId;
use crate::focus::sip::dialog::Dialog;
use crate::focus::watch::event_rate::EventRates;
use crate::focus::watch::subscription::{Merging, Subscription};
use crate::time::Moment;
use crate::wire::sip::Params;

/// A subscription (RFC 6665).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubscriptionRecord {
    /// Its number.
    pub id: u64,
    /// The room.
    pub room: RoomUri,
    /// The subscriber.
    pub user: UserUri,
    /// The role that the script gave the subscriber.
    pub role: Option<Role>,
    /// `id` of the Event header.
    pub event_id: Option<String>,
    /// When it expires.
    pub expires: Moment,
    /// The rates agreed, as in Subscription-State (RFC 6446 §9.2).
    pub rates: String,
    /// The subscriber understands full documents only.
    pub full_only: bool,
    /// Highest version of a document, rounded up, so that not every NOTIFY needs a write.
    pub version: u32,
    /// Its dialog.
    pub dialog: Dialog,
}

impl SubscriptionRecord {
    /// The record of a subscription.
    pub(in crate::focus) fn of(
        id: SubscriptionId,
        subscription: &Subscription,
        counters: Counters,
    ) -> Self {
        Self {
            id: id.0,
            room: subscription.room.clone(),
            user: subscription.user.clone(),
            role: subscription.role,
            event_id: subscription.event_id.as_deref().map(str::to_owned),
            expires: subscription.expires.in_millis(),
            rates: subscription.rates.params(),
            full_only: subscription.merging == Merging::Never,
            version: counters.kept(subscription.version),
            dialog: counters.dialog(&subscription.dialog),
        }
    }

    /// The subscription until `expires`, with NOTIFYs no faster than `pace`. No timer is armed.
    pub(in crate::focus) fn restored(
        self,
        now: Moment,
        expires: Moment,
        pace: Duration,
    ) -> Subscription {
        let Self {
            id: _,
            room,
            user,
            role,
            event_id,
            expires: _,
            rates,
            full_only,
            version,
            dialog,
        } = self;
        let rates = Params::parse(rates.trim_start_matches(';'));
        Subscription {
            role,
            event_id: event_id.map(String::into_boxed_str),
            expires,
            rates: EventRates::agree(&rates, pace, expires.saturating_since(now)),
            merging: match full_only {
                true => Merging::Never,
                false => Merging::Unknown,
            },
            version,
            ..Subscription::untold(now, room, user, dialog)
        }
    }
}
