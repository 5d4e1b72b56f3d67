//! The program's one loop: passes SIP, MSRP, typed lines and time to the pure parts, and carries
//! out their outputs.

use crate::call::{self, Me};
use crate::cli::Arguments;
use crate::failure::Failure;
use crate::input::{Command, HELP, Input, Names, Typed};
use crate::msrp::connection::Connection;
use crate::msrp::{Happening, Received, Session};
use crate::participant::turn;
use crate::roster::{Roster, RosterError, short};
use crate::screen::{Screen, text_of};
use crate::sip::transport::Transport;
use crate::sip::{Agent, Event};
use msrp_conference::entropy;
use msrp_conference::time::{Clock, Moment};
use std::time::Duration;
use tokio::time::sleep;

/// Longest time for leaving.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long to wait for the last NOTIFY after the BYE.
const LINGER: Duration = Duration::from_millis(500);
/// How long our last messages may wait for their answers before we leave.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a lost room has to call back: slightly more than the server's own grace of 30 s.
const CALL_BACK: Duration = Duration::from_secs(35);
/// How long to delay the line about a lost connection: it is not needed when the room's BYE follows
/// at once.
const QUIET: Duration = Duration::from_secs(1);

/// Characters to show of a message of ours that was refused.
const UNSENT_SHOWN: usize = 60;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    Fine = 0,
    Unmet = 1,
    NotJoined = 3,
}

/// Joins, chats, leaves.
pub(crate) async fn run(arguments: Arguments, mut input: Input) -> Status {
    let screen = Screen::new(arguments.json, input.printer.take());
    let clock = Clock::start();
    let status = match call::open(&arguments.caller()).await {
        Ok((transport, agent, me)) => {
            let mut chat = Chat::new(arguments, clock, screen, transport, agent, me);
            chat.names = input.names.clone();
            chat.run(&mut input).await
        }
        Err(failure) => {
            let mut screen = screen;
            screen.failed(clock.now(), &failure);
            Status::NotJoined
        }
    };
    input.restore();
    status
}

struct Chat {
    arguments: Arguments,
    clock: Clock,
    screen: Screen,
    transport: Transport,
    agent: Agent,
    me: Me,
    nickname: String,
    session: Option<Session>,
    connection: Option<Connection>,
    roster: Roster,
    /// Names that the line editor completes.
    names: Names,
    joined: bool,
    /// The roster has come, or will not.
    roster_settled: bool,
    said: bool,
    /// The room refused a message from the command line.
    unsaid: bool,
    expected: Vec<String>,
    input_over: bool,
    lost: Option<Lost>,
    limit: Option<Moment>,
    ending: Option<Ending>,
}

/// The state of a call whose connection is gone.
struct Lost {
    reason: String,
    /// The user has been informed.
    told: bool,
    /// When to inform the user, and later when to give up.
    next: Moment,
}

/// The state of leaving.
struct Ending {
    reason: String,
    status: Status,
    /// The BYE has been sent.
    leaving: bool,
    by: Moment,
}

impl Chat {
    fn new(
        arguments: Arguments,
        clock: Clock,
        screen: Screen,
        transport: Transport,
        agent: Agent,
        me: Me,
    ) -> Self {
        Self {
            roster_settled: arguments.no_subscribe,
            said: arguments.say.is_empty(),
            unsaid: false,
            expected: arguments.expect.clone(),
            limit: arguments.limit().map(|limit| clock.now() + limit),
            arguments,
            clock,
            screen,
            transport,
            agent,
            me,
            nickname: String::new(),
            session: None,
            connection: None,
            roster: Roster::default(),
            names: Names::default(),
            joined: false,
            input_over: false,
            lost: None,
            ending: None,
        }
    }

