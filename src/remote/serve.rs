//! The switch's end: accepts the focus that drives it, carries out its orders, passes on the
//! notices, and goes on alone while there is none.
//!
//! One thread owns pool and focus ([`serve`]), one accepts on the control socket, and each
//! connection has a reading thread that ends with it.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::frame::{FrameError, Frames, encode};
use super::limits::{HEARTBEAT, HELLO_TIMEOUT, MAX_FRAME, READ_OCTETS, SILENCE_LIMIT, is_timeout};
use super::protocol::{
    FocusHello, PREAMBLE_OCTETS, PreambleError, SwitchHello, ToFocus, ToSwitch, check_preamble,
    preamble,
};
use crate::control::{Listen, Notice, Order, SwitchRun};
use crate::counters::Totals;
use crate::log::{Level, Line};
use crate::net::Pool;

/// Connections that have not sent a hello; further ones are closed. One proxy needs one.
const MAX_WAITING: usize = 8;
/// Longest hello in octets; it has a few dozen.
const MAX_HELLO: usize = 1024;
/// Orders read but not yet carried out; a focus with more waits.
const QUEUED_ORDERS: usize = 1024;
/// How often the focus gets the totals, if they have changed.
const TOTALS_PERIOD: Duration = Duration::from_secs(1);
/// Pause after an accept that failed for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The operator's settings for the control socket.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// This run.
    pub run: SwitchRun,
    /// How long a session that no focus claims may live.
    pub orphan_timeout: Duration,
}

/// Serves one focus at a time on `listener` until something comes on `stop` or its sender is
/// gone; then closes every session in good order. `notices` is where `pool` sends.
///
/// # Errors
/// The thread that accepts could not be started.
pub fn serve(
    listener: UnixListener,
    pool: Pool,
    notices: &Receiver<Notice>,
    log: Sender<Line>,
    stop: &Receiver<()>,
    options: Options,
) -> io::Result<()> {
    let (events, received) = bounded(QUEUED_ORDERS);
    let path = listener.local_addr()?;
    let stopping = Arc::new(AtomicBool::new(false));
    let door = Door {
        listen: pool.listening().into(),
        events,
        log: log.clone(),
        waiting: Arc::default(),
        stopping: Arc::clone(&stopping),
    };
    let accepting = thread::Builder::new()
        .name("msrp-control".to_owned())
        .spawn(move || door.accept(&listener))?;
    let mut server = Server {
        pool,
        log,
        options,
        focus: None,
        successor: None,
        certificate: None,
    };
    server.run(&received, notices, stop);
    stopping.store(true, Ordering::Release);
    // Wakes the accepting thread. If the file is gone, so is every way to reach it.
    if path
        .as_pathname()
        .map(UnixStream::connect)
        .is_some_and(|woken| woken.is_ok())
    {
        let _ = accepting.join();
    }
    if let Some(focus) = &server.focus {
        let _ = focus.stream.shutdown(Shutdown::Both);
    }
    server.pool.stop();
    Ok(())
}

/// Number of a connection to the control socket, in order of arrival.
type Number = usize;

