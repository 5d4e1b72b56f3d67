//! The switch's sockets: listeners, connections and the threads that own them.
//!
//! A pool of switch threads, each with one `switch::Switch` and the connections pinned to it,
//! and acceptor threads that hand an accepted connection to the thread its first request
//! names. No conference rules here.

mod acceptor;
mod active;
mod descriptors;
mod dial;
mod driver;
mod eviction;
mod local;
mod notices;
mod places;
mod queue;
mod ready;
mod register;
mod strangers;
mod sync;
mod tls;
mod totals;
mod transport;
mod websocket;
mod writer;

use std::hash::{Hash, Hasher};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use crate::control::{Listen, Transport};
use crate::control::{Notice, Order};
use crate::counters::Totals;
use crate::switch::{self, Switch, Thread};
use crate::time::Clock;
use crate::{entropy, log};

use acceptor::{Acceptor, Complaints, MAX_HANDSHAKES};
use descriptors::Descriptors;
use dial::Dialer;
use driver::{Driver, Parts};
pub use local::address_towards;
use notices::NoticeSender;
use queue::{Command, CommandQueue};
use ready::Ready;
use register::{Register, View};
use strangers::Strangers;
use tls::Tls;
use totals::ThreadTotals;

pub use dial::{DialPolicy, DialRule, DialRuleError};
pub use tls::{TlsError, TlsFiles};
pub use websocket::{OriginRuleError, Origins};

/// Limit of names a switch thread resolves at a time; each occupies a thread meanwhile.
const RESOLVERS: usize = 4;
/// Turns of a switch thread between two polls for events. (With one, each wait would cost an
/// additional system call.)
const TURNS: u32 = 2;
/// Idle time after which TCP keep-alive probes a connection…
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// …the interval between probes…
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// …and the number of unanswered probes after which the operating system closes it.
const KEEPALIVE_TRIES: u32 = 4;
/// Listen backlog, subject to `net.core.somaxconn`: after a restart every client reconnects at
/// once.
const BACKLOG: i32 = 4096;

/// Limit of switch threads.
const MAX_THREADS: usize = 1024;

/// The operator's configuration of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The listeners.
    pub listen: Vec<Listen>,
    /// Switch threads; 0 counts as 1.
    pub threads: usize,
    /// The certificate of the TLS listeners, also used on connections that we make.
    pub tls: Option<TlsFiles>,
    /// Where the switch may connect to as the active side.
    pub dial_allow: DialPolicy,
    /// Origins of web pages that may open a WebSocket.
    pub ws_origins: Origins,
    /// Configuration of message handling, the same for each thread.
    pub switch: switch::Config,
}

impl Default for Config {
    /// No listener; everything else as in the parameter table.
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            threads: 1,
            tls: None,
            dial_allow: DialPolicy::default(),
            ws_origins: Origins::default(),
            switch: switch::Config::default(),
        }
    }
}

/// The reason why the switch did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The certificate files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A TLS listener without a certificate.
    #[error("a TLS listener needs a certificate")]
    NoCertificate,
    /// A listener cannot be served.
    #[error("cannot serve a listener: {0}")]
    Listener(#[source] io::Error),
    /// A thread or its event queue could not be made.
    #[error("cannot start a switch thread: {0}")]
    Thread(#[source] io::Error),
}

/// Listening sockets that no pool serves yet. A process running as root may bind them, and a forked
/// process with another user id may serve them; connections wait meanwhile.
#[derive(Debug)]
pub struct Listeners(Vec<(Transport, std::net::TcpListener)>);

impl Listeners {
    /// Binds every address (`SO_REUSEADDR`: connections in TIME_WAIT do not hinder a restart;
    /// close-on-exec) and listens.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind(listen: &[Listen]) -> Result<Self, StartError> {
        let bound = listen
            .iter()
            .map(|it| Ok((it.transport, bind(it.address)?)));
        bound.collect::<Result<_, _>>().map(Self)
    }

    /// The real addresses, in the order of the configuration.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.listening()?.iter().map(|it| it.address).collect())
    }

    fn listening(&self) -> io::Result<Vec<Listen>> {
        let listening = |(transport, listener): &(Transport, std::net::TcpListener)| {
            Ok(Listen {
                transport: *transport,
                address: listener.local_addr()?,
            })
        };
        self.0.iter().map(listening).collect()
    }

    fn has_tls(&self) -> bool {
        self.0.iter().any(|(it, _)| it.is_secure())
    }

    /// The listeners with TLS, or those without, registered with an acceptor's runtime. The caller
    /// must have entered that runtime. The sockets in `self` stay as they are.
    fn register(&self, secure: bool) -> io::Result<Vec<(Transport, TcpListener)>> {
        let register = |(transport, listener): &(Transport, std::net::TcpListener)| {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener.try_clone()?)?;
            Ok((*transport, listener))
        };
        let those = self.0.iter().filter(|(it, _)| it.is_secure() == secure);
        those.map(register).collect()
    }

    /// Refuses connections from now on, even if another process still holds these sockets.
    fn refuse(&self) {
        for (_, listener) in &self.0 {
            let _ = SockRef::from(listener).shutdown(Shutdown::Both);
        }
    }
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    listen().map_err(|source| StartError::Bind { address, source })
}

