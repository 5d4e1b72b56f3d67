//! The conference as a conference-info document: everything, or what changed.

use std::collections::{BTreeMap, HashMap};

use super::conference::{Conference, Departure, Endpoint, EndpointId, Participant};
use super::invitation::Invitation;
use crate::control::UserUri;
use crate::wire::conference_info as info;

/// What a subscriber has been shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    /// Changes up to this revision were shown.
    pub(super) shown: u64,
    /// Departures up to this revision were deleted.
    pub(super) buried: u64,
}

impl Seen {
    /// What a subscriber knows after a full document at this revision: those who had gone
    /// before are not in it and need no deletion.
    pub(super) fn all(revision: u64) -> Self {
        Self {
            shown: revision,
            buried: revision,
        }
    }

    /// What it knows after the next partial document at this revision.
    pub(super) fn after_partial(self, revision: u64) -> Self {
        Self {
            shown: revision,
            buried: self.shown,
        }
    }
}

type Endpoints = HashMap<EndpointId, Endpoint>;

/// The whole conference (RFC 4575 §4.4: nobody who has left).
pub(super) fn full(conference: &Conference, endpoints: &Endpoints, version: u32) -> info::Document {
    let users = conference
        .participants
        .iter()
        .map(|(uri, participant)| user(conference, uri, participant, endpoints, |_| true))
        .collect();
    info::Document {
        state: info::State::Full,
        description: Some(description(conference)),
        users: Some(info::Users {
            state: info::State::Full,
            users,
        }),
        ..frame(conference, version)
    }
}

/// What has changed for a subscriber since `seen`; `None` when it knows everything.
pub(super) fn partial(
    conference: &Conference,
    endpoints: &Endpoints,
    seen: Seen,
    version: u32,
) -> Option<info::Document> {
    let mut users: BTreeMap<&UserUri, info::User> = BTreeMap::new();
    for (uri, participant) in &conference.participants {
        if let Some(user) = changed_user(conference, uri, participant, endpoints, seen) {
            users.insert(uri, user);
        }
    }
    for departure in &conference.departures {
        show_departure(conference, endpoints, departure, seen, &mut users);
    }
    if users.is_empty() && seen.shown == conference.revision {
        return None;
    }
    Some(info::Document {
        state: info::State::Partial,
        users: Some(info::Users {
            state: info::State::Partial,
            users: users.into_values().collect(),
        }),
        ..frame(conference, version)
    })
}

/// The conference has ended (RFC 4575 §4.6).
pub(super) fn deleted(conference: &Conference, version: u32) -> info::Document {
    info::Document {
        state: info::State::Deleted,
        conference_state: None,
        ..frame(conference, version)
    }
}

fn frame(conference: &Conference, version: u32) -> info::Document {
    let count = conference
        .participants
        .values()
        .filter(|participant| !participant.endpoints.is_empty())
        .count();
    info::Document {
        entity: conference.room.to_string(),
        state: info::State::Full,
        version,
        description: None,
        conference_state: Some(info::ConferenceState {
            user_count: Some(count as u32),
            active: Some(count > 0),
            locked: Some(conference.locked),
        }),
        users: None,
    }
}

fn description(conference: &Conference) -> info::Description {
    info::Description {
        display_text: Some(
            conference
                .room
                .as_str()
                .trim_start_matches("sip:")
                .to_owned(),
        ),
        conf_uris: vec![info::UriEntry {
            uri: conference.room.to_string(),
            purpose: Some("participation".to_owned()),
            ..Default::default()
        }],
        maximum_user_count: u32::try_from(conference.policy.max_participants).ok(),
        ..Default::default()
    }
}

/// A user with those endpoints whose last change `include` takes.
fn user(
    conference: &Conference,
    uri: &UserUri,
    participant: &Participant,
    endpoints: &Endpoints,
    include: impl Fn(u64) -> bool,
) -> info::User {
    let name = participant.name();
    let present = participant
        .endpoints
        .iter()
        .filter_map(|id| endpoints.get(id))
        .filter(|endpoint| include(endpoint.changed))
        .map(connected);
    let invited = conference
        .invitations
        .values()
        .filter(|invitation| invitation.user == *uri && include(invitation.changed))
        .filter(|invitation| !is_present(participant, endpoints, &invitation.entity))
        .map(on_the_way);
    info::User {
        entity: uri.to_string(),
        state: info::State::Full,
        display_text: (!name.is_empty()).then(|| name.to_owned()),
        nickname: participant.nickname.clone(),
        roles: vec![participant.role.as_str().to_owned()],
        endpoints: present.chain(invited).collect(),
        ..Default::default()
    }
}

