//! The rooms: which there are, their conferences, who is in them by which device, and which
//! session at the switch is whose.

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

/// Whose a session at the switch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Occupant {
    /// An endpoint that is in, or comes in.
    Endpoint(EndpointId),
    /// A party that is being called.
    Invitation(InvitationId),
}

/// All rooms.
pub(in crate::focus) struct RoomTable {
    /// The rules of configured rooms and factories.
    pub(in crate::focus) configured: HashMap<RoomUri, Arc<Policy>>,
    pub(in crate::focus) factories: HashMap<RoomUri, Arc<Policy>>,
    /// What management keeps of rooms.
    pub(in crate::focus) kept: KeptRooms,
    /// How many messages were sent in rooms that last.
    pub(in crate::focus) messages: HashMap<RoomUri, u64>,
    conferences: DirtyMap<RoomUri, Conference>,
    endpoints: DirtyMap<EndpointId, Endpoint>,
    sessions: HashMap<SessionId, Occupant>,
    /// Sessions out of their room whose connection stays until the BYE is answered.
    pub(in crate::focus) parting: HashMap<RequestId, (RoomUri, SessionId)>,
    /// The room of every publication.
    publications: HashMap<PublicationId, RoomUri>,
    /// Nicknames of users who have left.
    pub(in crate::focus) held_nicknames: HeldNicknames,
    /// Rooms whose history has ended; the store is told with the next changes.
    pub(in crate::focus) ended_histories: Vec<RoomUri>,
    /// How many running conferences each user has had made.
    makers: BTreeMap<UserUri, usize>,
    pub(in crate::focus) fingerprints: FingerprintMemory,
    /// The number of the last anonymous participant.
    pub(in crate::focus) last_anonymous: u32,
    /// The number kept, which is not lower.
    pub(in crate::focus) kept_anonymous: u32,
    pub(in crate::focus) present: Present,
}

