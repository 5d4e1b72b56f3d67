//! Notices waiting for the focus, and timers.

use std::collections::VecDeque;

use crate::control::Notice;
use crate::switch::timers::{Timer, Timers};
use crate::time::Moment;

/// Notices and deadlines; most operations produce some.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    notices: VecDeque<Notice>,
    timers: Timers,
}

impl Agenda {
    pub(super) fn tell(&mut self, notice: Notice) {
        self.notices.push_back(notice);
    }

    pub(super) fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub(super) fn arm(&mut self, due: Moment, timer: Timer) {
        self.timers.arm(due, timer);
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.timers.deadline()
    }

    /// Takes the next deadline that has passed.
    pub(super) fn due(&mut self, now: Moment) -> Option<Timer> {
        self.timers.pop(now)
    }
}
