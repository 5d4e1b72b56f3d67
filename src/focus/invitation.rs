//! Inviting others: the focus dials out (RFC 4579 §5.5) or asks the party to dial in by
//! REFER (§5.6). Until the party has joined, the roster shows how far it got.

use std::time::Duration;

use bytes::Bytes;

use super::answers::Dialled;
use super::conference::{Conference, Departure, EndpointId, Media, Participant};
use super::dialog::{Dialog, DialogKey};
use super::listeners::Towards;
use super::offer_answer::{self, Origin};
use super::referral::ReferralId;
use super::refusal::{Refusal, Verdict, no_room};
use super::request::capabilities;
use super::targets::Targets;
use super::timers::{Timer, TimerKey};
use super::{Focus, INVITE_TIMEOUT, Output, Purpose, RequestId, Socket};
use crate::control::{Admission, Order, Peer, RoomPolicy, RoomUri, SessionId, Setup, UserUri};
use crate::entropy::token;
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::{DisconnectionMethod, EndpointStatus};
use crate::wire::multipart::{self, OutgoingPart};
use crate::wire::resource_lists::{self, HISTORY_DISPOSITION};
use crate::wire::sip::{Headers, Method, Response, Uri};

/// How long a party that was asked by REFER may take to dial in.
const REFER_PATIENCE: Duration = Duration::from_secs(180);
/// Parties being invited into one conference at a time.
const MAX_INVITATIONS: usize = 1_000;

/// One party being invited. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct InvitationId(pub(super) u64);

/// How the focus invites (modparam `invite_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteMode {
    /// REFER to the party, which then dials in.
    Refer,
    /// INVITE to the party.
    DialOut,
}

/// Who wants somebody invited, and over what.
#[derive(Clone, Debug)]
pub(super) struct Inviter {
    pub(super) user: UserUri,
    /// The SIP socket the wish came in by: invitations leave by it.
    pub(super) socket: Socket,
    /// Our Contact for this room.
    pub(super) contact: String,
    /// Whom to tell how it goes.
    pub(super) referral: Option<ReferralId>,
}

/// How an invitation is carried out.
#[derive(Debug)]
pub(super) enum Course {
    /// An INVITE is under way.
    Dialing {
        media: Box<Media>,
        session: SessionId,
        targets: Targets,
        /// The shortest session interval that we ask for (RFC 4028 §7.3).
        min_se: Duration,
    },
    /// A REFER is under way or was accepted.
    Referring,
}

impl Course {
    /// RFC 4575 §5.7.3: a party that was asked to dial in is anticipated, and not dialled.
    fn status(&self) -> EndpointStatus {
        match self {
            Self::Dialing { .. } => EndpointStatus::DialingOut,
            Self::Referring => EndpointStatus::Pending,
        }
    }

    /// How far it is when the party, or its phone, is at work.
    pub(super) fn status_under_way(&self) -> EndpointStatus {
        match self {
            Self::Dialing { .. } => EndpointStatus::Alerting,
            Self::Referring => EndpointStatus::DialingIn,
        }
    }

    /// The focus calls the party.
    pub(super) fn dials_out(&self) -> bool {
        matches!(self, Self::Dialing { .. })
    }
}

/// A party on its way in.
#[derive(Debug)]
pub(super) struct Invitation {
    pub(super) user: UserUri,
    /// Key of its endpoint in the roster: the URI that was dialled.
    pub(super) entity: String,
    pub(super) status: EndpointStatus,
    /// Who invited it, as others may see it.
    pub(super) referred_by: String,
    pub(super) inviter: Inviter,
    pub(super) dialog: Dialog,
    pub(super) course: Course,
    /// Who else was invited, for the party to see (RFC 5366 §5).
    pub(super) history: Option<String>,
    /// The request without outcome.
    pub(super) request: Option<RequestId>,
    pub(super) patience: Option<TimerKey>,
}

impl Focus {
    /// Whether the room has a place for this party and it may come in.
    pub(super) fn check_invitee(&self, room: &RoomUri, target: &UserUri) -> Verdict<()> {
        let conference = self.conferences.get(room).ok_or_else(no_room)?;
        conference.policy.admits(target)?;
        if target.as_str() == room.as_str() {
            return Err(Refusal::new(403).because("a room cannot join itself"));
        }
        if !conference.has_place_for(target) || conference.invitations.len() >= MAX_INVITATIONS {
            return Err(Refusal::new(486).because("the room is full"));
        }
        Ok(())
    }

