//! REFER to the focus: add and remove participants (RFC 4579 §5.5, §5.11; RFC 3515, 4488).

use crate::focus::ids::{EndpointId, ReferralId};
use crate::focus::room::invitation::Inviter;
use crate::focus::room::participant::anonymous_uri;
use crate::focus::room::permission::{Ask, Caller};
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::{Purpose, Usage};
use crate::focus::sip::face::{Incoming, PACKAGE, capabilities, contact, identity};
use crate::focus::{InviteMode, Role};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::control::{RoomUri, UserUri};
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::rejection::{ALLOW_EVENTS, Refusal, Verdict};
use crate::focus::timers::{Timer, TimerKey};
use crate::focus::{Focus, RequestId};
use crate::time::Moment;
use crate::wire::sip::dialog::cseq_number;
use crate::wire::sip::{
    Event, FRAGMENT_TYPE, Headers, Method, ReferError, ReferTo, Request, Response, TargetDialog,
    Uri, reason, wants_refer_subscription,
};

/// RFC 3515 §2.4.4: the NOTIFYs of one REFER come at most once a second.
const PACE: Duration = Duration::from_secs(1);
/// Lifetime of the subscription; longer than any invitation takes.
const EXPIRES: Duration = Duration::from_secs(300);
/// REFERs of one conference that have not ended.
const MAX_REFERRALS: usize = 1_000;
/// Reason why a subscription ends (RFC 6665 §4.1.3): no news will follow, or it was not refreshed.
const DONE: &str = "noresource";
const EXPIRED: &str = "timeout";

/// Dialog of its NOTIFYs.
#[derive(Debug)]
enum Channel {
    /// The dialog made by the REFER.
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
    /// CSeq of the REFER; the peer may use it as the id.
    cseq: Option<u32>,
    expires: Moment,
    /// Progress, as a message/sipfrag.
    state: Bytes,
    /// The progress has not been sent yet.
    is_due: bool,
    /// Reason why the next NOTIFY is the last.
    ends: Option<&'static str>,
    in_flight: Option<RequestId>,
    last_sent: Option<Moment>,
    timer: Option<TimerKey>,
}

impl Referral {
    /// Whether an Event header means this referral: by the id of its own Event header, or by the
    /// CSeq of its REFER. NOTIFYs for the first REFER of a dialog need not have an id.
    fn is_meant_by(&self, event: &Event) -> bool {
        let own = self.event.parse::<Event>();
        let number = self.cseq.map(|number| number.to_string());
        own.is_ok_and(|own| {
            own.is_same(event) || (own.package == event.package && event.id() == number.as_deref())
        })
    }
}

/// The REFERs that have a subscriber.
#[derive(Debug, Default)]
pub(in crate::focus) struct Referrals {
    all: HashMap<ReferralId, Referral>,
    /// Number of referrals per room.
    in_room: HashMap<RoomUri, usize>,
    /// Those that came in an INVITE dialog.
    in_dialog: HashMap<EndpointId, Vec<ReferralId>>,
}

impl Referrals {
    fn insert(&mut self, id: ReferralId, referral: Referral) {
        *self.in_room.entry(referral.room.clone()).or_default() += 1;
        if let Channel::Endpoint(endpoint) = referral.channel {
            self.in_dialog.entry(endpoint).or_default().push(id);
        }
        self.all.insert(id, referral);
    }

    fn remove(&mut self, id: ReferralId) -> Option<Referral> {
        let referral = self.all.remove(&id)?;
        if let Some(count) = self.in_room.get_mut(&referral.room) {
            *count -= 1;
            if *count == 0 {
                self.in_room.remove(&referral.room);
            }
        }
        if let Channel::Endpoint(endpoint) = referral.channel
            && let Some(theirs) = self.in_dialog.get_mut(&endpoint)
        {
            theirs.retain(|other| *other != id);
            if theirs.is_empty() {
                self.in_dialog.remove(&endpoint);
            }
        }
        Some(referral)
    }

    fn get(&self, id: ReferralId) -> Option<&Referral> {
        self.all.get(&id)
    }

    fn get_mut(&mut self, id: ReferralId) -> Option<&mut Referral> {
        self.all.get_mut(&id)
    }

    fn count(&self, room: &RoomUri) -> usize {
        self.in_room.get(room).copied().unwrap_or_default()
    }

