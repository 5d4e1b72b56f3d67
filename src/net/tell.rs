//! Where the news of the switch's threads go.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::control::Notice;
use crate::log;

/// Where a switch thread's news go.
#[derive(Clone)]
pub(super) struct Tell {
    pub(super) notices: Sender<Notice>,
    pub(super) log: Sender<log::Line>,
    /// Called after either was sent.
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

impl Tell {
    pub(super) fn log(&self, level: log::Level, text: String) {
        if self.log.send(log::Line::new(level, text)).is_ok() {
            (self.wake)();
        }
    }

    pub(super) fn notice(&self, notice: Notice) {
        if self.notices.send(notice).is_ok() {
            (self.wake)();
        }
    }
}