    /// Starts inviting a party; the caller has checked that it may.
    pub(super) fn invite_party(
        &mut self,
        now: Moment,
        room: &RoomUri,
        target: &str,
        mode: InviteMode,
        inviter: Inviter,
        history: Option<String>,
    ) {
        let Ok(uri) = target.parse::<Uri>() else {
            return;
        };
        let user = UserUri::new(uri.address_of_record());
        let dialog = self.dialog_to(room, target, &inviter);
        let course = match mode {
            InviteMode::Refer => Course::Referring,
            InviteMode::DialOut => match self.dialing(room, target, &user, &inviter) {
                Some(course) => course,
                None => return,
            },
        };
        let id = InvitationId(self.next_id());
        let entity = self.unique_entity(room, &user, target);
        let invitation = Invitation {
            user,
            entity,
            status: course.status(),
            referred_by: self.shown_in(room, &inviter.user),
            inviter,
            dialog,
            course,
            history,
            request: None,
            patience: None,
        };
        self.show_invitation(now, room, id, invitation);
        self.admit_invited(room, id);
        self.send_invitation(now, id);
    }

    /// The switch admits a party before it is dialled, so that its connection may come as
    /// soon as it has answered.
    fn admit_invited(&mut self, room: &RoomUri, id: InvitationId) {
        let Some(policy) = self.session_policy(room) else {
            return;
        };
        let Some(invitation) = self.invitation(id) else {
            return;
        };
        let Course::Dialing { media, session, .. } = &invitation.course else {
            return;
        };
        let admission = Admission {
            session: session.clone(),
            room: room.clone(),
            policy: RoomPolicy {
                // It rings first.
                bind_timeout: policy.bind_timeout + INVITE_TIMEOUT,
                ..policy
            },
            own_uri: media.local.own_uri.clone(),
            user: invitation.user.clone(),
            display: String::new(),
            nickname: None,
            uris: vec![invitation.user.clone()],
            newcomer: true,
            setup: Setup::Passive,
            peer: Peer::silent(),
        };
        self.dialing.insert(admission.session.clone(), id);
        self.order_admission(admission);
    }

    /// What a request outside any dialog needs (RFC 3261 §8.1.1).
    fn dialog_to(&mut self, room: &RoomUri, target: &str, inviter: &Inviter) -> Dialog {
        Dialog {
            key: DialogKey {
                call_id: token(self.entropy.as_mut(), super::SESSION_ID_LENGTH),
                local_tag: self.new_tag(),
                remote_tag: String::new(),
            },
            local_uri: room.to_string(),
            remote_uri: target.to_owned(),
            remote_target: target.to_owned(),
            route_set: Vec::new(),
            flow: None,
            principal: inviter.user.to_string(),
            local_cseq: 0,
            remote_cseq: 0,
            socket: inviter.socket.clone(),
            contact: inviter.contact.clone(),
        }
    }

    fn dialing(
        &mut self,
        room: &RoomUri,
        target: &str,
        user: &UserUri,
        inviter: &Inviter,
    ) -> Option<Course> {
        let policy = self.policy(room, Some(false))?;
        let role = policy.role(user);
        let towards = Towards {
            socket: &inviter.socket,
            secure: self.terms(&policy).secure(),
            theirs: None,
        };
        let (session, local) = self.new_session(towards, &policy, role);
        let origin = Origin {
            session: self.next_id(),
            version: 1,
        };
        let ours = offer_answer::offer(&local, origin);
        Some(Course::Dialing {
            media: Box::new(Media {
                local,
                origin,
                ours,
                theirs: None,
                one_send: false,
            }),
            session,
            targets: Targets::new(target),
            min_se: self.config.min_se,
        })
    }

    /// Puts a party on its way into the roster.
    fn show_invitation(
        &mut self,
        now: Moment,
        room: &RoomUri,
        id: InvitationId,
        invitation: Invitation,
    ) {
        let Some(conference) = self.conferences.get_mut(room) else {
            return;
        };
        let user = invitation.user.clone();
        let role = conference.policy.role(&user);
        conference
            .participants
            .get_or_insert_with(&user, || Participant::new(String::new(), role, 0));
        conference.change_user(&user);
        let call_id = invitation.dialog.key.call_id.clone();
        let refers = matches!(invitation.course, Course::Referring);
        conference.invitations.insert(id, invitation);
        if refers {
            self.referred.insert(call_id, id);
        }
        self.invitations.insert(id, room.clone());
        self.conference_changed(now, room);
    }

