//! A nickname is promised when the focus has kept it: until then the 200 of its NICKNAME waits
//! here. The switch alone, while no focus is there, promises what it holds itself.

use std::collections::BTreeMap;

use crate::control::NicknameChange;
use crate::switch::ids::{Credit, Speaker};

/// What a nickname counts for its connection until the focus has kept it: eight may wait.
pub(in crate::switch) const WISH: usize = 8 * 1024;

/// The answers that wait.
#[derive(Debug, Default)]
pub(in crate::switch) struct PendingNicknames {
    last: u64,
    waiting: BTreeMap<NicknameChange, PendingNickname>,
}

/// One of them.
#[derive(Debug)]
pub(in crate::switch) struct PendingNickname {
    pub(in crate::switch) to: Speaker,
    pub(in crate::switch) octets: Vec<u8>,
    /// What it counts for the connection until then.
    pub(in crate::switch) credit: Option<Credit>,
}

impl PendingNicknames {
    /// The number of the next change.
    pub(in crate::switch) fn number(&mut self) -> NicknameChange {
        self.last += 1;
        NicknameChange(self.last)
    }

    /// The answer waits until this change is kept.
    pub(in crate::switch) fn wait(&mut self, change: NicknameChange, answer: PendingNickname) {
        self.waiting.insert(change, answer);
    }

    /// A change is kept.
    pub(in crate::switch) fn kept(&mut self, change: NicknameChange) -> Option<PendingNickname> {
        self.waiting.remove(&change)
    }

    /// Everything that waits is to wait no more.
    pub(in crate::switch) fn take_all(&mut self) -> impl Iterator<Item = PendingNickname> + use<> {
        std::mem::take(&mut self.waiting).into_values()
    }
}
