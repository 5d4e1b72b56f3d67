//! One of the two identities of a check, and all its observations.

use crate::call::Caller;
use crate::failure::Failure;
use crate::msrp::Received;
use crate::participant::{News, Participant};
use crate::sip::Capabilities;
use msrp_conference::time::{Clock, Moment};

/// A participant and its observations.
pub(super) struct Party {
    clock: Clock,
    pub(super) participant: Participant,
    pub(super) seen: Seen,
}

/// Everything a party has observed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) capabilities: Option<Capabilities>,
    pub(super) accepted: bool,
    pub(super) accepted_at: Option<Moment>,
    pub(super) bound: bool,
    pub(super) failure: Option<Failure>,
    /// Number of conference-info documents received; `full` if one was full.
    pub(super) rosters: u32,
    pub(super) full: bool,
    pub(super) no_roster: Option<Failure>,
    pub(super) messages: Vec<Received>,
    pub(super) sent: u32,
    pub(super) left: bool,
}

impl Party {
    pub(super) async fn open(clock: Clock, caller: &Caller) -> Result<Self, Failure> {
        Ok(Self {
            clock,
            participant: Participant::open(clock, caller).await?,
            seen: Seen::default(),
        })
    }

    /// Processes events until `by`, or one event.
    pub(super) async fn look(&mut self, by: Moment) {
        let Some(news) = self.participant.next(by).await else {
            return;
        };
        let seen = &mut self.seen;
        match news {
            News::Capable(capabilities) => seen.capabilities = Some(capabilities),
            News::Accepted => {
                seen.accepted = true;
                seen.accepted_at = Some(self.clock.now());
            }
            News::Bound => seen.bound = true,
            News::Failed(failure) | News::NotSent(failure) => seen.failure = Some(failure),
            News::Roster(full) => {
                seen.rosters += 1;
                seen.full |= full;
            }
            News::NoRoster(failure) => seen.no_roster = Some(failure),
            News::Message(message) => seen.messages.push(message),
            News::Sent => seen.sent += 1,
            News::Lost(reason) => {
                let advice = "The server's log says why it closed the connection.";
                seen.failure = Some(Failure::unusable("stay connected", &reason, advice));
            }
            News::HungUp => {
                let advice = "The server's log says why it let this participant go.";
                let reason = "the room ended the call";
                seen.failure = Some(Failure::unusable("stay", reason, advice));
            }
            News::Left => seen.left = true,
            // The next message would show if the new address were wrong.
            News::Moved => {
                if let Err(failure) = self.participant.connect().await {
                    self.seen.failure = Some(failure);
                }
            }
        }
    }
}
