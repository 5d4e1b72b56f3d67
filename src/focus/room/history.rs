//! The history of rooms (room option `history`). The switch has it and gives it to newcomers,
//! the store outlasts the switch; the focus has none of it in memory. It passes on what is
//! said, gives a switch that does not know a room what the store has, and says when a history
//! ends: with its room.

use crate::control::{Admission, Order, PastMessage, RoomUri};
use crate::focus::record::HistoryChange;
use crate::focus::{Focus, Output};

impl Focus {
    /// Asks the switch to take a session in. A run of it that has not had the room from us
    /// gets the room's history first; if it lives there all the same, it knows better.
    pub(in crate::focus) fn order_admission(&mut self, admission: Admission) {
        self.recall(&admission.room);
        self.out.order(Order::Admit(Box::new(admission)));
    }

    fn recall(&mut self, room: &RoomUri) {
        let run = self.switch.run;
        let Some(conference) = self.rooms.conferences.get_unmarked(room) else {
            return;
        };
        let most = conference.policy.history;
        if most == 0 || (run.is_some() && conference.recalled == run) {
            return;
        }
        conference.recalled = run;
        let messages = self.rooms.kept.history(room, most);
        if !messages.is_empty() {
            let room = room.clone();
            self.out.order(Order::Recall { room, messages });
        }
    }

    /// A switch has come (back): what it had got before may have been lost on the way.
    pub(in crate::focus) fn recall_again(&mut self) {
        for (_, conference) in self.rooms.conferences.iter_mut_unmarked() {
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
        let policy = match self.rooms.conference(&room) {
            Some(conference) => Some(conference.policy.clone()),
            None => self.ruled(&room),
        };
        let up_to = messages.last().map_or(0, |message| message.number);
        let done = Order::Remembered {
            room: room.clone(),
            up_to,
            octets: messages.iter().map(|message| message.octets.len()).sum(),
        };
        if policy.is_none_or(|policy| policy.history == 0) {
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
        self.rooms.kept.forget_history(&room);
        self.rooms.ended_histories.push(room);
    }

    /// Whether a room is there without a conference: its history is, too.
    pub(in crate::focus) fn lasts(&self, room: &RoomUri) -> bool {
        self.rooms.configured.contains_key(room) || self.rooms.kept.find(room).is_some()
    }
}
