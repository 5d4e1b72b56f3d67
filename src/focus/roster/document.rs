//! The conference as a conference-info document: the full state, or the changes.

use crate::focus::ids::{EndpointId, InvitationId};
use crate::focus::room::endpoint::Endpoint;
use crate::focus::room::invitation::Invitation;
use crate::focus::room::participant::{Departure, Participant};
use crate::focus::room::policy::Policy;
use crate::focus::room::publications;
use crate::focus::room::publications::Publications;
use crate::focus::roster::view::Seen;
use crate::focus::roster::view::View;
use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::control::{RoomUri, UserUri};
use crate::focus::dirty_map::DirtyMap;
use crate::focus::room::conference::Conference;
use crate::focus::room::participant::shown_uri;
use crate::focus::roster::cache::{DocumentCache, Elements, Rendering, Scope};
use crate::focus::roster::view::{shown_endpoint, shown_name};
use crate::time::Moment;
use crate::wire::conference_info as info;

/// Shorter partial documents are not worth comparing with full ones.
const MIN_USERS_TO_COMPARE: usize = 8;
/// The only medium of a chat room, as `available-media` and every endpoint name it.
const MEDIUM: &str = "1";

pub(in crate::focus) type Endpoints = DirtyMap<EndpointId, Endpoint>;

/// The document of this scope, or the full one if that is not longer (RFC 6446 §5.5.1).
pub(in crate::focus) fn document<'a>(
    documents: &'a mut DocumentCache,
    conference: &Conference,
    endpoints: &Endpoints,
    view: &View,
    scope: Scope,
    moments: (Moment, Moment),
) -> &'a mut Rendering {
    let revision = conference.changes.revision();
    let count = conference.participants.len();
    let mut written = documents.take_elements(moments.1);
    let mut take = |scope| {
        documents.take(view, scope, revision, moments, || match scope {
            Scope::Full => Some(full(conference, endpoints, &mut written, view)),
            Scope::Partial(seen) => partial(conference, endpoints, &mut written, view, seen, false),
            Scope::Beat(seen) => partial(conference, endpoints, &mut written, view, seen, true),
        })
    };
    let mut chosen = take(scope);
    let is_long = chosen.users >= MIN_USERS_TO_COMPARE && chosen.users * 2 > count;
    let mut other = (is_long && scope != Scope::Full).then(|| take(Scope::Full));
    if let Some(full) = other.as_mut().filter(|it| it.octets() <= chosen.octets()) {
        std::mem::swap(full, &mut chosen);
    }
    let is_in = |user: &UserUri| conference.participants.contains_key(user);
    documents.put_back(written, is_in, count);
    if let Some(other) = other {
        documents.keep(other);
    }
    documents.keep(chosen)
}

/// Endpoints, invitations and publications of users.
struct Devices<'a> {
    endpoints: &'a Endpoints,
    invitations: BTreeMap<UserUri, Vec<(InvitationId, &'a Invitation)>>,
    publications: &'a Publications,
    policy: &'a Policy,
}

impl<'a> Devices<'a> {
    fn new(
        endpoints: &'a Endpoints,
        all: &'a BTreeMap<InvitationId, Invitation>,
        publications: &'a Publications,
        policy: &'a Policy,
    ) -> Self {
        let mut invitations: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, invitation) in all {
            let theirs = invitations.entry(invitation.user.clone()).or_default();
            theirs.push((*id, invitation));
        }
        Self {
            endpoints,
            invitations,
            publications,
            policy,
        }
    }

    /// Element for the invited address of an anonymous participant (RFC 4575 §8.2): a separate
    /// user, as if the participant were not here.
    fn invited(&self, uri: &UserUri, participant: &Participant, view: &View) -> Option<info::User> {
        participant.anonymous?;
        self.invitations.get(uri)?;
        let role = self.policy.role(uri);
        let nobody = Participant::new("".into(), role, 0);
        view.lists(uri, role)
            .then(|| user(uri, &nobody, self, view))
    }
}

/// The users of a document. Anonymous users come after the others: their position must not reveal
/// their address.
#[derive(Default)]
struct Listed {
    named: Vec<info::UserElement>,
    anonymous: Vec<(u32, info::UserElement)>,
}

impl Listed {
    fn push(&mut self, anonymous: Option<u32>, element: info::UserElement) {
        match anonymous {
            Some(number) => self.anonymous.push((number, element)),
            None => self.named.push(element),
        }
    }

    fn in_order(mut self) -> Vec<info::UserElement> {
        self.anonymous.sort_by_key(|(number, _)| *number);
        let anonymous = self.anonymous.into_iter().map(|(_, element)| element);
        self.named.extend(anonymous);
        self.named
    }
}

