//! A nickname is promised when the focus has kept it: until then the 200 of its NICKNAME waits
//! here. The switch alone, while no focus is there, pending_nicknames what it holds itself.

use std::collections::BTreeMap;

use crate::control::NicknameChange;
use crate::switch::Switch;
use crate::switch::ids::SessionKey;
use crate::switch::line::replies;
use crate::switch::message::{Code, RequestHead};
use crate::switch::threads::guests::WISH;
use crate::switch::threads::{Credit, Speaker};

/// The answers that wait.
#[derive(Debug, Default)]
pub(in crate::switch) struct PendingNicknames {
    last: u64,
    waiting: BTreeMap<NicknameChange, PendingNickname>,
}

#[derive(Debug)]
struct PendingNickname {
    to: Speaker,
    octets: Vec<u8>,
    /// What it counts for the connection until then.
    credit: Option<Credit>,
}

impl PendingNicknames {
    /// The number of the next change.
    pub(in crate::switch) fn number(&mut self) -> NicknameChange {
        self.last += 1;
        NicknameChange(self.last)
    }
}

impl Switch {
    /// Says that a change was made, as soon as whoever keeps it has it.
    pub(in crate::switch) fn promise(
        &mut self,
        to: Speaker,
        key: SessionKey,
        head: &RequestHead<'_>,
        change: NicknameChange,
    ) {
        let session = self.sessions.get(key);
        if session.is_none_or(|session| session.unclaimed.is_some()) {
            return self.respond(to, head, Code::Ok);
        }
        let mut octets = Vec::new();
        replies::respond(&mut octets, head, Code::Ok);
        let credit = self.exchange.serving.take().or_else(|| {
            self.charge(to.connection, WISH);
            let octets = WISH;
            Some(Credit {
                speaker: to,
                octets,
            })
        });
        let promise = PendingNickname { to, octets, credit };
        self.pending_nicknames.waiting.insert(change, promise);
    }

    /// The focus has kept a change.
    pub(in crate::switch) fn nickname_kept(&mut self, change: NicknameChange) {
        if let Some(promise) = self.pending_nicknames.waiting.remove(&change) {
            self.keep(promise);
        }
    }

    /// The focus has gone, and may have kept them or not: the switch has, and will tell.
    pub(in crate::switch) fn answer_pending_nicknames(&mut self) {
        for promise in std::mem::take(&mut self.pending_nicknames.waiting).into_values() {
            self.keep(promise);
        }
    }

    fn keep(&mut self, promise: PendingNickname) {
        self.reply_to(promise.to, |out| out.extend_from_slice(&promise.octets));
        self.done(promise.credit);
    }
}
