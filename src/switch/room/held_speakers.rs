//! The speakers of a room who wait for those who hear it (see `out/backpressure`).

use crate::switch::ids::Speaker;
use crate::time::Moment;

/// The speakers of a room who wait.
#[derive(Debug, Default)]
pub(crate) struct HeldSpeakers {
    pub(crate) speakers: Vec<Speaker>,
    pub(crate) timed: bool,
    /// Octets the slowest had passed when its pace was last looked at, and when that was.
    pub(crate) passed: (u64, Moment),
    /// Members nobody waits for.
    pub(crate) stragglers: usize,
    /// When there are such, the others are looked at from so many octets on.
    pub(crate) look_from: u64,
}

impl HeldSpeakers {
    /// They wait no more.
    pub(crate) fn take(&mut self) -> Vec<Speaker> {
        std::mem::take(&mut self.speakers)
    }
}

#[cfg(test)]
impl HeldSpeakers {
    /// Nobody waits.
    pub(crate) fn is_free(&self) -> bool {
        self.speakers.is_empty() && self.stragglers == 0
    }
}
