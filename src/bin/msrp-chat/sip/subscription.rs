//! The subscription to the conference event package (RFC 4575, RFC 6665).

use super::agent::{Agent, Event, Phase, told};
use super::dialog::Dialog;
use crate::failure::Failure;
use msrp_conference::time::Moment;
use msrp_conference::wire::conference_info::MEDIA_TYPE;
use msrp_conference::wire::sip::{Method, Request, Response, SubscriptionState};
use std::time::Duration;

/// What we ask for, in seconds; the notifier may shorten it.
const EXPIRES: u32 = 600;
/// The longest a notifier may make us ask for.
const MAX_EXPIRES: u32 = 86_400;

/// The state of the subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) dialog: Option<Dialog>,
    expires: u32,
    refresh_at: Option<Moment>,
    /// We have said that we want no more.
    leaving: bool,
    /// A 2xx has come.
    pub(super) accepted: bool,
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            dialog: None,
            expires: EXPIRES,
            refresh_at: None,
            leaving: false,
            accepted: false,
        }
    }
}

impl Subscription {
    pub(super) fn over(&self) -> bool {
        self.dialog.is_none()
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.refresh_at
    }

    fn granted(&mut self, now: Moment, seconds: u32) {
        // Refresh after four fifths, so that one lost request does no harm.
        let seconds = u64::from(seconds.min(MAX_EXPIRES));
        self.refresh_at = Some(now + Duration::from_millis(seconds * 800));
    }
}

impl Agent {
    /// Subscribes, or refreshes; also asks for a full document when one was missed.
    pub(crate) fn subscribe(&mut self, now: Moment) {
        let expires = self.subscription.expires;
        self.subscription.refresh_at = None;
        if self.phase != Phase::Up {
            return;
        }
        if self.subscription.dialog.is_none() {
            // Outside the call's dialog (RFC 6665 §4.5.2), to the room's own URI.
            let dialog = Dialog::new(&self.me.from, &self.call.target, &mut *self.entropy);
            self.subscription.dialog = Some(dialog);
        }
        self.send_subscribe(now, expires);
    }

    pub(super) fn unsubscribe(&mut self, now: Moment) {
        self.subscription.leaving = true;
        self.subscription.refresh_at = None;
        let known = |dialog: &Dialog| dialog.established();
        if self.subscription.dialog.as_ref().is_some_and(known) {
            self.send_subscribe(now, 0);
        } else {
            self.subscription.dialog = None;
        }
    }

    fn send_subscribe(&mut self, now: Moment, expires: u32) {
        let Some(dialog) = &mut self.subscription.dialog else {
            return;
        };
        let mut request = dialog.request(Method::Subscribe);
        let hop = dialog.hop(&self.me.server_host);
        request.headers.push("Event", "conference");
        request.headers.push("Accept", MEDIA_TYPE);
        request.headers.push("Expires", expires.to_string());
        // We put partial documents together; servers know that by this header.
        request.headers.push("Last-Notify-Version", "0");
        self.send(now, request, hop, false);
    }

    pub(super) fn subscribed(&mut self, now: Moment, asked: &Request, response: &Response) {
        let Some(dialog) = &mut self.subscription.dialog else {
            return;
        };
        let was_refresh = asked
            .headers
            .first("To")
            .is_some_and(|to| to.contains("tag="));
        match response.code {
            200..=299 => {
                dialog.confirm(response);
                self.subscription.accepted = true;
                let granted = number(response.headers.first("Expires"));
                if !self.subscription.leaving {
                    let granted = granted.unwrap_or(self.subscription.expires);
                    self.subscription.granted(now, granted);
                }
            }
            _ if self.subscription.leaving => self.subscription.dialog = None,
            423 => match number(response.headers.first("Min-Expires")) {
                Some(least) if least > self.subscription.expires && least <= MAX_EXPIRES => {
                    self.subscription.expires = least;
                    self.send_subscribe(now, least);
                }
                _ => self.subscription_refused(response),
            },
            // The notifier has lost us: begin anew (RFC 6665 §4.1.2.2).
            481 if was_refresh => {
                self.subscription.dialog = None;
                self.subscribe(now);
            }
            _ => self.subscription_refused(response),
        }
    }

    fn subscription_refused(&mut self, response: &Response) {
        let failure = Failure::sip("see who is here", response.code, &told(response));
        self.subscription_failed(failure);
    }

    pub(super) fn subscription_failed(&mut self, failure: Failure) {
        self.subscription.dialog = None;
        self.subscription.refresh_at = None;
        if !self.subscription.leaving {
            self.events.push_back(Event::NoRoster(failure));
        }
    }

    /// A NOTIFY of our subscription; it may come before the 200 (E37). The status to answer.
    pub(super) fn notified(&mut self, now: Moment, request: &Request) -> u16 {
        let state = request.headers.first("Subscription-State");
        let state = state.and_then(|text| text.parse::<SubscriptionState>().ok());
        let ours = |dialog: &Dialog| dialog.holds(request);
        let subscription = &mut self.subscription;
        let Some(dialog) = subscription.dialog.as_mut().filter(|dialog| ours(dialog)) else {
            return 481;
        };
        if !request.headers.has_token("Event", "conference") {
            return 489;
        }
        let Some(state) = state else {
            return 400;
        };
        if !dialog.in_order(request) {
            return 500;
        }
        dialog.confirm_by(request);
        if !request.body.is_empty() {
            if !request.headers.has_token("Content-Type", MEDIA_TYPE) {
                return 415;
            }
            let document = Event::Document(request.body.clone());
            self.events.push_back(document);
        }
        match state.state.as_str() {
            "terminated" => self.terminated(now, state.params.value("reason")),
            _ if !self.subscription.leaving => {
                if let Some(seconds) = number(state.params.value("expires")) {
                    self.subscription.granted(now, seconds);
                }
            }
            _ => {}
        }
        200
    }

    fn terminated(&mut self, now: Moment, reason: Option<&str>) {
        self.subscription.dialog = None;
        self.subscription.refresh_at = None;
        if self.subscription.leaving || self.phase != Phase::Up {
            return;
        }
        match reason {
            // Only these invite to come back at once (RFC 6665 §4.1.3).
            Some("timeout" | "deactivated") => self.subscribe(now),
            _ => self.events.push_back(Event::RosterEnded),
        }
    }
}

fn number(text: Option<&str>) -> Option<u32> {
    text?.trim().parse().ok()
}
