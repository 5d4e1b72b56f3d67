//! PUBLISH (RFC 3903): publications of participants and external mixers become part of the
//! conference's document. Active only if the script hands PUBLISH over.

use crate::focus::Role;
use crate::focus::ids::PublicationId;
use crate::focus::room::permission::{Ask, Caller};
use crate::focus::room::publications::Publication;
use crate::focus::room::publications::Statement;
use crate::focus::room::publications::{canonical, is_modest};
use crate::focus::sip::cause::Cause;
use crate::focus::sip::face::{Incoming, capabilities, check_package, contact, identity};
use std::time::Duration;

use crate::control::{RoomUri, UserUri};
use crate::focus::Focus;
use crate::focus::room::conference::Conference;
use crate::focus::sip::rejection::{Refusal, Verdict};
use crate::focus::timers::Timer;
use crate::time::Moment;
use crate::wire::conference_info::{self as info, MEDIA_TYPE};
use crate::wire::sip::Request;

/// Publications per room: every moderator's client and some mixers.
const MAX_PUBLICATIONS: usize = 256;
/// Publications per user in a room: one per device.
const MAX_PUBLICATIONS_OF_USER: usize = 8;
/// Octets of all publications of a room: a document of some 600 users.
const MAX_OCTETS: usize = 256 * 1024;

impl Focus {
    /// A PUBLISH (RFC 3903 §6, row F23).
    pub(in crate::focus) fn publish(
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
                    .ok_or(Cause::UnknownEntityTag)?,
            ),
        };
        let expires = self.expires(request)?;
        let says = statement(request, room, &publisher, unlimited)?;
        let tag = self.out.tag();
        match (known, says) {
            (None, None) => return Err(Cause::NothingPublished.into()),
            (None, Some(_)) if expires.is_zero() => {}
            (Some(id), _) if expires.is_zero() => self.unpublish(now, room, id),
            (Some(id), None) => self.keep_publication(now, room, id, &tag, expires),
            (known, Some(says)) => {
                let document = request.body.clone();
                self.check_space(room, &publisher, known, document.len())?;
                let id = known.unwrap_or(PublicationId(self.out.next_id()));
                let expiry = self.timers.arm(now + expires, Timer::Publication(id));
                let publication = Publication {
                    masked: self.is_masked(room, &publisher, known),
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
        self.out
            .reply(incoming.transaction, 200, headers, "", to_tag);
        Ok(())
    }

    /// Checks that the user may publish, and returns whether about everything. Participants publish
    /// about themselves; moderators, including those named by the script, about everything.
    fn may_publish(
        &self,
        incoming: &Incoming,
        room: &RoomUri,
        publisher: &UserUri,
    ) -> Verdict<bool> {
        let policy = self.room_policy(room)?;
        let conference = self.rooms.conference(room);
        let participant = conference
            .filter(|it| it.has(publisher))
            .and_then(|it| it.participants.get(publisher));
        let script = incoming.arrival.options.role;
        let role = script.or(participant.map(|participant| participant.role));
        let caller = Caller {
            user: publisher,
            role: role.unwrap_or_else(|| policy.role(publisher)),
            policy: &policy,
            conference,
        };
        let everything = caller.role == Role::Moderator;
        caller.may(Ask::Publish { everything })?;
        Ok(everything)
    }

    fn publication(&self, room: &RoomUri, user: &UserUri, tag: &str) -> Option<PublicationId> {
        let publications = &self.rooms.conference(room)?.publications;
        let mut all = publications.all.iter();
        all.find(|(_, known)| known.tag == tag && known.publisher == *user)
            .map(|(id, _)| *id)
    }

    /// Whether the user publishes as an anonymous participant; an existing publication keeps its
    /// state.
    fn is_masked(&self, room: &RoomUri, user: &UserUri, known: Option<PublicationId>) -> bool {
        let Some(conference) = self.rooms.conference(room) else {
            return false;
        };
        let before = known.and_then(|id| conference.publications.all.get(&id));
        before.map_or_else(|| conference.mask_of(user).is_some(), |it| it.masked)
    }

    fn check_space(
        &self,
        room: &RoomUri,
        user: &UserUri,
        replaced: Option<PublicationId>,
        octets: usize,
    ) -> Verdict<()> {
        let publications = self.rooms.conference(room).map(|c| &c.publications.all);
        let others = || {
            let all = publications.into_iter().flat_map(|all| all.iter());
            all.filter(|(id, _)| Some(**id) != replaced)
                .map(|(_, known)| known)
        };
        let taken: usize = others().map(|known| known.document.len()).sum();
        if taken + octets > MAX_OCTETS {
            return Err(Cause::NoSpaceForPublication.into());
        }
        let theirs = others().filter(|known| known.publisher == *user).count();
        if theirs >= MAX_PUBLICATIONS_OF_USER || others().count() >= MAX_PUBLICATIONS {
            return Err(Cause::TooManyPublications.into());
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
        if self.watched(room).is_none() {
            self.timers.disarm(Some(expiry));
            return;
        }
        let before = self.rooms.publish(room, id, publication);
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
        let conference = self.rooms.conference_mut(room);
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
        let Some(publication) = self.rooms.unpublish(id) else {
            return self.out.broken("no publication of a conference");
        };
        self.timers.disarm(Some(publication.expiry));
        self.conference_changed(now, room);
    }

    pub(in crate::focus) fn publication_expired(&mut self, now: Moment, id: PublicationId) {
        if let Some(room) = self.rooms.room_of_publication(id).cloned() {
            self.unpublish(now, &room, id);
        }
    }

    /// Removes the publications that a user made as a participant, after they left. The conference
    /// goes on until every subscriber has seen who left.
    pub(in crate::focus) fn unpublish_all_of(
        &mut self,
        now: Moment,
        room: &RoomUri,
        user: &UserUri,
        masked: bool,
    ) {
        let Some(conference) = self.rooms.conference(room) else {
            return;
        };
        if conference.has(user) {
            return;
        }
        let all = conference.publications.all.iter();
        let theirs: Vec<_> = all
            .filter(|(_, known)| known.publisher == *user && known.masked == masked)
            .map(|(id, _)| *id)
            .collect();
        for id in theirs {
            self.withdraw_publication(now, room, id);
        }
    }

    /// Drops the publications of a conference that has ended.
    pub(in crate::focus) fn forget_publications(&mut self, conference: &mut Conference) {
        for publication in self.rooms.take_publications(conference) {
            self.timers.disarm(Some(publication.expiry));
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
        return Err(Refusal::new(Cause::UnknownBody).with("Accept", MEDIA_TYPE));
    }
    if request.body.len() > MAX_OCTETS {
        return Err(Cause::LargePublication.into());
    }
    let document = info::Document::read(&request.body)
        .map_err(|error| Refusal::new(Cause::MalformedPublication).because(error))?;
    if canonical(&document.entity).is_none_or(|entity| entity.as_str() != room.as_str()) {
        return Err(Cause::OtherConference.into());
    }
    if !is_modest(&document) {
        return Err(Cause::LongPublication.into());
    }
    Ok(Some(Statement::of_document(document, publisher, unlimited)))
}

/// The only entity tag (RFC 3903 §6, step 3).
fn if_match(request: &Request) -> Verdict<Option<&str>> {
    match request.headers.elements("SIP-If-Match").as_slice() {
        [] => Ok(None),
        [tag] if !tag.is_empty() => Ok(Some(tag)),
        _ => Err(Cause::SeveralEntityTags.into()),
    }
}
