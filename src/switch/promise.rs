//! A nickname is promised when the focus has kept it: until then the 200 of its NICKNAME waits
//! here. The switch alone, while no focus is there, promises what it holds itself.

use std::collections::BTreeMap;

use super::Switch;
use super::ids::{ConnectionId, SessionKey};
use super::message::{Code, Facts};
use super::replies;
use crate::control::NicknameChange;

/// Answers that may wait for one connection; with more it is not read meanwhile.
const MAX_WAITING: usize = 8;

/// The answers that wait.
#[derive(Debug, Default)]
pub(super) struct Promises {
    last: u64,
    waiting: BTreeMap<NicknameChange, Promise>,
}

#[derive(Debug)]
struct Promise {
    to: ConnectionId,
    octets: Vec<u8>,
}

impl Promises {
    /// The number of the next change.
    pub(super) fn number(&mut self) -> NicknameChange {
        self.last += 1;
        NicknameChange(self.last)
    }
}

impl Switch {
    /// Says that a change was made, as soon as whoever keeps it has it.
    pub(super) fn promise(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        facts: &Facts<'_>,
        change: NicknameChange,
    ) {
        if self
            .sessions
            .get(key)
            .is_none_or(|it| it.unclaimed.is_some())
        {
            return self.reply(id, facts, Code::Ok);
        }
        let mut octets = Vec::new();
        replies::respond(&mut octets, facts, Code::Ok);
        let promise = Promise { to: id, octets };
        self.promises.waiting.insert(change, promise);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.promises += 1;
            if connection.promises == MAX_WAITING {
                connection.pauses += 1;
            }
        }
    }

    /// The focus has kept a change.
    pub(super) fn nickname_kept(&mut self, change: NicknameChange) {
        if let Some(promise) = self.promises.waiting.remove(&change) {
            self.keep(promise);
        }
    }

    /// The focus has gone, and may have kept them or not: the switch has, and will tell.
    pub(super) fn keep_promises(&mut self) {
        for promise in std::mem::take(&mut self.promises.waiting).into_values() {
            self.keep(promise);
        }
    }

    fn keep(&mut self, promise: Promise) {
        self.reply_with(promise.to, |out| out.extend_from_slice(&promise.octets));
        let Some(connection) = self.connections.get_mut(promise.to) else {
            return;
        };
        connection.promises -= 1;
        if connection.promises + 1 == MAX_WAITING {
            self.resume(promise.to);
        }
    }
}
