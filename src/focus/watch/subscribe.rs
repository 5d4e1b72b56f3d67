//! The notifier of the conference event package (RFC 6665 §4.2, RFC 4575 §3): SUBSCRIBE and its
//! answer. `notify` sends the NOTIFYs.

use crate::focus::ids::SubscriptionId;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::{Awaits, Usage};
use crate::focus::sip::face::check_package;
use crate::focus::sip::face::{Incoming, capabilities, contact, identity};
use std::time::Duration;

use crate::control::{RoomUri, UserUri};
use crate::focus::Focus;
use crate::focus::room::conference::Conference;
use crate::focus::room::permission::{Ask, Caller};
use crate::focus::sip::rejection::{Refusal, Verdict};
use crate::focus::timers::Timer;
use crate::focus::watch::event_rate::EventRates;
use crate::focus::watch::subscription::{Due, Merging, Subscription, Termination};
use crate::time::Moment;
use crate::wire::conference_info::MEDIA_TYPE;
use crate::wire::sip::{Params, Request};

/// Shorter subscriptions are refused with 423 (RFC 6665 §4.2.1.1).
pub(in crate::focus) const MIN_EXPIRES: u64 = 60;

impl Focus {
    /// A SUBSCRIBE that starts a dialog.
    pub(in crate::focus) fn subscribe(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: RoomUri,
    ) -> Verdict<()> {
        if self.stopping {
            return Err(Cause::Stopping.into());
        }
        if self.closed {
            return Err(Cause::StoreBehind.into());
        }
        let event = check_package(&incoming.request)?;
        check_accept(&incoming.request)?;
        let expires = self.expires(&incoming.request)?;
        let user = identity(&incoming.arrival)?;
        let watch = Ask::Watch {
            theirs: self.watch.of(&room, &user).len(),
            all: self.watch.watchers(&room),
        };
        self.check_subscriber(&room, &user, watch)?;
        let mut subscription = self.new_subscription(now, incoming, room, user, &event)?;
        subscription.share(&mut self.dialogs.shared);
        let id = SubscriptionId(self.out.next_id());
        let key = subscription.dialog.key.clone();
        let usage = Usage::Subscription(id);
        let request = &incoming.request;
        self.dialogs.open_by(now, key.clone(), usage, request);
        self.watched(&subscription.room);
        self.watch.begin(id, subscription);
        self.dialogs
            .wait(incoming.transaction, &key, Awaits::Departure(id));
        self.grant(now, incoming, id, &event, expires);
        Ok(())
    }

    /// Refresh or end of a subscription.
    pub(in crate::focus) fn resubscribe(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        id: SubscriptionId,
    ) -> Verdict<()> {
        let event = check_package(&incoming.request)?;
        check_accept(&incoming.request)?;
        let expires = self.expires(&incoming.request)?;
        let subscription = self.watch.subscriptions().get(&id).ok_or(Cause::NoDialog)?;
        if matches!(subscription.due, Due::Last(_)) {
            return Err(Cause::NoDialog.into());
        }
        // A second subscription in this dialog would share it (RFC 6665 §4.5.2).
        if subscription.event_id.as_deref() != event.value("id") {
            return Err(Cause::SecondSubscription.into());
        }
        if !expires.is_zero() {
            self.check_subscriber(&subscription.room, &subscription.user, Ask::KeepWatching)?;
        }
        self.grant(now, incoming, id, &event, expires);
        Ok(())
    }

    /// Whether this caller may watch this room (row E03). An ad hoc room exists while it has
    /// participants, a configured one always.
    pub(in crate::focus) fn check_subscriber(
        &self,
        room: &RoomUri,
        user: &UserUri,
        ask: Ask,
    ) -> Verdict<()> {
        let policy = self.room_policy(room)?;
        let caller = Caller {
            user,
            role: policy.role(user),
            policy: &policy,
            conference: self.rooms.conference(room),
        };
        caller.may(ask)
    }

    /// The conference of a watched room; the first subscription creates that of a configured room.
    pub(in crate::focus) fn watched(&mut self, room: &RoomUri) -> Option<&mut Conference> {
        if !self.rooms.conferences().contains_key(room) {
            let policy = self.policy(room, Some(false))?;
            self.rooms.begin(Conference::new(room.clone(), policy));
        }
        self.rooms.conference_mut(room)
    }