fn changed_user(
    conference: &Conference,
    uri: &UserUri,
    participant: &Participant,
    endpoints: &Endpoints,
    seen: Seen,
) -> Option<info::User> {
    if participant.since > seen.shown {
        return Some(user(conference, uri, participant, endpoints, |_| true));
    }
    let mut user = user(conference, uri, participant, endpoints, |changed| {
        changed > seen.shown
    });
    if participant.changed <= seen.shown && user.endpoints.is_empty() {
        return None;
    }
    user.state = info::State::Partial;
    Some(user)
}

fn show_departure<'a>(
    conference: &'a Conference,
    endpoints: &Endpoints,
    departure: &'a Departure,
    seen: Seen,
    users: &mut BTreeMap<&'a UserUri, info::User>,
) {
    if departure.revision <= seen.buried || returned(conference, endpoints, departure) {
        return;
    }
    let participant = conference.participants.get(&departure.user);
    let is_in = participant.is_some();
    let gone_for_good = departure.revision <= seen.shown;
    let user = users.entry(&departure.user).or_insert_with(|| info::User {
        state: info::State::Partial,
        ..match participant {
            Some(participant) => user(conference, &departure.user, participant, endpoints, |_| {
                false
            }),
            None => departed_user(departure),
        }
    });
    if !gone_for_good {
        // Whoever was to be deleted in this document has meanwhile been seen leaving again.
        user.state = if user.state == info::State::Deleted {
            info::State::Partial
        } else {
            user.state
        };
        user.endpoints.push(disconnected(departure));
    } else if is_in || !user.endpoints.is_empty() {
        if user.state == info::State::Partial {
            user.endpoints.push(buried(departure));
        }
    } else {
        *user = info::User {
            entity: departure.user.to_string(),
            state: info::State::Deleted,
            ..Default::default()
        };
    }
}

fn departed_user(departure: &Departure) -> info::User {
    info::User {
        entity: departure.user.to_string(),
        display_text: (!departure.display.is_empty()).then(|| departure.display.clone()),
        ..Default::default()
    }
}

/// Whether a living endpoint has taken the departed one's place in the roster.
fn returned(conference: &Conference, endpoints: &Endpoints, departure: &Departure) -> bool {
    conference
        .participants
        .get(&departure.user)
        .is_some_and(|participant| is_present(participant, endpoints, &departure.endpoint))
        || conference
            .invitations
            .values()
            .any(|invitation| invitation.entity == departure.endpoint)
}

fn is_present(participant: &Participant, endpoints: &Endpoints, entity: &str) -> bool {
    participant
        .endpoints
        .iter()
        .filter_map(|id| endpoints.get(id))
        .any(|endpoint| endpoint.entity == entity)
}

/// A party being invited (RFC 4575 §5.7.2: dialing-out, then alerting).
fn on_the_way(invitation: &Invitation) -> info::Endpoint {
    info::Endpoint {
        entity: invitation.entity.clone(),
        state: info::State::Full,
        referred: Some(info::ExecutionInfo {
            by: Some(invitation.inviter.user.to_string()),
            ..Default::default()
        }),
        status: Some(invitation.status),
        joining_method: Some(info::JoiningMethod::DialedOut),
        ..Default::default()
    }
}

fn connected(endpoint: &Endpoint) -> info::Endpoint {
    let media = info::Media {
        id: "1".to_owned(),
        kind: Some("message".to_owned()),
        label: Some("1".to_owned()),
        ..Default::default()
    };
    info::Endpoint {
        entity: endpoint.entity.clone(),
        state: info::State::Full,
        display_text: (!endpoint.display.is_empty()).then(|| endpoint.display.clone()),
        status: Some(if endpoint.is_on_hold() {
            info::EndpointStatus::OnHold
        } else {
            info::EndpointStatus::Connected
        }),
        joining_method: Some(joining_method(endpoint.dialed_out)),
        joining_info: endpoint.joined.map(|at| info::ExecutionInfo {
            when: Some(at.utc()),
            ..Default::default()
        }),
        media: vec![media],
        ..Default::default()
    }
}

fn disconnected(departure: &Departure) -> info::Endpoint {
    info::Endpoint {
        entity: departure.endpoint.clone(),
        state: info::State::Full,
        display_text: (!departure.endpoint_display.is_empty())
            .then(|| departure.endpoint_display.clone()),
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
    if dialed_out {
        info::JoiningMethod::DialedOut
    } else {
        info::JoiningMethod::DialedIn
    }
}

fn buried(departure: &Departure) -> info::Endpoint {
    info::Endpoint {
        entity: departure.endpoint.clone(),
        state: info::State::Deleted,
        ..Default::default()
    }
}