/// The full state of the conference (without departed users, RFC 4575 §4.4), and its number of
/// users.
pub(in crate::focus) fn full(
    conference: &Conference,
    endpoints: &Endpoints,
    written: &mut Elements,
    view: &View,
) -> (info::Template, usize) {
    let mut document = info::Document {
        description: Some(description(conference)),
        ..frame(conference, info::State::Full)
    };
    conference.publications.describe(&mut document);
    let mut elements = Listed::default();
    let devices = Devices::new(
        endpoints,
        conference.invitations(),
        &conference.publications,
        &conference.policy,
    );
    for (uri, participant) in conference.participants.iter() {
        if let Some(invited) = devices.invited(uri, participant, view) {
            elements.push(None, invited.element());
        }
        if participant.is_shown() && view.lists(uri, participant.role) {
            let anonymous = participant.anonymous;
            let element = element(uri, participant, &devices, written, view);
            elements.push(anonymous, element);
        }
    }
    let mut elements = elements.in_order();
    elements.extend(published_elsewhere(conference, &devices, view, 0));
    (document.template(Some(&elements)), elements.len())
}

/// The changes for a subscriber since `seen`; `None` if there are none, unless a document is
/// required (`always`).
pub(in crate::focus) fn partial(
    conference: &Conference,
    endpoints: &Endpoints,
    written: &mut Elements,
    view: &View,
    seen: Seen,
    always: bool,
) -> Option<(info::Template, usize)> {
    let mut document = frame(conference, info::State::Partial);
    if conference.changes.described() > seen.shown {
        document.description = Some(description(conference));
        conference.publications.describe(&mut document);
    }
    let mut elements = Listed::default();
    let devices = Devices::new(
        endpoints,
        conference.invitations(),
        &conference.publications,
        &conference.policy,
    );
    let mut gone = gone(conference.changes.departures(), view, seen);
    for (uri, participant) in conference.participants.iter() {
        if let Some(invited) = devices.invited(uri, participant, view) {
            let theirs = gone.remove(uri.as_str()).unwrap_or_default();
            if participant.address_changed() > seen.shown || !theirs.is_empty() {
                elements.push(None, with_departed(invited, theirs, seen, view));
            }
        }
        if !participant.is_shown() || !view.lists(uri, participant.role) {
            continue;
        }
        let anonymous = participant.anonymous;
        let theirs = match gone.is_empty() {
            true => Gone::new(),
            false => gone.remove(&shown_uri(uri, anonymous)).unwrap_or_default(),
        };
        if theirs.values().any(|it| it.revision > seen.shown) {
            let user = user(uri, participant, &devices, view);
            elements.push(anonymous, with_departed(user, theirs, seen, view));
        } else if participant.changed() > seen.shown || !theirs.is_empty() {
            let element = element(uri, participant, &devices, written, view);
            elements.push(anonymous, element);
        }
    }
    let mut elements = elements.in_order();
    elements.extend(published_elsewhere(conference, &devices, view, seen.shown));
    elements.extend(
        gone.into_iter()
            .map(|(uri, theirs)| departed_user(uri, theirs, seen, view).element()),
    );
    if elements.is_empty() {
        if seen.shown == conference.changes.revision() && !always {
            return None;
        }
        document.users = None;
    }
    Some((document.template(Some(&elements)), elements.len()))
}

/// The users of other mixers that have changed since this revision. The document of a crowd lists
/// none.
fn published_elsewhere(
    conference: &Conference,
    devices: &Devices,
    view: &View,
    since: u64,
) -> Vec<info::UserElement> {
    if view.is_crowd() {
        return Vec::new();
    }
    let elsewhere = elsewhere(conference, devices);
    let news = elsewhere.filter(|(_, changed)| *changed > since);
    news.map(|(user, _)| user.element()).collect()
}

/// Published users whose address has no other element here. An anonymous participant counts as
/// absent under their address (RFC 4575 §8.2).
fn elsewhere<'a>(
    conference: &'a Conference,
    devices: &Devices,
) -> impl Iterator<Item = (&'a info::User, u64)> {
    let is_free = |uri: &UserUri| match conference.participants.get(uri) {
        Some(it) => it.anonymous.is_some() && !devices.invitations.contains_key(uri),
        None => true,
    };
    let all = conference.publications.users();
    all.filter(move |(uri, ..)| is_free(uri))
        .map(|(_, user, changed)| (user, changed))
}

/// The document of a conference that has ended (RFC 4575 §4.6).
pub(in crate::focus) fn deleted(room: &RoomUri) -> info::Document {
    info::Document {
        entity: room.to_string(),
        state: info::State::Deleted,
        ..Default::default()
    }
}