    /// The granted duration (RFC 6665 §4.2.1.1): at most the requested one; zero is a fetch.
    pub(in crate::focus) fn expires(&self, request: &Request) -> Verdict<Duration> {
        let most = self.config.subscription_expires;
        let Some(text) = request.headers.first("Expires") else {
            return Ok(most);
        };
        let seconds: u64 = text.trim().parse().map_err(|_| Cause::MalformedExpires)?;
        if (1..MIN_EXPIRES).contains(&seconds) {
            return Err(
                Refusal::new(Cause::ShortSubscription).with("Min-Expires", MIN_EXPIRES.to_string())
            );
        }
        Ok(Duration::from_secs(seconds).min(most))
    }

    fn new_subscription(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: RoomUri,
        user: UserUri,
        event: &Params,
    ) -> Verdict<Subscription> {
        let Incoming {
            request, arrival, ..
        } = incoming;
        let contact = contact(&request.uri, &arrival.socket);
        let dialog = self.new_dialog(incoming, contact)?;
        let agent = request.headers.first("User-Agent").unwrap_or_default();
        let pattern = self.watch.full_notify_agents.as_ref();
        let counts = request.headers.first("Last-Notify-Version").is_some();
        let merging = match pattern.is_some_and(|pattern| pattern.is_match(agent)) {
            true => Merging::Never,
            false if counts => Merging::Shown,
            false => Merging::Unknown,
        };
        Ok(Subscription {
            role: arrival.options.role,
            event_id: event.value("id").map(Box::from),
            merging,
            ..Subscription::untold(now, room, user, dialog)
        })
    }

    /// Sends the 200 and the NOTIFY that follows every accepted SUBSCRIBE.
    fn grant(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        id: SubscriptionId,
        event: &Params,
        expires: Duration,
    ) {
        let timer = self.timers.arm(now + expires, Timer::Expiry(id));
        let interval = self.config.notify_interval;
        if let Some((subscription, audience)) = self.watch.with_audience(id)
            && (subscription.version == 0 || subscription.due != Due::Full)
        {
            let user = &subscription.user;
            let at = audience.subscribers.demand(now, user, interval);
            subscription.full_from = Some(at);
        }
        let Some(subscription) = self.watch.subscription_mut(id) else {
            return self.out.broken("no subscription to grant");
        };
        self.timers.disarm(subscription.expiry_timer.replace(timer));
        subscription.expires = now + expires;
        subscription.rates = EventRates::agree(event, self.config.notify_interval, expires);
        subscription.narrow = false;
        subscription.failures = 0;
        subscription.not_before = None;
        let headers = capabilities(&subscription.dialog.contact)
            .with("Expires", expires.as_secs().to_string());
        let to_tag = subscription.dialog.key.local_tag().to_owned();
        // Never 202 (row E31, RFC 6665 §8.3.1).
        self.out
            .reply(incoming.transaction, 200, headers, "", Some(to_tag));
        let due = if expires.is_zero() {
            Due::Last(Termination::Timeout)
        } else {
            Due::Full
        };
        self.make_due(now, id, due);
    }

    pub(in crate::focus) fn subscription_expired(&mut self, now: Moment, id: SubscriptionId) {
        self.make_due(now, id, Due::Last(Termination::Timeout));
    }

    /// Ends a user's subscriptions to a room after they lost the right to watch it.
    pub(in crate::focus) fn reject_subscriber(
        &mut self,
        now: Moment,
        room: &RoomUri,
        user: &UserUri,
    ) {
        for id in self.watch.of(room, user) {
            self.make_due(now, id, Due::Last(Termination::Rejected));
        }
    }
}

/// Row E01: an Accept header must include our type; without Accept our type is the default.
fn check_accept(request: &Request) -> Verdict<()> {
    let accepted = request.headers.elements("Accept");
    let takes = |range: &&str| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        ["*/*", "application/*", MEDIA_TYPE]
            .iter()
            .any(|known| kind.eq_ignore_ascii_case(known))
    };
    if !accepted.is_empty() && !accepted.iter().any(takes) {
        return Err(Refusal::new(Cause::TypeNotTaken).with("Accept", MEDIA_TYPE));
    }
    Ok(())
}
