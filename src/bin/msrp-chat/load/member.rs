//! One of the many participants of a load run.

use super::Run;
use crate::call::Caller;
use crate::failure::Failure;
use crate::msrp::Received;
use crate::participant::{News, Participant};
use crate::screen::text_of;
use msrp_conference::time::Moment;
use std::time::Duration;

/// How often a member with nothing to say checks whether the run is over.
const LOOK: Duration = Duration::from_millis(200);
/// Longest time for a join.
const JOIN_PATIENCE: Duration = Duration::from_secs(35);
/// Longest time for leaving.
const LEAVE_PATIENCE: Duration = Duration::from_secs(4);

/// The participant.
pub(super) struct Member<'a> {
    pub(super) run: &'a Run,
    /// The number of its room, from 0.
    pub(super) room: usize,
    pub(super) caller: Caller,
    /// Time of its join.
    pub(super) at: Moment,
    /// Time of its first message, counted from the start of talking.
    pub(super) turn: Duration,
}

/// The member is no longer in the room.
struct Out;

impl Member<'_> {
    /// The member's whole life.
    pub(super) async fn live(self) {
        let clock = self.run.clock;
        tokio::time::sleep(self.at.saturating_since(clock.now())).await;
        let begun = clock.now();
        let mut participant = match Participant::open(clock, &self.caller).await {
            Ok(participant) => participant,
            Err(failure) => return self.refused(&failure),
        };
        participant.join();
        match self.enter(&mut participant, begun).await {
            Ok(()) => self.talk(&mut participant).await,
            Err(failure) => self.refused(&failure),
        }
        self.depart(&mut participant).await;
    }

    async fn enter(&self, participant: &mut Participant, begun: Moment) -> Result<(), Failure> {
        let clock = self.run.clock;
        let end = begun + JOIN_PATIENCE;
        while clock.now() < end {
            match participant.next(end).await {
                Some(News::Accepted | News::Moved) => participant.connect().await?,
                Some(News::Bound) => {
                    let took = clock.now().saturating_since(begun);
                    self.run.figures.borrow_mut().bound(self.room, took);
                    return Ok(());
                }
                // The first NOTIFY may overtake the answer to our first SEND.
                Some(News::Roster(_)) => self.run.figures.borrow_mut().rosters += 1,
                Some(News::Failed(failure)) => return Err(failure),
                Some(News::Lost(reason)) => {
                    return Err(Failure::unusable("join", &reason, "See the server's log."));
                }
                _ => {}
            }
        }
        Err(Failure::silence("join"))
    }

    async fn talk(&self, participant: &mut Participant) {
        let clock = self.run.clock;
        let mut said = 0;
        while !self.run.over(clock.now()) {
            let now = clock.now();
            let next = self.next_word(now, said);
            let wake = next.unwrap_or(now + LOOK).min(now + LOOK);
            if let Some(news) = participant.next(wake).await
                && let Err(Out) = self.take(participant, news).await
            {
                self.run.figures.borrow_mut().lost += 1;
                break;
            }
            if next.is_some_and(|at| at <= clock.now()) {
                said += 1;
                self.speak(participant);
            }
        }
        self.run.figures.borrow_mut().gone(self.room);
    }

    /// Time of its next message; `None` before talking begins and after it ends.
    fn next_word(&self, now: Moment, said: u32) -> Option<Moment> {
        let began = self.run.talk_began(now)?;
        let at = began + self.turn + self.run.pause.saturating_mul(said);
        (at < self.run.talk_ends(now)?).then_some(at)
    }

    fn speak(&self, participant: &mut Participant) {
        let at = self.run.clock.now().saturating_since(self.run.began);
        let text = format!("{} {} ", self.run.mark, at.as_micros());
        let fill = self.run.size.saturating_sub(text.len());
        if participant.say(&(text + &"x".repeat(fill))) {
            self.run.figures.borrow_mut().said(self.room);
        }
    }

    async fn take(&self, participant: &mut Participant, news: News) -> Result<(), Out> {
        let now = self.run.clock.now();
        match news {
            News::Message(message) => {
                if let Some(sent) = sent_after(&self.run.mark, &message) {
                    let latency = now.saturating_since(self.run.began + sent);
                    self.run.figures.borrow_mut().heard(latency);
                }
            }
            News::Sent => self.run.figures.borrow_mut().accepted += 1,
            News::NotSent(failure) => {
                let mut figures = self.run.figures.borrow_mut();
                figures.not_sent += 1;
                figures.reason(failure.to_string());
            }
            News::Roster(_) => self.run.figures.borrow_mut().rosters += 1,
            News::NoRoster(failure) => self.run.figures.borrow_mut().reason(failure.to_string()),
            News::Moved => {
                if let Err(failure) = participant.connect().await {
                    self.run.figures.borrow_mut().reason(failure.to_string());
                    return Err(Out);
                }
            }
            News::Failed(failure) => {
                self.run.figures.borrow_mut().reason(failure.to_string());
                return Err(Out);
            }
            News::Lost(reason) => {
                self.run.figures.borrow_mut().reason(reason);
                return Err(Out);
            }
            News::HungUp => {
                let reason = "the room ended the call".to_owned();
                self.run.figures.borrow_mut().reason(reason);
                return Err(Out);
            }
            News::Accepted | News::Bound | News::Left | News::Capable(_) => {}
        }
        Ok(())
    }

    fn refused(&self, failure: &Failure) {
        let mut figures = self.run.figures.borrow_mut();
        figures.refused += 1;
        figures.reason(failure.to_string());
    }

    async fn depart(&self, participant: &mut Participant) {
        let clock = self.run.clock;
        participant.leave();
        let end = clock.now() + LEAVE_PATIENCE;
        while clock.now() < end {
            if matches!(participant.next(end).await, Some(News::Left)) {
                return;
            }
        }
    }
}

/// When a message of this run was sent, counted from the beginning of the run; `None` for messages
/// of others and of the room's history.
fn sent_after(mark: &str, message: &Received) -> Option<Duration> {
    let text = text_of(message);
    let micros = text
        .strip_prefix(mark)?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    Some(Duration::from_micros(micros))
}
