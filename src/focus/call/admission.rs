//! Admission of sessions at the switch. The switch admits every session before the focus promises
//! anything, and its notices arrive here.

use crate::control::{
    Admission, Notice, Order, Peer, RoomPolicy, RoomUri, SessionId, Setup, UserUri,
};
use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::{Endpoint, Stage};
use crate::focus::room::participant::anonymous_uri;
use crate::focus::room::table::Occupant;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::Awaits;
use crate::focus::sip::face::capabilities;
use crate::focus::sip::unacknowledged::Answering;
use crate::focus::timers::Timer;
use crate::focus::{ADMISSION_TIMEOUT, Focus, Output, Role};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;
use crate::wire::fingerprint::Fingerprint;
use crate::wire::sip::Headers;

impl Focus {
    /// Asks the switch to admit the endpoint's session; its answer becomes the answer to the
    /// INVITE.
    pub(in crate::focus) fn ask_admission(
        &mut self,
        now: Moment,
        id: EndpointId,
        answering: Answering,
    ) {
        // A peer that sends another INVITE has received the 2xx to the last one.
        self.close_unacknowledged(id);
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("no endpoint to admit");
        };
        let (transaction, key) = (answering.transaction, &endpoint.dialog.key);
        let at = now + ADMISSION_TIMEOUT;
        let timer = self.timers.arm(at, Timer::Admission(id));
        self.dialogs.wait(transaction, key, Awaits::Admission(id));
        endpoint.stage = Stage::Admitting(Box::new((answering, timer)));
        if let Some(admission) = self.admission(id) {
            self.check_certificate(id, &admission.peer.fingerprints);
            self.order_admission(admission);
        }
    }

    /// The endpoint as the switch sees it.
    pub(in crate::focus) fn admission(&self, id: EndpointId) -> Option<Admission> {
        let endpoint = self.rooms.endpoint(id)?;
        let (user, display) = match endpoint.anonymous {
            Some(number) => (anonymous_uri(number), String::new()),
            None => (endpoint.user.clone(), endpoint.display.to_string()),
        };
        let nickname = self
            .rooms
            .conference(&endpoint.room)
            .and_then(|conference| conference.participants.get(&endpoint.user))
            .and_then(|participant| participant.nickname.as_deref().map(str::to_owned));
        let (setup, mut peer) = match endpoint.media.theirs() {
            Some(accepted) => (accepted.setup, accepted.peer),
            None => (Setup::Passive, Peer::silent()),
        };
        peer.one_send = endpoint.media.one_send();
        // Observers do not write, even if they negotiated it.
        peer.sends &= endpoint.role != Role::Observer;
        // Connect only after the ACK: before that the peer may not have our answer and would not
        // know who connects.
        if !matches!(endpoint.stage, Stage::Confirmed) {
            peer.dial = None;
        }
        let mut uris = vec![user.clone()];
        if endpoint.anonymous.is_none() {
            uris.extend(endpoint.rare().other_uris.iter().cloned());
        }
        Some(Admission {
            session: endpoint.link().session()?.clone(),
            room: endpoint.room.clone(),
            policy: self.session_policy(&endpoint.room)?,
            own_uri: endpoint.media.own_uri(),
            uris,
            user,
            display,
            nickname,
            newcomer: endpoint.joined.is_none(),
            setup,
            peer,
        })
    }

    /// Whether a client with this User-Agent or Server header takes a message in one SEND only
    /// (`one_send_agents`).
    pub(in crate::focus) fn takes_one_send(&self, headers: &Headers) -> bool {
        let agent = headers.first("User-Agent").or(headers.first("Server"));
        let pattern = self.one_send_agents.as_ref();
        pattern.is_some_and(|pattern| pattern.is_match(agent.unwrap_or_default()))
    }

    /// RFC 6714 §7.7, U14: detects a certificate that differs from the user's first one.
    pub(in crate::focus) fn check_certificate(
        &mut self,
        id: EndpointId,
        announced: &[Fingerprint],
    ) {
        let Some(user) = self.rooms.endpoint(id).map(|it| it.user.clone()) else {
            return self.out.broken("no endpoint that describes itself");
        };
        if self.rooms.fingerprints.changed(&user, announced) {
            let line = format!("the certificate {user} announces is not the one seen first");
            self.out.log(Level::Warning, line);
        }
    }

    /// The room's rules as the switch must know them.
    pub(in crate::focus) fn session_policy(&self, room: &RoomUri) -> Option<RoomPolicy> {
        let policy = &self.rooms.conference(room)?.policy;
        Some(RoomPolicy {
            nicknames: policy.rules.nicknames,
            private_messages: policy.rules.private_messages,
            max_message_size: self.config.max_message_size,
            plain_text: policy.rules.plain_text,
            history: policy.rules.history,
            bind_timeout: self.config.bind_timeout,
        })
    }

    /// Handles a notice of the switch.
    pub(in crate::focus) fn notice(&mut self, now: Moment, notice: Notice) {
        match notice {
            Notice::Admitted { session, .. } => self.admitted(now, &session),
            Notice::Refused { session, .. } => {
                self.not_admitted(now, &session, Cause::SwitchRefuses);
            }
            Notice::Bound { session, .. } => {
                self.invited_bound(now, &session);
                if let Some(endpoint) = self.endpoint_of(&session) {
                    let line = format!("{} talks in {}", endpoint.user, endpoint.room);
                    self.out.log(Level::Debug, line);
                }
            }
            Notice::Lost { session, cause, .. } => self.lost(now, &session, cause),
            Notice::Certificate { fingerprint } => self.switch.fingerprint = Some(fingerprint),
            Notice::Nickname {
                room,
                user,
                nickname,
                change,
            } => {
                // The switch no longer reserves the old nickname; drop it here too.
                self.rooms.held_nicknames.remove(&room, &user);
                self.nickname(now, &room, &user, nickname);
                self.out.order(Order::Kept { room, change });
            }
            Notice::Connected { run, listen } => {
                if self.config.listen.is_empty() {
                    self.switch.listen = listen;
                }
                if self.switch.run.replace(run) != Some(run) {
                    self.hand_over_nicknames(now, run);
                }
                self.recall_again();
                self.present_sessions();
            }
            Notice::Disconnected => {}
            Notice::Counted { room, messages } => self.count_messages(&room, messages),
            Notice::Said(said) => self.said(said),
            Notice::Remember {
                room,
                messages,
                gone,
            } => self.remember(room, messages, gone),
            Notice::Forgotten { room } => self.history_forgotten(room),
            Notice::Reconciled { room, sessions } => self.reconciled(now, &room, sessions),
        }
    }

    /// The switch cannot take the session for now.
    pub(in crate::focus) fn not_admitted(&mut self, now: Moment, session: &SessionId, why: Cause) {
        match self.rooms.occupant(session) {
            Some(Occupant::Invitation(id)) => {
                self.call_off(now, id, DisconnectionMethod::Failed, 503);
            }
            Some(Occupant::Endpoint(id)) => {
                self.abandon(now, id, why);
                self.renewal_refused(now, id);
            }
            None => {}
        }
    }

    fn endpoint_of(&self, session: &SessionId) -> Option<&Endpoint> {
        self.rooms.endpoint(self.rooms.seated(session)?)
    }

    fn admitted(&mut self, now: Moment, session: &SessionId) {
        let Some(id) = self.rooms.seated(session) else {
            return;
        };
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("a session of no endpoint");
        };
        let user = &endpoint.user;
        let joins = endpoint.joined.is_none();
        let conference = self.rooms.conference(&endpoint.room);
        let welcome = conference.map(|it| it.policy.admits(user));
        if joins && let Some(Err(refusal)) = welcome {
            // The rules changed while the switch decided.
            return self.abandon(now, id, refusal);
        }
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("a session of no endpoint");
        };
        endpoint.run = self.switch.run;
        let Some((answering, timer)) = endpoint.take_answering() else {
            return self.renewal_admitted(now, id);
        };
        self.timers.disarm(Some(timer));
        self.dialogs.settle(answering.transaction);
        let joining = answering.before.is_none();
        self.accept(now, id, answering);
        if joining {
            self.joined(now, id);
        }
    }

    /// Sends the 2xx of an INVITE or UPDATE; after an INVITE the focus waits for the ACK.
    pub(in crate::focus) fn accept(&mut self, now: Moment, id: EndpointId, answering: Answering) {
        if !self.rooms.endpoints().contains_key(&id) {
            return;
        }
        self.start_session_timer(now, id, answering.agreement);
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("no endpoint to accept");
        };
        let mut headers = answering
            .agreement
            .announce(capabilities(&endpoint.dialog.contact));
        let to_tag = endpoint.dialog.key.local_tag().to_owned();
        let mut body = String::new();
        if let Some(description) = &answering.body {
            headers.push("Content-Type", "application/sdp");
            body.push_str(description);
        }
        let reply = self.out.written(200, headers, body, Some(to_tag));
        match answering.needs_ack {
            true => self.await_ack(id, answering, reply),
            false => {
                let answer = Output::Reply(answering.transaction, reply);
                self.out.push(answer);
            }
        }
    }

    pub(in crate::focus) fn nickname(
        &mut self,
        now: Moment,
        room: &RoomUri,
        user: &UserUri,
        nickname: Option<String>,
    ) {
        let Some(conference) = self.rooms.conference_mut(room) else {
            return;
        };
        let named = conference.participants.iter().find(|(uri, participant)| {
            // The switch recognises participants who want privacy by their anonymous URI alone.
            participant
                .anonymous
                .map_or(*uri == user, |number| anonymous_uri(number) == *user)
        });
        let named = named.map(|(uri, _)| uri.clone());
        if !named.is_some_and(|uri| conference.set_nickname(&uri, nickname.as_deref())) {
            return;
        }
        self.conference_changed(now, room);
    }

    pub(in crate::focus) fn admission_timed_out(&mut self, now: Moment, id: EndpointId) {
        self.out
            .log(Level::Warning, "the switch does not answer; INVITE refused");
        self.abandon(now, id, Cause::SwitchSilent);
    }
}