/// The running switch.
pub struct Pool {
    dialer: Arc<Dialer>,
    threads: Vec<CommandQueue>,
    register: Register,
    totals: Vec<Arc<ThreadTotals>>,
    listening: Vec<Listen>,
    listeners: Listeners,
    stop_accepting: watch::Sender<bool>,
    tls: Arc<Tls>,
    notices: NoticeSender,
    acceptors: Vec<JoinHandle<()>>,
    websockets_refused: Arc<AtomicU64>,
    drivers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Binds the listeners and serves them: [`Listeners::bind`], then [`Pool::serve`].
    ///
    /// # Errors
    /// As for these two.
    pub fn start(
        config: Config,
        notices: Sender<Notice>,
        log: Sender<log::Line>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Pool, StartError> {
        let listeners = Listeners::bind(&config.listen)?;
        Self::serve(config, listeners, notices, log, wake)
    }

    /// Starts the threads, which serve the listeners. `wake` is called, from any switch thread,
    /// after notices or log lines were sent.
    ///
    /// # Errors
    /// The certificate files cannot be used, or a thread cannot be started.
    pub fn serve(
        config: Config,
        listeners: Listeners,
        notices: Sender<Notice>,
        log: Sender<log::Line>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Pool, StartError> {
        let tls = Arc::new(Tls::new(config.tls.clone())?);
        if tls.material().server.is_none() && listeners.has_tls() {
            return Err(StartError::NoCertificate);
        }
        let (threads, commands): (Vec<_>, Vec<_>) = (0..config.threads.clamp(1, MAX_THREADS))
            .map(|_| CommandQueue::new())
            .unzip();
        let notices = NoticeSender {
            focus: notices,
            log,
            wake,
        };
        let dialer = Dialer::new(config.dial_allow.clone(), Arc::clone(&tls));
        let dialer = Arc::new(dialer);
        let mut pool = Pool {
            threads,
            dialer: Arc::clone(&dialer),
            register: Register::default(),
            totals: Vec::new(),
            listening: listeners.listening().map_err(StartError::Listener)?,
            listeners,
            stop_accepting: watch::Sender::new(false),
            tls: Arc::clone(&tls),
            notices: notices.clone(),
            acceptors: Vec::new(),
            websockets_refused: Arc::default(),
            drivers: Vec::new(),
        };
        if let Some(fingerprint) = tls.material().fingerprint.clone() {
            notices.send(Notice::Certificate { fingerprint });
        }
        let queues = pool.threads.clone();
        for (number, (commands, queue)) in (0..).zip(commands.into_iter().zip(queues)) {
            let parts = pool.parts(Thread(number), commands, &config, &notices, &dialer);
            pool.drivers.push(start_driver(parts, queue.ready())?);
        }
        pool.start_acceptors(notices, tls, config.ws_origins)?;
        Ok(pool)
    }

    /// Hands an order to the thread of its room; never blocks.
    pub fn order(&self, order: Order) {
        let Some(room) = order.room() else {
            for thread in &self.threads {
                thread.send(Command::Order(order.clone()));
            }
            return;
        };
        let mut hasher = std::hash::DefaultHasher::new();
        room.hash(&mut hasher);
        let thread = (hasher.finish() % self.threads.len() as u64) as usize;
        // With one thread there is nothing to look up.
        if let Order::Admit(admission) = &order
            && self.threads.len() > 1
        {
            let session = admission.session.clone();
            self.register.insert(session, Thread(thread as u16));
        }
        if let Some(queue) = self.threads.get(thread) {
            queue.send(Command::Order(order));
        }
    }

    /// The focus has gone or was replaced: sessions that none claims within `timeout` (by `Admit`,
    /// `Amend` or `Reconcile`) end.
    pub fn unclaim(&self, timeout: Duration) {
        for thread in &self.threads {
            thread.send(Command::Unclaim(timeout));
        }
    }

    /// Rereads the TLS files even if they have not changed; `false` when there are none.
    ///
    /// # Errors
    /// The files cannot be used; the previous ones stay in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Some(material) = self.tls.read_again()? else {
            return Ok(false);
        };
        if let Some(fingerprint) = material.fingerprint.clone() {
            self.notices.send(Notice::Certificate { fingerprint });
        }
        Ok(true)
    }

