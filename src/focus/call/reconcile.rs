//! Reconciliation with a switch that has (re)appeared: the focus names the sessions it knows and
//! learns from the answers what it missed.

use std::collections::BTreeMap;

use crate::control::{LossCause, Order, RoomUri, SessionId, Stand, Standing, UserUri};
use crate::focus::Focus;
use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::{Offer, Stage};
use crate::focus::room::participant::shown_uri;
use crate::focus::room::table::Occupant;
use crate::time::Moment;

impl Focus {
    pub(in crate::focus) fn present_sessions(&mut self) {
        let mut rooms: BTreeMap<RoomUri, Vec<SessionId>> = BTreeMap::new();
        for (session, whose) in self.rooms.sessions() {
            let room = match whose {
                Occupant::Endpoint(id) => self.rooms.endpoint(id).map(|it| &it.room),
                // A ringing party may answer as long as its session waits for it.
                Occupant::Invitation(id) => self.invites.room(id),
            };
            if let Some(room) = room {
                rooms.entry(room.clone()).or_default().push(session.clone());
            }
        }
        for room in self.rooms.conferences().keys() {
            rooms.entry(room.clone()).or_default();
        }
        for (room, sessions) in rooms {
            for order in Order::reconcile(&room, &sessions) {
                self.out.order(order);
            }
        }
    }

    /// Informs a switch that has the session of the role it has in this run.
    fn tell_recast(&mut self, id: EndpointId) {
        let endpoint = self.rooms.endpoint_mut(id);
        if endpoint.is_some_and(|it| std::mem::take(&mut it.recast))
            && let Some(admission) = self.admission(id)
        {
            self.out.order(Order::Amend(Box::new(admission)));
        }
    }

    pub(in crate::focus) fn reconciled(&mut self, now: Moment, room: &RoomUri, stands: Vec<Stand>) {
        for stand in stands {
            let Some(id) = self.rooms.seated(&stand.session) else {
                continue;
            };
            let Some(endpoint) = self.rooms.endpoint(id) else {
                continue;
            };
            let waits = matches!(endpoint.stage, Stage::Admitting(..));
            let outlived = endpoint.run != self.switch.run && !waits;
            let unknown =
                endpoint.media.directions().is_none() && matches!(endpoint.stage, Stage::Confirmed);
            if stand.standing == Standing::Gone && outlived {
                self.outlived(now, id);
            } else if stand.standing == Standing::Gone {
                self.lost(now, &stand.session, LossCause::Disconnected);
            } else if unknown && !waits && endpoint.offer == Offer::None {
                // The ACK with its answer came while no focus was running.
                self.expel_session(id);
                self.outlived(now, id);
            } else {
                let participant = self
                    .rooms
                    .conference(room)
                    .and_then(|conference| conference.participants.get(&endpoint.user));
                let anonymous = participant.and_then(|participant| participant.anonymous);
                let shown = UserUri::new(shown_uri(&endpoint.user, anonymous));
                self.nickname(now, room, &shown, stand.nickname);
                self.tell_recast(id);
            }
        }
    }
}
