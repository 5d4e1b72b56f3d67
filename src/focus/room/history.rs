//! The history of rooms (room option `history`). The switch holds it and sends it to newcomers, and
//! the store outlasts the switch; the focus has none of it in memory. The focus passes messages
//! from the switch to the store, gives the stored history to a switch that lacks a room, and ends a
//! history with its room.

use crate::control::{Admission, Order, PastMessage, RoomUri};
use crate::focus::record::{HistoryChange, Query};
use crate::focus::sip::cause::Cause;
use crate::focus::{Focus, Output};
use crate::time::Moment;

impl Focus {
    /// Orders the switch to admit a session. A run of the switch that has not had the room's
    /// history from us gets it first; a switch that has the room ignores it.
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

    /// `None` when the admission waits with others; with a number when that many messages must be
    /// looked up first.
    fn wait_for_history(&mut self, admission: Admission) -> Option<(Admission, Option<u16>)> {
        let run = self.switch.run;
        let is_stored = self.rooms.kept.is_stored();
        let Some(conference) = self.rooms.conference_unmarked(&admission.room) else {
            return Some((admission, None));
        };
        if let Some(mut waiting) = conference.recalling.take() {
            // Some callers may have given up meanwhile.
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

    /// Sends a history that was looked up to the switch, and admits the sessions that waited for
    /// it.
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

    /// The history cannot be read: refuses the sessions that waited, because without it the switch
    /// would begin a new history.
    pub(in crate::focus) fn not_recalled(&mut self, now: Moment, room: &RoomUri) {
        let conference = self.rooms.conference_unmarked(room);
        let waiting = conference.and_then(|it| it.recalling.take());
        for admission in waiting.unwrap_or_default() {
            self.not_admitted(now, &admission.session, Cause::StoreUnreadable);
        }
    }

    /// A switch has (re)connected: the histories sent before may be lost.
    pub(in crate::focus) fn recall_again(&mut self) {
        for (_, conference) in self.rooms.conferences_unmarked() {
            conference.recalled = None;
        }
    }

    /// Passes messages of a room's history from the switch to the store.
    pub(in crate::focus) fn remember(
        &mut self,
        room: RoomUri,
        messages: Vec<PastMessage>,
        gone: u64,
    ) {
        let ended = match self.rooms.conferences().get(&room) {
            Some(conference) => conference.policy.rules.history == 0,
            // Keep the history of an unknown room: the switch reports the end of a history.
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
            // The history has ended meanwhile.
            return self.out.order(done);
        }
        let change = HistoryChange {
            room,
            messages,
            gone,
        };
        self.out.push(Output::Remember(change, done));
    }

    /// Ends a room's history. Notices of the switch about it may be on their way: its `Forgotten`
    /// ends those messages, too.
    pub(in crate::focus) fn forget_history(&mut self, room: &RoomUri) {
        self.history_forgotten(room.clone());
        self.out.order(Order::Forget { room: room.clone() });
    }

    pub(in crate::focus) fn history_forgotten(&mut self, room: RoomUri) {
        self.rooms.ended_histories.push(room);
    }

    /// Whether the room is known to exist without a conference.
    pub(in crate::focus) fn lasts(&self, room: &RoomUri) -> bool {
        self.rooms.configured.contains_key(room) || self.rooms.kept.made(room).is_some()
    }
}
