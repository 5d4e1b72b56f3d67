//! The history of rooms (room option `history`). The switch has it and gives it to newcomers,
//! the store outlasts the switch; the focus has none of it in memory. It passes on what is
//! said, gives a switch that does not know a room what the store has, and says when a history
//! ends: with its room.

use crate::control::{Admission, Order, PastMessage, RoomUri};
use crate::focus::record::{HistoryChange, Query};
use crate::focus::sip::cause::Cause;
use crate::focus::{Focus, Output};
use crate::time::Moment;

impl Focus {
    /// Asks the switch to take a session in. A run of it that has not had the room from us
    /// gets the room's history first; if it lives there all the same, it knows better.
    pub(in crate::focus) fn order_admission(&mut self, admission: Admission) {
        let Some((admission, most)) = self.wait_for_history(admission) else {
            return;
        };
        if let Some(most) = most {
            let room = admission.room.clone();
            self.out
                .push(Output::Ask(Query::History(room.clone(), most)));
            if let Some(conference) = self.rooms.conference_unmarked(&room) {
                conference.recalling = Some(vec![admission]);
            }
        } else {
            self.out.order(Order::Admit(Box::new(admission)));
        }
    }

    /// `None` when the admission waits with others; with a number when so many messages must be
    /// looked up first.
    fn wait_for_history(&mut self, admission: Admission) -> Option<(Admission, Option<u16>)> {
        let run = self.switch.run;
        let is_stored = self.rooms.kept.is_stored();
        let Some(conference) = self.rooms.conference_unmarked(&admission.room) else {
            return Some((admission, None));
        };
        if let Some(mut waiting) = conference.recalling.take() {
            // Some have given up meanwhile.
            waiting.retain(|it| self.rooms.occupant(&it.session).is_some());
            let room = admission.room.clone();
            waiting.push(admission);
            if let Some(conference) = self.rooms.conference_unmarked(&room) {
                conference.recalling = Some(waiting);
            }
            return None;
        }
        let most = conference.policy.rules.history;
        if most == 0 || !is_stored || (run.is_some() && conference.recalled == run) {
            return Some((admission, None));
        }
        Some((admission, Some(most)))
    }

    /// The history of a room was looked up: the switch gets it, and whoever waited is admitted.
    pub(in crate::focus) fn recalled(&mut self, room: &RoomUri, messages: Vec<PastMessage>) {
        let run = self.switch.run;
        let Some(conference) = self.rooms.conference_unmarked(room) else {
            return;
        };
        conference.recalled = run;
        let waiting = conference.recalling.take();
        if !messages.is_empty() {
            let room = room.clone();
            self.out.order(Order::Recall { room, messages });
        }
        for admission in waiting.unwrap_or_default() {
            let session = &admission.session;
            if self.rooms.occupant(session).is_some() {
                self.out.order(Order::Admit(Box::new(admission)));
            }
        }
    }

    /// It cannot be read: without it the switch would begin another one in its place.
    pub(in crate::focus) fn not_recalled(&mut self, now: Moment, room: &RoomUri) {
        let conference = self.rooms.conference_unmarked(room);
        let waiting = conference.and_then(|it| it.recalling.take());
        for admission in waiting.unwrap_or_default() {
            self.not_admitted(now, &admission.session, Cause::StoreUnreadable);
        }
    }

    /// A switch has come (back): what it had got before may have been lost on the way.
    pub(in crate::focus) fn recall_again(&mut self) {
        for (_, conference) in self.rooms.conferences_unmarked() {
            conference.recalled = None;
        }
    }

    /// The switch has put messages into a room's history.
    pub(in crate::focus) fn remember(
        &mut self,
        room: RoomUri,
        messages: Vec<PastMessage>,
        gone: u64,
    ) {
        let ended = match self.rooms.conferences().get(&room) {
            Some(conference) => conference.policy.rules.history == 0,
            // Of a room that is not known it is kept: should it have ended, the switch says so.
            None if !self.is_known(&room) => false,
            None => self
                .ruled(&room)
                .is_none_or(|policy| policy.rules.history == 0),
        };
        let up_to = messages.last().map_or(0, |message| message.number);
        let done = Order::Remembered {
            room: room.clone(),
            up_to,
            octets: messages.iter().map(|message| message.octets.len()).sum(),
        };
        if ended {
            // It has ended meanwhile.
            return self.out.order(done);
        }
        let change = HistoryChange {
            room,
            messages,
            gone,
        };
        self.out.push(Output::Remember(change, done));
    }

    /// A room's history ends. The switch may have told some of it that we have not heard yet:
    /// when it says that it has forgotten, that is forgotten too.
    pub(in crate::focus) fn forget_history(&mut self, room: &RoomUri) {
        self.history_forgotten(room.clone());
        self.out.order(Order::Forget { room: room.clone() });
    }

    pub(in crate::focus) fn history_forgotten(&mut self, room: RoomUri) {
        self.rooms.ended_histories.push(room);
    }

    /// Whether a room is there without a conference, as far as is known.
    pub(in crate::focus) fn lasts(&self, room: &RoomUri) -> bool {
        self.rooms.configured.contains_key(room) || self.rooms.kept.made(room).is_some()
    }
}
