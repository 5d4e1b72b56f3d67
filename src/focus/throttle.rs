//! Throttle for log lines that others can cause by the thousand: one line a minute, with a count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Moment;

/// Shortest time between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(60);

/// Counts occurrences per kind, and selects the kinds to log now. `K` has few values.
#[derive(Debug)]
pub(super) struct Throttle<K> {
    kinds: BTreeMap<K, Kind>,
    /// Kinds that occurred since the last call of [`Throttle::due`].
    fresh: Vec<K>,
}

#[derive(Debug, Default)]
struct Kind {
    told: Option<Moment>,
    /// Occurrences since then.
    times: u64,
}

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self {
            kinds: BTreeMap::new(),
            fresh: Vec::new(),
        }
    }
}

impl<K: Copy + Ord> Throttle<K> {
    /// Counts one occurrence.
    pub(super) fn count(&mut self, kind: K) {
        self.kinds.entry(kind).or_default().times += 1;
        if !self.fresh.contains(&kind) {
            self.fresh.push(kind);
        }
    }

    /// Kinds that occurred since the last call and were not logged within the last minute, with
    /// their number of occurrences since the last line.
    pub(super) fn due(&mut self, now: Moment) -> Vec<(K, u64)> {
        let mut due = Vec::new();
        for kind in self.fresh.drain(..) {
            let known = self.kinds.entry(kind).or_default();
            if known.told.is_none_or(|told| told + PAUSE <= now) {
                known.told = Some(now);
                due.push((kind, std::mem::take(&mut known.times)));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_says_how_many_there_were() {
        let start = Moment::default();
        let mut throttle = Throttle::default();
        let mut at = |seconds: u64, kinds: &[char]| {
            kinds.iter().for_each(|kind| throttle.count(*kind));
            throttle.due(start + Duration::from_secs(seconds))
        };
        assert_eq!(at(0, &['a']), [('a', 1)], "the first at once");
        assert_eq!(at(1, &['a', 'a', 'b']), [('b', 1)], "each kind by itself");
        assert_eq!(at(59, &['a']), []);
        assert_eq!(at(61, &[]), [], "nothing new");
        assert_eq!(at(62, &['a']), [('a', 4)]);
        assert_eq!(at(63, &['a']), []);
    }
}
