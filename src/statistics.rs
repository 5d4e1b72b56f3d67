//! The values of all counters and gauges (`counters`), in one page shared by all processes of the
//! host. Both hosts export them under the group `msrp_conference`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::counters::Totals;
pub use crate::counters::{ALL, COUNT, Kind, Statistic};

/// The values. Any thread of any process may change and read them.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Statistics {
    values: [AtomicU64; COUNT],
    /// Number of rooms: exported as a pseudo-variable, not as a statistic.
    rooms: AtomicU64,
}

impl Statistics {
    /// Adds to a counter.
    pub fn add(&self, which: Statistic, amount: u64) {
        self.cell(which).fetch_add(amount, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, which: Statistic, value: u64) {
        self.cell(which).store(value, Ordering::Relaxed);
    }

    /// Updates the page with the totals of the program's parts; `before` are the totals it already
    /// includes.
    pub fn update(&self, totals: Totals, before: Totals) {
        for ((which, now), (_, before)) in totals.iter().zip(before.iter()) {
            match which.kind() {
                Kind::Gauge => self.set(which, now),
                Kind::Counter => self.add(which, now.saturating_sub(before)),
            }
        }
    }

    /// The present value.
    pub fn value(&self, which: Statistic) -> u64 {
        self.cell(which).load(Ordering::Relaxed)
    }

    /// Number of rooms.
    pub fn rooms(&self) -> u64 {
        self.rooms.load(Ordering::Relaxed)
    }

    /// Sets the number of rooms.
    pub fn set_rooms(&self, rooms: u64) {
        self.rooms.store(rooms, Ordering::Relaxed);
    }

    fn cell(&self, which: Statistic) -> &AtomicU64 {
        &self.values[which as usize]
    }
}

static GLOBAL: OnceLock<&'static Statistics> = OnceLock::new();

/// The statistics of this proxy. Before a host has shared its page, and in tests, these are
/// values of this process alone.
pub fn global() -> &'static Statistics {
    GLOBAL.get_or_init(|| Box::leak(Box::default()))
}

/// Makes `page` the value of [`global`]; only the first call has an effect.
pub(crate) fn share(page: &'static Statistics) {
    let _ = GLOBAL.set(page);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Place;

    #[test]
    fn counters_and_gauges() {
        let statistics = Statistics::default();
        statistics.add(Statistic::Joins, 2);
        statistics.add(Statistic::Joins, 1);
        statistics.set(Statistic::Participants, 5);
        statistics.set(Statistic::Participants, 3);
        assert_eq!(statistics.value(Statistic::Joins), 3);
        assert_eq!(statistics.value(Statistic::Participants), 3);
        assert_eq!(statistics.value(Statistic::Losses), 0);
    }

    #[test]
    fn every_counter_reaches_its_statistic_and_counters_only_by_what_is_new() {
        let statistics = Statistics::default();
        let before = Totals::from_fn(|_| 10);
        let now = Totals::from_fn(|which| 11 + which as u64);
        statistics.update(now, before);
        for which in ALL {
            let expected = match which.kind() {
                Kind::Gauge => now.get(*which),
                Kind::Counter => now.get(*which) - 10,
            };
            assert_eq!(statistics.value(*which), expected, "{}", which.name());
        }
    }

    /// The table in `docs/statistics.md`, between its two marks.
    fn table() -> String {
        let mut table =
            "| name | kind | counted in | what |\n| --- | --- | --- | --- |\n".to_owned();
        for statistic in ALL {
            let place = match statistic.place() {
                Place::Focus => "focus",
                Place::Switch => "switch",
                Place::Resolver => "resolver",
                Place::Everywhere => "every process",
            };
            let (name, doc) = (statistic.name(), statistic.doc());
            let kind = match statistic.kind() {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            table += &format!("| `{name}` | {kind} | {place} | {doc} |\n");
        }
        table
    }

    #[test]
    fn the_documentation_holds_the_table() {
        const FROM: &str = "<!-- written by UPDATE_DOCS=1 cargo test statistics -->\n";
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/statistics.md");
        let page = std::fs::read_to_string(file).unwrap();
        let (head, rest) = page.split_once(FROM).expect("the first mark");
        let (_, tail) = rest.split_once("<!-- end -->").expect("the second mark");
        let fresh = format!("{head}{FROM}{}<!-- end -->{tail}", table());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &fresh).unwrap();
        } else {
            assert!(page == fresh, "run UPDATE_DOCS=1 cargo test statistics");
        }
    }
}