    /// The listeners' real addresses, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listening.iter().map(|it| it.address).collect()
    }

    /// The listeners, with their real addresses.
    pub fn listening(&self) -> &[Listen] {
        &self.listening
    }

    /// The counters of all threads together.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for thread in &self.totals {
            totals += thread.load();
        }
        totals.dials_delayed += self.dialer.delayed();
        totals.websockets_refused += self.websockets_refused.load(Ordering::Relaxed);
        totals
    }

    /// Closes listeners, flushes queued output for at most a second, closes the connections and
    /// joins the threads.
    pub fn stop(self) {
        drop(self);
    }

    fn parts(
        &mut self,
        number: Thread,
        commands: Receiver<Command>,
        config: &Config,
        notices: &NoticeSender,
        dialer: &Arc<Dialer>,
    ) -> Parts {
        let totals = Arc::new(ThreadTotals::default());
        self.totals.push(Arc::clone(&totals));
        let view = View {
            register: self.register.clone(),
            own: number,
            count: u16::try_from(self.threads.len()).unwrap_or(u16::MAX),
        };
        Parts {
            number,
            switch: Switch::new(config.switch, Box::new(entropy::System), Box::new(view)),
            commands,
            threads: self.threads.clone(),
            dialer: Arc::clone(dialer),
            notices: notices.clone(),
            totals,
        }
    }

    /// Starts one thread for plain connections and the certificate files, and one TLS thread for
    /// each switch thread.
    fn start_acceptors(
        &mut self,
        notices: NoticeSender,
        tls: Arc<Tls>,
        origins: Origins,
    ) -> Result<(), StartError> {
        let descriptors = Descriptors::read();
        notices.log(log::Level::Info, descriptors.describe());
        let acceptor = Arc::new(Acceptor {
            threads: self.threads.clone(),
            register: self.register.clone(),
            notices,
            tls,
            next: AtomicUsize::new(0),
            descriptors,
            strangers: Strangers::new(descriptors.strangers()),
            handshakes: Strangers::new(MAX_HANDSHAKES.min(descriptors.strangers())),
            complaints: Complaints::default(),
            origins,
            websockets_refused: Arc::clone(&self.websockets_refused),
        });
        let of_tls = match self.listeners.has_tls() {
            true => self.threads.len(),
            false => 0,
        };
        for number in 0..of_tls {
            self.start_acceptor(format!("msrp-tls-{number}"), &acceptor, true)?;
        }
        self.start_acceptor("msrp-accept".to_owned(), &acceptor, false)
    }

    fn start_acceptor(
        &mut self,
        name: String,
        acceptor: &Arc<Acceptor>,
        secure: bool,
    ) -> Result<(), StartError> {
        let runtime = runtime()?;
        let listeners = {
            let _inside = runtime.enter();
            self.listeners
                .register(secure)
                .map_err(StartError::Listener)?
        };
        let acceptor = Arc::clone(acceptor);
        let stop = self.stop_accepting.subscribe();
        let run = move || {
            runtime.block_on(async move {
                if !secure {
                    tokio::spawn(Arc::clone(&acceptor).watch_certificate());
                }
                acceptor.run(listeners, stop).await;
            });
        };
        self.acceptors.push(spawn(name, run)?);
        Ok(())
    }
}

impl Drop for Pool {
    /// A pool that only started in part stops the same way.
    fn drop(&mut self) {
        self.stop_accepting.send_replace(true);
        for acceptor in self.acceptors.drain(..) {
            let _ = acceptor.join();
        }
        self.listeners.refuse();
        for thread in &self.threads {
            thread.send(Command::Stop);
        }
        for driver in self.drivers.drain(..) {
            let _ = driver.join();
        }
    }
}

fn start_driver(parts: Parts, ready: Arc<Ready>) -> Result<JoinHandle<()>, StartError> {
    let runtime = runtime()?;
    let name = format!("msrp-switch-{}", parts.number.0);
    spawn(name, move || {
        runtime.block_on(async move {
            let driver = Driver::new(parts, Clock::start(), ready);
            // A task of its own, not the runtime's root: the root's wake-ups cost a system
            // call each. Unconstrained: it shares its turns out itself.
            let _ = tokio::spawn(tokio::task::unconstrained(driver)).await;
        });
        // Shutdown does not wait for a name that is still being resolved.
        runtime.shutdown_background();
    })
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new()
        .name(name)
        .spawn(run)
        .map_err(StartError::Thread)
}

fn runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(RESOLVERS)
        .event_interval(TURNS)
        .build()
        .map_err(StartError::Thread)
}

/// Small messages must not wait for acknowledgements or behind megabytes of output. Keep-alive
/// detects a vanished peer whether or not output is pending.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    writer::limit_unsent(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_TRIES);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_user_timeout(Some(switch::SILENCE));
}

#[cfg(test)]
mod model;
