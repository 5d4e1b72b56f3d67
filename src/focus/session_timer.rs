//! Session timers (RFC 4028): who refreshes a dialog, how often, and what if nobody does.

use std::time::Duration;

use bytes::Bytes;

use super::conference::EndpointId;
use super::refusal::{Refusal, Verdict};
use super::request::capabilities;
use super::timers::{Timer, TimerKey};
use super::{Focus, Purpose};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;
use crate::wire::sip::{Headers, Method, Request, Response};

/// RFC 4028 §4: no interval may be shorter.
const SHORTEST: Duration = Duration::from_secs(90);
/// RFC 4028 §10: the BYE leaves this long before the expiry, or a third of the interval.
const BYE_MARGIN: Duration = Duration::from_secs(32);
/// RFC 3261 §14.1: after 491, who did not make the Call-ID waits up to two seconds.
const GLARE_PAUSE_MS: u16 = 2000;

/// Who sends the refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresher {
    Us,
    Peer,
}

/// What a 2xx settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) interval: Duration,
    pub(super) refresher: Refresher,
    /// The peer listed `timer` in Supported.
    pub(super) peer_supports: bool,
}

/// The session timer of a dialog.
#[derive(Debug)]
pub(super) struct SessionTimer {
    pub(super) agreement: Agreement,
    /// Method of our refreshes: UPDATE where the peer allows it.
    pub(super) by_update: bool,
    pub(super) refresh_timer: Option<TimerKey>,
    pub(super) expiry_timer: Option<TimerKey>,
}

/// When a session timer does what; to be taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) agreement: Agreement,
    pub(super) by_update: bool,
    pub(super) refresh: Option<Moment>,
    pub(super) expiry: Option<Moment>,
}

impl Schedule {
    pub(super) fn of(timer: &SessionTimer) -> Self {
        Self {
            agreement: timer.agreement,
            by_update: timer.by_update,
            refresh: timer.refresh_timer.map(TimerKey::at),
            expiry: timer.expiry_timer.map(TimerKey::at),
        }
    }
}

impl Agreement {
    /// Settles the timer for a session refresh request of the peer (RFC 4028 §9, table 2).
    pub(super) fn settle(request: &Request, ours: Duration, min_se: Duration) -> Verdict<Self> {
        let supports = request.headers.has_token("Supported", "timer");
        let asked = session_expires(&request.headers)?;
        let floor = request
            .headers
            .first("Min-SE")
            .and_then(|value| seconds(value.split(';').next()?))
            .unwrap_or(SHORTEST)
            .max(SHORTEST);
        let (interval, refresher) = match asked {
            Some((interval, _)) if interval < min_se && supports => {
                let min = min_se.as_secs().to_string();
                return Err(Refusal::new(422).with("Min-SE", min));
            }
            // What is shorter than §4 allows was meant by nobody who knows what it means.
            Some((interval, said)) => (interval.clamp(SHORTEST, ours.max(floor)), said),
            None => (ours.max(floor), None),
        };
        let refresher = match (supports, refresher.as_deref()) {
            (true, Some("uas")) | (false, _) => Refresher::Us,
            (true, _) => Refresher::Peer,
        };
        Ok(Self {
            interval,
            refresher,
            peer_supports: supports,
        })
    }

    /// What the peer's 2xx to our INVITE settles (RFC 4028 §7.2); without the header we refresh.
    pub(super) fn accepted(response: &Response, ours: Duration) -> Self {
        let agreement = Self {
            interval: ours,
            refresher: Refresher::Us,
            peer_supports: false,
        };
        agreement.renewed(response)
    }

    /// What the peer's 2xx to our refresh settles; without the header there is no timer at
    /// its side, and we go on as before.
    fn renewed(self, response: &Response) -> Self {
        match session_expires(&response.headers) {
            Ok(Some((interval, said))) => Self {
                interval: interval.max(SHORTEST),
                refresher: match said.as_deref() {
                    Some("uas") => Refresher::Peer,
                    _ => Refresher::Us,
                },
                ..self
            },
            _ => self,
        }
    }

