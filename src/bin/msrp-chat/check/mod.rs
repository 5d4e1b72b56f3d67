//! `msrp-chat check`: tries a server step by step, and reports at each step any fault and its
//! remedy. Steps that need a failed one are skipped; every participant who has joined leaves in any
//! case.

mod description;
mod party;
mod remedy;
mod report;

use crate::call::{self, Caller};
use crate::cli::CheckArguments;
use crate::failure::Failure;
use crate::msrp::{ENCRYPT, Received, Trust, same_address};
use msrp_conference::entropy::{self, token};
use msrp_conference::time::{Clock, Moment};
use msrp_conference::wire::msrp::UriRef;
use party::Party;
use report::{End, Finding, Form, Report, Verdict};
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Listening time of one participant before the other's turn.
const TURN: Duration = Duration::from_millis(5);
/// Names to show of a roster that does not contain us.
const NAMES_SHOWN: usize = 3;
/// The step in which the first participant joins.
const FIRST: &str = "join";
/// Length of the random text that makes a test message unique.
const MARK_CHARACTERS: usize = 12;
/// Time in which an unacknowledged 2xx comes twice more: after T1, and after twice that (RFC 3261
/// §13.3.1.4).
const ACK_SHOWS: Duration = Duration::from_millis(1_700);
/// Repetitions that prove a lost ACK; a single one may be due to a lost datagram.
const LOST_ACK: u32 = 2;

/// Exit code of a monitoring plugin that could not run its check.
pub(crate) const UNKNOWN: u8 = 3;

/// Runs every step.
pub(crate) async fn run(arguments: CheckArguments) -> ExitCode {
    let form = match (arguments.json, arguments.nagios) {
        (true, _) => Form::Json,
        (_, true) => Form::Plugin,
        _ => Form::Text,
    };
    let report = Report::new(form, Box::new(io::stdout()));
    let mut check = Check::new(arguments, report);
    check.all().await;
    ExitCode::from(match (check.report.end(), form) {
        (End::Fine, _) => 0,
        (End::Warned, Form::Plugin) | (End::Failed, Form::Text | Form::Json) => 1,
        (End::Warned, _) => 0,
        (End::Failed, Form::Plugin) => 2,
    })
}

struct Check {
    arguments: CheckArguments,
    clock: Clock,
    report: Report,
    /// When the step began.
    since: Moment,
    /// The first participant's identity in the room, if it differs from the one they claim.
    known_as: Option<String>,
}

/// A failed step, after which the rest is pointless.
struct Stopped;

type Step<T = ()> = Result<T, Stopped>;

impl Check {
    fn new(arguments: CheckArguments, report: Report) -> Self {
        let clock = Clock::start();
        Self {
            arguments,
            clock,
            report,
            since: clock.now(),
            known_as: None,
        }
    }

    async fn all(&mut self) {
        let mut parties = Vec::new();
        match self.everybody_in(&mut parties).await {
            Ok(()) => {
                // Leaves even if talking failed.
                let _ = self.talk(&mut parties).await;
                self.acknowledged(&mut parties).await;
                self.leave(&mut parties).await;
            }
            Err(Stopped) => {
                // The failure is reported already.
                let _ = self.hang_up(&mut parties).await;
            }
        }
    }

    async fn everybody_in(&mut self, parties: &mut Vec<Party>) -> Step {
        let server = self.address().await?;
        self.options().await?;
        let caller = self.first();
        let first = self.join(FIRST, &caller).await?;
        parties.push(first);
        let first = &mut parties[0];
        self.focus(first)?;
        self.description(first, server)?;
        self.connection(first).await?;
        self.certificate(first);
        self.bind("bind", first).await?;
        self.roster(first).await;
        let caller = self.second();
        let second = self.join("second", &caller).await?;
        parties.push(second);
        self.second_in(parties).await
    }

    /// Checks that the host has an address.
    async fn address(&mut self) -> Step<SocketAddr> {
        match call::server_address(&self.first()).await {
            Ok(address) => {
                self.done("address", Finding::fine(format!("the server is {address}")))?;
                Ok(address)
            }
            Err(failure) => Err(self.failed("address", failure)),
        }
    }

