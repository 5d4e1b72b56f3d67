//! Totals of the switch's work for this focus. Several runs of the switch may have contributed, and
//! the present run may have worked for another focus before.

use crate::control::SwitchRun;
use crate::counters::{Kind, Totals};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    run: Option<SwitchRun>,
    /// Totals of earlier runs.
    before: Totals,
    /// Totals of the present run at the first meeting.
    base: Totals,
    latest: Totals,
}

impl Tally {
    /// Notes a connection to a switch, the first or a further one.
    pub(super) fn meet(&mut self, run: SwitchRun, totals: Totals) {
        if self.run != Some(run) {
            self.before = self.totals();
            self.base = totals;
            self.run = Some(run);
        }
        self.latest = totals;
    }

    pub(super) fn update(&mut self, totals: Totals) {
        self.latest = totals;
    }

    pub(super) fn totals(&self) -> Totals {
        Totals::from_fn(|which| {
            let latest = self.latest.get(which);
            match which.kind() {
                Kind::Gauge => latest,
                Kind::Counter => {
                    self.before.get(which) + latest.saturating_sub(self.base.get(which))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(messages_in: u64, sessions: u64) -> Totals {
        Totals {
            messages_in,
            sessions,
            ..Totals::default()
        }
    }

    #[test]
    fn only_what_was_done_for_this_focus_counts_and_over_all_runs() {
        let mut tally = Tally::default();
        tally.meet(SwitchRun(1), messages(1000, 5));
        assert_eq!(tally.totals(), messages(0, 5));
        tally.update(messages(1010, 6));
        assert_eq!(tally.totals(), messages(10, 6));
        tally.meet(SwitchRun(1), messages(1015, 6));
        assert_eq!(tally.totals(), messages(15, 6));
        tally.meet(SwitchRun(2), messages(0, 0));
        tally.update(messages(3, 1));
        assert_eq!(tally.totals(), messages(18, 1));
    }
}
