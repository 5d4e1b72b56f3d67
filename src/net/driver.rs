//! One switch thread: its switch, its connections, and the turn that serves them.
//!
//! A turn takes every letter and reads everything that is ready, then writes each connection
//! that has something to write once. The driver is one task that polls all sockets itself:
//! a task a connection would cost a wake-up a message and scatter the writes.

use std::collections::HashMap;
use std::future::Future;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::mailbox::{Letter, Mailbox, Ready, Wakeup};
use super::totals::ThreadTotals;
use crate::control::Notice;
use crate::log;
use crate::switch::{After, Batch, ConnectionId, Foreign, Owner, Switch};
use crate::time::{Clock, Moment};

/// What is read at once.
const READ_OCTETS: usize = 64 * 1024;
/// What one connection may read in a turn while others wait.
const READ_SHARE: usize = 4 * READ_OCTETS;
/// Parts of one vectored write.
const SLICES: usize = 64;
/// How long a stopping thread waits for slow receivers.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// How often it looks whether they are done.
const STOP_CHECK: Duration = Duration::from_millis(10);
/// How long a peer may take to close its side after we closed ours.
const LINGER: Duration = Duration::from_secs(2);

/// What a driver is made of.
pub(super) struct Parts {
    pub(super) number: usize,
    pub(super) switch: Switch,
    pub(super) letters: Receiver<Letter>,
    pub(super) threads: Vec<Mailbox>,
    pub(super) tell: Tell,
    pub(super) totals: Arc<ThreadTotals>,
}

/// Where a switch thread's news go.
#[derive(Clone)]
pub(super) struct Tell {
    pub(super) notices: Sender<Notice>,
    pub(super) log: Sender<log::Line>,
    /// Called after either was sent.
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

/// One switch thread's task.
pub(super) struct Driver {
    parts: Parts,
    clock: Clock,
    now: Moment,
    ready: Arc<Ready>,
    /// The connections, by [`ConnectionId::index`].
    carriers: Vec<Option<Carrier>>,
    /// Connections of other threads that carry sessions of ours.
    links: HashMap<(Owner, ConnectionId), ConnectionId>,
    taken: Vec<ConnectionId>,
    input: Box<[u8]>,
    batch: Batch,
    sleep: Pin<Box<Sleep>>,
    armed: Option<Moment>,
    stop_by: Option<Moment>,
    bytes_in: u64,
    bytes_out: u64,
    panics: u64,
    /// Notices or log lines were sent in this turn.
    told: bool,
}

/// What a connection of the switch stands for.
enum Carrier {
    Socket(Socket),
    Link {
        id: ConnectionId,
        origin: Owner,
        connection: ConnectionId,
    },
}

struct Socket {
    id: ConnectionId,
    stream: TcpStream,
    peer: Option<SocketAddr>,
    wakeup: Arc<Wakeup>,
    waker: Waker,
    /// What the operating system did not take yet, and what follows.
    rest: Option<Box<(Batch, After)>>,
}

/// How far a write came.
enum Written {
    All,
    Blocked,
    Failed,
}

impl Driver {
    /// Must be called inside the thread's runtime.
    pub(super) fn new(parts: Parts, clock: Clock, ready: Arc<Ready>) -> Self {
        Self {
            parts,
            clock,
            now: clock.now(),
            ready,
            carriers: Vec::new(),
            links: HashMap::new(),
            taken: Vec::new(),
            input: vec![0; READ_OCTETS].into(),
            batch: Batch::default(),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            stop_by: None,
            bytes_in: 0,
            bytes_out: 0,
            panics: 0,
            told: false,
        }
    }

    /// One turn; `true` when there was something to do.
    fn turn(&mut self) -> bool {
        let mut taken = std::mem::take(&mut self.taken);
        self.ready.take(&mut taken);
        let mut busy = !taken.is_empty();
        while let Ok(letter) = self.parts.letters.try_recv() {
            busy = true;
            self.open(letter);
        }
        for id in taken.drain(..) {
            self.serve(id);
        }
        self.taken = taken;
        self.flush();
        busy
    }