/// A document of this state, without users.
fn frame(conference: &Conference, state: info::State) -> info::Document {
    let is_in = |participant: &&Participant| !participant.endpoints.is_empty();
    let count = conference.participants.values().filter(is_in).count();
    // A user at another mixer counts even while they are invited here.
    let elsewhere = conference.publications.users();
    let is_apart = |uri: &UserUri| !conference.has(uri) || conference.is_anonymous(uri);
    let count = count + elsewhere.filter(|(uri, ..)| is_apart(uri)).count();
    info::Document {
        entity: conference.room.to_string(),
        state,
        conference_state: Some(info::ConferenceState {
            user_count: u32::try_from(count).ok(),
            active: Some(count > 0),
            locked: Some(conference.locked),
        }),
        users: Some(info::Users {
            state,
            users: Vec::new(),
        }),
        ..Default::default()
    }
}

fn description(conference: &Conference) -> info::Description {
    let room = conference.room.to_string();
    let about = &conference.policy.rules.about;
    let address = || room.trim_start_matches("sip:").to_owned();
    let service = |(purpose, uri): &(Cow<'static, str>, String)| info::UriEntry {
        uri: uri.clone(),
        purpose: Some(purpose.clone().into_owned()),
        ..Default::default()
    };
    let conf_uri = |purpose: &str| info::UriEntry {
        uri: room.clone(),
        purpose: Some(purpose.to_owned()),
        ..Default::default()
    };
    info::Description {
        display_text: Some(about.name.clone().unwrap_or_else(address)),
        subject: conference.identity().subject,
        service_uris: about.services.iter().map(service).collect(),
        // RFC 4575 §5.3.1; RFC 7106 §3: a chat room.
        conf_uris: vec![conf_uri("participation"), conf_uri("grouptextchat")],
        maximum_user_count: u32::try_from(conference.policy.max_participants).ok(),
        available_media: vec![info::MediaEntry {
            label: MEDIUM.to_owned(),
            display_text: None,
            kind: "message".to_owned(),
            status: Some(info::MediaStatus::Sendrecv),
        }],
        ..Default::default()
    }
}

/// The user's full element, written again only after a change.
fn element(
    uri: &UserUri,
    participant: &Participant,
    devices: &Devices,
    written: &mut Elements,
    view: &View,
) -> info::UserElement {
    let unmasked = view.unmasked && participant.anonymous.is_some();
    written.get(uri, participant.changed(), unmasked, || {
        user(uri, participant, devices, view).element()
    })
}

fn user(uri: &UserUri, participant: &Participant, devices: &Devices, view: &View) -> info::User {
    let anonymous = participant.anonymous;
    let mut endpoints: Vec<_> = participant
        .endpoints
        .iter()
        .filter_map(|id| Some((id, devices.endpoints.get(id)?)))
        .map(|(id, endpoint)| {
            let hidden = anonymous.is_some() && !view.unmasked;
            let entity = shown_endpoint(&endpoint.entity, *id, uri, anonymous, view.unmasked);
            present(endpoint, entity, hidden)
        })
        .collect();
    let invitations = devices.invitations.get(uri).into_iter().flatten();
    for (_, invitation) in invitations.filter(|_| anonymous.is_none()) {
        let entity = &invitation.entity;
        if endpoints.iter().all(|known| known.entity != *entity) {
            endpoints.push(on_the_way(invitation, entity.clone()));
        }
    }
    // Only moderators see the address of an anonymous participant (RFC 4575 §8.2).
    let associated_aors = match anonymous {
        Some(_) if view.unmasked => vec![info::UriEntry {
            uri: uri.to_string(),
            ..Default::default()
        }],
        _ => Vec::new(),
    };
    let mut user = info::User {
        entity: shown_uri(uri, anonymous),
        state: info::State::Full,
        display_text: shown_name(
            &participant.display,
            participant.nickname.as_deref(),
            anonymous,
            view.unmasked,
        ),
        nickname: participant.nickname.as_deref().map(str::to_owned),
        roles: vec![participant.role.as_str().to_owned()],
        associated_aors,
        endpoints,
    };
    // What anonymous participants say about themselves would reveal them, and so would statements
    // of others about their address.
    let said = match anonymous {
        None => devices.publications.of(uri),
        Some(_) => devices.publications.own(uri).filter(|_| view.unmasked),
    };
    if let Some(said) = said {
        publications::add_to_participant(&mut user, said);
    }
    user
}

