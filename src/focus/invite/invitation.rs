//! Inviting others: the focus dials out (RFC 4579 §5.5) or asks the party by REFER to dial in
//! (§5.6). Until the party has joined, the roster shows its progress.

use crate::focus::InviteMode;
use crate::focus::ids::{EndpointId, InvitationId, ReferralId};
use crate::focus::room::invitation::Course;
use crate::focus::room::invitation::Invitation;
use crate::focus::room::invitation::Inviter;
use crate::focus::room::participant::Participant;
use crate::focus::room::permission::{Ask, Caller};
use crate::focus::room::table::Occupant;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::{INVITE_TIMEOUT, Purpose};
use crate::focus::sip::face::MAX_URI_LENGTH;
use crate::focus::sip::media::Media;
use std::sync::Arc;
use std::time::Duration;

use crate::control::{Admission, Order, Peer, RoomPolicy, RoomUri, SessionId, Setup, UserUri};
use crate::focus::call::listeners::Towards;
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::offer_answer::{self, Origin};
use crate::focus::sip::rejection::Verdict;
use crate::focus::sip::targets::Targets;
use crate::focus::timers::Timer;
use crate::focus::{Focus, Output};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::{DisconnectionMethod, EndpointStatus};
use crate::wire::sip::dialog::DialogKey;
use crate::wire::sip::{Response, Uri};

/// Time a party may take to dial in after our REFER.
const REFER_PATIENCE: Duration = Duration::from_secs(180);

impl Focus {
    /// Whether the room has a place for this party and it may come in.
    pub(in crate::focus) fn check_invitee(&self, room: &RoomUri, target: &UserUri) -> Verdict<()> {
        let conference = self.rooms.conference(room).ok_or(Cause::NoRoom)?;
        let party = Caller {
            user: target,
            role: conference.policy.role(target),
            policy: &conference.policy,
            conference: Some(conference),
        };
        party.may(Ask::BeInvited)
    }

    /// Starts inviting a party; the caller has checked that it may.
    pub(in crate::focus) fn invite_party(
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
        if let Some(id) = self.awaited(room, &user) {
            return self.follow(now, id, inviter.referral);
        }
        // Parts of the URI meant for another request must not get into ours.
        let target = &uri.for_request().without_password().to_string();
        let dialog = self.dialog_to(room, target, &inviter);
        let course = match mode {
            InviteMode::Refer => Course::Referring,
            InviteMode::DialOut => match self.dialing(room, target, &user, &inviter) {
                Some(course) => course,
                None => return,
            },
        };
        let id = InvitationId(self.out.next_id());
        let key = match target.len() > MAX_URI_LENGTH {
            true => user.as_str(),
            false => target,
        };
        let entity = self.unique_entity(room, &user, key);
        let invitation = Invitation {
            user,
            entity,
            status: course.status(),
            referred_by: self.shown_in(room, &inviter.user),
            inviter: inviter.user,
            followers: inviter.referral.into_iter().collect(),
            dialog,
            course,
            history,
            request: None,
            reached: None,
            bound: false,
            patience: None,
        };
        self.show_invitation(now, room, id, invitation);
        self.admit_invited(room, id);
        self.send_invitation(now, id);
    }

    /// Has the switch admit the party before the INVITE: its connection may come right after its
    /// answer.
    fn admit_invited(&mut self, room: &RoomUri, id: InvitationId) {
        let Some(policy) = self.session_policy(room) else {
            return self.out.broken("no room of an invitation");
        };
        let Some(invitation) = self.invitation(id) else {
            return self.out.broken("no invitation to admit");
        };
        let Course::Dialing { media, session, .. } = &invitation.course else {
            return;
        };
        let admission = Admission {
            session: session.clone(),
            room: room.clone(),
            policy: RoomPolicy {
                // The phone rings first.
                bind_timeout: policy.bind_timeout + INVITE_TIMEOUT,
                ..policy
            },
            own_uri: media.own_uri(),
            user: invitation.user.clone(),
            display: String::new(),
            nickname: None,
            uris: vec![invitation.user.clone()],
            newcomer: true,
            setup: Setup::Passive,
            peer: Peer::silent(),
        };
        self.rooms.promise_session(admission.session.clone(), id);
        self.order_admission(admission);
    }

