//! The notifier of the conference event package (RFC 6665 §4.2, RFC 4575 §3).

use std::time::Duration;

use super::conference::Conference;
use super::dialog::Dialog;
use super::refusal::{ALLOW_EVENTS, Refusal, Verdict};
use super::request::{Incoming, capabilities, contact, identity};
use super::roster::{self, Seen};
use super::subscription::{Due, Subscription, SubscriptionId, Termination};
use super::timers::Timer;
use super::{Focus, Purpose, RequestId, Usage};
use crate::control::{RoomUri, UserUri};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::{self as info, MEDIA_TYPE};
use crate::wire::sip::{Headers, Method, Request};

const PACKAGE: &str = "conference";
/// Shorter subscriptions are refused with 423 (DESIGN ruling "short subscriptions").
const MIN_EXPIRES: u64 = 60;
/// Subscriptions of one user to one conference; the oldest clients re-subscribe without
/// unsubscribing after a crash.
const MAX_SUBSCRIPTIONS: usize = 32;
/// Answers to NOTIFY that end the subscription (RFC 6665 §4.2.2, row E33); 408 is also what
/// a time-out looks like.
const FATAL: [u16; 15] = [
    404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604, 403,
];

impl Focus {
    /// A SUBSCRIBE that starts a dialog.
    pub(super) fn subscribe(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: RoomUri,
    ) -> Verdict<()> {
        let event = check_package(&incoming.request)?;
        let expires = self.expires(&incoming.request)?;
        let user = identity(&incoming.arrival)?;
        self.check_watcher(&room, &user)?;
        let subscription = self.new_subscription(now, incoming, room, user, event, expires)?;
        let id = SubscriptionId(self.next_id());
        self.track(subscription.dialog.key.clone(), Usage::Subscription(id));
        if let Some(conference) = self.watched(&subscription.room) {
            conference.subscriptions.push(id);
        }
        self.subscriptions.insert(id, subscription);
        self.grant(now, incoming, id, expires);
        Ok(())
    }

    /// Refresh or end of a subscription.
    pub(super) fn resubscribe(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        id: SubscriptionId,
    ) -> Verdict<()> {
        check_package(&incoming.request)?;
        let expires = self.expires(&incoming.request)?;
        self.grant(now, incoming, id, expires);
        Ok(())
    }

    /// Whether this caller may watch this room. An ad hoc room exists as long as somebody is
    /// in, a configured one always.
    fn check_watcher(&self, room: &RoomUri, user: &UserUri) -> Verdict<()> {
        let policy = self.policy(room, Some(false)).ok_or(Refusal::new(404))?;
        let conference = self.conferences.get(room);
        let is_in = conference.is_some_and(|c| c.participants.contains_key(user));
        if policy.subscribe_participants_only && !is_in {
            return Err(Refusal::new(403).because("only participants may subscribe"));
        }
        let subscriptions = conference.map_or(&[][..], |c| &c.subscriptions);
        let theirs = subscriptions.iter().filter(|id| {
            self.subscriptions
                .get(id)
                .is_some_and(|subscription| subscription.user == *user)
        });
        if theirs.count() >= MAX_SUBSCRIPTIONS {
            return Err(Refusal::new(403).because("too many subscriptions of this user"));
        }
        Ok(())
    }

    /// The conference of a watched room; a configured room gets one when first watched.
    fn watched(&mut self, room: &RoomUri) -> Option<&mut Conference> {
        if !self.conferences.contains_key(room) {
            let policy = self.policy(room, Some(false))?;
            self.conferences
                .insert(room.clone(), Conference::new(room.clone(), policy));
        }
        self.conferences.get_mut(room)
    }

    /// The granted duration (RFC 6665 §4.2.1.1): never longer than asked; zero is a fetch.
    fn expires(&self, request: &Request) -> Verdict<Duration> {
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
        event: String,
        expires: Duration,
    ) -> Verdict<Subscription> {
        let Incoming {
            request, arrival, ..
        } = incoming;
        let local_tag = match &arrival.to_tag {
            Some(tag) => tag.clone(),
            None => self.new_tag(),
        };
        let contact = contact(&request.uri, &arrival.socket);
        let dialog = Dialog::accept(request, arrival, local_tag, contact)
            .map_err(|error| Refusal::new(400).because(error))?;
        let agent = request.headers.first("User-Agent").unwrap_or_default();
        let full_only = self
            .full_notify_agents
            .as_ref()
            .is_some_and(|pattern| pattern.is_match(agent));
        Ok(Subscription {
            room,
            user,
            dialog,
            event,
            expires: now + expires,
            full_only,
            version: 0,
            seen: Seen::default(),
            due: Due::Full,
            in_flight: None,
            gap: false,
            quiet: false,
            last_sent: None,
            notify_timer: None,
            expiry_timer: None,
        })
    }

