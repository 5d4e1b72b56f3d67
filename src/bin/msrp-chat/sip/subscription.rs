//! The subscription to the conference event package (RFC 4575, RFC 6665).

use super::Hop;
use super::dialog::Dialog;
use super::event::{Event, in_words};
use crate::failure::Failure;
use msrp_conference::entropy::Entropy;
use msrp_conference::time::Moment;
use msrp_conference::wire::conference_info::MEDIA_TYPE;
use msrp_conference::wire::sip::{Method, NameAddr, Request, Response, SubscriptionState};
use std::time::Duration;

/// Requested duration in seconds; the notifier may shorten it.
const EXPIRES: u32 = 600;
/// The longest duration in seconds that a notifier may demand.
const MAX_EXPIRES: u32 = 86_400;

/// The next action.
#[derive(Debug)]
pub(super) enum Next {
    Nothing,
    /// Send a SUBSCRIBE, for a new subscription or a refresh.
    Subscribe,
    Tell(Event),
}

/// The state of the subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) dialog: Option<Dialog>,
    expires: u32,
    refresh_at: Option<Moment>,
    /// We have unsubscribed.
    leaving: bool,
    /// A 2xx has arrived.
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
        // Refresh after four fifths of the time, so that one lost request does no harm.
        let seconds = u64::from(seconds.min(MAX_EXPIRES));
        self.refresh_at = Some(now + Duration::from_millis(seconds * 800));
    }

    /// Cancels the refresh.
    pub(super) fn pause(&mut self) {
        self.refresh_at = None;
    }

    /// The SUBSCRIBE: outside the call's dialog (RFC 6665 §4.5.2), to the room's own URI, or
    /// within its own.
    pub(super) fn subscribe(
        &mut self,
        me: &NameAddr,
        room: &str,
        entropy: &mut dyn Entropy,
    ) -> Request {
        self.refresh_at = None;
        let dialog = self
            .dialog
            .get_or_insert_with(|| Dialog::new(me, room, entropy));
        request(dialog, self.expires)
    }

    /// The SUBSCRIBE that ends it, if there is something to end.
    pub(super) fn unsubscribe(&mut self) -> Option<Request> {
        self.leaving = true;
        self.refresh_at = None;
        match &mut self.dialog {
            Some(dialog) if dialog.established() => Some(request(dialog, 0)),
            _ => {
                self.dialog = None;
                None
            }
        }
    }

    /// The destination of its next request.
    pub(super) fn hop(&self, server_host: &str) -> Hop {
        let dialog = self.dialog.as_ref();
        dialog.map_or(Hop::Server, |dialog| dialog.hop(server_host))
    }

    /// Handles the answer to a SUBSCRIBE.
    pub(super) fn answered(&mut self, now: Moment, asked: &Request, response: &Response) -> Next {
        let Some(dialog) = &mut self.dialog else {
            return Next::Nothing;
        };
        let to = asked.headers.first("To");
        let was_refresh = to.is_some_and(|to| to.contains("tag="));
        match response.code {
            200..=299 => {
                dialog.confirm(response);
                self.accepted = true;
                let granted = number(response.headers.first("Expires"));
                if !self.leaving {
                    self.granted(now, granted.unwrap_or(self.expires));
                }
                Next::Nothing
            }
            _ if self.leaving => {
                self.dialog = None;
                Next::Nothing
            }
            423 => match number(response.headers.first("Min-Expires")) {
                Some(least) if least > self.expires && least <= MAX_EXPIRES => {
                    self.expires = least;
                    Next::Subscribe
                }
                _ => self.refused(response),
            },
            // The notifier has lost the subscription: begin anew (RFC 6665 §4.1.2.2).
            481 if was_refresh => {
                self.dialog = None;
                Next::Subscribe
            }
            _ => self.refused(response),
        }
    }

    fn refused(&mut self, response: &Response) -> Next {
        let failure = Failure::sip("see who is here", response.code, &in_words(response));
        self.failed(failure).map_or(Next::Nothing, Next::Tell)
    }

    /// There will be no roster.
    pub(super) fn failed(&mut self, failure: Failure) -> Option<Event> {
        self.dialog = None;
        self.refresh_at = None;
        (!self.leaving).then_some(Event::NoRoster(failure))
    }

    /// Handles a NOTIFY, which may come before the 200 (E37). Returns the status code to answer,
    /// and the next actions.
    pub(super) fn notified(&mut self, now: Moment, request: &Request) -> (u16, Vec<Next>) {
        let state = request.headers.first("Subscription-State");
        let state = state.and_then(|text| text.parse::<SubscriptionState>().ok());
        let dialog = self.dialog.as_mut().filter(|it| it.holds(request));
        let (dialog, state) = match (dialog, state) {
            (None, _) => return (481, Vec::new()),
            _ if !request.headers.has_token("Event", "conference") => return (489, Vec::new()),
            (_, None) => return (400, Vec::new()),
            (Some(dialog), Some(state)) => (dialog, state),
        };
        if !dialog.in_order(request) {
            return (500, Vec::new());
        }
        dialog.confirm_by(request);
        let mut next = Vec::new();
        if !request.body.is_empty() {
            if !request.headers.has_token("Content-Type", MEDIA_TYPE) {
                return (415, Vec::new());
            }
            next.push(Next::Tell(Event::Document(request.body.clone())));
        }
        match state.state.as_str() {
            "terminated" => next.push(self.terminated(state.params.value("reason"))),
            _ if !self.leaving => {
                if let Some(seconds) = number(state.params.value("expires")) {
                    self.granted(now, seconds);
                }
            }
            _ => {}
        }
        (200, next)
    }

    fn terminated(&mut self, reason: Option<&str>) -> Next {
        self.dialog = None;
        self.refresh_at = None;
        match reason {
            _ if self.leaving => Next::Nothing,
            // Only these reasons allow a new subscription at once (RFC 6665 §4.1.3).
            Some("timeout" | "deactivated") => Next::Subscribe,
            _ => Next::Tell(Event::RosterEnded),
        }
    }
}

fn request(dialog: &mut Dialog, expires: u32) -> Request {
    let mut request = dialog.request(Method::Subscribe);
    request.headers.push("Event", "conference");
    request.headers.push("Accept", MEDIA_TYPE);
    request.headers.push("Expires", expires.to_string());
    // We accept partial documents; this header tells servers so.
    request.headers.push("Last-Notify-Version", "0");
    request
}

fn number(text: Option<&str>) -> Option<u32> {
    text?.trim().parse().ok()
}
