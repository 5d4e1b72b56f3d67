//! REFER to the focus: add and remove participants (RFC 4579 §5.5, §5.11; RFC 3515, 4488).

use crate::focus::ids::{EndpointId, ReferralId};
use crate::focus::room::invitation::Inviter;
use crate::focus::roster::view::anonymous_uri;
use crate::focus::sip::dialogs::{Purpose, Usage};
use crate::focus::sip::face::{Incoming, RETRY_AFTER, capabilities, contact, identity};
use crate::focus::{InviteMode, Role};
use std::time::Duration;

use bytes::Bytes;

use crate::control::{RoomUri, UserUri};
use crate::focus::sip::dialog::{Dialog, cseq};
use crate::focus::sip::rejection::{Refusal, Verdict, no_room};
use crate::focus::timers::{Timer, TimerKey};
use crate::focus::{Focus, RequestId};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::conference_info::DisconnectionMethod;
use crate::wire::sip::{
    Event, FRAGMENT_TYPE, Headers, Method, ReferError, ReferTo, Request, Response, TargetDialog,
    Uri, reason, wants_refer_subscription,
};

/// RFC 3515 §2.4.4: the NOTIFYs of one REFER come at most once a second.
const PACE: Duration = Duration::from_secs(1);
/// Longer than any invitation takes.
const EXPIRES: Duration = Duration::from_secs(300);
/// REFERs of one conference that have not ended.
const MAX_REFERRALS: usize = 1_000;

/// Where its NOTIFYs go.
#[derive(Debug)]
enum Channel {
    /// The dialog that the REFER made.
    Own(Box<Dialog>),
    /// The INVITE dialog it came in.
    Endpoint(EndpointId),
}

/// The implicit subscription of a REFER (RFC 3515 §2.4.4).
#[derive(Debug)]
pub(in crate::focus) struct Referral {
    room: RoomUri,
    channel: Channel,
    /// `refer`, or `refer;id=…` for the second and later REFERs of a dialog (§2.4.6).
    event: String,
    expires: Moment,
    /// What has not been told yet.
    news: Option<Bytes>,
    /// The news is the last.
    ends: bool,
    in_flight: Option<RequestId>,
    last_sent: Option<Moment>,
    timer: Option<TimerKey>,
}

/// What a REFER asks for.
enum Wish {
    Add(String),
    Remove(UserUri),
}

impl Focus {
    /// REFER at a room URI, or in the INVITE dialog of a participant.
    pub(in crate::focus) fn refer(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: &RoomUri,
        within: Option<EndpointId>,
    ) -> Verdict<()> {
        let wish = wish(&incoming.request)?;
        // Within a dialog its tags are the proof: scripts ask for credentials outside only.
        let user = match within.and_then(|id| self.rooms.endpoint(id)) {
            Some(endpoint) => endpoint.user.clone(),
            None => identity(&incoming.arrival)?,
        };
        let role = self.role_of(room, &user)?;
        let wish = match wish {
            Wish::Remove(target) => Wish::Remove(self.unmasked(room, target)),
            add => add,
        };
        self.check_target_dialog(&incoming.request, &user)?;
        match &wish {
            Wish::Add(target) => {
                self.check_add(room, role, target)?;
                self.spend_invitations(now, &user, 1)?;
            }
            Wish::Remove(target) => self.check_remove(room, role, &user, target)?,
        }
        let referral = self.grant_referral(now, incoming, room, within)?;
        match wish {
            Wish::Add(target) => {
                let inviter = Inviter {
                    user,
                    socket: incoming.arrival.socket.clone(),
                    contact: contact(room.as_str(), &incoming.arrival.socket),
                    referral,
                };
                self.invite_party(now, room, &target, InviteMode::DialOut, inviter, None);
            }
            Wish::Remove(target) => {
                self.remove(now, room, &target);
                self.report(now, referral, 200, None);
            }
        }
        Ok(())
    }

    /// Whom the address of an anonymous participant stands for: rosters show no other.
    fn unmasked(&self, room: &RoomUri, shown: UserUri) -> UserUri {
        let conference = self.rooms.conference(room);
        let mut participants = conference.into_iter().flat_map(|it| &it.participants);
        let meant = participants.find(|(_, participant)| {
            participant
                .anonymous
                .is_some_and(|number| anonymous_uri(number) == shown)
        });
        meant.map_or(shown, |(user, _)| user.clone())
    }

