//! One participant without a screen: a call, its subscription and its chat session, driven by calls
//! of [`Participant::next`].

use crate::call::{self, Caller, Me};
use crate::failure::Failure;
use crate::msrp::connection::Connection;
use crate::msrp::{Certificate, Happening, Received, Session, Trust};
use crate::offer::Peer;
use crate::roster::{Roster, RosterError};
use crate::sip::transport::Transport;
use crate::sip::{Agent, Capabilities, Event};
use msrp_conference::entropy;
use msrp_conference::time::{Clock, Moment};
use std::path::PathBuf;
use tokio::time::sleep;

/// An event of a participant.
#[derive(Debug)]
pub(crate) enum News {
    /// The answer to OPTIONS.
    Capable(Capabilities),
    /// The room admitted us: connect.
    Accepted,
    /// The room has moved its chat: connect again.
    Moved,
    /// The room has bound the connection.
    Bound,
    /// The call, or its chat, failed.
    Failed(Failure),
    /// A roster arrived; true for a full document.
    Roster(bool),
    /// There will be no roster.
    NoRoster(Failure),
    /// A message came.
    Message(Received),
    /// A message of ours was accepted.
    Sent,
    /// A message of ours was refused.
    NotSent(Failure),
    /// The chat connection is gone.
    Lost(String),
    /// The room ended the call.
    HungUp,
    /// We have left the room.
    Left,
}

/// The participant.
pub(crate) struct Participant {
    clock: Clock,
    name: String,
    me: Me,
    authorities: Option<PathBuf>,
    transport: Transport,
    agent: Agent,
    session: Option<Session>,
    connection: Option<Connection>,
    roster: Roster,
}

impl Participant {
    /// Opens the SIP sockets; nothing is sent.
    pub(crate) async fn open(clock: Clock, caller: &Caller) -> Result<Self, Failure> {
        let (transport, agent, me) = call::open(caller).await?;
        Ok(Self {
            clock,
            name: caller.name.clone(),
            me,
            authorities: caller.access.ca.clone(),
            transport,
            agent,
            session: None,
            connection: None,
            roster: Roster::default(),
        })
    }

    /// Sends OPTIONS.
    pub(crate) fn ask_capabilities(&mut self) {
        self.agent.ask_capabilities(self.clock.now());
    }

    /// Calls the room.
    pub(crate) fn join(&mut self) {
        self.agent.join(self.clock.now());
    }

