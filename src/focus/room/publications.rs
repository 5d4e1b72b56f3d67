//! Publications about a conference by participants and external mixers (RFC 3903), merged into one
//! statement.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::control::UserUri;
use crate::focus::dirty_map::DirtyMap;
use crate::focus::ids::PublicationId;
use crate::focus::record::{PublicationRecord, Record};
use crate::focus::room::conference::Conference;
use crate::focus::timers::TimerKey;
use crate::wire::conference_info as info;
use crate::wire::sip::Uri;

/// Most users in the publications of a room.
const MAX_USERS: usize = 1_000;
/// Most entries of every list in a publication, and in the merged statement: the endpoints of a
/// user (twice the number a room admits), the media of an endpoint, keywords, URIs. Each entry is
/// compared with all others of its list.
const MAX_ENTRIES: usize = 32;

/// The publication of one publisher.
#[derive(Debug)]
pub(in crate::focus) struct Publication {
    /// Its entity tag, new after every success (RFC 3903 §6).
    pub(in crate::focus) tag: String,
    pub(in crate::focus) publisher: UserUri,
    /// It may be about everything, not only about the publisher.
    pub(in crate::focus) unlimited: bool,
    /// The publisher was an anonymous participant: only moderators see what it says about them.
    pub(in crate::focus) masked: bool,
    /// The document, as published.
    pub(in crate::focus) document: Bytes,
    pub(in crate::focus) says: Statement,
    pub(in crate::focus) expiry: TimerKey,
}

/// The parts of a document that publications may fill. The rest of a document is ignored: counts,
/// states and versions are the focus' own; sidebars by value would be conferences in a conference;
/// elements of other namespaces cannot be checked, neither against a schema nor for leaks about
/// users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::focus) struct Statement {
    description: info::Description,
    host_info: Option<info::HostInfo>,
    sidebars: Vec<info::UriEntry>,
    users: BTreeMap<UserUri, info::User>,
}

/// The publications of one conference.
#[derive(Debug, Default)]
pub(in crate::focus) struct Publications {
    pub(in crate::focus) all: DirtyMap<PublicationId, Publication>,
    /// The merged statement; on a conflict the later publication counts.
    together: Statement,
    /// Statements of anonymous participants about themselves.
    own: BTreeMap<UserUri, info::User>,
    /// The revision of the last change of each user in it.
    changed: BTreeMap<UserUri, u64>,
}

impl Conference {
    /// Restores a publication of an earlier run; `false` if it no longer has any content.
    pub(in crate::focus) fn restore_publication(
        &mut self,
        id: PublicationId,
        record: PublicationRecord,
        expiry: TimerKey,
    ) -> bool {
        let document = info::Document::read(record.document.as_bytes()).ok();
        let Some(document) = document.filter(is_modest) else {
            return false;
        };
        let kept = Record::Publication(record.clone());
        let publication = Publication {
            says: Statement::of_document(document, &record.publisher, record.unlimited),
            tag: record.tag,
            masked: self.is_anonymous(&record.publisher),
            publisher: record.publisher,
            unlimited: record.unlimited,
            document: record.document.into_bytes().into(),
            expiry,
        };
        self.publications.all.insert(id, publication);
        self.publications.all.kept_as(id, &kept);
        self.merge_publications();
        true
    }

    /// Merges all publications and notes the resulting changes for subscribers.
    pub(in crate::focus) fn merge_publications(&mut self) {
        let revision = self.change();
        let (now, own) = merged(self.publications.all.values());
        let before = std::mem::replace(&mut self.publications.together, now);
        let own_before = std::mem::replace(&mut self.publications.own, own);
        let own_now = &self.publications.own;
        for user in own_before.keys().chain(own_now.keys()) {
            if own_before.get(user) != own_now.get(user)
                && let Some(participant) = self.participants.get_mut(user)
            {
                participant.change(revision);
            }
        }
        let now = &self.publications.together;
        let changed = &mut self.publications.changed;
        for (user, said) in &now.users {
            if before.users.get(user) != Some(said) {
                changed.insert(user.clone(), revision);
                if let Some(participant) = self.participants.get_mut(user) {
                    participant.change_address(revision);
                }
            }
        }
        for user in before.users.keys() {
            if now.users.contains_key(user) {
                continue;
            }
            changed.remove(user);
            let is_invited = self.invitations.values().any(|it| it.user == *user);
            let participant = self.participants.get_mut(user);
            match participant.filter(|it| is_invited || it.anonymous.is_none()) {
                Some(participant) => participant.change_address(revision),
                // Only a full document can remove a user.
                None => self.changes.reshape(),
            }
        }
        self.changes.describe();
        let lost_host = before.host_info.is_some() && now.host_info.is_none();
        let lost_sidebars = !before.sidebars.is_empty() && now.sidebars.is_empty();
        if lost_host || lost_sidebars {
            self.changes.reshape();
        }
    }

