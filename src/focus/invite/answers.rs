//! Answers of invited parties: progress, challenges, redirections, acceptance.

use crate::focus::Role;
use crate::focus::ids::{EndpointId, InvitationId};
use crate::focus::room::endpoint::{Endpoint, Link, Rare};
use crate::focus::room::invitation::{Course, Invitation};
use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::{Purpose, Usage};
use crate::focus::sip::face::{Incoming, is_focus, shortened};
use bytes::Bytes;
use std::net::IpAddr;

use crate::control::Order;
use crate::focus::sip::rejection::Verdict;
use crate::focus::sip::session_timer::{Agreement, MAX_RAISES, min_se};
use crate::focus::{Focus, RequestId};
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;
use crate::wire::sdp::Description;
use crate::wire::sip::{Headers, NameAddr, Response};

impl Focus {
    /// Notes the address an INVITE of ours went to, before its outcome arrives.
    pub(in crate::focus) fn note_reached(&mut self, request: RequestId, reached: Option<IpAddr>) {
        if let Some(Purpose::Invitation(id)) = self.dialogs.purpose(request)
            && let Some(invitation) = self.invitation(id)
        {
            invitation.reached = reached;
        }
    }

    /// A provisional answer to our INVITE.
    pub(in crate::focus) fn invitation_progress(
        &mut self,
        now: Moment,
        id: InvitationId,
        code: u16,
    ) {
        if code <= 100 {
            return;
        }
        if matches!(code, 180 | 183) {
            self.show_under_way(now, id);
        }
        let followers = self.invitation(id).map(|it| it.followers.clone());
        self.report_to(now, &followers.unwrap_or_default(), code, None);
    }

    fn show_under_way(&mut self, now: Moment, id: InvitationId) {
        let Some(room) = self.invites.room(id).cloned() else {
            return;
        };
        let Some(conference) = self.rooms.conference_mut(&room) else {
            return self.out.broken("no conference of an invitation");
        };
        let Some(invitation) = conference.invitation_mut(id) else {
            return self.out.broken("no invitation of a room");
        };
        let status = invitation.course.status_under_way();
        if std::mem::replace(&mut invitation.status, status) == status {
            return;
        }
        let user = invitation.user.clone();
        conference.change_invited(&user);
        self.conference_changed(now, &room);
    }

    /// A final answer to our INVITE or REFER.
    pub(in crate::focus) fn invitation_outcome(
        &mut self,
        now: Moment,
        id: InvitationId,
        request: RequestId,
        code: u16,
        response: Option<&Response>,
    ) {
        let accepted = response.filter(|_| (200..300).contains(&code));
        let Some(invitation) = self.invitation(id).filter(|it| it.request == Some(request)) else {
            // The invitation was withdrawn: end the call of a party that answered all the same.
            if let Some(response) = accepted {
                self.refuse_answer(now, request, response);
            }
            return self.forget_dialled_later(now, request);
        };
        invitation.request = None;
        match accepted {
            Some(response) => self.answer_came(now, request, response),
            None => self.forget_dialled_later(now, request),
        }
        match (code, response) {
            (200..=299, Some(response)) => self.invitation_accepted(now, id, response),
            (300..=399, Some(response)) => self.redirected(now, id, code, response),
            (422, Some(response)) => self.invite_for_longer(now, id, response),
            (300..600, _) => self.try_elsewhere(now, id, code, response),
            // RFC 3261 §21.6: a 6xx holds for the party at every address.
            _ => self.invitation_failed(now, id, code, response),
        }
    }

    /// RFC 4028 §7.3: retries with the longer session interval that the answer requires.
    fn invite_for_longer(&mut self, now: Moment, id: InvitationId, response: &Response) {
        let wanted = min_se(response);
        let longer = self.invitation(id).and_then(|invitation| {
            let Course::Dialing { min_se, raised, .. } = &mut invitation.course else {
                return None;
            };
            let longer = wanted.filter(|wanted| wanted > min_se && *raised < MAX_RAISES)?;
            *min_se = longer;
            *raised += 1;
            Some(())
        });
        match longer {
            Some(()) => self.send_invitation(now, id),
            None => self.invitation_failed(now, id, 422, Some(response)),
        }
    }

    /// RFC 3261 §8.1.3.4: tries the other addresses of the party.
    fn redirected(&mut self, now: Moment, id: InvitationId, code: u16, response: &Response) {
        let room = self.invites.room(id).cloned();
        if let (Some(room), Some(invitation)) = (room, self.invitation(id))
            && let Course::Dialing { targets, .. } = &mut invitation.course
        {
            targets.redirected(response, &room);
        }
        self.try_elsewhere(now, id, code, Some(response));
    }

    /// This target failed; the next one may succeed.
    fn try_elsewhere(
        &mut self,
        now: Moment,
        id: InvitationId,
        code: u16,
        response: Option<&Response>,
    ) {
        match self.invitation(id).is_some_and(Invitation::turn_elsewhere) {
            true => self.send_invitation(now, id),
            false => self.invitation_failed(now, id, code, response),
        }
    }

    fn invitation_accepted(&mut self, now: Moment, id: InvitationId, response: &Response) {
        let Some(invitation) = self.invitation(id) else {
            return;
        };
        match invitation.course {
            // The party has agreed; it joins with its own INVITE.
            Course::Referring => {}
            Course::Dialing { .. } => self.answered_invitation(now, id, response),
        }
    }

