//! `msrp-chat load`: many participants in one process, each with sockets of its own. They join
//! rooms and talk at a given rate, and the program measures the copies that come back.

mod figures;
mod histogram;
mod member;

use crate::call::{self, Caller};
use crate::cli::{LoadArguments, identity_at, with_user};
use figures::Figures;
use member::Member;
use msrp_conference::time::{Clock, Moment};
use msrp_conference::wire::sip::Uri;
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::LocalSet;

/// How often the live line is redrawn on a terminal.
const REDRAW: Duration = Duration::from_millis(250);
/// How often a line is written elsewhere.
const SAY_SELDOM: Duration = Duration::from_secs(5);
/// How often progress is reported as JSON.
const TELL: Duration = Duration::from_secs(1);
/// Longest time over which participants may join.
const LONGEST_RAMP: Duration = Duration::from_secs(3_600);
/// Longest wait for the last copies.
const SETTLE: Duration = Duration::from_secs(10);
/// Longest wait for late joins after the last INVITE: the give-up time of an INVITE (RFC 3261
/// §17.1.1.2) and a margin.
const JOIN_SLACK: Duration = Duration::from_secs(36);

/// State that all participants share.
struct Run {
    clock: Clock,
    figures: RefCell<Figures>,
    began: Moment,
    /// When the last participant starts to join.
    ramp_over: Moment,
    /// When every join had ended; nobody speaks before, so that everybody hears every message.
    talk_began: Cell<Option<Moment>>,
    talk_for: Duration,
    /// Time between two messages of the same participant.
    pause: Duration,
    size: usize,
    /// Prefix of this run's messages; unique to the run.
    mark: String,
}

impl Run {
    /// When talking began; `None` while joins are still open.
    fn talk_began(&self, now: Moment) -> Option<Moment> {
        let decided = || self.figures.borrow().all_answered() || now >= self.ramp_over + JOIN_SLACK;
        if self.talk_began.get().is_none() && decided() {
            self.talk_began.set(Some(now));
        }
        self.talk_began.get()
    }

    /// When talking ends.
    fn talk_ends(&self, now: Moment) -> Option<Moment> {
        self.talk_began(now).map(|began| began + self.talk_for)
    }

    /// Whether everything has been sent, and has arrived or will not.
    fn over(&self, now: Moment) -> bool {
        self.talk_ends(now).is_some_and(|end| {
            now >= end && (self.figures.borrow().all_delivered() || now >= end + SETTLE)
        })
    }

    /// Progress of the run, 0 to 1; joining and talking count by their durations.
    fn share(&self, now: Moment) -> f64 {
        let ramp = self.ramp_over.saturating_since(self.began);
        let joined = now.saturating_since(self.began).min(ramp);
        let talk_began = self.talk_began.get();
        let talked = talk_began.map_or(Duration::ZERO, |began| now.saturating_since(began));
        let whole = (ramp + self.talk_for).as_secs_f64().max(0.001);
        ((joined + talked).as_secs_f64() / whole).min(1.0)
    }
}

/// Runs the load.
pub(crate) async fn run(arguments: LoadArguments) -> ExitCode {
    if let Err(line) = permitted(&arguments).await {
        eprintln!("{line}");
        return ExitCode::from(2);
    }
    let members = f64::from(arguments.participants);
    let ramp = Duration::from_secs_f64(members / arguments.join_rate);
    if ramp > LONGEST_RAMP {
        eprintln!("Joining would take more than an hour: give a higher --join-rate.");
        return ExitCode::from(2);
    }
    let clock = Clock::start();
    let began = clock.now();
    let run = Rc::new(Run {
        clock,
        figures: RefCell::new(Figures::new(arguments.participants, arguments.rooms)),
        began,
        ramp_over: began + ramp,
        talk_began: Cell::new(None),
        talk_for: arguments.talk_for,
        pause: Duration::from_secs_f64(members / arguments.rate),
        size: arguments.size as usize,
        mark: format!("load-{:x}", began.since_epoch().as_micros()),
    });
    let local = LocalSet::new();
    let members: Vec<_> = (0..arguments.participants)
        .map(|number| {
            let (run, arguments) = (run.clone(), arguments.clone());
            local.spawn_local(async move {
                member(&run, &arguments, number).live().await;
            })
        })
        .collect();
    let watch = watch(&run, arguments.json);
    let all = async {
        for member in members {
            // A participant that broke down shows in the counts.
            let _ = member.await;
        }
    };
    local
        .run_until(async {
            tokio::select! {
                () = all => {}
                () = watch => {}
                () = tokio::time::sleep(limit(&run)) => {}
            }
        })
        .await;
    conclude(&run, &arguments)
}

