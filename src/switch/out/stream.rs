//! Large messages that are passed on while they come in: the one owner of all of them.

use std::collections::HashMap;

use crate::switch::ids::{ConnectionId, RoomKey, SessionKey, StreamKey, Table, Thread};
use crate::switch::message::stream_buffer::StreamBuffer;
use crate::switch::threads::parcel::Ended;
use crate::time::Moment;

/// A large message of which somebody has still to get something.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) room: RoomKey,
    /// Who sends it, while the session is known here.
    pub(crate) from: Option<SessionKey>,
    pub(crate) buffer: StreamBuffer,
    /// Its length, as its sender has announced it.
    pub(crate) announced: Option<u64>,
    /// The same, once the chunk that ends it has come.
    pub(crate) total: Option<u64>,
    /// Everything has come.
    pub(crate) whole: bool,
    /// The recipients here, fixed when it began, without those who left (G27).
    pub(crate) receivers: Vec<SessionKey>,
    /// CPIM From and To, when the report must carry them (G44).
    pub(crate) addresses: Option<Vec<u8>>,
    /// Identifies it when it comes again (C32).
    pub(crate) fingerprint: u64,
    /// Its sender waits for the receivers to catch up.
    pub(crate) pause: Option<Pause>,
    /// It is among those to be looked at.
    pub(crate) touched: bool,
    /// How it goes from thread to thread, if it does.
    pub(crate) route: Option<Box<Route>>,
}

impl Stream {
    pub(crate) fn new(room: RoomKey, from: Option<SessionKey>) -> Self {
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

    pub(crate) fn route(&mut self) -> &mut Route {
        self.route.get_or_insert_default()
    }

    /// Octets that wait for the thread that is behind most.
    pub(crate) fn waiting_abroad(&self) -> u64 {
        let to = self.route.iter().flat_map(|route| &route.to);
        to.map(|(_, waiting)| *waiting).max().unwrap_or(0)
    }

    /// Octets of it that are held, here or on another thread.
    pub(crate) fn octets(&self) -> usize {
        let abroad = usize::try_from(self.waiting_abroad()).unwrap_or(usize::MAX);
        self.buffer.octets().max(abroad)
    }

    pub(crate) fn comes_from_elsewhere(&self) -> bool {
        self.route
            .as_ref()
            .is_some_and(|route| route.from.is_some())
    }

    /// It is to stay here until the owner has said whether it takes it.
    pub(crate) fn is_pending(&self) -> bool {
        let route = self.route.as_ref();
        route.is_some_and(|route| route.pending.is_some())
    }
}

/// What a sender waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// The connection that is not read meanwhile, if it is here.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) until: Moment,
    /// More than half of an outbox waits for somebody. If not, that may only be on its way to
    /// another thread, which is asked.
    pub(crate) certain: bool,
}

/// A large message goes from the sender's thread to the owner of the room, and from there to
/// each thread that has receivers.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Where it comes from, and what it is called there.
    pub(crate) from: Option<(Thread, StreamKey)>,
    /// Octets of it that the thread it comes from knows to wait for nobody.
    pub(crate) reported: u64,
    /// Where it goes to, and how many octets wait there.
    pub(crate) to: Vec<(Thread, u64)>,
    /// Octets that have gone there.
    pub(crate) gone: u64,
    /// The owner has not said whether it takes it: what its end says waits for that.
    pub(crate) pending: Option<Pending>,
}

/// What the sender's thread waits for.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) name: Box<str>,
    pub(crate) ended: Option<Box<Ended>>,
}

/// The large messages of one thread.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    table: Table<StreamKey, Stream>,
    /// Those from other threads, by what these call them.
    inflows: HashMap<(Thread, StreamKey), StreamKey>,
    /// Those of which somebody got something.
    touched: Vec<StreamKey>,
}

impl Streams {
    pub(crate) fn insert(&mut self, stream: Stream) -> StreamKey {
        self.table.insert(stream)
    }

    pub(crate) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.table.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.table.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: StreamKey) -> Option<Stream> {
        let stream = self.table.remove(key)?;
        if let Some(from) = stream.route.as_ref().and_then(|route| route.from) {
            self.inflows.remove(&from);
        }
        Some(stream)
    }

    /// A message comes from another thread, which calls it `there`.
    pub(crate) fn comes_from(&mut self, key: StreamKey, from: Thread, there: StreamKey) {
        if let Some(stream) = self.table.get_mut(key) {
            stream.route().from = Some((from, there));
            self.inflows.insert((from, there), key);
        }
    }

    /// The message that another thread calls so.
    pub(crate) fn inflow(&self, from: Thread, there: StreamKey) -> Option<StreamKey> {
        self.inflows.get(&(from, there)).copied()
    }

    /// It is to be looked at once what is written is known.
    pub(crate) fn touch(&mut self, key: StreamKey) {
        if let Some(stream) = self.table.get_mut(key)
            && !std::mem::replace(&mut stream.touched, true)
        {
            self.touched.push(key);
        }
    }

    /// Those that are to be looked at now.
    pub(crate) fn take_touched(&mut self) -> Vec<StreamKey> {
        std::mem::take(&mut self.touched)
    }

    /// A receiver needs nothing more of it.
    pub(crate) fn leave(&mut self, key: StreamKey, receiver: SessionKey) {
        if let Some(stream) = self.table.get_mut(key) {
            stream.receivers.retain(|other| *other != receiver);
            self.touch(key);
        }
    }

    #[cfg(test)]
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.table.iter_mut()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.keys().len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.inflows.is_empty()
    }
}