/// An event from the reading threads to the owning thread.
enum Event {
    Hello(Number, UnixStream, FocusHello),
    Order(Number, Order),
    Gone(Number, Ended),
}

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("it stopped")]
    Goodbye,
    #[error("it closed the connection")]
    Closed,
    #[error("{0}")]
    Io(io::Error),
    #[error("it was silent for too long")]
    Silent,
    #[error(transparent)]
    Preamble(#[from] PreambleError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("it did not greet")]
    NoHello,
    #[error("the switch has stopped")]
    Stopped,
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

struct Server {
    pool: Pool,
    log: Sender<Line>,
    options: Options,
    focus: Option<Driving>,
    /// The same focus on a new connection, until the old one is read to its end.
    successor: Option<Driving>,
    /// The last notice about a certificate, for the next focus.
    certificate: Option<Notice>,
}

/// The focus that drives.
struct Driving {
    number: Number,
    stream: UnixStream,
    hello: FocusHello,
    /// The last totals sent to it.
    told: Totals,
    last_said: Instant,
}

impl Server {
    fn run(&mut self, events: &Receiver<Event>, notices: &Receiver<Notice>, stop: &Receiver<()>) {
        let mut octets = Vec::new();
        loop {
            let beat = match self.focus {
                Some(_) => TOTALS_PERIOD,
                None => HEARTBEAT,
            };
            select! {
                recv(stop) -> _ => return,
                recv(events) -> event => match event {
                    Ok(event) => self.take(event),
                    Err(_) => return,
                },
                recv(notices) -> notice => {
                    let notice = notice.into_iter().chain(notices.try_iter());
                    self.pass_on(notice, &mut octets);
                }
                default(beat) => {}
            }
            self.beat();
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Hello(number, stream, hello) => self.greet(Driving {
                number,
                stream,
                hello,
                told: Totals::default(),
                last_said: Instant::now(),
            }),
            Event::Order(number, order) => {
                if self
                    .focus
                    .as_ref()
                    .is_some_and(|focus| focus.number == number)
                {
                    self.pool.order(order);
                }
            }
            Event::Gone(number, why) => {
                if self
                    .focus
                    .as_ref()
                    .is_some_and(|focus| focus.number == number)
                {
                    self.lose(&why);
                }
            }
        }
    }

    fn greet(&mut self, newcomer: Driving) {
        match &self.focus {
            None => self.adopt(newcomer),
            Some(focus) if focus.hello.run == newcomer.hello.run => {
                // Its earlier connection is broken; orders already sent on it come first.
                let _ = focus.stream.shutdown(Shutdown::Write);
                self.successor = Some(newcomer);
            }
            Some(focus) => {
                let (pid, second) = (focus.hello.pid, newcomer.hello.pid);
                self.log(
                    Level::Error,
                    format_args!(
                        "a second focus, process {second}, is refused: process {pid} drives \
                         this switch, and one switch serves one proxy"
                    ),
                );
                let mut octets = Vec::new();
                let _ = encode(&ToFocus::Busy { pid }, &mut octets);
                let _ = (&newcomer.stream).write_all(&octets);
                let _ = newcomer.stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn adopt(&mut self, mut focus: Driving) {
        let totals = self.pool.totals();
        self.log(
            Level::Notice,
            format_args!(
                "driven by the focus of process {}; {} sessions to be claimed within {:?}",
                focus.hello.pid, totals.sessions, self.options.orphan_timeout
            ),
        );
        self.pool.unclaim(self.options.orphan_timeout);
        focus.told = totals;
        self.focus = Some(focus);
        let hello = SwitchHello {
            run: self.options.run,
            totals,
            listen: self.pool.listening().to_vec(),
        };
        let certificate = self.certificate.clone().map(ToFocus::Notice);
        let hello = [ToFocus::Hello(hello)].into_iter();
        self.say(hello.chain(certificate));
    }

    /// The focus has gone; the sessions stay.
    fn lose(&mut self, why: &Ended) {
        let Some(focus) = self.focus.take() else {
            return;
        };
        let _ = focus.stream.shutdown(Shutdown::Both);
        self.pool.unclaim(self.options.orphan_timeout);
        self.log(
            Level::Warning,
            format_args!(
                "the focus of process {} has gone ({why}); {} sessions go on for {:?}",
                focus.hello.pid,
                self.pool.totals().sessions,
                self.options.orphan_timeout
            ),
        );
        if let Some(successor) = self.successor.take() {
            self.adopt(successor);
        }
    }

    /// Drops notices while there is no focus: the next one requests the state (`control`). It
    /// cannot request a certificate, so that notice is kept.
    fn pass_on(&mut self, notices: impl Iterator<Item = Notice>, octets: &mut Vec<u8>) {
        octets.clear();
        for notice in notices {
            if matches!(notice, Notice::Certificate { .. }) {
                self.certificate = Some(notice.clone());
            }
            if self.focus.is_none() {
                continue;
            }
            if let Err(error) = encode(&ToFocus::Notice(notice), octets) {
                self.log(
                    Level::Warning,
                    format_args!("a notice is not given: {error}"),
                );
            }
            if octets.len() >= READ_OCTETS {
                self.write(octets);
                octets.clear();
            }
        }
        self.write(octets);
    }

    /// Sends the totals when they have changed, and a sign of life after a silence.
    fn beat(&mut self) {
        let Some(focus) = &self.focus else { return };
        let silent = focus.last_said.elapsed();
        if silent < TOTALS_PERIOD {
            return;
        }
        let (totals, told) = (self.pool.totals(), focus.told);
        if totals != told {
            if let Some(focus) = &mut self.focus {
                focus.told = totals;
            }
            self.say([ToFocus::Totals(totals)]);
        } else if silent >= HEARTBEAT {
            self.say([ToFocus::Alive]);
        }
    }

    fn say(&mut self, messages: impl IntoIterator<Item = ToFocus>) {
        let mut octets = Vec::new();
        for message in messages {
            let _ = encode(&message, &mut octets);
        }
        self.write(&octets);
    }

    /// Writes to the focus; one that reads nothing for [`SILENCE_LIMIT`] is lost. While it changes
    /// its connection nothing is sent: it requests the state on the new one.
    fn write(&mut self, octets: &[u8]) {
        if self.successor.is_some() {
            return;
        }
        let Some(focus) = self.focus.as_mut().filter(|_| !octets.is_empty()) else {
            return;
        };
        focus.last_said = Instant::now();
        if let Err(error) = (&focus.stream).write_all(octets)
            // It has closed its end: its last messages come first, and the reason.
            && !matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            )
        {
            self.lose(&error.into());
        }
    }

    fn log(&self, level: Level, text: impl std::fmt::Display) {
        let _ = self.log.send(Line::new(level, text));
    }
}

/// Accepts connections to the control socket, and checks their greeting.
#[derive(Clone)]
struct Door {
    listen: Arc<[Listen]>,
    events: Sender<Event>,
    log: Sender<Line>,
    waiting: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

impl Door {
    fn accept(&self, listener: &UnixListener) {
        for number in 0.. {
            let stream = listener.accept();
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            let stream = match stream {
                Ok((stream, _)) => stream,
                Err(error) => {
                    self.log(format_args!("cannot accept on the control socket: {error}"));
                    thread::sleep(ACCEPT_PAUSE);
                    continue;
                }
            };
            if self.waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            let door = self.clone();
            let read = move || door.read(number, &stream);
            let reader = thread::Builder::new().name("msrp-control-read".to_owned());
            if let Err(error) = reader.spawn(read) {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                self.log(format_args!("cannot read from the control socket: {error}"));
            }
        }
    }

    fn read(&self, number: Number, stream: &UnixStream) {
        let greeted = self.greet(number, stream);
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        match greeted {
            Ok(frames) => {
                let Err(ended) = self.orders(number, stream, frames);
                let _ = self.events.send(Event::Gone(number, ended));
            }
            // Somebody only checked that the socket is served.
            Err(Ended::Closed | Ended::Stopped | Ended::Goodbye) => {}
            Err(ended) => self.log(format_args!("on the control socket: {ended}")),
        }
    }

    /// Preamble and hello.
    fn greet(&self, number: Number, mut stream: &UnixStream) -> Result<Frames, Ended> {
        stream.set_read_timeout(Some(HELLO_TIMEOUT))?;
        stream.set_write_timeout(Some(SILENCE_LIMIT))?;
        let mut theirs = [0; PREAMBLE_OCTETS];
        match stream.read_exact(&mut theirs) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Ended::Closed);
            }
            read => read?,
        }
        stream.write_all(&preamble())?;
        check_preamble(&theirs)?;
        let mut frames = Frames::default();
        let mut octets = [0; MAX_HELLO];
        let started = Instant::now();
        let hello = loop {
            if started.elapsed() > HELLO_TIMEOUT {
                return Err(Ended::NoHello);
            }
            match frames.next(MAX_HELLO)? {
                Some(ToSwitch::Hello(hello)) => break hello,
                Some(ToSwitch::Look) => {
                    let mut octets = Vec::new();
                    encode(&ToFocus::Listens(self.listen.to_vec()), &mut octets)?;
                    stream.write_all(&octets)?;
                    return Err(Ended::Goodbye);
                }
                Some(_) => return Err(Ended::NoHello),
                None => fill(stream, &mut octets, &mut frames)?,
            }
        };
        stream.set_read_timeout(Some(SILENCE_LIMIT))?;
        let event = Event::Hello(number, stream.try_clone()?, hello);
        self.events.send(event).map_err(|_| Ended::Stopped)?;
        Ok(frames)
    }

    fn orders(
        &self,
        number: Number,
        stream: &UnixStream,
        mut frames: Frames,
    ) -> Result<std::convert::Infallible, Ended> {
        let mut octets = vec![0; READ_OCTETS];
        loop {
            match frames.next(MAX_FRAME)? {
                Some(ToSwitch::Order(order)) => {
                    let event = Event::Order(number, order);
                    self.events.send(event).map_err(|_| Ended::Stopped)?;
                }
                Some(ToSwitch::Alive) => {}
                Some(ToSwitch::Goodbye) => return Err(Ended::Goodbye),
                Some(ToSwitch::Hello(_) | ToSwitch::Look) => return Err(Ended::NoHello),
                None => fill(stream, &mut octets, &mut frames)?,
            }
        }
    }

    fn log(&self, text: impl std::fmt::Display) {
        let _ = self.log.send(Line::new(Level::Warning, text));
    }
}

fn fill(mut stream: &UnixStream, octets: &mut [u8], frames: &mut Frames) -> Result<(), Ended> {
    match stream.read(octets) {
        Ok(0) => Err(Ended::Closed),
        Ok(count) => {
            frames.push(octets.get(..count).unwrap_or_default());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error.into()),
    }
}
