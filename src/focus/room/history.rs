//! The history of rooms (room option `history`). The switch has it and gives it to newcomers,
//! the store outlasts the switch; the focus has none of it in memory. It passes on what is
//! said, gives a switch that does not know a room what the store has, and says when a history
//! ends: with its room.

use crate::control::{Admission, Order, PastMessage, RoomUri};
use crate::focus::record::{HistoryChange, Query};
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
            self.outputs
                .push_back(Output::Ask(Query::History(room.clone(), most)));
            if let Some(conference) = self.conferences.get_unmarked(&room) {
                conference.recalling = Some(vec![admission]);
            }
        } else {
            self.order(Order::Admit(Box::new(admission)));
        }
    }

    /// `None` when the admission waits with others; with a number when so many messages must be
    /// looked up first.
    fn wait_for_history(&mut self, admission: Admission) -> Option<(Admission, Option<u16>)> {
        let run = self.run;
        let is_stored = self.kept_rooms.is_stored();
        let Some(conference) = self.conferences.get_unmarked(&admission.room) else {
            return Some((admission, None));
        };
        if let Some(waiting) = &mut conference.recalling {
            let (sessions, dialing) = (&self.sessions, &self.dialing);
            // Some have given up meanwhile.
            waiting.retain(|it| {
                sessions.contains_key(&it.session) || dialing.contains_key(&it.session)
            });
            waiting.push(admission);
            return None;
        }
        let most = conference.policy.history;
        if most == 0 || !is_stored || (run.is_some() && conference.recalled == run) {
            return Some((admission, None));
        }
        Some((admission, Some(most)))
    }

    /// The history of a room was looked up: the switch gets it, and whoever waited is admitted.
    pub(in crate::focus) fn recalled(&mut self, room: &RoomUri, messages: Vec<PastMessage>) {
        let run = self.run;
        let Some(conference) = self.conferences.get_unmarked(room) else {
            return;
        };
        conference.recalled = run;
        let waiting = conference.recalling.take();
        if !messages.is_empty() {
            let room = room.clone();
            self.order(Order::Recall { room, messages });
        }
        for admission in waiting.unwrap_or_default() {
            let session = &admission.session;
            if self.sessions.contains_key(session) || self.dialing.contains_key(session) {
                self.order(Order::Admit(Box::new(admission)));
            }
        }
    }

    /// It cannot be read: without it the switch would begin another one in its place.
    pub(in crate::focus) fn not_recalled(&mut self, now: Moment, room: &RoomUri) {
        let conference = self.conferences.get_unmarked(room);
        let waiting = conference.and_then(|it| it.recalling.take());
        for admission in waiting.unwrap_or_default() {
            self.not_admitted(now, &admission.session, "the database cannot be read");
        }
    }

    /// A switch has come (back): what it had got before may have been lost on the way.
    pub(in crate::focus) fn recall_again(&mut self) {
        for (_, conference) in self.conferences.iter_mut_unmarked() {
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
        let ended = match self.conferences.get(&room) {
            Some(conference) => conference.policy.history == 0,
            // Of a room that is not known it is kept: should it have ended, the switch says so.
            None if !self.is_known(&room) => false,
            None => self.ruled(&room).is_none_or(|policy| policy.history == 0),
        };
        let up_to = messages.last().map_or(0, |message| message.number);
        let done = Order::Remembered {
            room: room.clone(),
            up_to,
            octets: messages.iter().map(|message| message.octets.len()).sum(),
        };
        if ended {
            // It has ended meanwhile.
            return self.order(done);
        }
        let change = HistoryChange {
            room,
            messages,
            gone,
        };
        self.outputs.push_back(Output::Remember(change, done));
    }

    /// A room's history ends. The switch may have told some of it that we have not heard yet:
    /// when it says that it has forgotten, that is forgotten too.
    pub(in crate::focus) fn forget_history(&mut self, room: &RoomUri) {
        self.history_forgotten(room.clone());
        self.order(Order::Forget { room: room.clone() });
    }

    pub(in crate::focus) fn history_forgotten(&mut self, room: RoomUri) {
        self.ended_histories.push(room);
    }
}
