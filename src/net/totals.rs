//! Figures of one thread, published once a turn.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Totals;

/// Written by one thread, read by anybody.
#[derive(Debug, Default)]
pub(super) struct ThreadTotals {
    figures: [AtomicU64; 9],
}

impl ThreadTotals {
    pub(super) fn store(&self, totals: Totals) {
        let figures = [
            totals.sessions,
            totals.messages_in,
            totals.messages_out,
            totals.bytes_in,
            totals.bytes_out,
            totals.drops_slow_reader,
            totals.unfinished_dropped,
            totals.websockets_refused,
            totals.panics,
        ];
        for (place, figure) in self.figures.iter().zip(figures) {
            place.store(figure, Ordering::Relaxed);
        }
    }

    pub(super) fn add_to(&self, totals: &mut Totals) {
        let places = [
            &mut totals.sessions,
            &mut totals.messages_in,
            &mut totals.messages_out,
            &mut totals.bytes_in,
            &mut totals.bytes_out,
            &mut totals.drops_slow_reader,
            &mut totals.unfinished_dropped,
            &mut totals.websockets_refused,
            &mut totals.panics,
        ];
        for (place, figure) in places.into_iter().zip(&self.figures) {
            *place += figure.load(Ordering::Relaxed);
        }
    }
}
