//! The conference process: its main loop, its start after the fork, its end.
//!
//! One main thread waits for workers, switch, signals and the next deadline. Only this thread calls
//! the host, and only this file starts threads.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::bridge::{Bridge, Buffer};
use crate::control::{Notice, SwitchRun};
use crate::entropy;
use crate::focus::record::Record;
use crate::focus::{Focus, Reply, TransactionId};
use crate::host::fds::{self, Signals, SignalsBlocked, Waker};
use crate::host::guard::guard;
use crate::host::{api, logging, start};
use crate::log::Line;
use crate::net::Pool;
use crate::parameters::{Settings, SwitchPlace};
use crate::remote::Link;
use crate::resolve::{Hop, Resolver, System, Transport};
use crate::service::{Core, Host, STOP_GRACE, Service, Switch};
use crate::statistics;
use crate::store::{self, Store};
use crate::time::Clock;
use crate::wire::sip::Headers;

/// Frames taken in one turn, so that a flood of requests cannot keep the switch waiting.
const FRAMES_A_TURN: usize = 256;

/// Management queries answered in one turn; a long list takes a millisecond.
const QUERIES_A_TURN: usize = 4;

/// Longest time between two checks that the parent still lives.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Why the conference process cannot work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The kernel refused a file descriptor.
    #[error("no file descriptors for the main loop: {0}")]
    Files(#[from] io::Error),
    /// The database cannot be used, and `db_on_error` demands it.
    #[error("database {0}")]
    Store(#[from] store::StoreError),
    /// The switch did not start.
    #[error(transparent)]
    Switch(#[from] crate::net::StartError),
    /// Another conference process of this proxy has taken the listeners.
    #[error("the listeners are gone")]
    NoListeners,
    /// The thread for the outside switch cannot be started.
    #[error("cannot start the thread that drives the switch: {0}")]
    Link(#[source] io::Error),
    /// The thread for look-ups cannot be started.
    #[error("cannot start the thread that resolves names: {0}")]
    Resolver(#[source] io::Error),
}

/// The reason a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// No special reason: continue.
    Again,
    /// The host's own pipe is readable.
    HostPipe,
    /// The process got a signal to end, or its parent died.
    End,
    /// It panics repeatedly: the proxy must be restarted.
    Broken,
}

/// Two panics within this time are too many: the fault stays until the store has given a new
/// process a complete state.
const PANICS_APART: Duration = Duration::from_secs(1);

/// The conference process.
pub(crate) struct Conference<H, C = Focus> {
    host: H,
    service: Service<C, Box<dyn Switch>, Option<Store>>,
    lines: Receiver<Line>,
    clock: Clock,
    bridge: &'static Bridge,
    buffer: Buffer,
    signals: Signals,
    waker: Waker,
    /// The host's own pipe; negative if there is none.
    pipe: RawFd,
    parent: libc::pid_t,
    /// The proxy has died under us, and the switch lives on without it: nobody gets a farewell.
    abandoned: bool,
    outside: bool,
    /// The transaction of the request being handled: after a panic nobody else would ever answer
    /// it.
    taking: Option<TransactionId>,
    panicked: Option<Instant>,
}

impl<H: Host> Conference<H> {
    /// Takes over the signals, starts the switch. In the conference process, right after the
    /// fork, on its main thread.
    ///
    /// # Errors
    /// The database or the certificate cannot be used, or the system lacks files or threads.
    pub(crate) fn start(
        mut host: H,
        settings: &Settings,
        bridge: &'static Bridge,
        pipe: RawFd,
        parent: libc::pid_t,
    ) -> Result<Self, StartError> {
        let waker = Waker::new()?;
        let _for_threads = SignalsBlocked::new()?;
        let signals = Signals::take_over(&waker)?;
        fds::follow_parent();
        bridge.enter();
        api::enter();
        let (notices_in, notices) = unbounded();
        let (lines_in, lines) = unbounded();
        let clock = Clock::start();
        let mut focus = Focus::new(settings.focus.clone(), Box::new(entropy::System));
        let opened = open_store(settings, &waker, &lines_in)?;
        let store = opened.map(|(store, rooms, records)| {
            focus.use_store(rooms);
            focus.restore(clock.now(), records, &mut |socket| host.find_socket(socket));
            store
        });
        focus.send_from(host.default_socket());
        let switch = start_switch(settings, &waker, notices_in, lines_in)?;
        let mut service = Service::new(focus, switch, store, notices, statistics::global());
        service.resolve_with(Box::new(start_resolver(&mut host, &waker)?));
        Ok(Self {
            host,
            service,
            lines,
            clock,
            bridge,
            buffer: Buffer::default(),
            signals,
            waker,
            pipe,
            parent,
            abandoned: false,
            outside: settings.switch != SwitchPlace::Embedded,
            taking: None,
            panicked: None,
        })
    }
}

impl<H: Host, C: Core> Conference<H, C> {
    /// Waits for something to do and does it, except for serving the host's pipe. Signals and that
    /// pipe are checked even after a panic.
    pub(crate) fn turn(&mut self) -> Turn {
        let mut pipe = false;
        let done = guard(false, || {
            pipe = self.wait(LONGEST_WAIT);
            self.work();
            true
        });
        let broken = !done && self.after_panic();
        if self.told_to_end() {
            Turn::End
        } else if broken {
            Turn::Broken
        } else if pipe {
            Turn::HostPipe
        } else {
            Turn::Again
        }
    }

    /// Answers the request whose handling has panicked; true when panics follow each other.
    fn after_panic(&mut self) -> bool {
        if let Some(transaction) = self.taking.take() {
            let reply = Reply {
                code: 500,
                reason: "Server Internal Error".to_owned(),
                headers: Headers::default(),
                body: Bytes::new(),
                to_tag: None,
                until_ack: false,
            };
            // The host refuses it if the panic came after an answer.
            let _ = guard(Ok(()), || self.host.reply(transaction, &reply));
        }
        let now = Instant::now();
        let last = self.panicked.replace(now);
        let broken = last.is_some_and(|last| now.duration_since(last) < PANICS_APART);
        if broken {
            logging::error("panics follow each other: the proxy ends, and must be started again");
        }
        broken
    }

    /// Ends every dialog, gives the last requests [`STOP_GRACE`], stops the switch; after a crash
    /// of the proxy it only disconnects from an outside switch. A step that panics is skipped.
    pub(crate) fn stop(&mut self) {
        self.signals.limit_stop();
        if !self.abandoned {
            self.host.stopping();
            guard((), || self.service.stop(self.clock.now(), &mut self.host));
            guard((), || self.await_outcomes());
        }
        guard((), || self.service.finish());
        guard((), || self.write_lines());
    }

    fn await_outcomes(&mut self) {
        let last = Instant::now() + STOP_GRACE;
        while !self.service.is_idle() {
            let left = last.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.wait(left);
            self.work();
        }
    }

    /// Whether the host's pipe is readable.
    fn wait(&mut self, longest: Duration) -> bool {
        let now = self.clock.now();
        let until = match self.service.deadline() {
            Some(deadline) => deadline.saturating_since(now).min(longest),
            None => longest,
        };
        let [events, acks, requests, queries] = self.bridge.readable();
        let waker = self.waker.as_raw_fd();
        let files = [self.pipe, waker, events, acks, requests, queries];
        let [pipe, ..] = fds::wait_readable(files, until);
        pipe
    }

    fn work(&mut self) {
        self.waker.clear();
        for _ in 0..QUERIES_A_TURN {
            let Some(query) = self.bridge.next_query() else {
                break;
            };
            let now = self.clock.now();
            self.service.answer(now, query, &mut self.host);
        }
        for _ in 0..FRAMES_A_TURN {
            match self.bridge.receive(&mut self.buffer) {
                Some(Ok(frame)) => {
                    let now = self.clock.now();
                    self.taking = frame.transaction();
                    self.service.accept(now, frame, &mut self.host);
                    self.taking = None;
                }
                Some(Err(error)) => logging::error(format_args!("from a worker: {error}")),
                None => break,
            }
        }
        self.service.turn(self.clock.now(), &mut self.host);
        self.carry_out_orders();
        self.write_lines();
    }

    /// Carries out the actions that callbacks of other modules ordered.
    fn carry_out_orders(&mut self) {
        for request in api::ordered() {
            let now = self.clock.now();
            // The module that ordered it already has its answer.
            self.service.order(now, request, &mut self.host);
            // The result may have made callbacks order more.
            self.waker.wake();
        }
    }

    fn write_lines(&mut self) {
        for line in self.lines.try_iter() {
            logging::write(&line);
        }
        logging::drain();
    }

    fn told_to_end(&mut self) -> bool {
        if !fds::is_parent(self.parent) {
            logging::error("the proxy is gone: leaving");
            self.abandoned = self.outside;
            return true;
        }
        self.signals.told_to_end()
    }
}

/// An open store, the number of rooms that management made, and the records found.
type Found = (Store, usize, Vec<Record>);

/// Opens the store, unless everything stays in memory.
fn open_store(
    settings: &Settings,
    waker: &Waker,
    lines: &Sender<Line>,
) -> Result<Option<Found>, StartError> {
    let Some(config) = settings.store.clone() else {
        return Ok(None);
    };
    let waker = waker.clone();
    let opened = store::open(config, lines.clone(), Arc::new(move || waker.wake()))?;
    Ok(Some((opened.store, opened.rooms, opened.records)))
}

/// Look-ups of SIP names, for the transports of the host's sockets.
fn start_resolver(host: &mut impl Host, waker: &Waker) -> Result<Resolver, StartError> {
    let mut has = |transport: Transport| {
        let anywhere = ["0.0.0.0:5060", "[::]:5060"].map(|it| it.parse().ok());
        let mut hops = anywhere.into_iter().flatten();
        hops.any(|address| host.has_socket(&Hop { address, transport }))
    };
    // For datagrams, a multi-homed host would look for a route to nowhere.
    let mut supported = vec![Transport::Udp];
    supported.extend(
        [Transport::Tcp, Transport::Tls]
            .into_iter()
            .filter(|it| has(*it)),
    );
    let waker = waker.clone();
    let wake = Arc::new(move || waker.wake());
    Resolver::start(System::default(), supported, wake).map_err(StartError::Resolver)
}

/// Starts the switch in this process, or the link to the outside one.
fn start_switch(
    settings: &Settings,
    waker: &Waker,
    notices: Sender<Notice>,
    lines: Sender<Line>,
) -> Result<Box<dyn Switch>, StartError> {
    let waker = waker.clone();
    let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || waker.wake());
    if let SwitchPlace::Unix(path) = &settings.switch {
        let listen = settings.focus.listen.clone();
        let link = Link::start(path.clone(), listen, notices, lines, wake);
        return Ok(Box::new(Some(link.map_err(StartError::Link)?)));
    }
    let listeners = start::listeners().ok_or(StartError::NoListeners)?;
    let pool = Pool::serve(
        settings.net.clone(),
        listeners,
        notices.clone(),
        lines,
        wake,
    )?;
    let run = SwitchRun::new(&mut entropy::System);
    let listen = pool.listening().to_vec();
    let _ = notices.send(Notice::Connected { run, listen });
    Ok(Box::new(Some(pool)))
}

#[cfg(test)]
mod tests;
