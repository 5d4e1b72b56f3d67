//! Time as an argument: the pure cores never read a clock.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time: what the wall clock said at start plus what has passed since on a
/// monotonic clock. It never goes back, and it can be shown as UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment `since_epoch` after 1970-01-01T00:00:00Z.
    pub const fn from_epoch(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Time since 1970-01-01T00:00:00Z.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// `2026-11-23T10:00:00Z`, the xs:dateTime of RFC 4575 §5.7.
    pub fn utc(self) -> String {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + self.0).to_string()
    }

    /// The first multiple of `step` since 1970 that is not before this moment.
    pub fn round_up(self, step: Duration) -> Moment {
        let step = step.as_nanos().max(1);
        let steps = self.0.as_nanos().div_ceil(step);
        let nanos = u64::try_from(steps * step).unwrap_or(u64::MAX);
        Self(Duration::from_nanos(nanos))
    }

    /// The moment without what is less than a millisecond.
    pub fn in_millis(self) -> Moment {
        Self(Duration::from_millis(self.millis()))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Time from `earlier` to this moment; zero when `earlier` is later.
    pub fn saturating_since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(span))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, span: Duration) -> Moment {
        Moment(self.0.saturating_sub(span))
    }
}

/// The one place that reads clocks; owned by the drivers (`service`, `net`).
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
        Moment(self.wall + self.started.elapsed())
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