    async fn run(&mut self, input: &mut Input) -> Status {
        self.agent.join(self.clock.now());
        loop {
            self.settle().await;
            if let Some(status) = self.over() {
                return status;
            }
            let wait = self
                .deadline()
                .map_or(Duration::MAX, |at| at.saturating_since(self.clock.now()));
            tokio::select! {
                got = self.transport.receive() => match got {
                    Some((source, message)) => {
                        self.agent.receive(self.clock.now(), source, message);
                    }
                    None => self.refused(),
                },
                turned = turn(&mut self.connection) => {
                    if let Err(error) = turned.and_then(|()| self.read()) {
                        self.connection_lost(&error.to_string());
                    }
                }
                typed = input.lines.recv(), if !self.input_over => match typed {
                    Some(Typed::Line(line)) => self.typed(&line, input.interactive),
                    Some(Typed::End) | None => self.input_over = true,
                },
                () = sleep(wait) => {}
            }
            self.tick();
        }
    }

    /// Carries out the outputs of the pure parts until there are no more.
    async fn settle(&mut self) {
        loop {
            for (hop, octets) in self.agent.outgoing() {
                if let Err(failure) = self.transport.send(&hop, &octets).await {
                    self.cannot_send(&failure);
                }
            }
            if let (Some(session), Some(connection)) = (&mut self.session, &mut self.connection) {
                connection.write(session.take_output());
            }
            if let Some(event) = self.agent.event() {
                self.call_event(event).await;
            } else if let Some(happening) = self.session.as_mut().and_then(Session::happening) {
                self.happened(happening);
            } else if !self.script() && !self.begin_to_leave() {
                return;
            }
        }
    }