    /// Checks that SIP gets there and back. Any answer will do; its meaning for a room shows at the
    /// join.
    async fn options(&mut self) -> Step {
        let mut party = self.open("sip", &self.first()).await?;
        party.participant.ask_capabilities();
        self.wait(&mut [&mut party], |parties| {
            parties[0].seen.capabilities.is_some() || parties[0].seen.failure.is_some()
        })
        .await;
        if let Some(failure) = party.seen.failure {
            return Err(self.failed("sip", failure));
        }
        let answer = party.seen.capabilities.filter(|answer| answer.code != 0);
        let Some(answer) = answer else {
            return Err(self.failed("sip", Failure::silence("reach the server")));
        };
        let software = match answer.software.as_str() {
            "" => String::new(),
            name => format!(", from {name}"),
        };
        let seen = format!("OPTIONS: {} {}{software}", answer.code, answer.reason);
        self.done(
            "sip",
            match answer.code {
                200..=299 | 401 | 407 => Finding::fine(seen),
                _ => Finding::warning(
                    seen,
                    "Either there is no such room, or the script does not give OPTIONS for rooms to \
                     msrp_conference_handle() as it does INVITE.",
                ),
            },
        )
    }

    async fn join(&mut self, name: &str, caller: &Caller) -> Step<Party> {
        let mut party = self.open(name, caller).await?;
        party.participant.join();
        let in_time = self
            .wait(&mut [&mut party], |parties| {
                parties[0].seen.accepted || parties[0].seen.failure.is_some()
            })
            .await;
        if let Some(mut failure) = party.seen.failure.take() {
            failure.advice = match failure.code {
                Some(code) => {
                    let stranger = party.participant.agent().refused_by();
                    let first = name == FIRST;
                    match stranger.filter(|_| remedy::is_explained(code)) {
                        Some(software) => remedy::stranger(&failure, software),
                        None => remedy::join(&failure, &caller.access, &caller.from, first),
                    }
                }
                None if party.participant.agent().is_focus() => failure.advice,
                None => remedy::STRANGER.to_owned(),
            };
            return Err(self.failed(name, failure));
        }
        if !in_time {
            let advice = "The request may have got lost in the script: does every way through \
                it end in msrp_conference_handle() or in an answer? Or is something between \
                that lets OPTIONS pass and INVITE not?";
            let seen = "the INVITE is not answered";
            return self
                .done(name, Finding::failed(seen, advice))
                .map(|()| party);
        }
        let account = match party.participant.agent().challenged() {
            true => "with an account",
            false => "without being asked for an account",
        };
        let seen = format!("{} is in, {account}", caller.from);
        self.done(name, Finding::fine(seen))?;
        Ok(party)
    }

    fn focus(&mut self, party: &Party) -> Step {
        self.done(
            "focus",
            match party.participant.agent().is_focus() {
                true => Finding::fine("the Contact says isfocus"),
                false => Finding::failed(
                    "the Contact does not say isfocus: whoever answers is no conference server",
                    remedy::STRANGER,
                ),
            },
        )
    }

    fn description(&mut self, party: &Party, server: SocketAddr) -> Step {
        let finding = match party.participant.peer() {
            Some(peer) => description::judge(peer, server.ip()),
            None => Finding::failed("there is no session description", remedy::STRANGER),
        };
        self.done("description", finding)
    }

    async fn connection(&mut self, party: &mut Party) -> Step {
        let place = place(party);
        let reached = Finding::fine(format!("{place} takes connections"));
        let finding = match party.participant.connect().await {
            Ok(()) => reached,
            Err(failure) if failure.what == ENCRYPT => {
                self.done("connection", reached)?;
                return Err(self.failed("certificate", failure));
            }
            Err(failure) => {
                let advice = remedy::connection(&failure);
                Finding::failed(failure.reason, advice)
            }
        };
        self.done("connection", finding)
    }

    fn certificate(&mut self, party: &Party) {
        let shown = party.participant.certificate();
        let shown = shown.map(|it| it.to_string()).unwrap_or_default();
        let finding = match party.participant.trust() {
            None => Finding::skipped("the chat is not encrypted; --msrps asks for it", ""),
            Some(Trust::Vouched) => Finding::fine(format!("CA-signed; {shown}")),
            Some(Trust::Announced(against)) => Finding::warning(
                format!("as announced in SDP, but: {against}; {shown}"),
                remedy::certificate(against),
            ),
        };
        self.tell("certificate", &finding)
    }

