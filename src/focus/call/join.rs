//! Joining: INVITE, admission at the switch, 2xx, ACK. The switch admits the endpoint before the
//! focus sends 200.

use crate::focus::Role;
use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::{Endpoint, Link, Offer, Rare};
use crate::focus::room::participant::Participant;
use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::dialogs::Usage;
use crate::focus::sip::face::{Incoming, MAX_URI_LENGTH, contact, is_focus, shortened, top_via};
use crate::focus::sip::media::Media;
use crate::focus::sip::unacknowledged::Answering;
use crate::wire::sip::dialog::cseq_number;
use std::sync::Arc;

use crate::control::{RoomUri, SessionId, UserUri};
use crate::focus::call::access::Access;
use crate::focus::call::listeners::Towards;
use crate::focus::call::offer::{SessionBody, parse_offer};
use crate::focus::room::conference::{Conference, Identity};
use crate::focus::room::participant::shown_uri;
use crate::focus::room::policy::Policy;
use crate::focus::sip::offer_answer::{self, Accepted, Local, Origin};
use crate::focus::sip::rejection::Verdict;
use crate::focus::{Event, Focus, Socket};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::sdp::Description;
use crate::wire::sip::{NameAddr, Request, Uri};

impl Focus {
    /// An INVITE that starts a dialog.
    pub(in crate::focus) fn invite(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: RoomUri,
    ) -> Verdict<()> {
        if self.stopping {
            return Err(Cause::Stopping.into());
        }
        if self.closed {
            return Err(Cause::StoreBehind.into());
        }
        if is_focus(&incoming.request.headers) {
            // Two rooms that are members of each other would keep each other alive and repeat each
            // other's messages.
            return Err(Cause::FocusInFocus.into());
        }
        let access = self.check_access(incoming, room)?;
        self.check_switch()?;
        let SessionBody {
            offer,
            recipients,
            message,
        } = parse_offer(
            &incoming.request,
            self.terms(&access.policy),
            incoming.arrival.source.ip(),
        )?;
        self.check_recipients(&access, &recipients)?;
        let agreement = self.settle(&incoming.request)?;
        self.check_place(&access)?;
        self.spend_invitations(now, &access.user, recipients.len())?;
        let mut endpoint = self.new_endpoint(incoming, &access, offer)?;
        endpoint.change_rare(|rare| {
            rare.recipients = recipients;
            rare.first_message = message;
        });
        let answering = Answering {
            transaction: incoming.transaction,
            cseq: cseq_number(&incoming.request).unwrap_or_default(),
            via: top_via(&incoming.request),
            body: Some(endpoint.media.ours()),
            needs_ack: true,
            agreement,
            before: None,
        };
        self.begin_join(now, endpoint, answering, &access, &incoming.request);
        Ok(())
    }

    fn new_endpoint(
        &mut self,
        incoming: &Incoming,
        access: &Access,
        offer: Option<(Description, Accepted)>,
    ) -> Verdict<Endpoint> {
        let Incoming {
            request, arrival, ..
        } = incoming;
        let Access {
            room, user, role, ..
        } = access;
        let contact = room_contact(&request.uri, room, &arrival.socket);
        let dialog = self.new_dialog(incoming, contact)?;
        let secure = match &offer {
            Some((_, accepted)) => accepted.secure,
            None => self.terms(&access.policy).secure(),
        };
        let towards = Towards {
            socket: &arrival.socket,
            secure,
            theirs: offer.as_ref().map(|(_, accepted)| accepted),
        };
        self.check_listener(towards)?;
        let (session, local) = self.new_session(towards, &access.policy, *role);
        let origin = Origin {
            session: self.out.next_id(),
            version: 1,
        };
        let ours = match &offer {
            Some((offer, accepted)) => offer_answer::answer(offer, accepted, &local, origin),
            None => offer_answer::offer(&local, origin),
        };
        let ours = ours.write();
        let our_offer = match offer {
            Some(_) => Offer::None,
            None => Offer::Answer,
        };
        let theirs = offer.map(|(_, accepted)| accepted);
        let one_send = self.takes_one_send(&request.headers);
        let media = Media::new(local, origin, &ours).with(theirs, one_send);
        let rare = Rare {
            other_uris: access.other_uris.clone().into(),
            replaces: access.replaces,
            referred_by: self.referrer(request, access),
            ..Rare::default()
        };
        let entity = self.endpoint_entity(access, &dialog.remote_target);
        let (room, user, link) = (room.clone(), user.clone(), Link::Up(session));
        let mut endpoint = Endpoint::new(room, user, *role, dialog, media, link).with(rare);
        endpoint.display = display_name(request, &access.user).into();
        endpoint.entity = entity.into();
        endpoint.offer = our_offer;
        endpoint.leads = access.leads;
        endpoint.anonymous = self.anonymous_number(access);
        endpoint.peer_updates = request.headers.has_token("Allow", "UPDATE");
        Ok(endpoint)
    }

