//! The speakers of a room who wait for those who hear it (see `out/backpressure`).

use crate::switch::ids::Speaker;
use crate::time::Moment;

/// The speakers of a room who wait.
#[derive(Debug, Default)]
pub(in crate::switch) struct HeldSpeakers {
    pub(in crate::switch) speakers: Vec<Speaker>,
    pub(in crate::switch) timed: bool,
    /// Octets the slowest had passed when its pace was last looked at, and when that was.
    pub(in crate::switch) passed: (u64, Moment),
    /// Members nobody waits for.
    pub(in crate::switch) stragglers: usize,
    /// When there are such, the others are looked at from so many octets on.
    pub(in crate::switch) look_from: u64,
}

impl HeldSpeakers {
    /// They wait no more.
    pub(in crate::switch) fn take(&mut self) -> Vec<Speaker> {
        std::mem::take(&mut self.speakers)
    }
}

#[cfg(test)]
impl HeldSpeakers {
    /// Nobody waits.
    pub(in crate::switch) fn is_free(&self) -> bool {
        self.speakers.is_empty() && self.stragglers == 0
    }
}