/// An invited party (RFC 4575 §5.7.3): dialing-out, then alerting; for a party invited by REFER,
/// pending, then dialing-in.
fn on_the_way(invitation: &Invitation, entity: String) -> info::Endpoint {
    info::Endpoint {
        entity,
        state: info::State::Full,
        referred: Some(info::ExecutionInfo {
            by: Some(invitation.referred_by.clone()),
            ..Default::default()
        }),
        status: Some(invitation.status),
        joining_method: Some(joining_method(invitation.course.dials_out())),
        ..Default::default()
    }
}

/// An endpoint that has joined. The way an anonymous participant joined would reveal which of the
/// invited parties it is (`hidden`).
fn present(endpoint: &Endpoint, entity: String, hidden: bool) -> info::Endpoint {
    let (status, direction) = endpoint.presence();
    let referred_by = endpoint.rare().referred_by.as_ref().filter(|_| !hidden);
    info::Endpoint {
        entity,
        state: info::State::Full,
        display_text: (!endpoint.display.is_empty() && !hidden)
            .then(|| endpoint.display.to_string()),
        referred: referred_by.map(|by| info::ExecutionInfo {
            by: Some(by.clone()),
            ..Default::default()
        }),
        status: Some(status),
        joining_method: (!hidden).then(|| joining_method(endpoint.dialed_out)),
        joining_info: endpoint.joined.map(|at| info::ExecutionInfo {
            when: Some(at.utc()),
            ..Default::default()
        }),
        media: vec![info::Media {
            id: MEDIUM.to_owned(),
            kind: Some("message".to_owned()),
            label: Some(MEDIUM.to_owned()),
            status: Some(direction),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Departed endpoints of one user, by the key under which they appeared; for one key the later
/// departure counts.
type Gone<'a> = BTreeMap<String, &'a Departure>;

/// The departures a subscriber has not fully seen, by the address of their user.
fn gone<'a>(departures: &'a [Departure], view: &View, seen: Seen) -> BTreeMap<String, Gone<'a>> {
    let first = departures.partition_point(|departure| departure.revision <= seen.buried);
    let mut gone: BTreeMap<String, Gone> = BTreeMap::new();
    for departure in departures.get(first..).unwrap_or_default() {
        if view.lists(&departure.user, departure.role) {
            let key = shown_endpoint(
                &departure.endpoint,
                departure.id,
                &departure.user,
                departure.anonymous,
                view.unmasked,
            );
            let user = shown_uri(&departure.user, departure.anonymous);
            gone.entry(user).or_default().insert(key, departure);
        }
    }
    gone
}

/// A user of whom some endpoints have gone since.
fn with_departed(
    mut user: info::User,
    mut theirs: Gone,
    seen: Seen,
    view: &View,
) -> info::UserElement {
    theirs.retain(|key, departure| {
        let is_back = user.endpoints.iter().any(|known| known.entity == *key);
        departure.revision > seen.shown && !is_back
    });
    let theirs = theirs.into_iter();
    user.endpoints
        .extend(theirs.map(|(key, departure)| disconnected(key, departure, view)));
    user.element()
}

/// A user who has no endpoints left: one more document shows them, the next deletes them.
fn departed_user(uri: String, theirs: Gone, seen: Seen, view: &View) -> info::User {
    let last = theirs.values().max_by_key(|departure| departure.revision);
    let Some(last) = last.filter(|departure| departure.revision > seen.shown) else {
        return info::User {
            entity: uri,
            state: info::State::Deleted,
            ..Default::default()
        };
    };
    info::User {
        entity: uri,
        state: info::State::Partial,
        display_text: shown_name(
            &last.display,
            last.nickname.as_deref(),
            last.anonymous,
            view.unmasked,
        ),
        endpoints: theirs
            .into_iter()
            .map(|(key, departure)| match departure.revision > seen.shown {
                true => disconnected(key, departure, view),
                false => info::Endpoint {
                    entity: key,
                    state: info::State::Deleted,
                    ..Default::default()
                },
            })
            .collect(),
        ..Default::default()
    }
}

fn disconnected(key: String, departure: &Departure, view: &View) -> info::Endpoint {
    let hidden = departure.anonymous.is_some() && !view.unmasked;
    info::Endpoint {
        entity: key,
        state: info::State::Full,
        status: Some(info::EndpointStatus::Disconnected),
        joining_method: (!hidden).then(|| joining_method(departure.dialed_out)),
        joining_info: departure.joined_at.map(|at| info::ExecutionInfo {
            when: Some(at.utc()),
            ..Default::default()
        }),
        disconnection_method: Some(departure.method),
        disconnection_info: Some(info::ExecutionInfo {
            when: Some(departure.at.utc()),
            reason: departure.reason.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn joining_method(dialed_out: bool) -> info::JoiningMethod {
    match dialed_out {
        true => info::JoiningMethod::DialedOut,
        false => info::JoiningMethod::DialedIn,
    }
}
