//! The room table: rooms, conferences, endpoints, and the owner of each session at the switch.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::control::{RoomUri, SessionId, UserUri};
use crate::focus::dirty_map::DirtyMap;
use crate::focus::ids::{EndpointId, InvitationId, PublicationId};
use crate::focus::record::PublicationRecord;
use crate::focus::room::conference::{Conference, count, discount};
use crate::focus::room::endpoint::{Endpoint, Link};
use crate::focus::room::fingerprint_memory::FingerprintMemory;
use crate::focus::room::held_nicknames::HeldNicknames;
use crate::focus::room::policy::Policy;
use crate::focus::room::publications::Publication;
use crate::focus::room::rooms::KeptRooms;
use crate::focus::sip::shared::Shared;
use crate::focus::timers::TimerKey;
use crate::focus::{Config, RequestId, Role, RoomEntry, RoomRules};

/// The owner of a session at the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Occupant {
    /// An endpoint that has joined or is joining.
    Endpoint(EndpointId),
    /// A party being dialled.
    Invitation(InvitationId),
}

/// All rooms.
pub(in crate::focus) struct RoomTable {
    /// The rules of configured rooms and factories.
    pub(in crate::focus) configured: HashMap<RoomUri, Arc<Policy>>,
    pub(in crate::focus) factories: HashMap<RoomUri, Arc<Policy>>,
    /// Rooms and decisions kept by management.
    pub(in crate::focus) kept: KeptRooms,
    /// Number of messages sent in rooms that outlast their conferences.
    pub(in crate::focus) messages: HashMap<RoomUri, u64>,
    conferences: DirtyMap<RoomUri, Conference>,
    endpoints: DirtyMap<EndpointId, Endpoint>,
    sessions: HashMap<SessionId, Occupant>,
    /// Sessions that have left their room; their connections stay until the BYE is answered.
    pub(in crate::focus) parting: HashMap<RequestId, (RoomUri, SessionId)>,
    /// The room of every publication.
    publications: HashMap<PublicationId, RoomUri>,
    /// Nicknames of users who have left.
    pub(in crate::focus) held_nicknames: HeldNicknames,
    /// Rooms whose history has ended; the next changes pass this to the store.
    pub(in crate::focus) ended_histories: Vec<RoomUri>,
    /// Number of running conferences that each user has made.
    makers: BTreeMap<UserUri, usize>,
    pub(in crate::focus) fingerprints: FingerprintMemory,
    /// The number of the last anonymous participant.
    pub(in crate::focus) last_anonymous: u32,
    /// The stored number, which is not lower.
    pub(in crate::focus) kept_anonymous: u32,
    pub(in crate::focus) present: Present,
}

/// Number of participants per room, updated for the rooms that an input has changed.
#[derive(Debug, Default)]
pub(in crate::focus) struct Present {
    rooms: HashMap<RoomUri, usize>,
    pub(in crate::focus) total: usize,
}

impl Present {
    pub(in crate::focus) fn count(&mut self, room: &RoomUri, now: usize) {
        let before = match now {
            0 => self.rooms.remove(room),
            _ => self.rooms.insert(room.clone(), now),
        };
        self.total = self.total + now - before.unwrap_or_default();
    }
}

type Policies = HashMap<RoomUri, Arc<Policy>>;

fn policies(
    entries: &[RoomEntry],
    config: &Config,
    policy: fn(RoomRules, usize) -> Policy,
) -> Policies {
    let most = config.max_participants;
    let policy = |entry: &RoomEntry| Arc::new(policy(entry.rules.clone(), most));
    let entries = entries.iter();
    entries.map(|it| (it.uri.clone(), policy(it))).collect()
}

impl RoomTable {
    /// The rooms of the configuration, without participants.
    pub(in crate::focus) fn new(config: &Config) -> Self {
        Self {
            configured: policies(&config.rooms, config, Policy::configured),
            factories: policies(&config.factories, config, Policy::made),
            kept: KeptRooms::default(),
            messages: HashMap::new(),
            conferences: DirtyMap::default(),
            endpoints: DirtyMap::default(),
            sessions: HashMap::new(),
            parting: HashMap::new(),
            publications: HashMap::new(),
            held_nicknames: HeldNicknames::default(),
            ended_histories: Vec::new(),
            makers: BTreeMap::new(),
            fingerprints: FingerprintMemory::default(),
            last_anonymous: 0,
            kept_anonymous: 0,
            present: Present::default(),
        }
    }

    /// Adds the conference of a room.
    pub(in crate::focus) fn begin(&mut self, conference: Conference) {
        if let Some(maker) = &conference.maker {
            count(&mut self.makers, maker);
        }
        self.conferences.insert(conference.room.clone(), conference);
    }

