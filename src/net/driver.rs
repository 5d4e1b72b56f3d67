//! One switch thread: its switch, its connections, and the turn that serves them.
//!
//! A turn takes commands, reads from each connection that is ready, and writes each that has
//! something to write once; it ends after [`READING`] and [`WRITING`], and the next one goes
//! on where it stood, so that new events are seen every few milliseconds. The driver is one
//! task that polls all sockets itself: a task a connection would cost a wake-up a message and
//! scatter the writes.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crossbeam_channel::Receiver;
use tokio::io::{AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::dial::{Dialer, Target};
use super::notices::NoticeSender;
use super::queue::{Accepted, Command, CommandQueue};
use super::ready::Ready;
use super::totals::ThreadTotals;
use super::transport::{ConnectionTransport, Written};
use super::websocket::WebSocket;
use crate::counters::Totals;
use crate::log;
use crate::switch::{After, Batch, ConnectionId, Switch, Thread};
use crate::time::{Clock, Moment};

/// Bytes read per call.
const READ_OCTETS: usize = 64 * 1024;
/// Longest time a turn reads, and longest time it writes.
const READING: Duration = Duration::from_micros(500);
const WRITING: Duration = Duration::from_micros(1000);
/// Commands carried out per turn.
const COMMANDS: usize = 256;
/// Least time between two log lines about peers that do not speak MSRP.
const GARBAGE_LINES: Duration = Duration::from_secs(1);
/// How long a stopping thread waits for slow receivers.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// How often a stopping thread checks whether they are done.
const STOP_CHECK: Duration = Duration::from_millis(10);
/// How long a peer may take to close its side after we closed ours.
const LINGER: Duration = Duration::from_secs(2);

/// The parts a driver is built from.
pub(super) struct Parts {
    pub(super) number: Thread,
    pub(super) switch: Switch,
    pub(super) commands: Receiver<Command>,
    pub(super) threads: Vec<CommandQueue>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) notices: NoticeSender,
    pub(super) totals: Arc<ThreadTotals>,
}

/// The task of one switch thread.
pub(super) struct Driver {
    pub(super) parts: Parts,
    clock: Clock,
    pub(super) now: Moment,
    ready: Arc<Ready>,
    /// The connections, by [`ConnectionId::index`].
    transports: Vec<Option<ConnectionTransport>>,
    /// Connections we have made, which others to the same peer may share (C64).
    pub(super) own_connections: HashMap<Target, ConnectionId>,
    taken: Vec<ConnectionId>,
    /// Connections that may have something to read, in the order in which they are served.
    readable: VecDeque<ConnectionId>,
    /// The last turn ended with output left to write.
    unwritten: bool,
    input: Box<[u8]>,
    /// Ciphertext on its way into `input`.
    scratch: Box<[u8]>,
    batch: Batch,
    /// A batch wrapped in WebSocket frames.
    framed: Batch,
    sleep: Pin<Box<Sleep>>,
    armed: Option<Moment>,
    stop_by: Option<Moment>,
    /// Counters kept by the driver rather than the switch.
    totals: Totals,
    /// Connections closed because of invalid input: the number already logged, and the time of that
    /// log line.
    logged_garbage: (u64, Moment),
    /// Notices or log lines were sent in this turn.
    wake_focus: bool,
}

impl Driver {
    /// Must be called inside the thread's runtime.
    pub(super) fn new(parts: Parts, clock: Clock, ready: Arc<Ready>) -> Self {
        Self {
            parts,
            clock,
            now: clock.now(),
            ready,
            transports: Vec::new(),
            own_connections: HashMap::new(),
            taken: Vec::new(),
            readable: VecDeque::new(),
            unwritten: false,
            input: Box::default(),
            scratch: Box::default(),
            batch: Batch::default(),
            framed: Batch::default(),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            stop_by: None,
            totals: Totals::default(),
            logged_garbage: (0, Moment::default()),
            wake_focus: false,
        }
    }

    /// One turn.
    fn turn(&mut self, context: &mut Context<'_>) {
        if self.input.is_empty() {
            self.input = vec![0; READ_OCTETS].into();
        }
        let mut taken = std::mem::take(&mut self.taken);
        self.ready.begin_turn(context.waker(), &mut taken);
        for id in taken.drain(..) {
            self.woken(id);
        }
        self.taken = taken;
        let commands = self.run_commands();
        let now = self.now;
        self.guard(None, |switch| switch.take_in(now));
        self.read_some();
        let expelling = self.guard(None, |switch| switch.go_on(now));
        self.flush();
        self.run_timers(context);
        let arrived = self.parts.switch.has_arrivals();
        let more = commands || arrived || expelling == Some(true);
        if more || self.unwritten || !self.readable.is_empty() {
            context.waker().wake_by_ref();
        }
    }

