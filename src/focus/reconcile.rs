//! A switch has come (back): the focus names the sessions it believes in, and takes what it
//! missed from the answers.

use std::collections::HashMap;

use super::Focus;
use crate::control::{LossCause, Order, RoomUri, SessionId, Stand, Standing};
use crate::time::Moment;

impl Focus {
    pub(super) fn present_sessions(&mut self) {
        let mut rooms: HashMap<RoomUri, Vec<SessionId>> = HashMap::new();
        for (session, id) in &self.sessions {
            if let Some(endpoint) = self.endpoints.get(id) {
                let sessions = rooms.entry(endpoint.room.clone()).or_default();
                sessions.push(session.clone());
            }
        }
        for room in self.conferences.keys() {
            rooms.entry(room.clone()).or_default();
        }
        for (room, sessions) in rooms {
            for order in Order::reconcile(&room, &sessions) {
                self.order(order);
            }
        }
    }

    pub(super) fn reconciled(&mut self, now: Moment, room: &RoomUri, stands: Vec<Stand>) {
        for stand in stands {
            if stand.standing == Standing::Gone {
                self.lost(now, &stand.session, LossCause::Disconnected);
                continue;
            }
            let id = self.sessions.get(&stand.session);
            let endpoint = id.and_then(|id| self.endpoints.get(id));
            let Some(user) = endpoint.map(|endpoint| endpoint.user.clone()) else {
                continue;
            };
            self.nickname(now, room, &user, stand.nickname);
        }
    }
}