    async fn call_event(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Accepted | Event::Moved => self.connect().await,
            Event::Failed(failure) => self.not_joined(&failure),
            Event::Document(octets) => self.document(&octets),
            Event::NoRoster(failure) => {
                self.roster_settled = true;
                self.screen.failed(now, &failure);
            }
            Event::RosterEnded => {
                self.roster_settled = true;
                self.screen
                    .note(now, "The server tells no more who is here.");
            }
            Event::HungUp => self.hung_up(),
            // Only `check` sends OPTIONS.
            Event::Capable(_) => {}
            Event::Left => {
                if let Some(ending) = &mut self.ending {
                    ending.by = ending.by.min(now + LINGER);
                }
            }
        }
    }

    async fn connect(&mut self) {
        let now = self.clock.now();
        let stream = self.agent.stream();
        let Some(peer) = stream.peer.clone() else {
            return;
        };
        match Connection::open(&peer, self.arguments.access.ca.as_deref()).await {
            Ok(connection) => {
                let me = (self.arguments.name.as_str(), self.me.uri.as_str());
                let room = self.me.room.as_str();
                let session = Session::start(now, stream, me, room, &mut entropy::System);
                self.connection = Some(connection);
                self.session = Some(session);
                self.lost = None;
            }
            Err(failure) => self.not_joined(&failure),
        }
    }

    fn document(&mut self, octets: &[u8]) {
        let now = self.clock.now();
        match self.roster.take(octets) {
            Ok(Some(update)) => {
                self.roster_settled = true;
                self.names.know(self.roster.names());
                // A roster that arrives before the join is complete is shown after it.
                if self.joined || self.arguments.json {
                    self.screen.roster(now, &update, &self.roster);
                }
            }
            Ok(None) => {}
            Err(RosterError::Apply(_)) => {
                // A refresh brings a full document with everything missed.
                self.roster.forget();
                self.agent.subscribe(now);
            }
            Err(error) => {
                self.roster_settled = true;
                self.screen.note(now, &error.to_string());
            }
        }
    }

    fn happened(&mut self, happening: Happening) {
        let now = self.clock.now();
        match happening {
            Happening::Bound if !self.joined => {
                self.joined = true;
                self.screen.joined(now, &self.me.room, &self.me.uri);
                if !self.arguments.json && self.roster.known() {
                    self.screen.who(now, &self.roster);
                }
            }
            Happening::Bound => self.screen.note(now, "You are back in the room."),
            Happening::NotBound(failure) => self.not_joined(&failure),
            Happening::Message(message) => self.message(&message),
            Happening::Sent => {}
            Happening::NotSent(failure, text) => {
                self.screen.failed(now, &failure);
                self.unsaid |= self.arguments.say.contains(&text);
                if !text.is_empty() {
                    let beginning: String = text.chars().take(UNSENT_SHOWN).collect();
                    let more = if beginning == text { "" } else { "…" };
                    self.screen
                        .note(now, &format!("Not sent: {beginning}{more}"));
                }
            }
            Happening::Nickname(nickname) => {
                self.screen.nickname(now, &nickname);
                self.nickname = nickname;
            }
            Happening::NotNicknamed(failure) => self.screen.failed(now, &failure),
        }
    }

    fn message(&mut self, message: &Received) {
        // Signals between programs, with nothing to read (RFC 3994, RFC 5438).
        if matches!(
            message.media_type.as_str(),
            "application/im-iscomposing+xml" | "message/imdn+xml"
        ) {
            return;
        }
        let text = text_of(message);
        self.expected
            .retain(|expected| !text.contains(expected.as_str()));
        let name = self.roster.name_of(&message.from, &message.name);
        self.screen.message(self.clock.now(), message, &name);
    }

    fn read(&mut self) -> Result<(), crate::msrp::connection::ConnectionError> {
        if let (Some(session), Some(connection)) = (&mut self.session, &mut self.connection) {
            connection.events(|event| session.take(event))?;
        }
        Ok(())
    }

    fn typed(&mut self, line: &str, interactive: bool) {
        let now = self.clock.now();
        match Command::parse(line) {
            None => {}
            Some(Command::Quit) => self.leave("quit", Status::Fine),
            Some(Command::Help) => HELP.lines().for_each(|line| self.screen.note(now, line)),
            Some(Command::Who) => self.screen.who(now, &self.roster),
            Some(Command::Wrong(advice)) => self.screen.note(now, &advice),
            Some(Command::Say(text)) => self.say(None, &text, !interactive),
            Some(Command::Private { to, text }) => match self.roster.find(&to) {
                Some(uri) => self.say(Some(&uri), &text, !interactive),
                None => {
                    let reason = format!("nobody here is called {to}");
                    let failure = Failure::unusable("send", &reason, "/who shows who is here.");
                    self.screen.failed(now, &failure);
                }
            },
            Some(Command::Nick(nickname)) => match &mut self.session {
                Some(session) => session.nickname(now, &nickname),
                None => self.not_yet(),
            },
        }
    }

    fn not_yet(&mut self) {
        let now = self.clock.now();
        self.screen
            .note(now, "You are not in the room yet; try again in a moment.");
    }

    fn say(&mut self, to: Option<&str>, text: &str, show: bool) {
        let now = self.clock.now();
        let Some(session) = &mut self.session else {
            return self.not_yet();
        };
        session.say(now, to, text);
        if show {
            let name = match (self.nickname.as_str(), self.arguments.name.as_str()) {
                ("", "") => short(&self.me.uri),
                ("", name) => name,
                (nickname, _) => nickname,
            };
            let name = match to {
                Some(to) => format!("{name} (only to {})", self.roster.name_of(to, "")),
                None => name.to_owned(),
            };
            self.screen.said(now, &name, text);
        }
    }

    /// Carries out the actions of the command line; true when it did something.
    fn script(&mut self) -> bool {
        if !self.joined || !self.roster_settled || self.ending.is_some() {
            return false;
        }
        if !self.said {
            self.said = true;
            for text in self.arguments.say.clone() {
                self.say(None, &text, true);
            }
            return true;
        }
        let expecting = !self.arguments.expect.is_empty();
        if expecting && self.expected.is_empty() && !self.arguments.stay {
            self.leave("everything expected has come", Status::Fine);
        } else if self.input_over && self.limit.is_none() {
            self.leave("the input is over", Status::Fine);
        }
        self.ending.is_some()
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        self.agent.tick(now);
        if let Some(session) = &mut self.session {
            session.tick(now);
        }
        self.still_lost(now);
        if self.limit.is_some_and(|limit| limit <= now) {
            self.limit = None;
            self.time_is_over();
        }
    }

    fn still_lost(&mut self, now: Moment) {
        let Some(lost) = self.lost.as_mut().filter(|lost| lost.next <= now) else {
            return;
        };
        if lost.told {
            self.lost = None;
            return self.leave("the connection to the room is lost", Status::Unmet);
        }
        lost.told = true;
        lost.next = now + CALL_BACK;
        let text = format!("{}; waiting for the room to call back.", lost.reason);
        self.screen.note(now, &text);
    }

    fn time_is_over(&mut self) {
        if let Some(missing) = self.expected.first() {
            let failure = Failure::unusable(
                "find what was expected",
                &format!("no message with {missing:?} has come in time"),
                "Is the other side there? A larger --for waits longer.",
            );
            self.screen.failed(self.clock.now(), &failure);
            return self.leave("time is over", Status::Unmet);
        }
        self.leave(
            "time is over",
            if self.joined {
                Status::Fine
            } else {
                Status::NotJoined
            },
        );
    }

    /// Begins to leave; the first reason counts.
    fn leave(&mut self, reason: &str, status: Status) {
        if self.ending.is_none() {
            self.ending = Some(Ending {
                reason: reason.to_owned(),
                status,
                leaving: false,
                by: self.clock.now() + LAST_WORDS,
            });
        }
    }

    /// Sends the BYE once our last messages are through; true when it has begun.
    fn begin_to_leave(&mut self) -> bool {
        let now = self.clock.now();
        let busy = self
            .session
            .as_ref()
            .is_some_and(|session| session.unanswered() > 0)
            || self
                .connection
                .as_ref()
                .is_some_and(|connection| !connection.drained());
        let hopeless = self.connection.is_none();
        let Some(ending) = self.ending.as_mut().filter(|ending| !ending.leaving) else {
            return false;
        };
        let due = !busy || hopeless || ending.by <= now;
        if due {
            ending.leaving = true;
            ending.by = now + LEAVE_TIMEOUT;
            self.agent.leave(now);
        }
        due
    }

    fn over(&mut self) -> Option<Status> {
        let now = self.clock.now();
        let ending = self.ending.as_ref().filter(|ending| ending.leaving)?;
        if !self.agent.finished() && ending.by > now {
            return None;
        }
        if self.joined {
            self.screen.left(now, &ending.reason);
        }
        match ending.status {
            Status::Fine if self.unsaid => Some(Status::Unmet),
            status => Some(status),
        }
    }

    fn not_joined(&mut self, failure: &Failure) {
        self.screen.failed(self.clock.now(), failure);
        let status = if self.joined {
            Status::Unmet
        } else {
            Status::NotJoined
        };
        self.connection = None;
        self.leave("the room cannot be reached", status);
    }

    fn refused(&mut self) {
        if !self.joined && self.session.is_none() {
            let error = std::io::ErrorKind::ConnectionRefused.into();
            self.agent.abandon();
            let place = self.arguments.access.proxy.clone();
            let place = place.unwrap_or_else(|| self.arguments.room.clone());
            self.not_joined(&Failure::network("join", &place, &error));
        }
    }

    fn cannot_send(&mut self, failure: &Failure) {
        match self.joined {
            true => self.screen.failed(self.clock.now(), failure),
            false => {
                self.agent.abandon();
                self.not_joined(failure);
            }
        }
    }

    fn hung_up(&mut self) {
        let unfinished = !self.expected.is_empty() || !self.said || !self.joined;
        let status = if unfinished {
            Status::Unmet
        } else {
            Status::Fine
        };
        self.connection = None;
        self.leave("the room ended the call", status);
    }

    fn connection_lost(&mut self, reason: &str) {
        self.connection = None;
        self.session = None;
        self.lost = self.ending.is_none().then(|| Lost {
            reason: reason.to_owned(),
            told: false,
            next: self.clock.now() + QUIET,
        });
    }

    fn deadline(&self) -> Option<Moment> {
        [
            self.agent.deadline(),
            self.session.as_ref().and_then(Session::deadline),
            self.lost.as_ref().map(|lost| lost.next),
            self.limit,
            self.ending.as_ref().map(|ending| ending.by),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

#[cfg(test)]
mod tests;
