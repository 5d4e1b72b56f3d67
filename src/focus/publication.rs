//! PUBLISH (RFC 3903): what participants and external mixers say about a conference becomes
//! part of its document. On only where the script hands PUBLISH over.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::conference::Conference;
use super::notifier::check_package;
use super::record::{PublicationRecord, Record};
use super::refusal::{Refusal, Verdict};
use super::request::{Incoming, capabilities, contact, identity};
use super::timers::{Timer, TimerKey};
use super::tracked::Tracked;
use super::{Focus, Role, TAG_LENGTH};
use crate::control::{RoomUri, UserUri};
use crate::entropy::token;
use crate::time::Moment;
use crate::wire::conference_info::{self as info, MEDIA_TYPE};
use crate::wire::sip::{Request, Uri};

/// Publications of one room: every moderator's client and some mixers.
const MAX_PUBLICATIONS: usize = 256;
/// Publications of one user in a room: one a device.
const MAX_PUBLICATIONS_OF_USER: usize = 8;
/// Octets of all publications of a room: the document of some 600 users.
const MAX_OCTETS: usize = 256 * 1024;
/// Users that publications of a room speak of.
const MAX_USERS: usize = 1_000;
/// Entries of every list in a publication, and of what all say together: the endpoints of a
/// user (twice what a room admits), the media of an endpoint, keywords, URIs. Each is compared
/// with all others of its list.
const MAX_ENTRIES: usize = 32;

/// One publication. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PublicationId(pub(super) u64);

/// What one publisher said.
#[derive(Debug)]
pub(super) struct Publication {
    /// Its entity tag, new after every success (RFC 3903 §6).
    pub(super) tag: String,
    pub(super) publisher: UserUri,
    /// About everything, not only about the publisher.
    pub(super) unlimited: bool,
    /// As it was published.
    pub(super) document: Bytes,
    says: Statement,
    pub(super) expiry: TimerKey,
}

/// The parts of a document that publications may fill. Anything else in one is passed over:
/// counts, states and versions are the focus' own; sidebars by value would be conferences in
/// a conference; elements of other namespaces cannot be checked against any schema, nor for
/// what they tell about whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Statement {
    description: info::Description,
    host_info: Option<info::HostInfo>,
    sidebars: Vec<info::UriEntry>,
    users: BTreeMap<UserUri, info::User>,
}

/// The publications of one conference.
#[derive(Debug, Default)]
pub(super) struct Publications {
    pub(super) all: Tracked<PublicationId, Publication>,
    /// What they say together; of two that speak of the same the later one counts.
    together: Statement,
    /// The revision of the last change of each user in it.
    changed: BTreeMap<UserUri, u64>,
}

impl Focus {
    /// A PUBLISH (RFC 3903 §6, row F23).
    pub(super) fn publish(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        room: &RoomUri,
    ) -> Verdict<()> {
        let request = &incoming.request;
        self.room_policy(room)?;
        check_package(request)?;
        let publisher = identity(&incoming.arrival)?;
        let unlimited = self.may_publish(incoming, room, &publisher)?;
        let known = match if_match(request)? {
            None => None,
            Some(tag) => Some(
                self.publication(room, &publisher, tag)
                    .ok_or(Refusal::new(412))?,
            ),
        };
        let expires = self.expires(request)?;
        let says = statement(request, room, &publisher, unlimited)?;
        let tag = token(self.entropy.as_mut(), TAG_LENGTH);
        match (known, says) {
            (None, None) => return Err(Refusal::new(400).because("nothing is published")),
            (None, Some(_)) if expires.is_zero() => {}
            (Some(id), _) if expires.is_zero() => self.unpublish(now, room, id),
            (Some(id), None) => self.keep_publication(now, room, id, &tag, expires),
            (known, Some(says)) => {
                let document = request.body.clone();
                self.check_space(room, &publisher, known, document.len())?;
                let id = known.unwrap_or(PublicationId(self.next_id()));
                let expiry = self.timers.arm(now + expires, Timer::Publication(id));
                let publication = Publication {
                    tag: tag.clone(),
                    publisher,
                    unlimited,
                    document,
                    says,
                    expiry,
                };
                self.store_publication(now, room, id, publication);
            }
        }
        let headers = capabilities(&contact(&request.uri, &incoming.arrival.socket))
            .with("Expires", expires.as_secs().to_string())
            .with("SIP-ETag", tag);
        let to_tag = incoming.arrival.to_tag.clone();
        self.reply(incoming.transaction, 200, headers, "", to_tag);
        Ok(())
    }

