//! Sessions that ended with their switch: every endpoint gets a re-INVITE with a fresh path
//! (docs/restart.md). An endpoint that answers is back without any action of its user; one that
//! does not answer within `rejoin_grace` leaves.

use crate::focus::ids::EndpointId;
use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::dialogs::Purpose;
use std::time::Duration;

use crate::control::{Peer, Setup};
use crate::focus::Focus;
use crate::focus::call::listeners::Towards;
use crate::focus::room::endpoint::{Link, Offer};
use crate::focus::sip::offer_answer::{self, Origin, is_web};
use crate::focus::timers::{Timer, TimerKey};
use crate::time::Moment;
use crate::wire::sdp::Description;
use crate::wire::sip::{Method, Response};

/// re-INVITEs sent per turn, as many as NOTIFYs.
const RENEWALS_PER_TURN: usize = 32;
/// Pause after an answer that allows another try: RFC 3261 §14.1 has up to two seconds.
const PAUSE: Duration = Duration::from_secs(2);

impl Focus {
    /// An endpoint's session ended with its switch: puts it into the queue for a re-INVITE.
    pub(in crate::focus) fn outlived(&mut self, now: Moment, id: EndpointId) {
        self.unlink(now, id);
        self.switch.renewals.push_back(id);
        self.switch.renewals_since.get_or_insert(now);
    }

    /// Renews some of the queued sessions; the deadline brings the rest.
    pub(in crate::focus) fn renew_some(&mut self, now: Moment) {
        for _ in 0..RENEWALS_PER_TURN {
            if self.watch.budget.free_at().is_some_and(|free| free > now) {
                return;
            }
            let Some(id) = self.switch.renewals.pop_front() else {
                break;
            };
            let link = self.rooms.endpoint(id).map(|it| it.link());
            if matches!(link, Some(Link::Lost { .. })) {
                // The time in the queue does not count.
                self.unlink(now, id);
                self.renew(now, id);
            }
        }
        if self.switch.renewals.is_empty() {
            self.switch.renewals_since = None;
        }
    }

    /// Makes a fresh session. The re-INVITE follows once the switch has admitted it, for the peer's
    /// connection may come with its 200.
    pub(in crate::focus) fn renew(&mut self, now: Moment, id: EndpointId) {
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return;
        };
        let &Link::Lost { until } = endpoint.link() else {
            // It has come back by itself, or is about to.
            return;
        };
        if self.stopping {
            return;
        }
        if !endpoint.is_free() {
            // RFC 3261 §14.1: our earlier request has no answer yet.
            self.timers.arm(now + PAUSE, Timer::Renewal(id));
            return;
        }
        self.describe_anew(id, until);
        if let Some(mut admission) = self.admission(id) {
            admission.setup = Setup::Passive;
            admission.peer = Peer::silent();
            self.order_admission(admission);
        }
    }

    /// The fresh session is admitted: sends the re-INVITE, unless the peer has come back by itself.
    pub(in crate::focus) fn renewal_admitted(&mut self, now: Moment, id: EndpointId) {
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("no endpoint to renew");
        };
        let free = endpoint.is_free() && !self.stopping;
        if !free || !endpoint.tells_of_renewal() {
            return;
        }
        let request = self.request_id();
        let headers = self.refresh_headers(id);
        let Some((endpoint, headers)) = self.rooms.endpoint_mut(id).zip(headers) else {
            return;
        };
        let body = endpoint.media.ours();
        self.watch.budget.take(now, body.len());
        let headers = headers.with("Content-Type", "application/sdp");
        let dialog = &mut endpoint.dialog;
        let message = dialog.request(request, Method::Invite, headers, body);
        endpoint.offer = Offer::Request;
        endpoint.refreshing = true;
        self.send(now, Purpose::Renewal(id), message);
    }

    /// Our offer with a new path: `actpass` (row U02), the next version of the same `o=`.
    fn describe_anew(&mut self, id: EndpointId, until: TimerKey) -> Option<()> {
        let endpoint = self.rooms.endpoint(id)?;
        let policy = std::sync::Arc::clone(&self.rooms.conference(&endpoint.room)?.policy);
        let (socket, role) = (endpoint.dialog.socket.clone(), endpoint.role);
        let terms = self.terms(&policy);
        let web = is_web(&endpoint.media.own_uri());
        let secure = match (web, endpoint.media.is_secure()) {
            (false, true) => terms.tls,
            (false, false) => !terms.tcp,
            (true, true) => terms.wss,
            (true, false) => !terms.ws,
        };
        let theirs = endpoint.media.theirs();
        let towards = Towards {
            socket: &socket,
            secure,
            theirs: theirs.as_ref(),
        };
        let (session, local) = self.new_session(towards, &policy, role);
        let endpoint = self.rooms.endpoint_mut(id)?;
        let media = &mut endpoint.media;
        let version = media.origin().version + 1;
        let origin = Origin {
            version,
            ..media.origin()
        };
        let ours = offer_answer::offer(&local, origin).write();
        media.say(local, version, &ours);
        endpoint.share(&mut self.dialogs.shared);
        endpoint.run = self.switch.run;
        let called = false;
        let link = Link::Renewing {
            session,
            until,
            called,
        };
        self.relink(id, link);
        Some(())
    }

    /// The re-INVITE has its outcome.
    pub(in crate::focus) fn renewed(
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
        let admitted = endpoint.link().session().is_some();
        let timer = endpoint.session_timer.as_mut();
        let raised = code == 422 && timer.is_some_and(|timer| timer.raise(response));
        match (code, response) {
            (200..300, Some(response)) if admitted => self.take_renewal(now, id, response),
            // RFC 3261 §12.2.1.2: the dialog is no more.
            (404 | 410 | 481, _) | (408, Some(_)) => {
                self.dismiss(now, id, ByeReason::NotRefreshed);
            }
            // RFC 4028 §7.3.
            (422, _) if raised => {
                self.end_session(now, id);
                self.timers.arm(now, Timer::Renewal(id));
            }
            // RFC 3261 §14.1, §14.2: another offer is under way. Or the peer cannot be reached:
            // its connection ended with the proxy, and it may come back over another.
            (491 | 500 | 503 | 200..300, _) | (_, None) => {
                let pause = match code {
                    491 => self.glare_pause(id),
                    _ => PAUSE,
                };
                self.end_session(now, id);
                self.timers.arm(now + pause, Timer::Renewal(id));
            }
            // Its own re-INVITE may still bring it back.
            _ => self.end_session(now, id),
        }
    }

    /// The switch does not take the session now; it may later.
    pub(in crate::focus) fn renewal_refused(&mut self, now: Moment, id: EndpointId) {
        let link = self.rooms.endpoint(id).map(|it| it.link());
        if let Some(&Link::Renewing { until, .. }) = link {
            self.relink(id, Link::Lost { until });
            self.timers.arm(now + PAUSE, Timer::Renewal(id));
        }
    }

    fn take_renewal(&mut self, now: Moment, id: EndpointId, response: &Response) {
        self.renew_agreement(now, id, response);
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("no endpoint to renew");
        };
        let answer = Description::parse(&response.body).ok();
        let source = endpoint.media.dialled_source();
        let accepted = answer.and_then(|answer| endpoint.media.read_answer(&answer, source).ok());
        let Some(accepted) = accepted else {
            self.dismiss(now, id, ByeReason::UnusableAnswer);
            return;
        };
        self.amend(id, accepted);
    }
}