    /// Carries out commands; returns whether there may be more.
    fn run_commands(&mut self) -> bool {
        for _ in 0..COMMANDS {
            match self.parts.commands.try_recv() {
                Ok(command) => self.execute(command),
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads each ready connection once.
    fn read_some(&mut self) {
        let until = self.now + READING;
        for _ in 0..self.readable.len() {
            let Some(id) = self.readable.pop_front() else {
                return;
            };
            if self.parts.switch.holds_back(id) || self.read(id) {
                self.readable.push_back(id);
            } else if let Some(transport) = self.transport(id) {
                transport.readable = false;
            }
            if self.clock.now() >= until {
                return;
            }
        }
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Order(order) => {
                let now = self.now;
                self.guard(None, |switch| switch.order(now, order));
            }
            Command::Unclaim(timeout) => {
                let now = self.now;
                self.guard(None, |switch| switch.unclaim(now, timeout));
            }
            Command::Connection(accepted, octets) => {
                if let Some(id) = self.add_connection(*accepted) {
                    self.totals.bytes_in += octets.len() as u64;
                    let now = self.now;
                    self.guard(Some(id), |switch| switch.received(now, id, &octets));
                    self.pong(id);
                    self.release_permit(id);
                }
            }
            Command::ConnectFinished(wanted, result) => self.connect_finished(*wanted, result),
            Command::Post(from, post) => self.parts.switch.arrived(from, post),
            Command::Stop => {
                self.parts.switch.stop();
                self.stop_by = Some(self.now + STOP_GRACE);
            }
        }
    }

    pub(super) fn add_connection(&mut self, accepted: Accepted) -> Option<ConnectionId> {
        let Accepted {
            stream,
            records,
            web,
            security,
            permit,
        } = accepted;
        let stream = TcpStream::from_std(stream).ok()?;
        let id = self.parts.switch.opened_over(self.now, security);
        let ready = Arc::clone(&self.ready);
        let transport = ConnectionTransport::new(id, stream, records, web, permit, ready);
        transport.waker.wake_by_ref();
        let index = id.index();
        if self.transports.len() <= index {
            self.transports.resize_with(index + 1, || None);
        }
        if let Some(place) = self.transports.get_mut(index) {
            *place = Some(transport);
        }
        Some(id)
    }

    pub(super) fn transport(&mut self, id: ConnectionId) -> Option<&mut ConnectionTransport> {
        let transport = self.transports.get_mut(id.index())?.as_mut();
        transport.filter(|transport| transport.id == id)
    }

    /// A connection may be readable, writable or both.
    fn woken(&mut self, id: ConnectionId) {
        let Some(transport) = self.transport(id) else {
            return;
        };
        if transport.must_go() {
            return self.close(id);
        }
        let known = std::mem::replace(&mut transport.readable, true);
        if transport.rest.is_some() {
            self.resume_writing(id);
        }
        if !known {
            self.readable.push_back(id);
        }
    }

    /// Reads at most one buffer full; returns whether there may be more.
    fn read(&mut self, id: ConnectionId) -> bool {
        let mut total = 0;
        let mut input = std::mem::take(&mut self.input);
        let mut scratch = std::mem::take(&mut self.scratch);
        let more = loop {
            if total >= READ_OCTETS {
                break true;
            }
            if self.parts.switch.paused(id) {
                break false;
            }
            if let Some(octets) = self.decode_unread(id) {
                total += octets;
                continue;
            }
            let Some(transport) = self.transport(id) else {
                break false;
            };
            if scratch.is_empty() && transport.records.is_some() {
                scratch = vec![0; READ_OCTETS].into();
            }
            let mut buffer = ReadBuf::new(&mut input);
            let octets = match transport.poll_read(&mut scratch, &mut buffer) {
                Poll::Pending => break false,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => buffer.filled_mut(),
                Poll::Ready(Ok(())) => {
                    let now = self.now;
                    self.guard(Some(id), |switch| switch.ended(now, id));
                    break false;
                }
                Poll::Ready(Err(_)) => {
                    self.close(id);
                    break false;
                }
            };
            total += octets.len();
            let now = self.now;
            let Some(count) = self.unframe(id, octets) else {
                break false;
            };
            let octets = octets.get(..count).unwrap_or_default();
            self.guard(Some(id), |switch| switch.received(now, id, octets));
        };
        self.release_permit(id);
        self.totals.bytes_in += total as u64;
        self.input = input;
        self.scratch = scratch;
        more
    }

    /// Removes the WebSocket framing from the octets read; `None`: the peer violated the protocol,
    /// and the connection ends.
    fn unframe(&mut self, id: ConnectionId, octets: &mut [u8]) -> Option<usize> {
        let transport = self.transport(id)?;
        match transport.unframe(octets) {
            Ok(count) => {
                self.pong(id);
                Some(count)
            }
            Err(violation) => {
                let peer = transport.stream.peer_addr().ok();
                let peer = peer.map_or_else(String::new, |peer| format!(" from {peer}"));
                self.totals.websockets_refused += 1;
                let text = format!("closing the WebSocket{peer}: {violation}");
                self.log(log::Level::Debug, text);
                self.finish(id);
                None
            }
        }
    }

    /// Counts a ping as a sign of life; the pong is written in the connection's next turn.
    fn pong(&mut self, id: ConnectionId) {
        let web = self.transport(id).and_then(|it| it.web());
        if web.is_some_and(WebSocket::owes_pong) {
            self.parts.switch.sign_of_life(self.now, id);
            self.parts.switch.goes_on(id);
        }
    }

    /// Decodes octets left over from a pause of the connection; returns their number.
    fn decode_unread(&mut self, id: ConnectionId) -> Option<usize> {
        let octets = self.parts.switch.unread(id);
        if octets > 0 {
            let now = self.now;
            self.guard(Some(id), |switch| switch.received(now, id, &[]));
        }
        (octets > 0).then_some(octets)
    }

    /// A connection that has bound a session no longer needs its permit.
    fn release_permit(&mut self, id: ConnectionId) {
        let bound = self.parts.switch.is_bound(id);
        if let Some(transport) = self.transport(id)
            && bound
        {
            transport.permit = None;
        }
    }

    /// Writes pending output, and passes on the switch's reports.
    fn flush(&mut self) {
        while let Some(wanted) = self.parts.switch.poll_wanted() {
            self.dial(wanted);
        }
        let until = self.clock.now() + WRITING;
        self.unwritten = loop {
            match self.parts.switch.poll_dirty() {
                Some(id) => self.write(id),
                None => break false,
            }
            if self.clock.now() >= until {
                self.parts.switch.written();
                break true;
            }
        };
        while let Some(id) = self.parts.switch.poll_close() {
            let peer = self.transport(id).and_then(|it| it.stream.peer_addr().ok());
            if let Some(peer) = peer {
                let text = format!("closing the MSRP connection from {peer}");
                self.log(log::Level::Debug, text);
            }
            self.close(id);
        }
        while let Some(id) = self.parts.switch.poll_resume() {
            if let Some(transport) = self.transport(id) {
                transport.waker.wake_by_ref();
            }
        }
        while let Some((thread, post)) = self.parts.switch.poll_post() {
            if let Some(queue) = self.parts.threads.get(usize::from(thread.0)) {
                queue.send(Command::Post(self.parts.number, post));
            }
        }
        while let Some(notice) = self.parts.switch.poll_notice() {
            self.wake_focus |= self.parts.notices.focus.send(notice).is_ok();
        }
    }

    fn write(&mut self, id: ConnectionId) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let now = self.now;
        let after = self.guard(Some(id), |switch| switch.transmit(now, id, &mut batch));
        let Some(after) = after else { return };
        let mut framed = std::mem::take(&mut self.framed);
        if let Some(transport) = self.transport(id) {
            transport.frame(&mut batch, &mut framed);
        }
        self.framed = framed;
        let before = batch.len();
        let written = self.put(id, &mut batch);
        self.totals.bytes_out += (before - batch.len()) as u64;
        match written {
            Written::All => {}
            Written::Failed => self.close(id),
            Written::Blocked => {
                let octets = batch.take_back();
                self.parts.switch.taken_back(id, octets);
                let rest = Box::new((batch.remainder(), after));
                if let Some(transport) = self.transport(id) {
                    transport.rest = Some(rest);
                }
                self.parts.switch.blocked(self.now, id, true);
            }
        }
        self.batch = batch;
        match (written, after) {
            // The rest is written after the other connections' turn.
            (Written::All, After::More) => self.parts.switch.goes_on(id),
            (Written::All, After::Close) => self.finish(id),
            _ => {}
        }
    }

    /// Writes as much of a batch as the connection takes.
    fn put(&mut self, id: ConnectionId, batch: &mut Batch) -> Written {
        if batch.is_empty() {
            return Written::All;
        }
        match self.transport(id) {
            Some(transport) => transport.put(batch),
            None => Written::Failed,
        }
    }

    /// Writes the rest of a batch once the socket accepts octets again.
    fn resume_writing(&mut self, id: ConnectionId) {
        let Some(transport) = self.transport(id) else {
            return;
        };
        let Some(mut rest) = transport.rest.take() else {
            return;
        };
        let before = rest.0.len();
        let written = transport.put(&mut rest.0);
        self.totals.bytes_out += (before - rest.0.len()) as u64;
        match written {
            Written::Failed => self.close(id),
            Written::Blocked => {
                let some = rest.0.len() < before;
                if let Some(transport) = self.transport(id) {
                    transport.rest = Some(rest);
                }
                if some {
                    self.parts.switch.blocked(self.now, id, true);
                }
            }
            Written::All if rest.1 == After::Close => self.finish(id),
            Written::All => self.parts.switch.blocked(self.now, id, false),
        }
    }

    /// All output is written: closes our side, then reads what the peer still sends for a moment. A
    /// reset would destroy data that the peer has not read yet.
    fn finish(&mut self, id: ConnectionId) {
        if let Some(mut transport) = self.take_transport(id) {
            let permit = transport.permit.take();
            let linger = async move {
                let _ = tokio::time::timeout(LINGER, transport.shut_down()).await;
                let mut octets = [0; 1024];
                let rest =
                    async { while matches!(transport.stream.read(&mut octets).await, Ok(1..)) {} };
                let _ = tokio::time::timeout(LINGER, rest).await;
            };
            tokio::spawn(async move {
                match permit {
                    None => linger.await,
                    Some(permit) => tokio::select! {
                        () = linger => {}
                        () = permit.evicted() => {}
                    },
                }
            });
        }
        self.closed(id);
    }

    /// Closes a connection at once.
    fn close(&mut self, id: ConnectionId) {
        drop(self.take_transport(id));
        self.closed(id);
    }

    fn closed(&mut self, id: ConnectionId) {
        let now = self.now;
        let result = catch_unwind(AssertUnwindSafe(|| self.parts.switch.closed(now, id)));
        if result.is_err() {
            self.panicked();
        }
    }

    fn take_transport(&mut self, id: ConnectionId) -> Option<ConnectionTransport> {
        self.transport(id)?;
        let transport = self.transports.get_mut(id.index())?.take()?;
        if let Some(target) = transport.target()
            && self.own_connections.get(target) == Some(&id)
        {
            self.own_connections.remove(target);
        }
        Some(transport)
    }

    /// A panic in the switch costs the connection it was working for, never the thread.
    pub(super) fn guard<T>(
        &mut self,
        id: Option<ConnectionId>,
        work: impl FnOnce(&mut Switch) -> T,
    ) -> Option<T> {
        let switch = &mut self.parts.switch;
        match catch_unwind(AssertUnwindSafe(|| work(switch))) {
            Ok(result) => Some(result),
            Err(_) => {
                self.panicked();
                self.parts.switch.look_at_all();
                if let Some(id) = id {
                    self.close(id);
                }
                None
            }
        }
    }

    fn panicked(&mut self) {
        self.totals.panics += 1;
        self.log(
            log::Level::Error,
            "a switch thread caught a panic".to_owned(),
        );
    }

    /// A turn that panicked has lost its list of ready connections: check all of them.
    fn look_at_all(&mut self) {
        self.parts.switch.look_at_all();
        self.readable.clear();
        for transport in self.transports.iter_mut().flatten() {
            transport.readable = false;
            transport.waker.wake_by_ref();
        }
    }

    pub(super) fn log(&mut self, level: log::Level, text: String) {
        self.wake_focus |= self
            .parts
            .notices
            .log
            .send(log::Line::new(level, text))
            .is_ok();
    }

    /// Runs the timers that are due and sets the alarm for the next one.
    fn run_timers(&mut self, context: &mut Context<'_>) {
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
            // An alarm that rings early finds no timer due and is set anew.
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
        let mut transports = self.transports.iter().flatten();
        let waiting = transports.any(|transport| transport.rest.is_some());
        self.stop_by
            .is_some_and(|stop_by| !waiting || stop_by <= self.now)
    }

    /// Logs peers that do not speak MSRP, one line a second at most.
    fn log_garbage(&mut self, closed: u64) {
        let (logged, at) = self.logged_garbage;
        if closed > logged && at + GARBAGE_LINES <= self.now {
            self.logged_garbage = (closed, self.now);
            let text = format!(
                "closed {} connections on which what came could not be read as MSRP",
                closed - logged
            );
            self.log(log::Level::Info, text);
        }
    }

    fn publish(&mut self) {
        let mut totals = self.parts.switch.totals();
        self.log_garbage(totals.not_msrp);
        totals += self.totals;
        self.parts.totals.store(totals);
        if std::mem::take(&mut self.wake_focus) {
            (self.parts.notices.wake)();
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        driver.now = driver.clock.now();
        if catch_unwind(AssertUnwindSafe(|| driver.turn(context))).is_err() {
            driver.panicked();
            driver.look_at_all();
        }
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