    /// Participants publish about themselves; moderators, and whom the script calls one,
    /// about everything (the answer: true).
    fn may_publish(
        &self,
        incoming: &Incoming,
        room: &RoomUri,
        publisher: &UserUri,
    ) -> Verdict<bool> {
        let policy = self.room_policy(room)?;
        policy.admits(publisher)?;
        let conference = self.conferences.get(room);
        let participant = conference
            .filter(|it| it.has(publisher))
            .and_then(|it| it.participants.get(publisher));
        let role = incoming
            .arrival
            .options
            .role
            .or(participant.map(|participant| participant.role))
            .unwrap_or_else(|| policy.role(publisher));
        match (role, participant) {
            (Role::Moderator, _) => Ok(true),
            (_, Some(_)) => Ok(false),
            _ => Err(Refusal::new(403).because("only participants may publish")),
        }
    }

    fn publication(&self, room: &RoomUri, user: &UserUri, tag: &str) -> Option<PublicationId> {
        let publications = &self.conferences.get(room)?.publications;
        let mut all = publications.all.iter();
        all.find(|(_, known)| known.tag == tag && known.publisher == *user)
            .map(|(id, _)| *id)
    }

    fn check_space(
        &self,
        room: &RoomUri,
        user: &UserUri,
        replaced: Option<PublicationId>,
        octets: usize,
    ) -> Verdict<()> {
        let publications = self.conferences.get(room).map(|c| &c.publications.all);
        let others = || {
            let all = publications.into_iter().flatten();
            all.filter(|(id, _)| Some(**id) != replaced)
                .map(|(_, known)| known)
        };
        let taken: usize = others().map(|known| known.document.len()).sum();
        if taken + octets > MAX_OCTETS {
            return Err(Refusal::new(413).because("the room has no space for this publication"));
        }
        let theirs = others().filter(|known| known.publisher == *user).count();
        if theirs >= MAX_PUBLICATIONS_OF_USER || others().count() >= MAX_PUBLICATIONS {
            return Err(Refusal::new(403).because("too many publications"));
        }
        Ok(())
    }

    fn store_publication(
        &mut self,
        now: Moment,
        room: &RoomUri,
        id: PublicationId,
        publication: Publication,
    ) {
        let expiry = publication.expiry;
        let Some(conference) = self.watched(room) else {
            self.timers.disarm(Some(expiry));
            return;
        };
        let before = conference.publications.all.insert(id, publication);
        conference.merge_publications();
        self.publications.insert(id, room.clone());
        self.timers.disarm(before.map(|before| before.expiry));
        self.conference_changed(now, room);
    }

    /// A refresh: a new tag, a new expiry, the same state.
    fn keep_publication(
        &mut self,
        now: Moment,
        room: &RoomUri,
        id: PublicationId,
        tag: &str,
        expires: Duration,
    ) {
        let expiry = self.timers.arm(now + expires, Timer::Publication(id));
        let conference = self.conferences.get_mut(room);
        let known = conference.and_then(|c| c.publications.all.get_mut(&id));
        let superseded = match known {
            Some(known) => {
                known.tag = tag.to_owned();
                std::mem::replace(&mut known.expiry, expiry)
            }
            None => expiry,
        };
        self.timers.disarm(Some(superseded));
    }

    fn unpublish(&mut self, now: Moment, room: &RoomUri, id: PublicationId) {
        self.withdraw_publication(now, room, id);
        self.end_if_empty(now, room);
    }

    fn withdraw_publication(&mut self, now: Moment, room: &RoomUri, id: PublicationId) {
        self.publications.remove(&id);
        let Some(conference) = self.conferences.get_mut(room) else {
            return;
        };
        let Some(publication) = conference.publications.all.remove(&id) else {
            return;
        };
        conference.merge_publications();
        self.timers.disarm(Some(publication.expiry));
        self.conference_changed(now, room);
    }

