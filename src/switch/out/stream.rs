//! Large messages that are passed on while they come in: the one owner of all of them.

use std::collections::HashMap;

use crate::switch::ids::{ConnectionId, RoomKey, SessionKey, StreamKey, Table, Thread};
use crate::switch::message::stream_buffer::StreamBuffer;
use crate::switch::threads::parcel::Ended;
use crate::time::Moment;

/// A large message of which somebody has still to get something.
#[derive(Debug)]
pub(in crate::switch) struct Stream {
    pub(in crate::switch) room: RoomKey,
    /// Who sends it, while the session is known here.
    pub(in crate::switch) from: Option<SessionKey>,
    pub(in crate::switch) buffer: StreamBuffer,
    /// Its length, as its sender has announced it.
    pub(in crate::switch) announced: Option<u64>,
    /// The same, once the chunk that ends it has come.
    pub(in crate::switch) total: Option<u64>,
    /// Everything has come.
    pub(in crate::switch) whole: bool,
    /// The recipients here, fixed when it began, without those who left (G27).
    pub(in crate::switch) receivers: Vec<SessionKey>,
    /// CPIM From and To, when the report must carry them (G44).
    pub(in crate::switch) addresses: Option<Vec<u8>>,
    /// Identifies it when it comes again (C32).
    pub(in crate::switch) fingerprint: u64,
    /// Its sender waits for the receivers to catch up.
    pub(in crate::switch) pause: Option<Pause>,
    /// It is among those to be looked at.
    pub(in crate::switch) touched: bool,
    /// How it goes from thread to thread, if it does.
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

    /// Octets that wait for the thread that is behind most.
    pub(in crate::switch) fn waiting_abroad(&self) -> u64 {
        let to = self.route.iter().flat_map(|route| &route.to);
        to.map(|(_, waiting)| *waiting).max().unwrap_or(0)
    }

    /// Octets of it that are held, here or on another thread.
    pub(in crate::switch) fn octets(&self) -> usize {
        let abroad = usize::try_from(self.waiting_abroad()).unwrap_or(usize::MAX);
        self.buffer.octets().max(abroad)
    }

    pub(in crate::switch) fn comes_from_elsewhere(&self) -> bool {
        self.route
            .as_ref()
            .is_some_and(|route| route.from.is_some())
    }

    /// It is to stay here until the owner has said whether it takes it.
    pub(in crate::switch) fn is_pending(&self) -> bool {
        let route = self.route.as_ref();
        route.is_some_and(|route| route.pending.is_some())
    }
}

/// What a sender waits for.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct Pause {
    /// The connection that is not read meanwhile, if it is here.
    pub(in crate::switch) connection: Option<ConnectionId>,
    pub(in crate::switch) until: Moment,
    /// More than half of an outbox waits for somebody. If not, that may only be on its way to
    /// another thread, which is asked.
    pub(in crate::switch) certain: bool,
}

/// A large message goes from the sender's thread to the owner of the room, and from there to
/// each thread that has receivers.
#[derive(Debug, Default)]
pub(in crate::switch) struct Route {
    /// Where it comes from, and what it is called there.
    pub(in crate::switch) from: Option<(Thread, StreamKey)>,
    /// Octets of it that the thread it comes from knows to wait for nobody.
    pub(in crate::switch) reported: u64,
    /// Where it goes to, and how many octets wait there.
    pub(in crate::switch) to: Vec<(Thread, u64)>,
    /// Octets that have gone there.
    pub(in crate::switch) gone: u64,
    /// The owner has not said whether it takes it: what its end says waits for that.
    pub(in crate::switch) pending: Option<Pending>,
}

/// What the sender's thread waits for.
#[derive(Debug, Default)]
pub(in crate::switch) struct Pending {
    pub(in crate::switch) name: Box<str>,
    pub(in crate::switch) ended: Option<Box<Ended>>,
}

/// The large messages of one thread.
#[derive(Debug, Default)]
pub(in crate::switch) struct Streams {
    table: Table<StreamKey, Stream>,
    /// Those from other threads, by what these call them.
    inflows: HashMap<(Thread, StreamKey), StreamKey>,
    /// Those of which somebody got something.
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

    /// A message comes from another thread, which calls it `there`.
    pub(in crate::switch) fn comes_from(&mut self, key: StreamKey, from: Thread, there: StreamKey) {
        if let Some(stream) = self.table.get_mut(key) {
            stream.route().from = Some((from, there));
            self.inflows.insert((from, there), key);
        }
    }

    /// The message that another thread calls so.
    pub(in crate::switch) fn inflow(&self, from: Thread, there: StreamKey) -> Option<StreamKey> {
        self.inflows.get(&(from, there)).copied()
    }

    /// It is to be looked at once what is written is known.
    pub(in crate::switch) fn touch(&mut self, key: StreamKey) {
        if let Some(stream) = self.table.get_mut(key)
            && !std::mem::replace(&mut stream.touched, true)
        {
            self.touched.push(key);
        }
    }

    /// Those that are to be looked at now.
    pub(in crate::switch) fn take_touched(&mut self) -> Vec<StreamKey> {
        std::mem::take(&mut self.touched)
    }

    /// A receiver needs nothing more of it.
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
