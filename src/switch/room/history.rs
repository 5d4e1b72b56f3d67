//! The history of rooms (room option `history`): the last messages to the whole room, which
//! whoever comes in is given before what is said from then on.
//!
//! It stands here in memory, and the focus is told of it so that it outlasts this run. That
//! is nothing anybody waits for, and must not pile up between here and a disk: only so much
//! is told as the store can be behind ([`UNDER_WAY`]). What is not told yet waits in the
//! histories, which are bounded; what leaves them before its turn is told to nobody, since it
//! would be gone from the store, too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::control::{Notice, PastMessage, RoomUri};
use crate::wire::cpim::Message;

use crate::switch::ids::{RoomKey, SessionKey};
use crate::switch::message::entry::range_of;
use crate::switch::message::entry::{Audience, Entry};

/// Octets told and not yet in the store, of one instance: what SQLite writes in a few
/// milliseconds, so that no answer waits long behind it. More would only write more of what a
/// flood soon pushes out again.
const UNDER_WAY: usize = 64 * 1024;
/// Between two times that something is told of one room: a commit each time, ten a second at
/// most. The first message after a pause is told at once.
pub(in crate::switch) const PACE: Duration = Duration::from_millis(100);
/// Octets told at once, so that rooms take turns.
const AT_ONCE: usize = 32 * 1024;
/// Octets of all histories of one instance: five hundred of the longest, or of 10,000 rooms
/// 26 KiB each. Where there are more, a room that is spoken in keeps [`LEAST`].
pub(in crate::switch) const ALL_OCTETS: usize = match cfg!(test) {
    false => 256 * 1024 * 1024,
    true => 1024 * 1024,
};
pub(in crate::switch) const LEAST: usize = 16 * 1024;

/// The last messages of a room.
#[derive(Debug, Default)]
pub(in crate::switch) struct History {
    messages: VecDeque<(u64, Arc<Entry>)>,
    octets: usize,
    /// The number of the last message that was in it.
    pub(in crate::switch) last: u64,
    /// Messages up to this number are in it no more.
    gone: u64,
    /// The focus was told of messages up to this number.
    told: u64,
    /// The store has messages up to this number.
    kept: u64,
    /// It waits for its turn to be told.
    pub(in crate::switch) waits: bool,
    /// Something was told a moment ago.
    pub(in crate::switch) paced: bool,
}

/// How much all histories are together, how much of them is on its way to the store, and
/// which rooms wait.
#[derive(Debug, Default)]
pub(in crate::switch) struct Histories {
    pub(in crate::switch) octets: usize,
    pub(in crate::switch) under_way: usize,
    pub(in crate::switch) waiting: VecDeque<RoomKey>,
}

impl Histories {
    pub(in crate::switch) fn may_tell(&self) -> bool {
        self.under_way < UNDER_WAY
    }

    /// One of them had so many octets and has so many now.
    pub(in crate::switch) fn changed(&mut self, before: usize, now: usize) {
        self.octets = (self.octets + now).saturating_sub(before);
    }
}

impl History {
    /// What the store has of a room. What is no message is passed over.
    pub(in crate::switch) fn restored(messages: Vec<PastMessage>) -> Self {
        let mut history = Self::default();
        for PastMessage { number, octets } in messages {
            if let Some(entry) = past(octets)
                && number > history.last
            {
                history.add(number, entry);
            }
        }
        history.told = history.last;
        history.kept = history.last;
        history
    }

    pub(in crate::switch) fn add(&mut self, number: u64, entry: Entry) {
        self.last = number;
        self.octets += entry.body.len();
        self.messages.push_back((number, Arc::new(entry)));
    }

    /// The oldest go.
    pub(in crate::switch) fn trim(&mut self, messages: usize, octets: usize) {
        while self.messages.len() > messages || self.octets > octets {
            let Some((number, entry)) = self.messages.pop_front() else {
                return;
            };
            self.octets -= entry.body.len();
            self.gone = number;
        }
    }

    pub(in crate::switch) fn forget(&mut self) {
        self.trim(0, 0);
        self.messages = VecDeque::new();
        self.told = self.last;
        self.kept = self.last;
    }

    /// What somebody who comes in now is given. The rules may have changed since it was last
    /// added to.
    pub(in crate::switch) fn for_newcomer(
        &mut self,
        messages: u16,
        octets: usize,
    ) -> VecDeque<Arc<Entry>> {
        self.trim(messages.into(), octets);
        let messages = self.messages.iter();
        messages.map(|(_, entry)| Arc::clone(entry)).collect()
    }

    /// Octets of its messages.
    pub(in crate::switch) fn octets(&self) -> usize {
        self.octets
    }

    pub(in crate::switch) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What was told may not have been heard.
    pub(in crate::switch) fn untell(&mut self) {
        self.told = self.kept;
        self.waits = false;
    }

    /// Whether there is something to tell.
    pub(in crate::switch) fn is_news(&self) -> bool {
        let last = self.messages.back();
        last.is_some_and(|(number, _)| *number > self.told)
    }

    /// The store has it up to this number.
    pub(in crate::switch) fn keep(&mut self, up_to: u64) {
        self.kept = self.kept.max(up_to.min(self.told));
    }

    /// The next part that the focus is to be told, and its octets.
    pub(in crate::switch) fn next_part(&mut self, room: &RoomUri) -> Option<(Notice, usize)> {
        let from = self
            .messages
            .partition_point(|(number, _)| *number <= self.told);
        let mut octets = 0;
        let mut messages = Vec::new();
        for (number, entry) in self.messages.range(from..) {
            octets += entry.body.len();
            messages.push(PastMessage {
                number: *number,
                octets: entry.body.clone(),
            });
            if octets >= AT_ONCE {
                break;
            }
        }
        self.told = messages.last()?.number;
        let notice = Notice::Remember {
            room: room.clone(),
            messages,
            gone: self.gone,
        };
        Some((notice, octets))
    }
}

/// A message of a history as an entry; none if it is no message.
pub(in crate::switch) fn past(octets: Bytes) -> Option<Entry> {
    let message = Message::parse(&octets).ok().flatten()?;
    let wrapped_type = range_of(&octets, message.content_type);
    let nobody = SessionKey::default();
    Some(Entry::new(
        octets,
        wrapped_type,
        nobody,
        Audience::Everybody,
    ))
}