/// Longest duration of a run, however slow the server.
fn limit(run: &Run) -> Duration {
    run.ramp_over.saturating_since(run.began) + JOIN_SLACK + run.talk_for + SETTLE + JOIN_SLACK
}

/// Participant `number`: joins in its turn, and speaks in its turn once all are in.
fn member<'a>(run: &'a Run, arguments: &LoadArguments, number: u32) -> Member<'a> {
    let room = number % arguments.rooms;
    let place = match arguments.rooms {
        1 => arguments.room.clone(),
        _ => numbered(&arguments.room, room + 1),
    };
    let from = arguments.from.clone();
    let from = from.unwrap_or_else(|| identity_at(&arguments.room, "load"));
    let turn = f64::from(number);
    Member {
        run,
        room: room as usize,
        caller: Caller {
            room: place,
            from: numbered(&from, number + 1),
            name: String::new(),
            access: arguments.access.clone(),
            roster: arguments.subscribe,
        },
        at: run.began + Duration::from_secs_f64(turn / arguments.join_rate),
        turn: Duration::from_secs_f64(turn / arguments.rate),
    }
}

/// The URI with a number behind its user.
fn numbered(uri: &str, number: u32) -> String {
    let user = uri.parse::<Uri>().ok().and_then(|uri| uri.user);
    with_user(uri, &format!("{}-{number}", user.unwrap_or_default()))
}

/// Allows only servers on this machine, unless the user takes the responsibility.
async fn permitted(arguments: &LoadArguments) -> Result<(), String> {
    let caller = Caller {
        room: arguments.room.clone(),
        from: arguments.room.clone(),
        name: String::new(),
        access: arguments.access.clone(),
        roster: false,
    };
    let server = call::server_address(&caller).await;
    let server = server.map_err(|failure| failure.to_string())?;
    match server.ip().is_loopback() || arguments.remote {
        true => Ok(()),
        false => Err(format!(
            "{server} is another machine: give --remote if you may put load on it."
        )),
    }
}

/// Shows the progress, for ever.
async fn watch(run: &Run, json: bool) {
    let terminal = std::io::stderr().is_terminal();
    let every = match (json, terminal) {
        (true, _) => TELL,
        (false, true) => REDRAW,
        (false, false) => SAY_SELDOM,
    };
    let mut before = (0, 0);
    loop {
        tokio::time::sleep(every).await;
        let took = run.clock.now().saturating_since(run.began);
        let figures = run.figures.borrow();
        if json {
            tell(&figures.object("progress", took).to_string());
            continue;
        }
        let line = figures.line(run.share(run.clock.now()), before, every);
        before = (figures.sent, figures.delivered);
        match terminal {
            // A line wider than the terminal is cut, not wrapped.
            true => eprint!("\r\x1b[K\x1b[?7l{line}\x1b[?7h"),
            false => eprintln!("{line}"),
        }
    }
}

fn conclude(run: &Run, arguments: &LoadArguments) -> ExitCode {
    let figures = run.figures.borrow();
    let took = run.clock.now().saturating_since(run.began);
    if arguments.json {
        tell(&figures.object("result", took).to_string());
    } else {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        tell(figures.summary(took).trim_end());
    }
    ExitCode::from(match (figures.joined, figures.good()) {
        (0, _) => 3,
        (_, true) => 0,
        (_, false) => 1,
    })
}

fn tell(text: &str) {
    let mut out = std::io::stdout().lock();
    // The reader of our output has gone; the exit status still reports the result.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
