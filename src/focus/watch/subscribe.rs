//! The notifier of the conference event package (RFC 6665 §4.2, RFC 4575 §3): SUBSCRIBE and
//! what it grants. What goes out to subscribers is in `notify`.

use crate::focus::ids::SubscriptionId;
use crate::focus::sip::dialogs::{Awaits, Usage};
use crate::focus::sip::face::check_package;
use crate::focus::sip::face::{Incoming, RETRY_AFTER, capabilities, contact, identity};
use std::time::Duration;

use crate::control::{RoomUri, UserUri};
use crate::focus::Focus;
use crate::focus::room::conference::Conference;
use crate::focus::sip::rejection::{Refusal, Verdict};
use crate::focus::timers::Timer;
use crate::focus::watch::event_rate::EventRates;
use crate::focus::watch::subscription::{Due, Subscription, Termination};
use crate::time::Moment;
use crate::wire::conference_info::MEDIA_TYPE;
use crate::wire::sip::{Params, Request};

/// Shorter subscriptions are refused with 423 (RFC 6665 §4.2.1.1).
pub(in crate::focus) const MIN_EXPIRES: u64 = 60;
/// Subscriptions of one user to one conference; the oldest clients re-subscribe without
/// unsubscribing after a crash.
const MAX_SUBSCRIPTIONS: usize = 32;

impl Focus {
    /// A SUBSCRIBE that starts a dialog.
    pub(in crate::focus) fn subscribe(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: RoomUri,
    ) -> Verdict<()> {
        if self.stopping {
            return Err(Refusal::new(503).because("shutting down"));
        }
        if self.closed {
            return Err(Refusal::new(503)
                .with("Retry-After", RETRY_AFTER)
                .because("the database does not keep up"));
        }
        let event = check_package(&incoming.request)?;
        check_accept(&incoming.request)?;
        let expires = self.expires(&incoming.request)?;
        let user = identity(&incoming.arrival)?;
        self.check_subscriber(&room, &user)?;
        let subscription = self.new_subscription(now, incoming, room, user, &event)?;
        let id = SubscriptionId(self.out.next_id());
        let key = subscription.dialog.key.clone();
        self.dialogs.open(key.clone(), Usage::Subscription(id));
        if let Some(conference) = self.watched(&subscription.room) {
            conference.subscribers.add(id, &subscription.user);
        }
        self.watch.subscriptions.insert(id, subscription);
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
        let subscription = self.watch.subscriptions.get(&id).ok_or(Refusal::new(481))?;
        if matches!(subscription.due, Due::Last(_)) {
            return Err(Refusal::new(481));
        }
        // A second subscription in this dialog would share it (RFC 6665 §4.5.2).
        if subscription.event_id.as_deref() != event.value("id") {
            return Err(Refusal::new(403).because("one subscription a dialog"));
        }
        if !expires.is_zero() {
            self.check_permission(&subscription.room, &subscription.user)?;
        }
        self.grant(now, incoming, id, &event, expires);
        Ok(())
    }

    /// Whether this caller may start one more subscription to this room. An ad hoc room
    /// exists as long as somebody is in, a configured one always.
    fn check_subscriber(&self, room: &RoomUri, user: &UserUri) -> Verdict<()> {
        self.check_permission(room, user)?;
        let conference = self.rooms.conference(room);
        let theirs = conference.map_or(0, |conference| conference.subscribers.of(user).len());
        if theirs >= MAX_SUBSCRIPTIONS {
            return Err(Refusal::new(403).because("too many subscriptions of this user"));
        }
        Ok(())
    }

    /// Whether this caller may watch this room (row E03).
    fn check_permission(&self, room: &RoomUri, user: &UserUri) -> Verdict<()> {
        let policy = self.room_policy(room)?;
        if self.rooms.is_in(room, user) {
            return Ok(());
        }
        if policy.subscribe_participants_only {
            return Err(Refusal::new(403).because("only participants may subscribe"));
        }
        policy.admits(user)
    }

    /// The conference of a watched room; a configured room gets one when first watched.
    pub(in crate::focus) fn watched(&mut self, room: &RoomUri) -> Option<&mut Conference> {
        if !self.rooms.conferences.contains_key(room) {
            let policy = self.policy(room, Some(false))?;
            self.rooms
                .conferences
                .insert(room.clone(), Conference::new(room.clone(), policy));
        }
        self.rooms.conference_mut(room)
    }

    /// The granted duration (RFC 6665 §4.2.1.1): never longer than asked; zero is a fetch.
    pub(in crate::focus) fn expires(&self, request: &Request) -> Verdict<Duration> {
        let most = self.config.subscription_expires;
        let Some(text) = request.headers.first("Expires") else {
            return Ok(most);
        };
        let seconds: u64 = text
            .trim()
            .parse()
            .map_err(|_| Refusal::new(400).because("Malformed Expires"))?;
        if (1..MIN_EXPIRES).contains(&seconds) {
            return Err(Refusal::new(423).with("Min-Expires", MIN_EXPIRES.to_string()));
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
        let full_only = self
            .watch
            .full_notify_agents
            .as_ref()
            .is_some_and(|pattern| pattern.is_match(agent));
        Ok(Subscription {
            role: arrival.options.role,
            event_id: event.value("id").map(str::to_owned),
            full_only,
            ..Subscription::untold(now, room, user, dialog)
        })
    }

    /// The 200 and the NOTIFY that follows every accepted SUBSCRIBE.
    fn grant(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        id: SubscriptionId,
        event: &Params,
        expires: Duration,
    ) {
        let timer = self.timers.arm(now + expires, Timer::Expiry(id));
        let Some(subscription) = self.watch.subscriptions.get_mut(&id) else {
            return;
        };
        self.timers.disarm(subscription.expiry_timer.replace(timer));
        subscription.expires = now + expires;
        subscription.rates = EventRates::agree(event, self.config.notify_interval, expires);
        subscription.narrow = false;
        subscription.failures = 0;
        subscription.not_before = None;
        let headers = capabilities(&subscription.dialog.contact)
            .with("Expires", expires.as_secs().to_string());
        let to_tag = subscription.dialog.key.local_tag.clone();
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

    /// Ends a user's subscriptions to a room because it may not watch any more.
    pub(in crate::focus) fn reject_subscriber(
        &mut self,
        now: Moment,
        room: &RoomUri,
        user: &UserUri,
    ) {
        let theirs = self
            .rooms
            .conference(room)
            .map(|conference| conference.subscribers.of(user).to_vec());
        for id in theirs.unwrap_or_default() {
            self.make_due(now, id, Due::Last(Termination::Rejected));
        }
    }
}

/// Row E01: who names types must name ours; without Accept it is this one.
fn check_accept(request: &Request) -> Verdict<()> {
    let accepted = request.headers.elements("Accept");
    let takes = |range: &&str| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        ["*/*", "application/*", MEDIA_TYPE]
            .iter()
            .any(|known| kind.eq_ignore_ascii_case(known))
    };
    if !accepted.is_empty() && !accepted.iter().any(takes) {
        return Err(Refusal::new(406).with("Accept", MEDIA_TYPE));
    }
    Ok(())
}