    /// A new session id and our description for it.
    pub(in crate::focus) fn new_session(
        &mut self,
        towards: Towards<'_>,
        policy: &Policy,
        role: Role,
    ) -> (SessionId, Local) {
        let id = self.out.session_id();
        let local = Local {
            observer: role == Role::Observer,
            ..self.local(towards, policy, &format!("/{id}"))
        };
        (SessionId::new(id), local)
    }

    /// Our description for everybody in a room; `path` is the path of the MSRP URI.
    pub(in crate::focus) fn local(
        &self,
        towards: Towards<'_>,
        policy: &Policy,
        path: &str,
    ) -> Local {
        let (host, port) = self.msrp_address(towards);
        let secure = towards.secure;
        let scheme = if secure { "msrps" } else { "msrp" };
        // W05: the transport parameter of the URI; the m-line does not show it.
        let transport = match self.transport(towards).is_web() {
            true => "ws",
            false => "tcp",
        };
        Local {
            own_uri: format!("{scheme}://{host}:{port}{path};{transport}"),
            host,
            port,
            secure,
            fingerprint: self.switch.fingerprint.clone().filter(|_| secure),
            max_size: self.config.max_message_size,
            nicknames: policy.rules.nicknames,
            private_messages: policy.rules.private_messages,
            plain_text: policy.rules.plain_text,
            observer: false,
        }
    }

    /// Number of a caller who wants privacy. It stays the same for the whole stay (row G06), on
    /// every device.
    fn anonymous_number(&mut self, access: &Access) -> Option<u32> {
        let conference = self.rooms.conference(&access.room);
        match conference.filter(|conference| conference.has(&access.user)) {
            Some(conference) => conference.mask_of(&access.user),
            None if access.stranger.is_some() => access.stranger,
            None if access.private => Some(self.rooms.next_anonymous()),
            None => None,
        }
    }

    /// Key of the new `<endpoint>`. Keys are unique within a user (RFC 4575 §5.7), although two
    /// dialogs of one device share a Contact.
    fn endpoint_entity(&mut self, access: &Access, target: &str) -> String {
        let Access { room, user, .. } = access;
        if let Some(old) = access.replaces.and_then(|id| self.rooms.endpoint(id)) {
            return old.entity.to_string();
        }
        let awaited = self.awaited(room, user).filter(|_| !access.private);
        if let Some(awaited) = awaited.and_then(|id| self.invitation(id)) {
            // An invited party keeps its element, by whichever way it joins.
            return awaited.entity.clone();
        }
        self.unique_entity(room, user, target)
    }

    /// The key of a new `<endpoint>` of a user: the address itself, unless another element has it.
    pub(in crate::focus) fn unique_entity(
        &mut self,
        room: &RoomUri,
        user: &UserUri,
        address: &str,
    ) -> String {
        let conference = self.rooms.conference(room);
        let taken = conference.is_some_and(|conference| {
            let devices = conference.participants.get(user).into_iter();
            let invited = conference
                .invitations()
                .values()
                .filter(|it| it.user == *user);
            devices
                .flat_map(|participant| &participant.endpoints)
                .filter_map(|id| self.rooms.endpoint(*id))
                .map(|endpoint| &*endpoint.entity)
                .chain(invited.map(|invitation| &*invitation.entity))
                .any(|entity| entity == address)
        });
        if taken {
            format!("{address};endpoint={}", self.out.next_id())
        } else {
            address.to_owned()
        }
    }