    /// A 2xx with the answer to our offer: the dialog is established and the party is in. The
    /// switch admitted the session before the INVITE and now learns its user.
    fn answered_invitation(&mut self, now: Moment, id: InvitationId, response: &Response) {
        let Some(room) = self.invites.room(id).cloned() else {
            return;
        };
        let Some(invitation) = self.invitation(id) else {
            return self.out.broken("no invitation of a room");
        };
        let reached = invitation.reached;
        invitation.dialog.established(response);
        let dialog = invitation.dialog.clone();
        let Course::Dialing { media, session, .. } = &invitation.course else {
            return;
        };
        let (session, media) = (session.clone(), (**media).clone());
        let user = invitation.user.clone();
        let answer = Description::parse(&response.body).ok();
        // An inner address is allowed where the INVITE itself went (`dial_allow`).
        let accepted = answer.and_then(|answer| media.read_answer(&answer, reached).ok());
        let Some(accepted) = accepted else {
            self.hang_up(now, dialog, ByeReason::UnusableAnswer);
            self.invitation_failed(now, id, 488, None);
            return;
        };
        if is_focus(&response.headers) {
            self.hang_up(now, dialog, ByeReason::IsConference);
            return self.invitation_failed(now, id, 403, None);
        }
        let conference = self.rooms.conference(&room);
        if conference.is_none_or(|it| it.policy.admits(&user).is_err()) {
            // The rules changed while it rang.
            self.hang_up(now, dialog, ByeReason::Removed);
            return self.call_off(now, id, DisconnectionMethod::Failed, 403);
        }
        if !self.has_place(id) {
            // Others joined while it rang: invited parties hold no place.
            self.hang_up(now, dialog, ByeReason::Full);
            return self.call_off(now, id, DisconnectionMethod::Failed, 486);
        }
        let role = self.rooms.role_of(&room, &user);
        let one_send = self.takes_one_send(&response.headers);
        let mut media = media.with(Some(accepted), one_send);
        media.set_observer(role == Role::Observer);
        // A user who is anonymous here stays so on another device.
        let conference = self.rooms.conference(&room);
        let anonymous = conference.and_then(|it| it.mask_of(&user));
        let run = self.switch.run;
        let endpoint_id = EndpointId(self.out.next_id());
        let Some(invitation) = self.invitation(id) else {
            return self.out.broken("no invitation of a room");
        };
        let rare = Rare {
            invitation: Some(id),
            referred_by: Some(invitation.referred_by.clone()),
            ..Rare::default()
        };
        let link = Link::Up(session);
        let mut endpoint = Endpoint::new(room, user, role, dialog, media, link).with(rare);
        endpoint.display = display_name(response).into();
        endpoint.entity = invitation.entity.as_str().into();
        endpoint.run = run;
        endpoint.dialed_out = true;
        endpoint.anonymous = anonymous;
        endpoint.peer_updates = response.headers.has_token("Allow", "UPDATE");
        self.dialogs
            .open(endpoint.dialog.key.clone(), Usage::Endpoint(endpoint_id));
        let shared = &mut self.dialogs.shared;
        self.rooms.enter(endpoint_id, endpoint, shared);
        let agreement = Agreement::accepted(response, self.config.session_expires);
        self.start_session_timer(now, endpoint_id, agreement);
        if let Some(admission) = self.admission(endpoint_id) {
            self.out.order(Order::Amend(Box::new(admission)));
        }
        self.joined(now, endpoint_id);
    }

    /// Whether the room has a place for an invited party.
    fn has_place(&self, id: InvitationId) -> bool {
        let room = self.invites.room(id);
        let conference = room.and_then(|room| self.rooms.conference(room));
        conference.is_some_and(|it| {
            let invitation = it.invitations().get(&id);
            invitation.is_some_and(|invitation| it.has_place_for(&invitation.user))
        })
    }

    /// A party we sent a REFER reports its progress (RFC 3515 §2.4.4).
    pub(in crate::focus) fn refer_progress(
        &mut self,
        now: Moment,
        incoming: &Incoming,
    ) -> Verdict<()> {
        let request = &incoming.request;
        let id = request
            .headers
            .first("Call-ID")
            .and_then(|call_id| self.invites.referred(call_id))
            .ok_or(Cause::NoDialog)?;
        let invitation = self.invitation(id).ok_or(Cause::NoDialog)?;
        let ours = invitation.dialog.key.local_tag();
        let to = request
            .headers
            .first("To")
            .and_then(|to| to.parse::<NameAddr>().ok());
        if to.as_ref().and_then(|to| to.tag()) != Some(ours) {
            return Err(Cause::NoDialog.into());
        }
        self.out
            .reply(incoming.transaction, 200, Headers::new(), "", None);
        match Response::status_of_fragment(&request.body) {
            Some((100..200, _)) => self.show_under_way(now, id),
            Some((code @ 300.., reason)) => {
                let response = Response {
                    code,
                    reason,
                    headers: Headers::new(),
                    body: Bytes::new(),
                };
                self.invitation_failed(now, id, code, Some(&response));
            }
            // It has dialled in, or another report follows.
            _ => {}
        }
        Ok(())
    }
}

fn display_name(response: &Response) -> String {
    response
        .headers
        .first("To")
        .and_then(|value| value.parse::<NameAddr>().ok())
        .map(|to| shortened(to.display))
        .unwrap_or_default()
}
