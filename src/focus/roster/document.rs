//! The conference as a conference-info document: everything, or what changed.

use crate::focus::ids::{EndpointId, InvitationId};
use crate::focus::room::endpoint::Endpoint;
use crate::focus::room::invitation::Invitation;
use crate::focus::room::participant::{Departure, Participant};
use crate::focus::room::publications;
use crate::focus::room::publications::Publications;
use crate::focus::roster::cache::Written;
use crate::focus::roster::view::Seen;
use crate::focus::roster::view::View;
use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::control::{RoomUri, UserUri};
use crate::focus::dirty_map::DirtyMap;
use crate::focus::room::conference::Conference;
use crate::focus::roster::cache::{Rendering, Scope};
use crate::focus::roster::view::{shown_endpoint, shown_name, shown_uri};
use crate::time::Moment;
use crate::wire::conference_info as info;

/// Shorter partial documents are not worth comparing with full ones.
const MIN_USERS_TO_COMPARE: usize = 8;
/// The only medium of a chat room, as `available-media` and every endpoint name it.
const MEDIUM: &str = "1";

pub(in crate::focus) type Endpoints = DirtyMap<EndpointId, Endpoint>;

/// The document of this scope, or the full one where that is not longer (RFC 6446 §5.5.1).
pub(in crate::focus) fn document<'a>(
    conference: &'a mut Conference,
    endpoints: &Endpoints,
    view: &View,
    scope: Scope,
    moments: (Moment, Moment),
) -> &'a mut Rendering {
    let revision = conference.revision;
    let count = conference.participants.len();
    let mut documents = std::mem::take(&mut conference.documents);
    let mut ask = |scope| {
        let rendering = documents.document(view, scope, revision, moments, || match scope {
            Scope::Full => Some(full(conference, endpoints, view)),
            Scope::Partial(seen) => partial(conference, endpoints, view, seen, false),
            Scope::Beat(seen) => partial(conference, endpoints, view, seen, true),
        });
        (rendering.octets(), rendering.users)
    };
    let (octets, users) = ask(scope);
    let mut shorter = scope;
    let is_long = users >= MIN_USERS_TO_COMPARE && users * 2 > count;
    if is_long && ask(Scope::Full).0 <= octets {
        shorter = Scope::Full;
    }
    conference.documents = documents;
    let nothing = || None;
    conference
        .documents
        .document(view, shorter, revision, moments, nothing)
}

/// What users are in with, or will be.
struct Devices<'a> {
    endpoints: &'a Endpoints,
    invitations: BTreeMap<UserUri, Vec<(InvitationId, &'a Invitation)>>,
    publications: &'a Publications,
}

impl<'a> Devices<'a> {
    fn new(
        endpoints: &'a Endpoints,
        all: &'a BTreeMap<InvitationId, Invitation>,
        publications: &'a Publications,
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
        }
    }
}

/// The whole conference (RFC 4575 §4.4: nobody who has left), and how many users it lists.
pub(in crate::focus) fn full(
    conference: &mut Conference,
    endpoints: &Endpoints,
    view: &View,
) -> (info::Template, usize) {
    let mut document = info::Document {
        description: Some(description(conference)),
        ..frame(conference, info::State::Full)
    };
    conference.publications.describe(&mut document);
    let devices = Devices::new(endpoints, &conference.invitations, &conference.publications);
    let mut elements: Vec<_> = conference
        .participants
        .iter_mut_unmarked()
        .filter(|(uri, participant)| view.lists(uri, participant.role))
        .map(|(uri, participant)| element(uri, participant, &devices, view))
        .collect();
    elements.extend(published_elsewhere(conference, view, 0));
    (document.template(Some(&elements)), elements.len())
}

/// What has changed for a subscriber since `seen`; `None` when it knows everything, unless
/// it must be told something (`always`).
pub(in crate::focus) fn partial(
    conference: &mut Conference,
    endpoints: &Endpoints,
    view: &View,
    seen: Seen,
    always: bool,
) -> Option<(info::Template, usize)> {
    let mut document = frame(conference, info::State::Partial);
    if conference.described > seen.shown {
        document.description = Some(description(conference));
        conference.publications.describe(&mut document);
    }
    let mut elements = Vec::new();
    let devices = Devices::new(endpoints, &conference.invitations, &conference.publications);
    let mut gone = gone(&conference.departures, view, seen);
    for (uri, participant) in conference.participants.iter_mut_unmarked() {
        if !view.lists(uri, participant.role) {
            continue;
        }
        let mut theirs = match gone.is_empty() {
            true => Gone::new(),
            false => gone
                .remove(&shown_uri(uri, participant.anonymous))
                .unwrap_or_default(),
        };
        let changed = participant.changed > seen.shown || !theirs.is_empty();
        theirs.retain(|_, departure| departure.revision > seen.shown);
        if !theirs.is_empty() {
            let mut user = user(uri, participant, &devices, view);
            theirs.retain(|key, _| user.endpoints.iter().all(|known| known.entity != *key));
            user.endpoints.extend(theirs.into_iter().map(disconnected));
            elements.push(user.element());
        } else if changed {
            elements.push(element(uri, participant, &devices, view));
        }
    }
    elements.extend(published_elsewhere(conference, view, seen.shown));
    elements.extend(
        gone.into_iter()
            .map(|(uri, theirs)| departed_user(uri, theirs, seen, view).element()),
    );
    if elements.is_empty() {
        if seen.shown == conference.revision && !always {
            return None;
        }
        document.users = None;
    }
    Some((document.template(Some(&elements)), elements.len()))
}