    /// Two devices may have got the same key before either had joined.
    fn keep_key_unique(&mut self, id: EndpointId) {
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("no endpoint that joins");
        };
        let conference = self.rooms.conference(&endpoint.room);
        let participant = conference.and_then(|it| it.participants.get(&endpoint.user));
        let others = participant.into_iter().flat_map(|it| &it.endpoints);
        let taken = others
            .filter(|other| Some(**other) != endpoint.rare().replaces)
            .filter_map(|other| self.rooms.endpoint(*other))
            .any(|other| other.entity == endpoint.entity);
        if taken {
            let entity = format!("{};endpoint={}", endpoint.entity, self.out.next_id());
            if let Some(endpoint) = self.rooms.endpoint_mut(id) {
                endpoint.entity = entity.into();
            }
        }
    }

    fn begin_join(
        &mut self,
        now: Moment,
        endpoint: Endpoint,
        answering: Answering,
        access: &Access,
        request: &Request,
    ) {
        let id = EndpointId(self.out.next_id());
        let Access {
            room, policy, user, ..
        } = access;
        if self.rooms.conference(room).is_none() {
            let mut conference = Conference::new(room.clone(), Arc::clone(policy));
            conference.maker = policy.made.then(|| user.clone());
            self.rooms.begin(conference);
        }
        let Some(conference) = self.rooms.conference_mut(room) else {
            return self.out.broken("no conference that has begun");
        };
        // Subscribers may watch a configured room before anybody joins.
        if conference.is_empty() {
            conference.begin(Identity::of(&request.headers));
        }
        conference.joining.insert(id, user.clone());
        let key = endpoint.dialog.key.clone();
        self.dialogs.open_by(now, key, Usage::Endpoint(id), request);
        self.rooms.enter(id, endpoint, &mut self.dialogs.shared);
        self.ask_admission(now, id, answering);
    }

    /// Puts the endpoint into the conference and its roster.
    pub(in crate::focus) fn joined(&mut self, now: Moment, id: EndpointId) {
        self.keep_key_unique(id);
        let Some((endpoint, conference)) = self.rooms.with_conference(id) else {
            return self.out.broken("no endpoint that joins");
        };
        let invited = endpoint.change_rare(|rare| rare.invitation.take());
        conference.joining.remove(&id);
        endpoint.role = conference.take_lead(&endpoint.user, endpoint.role, endpoint.leads);
        let revision = conference.change();
        conference.left.remove(&endpoint.user);
        endpoint.joined = Some(now);
        let is_new = !conference.participants.contains_key(&endpoint.user);
        let participant = conference
            .participants
            .get_or_insert_with(&endpoint.user, || {
                Participant::new(endpoint.display.clone(), endpoint.role, revision)
            });
        if participant.display.is_empty() {
            participant.display = endpoint.display.clone();
        }
        participant.change(revision);
        participant.endpoints.push(id);
        let is_first = participant.endpoints.len() == 1;
        let rises = endpoint.role > participant.role;
        if is_first {
            conference.set_anonymous(&endpoint.user, endpoint.anonymous, is_new);
            if endpoint.anonymous.is_none() {
                conference.check_published(&endpoint.user);
            }
        }
        if rises {
            conference.set_role(&endpoint.user, endpoint.role);
        }
        let begins = conference.begun.is_none();
        conference.begun.get_or_insert(now);
        let room = endpoint.room.clone();
        let user = endpoint.user.clone();
        let (display, role) = (endpoint.display.to_string(), endpoint.role);
        if begins {
            self.out.event(Event::Start(room.clone()));
        }
        if is_first {
            self.out.event(Event::Join {
                room: room.clone(),
                user: user.clone(),
                display,
                role,
            });
        }
        let line = format!("{user} joined {room}");
        self.out.totals.joins += 1;
        self.end_invitations(now, &room, &user, invited, id);
        self.out.log(Level::Info, line);
        self.conference_changed(now, &room);
        self.take_over(now, id);
        self.keep_one_device(now, id);
        self.invite_recipients(now, id);
    }

    /// Completes a replacement: the old device gets BYE, and the roster stays as it is (RFC 3891
    /// §3, row F08).
    fn take_over(&mut self, now: Moment, id: EndpointId) {
        let endpoint = self.rooms.endpoint_mut(id);
        let replaced = endpoint.and_then(|it| it.change_rare(|rare| rare.replaces.take()));
        let Some(old) = replaced else {
            return;
        };
        if let Some(replaced) = self.rooms.endpoint_mut(old) {
            replaced.replaced = true;
            self.dismiss(now, old, ByeReason::Replaced);
        }
    }

    /// With one device per user (option `devices=one`), the new device replaces the old.
    fn keep_one_device(&mut self, now: Moment, id: EndpointId) {
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("no endpoint that has joined");
        };
        let Some(conference) = self.rooms.conference(&endpoint.room) else {
            return self.out.broken("no conference of an endpoint");
        };
        if !conference.policy.rules.one_device {
            return;
        }
        let others: Vec<_> = conference
            .participants
            .get(&endpoint.user)
            .into_iter()
            .flat_map(|participant| participant.endpoints.iter().copied())
            .filter(|other| *other != id)
            .collect();
        for other in others {
            self.dismiss(now, other, ByeReason::OtherDevice);
        }
    }

    /// The user who referred the caller to this room (RFC 3892 §3), as others may see them: the
    /// room knows them if it sent the REFER or invitation itself; otherwise the caller names them.
    /// The focus repeats the caller's value without a look-up, which would reveal the address
    /// behind an anonymous number.
    fn referrer(&self, request: &Request, access: &Access) -> Option<String> {
        let Access { room, user, .. } = access;
        let conference = self.rooms.conference(room);
        let awaited = self.awaited(room, user);
        if let Some(invitation) = conference
            .zip(awaited)
            .and_then(|(c, id)| c.invitations().get(&id))
        {
            return Some(invitation.referred_by.clone());
        }
        let value = request.headers.first("Referred-By")?;
        let uri: Uri = value.parse::<NameAddr>().ok()?.uri.parse().ok()?;
        let uri = uri.address_of_record();
        (uri.len() <= MAX_URI_LENGTH).then_some(uri)
    }

    /// A user as others in a room may see it.
    pub(in crate::focus) fn shown_in(&self, room: &RoomUri, user: &UserUri) -> String {
        let participant = self
            .rooms
            .conference(room)
            .and_then(|conference| conference.participants.get(user));
        shown_uri(user, participant.and_then(|p| p.anonymous))
    }
}

/// Our Contact; in a room made by a factory, the URI of that room.
fn room_contact(dialled: &str, room: &RoomUri, socket: &Socket) -> String {
    let Ok(uri) = dialled.parse::<Uri>() else {
        return contact(room.as_str(), socket);
    };
    if uri.address_of_record() == room.as_str() {
        return contact(dialled, socket);
    }
    let name = room
        .as_str()
        .split_once(':')
        .and_then(|(_, rest)| rest.split_once('@'));
    let made = Uri {
        user: name.map(|(user, _)| user.to_owned()),
        ..uri
    };
    contact(&made.to_string(), socket)
}

/// Display name in From, if From names the caller.
fn display_name(request: &Request, user: &UserUri) -> String {
    request
        .headers
        .first("From")
        .and_then(|value| value.parse::<NameAddr>().ok())
        .filter(|from| {
            from.uri
                .parse::<Uri>()
                .is_ok_and(|uri| uri.address_of_record() == user.as_str())
        })
        .map(|from| shortened(from.display))
        .unwrap_or_default()
}