    /// What a participant is; nobody else may change a conference.
    fn role_of(&self, room: &RoomUri, user: &UserUri) -> Verdict<Role> {
        let conference = self.rooms.conference(room).ok_or_else(no_room)?;
        conference
            .participants
            .get(user)
            .filter(|participant| !participant.endpoints.is_empty())
            .map(|participant| participant.role)
            .ok_or_else(|| Refusal::new(403).because("only participants may refer"))
    }

    /// RFC 4538: the dialog that a REFER outside it names must be the sender's own.
    fn check_target_dialog(&self, request: &Request, user: &UserUri) -> Verdict<()> {
        let named =
            TargetDialog::of(&request.headers).map_err(|error| Refusal::new(400).because(error))?;
        let Some(named) = named else {
            return Ok(());
        };
        let theirs = self.rooms.endpoints.values().any(|endpoint| {
            let key = &endpoint.dialog.key;
            endpoint.user == *user
                && named
                    .dialog
                    .names(&key.call_id, &key.local_tag, &key.remote_tag)
        });
        if theirs {
            Ok(())
        } else {
            Err(Refusal::new(403).because("Target-Dialog names no dialog of the sender"))
        }
    }

    fn check_add(&self, room: &RoomUri, role: Role, target: &str) -> Verdict<()> {
        let conference = self.rooms.conference(room).ok_or_else(no_room)?;
        let closed = conference.policy.only_moderators_invite || conference.locked;
        if role == Role::Observer || (closed && role != Role::Moderator) {
            return Err(Refusal::new(403).because("only moderators may add somebody"));
        }
        let uri: Uri = target.parse().map_err(|_| Refusal::new(400))?;
        self.check_invitee(room, &UserUri::new(uri.address_of_record()))
    }

    fn check_remove(
        &self,
        room: &RoomUri,
        role: Role,
        user: &UserUri,
        target: &UserUri,
    ) -> Verdict<()> {
        if role != Role::Moderator && user != target {
            return Err(Refusal::new(403).because("only moderators may remove somebody"));
        }
        let conference = self.rooms.conference(room).ok_or_else(no_room)?;
        if !conference.participants.contains_key(target) {
            return Err(Refusal::new(404).because("not in the room"));
        }
        Ok(())
    }

    /// Removes a user: every device, every invitation, and its subscriptions (rows F06, F07).
    pub(in crate::focus) fn remove(&mut self, now: Moment, room: &RoomUri, user: &UserUri) {
        let Some(conference) = self.rooms.conference(room) else {
            return;
        };
        let invitations: Vec<_> = conference
            .invitations
            .iter()
            .filter(|(_, invitation)| invitation.user == *user)
            .map(|(id, _)| *id)
            .collect();
        let devices = conference
            .participants
            .get(user)
            .map(|participant| participant.endpoints.clone())
            .unwrap_or_default();
        for id in invitations {
            self.withdraw_invitation(now, id);
        }
        self.reject_subscriber(now, room, user);
        for id in devices {
            self.dismiss_as(now, id, DisconnectionMethod::Booted);
        }
        self.out
            .log(Level::Info, format_args!("{user} was removed from {room}"));
    }