    fn open(&mut self, letter: Letter) {
        match letter {
            Letter::Order(order) => {
                let now = self.now;
                self.guard(None, |switch| switch.order(now, order));
            }
            Letter::Connection(stream, octets) => self.connect(stream, &octets),
            Letter::Link {
                origin,
                connection,
                octets,
            } => self.link(origin, connection, &octets),
            Letter::LinkClosed { origin, connection } => {
                if let Some(&id) = self.links.get(&(origin, connection)) {
                    self.close(id);
                }
            }
            Letter::Reply { connection, octets } => self.parts.switch.link(connection, &octets),
            Letter::Unlink { owner, connection } => {
                self.parts.switch.unlink(self.now, connection, owner);
            }
            Letter::Stop => {
                self.parts.switch.stop();
                self.stop_by = Some(self.now + STOP_GRACE);
            }
        }
    }

    fn connect(&mut self, stream: std::net::TcpStream, octets: &[u8]) {
        let Ok(stream) = TcpStream::from_std(stream) else {
            return;
        };
        let id = self.parts.switch.opened(self.now);
        let wakeup = Wakeup::new(id, Arc::clone(&self.ready));
        let socket = Socket {
            id,
            peer: stream.peer_addr().ok(),
            stream,
            waker: Waker::from(Arc::clone(&wakeup)),
            wakeup,
            rest: None,
        };
        socket.waker.wake_by_ref();
        self.place(id, Carrier::Socket(socket));
        self.bytes_in += octets.len() as u64;
        let now = self.now;
        self.guard(Some(id), |switch| switch.received(now, id, octets));
    }

    fn link(&mut self, origin: Owner, connection: ConnectionId, octets: &[u8]) {
        let id = match self.links.get(&(origin, connection)) {
            Some(&id) => id,
            None => {
                let id = self.parts.switch.opened(self.now);
                self.links.insert((origin, connection), id);
                let carrier = Carrier::Link {
                    id,
                    origin,
                    connection,
                };
                self.place(id, carrier);
                id
            }
        };
        let now = self.now;
        self.guard(Some(id), |switch| switch.received(now, id, octets));
    }

    fn place(&mut self, id: ConnectionId, carrier: Carrier) {
        let index = id.index();
        if self.carriers.len() <= index {
            self.carriers.resize_with(index + 1, || None);
        }
        if let Some(place) = self.carriers.get_mut(index) {
            *place = Some(carrier);
        }
    }

    fn socket(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        match self.carriers.get_mut(id.index()) {
            Some(Some(Carrier::Socket(socket))) if socket.id == id => Some(socket),
            _ => None,
        }
    }

    /// A connection may be readable, writable or both.
    fn serve(&mut self, id: ConnectionId) {
        let Some(socket) = self.socket(id) else {
            return;
        };
        socket.wakeup.looked_at();
        if socket.rest.is_some() {
            self.resume(id);
        }
        self.read(id);
    }

    fn read(&mut self, id: ConnectionId) {
        let mut total = 0;
        let mut input = std::mem::take(&mut self.input);
        while let Some(socket) = self.socket(id) {
            let waker = socket.waker.clone();
            if total >= READ_SHARE {
                waker.wake();
                break;
            }
            let mut buffer = ReadBuf::new(&mut input);
            let mut context = Context::from_waker(&waker);
            let read = Pin::new(&mut socket.stream).poll_read(&mut context, &mut buffer);
            let octets = match read {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => buffer.filled(),
                Poll::Ready(_) => {
                    self.close(id);
                    break;
                }
            };
            total += octets.len();
            let now = self.now;
            self.guard(Some(id), |switch| switch.received(now, id, octets));
            if self.parts.switch.pressed() {
                self.flush();
            }
        }
        self.bytes_in += total as u64;
        self.input = input;
    }

    /// Writes everything that can be written, and passes on what the switch has to tell.
    fn flush(&mut self) {
        while let Some(id) = self.parts.switch.poll_dirty() {
            self.write(id);
        }
        while let Some(id) = self.parts.switch.poll_close() {
            let peer = self.socket(id).and_then(|socket| socket.peer);
            if let Some(peer) = peer {
                let text = format!("closing the MSRP connection from {peer}");
                self.log(log::Level::Debug, text);
            }
            self.close(id);
        }
        while let Some(foreign) = self.parts.switch.poll_foreign() {
            self.pass_on(foreign);
        }
        while let Some(notice) = self.parts.switch.poll_notice() {
            self.told |= self.parts.tell.notices.send(notice).is_ok();
        }
    }

