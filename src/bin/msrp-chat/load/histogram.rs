//! Durations in buckets that grow with them: a fixed amount of memory for any number of values, and
//! quantiles with an error of at most one sixteenth.

use std::time::Duration;

/// Buckets per doubling.
const FINE: u64 = 16;
/// Binary digits behind the first one, for `FINE` buckets.
const FINE_BITS: u32 = 4;
/// Enough for every duration below 2^40 µs, which is twelve days.
const BUCKETS: usize = 40 * FINE as usize;

/// Counts of durations.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    shortest: Duration,
    longest: Duration,
}

/// A row to draw: durations from the first up to the second, and their count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) count: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
            shortest: Duration::MAX,
            longest: Duration::ZERO,
        }
    }

    pub(super) fn add(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.shortest = self.shortest.min(span);
        self.longest = self.longest.max(span);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn shortest(&self) -> Duration {
        if self.count == 0 {
            Duration::ZERO
        } else {
            self.shortest
        }
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// The duration that this share of all (0 to 1) does not exceed; zero when there is none.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        // The count of a run is far below 2^52.
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            passed += count;
            if passed >= wanted {
                return Duration::from_micros(start(index + 1)).min(self.longest);
            }
        }
        self.longest
    }

    /// One row per doubling, from the first that is not empty to the last.
    pub(super) fn rows(&self) -> Vec<Row> {
        let doublings = self.buckets.chunks(FINE as usize).enumerate();
        let all: Vec<Row> = doublings
            .map(|(index, buckets)| Row {
                from: Duration::from_micros(start(index * FINE as usize)),
                to: Duration::from_micros(start((index + 1) * FINE as usize)),
                count: buckets.iter().sum(),
            })
            .collect();
        let first = all.iter().position(|row| row.count > 0);
        let last = all.iter().rposition(|row| row.count > 0);
        match (first, last) {
            (Some(first), Some(last)) => all[first..=last].to_vec(),
            _ => Vec::new(),
        }
    }
}

/// The bucket of a number of microseconds: its highest binary digit and the four after it.
fn bucket(micros: u64) -> usize {
    if micros < FINE {
        return micros as usize;
    }
    let doubling = micros.ilog2() - FINE_BITS;
    let fine = (micros >> doubling) - FINE;
    let index = (u64::from(doubling) + 1) * FINE + fine;
    (index as usize).min(BUCKETS - 1)
}

/// The start of a bucket.
fn start(index: usize) -> u64 {
    let (doubling, fine) = (index as u64 / FINE, index as u64 % FINE);
    match doubling {
        0 => fine,
        _ => (FINE + fine) << (doubling - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_between_its_ends() {
        for micros in (0..5_000).chain([1 << 20, (1 << 33) + 12_345]) {
            let index = bucket(micros);
            assert!(
                start(index) <= micros && micros < start(index + 1),
                "{micros}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_right_to_a_sixteenth() {
        let mut histogram = Histogram::new();
        (1..=1_000).for_each(|value| histogram.add(Duration::from_micros(value * 10)));
        for (share, value) in [
            (0.5, 5_000.0),
            (0.9, 9_000.0),
            (0.99, 9_900.0),
            (1.0, 10_000.0),
        ] {
            let found = histogram.quantile(share).as_micros() as f64;
            assert!(
                (found / value - 1.0).abs() <= 1.0 / 16.0,
                "{share}: {found}"
            );
        }
        assert_eq!(histogram.shortest(), Duration::from_micros(10));
        assert_eq!(histogram.longest(), Duration::from_micros(10_000));
    }

    #[test]
    fn rows_hold_everything_once() {
        let mut histogram = Histogram::new();
        assert!(histogram.rows().is_empty() && histogram.quantile(0.5).is_zero());
        for micros in [3, 40, 41, 5_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let rows = histogram.rows();
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 4);
        assert!(rows.windows(2).all(|pair| pair[0].to == pair[1].from));
    }
}
