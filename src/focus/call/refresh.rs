//! Session timers (RFC 4028): our refreshes, and the end of sessions without a refresh.

use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::dialogs::Purpose;
use crate::focus::sip::face::capabilities;
use std::time::Duration;

use bytes::Bytes;

use crate::focus::Focus;
use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::{Link, Offer, Stage};
use crate::focus::sip::session_timer::{Agreement, Refresher, Schedule, SessionTimer};
use crate::focus::timers::Timer;
use crate::log::Level;
use crate::time::Moment;
use crate::wire::sip::{Headers, Method, Response};

/// RFC 4028 §10: the BYE leaves this long before the expiry, or a third of the interval.
const BYE_MARGIN: Duration = Duration::from_secs(32);

/// RFC 3261 §14.1: units of the pause after 491.
const GLARE_UNIT: Duration = Duration::from_millis(10);

impl Focus {
    /// (Re)starts an endpoint's session timer after a 2xx.
    pub(in crate::focus) fn start_session_timer(
        &mut self,
        now: Moment,
        id: EndpointId,
        agreement: Agreement,
    ) {
        let margin = BYE_MARGIN.min(agreement.interval / 3);
        let expiry = self
            .timers
            .arm(now + agreement.interval - margin, Timer::SessionExpiry(id));
        let refresh = (agreement.refresher == Refresher::Us).then(|| {
            self.timers
                .arm(now + agreement.interval / 2, Timer::Refresh(id))
        });
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("no endpoint of a session timer");
        };
        let timer = SessionTimer {
            agreement,
            by_update: endpoint.peer_updates,
            raised: 0,
            refresh_timer: refresh,
            expiry_timer: Some(expiry),
        };
        self.set_session_timer(id, Some(timer));
    }

    /// Resumes a session timer with its earlier deadlines.
    pub(in crate::focus) fn resume_session_timer(
        &mut self,
        id: EndpointId,
        schedule: Option<Schedule>,
    ) {
        let timer = schedule.map(|schedule| SessionTimer {
            agreement: schedule.agreement,
            by_update: schedule.by_update,
            raised: 0,
            refresh_timer: schedule
                .refresh
                .map(|at| self.timers.arm(at, Timer::Refresh(id))),
            expiry_timer: schedule
                .expiry
                .map(|at| self.timers.arm(at, Timer::SessionExpiry(id))),
        });
        self.set_session_timer(id, timer);
    }

    fn set_session_timer(&mut self, id: EndpointId, timer: Option<SessionTimer>) {
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("no endpoint of a session timer");
        };
        if let Some(before) = std::mem::replace(&mut endpoint.session_timer, timer) {
            self.timers.disarm(before.refresh_timer);
            self.timers.disarm(before.expiry_timer);
        }
    }

    /// The session expired without a refresh.
    pub(in crate::focus) fn session_expired(&mut self, now: Moment, id: EndpointId) {
        if let Some(endpoint) = self.rooms.endpoint(id) {
            let line = format!("the session of {} was not refreshed", endpoint.user);
            self.out.log(Level::Info, line);
        }
        self.dismiss(now, id, ByeReason::NotRefreshed);
    }

    /// Adjusts the timer to the peer's 2xx to our re-INVITE.
    pub(in crate::focus) fn renew_agreement(
        &mut self,
        now: Moment,
        id: EndpointId,
        response: &Response,
    ) {
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("no endpoint of a session timer");
        };
        let ours = self.config.session_expires;
        let agreement = match &endpoint.session_timer {
            Some(timer) => timer.agreement.renewed(response),
            None => Agreement::accepted(response, ours),
        };
        self.start_session_timer(now, id, agreement);
    }

    /// Sends our refresh: UPDATE without body, or the re-INVITE that changes nothing.
    pub(in crate::focus) fn refresh(&mut self, now: Moment, id: EndpointId) {
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("no endpoint to refresh");
        };
        let idle = matches!(endpoint.stage, Stage::Confirmed) && endpoint.is_free();
        // A renewal is a refresh, too.
        let busy = !idle || matches!(endpoint.link(), Link::Renewing { .. });
        if busy {
            self.refresh_later(now, id, Duration::from_secs(1));
            return;
        }
        let request = self.request_id();
        let headers = self.refresh_headers(id);
        let Some((endpoint, headers)) = self.rooms.endpoint_mut(id).zip(headers) else {
            return;
        };
        let by_update = endpoint
            .session_timer
            .as_ref()
            .is_some_and(|it| it.by_update);
        let (method, headers, body) = if by_update {
            (Method::Update, headers, Bytes::new())
        } else {
            let headers = headers.with("Content-Type", "application/sdp");
            (Method::Invite, headers, endpoint.media.ours().into())
        };
        endpoint.refreshing = true;
        if method == Method::Invite {
            endpoint.offer = Offer::Request;
        }
        let message = endpoint.dialog.request(request, method, headers, body);
        self.send(now, Purpose::Refresh(id), message);
    }

    /// Headers of a session refresh request of ours.
    pub(in crate::focus) fn refresh_headers(&self, id: EndpointId) -> Option<Headers> {
        let endpoint = self.rooms.endpoint(id)?;
        let timer = endpoint.session_timer.as_ref();
        let interval = timer.map_or(self.config.session_expires, |it| it.agreement.interval);
        let value = format!("{};refresher=uac", interval.as_secs());
        Some(
            capabilities(&endpoint.dialog.contact)
                .with("Session-Expires", value)
                .with("Min-SE", self.config.min_se.as_secs().to_string())
                .with("User-Agent", self.out.software.clone()),
        )
    }

    fn refresh_later(&mut self, now: Moment, id: EndpointId, pause: Duration) {
        let timer = self.timers.arm(now + pause, Timer::Refresh(id));
        if let Some(before) = self
            .rooms
            .endpoint_mut(id)
            .and_then(|endpoint| endpoint.session_timer.as_mut())
            .and_then(|session| session.refresh_timer.replace(timer))
        {
            self.timers.disarm(Some(before));
        }
    }

    /// Pause before a retry after 491 (RFC 3261 §14.1): 2.1 to 4 seconds for the owner of the
    /// Call-ID, up to two for the other side, so that they do not collide again.
    pub(in crate::focus) fn glare_pause(&mut self, id: EndpointId) -> Duration {
        let endpoint = self.rooms.endpoint(id);
        let units = match endpoint.is_some_and(|it| it.dialed_out) {
            true => 210 + self.out.random_below(191),
            false => self.out.random_below(201),
        };
        GLARE_UNIT * u32::from(units)
    }

    /// Our refresh has its outcome (RFC 4028 §7.3, RFC 3261 §14.1).
    pub(in crate::focus) fn refreshed(
        &mut self,
        now: Moment,
        id: EndpointId,
        code: u16,
        response: Option<&Response>,
    ) {
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return;
        };
        endpoint.refreshed();
        let Some(timer) = endpoint.session_timer.as_mut() else {
            return;
        };
        let agreement = timer.agreement;
        match code {
            200..300 => {
                if let Some(response) = response {
                    endpoint.dialog.refresh_target(response);
                }
                let renewed = response.map_or(agreement, |response| agreement.renewed(response));
                self.start_session_timer(now, id, renewed);
                if let Some(response) = response.filter(|response| !response.body.is_empty()) {
                    self.answered(id, response);
                }
            }
            408 | 481 => self.dismiss(now, id, ByeReason::NotRefreshed),
            422 if timer.raise(response) => self.refresh_later(now, id, Duration::ZERO),
            491 => {
                let pause = self.glare_pause(id);
                self.refresh_later(now, id, pause);
            }
            405 | 501 if timer.by_update => {
                timer.by_update = false;
                endpoint.peer_updates = false;
                self.refresh_later(now, id, Duration::ZERO);
            }
            // The peer may still refresh; the expiry decides.
            _ => {}
        }
    }
}
