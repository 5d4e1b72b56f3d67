//! NOTIFY: its time, its contents and its answer (RFC 6665 §4.2.2, 6446, 4575 §3.6–3.9).

use crate::focus::Role;
use crate::focus::ids::{EndpointId, SubscriptionId};
use crate::focus::roster::view::{Seen, View};
use crate::focus::sip::dialogs::Purpose;
use crate::focus::sip::face::PACKAGE;
use std::time::Duration;

use bytes::Bytes;

use crate::control::RoomUri;
use crate::focus::room::conference::Conference;
use crate::focus::roster::cache::{MAX_IDLE, Scope};
use crate::focus::roster::document::{self};
use crate::focus::timers::Timer;
use crate::focus::watch::event_rate::EventRates;
use crate::focus::watch::subscription::{Due, Merging, Subscription, Termination};
use crate::focus::{Focus, RequestId};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::MEDIA_TYPE;
use crate::wire::sip::{Headers, Method, Params, Response};

/// Answers to NOTIFY that end the subscription (RFC 6665 §4.2.2, row E33); 408 also stands for a
/// time-out.
const FATAL: [u16; 14] = [
    404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604,
];
/// Consecutive other refusals after which the subscriber counts as gone.
const MAX_FAILURES: u32 = 5;
/// Longest Retry-After of a subscriber that we follow; for fewer NOTIFYs it can end the
/// subscription.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// NOTIFYs sent in one turn. Each takes some 20 µs, so that a turn delays other work by less than a
/// millisecond.
const NOTIFIES_PER_TURN: usize = 32;
/// Octets sent in one turn. The host copies each octet; half a megabyte takes it about as long.
const OCTETS_PER_TURN: usize = 512 * 1024;
/// Subscribers whose NOTIFYs fall into the same part of `notify_interval` get them at the same
/// time, because they share one document.
const PARTS_OF_INTERVAL: u32 = 20;
/// Largest document in a datagram: 65,507 octets less the headers of a long route.
const MAX_DATAGRAM: usize = 60_000;

impl Focus {
    /// Makes a NOTIFY due at once, or as soon as none is in flight. A final NOTIFY stays final.
    pub(in crate::focus) fn make_due(&mut self, now: Moment, id: SubscriptionId, due: Due) {
        let Some(subscription) = self.watch.subscription_mut(id) else {
            return;
        };
        let resource_gone = due == Due::Last(Termination::NoResource);
        if resource_gone || !matches!(subscription.due, Due::Last(_)) {
            subscription.due = due;
        }
        self.schedule(now, id);
    }

    /// Handles a change that subscribers must see: those who were up to date get a NOTIFY as soon
    /// as their pace allows; the others have one scheduled anyway.
    pub(in crate::focus) fn conference_changed(&mut self, now: Moment, room: &RoomUri) {
        let limit = self.config.roster_limit;
        let Some(conference) = self.rooms.conference_mut(room) else {
            return;
        };
        conference.count_crowd(limit);
        let audience = self.watch.audience_mut(room);
        let Some(audience) = audience.filter(|it| !it.subscribers.is_empty()) else {
            return conference.changes.pass_unwatched();
        };
        conference.changes.bound();
        for id in audience.subscribers.wake() {
            self.schedule(now, id);
        }
    }

    /// Drops documents that were not used for a while.
    pub(in crate::focus) fn cool_down(&mut self, now: Moment) {
        self.watch.cool_down(now);
        self.watch.idle_timer = None;
        self.watch_idleness(now);
    }

    fn watch_idleness(&mut self, now: Moment) {
        if self.watch.is_warm() && self.watch.idle_timer.is_none() {
            let timer = self.timers.arm(now + MAX_IDLE, Timer::Idle);
            self.watch.idle_timer = Some(timer);
        }
    }

    /// Shows subscribers the endpoints whose call state this input changed.
    pub(in crate::focus) fn show_presences(&mut self, now: Moment) {
        let touched: Vec<_> = self.rooms.endpoints().touched().copied().collect();
        for id in touched {
            self.show_presence(now, id);
        }
    }

    fn show_presence(&mut self, now: Moment, id: EndpointId) {
        let Some(endpoint) = self.rooms.endpoint_unmarked(id) else {
            return;
        };
        let presence = endpoint.presence();
        let is_in = endpoint.joined.is_some();
        if !is_in || std::mem::replace(&mut endpoint.shown, presence) == presence {
            return;
        }
        let (room, user) = (endpoint.room.clone(), endpoint.user.clone());
        if let Some(conference) = self.rooms.conference_mut(&room) {
            conference.change_user(&user);
            self.conference_changed(now, &room);
        }
    }

