//! Session timers (RFC 4028): refresher and interval of a dialog, and the end without a refresh.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::focus::sip::cause::Cause;
use crate::focus::sip::rejection::{Refusal, Verdict};
use crate::focus::timers::TimerKey;
use crate::time::Moment;
use crate::wire::sip::{Headers, Request, Response};

/// RFC 4028 §4: the shortest interval.
pub(in crate::focus) const SHORTEST: Duration = Duration::from_secs(90);

/// 422 answers per request that we answer with a longer interval (RFC 4028 §7.3).
pub(in crate::focus) const MAX_RAISES: u8 = 2;

/// The side that sends the refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::focus) enum Refresher {
    Us,
    Peer,
}

/// The terms of a session timer, set by a 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::focus) struct Agreement {
    pub(in crate::focus) interval: Duration,
    pub(in crate::focus) refresher: Refresher,
    /// The peer listed `timer` in Supported.
    pub(in crate::focus) peer_supports: bool,
}

/// The session timer of a dialog.
#[derive(Debug)]
pub(in crate::focus) struct SessionTimer {
    pub(in crate::focus) agreement: Agreement,
    /// Method of our refreshes: UPDATE where the peer allows it.
    pub(in crate::focus) by_update: bool,
    /// Number of times the peer has required a longer interval since the last 2xx.
    pub(in crate::focus) raised: u8,
    pub(in crate::focus) refresh_timer: Option<TimerKey>,
    pub(in crate::focus) expiry_timer: Option<TimerKey>,
}

/// The times of a session timer, from which it can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schedule {
    pub(in crate::focus) agreement: Agreement,
    pub(in crate::focus) by_update: bool,
    pub(in crate::focus) refresh: Option<Moment>,
    pub(in crate::focus) expiry: Option<Moment>,
}

impl Schedule {
    pub(in crate::focus) fn of(timer: &SessionTimer) -> Self {
        Self {
            agreement: timer.agreement,
            by_update: timer.by_update,
            refresh: timer.refresh_timer.map(TimerKey::at),
            expiry: timer.expiry_timer.map(TimerKey::at),
        }
    }

    /// The same to the millisecond; `None` when the session does not expire.
    pub(in crate::focus) fn to_keep(self) -> Option<Self> {
        Some(Self {
            refresh: self.refresh.map(Moment::in_millis),
            expiry: Some(self.expiry?.in_millis()),
            ..self
        })
    }
}

impl SessionTimer {
    /// Takes the longer interval that a 422 requires; `false` when it requires none, or after too
    /// many.
    pub(in crate::focus) fn raise(&mut self, refusal: Option<&Response>) -> bool {
        let wanted = refusal.and_then(min_se).unwrap_or(SHORTEST);
        if wanted <= self.agreement.interval || self.raised >= MAX_RAISES {
            return false;
        }
        self.agreement.interval = wanted;
        self.raised += 1;
        true
    }
}

impl Agreement {
    /// Terms for a session refresh request of the peer (RFC 4028 §9, table 2).
    pub(in crate::focus) fn settle(
        request: &Request,
        ours: Duration,
        min_se: Duration,
    ) -> Verdict<Self> {
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
                return Err(Refusal::new(Cause::ShortSessionTimer).with("Min-SE", min));
            }
            // An interval below 90 s (§4) is a client error: use 90 s.
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

    /// Terms from the peer's 2xx to our INVITE (RFC 4028 §7.2); without the header we refresh.
    pub(in crate::focus) fn accepted(response: &Response, ours: Duration) -> Self {
        let agreement = Self {
            interval: ours,
            refresher: Refresher::Us,
            peer_supports: false,
        };
        agreement.renewed(response)
    }

    /// Terms from the peer's 2xx to our refresh. Without the header the peer has no timer, and we
    /// go on as before.
    pub(in crate::focus) fn renewed(self, response: &Response) -> Self {
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

    /// Adds the headers for our 2xx.
    pub(in crate::focus) fn announce(self, headers: Headers) -> Headers {
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
        .ok_or(Cause::MalformedSessionExpires)?;
    let refresher = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("refresher"))
        .map(|(_, value)| value.trim().to_ascii_lowercase());
    Ok(Some((interval, refresher)))
}

fn seconds(text: &str) -> Option<Duration> {
    // Cap at a day: a longer interval makes no difference, and sums cannot overflow.
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(86_400)))
}

/// The Min-SE of a 422.
pub(in crate::focus) fn min_se(response: &Response) -> Option<Duration> {
    seconds(response.headers.first("Min-SE")?.split(';').next()?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::sip::Method;

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
        assert_eq!(refusal.cause, Cause::ShortSessionTimer);
        assert_eq!(refusal.into_headers().first("Min-SE"), Some("90"));
    }
}