    pub(super) fn publication_expired(&mut self, now: Moment, id: PublicationId) {
        if let Some(room) = self.publications.get(&id).cloned() {
            self.unpublish(now, &room, id);
        }
    }

    /// What somebody who has left said counts no more. The conference goes on until everybody
    /// has been told who left.
    pub(super) fn unpublish_all_of(&mut self, now: Moment, room: &RoomUri, user: &UserUri) {
        let Some(conference) = self.conferences.get(room) else {
            return;
        };
        if conference.has(user) {
            return;
        }
        let all = conference.publications.all.iter();
        let theirs: Vec<_> = all
            .filter(|(_, known)| known.publisher == *user)
            .map(|(id, _)| *id)
            .collect();
        for id in theirs {
            self.withdraw_publication(now, room, id);
        }
    }

    /// The conference has ended.
    pub(super) fn forget_publications(&mut self, conference: &mut Conference) {
        for (id, publication) in std::mem::take(&mut conference.publications.all) {
            self.publications.remove(&id);
            self.timers.disarm(Some(publication.expiry));
        }
    }
}

impl Conference {
    /// Takes up a publication of an earlier run; false when it says nothing any more.
    pub(super) fn restore_publication(
        &mut self,
        id: PublicationId,
        record: PublicationRecord,
        expiry: TimerKey,
    ) -> bool {
        let document = info::Document::read(&record.document).ok();
        let Some(document) = document.filter(is_modest) else {
            return false;
        };
        let kept = Record::Publication(record.clone());
        let publication = Publication {
            says: Statement::of_document(document, &record.publisher, record.unlimited),
            tag: record.tag,
            publisher: record.publisher,
            unlimited: record.unlimited,
            document: record.document.into(),
            expiry,
        };
        self.publications.all.insert(id, publication);
        self.publications.all.kept_as(id, &kept);
        self.merge_publications();
        true
    }

    /// Makes one statement of all; subscribers are told what has changed by it.
    fn merge_publications(&mut self) {
        let revision = self.change();
        let now = Statement::merged(self.publications.all.values().map(|known| &known.says));
        let before = std::mem::replace(&mut self.publications.together, now);
        let now = &self.publications.together;
        let changed = &mut self.publications.changed;
        for (user, said) in &now.users {
            if before.users.get(user) != Some(said) {
                changed.insert(user.clone(), revision);
                if let Some(participant) = self.participants.get_mut(user) {
                    participant.changed = revision;
                }
            }
        }
        for user in before.users.keys() {
            if now.users.contains_key(user) {
                continue;
            }
            changed.remove(user);
            match self.participants.get_mut(user) {
                Some(participant) => participant.changed = revision,
                // That somebody is there no more stands in full documents only.
                None => self.reshaped = revision,
            }
        }
        self.described = revision;
        let lost_host = before.host_info.is_some() && now.host_info.is_none();
        let lost_sidebars = !before.sidebars.is_empty() && now.sidebars.is_empty();
        if lost_host || lost_sidebars {
            self.reshaped = revision;
        }
    }

    /// A user that publications speak of comes or goes: who is shown for it changes.
    pub(super) fn check_published(&mut self, user: &UserUri) {
        if self.publications.together.users.contains_key(user) {
            self.reshaped = self.revision;
        }
    }
}

impl Publications {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds what is said about the conference.
    pub(super) fn describe(&self, document: &mut info::Document) {
        document.host_info = self.together.host_info.clone();
        document.sidebars = self.together.sidebars.clone();
        if let Some(description) = &mut document.description {
            add_description(description, &self.together.description);
        }
    }

    /// What is said about a user.
    pub(super) fn of(&self, user: &UserUri) -> Option<&info::User> {
        self.together.users.get(user)
    }

    /// Users of other mixers, with the revision of their last change.
    pub(super) fn users(&self) -> impl Iterator<Item = (&UserUri, &info::User, u64)> {
        self.together.users.iter().map(|(uri, user)| {
            let changed = self.changed.get(uri).copied().unwrap_or_default();
            (uri, user, changed)
        })
    }
}