/// The users of other mixers that have changed since this revision. A crowd lists none.
fn published_elsewhere(conference: &Conference, view: &View, since: u64) -> Vec<info::UserElement> {
    if view.is_crowd() {
        return Vec::new();
    }
    let elsewhere = elsewhere(conference);
    let news = elsewhere.filter(|(_, changed)| *changed > since);
    news.map(|(user, _)| user.element()).collect()
}

/// Users that publications speak of and that are not in here.
fn elsewhere(conference: &Conference) -> impl Iterator<Item = (&info::User, u64)> {
    let all = conference.publications.users();
    all.filter(|(uri, ..)| !conference.participants.contains_key(*uri))
        .map(|(_, user, changed)| (user, changed))
}

/// What is left to say to a subscriber who may see nothing any more.
pub(in crate::focus) fn nothing(room: &RoomUri) -> info::Document {
    info::Document {
        entity: room.to_string(),
        state: info::State::Partial,
        ..Default::default()
    }
}

/// The conference has ended (RFC 4575 §4.6).
pub(in crate::focus) fn deleted(room: &RoomUri) -> info::Document {
    info::Document {
        entity: room.to_string(),
        state: info::State::Deleted,
        ..Default::default()
    }
}

/// A document without users in it, of this state.
fn frame(conference: &Conference, state: info::State) -> info::Document {
    let is_in = |participant: &&Participant| !participant.endpoints.is_empty();
    let count = conference.participants.values().filter(is_in).count();
    let count = count + elsewhere(conference).count();
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
    let about = &conference.policy.about;
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
        subject: conference
            .identity
            .subject
            .clone()
            .or(about.subject.clone()),
        service_uris: about.services.iter().map(service).collect(),
        // RFC 4575 §5.3.1; RFC 7106 §3: it is a chat room.
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

/// The user's element as it stands in full, written again only after a change.
fn element(
    uri: &UserUri,
    participant: &mut Participant,
    devices: &Devices,
    view: &View,
) -> info::UserElement {
    let Written(written) = &participant.written;
    let slot = usize::from(view.unmasked && participant.anonymous.is_some());
    match &written[slot] {
        Some((changed, element)) if *changed == participant.changed => element.clone(),
        _ => {
            let element = user(uri, participant, devices, view).element();
            participant.written.0[slot] = Some((participant.changed, element.clone()));
            element
        }
    }
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
            connected(endpoint, entity, hidden)
        })
        .collect();
    for (id, invitation) in devices.invitations.get(uri).into_iter().flatten() {
        // Ids are never used twice, for what ever.
        let id = EndpointId(id.0);
        let entity = shown_endpoint(&invitation.entity, id, uri, anonymous, view.unmasked);
        if endpoints.iter().all(|known| known.entity != entity) {
            endpoints.push(on_the_way(invitation, entity));
        }
    }
    // Only moderators learn whom an anonymous address stands for (RFC 4575 §8.2).
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
            participant.nickname.as_ref(),
            anonymous,
            view.unmasked,
        ),
        nickname: participant.nickname.clone(),
        roles: vec![participant.role.as_str().to_owned()],
        associated_aors,
        endpoints,
    };
    // What the anonymous say of themselves would tell who they are.
    if let Some(said) = devices.publications.of(uri)
        && (anonymous.is_none() || view.unmasked)
    {
        publications::add_to_participant(&mut user, said);
    }
    user
}

/// A party being invited (RFC 4575 §5.7.3): dialing-out, then alerting; pending, then
/// dialing-in, where it is asked to call.
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

fn connected(endpoint: &Endpoint, entity: String, hidden: bool) -> info::Endpoint {
    let status = match endpoint.is_on_hold() {
        true => info::EndpointStatus::OnHold,
        false => info::EndpointStatus::Connected,
    };
    info::Endpoint {
        entity,
        state: info::State::Full,
        display_text: (!endpoint.display.is_empty() && !hidden).then(|| endpoint.display.clone()),
        referred: endpoint.referred_by.as_ref().map(|by| info::ExecutionInfo {
            by: Some(by.clone()),
            ..Default::default()
        }),
        status: Some(status),
        joining_method: Some(joining_method(endpoint.dialed_out)),
        joining_info: endpoint.joined.map(|at| info::ExecutionInfo {
            when: Some(at.utc()),
            ..Default::default()
        }),
        media: vec![info::Media {
            id: MEDIUM.to_owned(),
            kind: Some("message".to_owned()),
            label: Some(MEDIUM.to_owned()),
            status: Some(endpoint.direction()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Departed endpoints of one user, by the key they were shown with; of two with the same key
/// the later one counts.
type Gone<'a> = BTreeMap<String, &'a Departure>;

/// The departures a subscriber has not been told to the end, by the address of their user.
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

/// A user without endpoints any more: shown once more, then deleted.
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
            last.nickname.as_ref(),
            last.anonymous,
            view.unmasked,
        ),
        endpoints: theirs
            .into_iter()
            .map(|(key, departure)| match departure.revision > seen.shown {
                true => disconnected((key, departure)),
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

fn disconnected((key, departure): (String, &Departure)) -> info::Endpoint {
    info::Endpoint {
        entity: key,
        state: info::State::Full,
        status: Some(info::EndpointStatus::Disconnected),
        joining_method: Some(joining_method(departure.dialed_out)),
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