    /// Notes that a published user joined or left under their own address, which changes the
    /// element shown for it.
    pub(in crate::focus) fn check_published(&mut self, user: &UserUri) {
        if self.publications.together.users.contains_key(user) {
            self.changes.reshape();
        }
    }
}

impl Publications {
    /// Whether there are no publications.
    pub(in crate::focus) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds the statements about the conference.
    pub(in crate::focus) fn describe(&self, document: &mut info::Document) {
        document.host_info = self.together.host_info.clone();
        document.sidebars = self.together.sidebars.clone();
        if let Some(description) = &mut document.description {
            add_description(description, &self.together.description);
        }
    }

    /// The statement about an address.
    pub(in crate::focus) fn of(&self, user: &UserUri) -> Option<&info::User> {
        self.together.users.get(user)
    }

    /// The statement of an anonymous participant about themselves.
    pub(in crate::focus) fn own(&self, user: &UserUri) -> Option<&info::User> {
        self.own.get(user)
    }

    /// Users of other mixers, with the revision of their last change.
    pub(in crate::focus) fn users(&self) -> impl Iterator<Item = (&UserUri, &info::User, u64)> {
        self.together.users.iter().map(|(uri, user)| {
            let changed = self.changed.get(uri).copied().unwrap_or_default();
            (uri, user, changed)
        })
    }
}

/// The merged statement, and apart from it the statements of anonymous participants about
/// themselves.
fn merged<'a>(
    all: impl Iterator<Item = &'a Publication>,
) -> (Statement, BTreeMap<UserUri, info::User>) {
    let (mut merged, mut own) = (Statement::default(), BTreeMap::new());
    for publication in all {
        let says = &publication.says;
        add_description(&mut merged.description, &says.description);
        merged.host_info = says.host_info.clone().or(merged.host_info);
        add_uris(&mut merged.sidebars, &says.sidebars);
        for (uri, said) in &says.users {
            let users = match publication.masked && *uri == publication.publisher {
                true => &mut own,
                false => &mut merged.users,
            };
            let is_full = users.len() >= MAX_USERS;
            match users.get_mut(uri) {
                Some(user) => add_user(user, said),
                None if is_full => {}
                None => {
                    users.insert(uri.clone(), said.clone());
                }
            }
        }
    }
    (merged, own)
}

impl Statement {
    /// The contents of a document that this publisher may publish.
    pub(in crate::focus) fn of_document(
        document: info::Document,
        publisher: &UserUri,
        unlimited: bool,
    ) -> Self {
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

/// Whether every list in a document is short enough to compare.
pub(in crate::focus) fn is_modest(document: &info::Document) -> bool {
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

/// The user of a key; `None` for anonymous users, about whom nobody may publish.
pub(in crate::focus) fn canonical(entity: &str) -> Option<UserUri> {
    let uri: Uri = entity.parse().ok()?;
    let invalid = uri.host.eq_ignore_ascii_case("invalid") || uri.host.ends_with(".invalid");
    (!invalid).then(|| UserUri::new(uri.address_of_record()))
}

/// A user as others may publish it: without role and nickname, which are set in the room, and
/// without dialogs, which are private.
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

/// Adds published facts to the element of a participant.
pub(in crate::focus) fn add_to_participant(user: &mut info::User, said: &info::User) {
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
            // Another mixer's endpoint of the same user.
            if user.endpoints.len() < MAX_ENTRIES {
                user.endpoints.push(said.clone());
            }
            continue;
        };
        if said.display_text.is_some() {
            known.display_text.clone_from(&said.display_text);
        }
        // The focus alone decides whether an endpoint is connected.
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

/// Merges two publications about the same user: the later one adds to the earlier and overrides it.
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

/// Adds an entry, unless it is there already or the list is full.
fn add<T: Clone>(all: &mut Vec<T>, one: &T, is_same: impl Fn(&T) -> bool) {
    if all.len() < MAX_ENTRIES && !all.iter().any(is_same) {
        all.push(one.clone());
    }
}