impl Statement {
    fn merged<'a>(all: impl Iterator<Item = &'a Statement>) -> Self {
        let mut merged = Self::default();
        for says in all {
            add_description(&mut merged.description, &says.description);
            merged.host_info = says.host_info.clone().or(merged.host_info);
            add_uris(&mut merged.sidebars, &says.sidebars);
            for (uri, said) in &says.users {
                let is_full = merged.users.len() >= MAX_USERS;
                match merged.users.get_mut(uri) {
                    Some(user) => add_user(user, said),
                    None if is_full => {}
                    None => {
                        merged.users.insert(uri.clone(), said.clone());
                    }
                }
            }
        }
        merged
    }

    /// What a document says, as far as this publisher may say it.
    fn of_document(document: info::Document, publisher: &UserUri, unlimited: bool) -> Self {
        let users = document.users.unwrap_or_default().users.into_iter();
        let users = users
            .filter(|user| user.state != info::State::Deleted)
            .filter_map(|user| Some((canonical(&user.entity)?, user)))
            .filter(|(uri, _)| unlimited || uri == publisher)
            .map(|(uri, user)| {
                let own = clean_user(&uri, user, unlimited);
                (uri, own)
            })
            .collect();
        if !unlimited {
            return Self {
                users,
                ..Self::default()
            };
        }
        Self {
            description: document.description.unwrap_or_default(),
            host_info: document.host_info,
            sidebars: document.sidebars,
            users,
        }
    }
}

/// The body of a PUBLISH; `None` without one.
fn statement(
    request: &Request,
    room: &RoomUri,
    publisher: &UserUri,
    unlimited: bool,
) -> Verdict<Option<Statement>> {
    if request.body.is_empty() {
        return Ok(None);
    }
    let kind = request.headers.first("Content-Type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(MEDIA_TYPE) {
        return Err(Refusal::new(415).with("Accept", MEDIA_TYPE));
    }
    if request.body.len() > MAX_OCTETS {
        return Err(Refusal::new(413));
    }
    let document =
        info::Document::read(&request.body).map_err(|error| Refusal::new(400).because(error))?;
    if canonical(&document.entity).is_none_or(|entity| entity.as_str() != room.as_str()) {
        return Err(Refusal::new(400).because("a document of another conference"));
    }
    if !is_modest(&document) {
        return Err(Refusal::new(413).because("too many entries in a list of the publication"));
    }
    Ok(Some(Statement::of_document(document, publisher, unlimited)))
}

/// Whether every list in a document is as short as we compare.
fn is_modest(document: &info::Document) -> bool {
    let users = document.users.iter().flat_map(|it| &it.users);
    let of_user = |user: &info::User| {
        let media = user.endpoints.iter().map(|endpoint| endpoint.media.len());
        let lists = [
            user.endpoints.len(),
            user.associated_aors.len(),
            user.roles.len(),
        ];
        media.chain(lists).max().unwrap_or_default()
    };
    let about = document.description.iter().flat_map(|it| {
        let media = it.available_media.len();
        [
            it.keywords.len(),
            it.conf_uris.len(),
            it.service_uris.len(),
            media,
        ]
    });
    let host = document.host_info.iter().map(|it| it.uris.len());
    let lists = about.chain(host).chain([document.sidebars.len()]);
    let longest = lists.chain(users.clone().map(of_user)).max();
    longest.unwrap_or_default() <= MAX_ENTRIES && users.count() <= MAX_USERS
}

/// The only entity tag (RFC 3903 §6, step 3).
fn if_match(request: &Request) -> Verdict<Option<&str>> {
    match request.headers.elements("SIP-If-Match").as_slice() {
        [] => Ok(None),
        [tag] if !tag.is_empty() => Ok(Some(tag)),
        _ => Err(Refusal::new(400).because("one entity tag in SIP-If-Match")),
    }
}

/// The user a key stands for. Nobody speaks of the anonymous.
fn canonical(entity: &str) -> Option<UserUri> {
    let uri: Uri = entity.parse().ok()?;
    let invalid = uri.host.eq_ignore_ascii_case("invalid") || uri.host.ends_with(".invalid");
    (!invalid).then(|| UserUri::new(uri.address_of_record()))
}