    /// Removes the conference of a room.
    pub(in crate::focus) fn end(&mut self, room: &RoomUri) -> Option<Conference> {
        let conference = self.conferences.remove(room)?;
        if let Some(maker) = &conference.maker {
            discount(&mut self.makers, maker);
        }
        Some(conference)
    }

    /// Number of running conferences that a user has made.
    pub(in crate::focus) fn made_by(&self, user: &UserUri) -> usize {
        self.makers.get(user).copied().unwrap_or_default()
    }

    /// All conferences.
    pub(in crate::focus) fn conferences(&self) -> &DirtyMap<RoomUri, Conference> {
        &self.conferences
    }

    /// All endpoints.
    pub(in crate::focus) fn endpoints(&self) -> &DirtyMap<EndpointId, Endpoint> {
        &self.endpoints
    }

    /// The conferences, to collect their changes for the store.
    pub(in crate::focus) fn kept_conferences(&mut self) -> &mut DirtyMap<RoomUri, Conference> {
        &mut self.conferences
    }

    /// The endpoints, to collect their changes for the store.
    pub(in crate::focus) fn kept_endpoints(&mut self) -> &mut DirtyMap<EndpointId, Endpoint> {
        &mut self.endpoints
    }

    /// The conferences, for changes that are not stored.
    pub(in crate::focus) fn conferences_unmarked(
        &mut self,
    ) -> impl Iterator<Item = (&RoomUri, &mut Conference)> {
        self.conferences.iter_mut_unmarked()
    }

    /// The conference, for changes that are not stored.
    pub(in crate::focus) fn conference_unmarked(
        &mut self,
        room: &RoomUri,
    ) -> Option<&mut Conference> {
        self.conferences.get_unmarked(room)
    }

    /// The endpoint, for changes that are not stored.
    pub(in crate::focus) fn endpoint_unmarked(&mut self, id: EndpointId) -> Option<&mut Endpoint> {
        self.endpoints.get_unmarked(&id)
    }

    pub(in crate::focus) fn conference(&self, room: &RoomUri) -> Option<&Conference> {
        self.conferences.get(room)
    }

    /// The conference; marks it as changed.
    pub(in crate::focus) fn conference_mut(&mut self, room: &RoomUri) -> Option<&mut Conference> {
        self.conferences.get_mut(room)
    }