    /// The 200 and the NOTIFY that follows every accepted SUBSCRIBE.
    fn grant(&mut self, now: Moment, incoming: &Incoming, id: SubscriptionId, expires: Duration) {
        let timer = self.timers.arm(now + expires, Timer::Expiry(id));
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        self.timers.disarm(subscription.expiry_timer.replace(timer));
        subscription.expires = now + expires;
        let headers = capabilities(&subscription.dialog.contact)
            .with("Expires", expires.as_secs().to_string());
        let to_tag = subscription.dialog.key.local_tag.clone();
        self.reply(incoming.transaction, 200, headers, "", Some(to_tag));
        let due = if expires.is_zero() {
            Due::Last(Termination::Timeout)
        } else {
            Due::Full
        };
        self.make_due(now, id, due);
    }

    pub(super) fn subscription_expired(&mut self, now: Moment, id: SubscriptionId) {
        self.make_due(now, id, Due::Last(Termination::Timeout));
    }

    /// Asks for a NOTIFY at once, as soon as none is in flight. What is last stays last.
    pub(super) fn make_due(&mut self, now: Moment, id: SubscriptionId, due: Due) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        if !matches!(subscription.due, Due::Last(_)) {
            subscription.due = due;
        }
        self.schedule(now, id);
    }

    /// Something changed that subscribers must see: those who knew everything get a NOTIFY
    /// as soon as their pace allows; the others have one coming anyway.
    pub(super) fn conference_changed(&mut self, now: Moment, room: &RoomUri) {
        let Some(conference) = self.conferences.get_mut(room) else {
            return;
        };
        for id in std::mem::take(&mut conference.quiet) {
            if let Some(subscription) = self.subscriptions.get_mut(&id) {
                subscription.quiet = false;
            }
            self.schedule(now, id);
        }
    }

    /// Arms the timer for the next NOTIFY of a subscription, if there is anything to say.
    fn schedule(&mut self, now: Moment, id: SubscriptionId) {
        let interval = self.config.notify_interval;
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        if subscription.in_flight.is_some() {
            return;
        }
        let at = match subscription.due {
            Due::Full | Due::Last(_) => now,
            Due::Changes => {
                let Some(conference) = self.conferences.get_mut(&subscription.room) else {
                    return;
                };
                if !subscription.gap && !has_news(conference, subscription.seen) {
                    if !std::mem::replace(&mut subscription.quiet, true) {
                        conference.quiet.push(id);
                    }
                    return;
                }
                subscription
                    .last_sent
                    .map_or(now, |sent| (sent + interval).max(now))
            }
        };
        let timer = self.timers.arm(at, Timer::Notify(id));
        self.timers.disarm(subscription.notify_timer.replace(timer));
    }

    /// Sends the NOTIFY that is due, unless one is in flight.
    pub(super) fn notify(&mut self, now: Moment, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let ends = matches!(subscription.due, Due::Last(_));
        if subscription.in_flight.is_some() && !ends {
            return;
        }
        self.timers.disarm(subscription.notify_timer.take());
        let due = subscription.due;
        let Some(document) = self.next_document(id) else {
            self.schedule(now, id);
            return;
        };
        let purpose = if ends {
            Purpose::Farewell
        } else {
            Purpose::Notify(id)
        };
        let request = self.send(now, purpose, |focus, request| {
            let software = focus.config.software.clone();
            let subscription = focus.subscriptions.get_mut(&id)?;
            let headers = notify_headers(subscription, now, due).with("User-Agent", software);
            Some(
                subscription
                    .dialog
                    .request(request, Method::Notify, headers, document.write()),
            )
        });
        if ends {
            self.forget_subscription(now, id);
        } else if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.in_flight = request;
            subscription.last_sent = Some(now);
            subscription.due = Due::Changes;
        }
    }

    /// The document for the next NOTIFY; notes what the subscriber knows after it.
    fn next_document(&mut self, id: SubscriptionId) -> Option<info::Document> {
        let subscription = self.subscriptions.get_mut(&id)?;
        let conference = self.conferences.get(&subscription.room)?;
        let room = subscription.room.clone();
        let version = subscription.version + 1;
        let seen = subscription.seen;
        let whole = subscription.due != Due::Changes || subscription.gap || subscription.full_only;
        let document = if subscription.due == Due::Last(Termination::NoResource) {
            Some(roster::deleted(conference, version))
        } else if whole {
            subscription.seen = Seen::all(conference.revision);
            Some(roster::full(conference, &self.endpoints, version))
        } else {
            subscription.seen = seen.after_partial(conference.revision);
            roster::partial(conference, &self.endpoints, seen, version)
        };
        if document.is_some() {
            subscription.version = version;
            subscription.gap = false;
        }
        self.forget_departures(&room);
        document
    }

    /// Departures that every subscriber has been told to the end need no memory.
    fn forget_departures(&mut self, room: &RoomUri) {
        let Some(conference) = self.conferences.get_mut(room) else {
            return;
        };
        if conference.departures.is_empty() {
            return;
        }
        let buried = conference
            .subscriptions
            .iter()
            .filter_map(|id| self.subscriptions.get(id))
            .map(|subscription| subscription.seen.buried)
            .min()
            .unwrap_or(u64::MAX);
        conference
            .departures
            .retain(|departure| departure.revision > buried);
    }

    /// A NOTIFY has its outcome.
    pub(super) fn notified(
        &mut self,
        now: Moment,
        id: SubscriptionId,
        request: RequestId,
        code: u16,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        if subscription.in_flight != Some(request) {
            return;
        }
        subscription.in_flight = None;
        if FATAL.contains(&code) {
            let line = format!(
                "subscription of {} to {} ended: {code} to NOTIFY",
                subscription.user, subscription.room
            );
            self.log(Level::Info, line);
            self.forget_subscription(now, id);
            return;
        }
        // The subscriber missed a document: only a full one helps now.
        subscription.gap |= code >= 300;
        self.schedule(now, id);
    }

    fn forget_subscription(&mut self, now: Moment, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.remove(&id) else {
            return;
        };
        self.untrack(&subscription.dialog.key);
        self.timers.disarm(subscription.notify_timer);
        self.timers.disarm(subscription.expiry_timer);
        if let Some(conference) = self.conferences.get_mut(&subscription.room) {
            conference.subscriptions.retain(|other| *other != id);
            if subscription.quiet {
                conference.quiet.retain(|other| *other != id);
            }
        }
        self.forget_departures(&subscription.room);
        self.end_if_empty(now, &subscription.room);
    }
}