    pub(super) fn invitation(&mut self, id: InvitationId) -> Option<&mut Invitation> {
        let room = self.invitations.get(&id)?;
        self.conferences.get_mut(room)?.invitations.get_mut(&id)
    }

    /// Sends the INVITE or REFER, the first time or again.
    pub(super) fn send_invitation(&mut self, now: Moment, id: InvitationId) {
        let referring = self
            .invitation(id)
            .is_some_and(|invitation| matches!(invitation.course, Course::Referring));
        let patience =
            referring.then(|| self.timers.arm(now + REFER_PATIENCE, Timer::Invitation(id)));
        let request = self.send(now, Purpose::Invitation(id), |focus, request| {
            let software = focus.config.software.clone();
            let interval = focus.config.session_expires;
            let room = focus.invitations.get(&id)?.clone();
            let about = focus.conferences.get(&room).map(|c| c.identity.clone());
            let invitation = focus.invitation(id)?;
            let (method, headers, body) = invitation.message(&room, interval);
            let headers = about.unwrap_or_default().announce(headers);
            let headers = headers.with("User-Agent", software);
            Some(invitation.dialog.request(request, method, headers, body))
        });
        let Some(invitation) = self.invitation(id) else {
            return;
        };
        invitation.request = request;
        let before = std::mem::replace(&mut invitation.patience, patience);
        let dialled = Dialled::new(invitation.dialog.clone());
        self.timers.disarm(before);
        if let Some(request) = request.filter(|_| !referring) {
            self.dialled.insert(request, dialled);
        }
    }

    pub(super) fn invitation_timed_out(&mut self, now: Moment, id: InvitationId) {
        self.invitation_failed(now, id, 408, None);
    }

    /// The party does not come.
    pub(super) fn invitation_failed(
        &mut self,
        now: Moment,
        id: InvitationId,
        code: u16,
        response: Option<&Response>,
    ) {
        let reason = response.map(|response| response.reason.clone());
        let method = match code {
            486 | 600 => DisconnectionMethod::Busy,
            _ => DisconnectionMethod::Failed,
        };
        self.end_invitation(now, id, method, code, reason);
    }

    /// Takes an invitation back: CANCEL while it rings.
    pub(super) fn withdraw_invitation(&mut self, now: Moment, id: InvitationId) {
        self.call_off(now, id, DisconnectionMethod::Booted, 487);
    }

    /// Takes an invitation back for this reason.
    pub(super) fn call_off(
        &mut self,
        now: Moment,
        id: InvitationId,
        method: DisconnectionMethod,
        code: u16,
    ) {
        let Some(invitation) = self.invitation(id) else {
            return;
        };
        let dialing = matches!(invitation.course, Course::Dialing { .. });
        if let Some(request) = invitation.request.filter(|_| dialing) {
            self.outputs.push_back(Output::Cancel(request));
        }
        self.end_invitation(now, id, method, code, None);
    }

    fn end_invitation(
        &mut self,
        now: Moment,
        id: InvitationId,
        method: DisconnectionMethod,
        code: u16,
        reason: Option<String>,
    ) {
        let Some((room, invitation)) = self.take_invitation(id) else {
            return;
        };
        if let Course::Dialing { session, .. } = &invitation.course {
            let (room, session) = (room.clone(), session.clone());
            self.order(Order::Expel { room, session });
        }
        let line = format!("{} does not join {room}: {code}", invitation.user);
        self.log(Level::Info, line);
        let text = reason.unwrap_or_else(|| crate::wire::sip::reason(code).to_owned());
        self.report(now, invitation.inviter.referral, code, Some(&text));
        if let Some(conference) = self.conferences.get_mut(&room) {
            // Row E14: in the form of a Reason header (RFC 3326 §2).
            let text = text.replace(['"', '\\'], "'");
            let reason = format!("SIP;cause={code};text=\"{text}\"");
            // Ids are never used twice, for what ever.
            conference.depart(now, EndpointId(id.0), &invitation, method, reason);
        }
        self.conference_changed(now, &room);
        self.end_if_empty(now, &room);
    }

