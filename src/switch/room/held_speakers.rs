//! The speakers of a room who wait for those who hear it (see `out/backpressure`).

use std::collections::VecDeque;

use crate::switch::ids::{SessionKey, Speaker, Thread};
use crate::switch::message::utterance::Utterance;
use crate::time::Moment;

/// The speakers of a room who wait.
#[derive(Debug, Default)]
pub(in crate::switch) struct HeldSpeakers {
    pub(in crate::switch) speakers: Vec<Speaker>,
    /// Messages from other threads: the first one's speaker must wait and did not know it yet.
    /// Each connection has at most `MAX_UNORDERED` octets here.
    pub(in crate::switch) said: VecDeque<(Thread, Utterance)>,
    pub(in crate::switch) timed: bool,
    /// Octets the slowest had passed when its pace was last looked at, and when that was.
    pub(in crate::switch) passed: (u64, Moment),
    /// Members nobody waits for.
    pub(in crate::switch) stragglers: usize,
    /// When there are such, the others are looked at from so many octets on.
    pub(in crate::switch) look_from: u64,
}

impl HeldSpeakers {
    /// They wait no more, and nothing of what they have said.
    pub(in crate::switch) fn take(&mut self) -> (Vec<Speaker>, VecDeque<(Thread, Utterance)>) {
        (
            std::mem::take(&mut self.speakers),
            std::mem::take(&mut self.said),
        )
    }

    /// A message is to wait while others do, or its speaker must; otherwise it is given back.
    pub(in crate::switch) fn keep(&mut self, from: Thread, said: Utterance) -> Option<Utterance> {
        if self.said.is_empty() && !self.speakers.contains(&said.speaker(from)) {
            return Some(said);
        }
        self.said.push_back((from, said));
        None
    }

    /// Takes the first message that waits, if its speaker may go on.
    pub(in crate::switch) fn next(&mut self) -> Option<(Thread, Utterance)> {
        let (thread, said) = self.said.front()?;
        match self.speakers.contains(&said.speaker(*thread)) {
            true => None,
            false => self.said.pop_front(),
        }
    }

    /// Takes what a session has said.
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
    /// Nobody waits.
    pub(in crate::switch) fn is_free(&self) -> bool {
        self.speakers.is_empty() && self.said.is_empty() && self.stragglers == 0
    }
}