    /// The 200 (never 202, RFC 7647 §5) and the implicit subscription, unless the sender
    /// does not want one (RFC 4488 §4).
    fn grant_referral(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: &RoomUri,
        within: Option<EndpointId>,
    ) -> Verdict<Option<ReferralId>> {
        let Incoming {
            request, arrival, ..
        } = incoming;
        let contact = contact(room.as_str(), &arrival.socket);
        let mut headers = capabilities(&contact);
        if !wants_refer_subscription(&request.headers) {
            headers.push("Refer-Sub", "false");
            self.out.reply(
                incoming.transaction,
                200,
                headers,
                "",
                arrival.to_tag.clone(),
            );
            return Ok(None);
        }
        let running = self
            .invites
            .referrals
            .values()
            .filter(|r| r.room == *room)
            .count();
        if running >= MAX_REFERRALS {
            return Err(Refusal::new(503)
                .with("Retry-After", RETRY_AFTER)
                .because("too many REFERs under way"));
        }
        let channel = match within {
            Some(id) => Channel::Endpoint(id),
            None => {
                let dialog = self.new_dialog(incoming, contact)?;
                Channel::Own(Box::new(dialog))
            }
        };
        let event = self.event_of(request, within);
        let id = ReferralId(self.out.next_id());
        let mut to_tag = arrival.to_tag.clone();
        if let Channel::Own(dialog) = &channel {
            self.dialogs.open(dialog.key.clone(), Usage::Referral(id));
            to_tag = Some(dialog.key.local_tag.clone());
        }
        self.out
            .reply(incoming.transaction, 200, headers, "", to_tag);
        let referral = Referral {
            room: room.clone(),
            channel,
            event,
            expires: now + EXPIRES,
            news: None,
            ends: false,
            in_flight: None,
            last_sent: None,
            timer: None,
        };
        self.invites.referrals.insert(id, referral);
        self.report(now, Some(id), 100, None);
        Ok(Some(id))
    }

    /// The Event of its NOTIFYs: those of the second and later REFERs of a dialog have an id
    /// (RFC 3515 §2.4.6).
    fn event_of(&mut self, request: &Request, within: Option<EndpointId>) -> String {
        let endpoint = within.and_then(|id| self.rooms.endpoint_mut(id));
        let again = endpoint.is_some_and(|it| std::mem::replace(&mut it.has_referred, true));
        match cseq(request) {
            Some(number) if again => format!("refer;id={number}"),
            _ => "refer".to_owned(),
        }
    }

    /// The REFER in an INVITE dialog that a SUBSCRIBE there means.
    pub(in crate::focus) fn referral_in(
        &self,
        incoming: &Incoming,
        id: EndpointId,
    ) -> Option<ReferralId> {
        let event: Event = incoming.request.headers.first("Event")?.parse().ok()?;
        let mut theirs =
            self.invites.referrals.iter().filter(
                |(_, referral)| matches!(referral.channel, Channel::Endpoint(of) if of == id),
            );
        let is_meant = |referral: &Referral| {
            let own = referral.event.parse::<Event>();
            own.is_ok_and(|own| own.is_same(&event))
        };
        theirs
            .find(|(_, referral)| is_meant(referral))
            .map(|(id, _)| *id)
    }

    /// The room a REFER is about.
    pub(in crate::focus) fn room_of_referral(&self, id: ReferralId) -> Option<&RoomUri> {
        self.invites
            .referrals
            .get(&id)
            .map(|referral| &referral.room)
    }

    /// Tells who follows a REFER how far it got.
    pub(in crate::focus) fn report(
        &mut self,
        now: Moment,
        id: Option<ReferralId>,
        code: u16,
        text: Option<&str>,
    ) {
        let Some(id) = id else {
            return;
        };
        let Some(referral) = self.invites.referrals.get_mut(&id) else {
            return;
        };
        referral.news = Some(Response::fragment(code, text.unwrap_or(reason(code))));
        referral.ends |= code >= 200;
        self.schedule_report(now, id);
    }

    fn schedule_report(&mut self, now: Moment, id: ReferralId) {
        let Some(referral) = self.invites.referrals.get_mut(&id) else {
            return;
        };
        if referral.in_flight.is_some() || referral.news.is_none() {
            return;
        }
        let at = referral
            .last_sent
            .map_or(now, |sent| (sent + PACE).max(now));
        let timer = self.timers.arm(at, Timer::Report(id));
        self.timers.disarm(referral.timer.replace(timer));
    }

    /// Sends the NOTIFY of a REFER that is due.
    pub(in crate::focus) fn send_report(&mut self, now: Moment, id: ReferralId) {
        let Some(referral) = self.invites.referrals.get_mut(&id) else {
            return;
        };
        let Some(news) = referral.news.take() else {
            return;
        };
        let ends = referral.ends;
        let state = if ends {
            "terminated;reason=noresource".to_owned()
        } else {
            let left = referral.expires.saturating_since(now).as_secs();
            format!("active;expires={left}")
        };
        let headers = Headers::new()
            .with("Event", referral.event.clone())
            .with("Subscription-State", state)
            .with("Content-Type", FRAGMENT_TYPE);
        let purpose = if ends {
            Purpose::Farewell
        } else {
            Purpose::Report(id)
        };
        let headers = headers.with("User-Agent", self.out.software.clone());
        let request = self.request_id();
        let Some(dialog) = self.referral_dialog(id) else {
            return self.forget_referral(id);
        };
        let headers = headers.with("Contact", format!("<{}>;isfocus", dialog.contact));
        let message = dialog.request(request, Method::Notify, headers, news);
        self.send(now, purpose, message);
        if ends {
            self.forget_referral(id);
        } else if let Some(referral) = self.invites.referrals.get_mut(&id) {
            referral.in_flight = Some(request);
            referral.last_sent = Some(now);
        }
    }

