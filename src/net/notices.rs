//! Notices and log lines on their way to the focus.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::control::Notice;
use crate::log;

/// The channels from the switch's threads to the focus.
#[derive(Clone)]
pub(super) struct NoticeSender {
    pub(super) focus: Sender<Notice>,
    pub(super) log: Sender<log::Line>,
    /// Wakes the thread of the focus; call it after sending on either channel.
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

impl NoticeSender {
    pub(super) fn log(&self, level: log::Level, text: String) {
        if self.log.send(log::Line::new(level, text)).is_ok() {
            (self.wake)();
        }
    }

    pub(super) fn send(&self, notice: Notice) {
        if self.focus.send(notice).is_ok() {
            (self.wake)();
        }
    }
}
