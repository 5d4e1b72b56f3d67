//! A nickname is promised when the focus has kept it: until then the 200 of its NICKNAME waits
//! here. The switch alone, while no focus is there, promises what it holds itself.

use std::collections::BTreeMap;

use super::Switch;
use super::guests::WISH;
use super::ids::SessionKey;
use super::message::{Code, Facts};
use super::replies;
use super::threads::{Credit, Speaker};
use crate::control::NicknameChange;

/// The answers that wait.
#[derive(Debug, Default)]
pub(super) struct Promises {
    last: u64,
    waiting: BTreeMap<NicknameChange, Promise>,
}

#[derive(Debug)]
struct Promise {
    to: Speaker,
    octets: Vec<u8>,
    /// What it counts for the connection until then.
    credit: Option<Credit>,
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
        to: Speaker,
        key: SessionKey,
        facts: &Facts<'_>,
        change: NicknameChange,
    ) {
        let session = self.sessions.get(key);
        if session.is_none_or(|session| session.unclaimed.is_some()) {
            return self.respond(to, facts, Code::Ok);
        }
        let mut octets = Vec::new();
        replies::respond(&mut octets, facts, Code::Ok);
        let credit = self.exchange.serving.take().or_else(|| {
            self.charge(to.connection, WISH);
            let octets = WISH;
            Some(Credit {
                speaker: to,
                octets,
            })
        });
        let promise = Promise { to, octets, credit };
        self.promises.waiting.insert(change, promise);
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
        self.reply_to(promise.to, |out| out.extend_from_slice(&promise.octets));
        self.done(promise.credit);
    }
}