/// A user as somebody may publish it: roles and nicknames are given in the room, dialogs are
/// nobody's business.
fn clean_user(uri: &UserUri, said: info::User, unlimited: bool) -> info::User {
    let mut endpoints: Vec<info::Endpoint> = Vec::new();
    for said in said.endpoints {
        let is_known = endpoints.iter().any(|known| known.entity == said.entity);
        if said.state == info::State::Deleted || is_known {
            continue;
        }
        let mut media: Vec<info::Media> = Vec::new();
        for said in said.media {
            if media.iter().all(|known| known.id != said.id) {
                media.push(said);
            }
        }
        let endpoint = info::Endpoint {
            state: info::State::Full,
            media,
            call_info: None,
            ..said
        };
        endpoints.push(endpoint);
    }
    info::User {
        entity: uri.to_string(),
        state: info::State::Full,
        display_text: said.display_text,
        nickname: None,
        associated_aors: said.associated_aors,
        roles: if unlimited { said.roles } else { Vec::new() },
        endpoints,
    }
}

/// What publications say of a user who is in, on top of what the focus knows.
pub(super) fn add_to_participant(user: &mut info::User, said: &info::User) {
    if user.nickname.is_none() && said.display_text.is_some() {
        user.display_text.clone_from(&said.display_text);
    }
    add_uris(&mut user.associated_aors, &said.associated_aors);
    for said in &said.endpoints {
        let known = user
            .endpoints
            .iter_mut()
            .find(|known| known.entity == said.entity);
        let Some(known) = known else {
            // Another mixer's leg of the same user.
            if user.endpoints.len() < MAX_ENTRIES {
                user.endpoints.push(said.clone());
            }
            continue;
        };
        if said.display_text.is_some() {
            known.display_text.clone_from(&said.display_text);
        }
        // Whether it is connected, the focus knows better.
        let status = said.status.filter(|status| {
            matches!(
                status,
                info::EndpointStatus::OnHold | info::EndpointStatus::MutedViaFocus
            )
        });
        known.status = status.or(known.status);
        for media in &said.media {
            match known.media.iter_mut().find(|medium| medium.id == media.id) {
                Some(medium) => medium.display_text.clone_from(&media.display_text),
                None => known.media.push(media.clone()),
            }
        }
    }
}

/// Two publications about the same user: the later one adds to and overrides the earlier.
fn add_user(user: &mut info::User, said: &info::User) {
    if said.display_text.is_some() {
        user.display_text.clone_from(&said.display_text);
    }
    add_uris(&mut user.associated_aors, &said.associated_aors);
    if !said.roles.is_empty() {
        user.roles.clone_from(&said.roles);
    }
    for said in &said.endpoints {
        let is_full = user.endpoints.len() >= MAX_ENTRIES;
        match user
            .endpoints
            .iter_mut()
            .find(|known| known.entity == said.entity)
        {
            Some(known) => known.clone_from(said),
            None if is_full => {}
            None => user.endpoints.push(said.clone()),
        }
    }
}

fn add_description(description: &mut info::Description, said: &info::Description) {
    let replace = |known: &mut Option<String>, said: &Option<String>| {
        if said.is_some() {
            known.clone_from(said);
        }
    };
    replace(&mut description.display_text, &said.display_text);
    replace(&mut description.subject, &said.subject);
    replace(&mut description.free_text, &said.free_text);
    for word in &said.keywords {
        add(&mut description.keywords, word, |known| known == word);
    }
    add_uris(&mut description.conf_uris, &said.conf_uris);
    add_uris(&mut description.service_uris, &said.service_uris);
    for entry in &said.available_media {
        let same = |known: &info::MediaEntry| known.label == entry.label;
        add(&mut description.available_media, entry, same);
    }
}

fn add_uris(known: &mut Vec<info::UriEntry>, said: &[info::UriEntry]) {
    for entry in said {
        add(known, entry, |known| known == entry);
    }
}

/// One more, unless it is there or there are too many.
fn add<T: Clone>(all: &mut Vec<T>, one: &T, is_same: impl Fn(&T) -> bool) {
    if all.len() < MAX_ENTRIES && !all.iter().any(is_same) {
        all.push(one.clone());
    }
}
