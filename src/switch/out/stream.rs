//! Large messages that are passed on while they arrive, with their only owner.

use std::collections::HashMap;

use crate::switch::ids::{ConnectionId, RoomKey, SessionKey, StreamKey, Table, Thread};
use crate::switch::message::stream_buffer::StreamBuffer;
use crate::switch::threads::parcel::Ended;
use crate::time::Moment;

/// A large message that some receiver still needs.
#[derive(Debug)]
pub(in crate::switch) struct Stream {
    pub(in crate::switch) room: RoomKey,
    /// The sender's session, while it is known here.
    pub(in crate::switch) from: Option<SessionKey>,
    pub(in crate::switch) buffer: StreamBuffer,
    /// Its length, as announced by its sender.
    pub(in crate::switch) announced: Option<u64>,
    /// Its true length, once the chunk that ends it has arrived.
    pub(in crate::switch) total: Option<u64>,
    /// All octets have arrived.
    pub(in crate::switch) whole: bool,
    /// The recipients on this thread, fixed when it began, except those who left (G27).
    pub(in crate::switch) receivers: Vec<SessionKey>,
    /// CPIM From and To, when the report must carry them (G44).
    pub(in crate::switch) addresses: Option<Vec<u8>>,
    /// Its fingerprint, to recognise a repetition (C32).
    pub(in crate::switch) fingerprint: u64,
    /// Its sender waits for the receivers to catch up.
    pub(in crate::switch) pause: Option<Pause>,
    /// It is in the list of streams to check.
    pub(in crate::switch) touched: bool,
    /// Its route from thread to thread, if any.
    pub(in crate::switch) route: Option<Box<Route>>,
}

impl Stream {
    pub(in crate::switch) fn new(room: RoomKey, from: Option<SessionKey>) -> Self {
        Self {
            room,
            from,
            buffer: StreamBuffer::default(),
            announced: None,
            total: None,
            whole: false,
            receivers: Vec::new(),
            addresses: None,
            fingerprint: 0,
            pause: None,
            touched: false,
            route: None,
        }
    }

    pub(in crate::switch) fn route(&mut self) -> &mut Route {
        self.route.get_or_insert_default()
    }

    /// Octets queued for the slowest thread.
    pub(in crate::switch) fn waiting_abroad(&self) -> u64 {
        let to = self.route.iter().flat_map(|route| &route.to);
        to.map(|(_, waiting)| *waiting).max().unwrap_or(0)
    }

    /// Octets of it held on this or another thread.
    pub(in crate::switch) fn octets(&self) -> usize {
        let abroad = usize::try_from(self.waiting_abroad()).unwrap_or(usize::MAX);
        self.buffer.octets().max(abroad)
    }

    pub(in crate::switch) fn comes_from_elsewhere(&self) -> bool {
        self.route
            .as_ref()
            .is_some_and(|route| route.from.is_some())
    }

    /// Whether it must stay until the owner has accepted or refused it.
    pub(in crate::switch) fn is_pending(&self) -> bool {
        let route = self.route.as_ref();
        route.is_some_and(|route| route.pending.is_some())
    }
}

/// The pause of a sender that waits for receivers.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct Pause {
    /// The connection that is not read meanwhile, if it is on this thread.
    pub(in crate::switch) connection: Option<ConnectionId>,
    pub(in crate::switch) until: Moment,
    /// More than half of an outbox is certainly queued for a receiver. Otherwise it may only be on
    /// its way to another thread, which gets a query.
    pub(in crate::switch) certain: bool,
}

/// A large message goes from the sender's thread to the owner of the room, and from there to
/// each thread that has receivers.
#[derive(Debug, Default)]
pub(in crate::switch) struct Route {
    /// The thread it comes from, and its key there.
    pub(in crate::switch) from: Option<(Thread, StreamKey)>,
    /// Octets that the previous thread knows to be delivered.
    pub(in crate::switch) reported: u64,
    /// The threads it goes to, with the octets queued there.
    pub(in crate::switch) to: Vec<(Thread, u64)>,
    /// Octets sent to those threads.
    pub(in crate::switch) gone: u64,
    /// The owner's decision is outstanding; the end of the message waits for it here.
    pub(in crate::switch) pending: Option<Pending>,
}

/// The state of a message that waits for the owner's decision.
#[derive(Debug, Default)]
pub(in crate::switch) struct Pending {
    pub(in crate::switch) name: Box<str>,
    pub(in crate::switch) ended: Option<Box<Ended>>,
}

/// The large messages of one thread.
#[derive(Debug, Default)]
pub(in crate::switch) struct Streams {
    table: Table<StreamKey, Stream>,
    /// Streams from other threads, by their keys there.
    inflows: HashMap<(Thread, StreamKey), StreamKey>,
    /// Streams whose receivers have made progress.
    touched: Vec<StreamKey>,
}

impl Streams {
    pub(in crate::switch) fn insert(&mut self, stream: Stream) -> StreamKey {
        self.table.insert(stream)
    }

    pub(in crate::switch) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.table.get(key)
    }

    pub(in crate::switch) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.table.get_mut(key)
    }

    pub(in crate::switch) fn remove(&mut self, key: StreamKey) -> Option<Stream> {
        let stream = self.table.remove(key)?;
        if let Some(from) = stream.route.as_ref().and_then(|route| route.from) {
            self.inflows.remove(&from);
        }
        Some(stream)
    }

    /// Adds a message from another thread, where its key is `there`.
    pub(in crate::switch) fn comes_from(&mut self, key: StreamKey, from: Thread, there: StreamKey) {
        if let Some(stream) = self.table.get_mut(key) {
            stream.route().from = Some((from, there));
            self.inflows.insert((from, there), key);
        }
    }

    /// The message with this key on another thread.
    pub(in crate::switch) fn inflow(&self, from: Thread, there: StreamKey) -> Option<StreamKey> {
        self.inflows.get(&(from, there)).copied()
    }

    /// Schedules a check after the current output is written.
    pub(in crate::switch) fn touch(&mut self, key: StreamKey) {
        if let Some(stream) = self.table.get_mut(key)
            && !std::mem::replace(&mut stream.touched, true)
        {
            self.touched.push(key);
        }
    }

    /// The streams to check now.
    pub(in crate::switch) fn take_touched(&mut self) -> Vec<StreamKey> {
        std::mem::take(&mut self.touched)
    }

    /// A receiver no longer needs it.
    pub(in crate::switch) fn leave(&mut self, key: StreamKey, receiver: SessionKey) {
        if let Some(stream) = self.table.get_mut(key) {
            stream.receivers.retain(|other| *other != receiver);
            self.touch(key);
        }
    }

    #[cfg(test)]
    pub(in crate::switch) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.table.iter_mut()
    }

    #[cfg(test)]
    pub(in crate::switch) fn len(&self) -> usize {
        self.table.keys().len()
    }

    #[cfg(test)]
    pub(in crate::switch) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.inflows.is_empty()
    }
}
