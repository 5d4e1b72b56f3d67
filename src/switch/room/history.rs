//! The history of rooms (room option `history`): the last messages to the whole room. A newcomer
//! receives them before new messages.
//!
//! It lives in memory, and is reported to the focus so that it survives a restart. No answer waits
//! for this, and it must not pile up before the disk: at most [`UNDER_WAY`] octets are reported and
//! not yet stored. Entries not yet reported wait in the histories, which have limits. An entry that
//! leaves its history before its turn is never reported, since it would leave the store too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::control::{Notice, PastMessage, RoomUri};
use crate::wire::cpim::Message;

use crate::switch::ids::{RoomKey, SessionKey};
use crate::switch::message::entry::range_of;
use crate::switch::message::entry::{Audience, Entry};

/// Limit of octets of one instance that are reported and not yet in the store: SQLite writes them
/// in a few milliseconds, so that no answer waits long behind them. A higher limit would only store
/// more of a flood that soon replaces itself.
const UNDER_WAY: usize = 64 * 1024;
/// Time between two reports of one room. Each costs a commit, so there are at most ten a second.
/// The first message after a pause is reported at once.
pub(in crate::switch) const PACE: Duration = Duration::from_millis(100);
/// Octets reported at once, so that rooms take turns.
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
    /// The number of the last message added.
    pub(in crate::switch) last: u64,
    /// Messages up to this number were removed.
    gone: u64,
    /// Messages up to this number were reported to the focus.
    told: u64,
    /// The store has messages up to this number.
    kept: u64,
    /// It waits for its turn to report.
    pub(in crate::switch) waits: bool,
    /// It has reported a moment ago.
    pub(in crate::switch) paced: bool,
}

/// The size of all histories, the octets on their way to the store, and the rooms that wait.
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

    /// Updates the total after one of them changed its size.
    pub(in crate::switch) fn changed(&mut self, before: usize, now: usize) {
        self.octets = (self.octets + now).saturating_sub(before);
    }
}

impl History {
    /// The history of a room from the store. Ignores malformed messages.
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

    /// Removes the oldest messages.
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

    /// The messages for a newcomer. The rules may have changed since the last message was added.
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

    /// Marks unstored entries as unreported: the reports may be lost.
    pub(in crate::switch) fn untell(&mut self) {
        self.told = self.kept;
        self.waits = false;
    }

    /// Whether there are entries to report.
    pub(in crate::switch) fn is_news(&self) -> bool {
        let last = self.messages.back();
        last.is_some_and(|(number, _)| *number > self.told)
    }

    /// The store has it up to this number.
    pub(in crate::switch) fn keep(&mut self, up_to: u64) {
        self.kept = self.kept.max(up_to.min(self.told));
    }

    /// The next part to report to the focus, and its octets.
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