    /// Arms the timer for the next NOTIFY of a subscription, if it needs one.
    fn schedule(&mut self, now: Moment, id: SubscriptionId) {
        let interval = self.config.notify_interval;
        let Some(subscription) = self.watch.subscription_mut(id) else {
            return;
        };
        if subscription.in_flight.is_some()
            && subscription.due != Due::Last(Termination::NoResource)
        {
            return;
        }
        let at = match subscription.due {
            Due::Full => subscription.full_due(now, interval),
            Due::Last(Termination::Timeout) => subscription.full_from.unwrap_or(now).max(now),
            Due::Last(_) => now,
            Due::Changes => {
                let Some(conference) = self.rooms.conference(&subscription.room) else {
                    return self.out.broken("no conference of a subscription");
                };
                if subscription.gap || has_news(conference, subscription.seen) {
                    subscription.earliest(now, interval)
                } else {
                    let latest = subscription.latest(now);
                    if let Some((_, audience)) = self.watch.with_audience(id) {
                        audience.subscribers.rest(id);
                    }
                    match latest {
                        Some(at) => at,
                        None => return,
                    }
                }
            }
        };
        let timer = self.timers.arm(at, Timer::Notify(id));
        let Some(subscription) = self.watch.subscription_mut(id) else {
            return;
        };
        subscription.due_at = at;
        self.timers.disarm(subscription.notify_timer.replace(timer));
    }

    /// Queues a NOTIFY whose time has come.
    pub(in crate::focus) fn enqueue(&mut self, now: Moment, id: SubscriptionId) {
        if let Some(subscription) = self.watch.subscription_mut(id)
            && !std::mem::replace(&mut subscription.queued, true)
        {
            let room = subscription.room.clone();
            self.watch.queue.push(now, &room, id);
        }
    }

    /// Sends some of the queued NOTIFYs; the deadline brings the rest.
    pub(in crate::focus) fn notify_some(&mut self, now: Moment) {
        let mut octets = 0;
        for _ in 0..NOTIFIES_PER_TURN {
            if octets > OCTETS_PER_TURN {
                return;
            }
            if self.watch.budget.free_at().is_some_and(|free| free > now) {
                return;
            }
            let Some((id, room, last)) = self.watch.queue.pop() else {
                return;
            };
            octets += self.notify(now, id).unwrap_or_default();
            if last
                && let Some(conference) = self.rooms.conference(&room)
                && let Some(audience) = self.watch.audience_mut(&room)
            {
                audience.documents.settle(conference.changes.revision());
            }
        }
    }

    /// Sends the next NOTIFY, unless one is in flight; returns the octets of its body.
    fn notify(&mut self, now: Moment, id: SubscriptionId) -> Option<usize> {
        let subscription = self.watch.subscription_mut(id)?;
        subscription.queued = false;
        let due = subscription.due;
        let ends = matches!(due, Due::Last(_));
        if subscription.in_flight.is_some() && due != Due::Last(Termination::NoResource) {
            return None;
        }
        self.timers.disarm(subscription.notify_timer.take());
        let Some(body) = self.next_document(now, id) else {
            self.schedule(now, id);
            return None;
        };
        let octets = body.len();
        self.watch.budget.take(now, octets);
        let purpose = if ends {
            Purpose::Farewell
        } else {
            Purpose::Notify(id)
        };
        let request = self.request_id();
        let software = self.out.software.clone();
        let subscription = self.watch.subscription_mut(id)?;
        subscription.rates.sent(now);
        let mut headers = notify_headers(subscription, now, due).with("User-Agent", software);
        if !body.is_empty() {
            headers.push("Content-Type", MEDIA_TYPE);
        }
        let dialog = &mut subscription.dialog;
        let message = dialog.request(request, Method::Notify, headers, body);
        if !ends {
            subscription.in_flight = Some(request);
            subscription.last_sent = Some(now);
            subscription.due = Due::Changes;
        }
        self.send(now, purpose, message);
        if ends {
            self.forget_subscription(now, id);
        }
        Some(octets)
    }