/// How many users are in, by room: brought up to date with the rooms that an input has touched.
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
    /// The rooms of the configuration, and nobody in them.
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

    /// A conference of a room begins.
    pub(in crate::focus) fn begin(&mut self, conference: Conference) {
        if let Some(maker) = &conference.maker {
            count(&mut self.makers, maker);
        }
        self.conferences.insert(conference.room.clone(), conference);
    }

    /// The conference of a room ends.
    pub(in crate::focus) fn end(&mut self, room: &RoomUri) -> Option<Conference> {
        let conference = self.conferences.remove(room)?;
        if let Some(maker) = &conference.maker {
            discount(&mut self.makers, maker);
        }
        Some(conference)
    }

    /// How many running conferences a user has had made.
    pub(in crate::focus) fn made_by(&self, user: &UserUri) -> usize {
        self.makers.get(user).copied().unwrap_or_default()
    }

    /// All conferences.
    pub(in crate::focus) fn conferences(&self) -> &DirtyMap<RoomUri, Conference> {
        &self.conferences
    }

    /// All devices.
    pub(in crate::focus) fn endpoints(&self) -> &DirtyMap<EndpointId, Endpoint> {
        &self.endpoints
    }

    /// The conferences, to say what of them is kept.
    pub(in crate::focus) fn kept_conferences(&mut self) -> &mut DirtyMap<RoomUri, Conference> {
        &mut self.conferences
    }

    /// The devices, to say what of them is kept.
    pub(in crate::focus) fn kept_endpoints(&mut self) -> &mut DirtyMap<EndpointId, Endpoint> {
        &mut self.endpoints
    }

    /// The conferences, for changes of what is not kept.
    pub(in crate::focus) fn conferences_unmarked(
        &mut self,
    ) -> impl Iterator<Item = (&RoomUri, &mut Conference)> {
        self.conferences.iter_mut_unmarked()
    }

    /// The conference, for changes of what is not kept.
    pub(in crate::focus) fn conference_unmarked(
        &mut self,
        room: &RoomUri,
    ) -> Option<&mut Conference> {
        self.conferences.get_unmarked(room)
    }

    /// The endpoint, for changes of what is not kept.
    pub(in crate::focus) fn endpoint_unmarked(&mut self, id: EndpointId) -> Option<&mut Endpoint> {
        self.endpoints.get_unmarked(&id)
    }

    pub(in crate::focus) fn conference(&self, room: &RoomUri) -> Option<&Conference> {
        self.conferences.get(room)
    }

    /// The conference, which counts as changed from now on.
    pub(in crate::focus) fn conference_mut(&mut self, room: &RoomUri) -> Option<&mut Conference> {
        self.conferences.get_mut(room)
    }

    pub(in crate::focus) fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(&id)
    }

    /// The endpoint, which counts as changed from now on.
    pub(in crate::focus) fn endpoint_mut(&mut self, id: EndpointId) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(&id)
    }

    /// An endpoint and its conference, both to be changed.
    pub(in crate::focus) fn with_conference(
        &mut self,
        id: EndpointId,
    ) -> Option<(&mut Endpoint, &mut Conference)> {
        let endpoint = self.endpoints.get_mut(&id)?;
        let conference = self.conferences.get_mut(&endpoint.room)?;
        Some((endpoint, conference))
    }

    /// A conference to be changed, and the endpoints to be looked up.
    pub(in crate::focus) fn with_endpoints(
        &mut self,
        room: &RoomUri,
    ) -> Option<(&mut Conference, &DirtyMap<EndpointId, Endpoint>)> {
        let conference = self.conferences.get_mut(room)?;
        Some((conference, &self.endpoints))
    }

    /// Something is published about a room, perhaps in the place of what was; gives that.
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

    /// A publication counts no more.
    pub(in crate::focus) fn unpublish(&mut self, id: PublicationId) -> Option<Publication> {
        let room = self.publications.remove(&id)?;
        let conference = self.conferences.get_mut(&room)?;
        let publication = conference.publications.all.remove(&id)?;
        conference.merge_publications();
        Some(publication)
    }

    /// The publications of a conference that has ended.
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

    /// A publication of an earlier run is taken up; `false` when it says nothing any more.
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

    /// Whether somebody is in a room with at least one device.
    pub(in crate::focus) fn is_in(&self, room: &RoomUri, user: &UserUri) -> bool {
        self.conference(room).is_some_and(|it| it.has(user))
    }

    /// What a user in the roster is.
    pub(in crate::focus) fn role_of(&self, room: &RoomUri, user: &UserUri) -> Role {
        let conference = self.conference(room);
        let participant = conference.and_then(|it| it.participants.get(user));
        participant.map_or(Role::Participant, |it| it.role)
    }

    /// A device comes: it belongs to its conference from now on, joined or not.
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

    /// A device goes.
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

    /// An endpoint's session is another from now on; gives what it was.
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

    /// A party that is being called is promised a session.
    pub(in crate::focus) fn promise_session(&mut self, session: SessionId, to: InvitationId) {
        self.sessions.insert(session, Occupant::Invitation(to));
    }

    /// A party that was promised a session does not come, or has it as an endpoint already.
    pub(in crate::focus) fn withdraw_session(&mut self, session: &SessionId, from: InvitationId) {
        if self.occupant(session) == Some(Occupant::Invitation(from)) {
            self.sessions.remove(session);
        }
    }

    /// Whose a session is.
    pub(in crate::focus) fn occupant(&self, session: &SessionId) -> Option<Occupant> {
        self.sessions.get(session).copied()
    }

    /// The endpoint whose session this is.
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

    /// The number of one more anonymous participant.
    pub(in crate::focus) fn next_anonymous(&mut self) -> u32 {
        self.last_anonymous = self.last_anonymous.wrapping_add(1);
        self.last_anonymous
    }

    /// The names of what is not empty, when nobody is in any more.
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