    /// Opens the chat connection after `Accepted` or `Moved` and binds it.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        let Some(peer) = self.peer().cloned() else {
            return Ok(());
        };
        let connection = Connection::open(&peer, self.authorities.as_deref()).await?;
        let session = Session::start(
            self.clock.now(),
            self.agent.stream(),
            (&self.name, &self.me.uri),
            &self.me.room,
            &mut entropy::System,
        );
        (self.connection, self.session) = (Some(connection), Some(session));
        Ok(())
    }

    /// Sends a text to everybody; false before the connection exists.
    pub(crate) fn say(&mut self, text: &str) -> bool {
        let now = self.clock.now();
        let session = self.session.as_mut();
        session
            .map(|session| session.say(now, None, text))
            .is_some()
    }

    /// Sends a text to everybody that no client shows and no history keeps.
    pub(crate) fn say_unseen(&mut self, text: &str) {
        let now = self.clock.now();
        if let Some(session) = &mut self.session {
            session.say_unseen(now, text);
        }
    }

    /// Ends the call; `Left` follows.
    pub(crate) fn leave(&mut self) {
        self.agent.leave(self.clock.now());
    }

    /// The room's side of the chat.
    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.agent.stream().peer.as_ref()
    }

    /// Our address of record.
    pub(crate) fn address(&self) -> &str {
        &self.me.uri
    }

    /// Why the room's certificate is trusted; `None` without TLS.
    pub(crate) fn trust(&self) -> Option<&Trust> {
        self.connection.as_ref()?.trust()
    }

    /// Details of the room's certificate.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        self.connection.as_ref()?.certificate()
    }

    /// The call itself.
    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The current roster.
    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The next event; `None` when there is none until `by`.
    pub(crate) async fn next(&mut self, by: Moment) -> Option<News> {
        loop {
            if let Some(news) = self.settle().await {
                return Some(news);
            }
            let now = self.clock.now();
            if by <= now {
                return None;
            }
            let session = self.session.as_ref().and_then(Session::deadline);
            let wake = [self.agent.deadline(), session, Some(by)];
            let wake = wake.into_iter().flatten().min().unwrap_or(by);
            tokio::select! {
                got = self.transport.receive() => match got {
                    Some((source, message)) => {
                        self.agent.receive(self.clock.now(), source, message);
                    }
                    None => return self.refused(),
                },
                turned = turn(&mut self.connection) => {
                    if let Err(error) = turned.and_then(|()| self.read()) {
                        (self.connection, self.session) = (None, None);
                        return Some(News::Lost(error.to_string()));
                    }
                }
                () = sleep(wake.saturating_since(now)) => {}
            }
            let now = self.clock.now();
            self.agent.tick(now);
            if let Some(session) = &mut self.session {
                session.tick(now);
            }
        }
    }

    /// Sends all pending output, and returns the first event to report.
    async fn settle(&mut self) -> Option<News> {
        loop {
            for (hop, octets) in self.agent.outgoing() {
                if let Err(failure) = self.transport.send(&hop, &octets).await {
                    return Some(News::Failed(failure));
                }
            }
            if let (Some(session), Some(connection)) = (&mut self.session, &mut self.connection) {
                connection.write(session.take_output());
            }
            let news = match self.agent.event() {
                Some(event) => self.called(event),
                None => {
                    let session = self.session.as_mut();
                    let happening = session.and_then(Session::happening)?;
                    chatted(happening)
                }
            };
            if news.is_some() {
                return news;
            }
        }
    }

    fn called(&mut self, event: Event) -> Option<News> {
        Some(match event {
            Event::Capable(capabilities) => News::Capable(capabilities),
            Event::Accepted => News::Accepted,
            Event::Moved => News::Moved,
            Event::Failed(failure) => News::Failed(failure),
            Event::NoRoster(failure) => News::NoRoster(failure),
            Event::Document(octets) => return self.document(&octets),
            Event::RosterEnded => return None,
            Event::HungUp => News::HungUp,
            Event::Left => News::Left,
        })
    }

    fn document(&mut self, octets: &[u8]) -> Option<News> {
        match self.roster.take(octets) {
            Ok(update) => update.map(|update| News::Roster(update.full)),
            Err(RosterError::Apply(_)) => {
                // A refresh brings a full document with everything missed.
                self.roster.forget();
                self.agent.subscribe(self.clock.now());
                None
            }
            Err(error) => Some(News::NoRoster(Failure::unusable(
                "read the roster",
                &error.to_string(),
                "Ask the makers of the server.",
            ))),
        }
    }

    fn read(&mut self) -> Result<(), crate::msrp::connection::ConnectionError> {
        if let (Some(session), Some(connection)) = (&mut self.session, &mut self.connection) {
            connection.events(|event| session.take(event))?;
        }
        Ok(())
    }

    fn refused(&mut self) -> Option<News> {
        self.agent.abandon();
        let error = std::io::ErrorKind::ConnectionRefused.into();
        let place = self.transport.server().to_string();
        Some(News::Failed(Failure::network(
            "reach the server",
            &place,
            &error,
        )))
    }
}

fn chatted(happening: Happening) -> Option<News> {
    Some(match happening {
        Happening::Bound => News::Bound,
        Happening::NotBound(failure) => News::Failed(failure),
        Happening::Message(message) => News::Message(message),
        Happening::Sent => News::Sent,
        Happening::NotSent(failure, _) => News::NotSent(failure),
        Happening::Nickname(_) | Happening::NotNicknamed(_) => return None,
    })
}

/// Reads or writes while there is a connection.
pub(crate) async fn turn(
    connection: &mut Option<Connection>,
) -> Result<(), crate::msrp::connection::ConnectionError> {
    match connection {
        Some(connection) => connection.turn().await,
        None => std::future::pending().await,
    }
}