    fn write(&mut self, id: ConnectionId) {
        loop {
            let mut batch = std::mem::take(&mut self.batch);
            batch.clear();
            let now = self.now;
            let after = self.guard(Some(id), |switch| switch.transmit(now, id, &mut batch));
            let Some(after) = after else { return };
            let before = batch.len();
            let written = self.put(id, &mut batch);
            self.bytes_out += (before - batch.len()) as u64;
            match written {
                Written::All => {}
                Written::Failed => self.close(id),
                Written::Blocked => {
                    let rest = Box::new((batch.remainder(), after));
                    if let Some(socket) = self.socket(id) {
                        socket.rest = Some(rest);
                    }
                    self.parts.switch.blocked(id, true);
                }
            }
            self.batch = batch;
            match (written, after) {
                (Written::All, After::More) => {}
                (Written::All, After::Close) => return self.finish(id),
                _ => return,
            }
        }
    }

    /// Writes as much of a batch as the connection takes.
    fn put(&mut self, id: ConnectionId, batch: &mut Batch) -> Written {
        if batch.is_empty() {
            return Written::All;
        }
        match self.carriers.get_mut(id.index()) {
            Some(Some(Carrier::Socket(socket))) if socket.id == id => socket.put(batch),
            Some(Some(Carrier::Link {
                id: own,
                origin,
                connection,
            })) if *own == id => {
                let letter = Letter::Reply {
                    connection: *connection,
                    octets: batch.to_vec(),
                };
                if let Some(thread) = self.parts.threads.get(origin.0) {
                    thread.send(letter);
                }
                Written::All
            }
            _ => Written::Failed,
        }
    }

    /// The connection may take octets again.
    fn resume(&mut self, id: ConnectionId) {
        let Some(socket) = self.socket(id) else {
            return;
        };
        let Some(mut rest) = socket.rest.take() else {
            return;
        };
        let before = rest.0.len();
        let written = socket.put(&mut rest.0);
        self.bytes_out += (before - rest.0.len()) as u64;
        match written {
            Written::Failed => self.close(id),
            Written::Blocked => {
                if let Some(socket) = self.socket(id) {
                    socket.rest = Some(rest);
                }
            }
            Written::All if rest.1 == After::Close => self.finish(id),
            Written::All => self.parts.switch.blocked(id, false),
        }
    }

    fn pass_on(&mut self, foreign: Foreign) {
        let origin = Owner(self.parts.number);
        let (owner, letter) = match foreign {
            Foreign::Octets {
                connection,
                owner,
                octets,
            } => (
                owner,
                Letter::Link {
                    origin,
                    connection,
                    octets,
                },
            ),
            Foreign::Closed { connection, owner } => {
                (owner, Letter::LinkClosed { origin, connection })
            }
        };
        if let Some(thread) = self.parts.threads.get(owner.0) {
            thread.send(letter);
        }
    }

    /// Everything is written: our side closes, and what the peer still sends is read for a
    /// moment, since a reset would destroy what it has not read yet.
    fn finish(&mut self, id: ConnectionId) {
        let carrier = self.take_carrier(id);
        if let Some(Carrier::Socket(mut socket)) = carrier {
            tokio::spawn(async move {
                let _ = socket.stream.shutdown().await;
                let mut octets = [0; 1024];
                let rest =
                    async { while matches!(socket.stream.read(&mut octets).await, Ok(1..)) {} };
                let _ = tokio::time::timeout(LINGER, rest).await;
            });
        }
        self.closed(id);
    }

    /// Closes a connection at once.
    fn close(&mut self, id: ConnectionId) {
        drop(self.take_carrier(id));
        self.closed(id);
    }

    fn closed(&mut self, id: ConnectionId) {
        let now = self.now;
        let result = catch_unwind(AssertUnwindSafe(|| self.parts.switch.closed(now, id)));
        if result.is_err() {
            self.panicked();
        }
    }