    /// A NOTIFY of a REFER has its outcome.
    pub(in crate::focus) fn reported(&mut self, now: Moment, id: ReferralId, code: u16) {
        if let Some(referral) = self.invites.referrals.get_mut(&id) {
            referral.in_flight = None;
        }
        if code >= 300 {
            self.forget_referral(id);
        } else {
            self.schedule_report(now, id);
        }
    }

    /// SUBSCRIBE in the dialog of a REFER: a refresh, or the end; what was asked for goes on
    /// (RFC 3515 §2.4.4).
    pub(in crate::focus) fn resubscribe_referral(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        id: ReferralId,
    ) -> Verdict<()> {
        let zero = incoming.request.headers.first("Expires").map(str::trim) == Some("0");
        let referral = self
            .invites
            .referrals
            .get_mut(&id)
            .ok_or(Refusal::new(481))?;
        let expires = if zero { Duration::ZERO } else { EXPIRES };
        referral.expires = now + expires;
        referral.ends |= zero;
        let headers = Headers::new().with("Expires", expires.as_secs().to_string());
        self.out.reply(incoming.transaction, 200, headers, "", None);
        self.report(now, Some(id), 100, None);
        Ok(())
    }

    fn forget_referral(&mut self, id: ReferralId) {
        if let Some(referral) = self.invites.referrals.remove(&id) {
            self.timers.disarm(referral.timer);
            if let Channel::Own(dialog) = referral.channel {
                self.dialogs.close(&dialog.key);
            }
        }
    }

    /// Nobody follows what happened in an ended conference or dialog.
    pub(in crate::focus) fn forget_referrals_of(&mut self, gone: EndpointId) {
        let theirs: Vec<_> = self
            .invites
            .referrals
            .iter()
            .filter(|(_, r)| matches!(r.channel, Channel::Endpoint(id) if id == gone))
            .map(|(id, _)| *id)
            .collect();
        for id in theirs {
            self.forget_referral(id);
        }
    }

    /// The dialog that a REFER made, if it made one.
    pub(in crate::focus) fn dialog_of_referral(&self, id: ReferralId) -> Option<&Dialog> {
        match &self.invites.referrals.get(&id)?.channel {
            Channel::Own(dialog) => Some(dialog),
            Channel::Endpoint(_) => None,
        }
    }

    /// The dialog of a REFER, for the order of its CSeqs.
    pub(in crate::focus) fn referral_dialog(&mut self, id: ReferralId) -> Option<&mut Dialog> {
        match &mut self.invites.referrals.get_mut(&id)?.channel {
            Channel::Own(dialog) => Some(dialog),
            Channel::Endpoint(endpoint) => {
                self.rooms.endpoint_mut(*endpoint).map(|e| &mut e.dialog)
            }
        }
    }
}

/// Row F12: exactly one Refer-To, a SIP URI; row F06: the method stands in the URI, or as a
/// header parameter.
fn wish(request: &Request) -> Verdict<Wish> {
    let refer_to = ReferTo::of(&request.headers).map_err(|error| match error {
        ReferError::Scheme => Refusal::new(416),
        _ => Refusal::new(400).because(error),
    })?;
    let target = &refer_to.uri;
    if target.scheme == "tel" {
        return Err(Refusal::new(416));
    }
    match refer_to.method {
        Method::Invite => Ok(Wish::Add(target.to_string())),
        Method::Bye => Ok(Wish::Remove(UserUri::new(target.address_of_record()))),
        _ => Err(Refusal::new(501).because("Refer-To may ask for INVITE and BYE")),
    }
}