    /// The headers of our 2xx.
    pub(super) fn announce(self, headers: Headers) -> Headers {
        let refresher = match self.refresher {
            Refresher::Us => "uas",
            Refresher::Peer => "uac",
        };
        let value = format!("{};refresher={refresher}", self.interval.as_secs());
        let headers = headers.with("Session-Expires", value);
        if self.peer_supports {
            headers.with("Require", "timer")
        } else {
            headers
        }
    }
}

fn session_expires(headers: &Headers) -> Verdict<Option<(Duration, Option<String>)>> {
    let Some(value) = headers.first("Session-Expires") else {
        return Ok(None);
    };
    let mut parts = value.split(';');
    let interval = parts
        .next()
        .and_then(seconds)
        .ok_or_else(|| Refusal::new(400).because("Malformed Session-Expires"))?;
    let refresher = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("refresher"))
        .map(|(_, value)| value.trim().to_ascii_lowercase());
    Ok(Some((interval, refresher)))
}

fn seconds(text: &str) -> Option<Duration> {
    // A day is as good as for ever, and no sum of it overflows.
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(86_400)))
}

/// What a 422 asks for.
pub(super) fn min_se(response: &Response) -> Option<Duration> {
    seconds(response.headers.first("Min-SE")?.split(';').next()?)
}

impl Focus {
    /// (Re)starts an endpoint's session timer after a 2xx.
    pub(super) fn start_session_timer(
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
        let Some(endpoint) = self.endpoints.get(&id) else {
            return;
        };
        let timer = SessionTimer {
            agreement,
            by_update: endpoint.peer_updates,
            refresh_timer: refresh,
            expiry_timer: Some(expiry),
        };
        self.set_session_timer(id, Some(timer));
    }