    /// The party is in: the invitation has done its work.
    pub(super) fn invitation_done(&mut self, now: Moment, id: InvitationId) {
        if let Some((_, invitation)) = self.take_invitation(id) {
            self.report(now, invitation.inviter.referral, 200, None);
        }
    }

    fn take_invitation(&mut self, id: InvitationId) -> Option<(RoomUri, Invitation)> {
        let room = self.invitations.remove(&id)?;
        let invitation = self.conferences.get_mut(&room)?.invitations.remove(&id)?;
        self.timers.disarm(invitation.patience);
        self.referred.remove(&invitation.dialog.key.call_id);
        if let Course::Dialing { session, .. } = &invitation.course {
            self.dialing.remove(session);
        }
        Some((room, invitation))
    }

    /// A party that was asked by REFER dials in: its invitation, if there is one.
    pub(super) fn awaited(&self, room: &RoomUri, user: &UserUri) -> Option<InvitationId> {
        let conference = self.conferences.get(room)?;
        conference
            .invitations
            .iter()
            .find(|(_, invitation)| {
                invitation.user == *user && matches!(invitation.course, Course::Referring)
            })
            .map(|(id, _)| *id)
    }
}

impl Invitation {
    fn message(&self, room: &RoomUri, interval: Duration) -> (Method, Headers, Bytes) {
        let headers = capabilities(&self.dialog.contact)
            .with("Referred-By", format!("<{}>", self.referred_by));
        match &self.course {
            Course::Dialing { media, min_se, .. } => {
                let (content_type, body) = self.offer_with_history(&media.ours.write());
                // RFC 4028 §7.1: who refreshes is left to the answer.
                let headers = headers
                    .with(
                        "Session-Expires",
                        interval.max(*min_se).as_secs().to_string(),
                    )
                    .with("Min-SE", min_se.as_secs().to_string())
                    .with("Content-Type", content_type);
                (Method::Invite, headers, body)
            }
            // RFC 4579 §5.6: the party shall INVITE the room.
            Course::Referring => {
                let headers = headers.with("Refer-To", format!("<{}>", self.room_target(room)));
                (Method::Refer, headers, Bytes::new())
            }
        }
    }

    /// The offer, with the list of who was invited where there is one (row L08).
    fn offer_with_history(&self, sdp: &str) -> (String, Bytes) {
        let alone = || ("application/sdp".to_owned(), Bytes::from(sdp.to_owned()));
        let Some(history) = &self.history else {
            return alone();
        };
        let parts = [
            OutgoingPart {
                content_type: "application/sdp",
                disposition: None,
                body: sdp.as_bytes(),
            },
            OutgoingPart {
                content_type: resource_lists::MEDIA_TYPE,
                disposition: Some(HISTORY_DISPOSITION),
                body: history.as_bytes(),
            },
        ];
        // The Call-ID is random: no part holds it.
        multipart::write(&parts, &self.dialog.key.call_id).unwrap_or_else(|_| alone())
    }

    /// The room as it can be dialled from outside: our Contact.
    fn room_target(&self, room: &RoomUri) -> String {
        if self.dialog.contact.is_empty() {
            room.to_string()
        } else {
            self.dialog.contact.clone()
        }
    }

    /// Goes on to the next place where the party may be, if there is one.
    pub(super) fn turn_elsewhere(&mut self) -> bool {
        let Course::Dialing { targets, .. } = &mut self.course else {
            return false;
        };
        let Some(next) = targets.advance() else {
            return false;
        };
        self.dialog.remote_target = next;
        true
    }
}

impl Conference {
    /// An invited party is shown leaving; the user goes with its last endpoint.
    fn depart(
        &mut self,
        now: Moment,
        id: EndpointId,
        invitation: &Invitation,
        method: DisconnectionMethod,
        reason: String,
    ) {
        self.change_user(&invitation.user);
        let Some(participant) = self.participants.get(&invitation.user) else {
            return;
        };
        let departure = Departure {
            user: invitation.user.clone(),
            display: participant.display.clone(),
            nickname: participant.nickname.clone(),
            role: participant.role,
            anonymous: participant.anonymous,
            id,
            endpoint: invitation.entity.clone(),
            method,
            reason: Some(reason),
            dialed_out: invitation.course.dials_out(),
            at: now,
            joined_at: None,
            revision: self.revision,
        };
        self.drop_if_gone(&invitation.user);
        self.check_published(&invitation.user);
        if !self.watchers.is_empty() {
            self.departures.push(departure);
        }
    }
}
