//! Nicknames that wait for the focus. The 200 of a NICKNAME waits here until the focus has stored
//! the nickname. While there is no focus, the switch answers at once and keeps the nickname itself.

use std::collections::BTreeMap;

use crate::control::NicknameChange;
use crate::switch::ids::{Credit, Speaker};

/// Octets that a pending nickname counts for its connection: eight may wait.
pub(in crate::switch) const WISH: usize = 8 * 1024;

/// The answers that wait.
#[derive(Debug, Default)]
pub(in crate::switch) struct PendingNicknames {
    last: u64,
    waiting: BTreeMap<NicknameChange, PendingNickname>,
}

/// A waiting answer.
#[derive(Debug)]
pub(in crate::switch) struct PendingNickname {
    pub(in crate::switch) to: Speaker,
    pub(in crate::switch) octets: Vec<u8>,
    /// The octets it counts for the connection until then.
    pub(in crate::switch) credit: Option<Credit>,
}

impl PendingNicknames {
    /// The number of the next change.
    pub(in crate::switch) fn number(&mut self) -> NicknameChange {
        self.last += 1;
        NicknameChange(self.last)
    }

    /// Keeps an answer until this change is stored.
    pub(in crate::switch) fn wait(&mut self, change: NicknameChange, answer: PendingNickname) {
        self.waiting.insert(change, answer);
    }

    /// A change is stored.
    pub(in crate::switch) fn kept(&mut self, change: NicknameChange) -> Option<PendingNickname> {
        self.waiting.remove(&change)
    }

    /// Takes all waiting answers.
    pub(in crate::switch) fn take_all(&mut self) -> impl Iterator<Item = PendingNickname> + use<> {
        std::mem::take(&mut self.waiting).into_values()
    }
}