    /// A session timer goes on as it stood.
    pub(super) fn resume_session_timer(&mut self, id: EndpointId, schedule: Option<Schedule>) {
        let timer = schedule.map(|schedule| SessionTimer {
            agreement: schedule.agreement,
            by_update: schedule.by_update,
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
        let Some(endpoint) = self.endpoints.get_mut(&id) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut endpoint.session_timer, timer) {
            self.timers.disarm(before.refresh_timer);
            self.timers.disarm(before.expiry_timer);
        }
    }

    /// Nobody refreshed the dialog.
    pub(super) fn session_expired(&mut self, now: Moment, id: EndpointId) {
        if let Some(endpoint) = self.endpoints.get(&id) {
            let line = format!("the session of {} was not refreshed", endpoint.user);
            self.log(Level::Info, line);
        }
        self.dismiss_as(now, id, DisconnectionMethod::Failed);
    }

    /// The timer goes on as the peer's 2xx to our re-INVITE says.
    pub(super) fn renew_agreement(&mut self, now: Moment, id: EndpointId, response: &Response) {
        let Some(endpoint) = self.endpoints.get(&id) else {
            return;
        };
        let ours = self.config.session_expires;
        let agreement = match &endpoint.session_timer {
            Some(timer) => timer.agreement.renewed(response),
            None => Agreement::accepted(response, ours),
        };
        self.start_session_timer(now, id, agreement);
    }

    /// Sends our refresh: UPDATE without body, or the re-INVITE that changes nothing.
    pub(super) fn refresh(&mut self, now: Moment, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get(&id) else {
            return;
        };
        let busy = endpoint.answering.is_some()
            || endpoint.inviting.is_some()
            || endpoint.unacknowledged.is_some();
        if busy {
            self.refresh_later(now, id, Duration::from_secs(1));
            return;
        }
        let request = self.send(now, Purpose::Refresh(id), |focus, request| {
            let headers = focus.refresh_headers(id)?;
            let endpoint = focus.endpoints.get_mut(&id)?;
            let (method, headers, body) = if endpoint.session_timer.as_ref()?.by_update {
                (Method::Update, headers, Bytes::new())
            } else {
                let headers = headers.with("Content-Type", "application/sdp");
                (Method::Invite, headers, endpoint.media.ours.write().into())
            };
            Some(endpoint.dialog.request(request, method, headers, body))
        });
        if let Some(endpoint) = self.endpoints.get_mut(&id) {
            endpoint.inviting = request;
        }
    }

    fn refresh_headers(&self, id: EndpointId) -> Option<Headers> {
        let endpoint = self.endpoints.get(&id)?;
        let interval = endpoint.session_timer.as_ref()?.agreement.interval;
        let value = format!("{};refresher=uac", interval.as_secs());
        Some(
            capabilities(&endpoint.dialog.contact)
                .with("Session-Expires", value)
                .with("Min-SE", self.config.min_se.as_secs().to_string())
                .with("User-Agent", self.config.software.clone()),
        )
    }

    fn refresh_later(&mut self, now: Moment, id: EndpointId, pause: Duration) {
        let timer = self.timers.arm(now + pause, Timer::Refresh(id));
        if let Some(before) = self
            .endpoints
            .get_mut(&id)
            .and_then(|endpoint| endpoint.session_timer.as_mut())
            .and_then(|session| session.refresh_timer.replace(timer))
        {
            self.timers.disarm(Some(before));
        }
    }

    /// Our refresh has its outcome (RFC 4028 §7.3, RFC 3261 §14.1).
    pub(super) fn refreshed(
        &mut self,
        now: Moment,
        id: EndpointId,
        code: u16,
        response: Option<&Response>,
    ) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else {
            return;
        };
        endpoint.inviting = None;
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
                    self.answered(now, id, response);
                }
            }
            408 | 481 => self.dismiss_as(now, id, DisconnectionMethod::Failed),
            422 => {
                let floor = response.and_then(min_se);
                timer.agreement.interval = agreement.interval.max(floor.unwrap_or(SHORTEST));
                self.refresh_later(now, id, Duration::ZERO);
            }
            491 => {
                let mut random = [0u8; 2];
                self.entropy.fill(&mut random);
                let pause = u16::from_le_bytes(random) % GLARE_PAUSE_MS;
                self.refresh_later(now, id, Duration::from_millis(pause.into()));
            }
            405 | 501 if timer.by_update => {
                timer.by_update = false;
                endpoint.peer_updates = false;
                self.refresh_later(now, id, Duration::ZERO);
            }
            // Whatever else: the peer may still refresh; the expiry decides.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.push(name, *value);
        }
        Request {
            method: Method::Invite,
            uri: "sip:lobby@example.com".to_owned(),
            headers: all,
            body: Bytes::new(),
        }
    }

    fn settle(headers: &[(&str, &str)]) -> Verdict<Agreement> {
        Agreement::settle(&request(headers), Duration::from_secs(1800), SHORTEST)
    }

    #[test]
    fn f21_table_2() {
        type Case<'a> = (&'a [(&'a str, &'a str)], u64, Refresher);
        let cases: [Case<'_>; 6] = [
            (&[], 1800, Refresher::Us),
            (&[("Session-Expires", "600")], 600, Refresher::Us),
            (&[("Supported", "timer")], 1800, Refresher::Peer),
            (
                &[
                    ("Supported", "timer"),
                    ("Session-Expires", "600;refresher=uas"),
                ],
                600,
                Refresher::Us,
            ),
            (
                &[
                    ("Supported", "timer"),
                    ("Session-Expires", "600;refresher=uac"),
                ],
                600,
                Refresher::Peer,
            ),
            (
                &[
                    ("Supported", "timer"),
                    ("Session-Expires", "7200"),
                    ("Min-SE", "3600"),
                ],
                3600,
                Refresher::Peer,
            ),
        ];
        for (headers, interval, refresher) in cases {
            let agreement = settle(headers).expect("an agreement");
            assert_eq!(agreement.interval.as_secs(), interval, "{headers:?}");
            assert_eq!(agreement.refresher, refresher, "{headers:?}");
        }
    }

    #[test]
    fn f21_too_small_422() {
        let refusal = settle(&[("Supported", "timer"), ("Session-Expires", "60")]);
        let refusal = refusal.expect_err("422");
        assert_eq!(refusal.code, 422);
        assert_eq!(refusal.headers.first("Min-SE"), Some("90"));
    }
}