    /// The document for the next NOTIFY; notes what the subscriber has seen with it.
    fn next_document(&mut self, now: Moment, id: SubscriptionId) -> Option<Bytes> {
        let subscription = self.watch.subscription_mut(id)?;
        let version = subscription.version + 1;
        match subscription.due {
            Due::Last(Termination::NoResource) => {
                let document = document::deleted(&subscription.room);
                Some(document.template(None).with_version(version).into())
            }
            // A subscriber who may not watch any more learns nothing else about the room.
            Due::Last(Termination::Rejected) => Some(Bytes::new()),
            _ => self.state_document(now, id, version),
        }
    }

    /// The state of the conference for this subscriber; `None` without changes to show.
    fn state_document(&mut self, now: Moment, id: SubscriptionId, version: u32) -> Option<Bytes> {
        let (subscription, audience) = self.watch.with_audience(id)?;
        let (conference, endpoints) = self.rooms.with_endpoints(&subscription.room)?;
        let documents = &mut audience.documents;
        let view = subscription.current_view(conference);
        let scope = subscription.scope(now, conference, &view, self.config.full_notify_limit);
        let moments = (subscription.due_at, now);
        let rendering = document::document(documents, conference, endpoints, &view, scope, moments);
        let is_datagram = subscription.dialog.socket.transport == "udp";
        if is_datagram && rendering.octets() > MAX_DATAGRAM && !subscription.narrow {
            subscription.narrow = true;
            return self.state_document(now, id, version);
        }
        subscription.seen = match rendering.scope {
            Scope::Full => {
                subscription.full_sent = Some(now);
                Seen::all(rendering.revision)
            }
            Scope::Partial(seen) | Scope::Beat(seen) => seen.after_partial(rendering.revision),
        };
        let body = rendering.body(version);
        audience.subscribers.show(id, subscription.seen);
        let buried = audience.subscribers.all_buried();
        conference.changes.all_told_until(buried);
        if body.is_some() {
            subscription.version = version;
            subscription.gap = false;
            subscription.view = Some(view);
        }
        let room = subscription.room.clone();
        self.watch.warm_up(&room);
        self.watch_idleness(now);
        body
    }

    /// Handles the outcome of a NOTIFY.
    pub(in crate::focus) fn notified(
        &mut self,
        now: Moment,
        id: SubscriptionId,
        request: RequestId,
        code: u16,
        response: Option<&Response>,
    ) {
        let interval = self.config.notify_interval;
        let Some(subscription) = self.watch.subscription_mut(id) else {
            return;
        };
        if subscription.in_flight != Some(request) {
            return;
        }
        subscription.in_flight = None;
        if code < 300 {
            subscription.failures = 0;
            if let Some(response) = response {
                // NOTIFY refreshes the target (RFC 6665 §4.4.1).
                subscription.dialog.refresh_target(response);
            }
            subscription.adjust_rates(now, interval, response);
        } else {
            subscription.failures += 1;
            // The subscriber missed a document: only a full one helps now.
            subscription.gap = true;
            subscription.not_before = retry_after(response).map(|span| now + span);
        }
        if FATAL.contains(&code) || subscription.failures >= MAX_FAILURES {
            let line = format!(
                "subscription of {} to {} ended: {code} to NOTIFY",
                subscription.user, subscription.room
            );
            self.out.log(Level::Info, line);
            self.forget_subscription(now, id);
            return;
        }
        self.schedule(now, id);
    }

    pub(in crate::focus) fn forget_subscription(&mut self, now: Moment, id: SubscriptionId) {
        let Some(subscription) = self.watch.end(id) else {
            return;
        };
        self.watch_idleness(now);
        self.dialogs.close(&subscription.dialog.key);
        self.timers.disarm(subscription.notify_timer);
        self.timers.disarm(subscription.expiry_timer);
        if let Some(conference) = self.rooms.conference_mut(&subscription.room) {
            let audience = self.watch.audience(&subscription.room);
            let buried = audience.map_or(u64::MAX, |it| it.subscribers.all_buried());
            conference.changes.all_told_until(buried);
        }
        self.end_if_empty(now, &subscription.room);
    }
}