    fn take_carrier(&mut self, id: ConnectionId) -> Option<Carrier> {
        let place = self.carriers.get_mut(id.index())?;
        let own = match place {
            Some(Carrier::Socket(socket)) => socket.id,
            Some(Carrier::Link { id, .. }) => *id,
            None => return None,
        };
        if own != id {
            return None;
        }
        let carrier = place.take();
        if let Some(Carrier::Link {
            origin, connection, ..
        }) = carrier
        {
            self.links.remove(&(origin, connection));
            if let Some(thread) = self.parts.threads.get(origin.0) {
                let owner = Owner(self.parts.number);
                thread.send(Letter::Unlink { owner, connection });
            }
        }
        carrier
    }

    /// A panic in the switch costs the connection it was working for, never the thread.
    fn guard<T>(
        &mut self,
        id: Option<ConnectionId>,
        work: impl FnOnce(&mut Switch) -> T,
    ) -> Option<T> {
        let switch = &mut self.parts.switch;
        match catch_unwind(AssertUnwindSafe(|| work(switch))) {
            Ok(result) => Some(result),
            Err(_) => {
                self.panicked();
                if let Some(id) = id {
                    self.close(id);
                }
                None
            }
        }
    }

    fn panicked(&mut self) {
        self.panics += 1;
        self.log(
            log::Level::Error,
            "a switch thread caught a panic".to_owned(),
        );
    }

    fn log(&mut self, level: log::Level, text: String) {
        self.told |= self
            .parts
            .tell
            .log
            .send(log::Line::new(level, text))
            .is_ok();
    }

    /// Does what is due, and sets the alarm for what is due next.
    fn keep_time(&mut self, context: &mut Context<'_>) {
        loop {
            let Some(deadline) = self.parts.switch.deadline() else {
                return;
            };
            if deadline <= self.now {
                let now = self.now;
                self.guard(None, |switch| switch.tick(now));
                self.flush();
                continue;
            }
            // An alarm that rings early finds nothing and is set anew.
            if self
                .armed
                .is_none_or(|armed| deadline < armed || armed <= self.now)
            {
                let pause = deadline.saturating_since(self.now);
                self.sleep.as_mut().reset(Instant::now() + pause);
                self.armed = Some(deadline);
            }
            if self.sleep.as_mut().poll(context).is_pending() {
                return;
            }
            self.armed = None;
            self.now = self.clock.now();
        }
    }

    fn has_stopped(&self) -> bool {
        let waiting = self
            .carriers
            .iter()
            .flatten()
            .any(|carrier| matches!(carrier, Carrier::Socket(socket) if socket.rest.is_some()));
        self.stop_by
            .is_some_and(|stop_by| !waiting || stop_by <= self.now)
    }

    fn publish(&mut self) {
        let counters = self.parts.switch.counters();
        self.parts.totals.store(super::Totals {
            sessions: self.parts.switch.sessions() as u64,
            messages_in: counters.messages_in,
            messages_out: counters.messages_out,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            drops_slow_reader: counters.drops_slow_reader,
            panics: self.panics,
        });
        if std::mem::take(&mut self.told) {
            (self.parts.tell.wake)();
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        driver.ready.register(context.waker());
        driver.now = driver.clock.now();
        driver.turn();
        driver.keep_time(context);
        driver.publish();
        if driver.stop_by.is_some() {
            if driver.has_stopped() {
                return Poll::Ready(());
            }
            let again = Instant::now() + STOP_CHECK;
            driver.sleep.as_mut().reset(again);
            if driver.sleep.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

impl Socket {
    fn put(&mut self, batch: &mut Batch) -> Written {
        let mut context = Context::from_waker(&self.waker);
        while !batch.is_empty() {
            let stream = Pin::new(&mut self.stream);
            let written = match batch.single() {
                Some(octets) => stream.poll_write(&mut context, octets),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = batch.slices(&mut slices);
                    let slices = slices.get(..count).unwrap_or_default();
                    stream.poll_write_vectored(&mut context, slices)
                }
            };
            match written {
                Poll::Ready(Ok(0) | Err(_)) => return Written::Failed,
                Poll::Ready(Ok(count)) => batch.advance(count),
                Poll::Pending => return Written::Blocked,
            }
        }
        Written::All
    }
}
