//! Time as an argument: the pure cores never read a clock.

use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time: the wall clock at start plus the time since then on a monotonic clock, to the
/// microsecond. It never goes back, and it can be shown as UTC. It is serialised as a number of
/// milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Moment {
    /// Microseconds since 1970 plus one, so that an `Option` of it has the same size: every session
    /// and connection has several.
    micros_and_one: NonZeroU64,
}

impl Default for Moment {
    fn default() -> Self {
        Self::from_epoch(Duration::ZERO)
    }
}

/// The first moment that cannot be shown as UTC.
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

impl Moment {
    /// The moment `since_epoch` after 1970-01-01T00:00:00Z.
    pub const fn from_epoch(since_epoch: Duration) -> Self {
        Self {
            micros_and_one: NonZeroU64::MIN.saturating_add(micros(since_epoch)),
        }
    }

    /// Time since 1970-01-01T00:00:00Z.
    pub const fn since_epoch(self) -> Duration {
        Duration::from_micros(self.micros())
    }

    const fn micros(self) -> u64 {
        self.micros_and_one.get() - 1
    }

    /// `2026-11-23T10:00:00Z`, the xs:dateTime of RFC 4575 §5.7.
    pub fn utc(self) -> String {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + self.since_epoch()).to_string()
    }

    /// Parses an RFC 3339 §5.6 date-time in any zone, the format of CPIM's DateTime (RFC 3862
    /// §4.4).
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let place = text.rfind(['Z', 'z', '+', '-'])?;
        let (local, zone) = text.split_at_checked(place)?;
        let moment = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
        let moment = Self::from_epoch(moment.duration_since(UNIX_EPOCH).ok()?);
        let minutes = |zone: &str| {
            let (hours, minutes) = zone.split_once(':')?;
            let part = |text: &str| text.parse::<u64>().ok().filter(|_| text.len() == 2);
            Some(Duration::from_secs(
                (part(hours)? * 60 + part(minutes)?) * 60,
            ))
        };
        let moment = match zone.split_at_checked(1)? {
            ("+", zone) => moment - minutes(zone)?,
            ("-", zone) => moment + minutes(zone)?,
            (_, rest) => rest.is_empty().then_some(moment)?,
        };
        (moment.since_epoch() < YEAR_10000).then_some(moment)
    }

    /// The first multiple of `step` since 1970 that is not before this moment.
    pub fn round_up(self, step: Duration) -> Moment {
        let step = micros(step).max(1);
        let rounded = self.micros().checked_next_multiple_of(step);
        Self::from_epoch(Duration::from_micros(rounded.unwrap_or(u64::MAX)))
    }

    /// The moment rounded down to a millisecond.
    pub fn in_millis(self) -> Moment {
        Self::from_epoch(Duration::from_millis(self.millis()))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn millis(self) -> u64 {
        self.micros() / 1000
    }

    /// Time from `earlier` to this moment; zero when `earlier` is later.
    pub fn saturating_since(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.micros().saturating_sub(earlier.micros()))
    }
}

impl From<u64> for Moment {
    fn from(millis: u64) -> Self {
        Self::from_epoch(Duration::from_millis(millis))
    }
}

impl From<Moment> for u64 {
    fn from(moment: Moment) -> Self {
        moment.millis()
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, span: Duration) -> Moment {
        Moment {
            micros_and_one: self.micros_and_one.saturating_add(micros(span)),
        }
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, span: Duration) -> Moment {
        Moment::from_epoch(Duration::from_micros(
            self.micros().saturating_sub(micros(span)),
        ))
    }
}

const fn micros(span: Duration) -> u64 {
    let micros = span.as_micros();
    if micros > u64::MAX as u128 {
        u64::MAX
    } else {
        micros as u64
    }
}

/// The only reader of the clocks; owned by the drivers (`service`, `net`).
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Duration,
    started: Instant,
}

impl Clock {
    /// Reads both clocks once.
    pub fn start() -> Self {
        Self {
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            started: Instant::now(),
        }
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        Moment::from_epoch(self.wall + self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_as_utc() {
        let moment = Moment::from_epoch(Duration::from_millis(951_782_399_900));
        assert_eq!(moment.utc(), "2000-02-28T23:59:59Z");
    }

    #[test]
    fn moments_are_read_in_any_zone() {
        let noon = Moment::from_epoch(Duration::from_secs(951_825_600));
        for text in [
            "2000-02-29T12:00:00Z",
            "2000-02-29T13:30:00+01:30",
            "2000-02-29T04:00:00-08:00",
        ] {
            assert_eq!(Moment::from_rfc3339(text), Some(noon), "{text}");
        }
        for text in [
            "",
            "Z",
            "2000-02-29",
            "2000-02-29T12:00:00",
            "2000-02-29T12:00:00Zulu",
            "2000-02-29T12:00:00+1:30",
            "2000-02-29T12:00:00+é",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert_eq!(Moment::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn moments_round_up() {
        let moment = |millis| Moment::from_epoch(Duration::from_millis(millis));
        assert_eq!(
            moment(1001).round_up(Duration::from_millis(250)),
            moment(1250)
        );
        assert_eq!(
            moment(1250).round_up(Duration::from_millis(250)),
            moment(1250)
        );
        assert_eq!(moment(1001).round_up(Duration::ZERO), moment(1001));
    }

    #[test]
    fn a_span_since_a_later_moment_is_zero() {
        let early = Moment::from_epoch(Duration::from_secs(10));
        let late = early + Duration::from_secs(5);
        assert_eq!(late.saturating_since(early), Duration::from_secs(5));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
    }
}