    /// Dialog for a request outside any dialog (RFC 3261 §8.1.1).
    fn dialog_to(&mut self, room: &RoomUri, target: &str, inviter: &Inviter) -> Dialog {
        Dialog {
            key: DialogKey::new(&self.out.session_id(), &self.out.tag(), ""),
            local_uri: room.shared(),
            remote_uri: target.into(),
            remote_target: target.into(),
            route_set: Box::default(),
            flow: None,
            principal: inviter.user.shared(),
            local_cseq: 0,
            remote_cseq: None,
            socket: Arc::clone(&inviter.socket),
            contact: Arc::clone(&inviter.contact),
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
            session: self.out.next_id(),
            version: 1,
        };
        let ours = offer_answer::offer(&local, origin).write();
        Some(Course::Dialing {
            media: Box::new(Media::new(local, origin, &ours)),
            session,
            targets: Targets::new(target),
            min_se: self.config.min_se,
            raised: 0,
        })
    }

    /// Adds an invited party to the roster.
    fn show_invitation(
        &mut self,
        now: Moment,
        room: &RoomUri,
        id: InvitationId,
        invitation: Invitation,
    ) {
        let Some(conference) = self.rooms.conference_mut(room) else {
            return self.out.broken("no conference of an invitation");
        };
        let user = invitation.user.clone();
        let role = conference.policy.role(&user);
        conference
            .participants
            .get_or_insert_with(&user, || Participant::new("".into(), role, 0));
        conference.change_invited(&user);
        let call_id = invitation.dialog.key.call_id().to_owned();
        let refers = matches!(invitation.course, Course::Referring);
        conference.begin_invitation(id, invitation);
        self.invites
            .begin(id, room.clone(), refers.then_some(call_id));
        self.conference_changed(now, room);
    }

    pub(in crate::focus) fn invitation(&mut self, id: InvitationId) -> Option<&mut Invitation> {
        let room = self.invites.room(id)?;
        self.rooms.conference_mut(room)?.invitation_mut(id)
    }

    /// Sends the INVITE or REFER, initially or again.
    pub(in crate::focus) fn send_invitation(&mut self, now: Moment, id: InvitationId) {
        let referring = self
            .invitation(id)
            .is_some_and(|invitation| matches!(invitation.course, Course::Referring));
        let patience =
            referring.then(|| self.timers.arm(now + REFER_PATIENCE, Timer::Invitation(id)));
        let request = self.request_id();
        let software = self.out.software.clone();
        let interval = self.config.session_expires;
        let Some(room) = self.invites.room(id).cloned() else {
            return self.out.broken("no invitation to send");
        };
        let conference = self.rooms.conference(&room);
        let about = conference.map(|it| it.identity()).unwrap_or_default();
        let Some(invitation) = self.invitation(id) else {
            return self.out.broken("no invitation to send");
        };
        let (method, headers, body) = invitation.message(&room, interval);
        let headers = about.announce(headers).with("User-Agent", software);
        let message = invitation.dialog.request(request, method, headers, body);
        invitation.request = Some(request);
        let before = std::mem::replace(&mut invitation.patience, patience);
        let dialog = invitation.dialog.clone();
        self.timers.disarm(before);
        if !referring {
            self.dialogs.dial(request, dialog);
        }
        self.send(now, Purpose::Invitation(id), message);
    }

    pub(in crate::focus) fn invitation_timed_out(&mut self, now: Moment, id: InvitationId) {
        self.invitation_failed(now, id, 408, None);
    }

    /// The invitation failed.
    pub(in crate::focus) fn invitation_failed(
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

    /// Withdraws an invitation: CANCEL while it rings.
    pub(in crate::focus) fn withdraw_invitation(&mut self, now: Moment, id: InvitationId) {
        self.call_off(now, id, DisconnectionMethod::Booted, 487);
    }

    /// Withdraws an invitation for this reason.
    pub(in crate::focus) fn call_off(
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
            self.out.push(Output::Cancel(request));
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
            self.out.order(Order::Expel { room, session });
        }
        let line = format!("{} does not join {room}: {code}", invitation.user);
        self.out.log(Level::Info, line);
        let text = reason.unwrap_or_else(|| crate::wire::sip::reason(code).to_owned());
        self.report_to(now, &invitation.followers, code, Some(&text));
        if let Some(conference) = self.rooms.conference_mut(&room) {
            // Row E14: in the form of a Reason header (RFC 3326 §2).
            let text = text.replace(['"', '\\'], "'");
            let reason = format!("SIP;cause={code};text=\"{text}\"");
            // Ids are never used twice.
            conference.depart(now, EndpointId(id.0), &invitation, method, Some(reason));
        }
        self.conference_changed(now, &room);
        self.end_if_empty(now, &room);
    }

