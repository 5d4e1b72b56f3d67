//! The call to the room: its dialog, its stream, its state, and the room's requests within it (RFC
//! 3261 §14, §15).

use super::dialog::Dialog;
use super::event::{ALLOW, Event};
use super::served::Reply;
use crate::offer::Stream;
use msrp_conference::wire::sip::{NameAddr, Request};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Inviting,
    Up,
    Leaving,
    Over,
}

/// The call.
pub(super) struct Call {
    pub(super) dialog: Dialog,
    pub(super) phase: Phase,
    pub(super) stream: Stream,
}

/// An answer, and the event it causes.
type Answer = (Reply, Option<Event>);

impl Call {
    pub(super) fn bye(&mut self, request: &Request) -> Answer {
        if !self.dialog.holds(request) || self.phase == Phase::Over {
            return (Reply::code(481), None);
        }
        let was_up = self.phase == Phase::Up;
        self.phase = Phase::Over;
        let event = match was_up {
            true => Event::HungUp,
            false => Event::Left,
        };
        (Reply::code(200), Some(event))
    }

    /// Answers a re-INVITE; without a body, the answer has an offer of ours.
    pub(super) fn reinvite(&mut self, request: &Request, contact: &str) -> Answer {
        match () {
            // We are in one room and accept no calls.
            () if !self.dialog.holds(request) => {
                let code = if has_tag(request) { 481 } else { 486 };
                (Reply::code(code), None)
            }
            () if !self.dialog.in_order(request) => (out_of_order(), None),
            () if request.body.is_empty() => {
                let offer = self.stream.clone().offer();
                (described(Ok(offer), contact), None)
            }
            () => self.take_offer(&request.body, contact),
        }
    }

    pub(super) fn update(&mut self, request: &Request, contact: &str) -> Answer {
        match () {
            () if !self.dialog.holds(request) => (Reply::code(481), None),
            () if !self.dialog.in_order(request) => (out_of_order(), None),
            // A session timer's refresh (RFC 4028 §7.4).
            () if request.body.is_empty() => (Reply::code(200).with("Contact", contact), None),
            () => self.take_offer(&request.body, contact),
        }
    }

    /// The ACK of our 2xx to a re-INVITE without an offer brings the answer.
    pub(super) fn take_answer(&mut self, body: &[u8]) -> Option<Event> {
        matches!(self.stream.read(body), Ok(true)).then_some(Event::Moved)
    }

    fn take_offer(&mut self, offer: &[u8], contact: &str) -> Answer {
        let before = self.stream.peer.clone();
        let answer = self.stream.answer(offer).map_err(|_| ());
        let moved = answer.is_ok() && self.stream.peer != before;
        (described(answer, contact), moved.then_some(Event::Moved))
    }
}

fn out_of_order() -> Reply {
    Reply::code(500).with("Retry-After", "1")
}

fn described(description: Result<String, ()>, contact: &str) -> Reply {
    let Ok(description) = description else {
        return Reply::code(488);
    };
    Reply {
        body: description.into(),
        ..Reply::code(200)
            .with("Contact", contact)
            .with("Allow", ALLOW)
            .with("Content-Type", "application/sdp")
    }
}

fn has_tag(request: &Request) -> bool {
    let to = request.headers.first("To").map(str::parse::<NameAddr>);
    matches!(to, Some(Ok(to)) if to.tag().is_some())
}
