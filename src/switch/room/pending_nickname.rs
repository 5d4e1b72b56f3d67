//! A nickname is promised when the focus has kept it: until then the 200 of its NICKNAME waits
//! here. The switch alone, while no focus is there, promises what it holds itself.

use std::collections::BTreeMap;

use crate::control::NicknameChange;
use crate::switch::ids::{Credit, Speaker};

/// What a nickname counts for its connection until the focus has kept it: eight may wait.
pub(crate) const WISH: usize = 8 * 1024;

/// The answers that wait.
#[derive(Debug, Default)]
pub(crate) struct PendingNicknames {
    last: u64,
    waiting: BTreeMap<NicknameChange, PendingNickname>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct PendingNickname {
    pub(crate) to: Speaker,
    pub(crate) octets: Vec<u8>,
    /// What it counts for the connection until then.
    pub(crate) credit: Option<Credit>,
}

impl PendingNicknames {
    /// The number of the next change.
    pub(crate) fn number(&mut self) -> NicknameChange {
        self.last += 1;
        NicknameChange(self.last)
    }

    /// The answer waits until this change is kept.
    pub(crate) fn wait(&mut self, change: NicknameChange, answer: PendingNickname) {
        self.waiting.insert(change, answer);
    }

    /// A change is kept.
    pub(crate) fn kept(&mut self, change: NicknameChange) -> Option<PendingNickname> {
        self.waiting.remove(&change)
    }

    /// Everything that waits is to wait no more.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = PendingNickname> + use<> {
        std::mem::take(&mut self.waiting).into_values()
    }
}