    async fn bind(&mut self, name: &str, party: &mut Party) -> Step {
        let in_time = self
            .wait(&mut [party], |parties| {
                parties[0].seen.bound || parties[0].seen.failure.is_some()
            })
            .await;
        let finding = match party.seen.failure.take() {
            Some(failure) => failure.into(),
            None if in_time => Finding::fine("the first SEND was answered with 200"),
            None => Finding::failed(
                "the first SEND is not answered",
                "Something else listens at that address, or cuts connections: a proxy that \
                 knows no MSRP?",
            ),
        };
        self.done(name, finding)
    }

    async fn roster(&mut self, party: &mut Party) {
        self.wait(&mut [party], |parties| {
            parties[0].seen.full || parties[0].seen.no_roster.is_some()
        })
        .await;
        let present = party.participant.roster().present();
        let named = present.iter().map(|user| user.entity.as_str());
        let named: Vec<&str> = named.take(NAMES_SHOWN).collect();
        let me = party.participant.address();
        let finding = match &party.seen.no_roster {
            Some(failure) => {
                let advice = remedy::subscribe(failure);
                let failure = failure.clone();
                Failure { advice, ..failure }.into()
            }
            None if party.seen.full => {
                if !present.iter().any(|user| same_address(&user.entity, me)) {
                    self.known_as = Some(named.join(", "));
                }
                roster_finding(me, self.known_as.as_deref(), present.len())
            }
            None if party.participant.agent().subscribed_well() => Finding::failed(
                "the SUBSCRIBE was accepted, and no NOTIFY has come",
                remedy::NO_NOTIFY,
            ),
            None => Finding::failed("the SUBSCRIBE is not answered", remedy::NO_SUBSCRIBE),
        };
        self.tell("roster", &finding);
    }

    /// Checks that the second is connected, and that the first is notified.
    async fn second_in(&mut self, parties: &mut [Party]) -> Step {
        let [first, second] = parties else {
            return Err(Stopped);
        };
        let known = first.seen.rosters;
        if let Err(failure) = second.participant.connect().await {
            return Err(self.failed("second", failure));
        }
        self.bind("second-bind", second).await?;
        if !first.seen.full {
            self.tell("news", &Finding::skipped("there is no roster", ""));
            return Ok(());
        }
        let told = self
            .wait(&mut [first, second], |parties| {
                parties[0].seen.rosters > known
            })
            .await;
        let finding = match told {
            true => Finding::fine("the first was told of the second by NOTIFY"),
            false => Finding::warning(
                "the first was not told of the second in time",
                "NOTIFYs are held back for `notify_interval_ms`: is it longer than --patience?",
            ),
        };
        self.tell("news", &finding);
        Ok(())
    }

    /// Each of the two sends a message, and the other must receive it.
    async fn talk(&mut self, parties: &mut [Party]) -> Step {
        for (name, speaker, hearer) in [("message", 0, 1), ("reply", 1, 0)] {
            let mark = token(&mut entropy::System, MARK_CHARACTERS);
            parties[speaker].participant.say_unseen(&mark);
            let [first, second] = &mut *parties else {
                return Err(Stopped);
            };
            let arrived = self
                .wait(&mut [first, second], |parties| {
                    let heard = parties[hearer].seen.messages.iter();
                    heard.map(body_of).any(|text| text.contains(&mark))
                        || parties.iter().any(|party| party.seen.failure.is_some())
                })
                .await;
            let failure = parties
                .iter_mut()
                .find_map(|party| party.seen.failure.take());
            let finding = match failure {
                Some(failure) => {
                    let me = parties[speaker].participant.address();
                    let advice = remedy::message(&failure, me, self.known_as.as_deref());
                    Failure { advice, ..failure }.into()
                }
                None if arrived => Finding::fine("what one says, the other hears"),
                None if parties[speaker].seen.sent > 0 => Finding::failed(
                    "the room took the message and did not pass it on",
                    "Are both in the same room? The server's log may say more.",
                ),
                None => Finding::failed("the room does not answer", "See the server's log."),
            };
            self.done(name, finding)?;
        }
        Ok(())
    }

