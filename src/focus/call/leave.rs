//! The ways out of a room, and their effect on INVITE, dialog and switch.
//!
//! | what happens | here | an INVITE that waits gets | its dialog | the switch |
//! | --- | --- | --- | --- | --- |
//! | we end a stay: removed, replaced, not refreshed, the room ends | `dismiss` | 403 or 503 | BYE, once the ACK has come; none if no 2xx has left | Part, Expel once the BYE is answered |
//! | a user is removed | `remove` | 403 | BYE on every device | as above |
//! | the peer ends it: BYE | `depart` | 487 | 200 | Expel |
//! | an INVITE is not granted: CANCEL, a rule, a silent switch | `abandon` | 487, 403, 503 | none; that of a re-INVITE stays | Expel; after a re-INVITE as before |
//! | a 2xx has not left: CANCEL, the host refuses it | `take_back`, then `undo` | 487, or what the host said | none; that of a re-INVITE stays | Expel; after a re-INVITE as before |
//! | the session is lost or renewed | `unlink` (link.rs) | nothing | stays; BYE after `rejoin_grace` | Expel, if we end it |
//! | an invitation ends | `call_off` (invite/) | CANCEL to the party, while it rings | none | Expel |
//! | the conference ends | `end_conference` | 503 | BYE to all, by `dismiss_all` | Close |
//!
//! All of them call `take_out`, which takes the endpoint from dialogs, timers, roster and
//! referrals. The exception is `abandon` of a first INVITE, whose endpoint had not joined.

use std::sync::Arc;

use crate::control::{Order, RoomUri, UserUri};
use crate::focus::Lifetime;
use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::Endpoint;
use crate::focus::room::participant::Departure;
use crate::focus::room::participant::shown_uri;
use crate::focus::room::policy::Policy;
use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::dialogs::{Leaving, Purpose};
use crate::focus::sip::rejection::Refusal;
use crate::focus::watch::subscription::{Due, Termination};
use crate::focus::{Event, Focus, RequestId};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;
use crate::wire::sip::{Headers, Method};