    fn of_dialog(&self, endpoint: EndpointId) -> &[ReferralId] {
        self.in_dialog.get(&endpoint).map_or(&[], Vec::as_slice)
    }

    /// Number of entries in all indexes.
    pub(in crate::focus) fn len(&self) -> usize {
        self.all.len() + self.in_room.len() + self.in_dialog.len()
    }
}

/// The request of a REFER.
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
        // Within a dialog the tags are the proof: scripts require credentials only outside one.
        let user = match within.and_then(|id| self.rooms.endpoint(id)) {
            Some(endpoint) => endpoint.user.clone(),
            None => identity(&incoming.arrival)?,
        };
        let wish = match wish {
            Wish::Remove(target) => Wish::Remove(self.unmasked(room, target)),
            add => add,
        };
        self.check_target_dialog(&incoming.request, &user)?;
        self.check_wish(room, &user, &wish)?;
        if matches!(wish, Wish::Add(_)) {
            self.spend_invitations(now, &user, 1)?;
        }
        let referral = self.grant_referral(now, incoming, room, within)?;
        match wish {
            Wish::Add(target) => {
                let inviter = Inviter {
                    user,
                    socket: Arc::new(incoming.arrival.socket.clone()),
                    contact: contact(room.as_str(), &incoming.arrival.socket).into(),
                    referral,
                };
                self.invite_party(now, room, &target, InviteMode::DialOut, inviter, None);
            }
            Wish::Remove(target) => {
                // Before the sender's own dialog ends, in case it removes themselves.
                self.report(now, referral, 200, None);
                self.remove(now, room, &target);
            }
        }
        Ok(())
    }

    /// The address behind that of an anonymous participant; rosters show only the latter.
    fn unmasked(&self, room: &RoomUri, shown: UserUri) -> UserUri {
        let conference = self.rooms.conference(room);
        let mut participants = conference.into_iter().flat_map(|it| it.participants.iter());
        let meant = participants.find(|(_, participant)| {
            participant
                .anonymous
                .is_some_and(|number| anonymous_uri(number) == shown)
        });
        meant.map_or(shown, |(user, _)| user.clone())
    }

    /// RFC 4538: the dialog that a REFER outside it names must be the sender's own.
    fn check_target_dialog(&self, request: &Request, user: &UserUri) -> Verdict<()> {
        let named = TargetDialog::of(&request.headers)
            .map_err(|error| Refusal::new(Cause::MalformedDialogReference).because(error))?;
        let Some(named) = named else {
            return Ok(());
        };
        let theirs = match self.dialogs.usage_named(&named.dialog) {
            Some(Usage::Endpoint(id)) => self.rooms.endpoint(id).is_some_and(|it| it.user == *user),
            _ => false,
        };
        if theirs {
            Ok(())
        } else {
            Err(Cause::ForeignTargetDialog.into())
        }
    }

    /// Whether a participant may request this; others may not change a conference.
    fn check_wish(&self, room: &RoomUri, user: &UserUri, wish: &Wish) -> Verdict<()> {
        let conference = self.rooms.conference(room).ok_or(Cause::NoRoom)?;
        let participant = conference.participants.get(user);
        let caller = Caller {
            user,
            role: participant.map_or(Role::Observer, |it| it.role),
            policy: &conference.policy,
            conference: Some(conference),
        };
        match wish {
            Wish::Remove(target) => caller.may(Ask::Remove(target)),
            Wish::Add(target) => {
                let most = self.config.max_list_size;
                caller.may(Ask::Add { most })?;
                let uri: Uri = target.parse().map_err(|_| Cause::MalformedReferTo)?;
                self.check_invitee(room, &UserUri::new(uri.address_of_record()))
            }
        }
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
        if self.invites.referrals.count(room) >= MAX_REFERRALS {
            return Err(Cause::TooManyReferrals.into());
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
            let key = dialog.key.clone();
            self.dialogs.open_by(now, key, Usage::Referral(id), request);
            to_tag = Some(dialog.key.local_tag().to_owned());
        }
        self.out
            .reply(incoming.transaction, 200, headers, "", to_tag);
        let referral = Referral {
            room: room.clone(),
            channel,
            event,
            cseq: cseq_number(request),
            expires: now + EXPIRES,
            state: Response::fragment(100, reason(100)),
            is_due: false,
            ends: None,
            in_flight: None,
            last_sent: None,
            timer: None,
        };
        self.invites.referrals.insert(id, referral);
        self.report(now, Some(id), 100, None);
        Ok(Some(id))
    }

    /// Event header of its NOTIFYs: for the second and later REFERs of a dialog it has an id (RFC
    /// 3515 §2.4.6).
    fn event_of(&mut self, request: &Request, within: Option<EndpointId>) -> String {
        let endpoint = within.and_then(|id| self.rooms.endpoint_mut(id));
        let again = endpoint.is_some_and(|it| std::mem::replace(&mut it.has_referred, true));
        match cseq_number(request) {
            Some(number) if again => format!("refer;id={number}"),
            _ => "refer".to_owned(),
        }
    }

    /// The REFER that a SUBSCRIBE in an INVITE dialog means.
    pub(in crate::focus) fn referral_in(
        &self,
        incoming: &Incoming,
        id: EndpointId,
    ) -> Option<ReferralId> {
        let event: Event = incoming.request.headers.first("Event")?.parse().ok()?;
        let referrals = &self.invites.referrals;
        let mut theirs = referrals.of_dialog(id).iter().copied();
        theirs.find(|id| referrals.get(*id).is_some_and(|it| it.is_meant_by(&event)))
    }

    /// The room of a REFER.
    pub(in crate::focus) fn room_of_referral(&self, id: ReferralId) -> Option<&RoomUri> {
        self.invites
            .referrals
            .get(id)
            .map(|referral| &referral.room)
    }

    /// Reports progress to the subscribers of these REFERs.
    pub(in crate::focus) fn report_to(
        &mut self,
        now: Moment,
        followers: &[ReferralId],
        code: u16,
        text: Option<&str>,
    ) {
        for id in followers {
            self.report(now, Some(*id), code, text);
        }
    }

    /// Reports progress to the subscriber of a REFER. Nothing comes after a final result.
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
        let referral = self.invites.referrals.get_mut(id);
        let Some(referral) = referral.filter(|it| it.ends.is_none()) else {
            return;
        };
        referral.state = Response::fragment(code, text.unwrap_or(reason(code)));
        referral.is_due = true;
        if code >= 200 {
            referral.ends = Some(DONE);
        }
        self.schedule_report(now, id);
    }

    /// Arms what comes next: a NOTIFY, or the end of the subscription.
    fn schedule_report(&mut self, now: Moment, id: ReferralId) {
        let Some(referral) = self.invites.referrals.get_mut(id) else {
            return self.out.broken("no referral to report");
        };
        if referral.in_flight.is_some() {
            return;
        }
        let paced = referral
            .last_sent
            .map_or(now, |sent| (sent + PACE).max(now));
        let at = match referral.is_due {
            true => paced,
            false => referral.expires.max(paced),
        };
        let timer = self.timers.arm(at, Timer::Report(id));
        self.timers.disarm(referral.timer.replace(timer));
    }

    /// Sends the next NOTIFY of a REFER: its progress, or the end of a subscription without
    /// refresh.
    pub(in crate::focus) fn send_report(&mut self, now: Moment, id: ReferralId) {
        let Some(referral) = self.invites.referrals.get_mut(id) else {
            return;
        };
        referral.is_due = false;
        if referral.expires <= now {
            referral.ends.get_or_insert(EXPIRED);
        }
        let (news, ends) = (referral.state.clone(), referral.ends);
        let state = match ends {
            Some(why) => format!("terminated;reason={why}"),
            None => {
                let left = referral.expires.saturating_since(now).as_secs();
                format!("active;expires={left}")
            }
        };
        let headers = Headers::new()
            .with("Event", referral.event.clone())
            .with("Subscription-State", state)
            .with("Content-Type", FRAGMENT_TYPE);
        let purpose = match ends {
            Some(_) => Purpose::Farewell,
            None => Purpose::Report(id),
        };
        let headers = headers.with("User-Agent", self.out.software.clone());
        let request = self.request_id();
        let Some(dialog) = self.referral_dialog(id) else {
            return self.forget_referral(id);
        };
        let headers = headers.with("Contact", format!("<{}>;isfocus", dialog.contact));
        let message = dialog.request(request, Method::Notify, headers, news);
        self.send(now, purpose, message);
        if ends.is_some() {
            self.forget_referral(id);
        } else if let Some(referral) = self.invites.referrals.get_mut(id) {
            referral.in_flight = Some(request);
            referral.last_sent = Some(now);
        }
    }

    /// A NOTIFY of a REFER has its outcome.
    pub(in crate::focus) fn reported(
        &mut self,
        now: Moment,
        id: ReferralId,
        code: u16,
        response: Option<&Response>,
    ) {
        if let Some(referral) = self.invites.referrals.get_mut(id) {
            referral.in_flight = None;
        }
        if code >= 300 {
            return self.forget_referral(id);
        }
        if let (Some(dialog), Some(response)) = (self.referral_dialog(id), response) {
            // NOTIFY refreshes the target (RFC 6665 §4.4.1).
            dialog.refresh_target(response);
        }
        self.schedule_report(now, id);
    }

    /// SUBSCRIBE in the dialog that a REFER made.
    pub(in crate::focus) fn subscribe_in_refer_dialog(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        id: ReferralId,
    ) -> Verdict<()> {
        let event = incoming.request.headers.first("Event");
        let event = event.and_then(|event| event.parse::<Event>().ok());
        let bad_event = || Refusal::new(Cause::UnknownPackage).with("Allow-Events", ALLOW_EVENTS);
        let event = event.ok_or_else(bad_event)?;
        let referral = self.invites.referrals.get(id).ok_or(Cause::NoDialog)?;
        match event.package.as_str() {
            _ if referral.is_meant_by(&event) => self.resubscribe_referral(now, incoming, id),
            "refer" => Err(Cause::NoDialog.into()),
            // Dialogs are not shared between usages (RFC 6665 §4.5.2).
            PACKAGE => Err(Cause::SubscribeInRefer.into()),
            _ => Err(bad_event()),
        }
    }

    /// SUBSCRIBE to a REFER: a refresh or the end of the subscription; the operation itself goes on
    /// (RFC 3515 §2.4.4). The granted time is not longer than requested (RFC 6665 §4.2.1.1).
    pub(in crate::focus) fn resubscribe_referral(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        id: ReferralId,
    ) -> Verdict<()> {
        let asked = incoming.request.headers.first("Expires").map(str::trim);
        let asked = asked.map(str::parse::<u32>).transpose();
        let asked = asked.map_err(|_| Cause::MalformedExpires)?;
        let expires = asked.map_or(EXPIRES, |it| Duration::from_secs(it.into()).min(EXPIRES));
        let referral = self.invites.referrals.get_mut(id).ok_or(Cause::NoDialog)?;
        referral.expires = now + expires;
        referral.is_due = true;
        let dialog = self.referral_dialog(id).ok_or(Cause::NoDialog)?;
        let headers = capabilities(&dialog.contact).with("Expires", expires.as_secs().to_string());
        self.out.reply(incoming.transaction, 200, headers, "", None);
        self.schedule_report(now, id);
        Ok(())
    }

    fn forget_referral(&mut self, id: ReferralId) {
        if let Some(referral) = self.invites.referrals.remove(id) {
            self.timers.disarm(referral.timer);
            if let Channel::Own(dialog) = referral.channel {
                self.dialogs.close(&dialog.key);
            }
        }
    }

    /// Reports to the subscribers of REFERs in this dialog before we end it.
    pub(in crate::focus) fn end_referrals_of(&mut self, now: Moment, leaving: EndpointId) {
        for id in self.invites.referrals.of_dialog(leaving).to_vec() {
            if let Some(referral) = self.invites.referrals.get_mut(id) {
                referral.ends.get_or_insert(DONE);
            }
            self.send_report(now, id);
        }
    }

    /// Drops the REFERs of an ended dialog.
    pub(in crate::focus) fn forget_referrals_of(&mut self, gone: EndpointId) {
        for id in self.invites.referrals.of_dialog(gone).to_vec() {
            self.forget_referral(id);
        }
    }

    /// The dialog of a REFER, for the order of its CSeqs.
    pub(in crate::focus) fn referral_dialog(&mut self, id: ReferralId) -> Option<&mut Dialog> {
        match &mut self.invites.referrals.get_mut(id)?.channel {
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
        ReferError::Scheme => Cause::UnknownScheme.into(),
        _ => Refusal::new(Cause::MalformedReferTo).because(error),
    })?;
    let target = &refer_to.uri;
    if target.scheme == "tel" {
        return Err(Cause::UnknownScheme.into());
    }
    match refer_to.method {
        Method::Invite => Ok(Wish::Add(target.to_string())),
        Method::Bye => Ok(Wish::Remove(UserUri::new(target.address_of_record()))),
        _ => Err(Cause::OtherReferMethod.into()),
    }
}