fn has_news(conference: &Conference, seen: Seen) -> bool {
    seen.shown < conference.revision
        || conference
            .departures
            .iter()
            .any(|departure| departure.revision > seen.buried)
}

fn notify_headers(subscription: &Subscription, now: Moment, due: Due) -> Headers {
    let state = match due {
        Due::Last(termination) => format!("terminated;reason={}", termination.reason()),
        Due::Full | Due::Changes => {
            let left = subscription.expires.saturating_since(now).as_secs();
            format!("active;expires={left}")
        }
    };
    Headers::new()
        .with(
            "Contact",
            format!("<{}>;isfocus", subscription.dialog.contact),
        )
        .with("Event", subscription.event.clone())
        .with("Subscription-State", state)
        .with("Content-Type", MEDIA_TYPE)
}

/// The Event value to echo; anything else than our package is refused (RFC 6665 §4.2.1.1).
fn check_package(request: &Request) -> Verdict<String> {
    let bad_event = || Refusal::new(489).with("Allow-Events", ALLOW_EVENTS);
    let event = request.headers.first("Event").ok_or_else(bad_event)?;
    let package = event.split(';').next().unwrap_or_default().trim();
    if !package.eq_ignore_ascii_case(PACKAGE) {
        return Err(bad_event());
    }
    // Row E01: without Accept it is this type.
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
    Ok(event.to_owned())
}