    pub(in crate::focus) fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(&id)
    }

    /// The endpoint; marks it as changed.
    pub(in crate::focus) fn endpoint_mut(&mut self, id: EndpointId) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(&id)
    }

    /// An endpoint and its conference, both mutable.
    pub(in crate::focus) fn with_conference(
        &mut self,
        id: EndpointId,
    ) -> Option<(&mut Endpoint, &mut Conference)> {
        let endpoint = self.endpoints.get_mut(&id)?;
        let conference = self.conferences.get_mut(&endpoint.room)?;
        Some((endpoint, conference))
    }

    /// A mutable conference, and the endpoints for look-ups.
    pub(in crate::focus) fn with_endpoints(
        &mut self,
        room: &RoomUri,
    ) -> Option<(&mut Conference, &DirtyMap<EndpointId, Endpoint>)> {
        let conference = self.conferences.get_mut(room)?;
        Some((conference, &self.endpoints))
    }

    /// Adds a publication about a room; returns the one it replaces.
    pub(in crate::focus) fn publish(
        &mut self,
        room: &RoomUri,
        id: PublicationId,
        publication: Publication,
    ) -> Option<Publication> {
        let conference = self.conferences.get_mut(room)?;
        self.publications.insert(id, room.clone());
        let before = conference.publications.all.insert(id, publication);
        conference.merge_publications();
        before
    }

    /// Removes a publication.
    pub(in crate::focus) fn unpublish(&mut self, id: PublicationId) -> Option<Publication> {
        let room = self.publications.remove(&id)?;
        let conference = self.conferences.get_mut(&room)?;
        let publication = conference.publications.all.remove(&id)?;
        conference.merge_publications();
        Some(publication)
    }

    /// Takes out the publications of a conference that has ended.
    pub(in crate::focus) fn take_publications(
        &mut self,
        conference: &mut Conference,
    ) -> Vec<Publication> {
        let all = std::mem::take(&mut conference.publications.all).into_entries();
        all.map(|(id, publication)| {
            self.publications.remove(&id);
            publication
        })
        .collect()
    }

    /// The room of a publication.
    pub(in crate::focus) fn room_of_publication(&self, id: PublicationId) -> Option<&RoomUri> {
        self.publications.get(&id)
    }

    /// Restores a publication of an earlier run; `false` if it no longer has any content.
    pub(in crate::focus) fn restore_publication(
        &mut self,
        id: PublicationId,
        record: PublicationRecord,
        expiry: TimerKey,
    ) -> bool {
        let room = record.room.clone();
        let restored = self
            .conferences
            .get_mut(&room)
            .is_some_and(|conference| conference.restore_publication(id, record, expiry));
        if restored {
            self.publications.insert(id, room);
        }
        restored
    }

    /// Whether a user is in a room with at least one device.
    pub(in crate::focus) fn is_in(&self, room: &RoomUri, user: &UserUri) -> bool {
        self.conference(room).is_some_and(|it| it.has(user))
    }

    /// The role of a user in the roster.
    pub(in crate::focus) fn role_of(&self, room: &RoomUri, user: &UserUri) -> Role {
        let conference = self.conference(room);
        let participant = conference.and_then(|it| it.participants.get(user));
        participant.map_or(Role::Participant, |it| it.role)
    }

    /// Adds an endpoint to its conference, joined or not.
    pub(in crate::focus) fn enter(
        &mut self,
        id: EndpointId,
        mut endpoint: Endpoint,
        shared: &mut Shared,
    ) {
        endpoint.share(shared);
        if let Some(session) = endpoint.link().session() {
            let whose = Occupant::Endpoint(id);
            self.sessions.insert(session.clone(), whose);
        }
        if let Some(conference) = self.conferences.get_unmarked(&endpoint.room) {
            conference.endpoints.insert(id);
        }
        self.endpoints.insert(id, endpoint);
    }

    /// Removes an endpoint.
    pub(in crate::focus) fn leave(&mut self, id: EndpointId) -> Option<Endpoint> {
        let endpoint = self.endpoints.remove(&id)?;
        if let Some(session) = endpoint.link().session() {
            self.sessions.remove(session);
        }
        if let Some(conference) = self.conferences.get_unmarked(&endpoint.room) {
            conference.endpoints.remove(&id);
        }
        Some(endpoint)
    }

    /// Changes an endpoint's session; returns the former one.
    pub(in crate::focus) fn relink(&mut self, id: EndpointId, link: Link) -> Option<Link> {
        let endpoint = self.endpoints.get_mut(&id)?;
        if let Some(before) = endpoint.link().session() {
            self.sessions.remove(before);
        }
        if let Some(session) = link.session() {
            let whose = Occupant::Endpoint(id);
            self.sessions.insert(session.clone(), whose);
        }
        Some(endpoint.set_link(link))
    }

    /// Assigns a session to a party that is being dialled.
    pub(in crate::focus) fn promise_session(&mut self, session: SessionId, to: InvitationId) {
        self.sessions.insert(session, Occupant::Invitation(to));
    }

    /// Removes the session of an invitation that has ended, unless an endpoint has taken it over.
    pub(in crate::focus) fn withdraw_session(&mut self, session: &SessionId, from: InvitationId) {
        if self.occupant(session) == Some(Occupant::Invitation(from)) {
            self.sessions.remove(session);
        }
    }

    /// The owner of a session.
    pub(in crate::focus) fn occupant(&self, session: &SessionId) -> Option<Occupant> {
        self.sessions.get(session).copied()
    }

    /// The endpoint of a session.
    pub(in crate::focus) fn seated(&self, session: &SessionId) -> Option<EndpointId> {
        match self.occupant(session)? {
            Occupant::Endpoint(id) => Some(id),
            Occupant::Invitation(_) => None,
        }
    }

    /// All sessions.
    pub(in crate::focus) fn sessions(&self) -> impl Iterator<Item = (&SessionId, Occupant)> {
        self.sessions
            .iter()
            .map(|(session, whose)| (session, *whose))
    }

    /// The number for the next anonymous participant.
    pub(in crate::focus) fn next_anonymous(&mut self) -> u32 {
        self.last_anonymous = self.last_anonymous.wrapping_add(1);
        self.last_anonymous
    }

    /// Names of the tables that are not empty although there are no participants.
    pub(in crate::focus) fn leftovers(&self) -> Vec<&'static str> {
        let lasts = |room: &RoomUri| self.configured.contains_key(room);
        let counted = self.messages.keys().filter(|room| !lasts(room));
        let all = [
            ("conferences", self.conferences.len()),
            ("makers", self.makers.len()),
            ("endpoints", self.endpoints.len()),
            ("sessions", self.sessions.len()),
            ("parting", self.parting.len()),
            ("publications", self.publications.len()),
            ("held nicknames", self.held_nicknames.len()),
            ("counted messages", counted.count()),
        ];
        let left = all.into_iter().filter(|(_, count)| *count > 0);
        left.map(|(name, _)| name).collect()
    }
}