impl Subscription {
    /// The view of the subscriber at present.
    pub(in crate::focus) fn current_view(&self, conference: &Conference) -> View {
        let participant = conference.participants.get(&self.user);
        let role = participant.map(|participant| participant.role);
        let listed_by_role = role == Some(Role::Moderator);
        let role = self.role.or(role);
        let role = role.unwrap_or_else(|| conference.policy.role(&self.user));
        let crowded = conference.is_crowd() || self.narrow;
        let is_in = participant.is_some() && !listed_by_role;
        View::of(&self.user, role, is_in, crowded)
    }

    /// When the next change may be sent.
    fn earliest(&self, now: Moment, interval: Duration) -> Moment {
        let pace = interval.max(self.rates.shortest());
        // After each refusal the pause doubles.
        let pace = pace * 2u32.pow(self.failures.saturating_sub(1));
        let after_last = match self.last_sent {
            Some(sent) if sent + pace > now => (sent + pace).round_up(interval / PARTS_OF_INTERVAL),
            _ => now,
        };
        after_last.max(self.not_before.unwrap_or(now))
    }

    /// When the full document for a SUBSCRIBE is sent: at once, but within the pace of full
    /// documents.
    fn full_due(&self, now: Moment, interval: Duration) -> Moment {
        let after_last = self.full_sent.map(|sent| sent + interval);
        [after_last, self.full_from]
            .into_iter()
            .flatten()
            .fold(now, Moment::max)
    }

    /// When a NOTIFY must be sent even without changes (RFC 6446 §6, §7).
    fn latest(&self, now: Moment) -> Option<Moment> {
        let sent = self.last_sent?;
        Some((sent + self.rates.longest()?).max(now))
    }

    /// The scope of the next document.
    fn scope(
        &self,
        now: Moment,
        conference: &Conference,
        view: &View,
        full_notify_limit: usize,
    ) -> Scope {
        let in_full = match self.merging {
            Merging::Never => true,
            // In a small room the full list is cheap, and clients cannot merge it wrongly.
            Merging::Unknown => (1..=full_notify_limit).contains(&conference.participants.len()),
            Merging::Shown => false,
        };
        let must_be_full = self.due != Due::Changes
            || self.gap
            || in_full
            || self.view.as_ref() != Some(view)
            || self.seen.shown < conference.changes.reshaped()
            || (view.is_crowd() && self.seen.shown < conference.changes.last_recast())
            || self.seen.buried < conference.changes.forgotten();
        let must_come = self.latest(now).is_some_and(|latest| latest <= now);
        match (must_be_full, must_come) {
            (true, _) => Scope::Full,
            (false, true) => Scope::Beat(self.seen),
            (false, false) => Scope::Partial(self.seen),
        }
    }

    /// Adjusts the rates to those in a 2xx to NOTIFY (RFC 6446 §9.3).
    fn adjust_rates(&mut self, now: Moment, interval: Duration, response: Option<&Response>) {
        let event = response.and_then(|response| response.headers.first("Event"));
        if let Some((package, params)) = event.map(|e| e.split_once(';').unwrap_or((e, "")))
            && package.trim().eq_ignore_ascii_case(PACKAGE)
        {
            let left = self.expires.saturating_since(now);
            self.rates = EventRates::agree(&Params::parse(params), interval, left);
        }
    }
}

fn has_news(conference: &Conference, seen: Seen) -> bool {
    let last = conference.changes.departures().last();
    seen.shown < conference.changes.revision()
        || last.is_some_and(|last| last.revision > seen.buried)
}

fn notify_headers(subscription: &Subscription, now: Moment, due: Due) -> Headers {
    let state = match due {
        Due::Last(termination) => format!("terminated;reason={}", termination.reason()),
        Due::Full | Due::Changes => {
            let left = subscription.expires.saturating_since(now).as_secs();
            format!("active;expires={left}{}", subscription.rates.params())
        }
    };
    let event = match &subscription.event_id {
        Some(id) => format!("{PACKAGE};id={id}"),
        None => PACKAGE.to_owned(),
    };
    Headers::new()
        .with(
            "Contact",
            format!("<{}>;isfocus", subscription.dialog.contact),
        )
        .with("Event", event)
        .with("Subscription-State", state)
}

/// The seconds of a Retry-After (RFC 3261 §20.33).
fn retry_after(response: Option<&Response>) -> Option<Duration> {
    let value = response?.headers.first("Retry-After")?;
    let digits = value.trim().split(|c: char| !c.is_ascii_digit()).next()?;
    let seconds = digits.parse().unwrap_or(u64::MAX);
    (!digits.is_empty()).then(|| Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}
