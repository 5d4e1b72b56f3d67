//! Figures of one thread, published once a turn.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::counters::{COUNT, Totals};

/// Written by one thread, read by any.
#[derive(Debug, Default)]
pub(super) struct ThreadTotals {
    figures: [AtomicU64; COUNT],
}

impl ThreadTotals {
    pub(super) fn store(&self, totals: Totals) {
        for (place, (_, figure)) in self.figures.iter().zip(totals.iter()) {
            place.store(figure, Ordering::Relaxed);
        }
    }

    pub(super) fn load(&self) -> Totals {
        Totals::from_fn(|which| self.figures[which as usize].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_published() {
        let totals = Totals::from_fn(|which| which as u64 + 1);
        let thread = ThreadTotals::default();
        thread.store(totals);
        assert_eq!(thread.load(), totals);
    }
}
