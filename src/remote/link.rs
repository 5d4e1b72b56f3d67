//! The focus' end: passes orders to the switch, and reconnects while it cannot be reached.
//!
//! Two threads: one connects and writes; the other reads, while there is a connection. Giving an
//! order never waits for either. After a lost connection the focus reconciles with the switch
//! (`control`), which restores everything except four orders: an `Admit` without an answer gets
//! `Refused`, since an INVITE waits for it; a `Close`, a `Forget` or an `Amend` that the switch did
//! not get is kept, and sent first when it is back.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::frame::{FrameError, Frames, encode};
use super::limits::{HEARTBEAT, HELLO_TIMEOUT, MAX_FRAME, READ_OCTETS, SILENCE_LIMIT, is_timeout};
use super::protocol::{
    FocusHello, FocusRun, PREAMBLE_OCTETS, PreambleError, SwitchHello, ToFocus, ToSwitch,
    check_preamble, preamble,
};
use super::tally::Tally;
use crate::control::{
    Admission, AdmitError, Listen, Notice, Order, RoomUri, SessionId, SwitchRun, unserved,
};
use crate::counters::Totals;
use crate::entropy::{self, Entropy};
use crate::log::{Level, Line};

/// The pause after the first failure; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Orders that may wait to be written. The longest list is one order per room when the focus
/// reconciles, and a proxy has at most some hundred thousand rooms. A switch that falls further
/// behind is disconnected, and reconciled when it is back.
const MAX_QUEUED: usize = 1 << 20;
/// How long a stop waits for the last orders to be written.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// A switch outside the proxy.
pub struct Link {
    shared: Arc<Shared>,
    done: Receiver<()>,
}

/// State shared by both threads and the owner.
struct Shared {
    path: PathBuf,
    focus: FocusRun,
    /// The switch's listeners according to the operator; empty if the switch itself is to report
    /// them.
    listen: Vec<Listen>,
    state: Mutex<State>,
    letters: Sender<Letter>,
    notices: Sender<Notice>,
    log: Sender<Line>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    up: bool,
    /// Admissions without an answer.
    admitting: HashMap<SessionId, RoomUri>,
    /// Amendments to send when the switch is back; the latest of each session.
    amended: HashMap<SessionId, Box<Admission>>,
    /// Rooms to close when the switch is back: reconciling leaves out a room that ended.
    closed: HashSet<RoomUri>,
    /// Rooms whose history the switch must forget when it is back.
    forgotten: HashSet<RoomUri>,
    tally: Tally,
}

/// A command to the writing thread.
enum Letter {
    Order(Order),
    /// The connection is unusable.
    Broken(Ended),
    Stop,
}

/// Why there is no connection, or not any more.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Io(io::Error),
    #[error("it is silent")]
    Silent,
    #[error(transparent)]
    Preamble(#[from] PreambleError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("it closed the connection")]
    Closed,
    #[error("another focus, process {0}, drives it; one switch serves one proxy")]
    Busy(u32),
    #[error("it did not greet")]
    NoHello,
    #[error("it takes no orders")]
    Stuck,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        if is_timeout(&error) {
            Self::Silent
        } else {
            Self::Io(error)
        }
    }
}

