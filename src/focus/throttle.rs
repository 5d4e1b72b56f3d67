//! What anybody may cause by the thousand is logged once a minute, with how often it happened.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Moment;

/// Shortest time between two lines of a kind.
const PAUSE: Duration = Duration::from_secs(60);

/// How often things of each kind have happened, and which are to be told now. `K` has few
/// values.
#[derive(Debug)]
pub(super) struct Throttle<K> {
    kinds: BTreeMap<K, Kind>,
    /// What has happened since the last call of [`Throttle::due`].
    fresh: Vec<K>,
}

#[derive(Debug, Default)]
struct Kind {
    told: Option<Moment>,
    /// Times since then.
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
    /// It has happened once more.
    pub(super) fn count(&mut self, kind: K) {
        self.kinds.entry(kind).or_default().times += 1;
        if !self.fresh.contains(&kind) {
            self.fresh.push(kind);
        }
    }

    /// What has just happened and was not told within the last minute, with how often it has
    /// happened since.
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