    /// Adds a follower to an invitation that another participant has started.
    fn follow(&mut self, now: Moment, id: InvitationId, referral: Option<ReferralId>) {
        let (Some(referral), Some(invitation)) = (referral, self.invitation(id)) else {
            return;
        };
        invitation.followers.push(referral);
        if invitation.status == EndpointStatus::Alerting {
            self.report(now, Some(referral), 180, None);
        }
    }

    /// A user joined with this endpoint: ends their invitation. A phone that still rings is not the
    /// one that `answered`. A party we dialled has joined once its MSRP connection is bound.
    pub(in crate::focus) fn end_invitations(
        &mut self,
        now: Moment,
        room: &RoomUri,
        user: &UserUri,
        answered: Option<InvitationId>,
        endpoint: EndpointId,
    ) {
        let Some(id) = answered.or_else(|| self.awaited(room, user)) else {
            return;
        };
        let Some((room, invitation)) = self.take_invitation(id) else {
            return self.out.broken("no invitation that was awaited");
        };
        if answered.is_none()
            && let Course::Dialing { session, .. } = &invitation.course
        {
            if let Some(request) = invitation.request {
                self.out.push(Output::Cancel(request));
            }
            let (room, session) = (room.clone(), session.clone());
            self.out.order(Order::Expel { room, session });
        }
        let waits = answered.is_some() && invitation.course.dials_out() && !invitation.bound;
        match self.rooms.endpoint_mut(endpoint) {
            Some(endpoint) if waits => {
                endpoint.change_rare(|rare| rare.reports_to.clone_from(&invitation.followers));
            }
            _ => self.report_to(now, &invitation.followers, 200, None),
        }
        // To others, a participant with another address was not invited.
        let conference = self.rooms.conference_mut(&room);
        if let Some(conference) = conference.filter(|it| it.mask_of(&invitation.user).is_some()) {
            let (id, method) = (EndpointId(id.0), DisconnectionMethod::Departed);
            conference.depart(now, id, &invitation, method, None);
        }
    }

    /// The MSRP connection of a dialled party is bound.
    pub(in crate::focus) fn invited_bound(&mut self, now: Moment, session: &SessionId) {
        match self.rooms.occupant(session) {
            Some(Occupant::Invitation(id)) => {
                if let Some(invitation) = self.invitation(id) {
                    invitation.bound = true;
                }
            }
            Some(Occupant::Endpoint(id)) => {
                let endpoint = self.rooms.endpoint(id);
                if endpoint.is_some_and(|endpoint| !endpoint.rare().reports_to.is_empty())
                    && let Some(endpoint) = self.rooms.endpoint_mut(id)
                {
                    let followers =
                        endpoint.change_rare(|rare| std::mem::take(&mut rare.reports_to));
                    self.report_to(now, &followers, 200, None);
                }
            }
            None => {}
        }
    }

    fn take_invitation(&mut self, id: InvitationId) -> Option<(RoomUri, Invitation)> {
        let room = self.invites.end(id)?;
        let conference = self.rooms.conference_mut(&room)?;
        let invitation = conference.end_invitation(id)?;
        self.timers.disarm(invitation.patience);
        if let Course::Dialing { session, .. } = &invitation.course {
            self.rooms.withdraw_session(session, id);
        }
        Some((room, invitation))
    }

    /// The invitation of a user, if there is one; there is at most one.
    pub(in crate::focus) fn awaited(&self, room: &RoomUri, user: &UserUri) -> Option<InvitationId> {
        let conference = self.rooms.conference(room)?;
        conference
            .invitations()
            .iter()
            .find(|(_, invitation)| invitation.user == *user)
            .map(|(id, _)| *id)
    }
}