impl Link {
    /// Starts to connect to the switch at `path`, and returns at once. `listen` are its listeners
    /// according to the operator; a difference is logged. `wake` is called after notices or log
    /// lines were sent.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        path: PathBuf,
        listen: Vec<Listen>,
        notices: Sender<Notice>,
        log: Sender<Line>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let mut run = [0; 16];
        entropy::System.fill(&mut run);
        let (letters, received) = unbounded();
        let shared = Arc::new(Shared {
            path,
            focus: FocusRun(u128::from_be_bytes(run)),
            listen,
            state: Mutex::default(),
            letters,
            notices,
            log,
            wake,
        });
        let (ended, done) = unbounded();
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("msrp-link".to_owned())
            .spawn(move || {
                own.run(&received);
                drop(ended);
            })?;
        Ok(Self { shared, done })
    }

    /// Hands an order over; never waits. While the switch is out of reach, an `Admit` gets
    /// `Refused` at once.
    pub fn order(&self, order: Order) {
        self.shared.order(order);
    }

    /// The switch's totals since this focus first met it.
    pub fn totals(&self) -> Totals {
        self.shared.state().tally.totals()
    }

    /// Writes the orders given so far and disconnects, within a second. The switch goes on.
    pub fn stop(self) {
        let _ = self.shared.letters.send(Letter::Stop);
        // Nobody sends on this channel: the thread's end disconnects it.
        let _ = self.done.recv_timeout(STOP_GRACE);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, order: Order) {
        let mut state = self.state();
        if !state.up {
            if let Order::Admit(admission) = order {
                drop(state);
                self.refuse([(admission.session, admission.room)]);
            } else {
                state.keep(order);
            }
            return;
        }
        if let Order::Admit(admission) = &order {
            let (session, room) = (admission.session.clone(), admission.room.clone());
            state.admitting.insert(session, room);
        }
        // Sent under the lock, so that the thread that declares the switch lost finds it in the
        // queue.
        let _ = self.letters.send(Letter::Order(order));
    }

    fn refuse(&self, sessions: impl IntoIterator<Item = (SessionId, RoomUri)>) {
        for (session, room) in sessions {
            let _ = self.notices.send(Notice::Refused {
                room,
                session,
                error: AdmitError::Unreachable,
            });
        }
        (self.wake)();
    }

    fn log(&self, level: Level, text: impl std::fmt::Display) {
        let _ = self.log.send(Line::new(level, text));
        (self.wake)();
    }

    /// Connects, again and again, until it gets a stop.
    fn run(&self, letters: &Receiver<Letter>) {
        let path = self.path.display();
        let mut pause = FIRST_PAUSE;
        let mut said = String::new();
        loop {
            match self.connect() {
                Ok((stream, frames, hello)) => {
                    said.clear();
                    let met = Instant::now();
                    self.up(&hello);
                    let ended = self.converse(&stream, frames, letters);
                    // A switch that greets and then dies keeps the long pause.
                    if met.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                    if self.down(letters) || ended.is_none() {
                        return;
                    }
                    let why = ended.as_ref().map(ToString::to_string).unwrap_or_default();
                    self.log(
                        Level::Error,
                        format_args!("lost the switch at {path}: {why}"),
                    );
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != said {
                        self.log(
                            Level::Error,
                            format_args!("no switch at {path}: {text}; trying again and again"),
                        );
                        said = text;
                    }
                }
            }
            if self.rest(letters, pause) {
                return;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Waits before the next attempt; true for a stop.
    fn rest(&self, letters: &Receiver<Letter>, pause: Duration) -> bool {
        // Without a connection, only a stop is sent.
        matches!(
            letters.recv_timeout(pause),
            Ok(Letter::Stop) | Err(RecvTimeoutError::Disconnected)
        )
    }

    fn connect(&self) -> Result<(UnixStream, Frames, SwitchHello), Ended> {
        let hello = FocusHello {
            run: self.focus,
            pid: std::process::id(),
        };
        let (stream, frames, answer) = ask(&self.path, &ToSwitch::Hello(hello))?;
        match answer {
            ToFocus::Hello(hello) => Ok((stream, frames, hello)),
            ToFocus::Busy { pid } => Err(Ended::Busy(pid)),
            _ => Err(Ended::NoHello),
        }
    }

    fn up(&self, hello: &SwitchHello) {
        let path = self.path.display();
        let mut state = self.state();
        state.up = true;
        state.tally.meet(hello.run, hello.totals);
        for order in state.kept() {
            let _ = self.letters.send(Letter::Order(order));
        }
        let SwitchRun(run) = hello.run;
        let sessions = hello.totals.sessions;
        self.log(
            Level::Notice,
            format_args!("drives the switch at {path}, run {run:x}, with {sessions} sessions"),
        );
        if let Some(contradiction) = contradiction(&self.listen, &hello.listen, &self.path) {
            self.log(Level::Error, contradiction);
        }
        // Under the lock: the focus must learn of the switch before it gets any answer.
        let _ = self.notices.send(Notice::Connected {
            run: hello.run,
            listen: hello.listen.clone(),
        });
        drop(state);
        (self.wake)();
    }

    /// Declares the switch lost; true if a stop was among the queued commands.
    fn down(&self, letters: &Receiver<Letter>) -> bool {
        let mut state = self.state();
        state.up = false;
        let mut stop = false;
        for letter in letters.try_iter() {
            match letter {
                Letter::Order(order) => state.keep(order),
                Letter::Broken(_) => {}
                Letter::Stop => stop = true,
            }
        }
        let unanswered = std::mem::take(&mut state.admitting);
        drop(state);
        let _ = self.notices.send(Notice::Disconnected);
        self.refuse(unanswered);
        stop
    }

    /// Writes orders until it gets a stop (`None`) or the connection ends.
    fn converse(
        &self,
        stream: &UnixStream,
        frames: Frames,
        letters: &Receiver<Letter>,
    ) -> Option<Ended> {
        thread::scope(|scope| {
            let read = || {
                let ended = self.read(stream, frames);
                let _ = self.letters.send(Letter::Broken(ended));
            };
            let reader = thread::Builder::new().name("msrp-link-read".to_owned());
            let ended = match reader.spawn_scoped(scope, read) {
                Ok(_) => self.write(stream, letters),
                Err(error) => Some(error.into()),
            };
            // Ends the reader. Octets already written are still delivered.
            let _ = stream.shutdown(Shutdown::Both);
            ended
        })
    }

    fn write(&self, mut stream: &UnixStream, letters: &Receiver<Letter>) -> Option<Ended> {
        if let Err(error) = stream.set_write_timeout(Some(SILENCE_LIMIT)) {
            return Some(error.into());
        }
        let mut octets = Vec::new();
        loop {
            let mut stop = false;
            match letters.recv_timeout(HEARTBEAT) {
                Ok(Letter::Order(order)) => self.encode(order, &mut octets),
                Ok(Letter::Broken(ended)) => return Some(ended),
                Ok(Letter::Stop) | Err(RecvTimeoutError::Disconnected) => stop = true,
                Err(RecvTimeoutError::Timeout) => put(&ToSwitch::Alive, &mut octets),
            }
            while !stop && octets.len() < READ_OCTETS {
                match letters.try_recv() {
                    Ok(Letter::Order(order)) => self.encode(order, &mut octets),
                    Ok(Letter::Broken(ended)) => return Some(ended),
                    Ok(Letter::Stop) => stop = true,
                    Err(_) => break,
                }
            }
            if stop {
                put(&ToSwitch::Goodbye, &mut octets);
            }
            if let Err(error) = stream.write_all(&octets) {
                return Some(error.into());
            }
            octets.clear();
            if stop {
                return None;
            }
            if letters.len() > MAX_QUEUED {
                return Some(Ended::Stuck);
            }
        }
    }

    fn encode(&self, order: Order, octets: &mut Vec<u8>) {
        let refused = match &order {
            Order::Admit(admission) => Some((admission.session.clone(), admission.room.clone())),
            _ => None,
        };
        if let Err(error) = encode(&ToSwitch::Order(order), octets) {
            self.log(
                Level::Warning,
                format_args!("an order is not given: {error}"),
            );
            if let Some((session, room)) = refused {
                self.state().admitting.remove(&session);
                self.refuse([(session, room)]);
            }
        }
    }

    /// Reads the switch's messages until the connection ends.
    fn read(&self, mut stream: &UnixStream, mut frames: Frames) -> Ended {
        if let Err(error) = stream.set_read_timeout(Some(SILENCE_LIMIT)) {
            return error.into();
        }
        let mut octets = vec![0; READ_OCTETS];
        loop {
            loop {
                match frames.next(MAX_FRAME) {
                    Ok(Some(message)) => self.hear(message),
                    Ok(None) => break,
                    Err(error) => return error.into(),
                }
            }
            (self.wake)();
            match stream.read(&mut octets) {
                Ok(0) => return Ended::Closed,
                Ok(count) => frames.push(octets.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.into(),
            }
        }
    }

    fn hear(&self, message: ToFocus) {
        match message {
            ToFocus::Notice(notice) => {
                if let Notice::Admitted { session, .. } | Notice::Refused { session, .. } = &notice
                {
                    self.state().admitting.remove(session);
                }
                let _ = self.notices.send(notice);
            }
            ToFocus::Totals(totals) => self.state().tally.update(totals),
            ToFocus::Alive | ToFocus::Hello(_) | ToFocus::Busy { .. } | ToFocus::Listens(_) => {}
        }
    }
}

/// Sends one message to the switch at `path`, and waits for the answer.
fn ask(path: &Path, question: &ToSwitch) -> Result<(UnixStream, Frames, ToFocus), Ended> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(HELLO_TIMEOUT))?;
    stream.set_write_timeout(Some(HELLO_TIMEOUT))?;
    let mut octets = preamble().to_vec();
    encode(question, &mut octets)?;
    stream.write_all(&octets)?;
    let mut theirs = [0; PREAMBLE_OCTETS];
    stream.read_exact(&mut theirs)?;
    check_preamble(&theirs)?;
    let mut frames = Frames::default();
    let mut octets = vec![0; READ_OCTETS];
    loop {
        if let Some(answer) = frames.next(MAX_FRAME)? {
            return Ok((stream, frames, answer));
        }
        match stream.read(&mut octets)? {
            0 => return Err(Ended::Closed),
            count => frames.push(octets.get(..count).unwrap_or_default()),
        }
    }
}

/// Whether the switch at `path`, if there is one, has the operator's listeners.
///
/// # Errors
/// It has not; the text names both.
pub fn check_listeners(path: &Path, named: &[Listen]) -> Result<(), String> {
    let there = match ask(path, &ToSwitch::Look) {
        Ok((_, _, ToFocus::Listens(there))) => there,
        // It may come later; the link will report the problem then.
        _ => return Ok(()),
    };
    contradiction(named, &there, path).map_or(Ok(()), Err)
}

fn contradiction(named: &[Listen], there: &[Listen], path: &Path) -> Option<String> {
    let wrong = unserved(named, there)?;
    let there: Vec<_> = there.iter().map(ToString::to_string).collect();
    Some(format!(
        "the parameter listen names {wrong}, but the switch at {} listens at {}: take listen \
         out, it says so itself",
        path.display(),
        there.join(", ")
    ))
}

impl State {
    /// The kept orders, in the order in which the switch must get them.
    fn kept(&mut self) -> impl Iterator<Item = Order> + '_ {
        let closed = self.closed.drain().map(|room| Order::Close { room });
        let forgotten = self.forgotten.drain().map(|room| Order::Forget { room });
        let amended = self
            .amended
            .drain()
            .map(|(_, admission)| Order::Amend(admission));
        closed.chain(forgotten).chain(amended)
    }

    /// Keeps an order that reconciling would not restore.
    fn keep(&mut self, order: Order) {
        match order {
            Order::Amend(admission) => {
                self.amended.insert(admission.session.clone(), admission);
            }
            Order::Expel { session, .. } | Order::Part { session, .. } => {
                self.amended.remove(&session);
            }
            Order::Forget { room } => {
                self.forgotten.insert(room);
            }
            Order::Close { room } => {
                self.amended.retain(|_, admission| admission.room != room);
                self.closed.insert(room);
            }
            // An `Admit` gets its own answer; `Connected` makes the focus request lists anew. The
            // switch reports a history again, and the focus stores it again.
            Order::Admit(_)
            | Order::Recall { .. }
            | Order::Remembered { .. }
            | Order::Reconcile { .. }
            | Order::Hold { .. }
            | Order::Kept { .. }
            | Order::Say { .. }
            | Order::Submit { .. }
            | Order::ReportMessages(_) => {}
        }
    }
}

/// Appends a message that is known to be short.
fn put(message: &ToSwitch, octets: &mut Vec<u8>) {
    let _ = encode(message, octets);
}
