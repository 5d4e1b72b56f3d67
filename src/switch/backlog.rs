//! What is on its way in one room: every message once, in order, kept until the last member
//! that must see it has passed it. Members hold a position, not a queue.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;

use crate::wire::cpim::MESSAGE_CPIM;
use crate::wire::msrp::FailureReport;

use super::copies;
use super::ids::SessionKey;
use super::plain::Text;

/// The content type of RFC 3994.
const IS_COMPOSING: &[u8] = b"application/im-iscomposing+xml";
/// What an entry costs beside its body, counted so that a flood of tiny messages is bounded.
const ENTRY_OCTETS: usize = std::mem::size_of::<Entry>() + std::mem::size_of::<Slot>();

/// A place in a room's backlog; grows for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u64);

impl Position {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// For whom a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Everybody in the room but the session it came from.
    Room,
    /// Everybody in the room.
    Everybody,
    /// These sessions (a private message).
    Sessions(Box<[SessionKey]>),
}

/// A whole message on its way.
#[derive(Debug)]
pub(super) struct Entry {
    /// The CPIM message, octet for octet (RFC 7701 §6.1).
    pub(super) body: Bytes,
    /// The headers every copy has in common.
    pub(super) headers: Box<[u8]>,
    /// Where in `body` the wrapped content type stands.
    pub(super) wrapped_type: Range<usize>,
    pub(super) from: SessionKey,
    pub(super) audience: Audience,
    /// The same for who reads plain text; none when nobody does, or it is no text.
    pub(super) text: Option<Box<Text>>,
    /// `body` holds seven hyphens: an end-line may hide in it (RFC 4975 §7.1).
    pub(super) hyphens: bool,
    /// It only says that somebody is typing (RFC 3994).
    pub(super) composing: bool,
}

/// A message in its place.
#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    /// Octets that were pushed before it.
    before: u64,
    /// Members that have not passed it.
    waiting: u32,
}

impl Audience {
    /// Whether a message from `from` is for `session`.
    pub(super) fn includes(&self, from: SessionKey, session: SessionKey) -> bool {
        match self {
            Audience::Room => from != session,
            Audience::Everybody => true,
            Audience::Sessions(sessions) => sessions.contains(&session),
        }
    }
}

impl Entry {
    pub(super) fn new(
        body: Bytes,
        wrapped_type: Range<usize>,
        from: SessionKey,
        audience: Audience,
    ) -> Self {
        let hyphens = memmem::find(&body, b"-------").is_some();
        let headers = copies::headers(body.len(), FailureReport::Partial, MESSAGE_CPIM);
        let media = body.get(wrapped_type.clone()).unwrap_or_default();
        let composing = media
            .get(..IS_COMPOSING.len())
            .is_some_and(|media| media.eq_ignore_ascii_case(IS_COMPOSING));
        Self {
            text: None,
            composing,
            body,
            headers,
            wrapped_type,
            from,
            audience,
            hyphens,
        }
    }

    /// The wrapped content type, as the sender wrote it.
    pub(super) fn wrapped_type(&self) -> &[u8] {
        self.body.get(self.wrapped_type.clone()).unwrap_or_default()
    }

    pub(super) fn is_for(&self, session: SessionKey) -> bool {
        self.audience.includes(self.from, session)
    }

    /// Octets it holds, and what it costs beside.
    pub(super) fn cost(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| text.body.len());
        self.body.len() + text + ENTRY_OCTETS
    }
}

/// The messages of one room that somebody has still to get.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    slots: VecDeque<Slot>,
    first: Position,
    octets: usize,
    /// Octets ever pushed.
    pushed: u64,
}

impl Backlog {
    /// Where the next message will stand.
    pub(super) fn end(&self) -> Position {
        Position(self.first.0 + self.slots.len() as u64)
    }

    /// Octets held, bodies and what they cost beside.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Octets ever pushed.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Octets ever pushed that everybody has passed.
    pub(super) fn passed(&self) -> u64 {
        self.pushed - self.octets as u64
    }

    /// Appends a message that `members` members must pass.
    pub(super) fn push(&mut self, entry: Arc<Entry>, members: usize) {
        let waiting = u32::try_from(members).unwrap_or(u32::MAX);
        if waiting == 0 {
            return;
        }
        let before = self.pushed;
        self.octets += entry.cost();
        self.pushed += entry.cost() as u64;
        self.slots.push_back(Slot {
            entry,
            before,
            waiting,
        });
    }

    pub(super) fn get(&self, position: Position) -> Option<&Arc<Entry>> {
        Some(&self.slot(position)?.entry)
    }

    fn slot(&self, position: Position) -> Option<&Slot> {
        let index = position.0.checked_sub(self.first.0)?;
        self.slots.get(usize::try_from(index).ok()?)
    }

    /// Octets that wait for a member at `position`.
    pub(super) fn waiting(&self, position: Position) -> u64 {
        self.slot(position)
            .map_or(0, |slot| self.pushed - slot.before)
    }

    /// A member has passed the entry at `position`.
    pub(super) fn pass(&mut self, position: Position) {
        let index = position.0.checked_sub(self.first.0);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            slot.waiting = slot.waiting.saturating_sub(1);
        }
    }

    /// A member that stood at `from` needs nothing more of what is there.
    pub(super) fn pass_all(&mut self, from: Position) {
        let mut position = from.max(self.first);
        while position < self.end() {
            self.pass(position);
            position = position.next();
        }
        self.trim();
    }

    /// Lets go of what everybody has passed.
    pub(super) fn trim(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.waiting == 0) {
            if let Some(slot) = self.slots.pop_front() {
                self.octets -= slot.entry.cost();
                self.first = self.first.next();
            }
        }
        if self.slots.is_empty() && self.slots.capacity() > 64 {
            self.slots = VecDeque::new();
        }
    }

    /// The first position behind which at most `octets` are held; never the last entry's
    /// successor while there is an entry, so a single large message is not dropped whole.
    pub(super) fn position_within(&self, octets: usize) -> Position {
        let mut held = 0;
        let mut position = self.end();
        for slot in self.slots.iter().rev() {
            held += slot.entry.cost();
            if held > octets && position < self.end() {
                break;
            }
            position = Position(position.0 - 1);
        }
        position
    }
}