    /// Checks that the room has got our ACK, and so does not repeat its answer.
    async fn acknowledged(&mut self, parties: &mut [Party]) {
        let Some(party) = parties.first_mut() else {
            return;
        };
        let decided = party.seen.accepted_at.unwrap_or(self.since) + ACK_SHOWS;
        self.wait(&mut [party], |parties| {
            self.clock.now() >= decided || parties[0].participant.agent().repeats() >= LOST_ACK
        })
        .await;
        let finding = match party.participant.agent().repeats() {
            ..LOST_ACK => Finding::fine("the room does not repeat its answer to the INVITE"),
            some => Finding::failed(
                format!("the room repeated its answer to the INVITE {some} times"),
                remedy::NO_ACK,
            ),
        };
        self.tell("ack", &finding);
    }

    async fn leave(&mut self, parties: &mut [Party]) {
        let finding = match self.hang_up(parties).await {
            Some(200..=299) => Finding::fine("both have left"),
            Some(code) => Finding::failed(format!("BYE was answered {code}"), remedy::NO_BYE),
            None => Finding::failed("a BYE was not answered", remedy::NO_BYE),
        };
        self.tell("leave", &finding);
    }

    /// Makes everybody leave. Returns the worst answer to a BYE; `None` when one got no answer.
    async fn hang_up(&mut self, parties: &mut [Party]) -> Option<u16> {
        for party in parties.iter_mut() {
            party.participant.leave();
        }
        let mut all: Vec<&mut Party> = parties.iter_mut().collect();
        self.wait(&mut all, |parties| {
            parties.iter().all(|party| party.seen.left)
        })
        .await;
        let answers = parties
            .iter()
            .map(|party| party.participant.agent().parting());
        answers.collect::<Option<Vec<u16>>>()?.into_iter().max()
    }

    fn caller(&self, number: usize) -> Caller {
        let (from, access) = self.arguments.participant(number);
        Caller {
            room: self.arguments.room.clone(),
            from,
            name: String::new(),
            access,
            roster: true,
        }
    }

    fn first(&self) -> Caller {
        self.caller(0)
    }

    fn second(&self) -> Caller {
        self.caller(1)
    }

    async fn open(&mut self, name: &str, caller: &Caller) -> Step<Party> {
        match Party::open(self.clock, caller).await {
            Ok(party) => Ok(party),
            Err(failure) => Err(self.failed(name, failure)),
        }
    }

    /// Lets every party process events until `until` holds, or time is up.
    async fn wait(
        &self,
        parties: &mut [&mut Party],
        until: impl Fn(&[&mut Party]) -> bool,
    ) -> bool {
        let end = self.clock.now() + self.arguments.patience;
        while !until(parties) {
            if self.clock.now() >= end {
                return false;
            }
            for party in &mut *parties {
                party.look(self.clock.now() + TURN).await;
            }
        }
        true
    }

    fn failed(&mut self, name: &str, failure: Failure) -> Stopped {
        // Reported; the following steps are skipped.
        let _ = self.done(name, failure.into());
        Stopped
    }

    /// Ends a step that the next ones depend on.
    fn done(&mut self, name: &str, finding: Finding) -> Step {
        self.tell(name, &finding);
        match finding.verdict {
            Verdict::Failed => Err(Stopped),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, name: &str, finding: &Finding) {
        let now = self.clock.now();
        let took = now.saturating_since(self.since);
        self.since = now;
        self.report.step(name, finding, took);
    }
}

/// The finding about a full roster; `known_as` is the name in it instead of ours.
fn roster_finding(me: &str, known_as: Option<&str>, present: usize) -> Finding {
    match known_as {
        Some(known) => Finding::warning(
            format!("the roster does not name {me} but {known}"),
            "The server knows callers by its parameter `identity`, the account perhaps: give \
             that account with --account, or messages will be refused with 403.",
        ),
        None => Finding::fine(format!(
            "NOTIFY with the full roster, {present} in the room"
        )),
    }
}

/// Content of a message as text, whatever its type.
fn body_of(message: &Received) -> String {
    String::from_utf8_lossy(&message.content).into_owned()
}

/// Host and port of the chat.
fn place(party: &Party) -> String {
    let path = party.participant.peer().map_or("", |peer| &peer.path);
    let uri = UriRef::parse(path.split_whitespace().next().unwrap_or_default());
    uri.map_or_else(
        |_| "the chat".to_owned(),
        |uri| format!("{}:{}", uri.host(), uri.port().unwrap_or_default()),
    )
}
