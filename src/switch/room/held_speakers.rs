//! The speakers of a room that wait for slow members (see `out/backpressure`).

use std::collections::VecDeque;

use crate::switch::ids::{SessionKey, Speaker, Thread};
use crate::switch::message::utterance::Utterance;
use crate::time::Moment;

/// The waiting speakers of a room.
#[derive(Debug, Default)]
pub(in crate::switch) struct HeldSpeakers {
    pub(in crate::switch) speakers: Vec<Speaker>,
    /// Messages from other threads. The speaker of the first must wait, and did not know it yet.
    /// Each connection has at most `MAX_UNORDERED` octets here.
    pub(in crate::switch) said: VecDeque<(Thread, Utterance)>,
    pub(in crate::switch) timed: bool,
    /// The position of the slowest member at the last check, in octets, and the time of that check.
    pub(in crate::switch) passed: (u64, Moment),
    /// Number of members that speakers do not wait for.
    pub(in crate::switch) stragglers: usize,
    /// With such members, the position in octets from which the others are checked.
    pub(in crate::switch) look_from: u64,
}

impl HeldSpeakers {
    /// Takes all waiting speakers and messages.
    pub(in crate::switch) fn take(&mut self) -> (Vec<Speaker>, VecDeque<(Thread, Utterance)>) {
        (
            std::mem::take(&mut self.speakers),
            std::mem::take(&mut self.said),
        )
    }

    /// Keeps a message if others wait or its speaker must; otherwise gives it back.
    pub(in crate::switch) fn keep(&mut self, from: Thread, said: Utterance) -> Option<Utterance> {
        if self.said.is_empty() && !self.speakers.contains(&said.speaker(from)) {
            return Some(said);
        }
        self.said.push_back((from, said));
        None
    }

    /// Takes the first waiting message, if its speaker may go on.
    pub(in crate::switch) fn next(&mut self) -> Option<(Thread, Utterance)> {
        let (thread, said) = self.said.front()?;
        match self.speakers.contains(&said.speaker(*thread)) {
            true => None,
            false => self.said.pop_front(),
        }
    }

    /// Takes the waiting messages of a session.
    pub(in crate::switch) fn said_by(&mut self, key: SessionKey) -> VecDeque<(Thread, Utterance)> {
        if self.said.is_empty() {
            return VecDeque::new();
        }
        let said = std::mem::take(&mut self.said).into_iter();
        let (own, others) = said.partition(|(_, it)| it.session == key);
        self.said = others;
        own
    }
}

#[cfg(test)]
impl HeldSpeakers {
    /// Whether no speaker waits.
    pub(in crate::switch) fn is_free(&self) -> bool {
        self.speakers.is_empty() && self.said.is_empty() && self.stragglers == 0
    }
}