impl Focus {
    /// Ends an endpoint's stay from our side. It leaves the room at once; its connection stays
    /// until the BYE is answered, for at most a second.
    pub(in crate::focus) fn dismiss(&mut self, now: Moment, id: EndpointId, reason: ByeReason) {
        let method = reason.method();
        let granted = self.take_back(id, reason.cause());
        self.abandon(now, id, reason.cause());
        if granted.is_some_and(|answer| answer.starts_dialog()) {
            // No dialog to end: its 2xx has not left.
            return self.depart(now, id, method);
        }
        self.end_referrals_of(now, id);
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return;
        };
        let dialog = endpoint.dialog.clone();
        if let Some(answer) = endpoint.take_unacknowledged(|_| !self.stopping) {
            // RFC 3261 §15: no BYE before the ACK.
            self.depart(now, id, method);
            let leaving = Leaving {
                dialog,
                answer,
                reason,
            };
            return self.dialogs.linger(id, leaving);
        }
        let (room, session) = (endpoint.room.clone(), endpoint.link().session().cloned());
        let bye = self.hang_up(now, dialog, reason);
        if let Some(session) = session {
            let parting = (room.clone(), session.clone());
            self.rooms.parting.insert(bye, parting);
            self.out.order(Order::Part { room, session });
        }
        self.take_out(now, id, method);
    }

    /// Ends a dialog from our side.
    pub(in crate::focus) fn hang_up(
        &mut self,
        now: Moment,
        mut dialog: Dialog,
        reason: ByeReason,
    ) -> RequestId {
        let headers = Headers::new()
            .with("Reason", reason.header())
            .with("User-Agent", self.out.software.clone());
        let id = self.request_id();
        let request = dialog.request(id, Method::Bye, headers, "");
        self.send(now, Purpose::Farewell, request);
        id
    }

    /// A BYE has its outcome: the peer is informed, and the connection may close.
    pub(in crate::focus) fn farewell_over(&mut self, request: RequestId) {
        if let Some((room, session)) = self.rooms.parting.remove(&request) {
            self.out.order(Order::Expel { room, session });
        }
    }

    /// Takes an endpoint out of everything.
    pub(in crate::focus) fn depart(
        &mut self,
        now: Moment,
        id: EndpointId,
        method: DisconnectionMethod,
    ) {
        self.expel_session(id);
        self.take_out(now, id, method);
    }

    fn take_out(&mut self, now: Moment, id: EndpointId, method: DisconnectionMethod) {
        self.take_back(id, Cause::Cancelled);
        let Some(mut endpoint) = self.rooms.leave(id) else {
            return;
        };
        if let Some(answer) = endpoint.take_unacknowledged(|_| true) {
            self.close(answer);
        }
        self.dialogs.close(&endpoint.dialog.key);
        for timer in [
            endpoint.take_answering().map(|(_, timer)| timer),
            endpoint.link().until(),
            endpoint
                .session_timer
                .as_ref()
                .and_then(|t| t.refresh_timer),
            endpoint.session_timer.as_ref().and_then(|t| t.expiry_timer),
        ] {
            self.timers.disarm(timer);
        }
        let line = format!("{} left {} ({method:?})", endpoint.user, endpoint.room);
        self.out.log(Level::Info, line);
        self.out.totals.leaves += u64::from(endpoint.joined.is_some());
        let followers = endpoint.change_rare(|rare| std::mem::take(&mut rare.reports_to));
        self.report_to(now, &followers, 480, Some("No MSRP Connection"));
        self.forget_referrals_of(id);
        self.leave_roster(now, id, &endpoint, method);
        self.tell_left(&endpoint, method);
        self.conference_changed(now, &endpoint.room);
        self.end_with_creator(now, &endpoint);
        self.end_if_empty(now, &endpoint.room);
    }

    /// Reports that a user has left with their last device, and that the conference is over once
    /// its last user has left.
    fn tell_left(&mut self, endpoint: &Endpoint, method: DisconnectionMethod) {
        let Some(conference) = self.rooms.conference_mut(&endpoint.room) else {
            return self.out.broken("no conference of who leaves");
        };
        if endpoint.joined.is_none() || conference.has(&endpoint.user) {
            return;
        }
        let participants = &conference.participants;
        let is_over = participants.values().all(|it| it.endpoints.is_empty());
        if is_over {
            conference.begun = None;
        }
        let room = endpoint.room.clone();
        self.out.event(Event::Leave {
            room: room.clone(),
            user: endpoint.user.clone(),
            method,
        });
        if is_over {
            self.out.event(Event::End(room));
        }
    }

    /// Some rooms end when their creator leaves (RFC 4579 §5.12).
    fn end_with_creator(&mut self, now: Moment, left: &Endpoint) {
        let Some(conference) = self.rooms.conference_mut(&left.room) else {
            return self.out.broken("no conference of who leaves");
        };
        if conference.policy.rules.lifetime != Lifetime::WhileCreatorStays
            || conference.creator.as_ref() != Some(&left.user)
            || conference.has(&left.user)
        {
            return;
        }
        conference.creator = None;
        self.dismiss_all(now, &left.room);
    }

    /// Removes a user: every device, including those that are joining, every invitation, and their
    /// subscriptions (rows F06, F07).
    pub(in crate::focus) fn remove(&mut self, now: Moment, room: &RoomUri, user: &UserUri) {
        let Some(conference) = self.rooms.conference(room) else {
            return;
        };
        let invitations = conference.invitations().iter();
        let invitations: Vec<_> = invitations
            .filter(|(_, invitation)| invitation.user == *user)
            .map(|(id, _)| *id)
            .collect();
        let devices: Vec<_> = conference.endpoints.iter().copied().collect();
        for id in invitations {
            self.withdraw_invitation(now, id);
        }
        self.reject_subscriber(now, room, user);
        for id in devices {
            if self.rooms.endpoint(id).is_some_and(|it| it.user == *user) {
                self.dismiss(now, id, ByeReason::Removed);
            }
        }
        self.out
            .log(Level::Info, format_args!("{user} was removed from {room}"));
    }

    /// Removes everybody.
    pub(in crate::focus) fn dismiss_all(&mut self, now: Moment, room: &RoomUri) {
        let conference = self.rooms.conference(room);
        let theirs = conference
            .map(|it| it.endpoints.clone())
            .unwrap_or_default();
        for id in theirs {
            self.dismiss(now, id, ByeReason::ConferenceEnded);
        }
        let invitations: Vec<_> = self
            .rooms
            .conference(room)
            .into_iter()
            .flat_map(|conference| conference.invitations().keys().copied())
            .collect();
        for id in invitations {
            self.withdraw_invitation(now, id);
        }
    }

    fn leave_roster(
        &mut self,
        now: Moment,
        id: EndpointId,
        endpoint: &Endpoint,
        method: DisconnectionMethod,
    ) {
        let Some(conference) = self.rooms.conference_mut(&endpoint.room) else {
            return self.out.broken("no conference of who leaves");
        };
        let revision = conference.change();
        let Some(participant) = conference.participants.get_mut(&endpoint.user) else {
            return;
        };
        participant.endpoints.retain(|other| *other != id);
        participant.change(revision);
        let (display, nickname) = (participant.display.clone(), participant.nickname.clone());
        let (role, anonymous) = (participant.role, participant.anonymous);
        conference.drop_if_gone(&endpoint.user);
        if let Some(nickname) = nickname.clone().filter(|_| !conference.has(&endpoint.user)) {
            let user = UserUri::new(shown_uri(&endpoint.user, anonymous));
            self.hold_nickname(now, &endpoint.room, user, nickname.to_string());
        }
        let Some(conference) = self.rooms.conference_mut(&endpoint.room) else {
            return self.out.broken("no conference of who leaves");
        };
        if anonymous.is_none() {
            conference.check_published(&endpoint.user);
        }
        let departed = endpoint.joined.is_some() && !endpoint.replaced;
        if method == DisconnectionMethod::Departed {
            conference.note_departure(&endpoint.user);
        }
        if departed {
            conference.changes.depart(Departure {
                user: endpoint.user.clone(),
                display,
                nickname,
                role,
                anonymous,
                id,
                endpoint: Arc::clone(&endpoint.entity),
                method,
                reason: None,
                dialed_out: endpoint.dialed_out,
                at: now,
                joined_at: endpoint.joined,
                revision,
            });
        }
        self.unpublish_all_of(now, &endpoint.room, &endpoint.user, anonymous.is_some());
        self.end_private_subscriptions(now, endpoint);
    }

    /// Where only participants may watch, leaving ends the subscription (row E35).
    fn end_private_subscriptions(&mut self, now: Moment, endpoint: &Endpoint) {
        let Some(conference) = self.rooms.conference(&endpoint.room) else {
            return self.out.broken("no conference of who leaves");
        };
        if !conference.policy.rules.subscribe_participants_only || conference.has(&endpoint.user) {
            return;
        }
        let theirs = self.watch.of(&endpoint.room, &endpoint.user);
        for id in theirs {
            self.make_due(now, id, Due::Last(Termination::Rejected));
        }
    }

    /// Refuses the INVITE an endpoint waits for and drops its effects; after a re-INVITE the
    /// participant stays as before.
    pub(in crate::focus) fn abandon(
        &mut self,
        now: Moment,
        id: EndpointId,
        refusal: impl Into<Refusal>,
    ) {
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return;
        };
        let Some((answering, timer)) = endpoint.take_answering() else {
            return;
        };
        let to_tag = endpoint.dialog.key.local_tag().to_owned();
        self.timers.disarm(Some(timer));
        self.dialogs.settle(answering.transaction);
        self.out
            .refuse(answering.transaction, refusal, Some(to_tag));
        match answering.before {
            None => self.forget_join(now, id),
            before => self.undo(now, id, before),
        }
    }

    /// Drops the preparations of an INVITE without a 2xx.
    fn forget_join(&mut self, now: Moment, id: EndpointId) {
        self.expel_session(id);
        let Some(endpoint) = self.rooms.leave(id) else {
            return self.out.broken("no endpoint of an INVITE");
        };
        self.dialogs.close(&endpoint.dialog.key);
        if let Some(conference) = self.rooms.conference_mut(&endpoint.room) {
            conference.joining.remove(&id);
        }
        self.end_if_empty(now, &endpoint.room);
    }

    /// Ends a conference that has lost its last participant. The conference of a permanent room
    /// stays as long as it has subscribers.
    pub(in crate::focus) fn end_if_empty(&mut self, now: Moment, room: &RoomUri) {
        let Some(conference) = self.rooms.conference(room) else {
            return;
        };
        if !conference.is_empty() || conference.ending {
            return;
        }
        if conference.policy.rules.lifetime != Lifetime::Forever {
            self.end_conference(now, room);
        } else if self.watch.watchers(room) == 0 && conference.publications.is_empty() {
            let policy = Arc::clone(&conference.policy);
            self.rooms.end(room);
            self.forget_passing_room(room, &policy);
        }
    }

    /// Sends the last NOTIFYs and removes the conference (RFC 4575 §3.3).
    pub(in crate::focus) fn end_conference(&mut self, now: Moment, room: &RoomUri) {
        let Some(conference) = self.rooms.conference_mut(room) else {
            return;
        };
        conference.ending = true;
        let policy = Arc::clone(&conference.policy);
        let subscribers = self.watch.disband(room);
        if let Some(mut conference) = self.rooms.end(room) {
            self.forget_publications(&mut conference);
        }
        for id in subscribers {
            self.make_due(now, id, Due::Last(Termination::NoResource));
        }
        self.out.order(Order::Close { room: room.clone() });
        self.forget_passing_room(room, &policy);
    }

    /// Forgets a room that neither management nor the configuration has: nobody can join it again.
    fn forget_passing_room(&mut self, room: &RoomUri, policy: &Policy) {
        if policy.kept || self.rooms.configured.contains_key(room) {
            return;
        }
        if !self.is_known(room) {
            self.rooms.kept.learn(room.clone(), None);
        }
        if policy.rules.history > 0 {
            self.forget_history(room);
        }
    }
}
