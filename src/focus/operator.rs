//! Queries and orders of the operator at run time. Management may do everything, but the room or
//! user must exist.

use super::room::participant::anonymous_uri;
use super::watch::subscription::Due;
use crate::focus::room::endpoint::Endpoint;
use crate::focus::room::invitation::{Invitation, Inviter};
use crate::focus::sip::cause::Cause;
use crate::focus::sip::face::contact;
use crate::focus::{Pattern, Role};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::record::{Decisions, Ruling};
use super::room::conference::Conference;
use super::room::policy::Policy;
use super::{Event, Focus, RoomEntry, Socket};
use crate::control::{Order, RoomUri, Said, UserUri};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::sip::Uri;

/// Why an order of the operator failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// No such room.
    #[error("there is no room {0}")]
    NoRoom(RoomUri),
    /// The user is not in the room.
    #[error("{0} is not in the room")]
    NotIn(UserUri),
    /// This address is not banned.
    #[error("{0} is not banned")]
    NotBanned(String),
    /// The room exists already.
    #[error("there is a room {0} already")]
    Exists(RoomUri),
    /// No request has come in yet, and the proxy names no socket of its own.
    #[error("no socket to send from is known until a SIP request comes in")]
    NoSocket,
    /// The address is no SIP URI.
    #[error("no SIP URI")]
    NoUri,
    /// A user with this address is in the room.
    #[error("is in the room already")]
    IsIn,
    /// The room's rules forbid it, as they would to a caller.
    #[error("{0}")]
    Refused(Cause),
}

impl OperatorError {
    /// The status code.
    pub fn code(&self) -> u16 {
        match self {
            Self::NoRoom(_) | Self::NotIn(_) | Self::NotBanned(_) => 404,
            Self::Exists(_) | Self::IsIn => 409,
            Self::NoSocket => 480,
            Self::NoUri => 400,
            Self::Refused(cause) => cause.code(),
        }
    }
}

/// A room in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSummary {
    /// Its URI.
    pub uri: RoomUri,
    /// Number of participants.
    pub participants: usize,
    /// Number of subscriptions.
    pub subscribers: usize,
    /// Creation time.
    pub created: Moment,
    /// Messages sent by participants since then.
    pub messages: u64,
}

/// A room with its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomDetail {
    /// The summary, as in a list.
    pub summary: RoomSummary,
    /// It outlives its participants.
    pub lasting: bool,
    /// The room is locked: only moderators come in.
    pub locked: bool,
    /// Most participants.
    pub max_participants: usize,
    /// Number of past messages sent to a newcomer.
    pub history: u16,
    /// Its subject.
    pub subject: Option<String>,
    /// Participants and invited users, by address.
    pub users: Vec<UserDetail>,
}

/// A user in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDetail {
    /// The address of record, even of an anonymous participant.
    pub entity: UserUri,
    /// Display name.
    pub display: String,
    /// The nickname.
    pub nickname: Option<String>,
    /// The role.
    pub role: Role,
    /// Invited, but not in the room.
    pub invited: bool,
    /// The devices.
    pub endpoints: Vec<EndpointDetail>,
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointDetail {
    /// Call-ID of its dialog.
    pub dialog: String,
    /// `connected`, `on-hold` or `lost`; for invited users `dialing-out`, `alerting`, `pending` or
    /// `dialing-in`.
    pub status: &'static str,
    /// The device's own MSRP URI; `None` while unknown.
    pub msrp: Option<String>,
    /// When it joined.
    pub joined: Option<Moment>,
}

impl Focus {
    /// Sets the start time, if no input has come before this query.
    pub fn begin(&mut self, now: Moment) {
        self.started.get_or_insert(now);
    }

    /// Number of rooms.
    pub fn room_count(&self) -> usize {
        self.rooms.kept.count() + self.not_kept().count()
    }

    /// A page of the rooms, by URI.
    pub fn rooms_page(&self, offset: usize, limit: usize) -> Vec<RoomSummary> {
        let others: Vec<RoomUri> = self.not_kept().cloned().collect();
        let (before, most) = self.kept_page(offset, limit);
        let (before, kept) = self.rooms.kept.page(before, most);
        let made: HashMap<RoomUri, Option<Moment>> =
            kept.into_iter().map(|it| (it.uri, it.made)).collect();
        let mut all: Vec<&RoomUri> = others.iter().chain(made.keys()).collect();
        let page = page_of(&mut all, offset.saturating_sub(before), limit);
        let summary = |room: &&RoomUri| self.summary(room, made.get(*room).copied().flatten());
        page.iter().map(summary).collect()
    }

    /// Offset and length of the page of rooms made by management that a page of all rooms may need.
    pub(in crate::focus) fn kept_page(&self, offset: usize, limit: usize) -> (usize, usize) {
        // At least this many managed rooms come before the page.
        let before = offset.saturating_sub(self.not_kept().count());
        (before, (offset - before).saturating_add(limit))
    }

    /// Configured rooms and running conferences that management does not keep.
    fn not_kept(&self) -> impl Iterator<Item = &RoomUri> {
        let configured = self.rooms.configured.keys();
        let configured = configured.filter(|room| self.rooms.kept.made(room).is_none());
        let running = self.rooms.conferences().iter();
        let adhoc = running
            .filter(|(room, it)| !it.policy.kept && !self.rooms.configured.contains_key(*room));
        configured.chain(adhoc.map(|(room, _)| room))
    }

    /// One room and a page of its users, by address.
    ///
    /// # Errors
    /// The room does not exist.
    pub fn room_detail(
        &self,
        room: &RoomUri,
        offset: usize,
        limit: usize,
    ) -> Result<RoomDetail, OperatorError> {
        let policy = self.existing(room)?;
        let kept = self.rooms.kept.made(room);
        let conference = self.rooms.conferences().get(room);
        let subject = conference.and_then(|it| it.identity().subject);
        Ok(RoomDetail {
            lasting: kept.is_some() || self.rooms.configured.contains_key(room),
            summary: self.summary(room, kept.and_then(|it| it.made)),
            locked: conference.map_or(policy.rules.locked, |it| it.locked),
            max_participants: policy.max_participants,
            history: policy.rules.history,
            subject: subject.or_else(|| policy.rules.about.subject.clone()),
            users: conference.map_or(Vec::new(), |it| self.users(it, offset, limit)),
        })
    }

    fn summary(&self, room: &RoomUri, made: Option<Moment>) -> RoomSummary {
        let conference = self.rooms.conference(room);
        let adhoc =
            conference.filter(|it| !it.policy.kept && !self.rooms.configured.contains_key(room));
        let created = adhoc.map_or(made, |it| it.begun).or(self.started);
        let counted = || self.rooms.messages.get(room).copied().unwrap_or_default();
        RoomSummary {
            uri: room.clone(),
            participants: conference.map_or(0, Conference::present),
            subscribers: self.watch.watchers(room),
            created: created.unwrap_or(Moment::from_epoch(Duration::ZERO)),
            messages: adhoc.map_or_else(counted, |it| it.messages),
        }
    }

    fn users(&self, conference: &Conference, offset: usize, limit: usize) -> Vec<UserDetail> {
        let mut invited: BTreeMap<&UserUri, Vec<&Invitation>> = BTreeMap::new();
        for invitation in conference.invitations().values() {
            invited
                .entry(&invitation.user)
                .or_default()
                .push(invitation);
        }
        let users = conference.participants.iter().skip(offset).take(limit);
        let detail = |(uri, participant): (&UserUri, &super::room::participant::Participant)| {
            let devices = participant.endpoints.iter();
            let devices = devices
                .filter_map(|id| self.rooms.endpoint(*id))
                .map(device);
            let on_the_way = invited.get(uri).into_iter().flatten();
            UserDetail {
                entity: uri.clone(),
                display: participant.display.to_string(),
                nickname: participant.nickname.as_deref().map(str::to_owned),
                role: participant.role,
                invited: participant.endpoints.is_empty(),
                endpoints: devices.chain(on_the_way.map(|it| called(it))).collect(),
            }
        };
        users.map(detail).collect()
    }

    /// Makes a permanent room.
    ///
    /// # Errors
    /// The room exists already.
    pub fn create_room(&mut self, now: Moment, entry: RoomEntry) -> Result<(), OperatorError> {
        let room = entry.uri.clone();
        let known =
            self.rooms.configured.contains_key(&room) || self.rooms.factories.contains_key(&room);
        if known || self.rooms.kept.made(&room).is_some() {
            return Err(OperatorError::Exists(room));
        }
        if let Some(conference) = self.rooms.conference_mut(&room) {
            conference.creator = None;
            conference.set_locked(entry.rules.locked);
            let messages = conference.messages;
            self.rooms.messages.insert(room.clone(), messages);
        }
        let made = Some(now.in_millis());
        self.keep_room(now, RoomEntry { made, ..entry });
        self.amend_all(&room);
        self.out
            .log(Level::Info, format_args!("{room} was made by management"));
        Ok(())
    }

    /// Ends a room's conference and its history. A room made by `create_room` is deleted; one in
    /// the configuration goes back to its entry. A room that has left the configuration may still
    /// have a history, which is ended.
    ///
    /// # Errors
    /// The room does not exist.
    pub fn end_room(&mut self, now: Moment, room: &RoomUri) -> Result<(), OperatorError> {
        let policy = self.existing(room);
        let remembers = policy.as_ref().is_ok_and(|policy| policy.rules.history > 0)
            || self.rooms.kept.remembers(room);
        if !remembers {
            policy?;
        }
        self.dismiss_all(now, room);
        self.end_conference(now, room);
        if remembers {
            self.forget_history(room);
        }
        if self.forget_room(now, room) && !self.rooms.configured.contains_key(room) {
            self.rooms.messages.remove(room);
        }
        self.out
            .log(Level::Info, format_args!("{room} was ended by management"));
        Ok(())
    }

    /// Invites a party, as `invite_mode` says.
    ///
    /// # Errors
    /// The room does not exist, its rules forbid the invitation, or there is no socket to send
    /// from.
    pub fn invite_into(
        &mut self,
        now: Moment,
        room: &RoomUri,
        target: &str,
    ) -> Result<(), OperatorError> {
        let policy = self.existing(room)?;
        let uri: Uri = target.parse().map_err(|_| OperatorError::NoUri)?;
        let user = UserUri::new(uri.address_of_record());
        let socket = self.socket_for(room).ok_or(OperatorError::NoSocket)?;
        if !self.rooms.conferences().contains_key(room) {
            self.rooms.begin(Conference::new(room.clone(), policy));
        }
        let conference = self.rooms.conference(room);
        let is_in = conference.is_some_and(|it| it.has(&user));
        let verdict = match is_in {
            true => Err(OperatorError::IsIn),
            false => self
                .check_invitee(room, &user)
                .map_err(|refusal| OperatorError::Refused(refusal.cause)),
        };
        if verdict.is_ok() {
            let inviter = Inviter {
                user: UserUri::new(room.as_str()),
                contact: contact(room.as_str(), &socket).into(),
                socket,
                referral: None,
            };
            let mode = self.config.invite_mode;
            self.invite_party(now, room, target, mode, inviter, None);
        }
        self.end_if_empty(now, room);
        verdict
    }

    /// Remembers a socket to send from; a UDP socket is always usable.
    pub(super) fn may_send_from(&mut self, socket: &Socket) {
        if self.socket.as_ref().is_none_or(|it| it.transport != "udp") {
            self.socket = Some(socket.clone());
        }
    }

    /// A socket to send from: that of a participant of the room, else the one remembered, else the
    /// proxy's own choice.
    fn socket_for(&self, room: &RoomUri) -> Option<Arc<Socket>> {
        let conference = self.rooms.conference(room);
        let theirs = conference.into_iter().flat_map(|it| {
            let all = it.participants.values();
            all.flat_map(|participant| &participant.endpoints)
        });
        let endpoint = theirs.filter_map(|id| self.rooms.endpoint(*id)).next();
        let socket = endpoint.map(|endpoint| Arc::clone(&endpoint.dialog.socket));
        let known = || self.socket.clone().or_else(|| self.default_socket.clone());
        socket.or_else(|| known().map(Arc::new))
    }

    /// Removes a user, with every device and invitation.
    ///
    /// # Errors
    /// The room does not exist, or the user is not in it.
    pub fn expel(
        &mut self,
        now: Moment,
        room: &RoomUri,
        user: &UserUri,
    ) -> Result<(), OperatorError> {
        self.existing(room)?;
        let conference = self.rooms.conference(room);
        if !conference.is_some_and(|it| it.participants.contains_key(user)) {
            return Err(OperatorError::NotIn(user.clone()));
        }
        self.remove(now, room, user);
        Ok(())
    }

    /// Gives a user a role, now and whenever they join.
    ///
    /// # Errors
    /// The room does not exist.
    pub fn give_role(
        &mut self,
        now: Moment,
        room: &RoomUri,
        user: &UserUri,
        role: Role,
    ) -> Result<(), OperatorError> {
        self.rule(now, room, &Ruling::Role(user.clone(), role))?;
        let Some(conference) = self.rooms.conference_mut(room) else {
            return Ok(());
        };
        conference.set_role(user, role);
        // The view of a user who only watches may have changed.
        let watching = match conference.participants.contains_key(user) {
            true => Vec::new(),
            false => self.watch.of(room, user),
        };
        // Include devices that are joining.
        for id in conference.endpoints.clone() {
            let Some(endpoint) = self.rooms.endpoint_mut(id).filter(|it| it.user == *user) else {
                continue;
            };
            endpoint.leads = false;
            endpoint.set_role(role);
            if let Some(admission) = self.admission(id) {
                self.out.order(Order::Amend(Box::new(admission)));
            }
        }
        for id in watching {
            self.make_due(now, id, Due::Full);
        }
        self.out.log(
            Level::Info,
            format_args!("{user} is {} in {room} from now on", role.as_str()),
        );
        self.conference_changed(now, room);
        Ok(())
    }

    /// Sends a text to everybody in a room.
    ///
    /// # Errors
    /// The room does not exist.
    pub fn say(&mut self, room: &RoomUri, text: &str) -> Result<(), OperatorError> {
        self.existing(room)?;
        self.out.order(Order::Say {
            room: room.clone(),
            text: text.to_owned(),
        });
        Ok(())
    }

    /// Locks a room, so that only moderators come in, or unlocks it.
    ///
    /// # Errors
    /// The room does not exist.
    pub fn lock(&mut self, now: Moment, room: &RoomUri, locked: bool) -> Result<(), OperatorError> {
        self.rule(now, room, &Ruling::Lock(locked))?;
        if let Some(conference) = self.rooms.conference_mut(room)
            && conference.set_locked(locked)
        {
            self.conference_changed(now, room);
        }
        Ok(())
    }

    /// Bans users; those in the room are removed.
    ///
    /// # Errors
    /// The room does not exist.
    pub fn ban(
        &mut self,
        now: Moment,
        room: &RoomUri,
        pattern: &Pattern,
    ) -> Result<(), OperatorError> {
        self.rule(now, room, &Ruling::Ban(pattern.clone()))?;
        let conference = self.rooms.conference(room);
        let mut banned: BTreeSet<UserUri> = BTreeSet::new();
        if let Some(conference) = conference {
            let users = conference.participants.keys();
            let joining = conference.joining.values();
            let audience = self.watch.audience(room).into_iter();
            let watching = audience.flat_map(|it| it.subscribers.users());
            let all = users.chain(joining).chain(watching);
            banned.extend(all.filter(|it| pattern.matches(it)).cloned());
        }
        for user in banned {
            self.remove(now, room, &user);
        }
        Ok(())
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// The room does not exist, or this address was not banned.
    pub fn unban(
        &mut self,
        now: Moment,
        room: &RoomUri,
        pattern: &Pattern,
    ) -> Result<(), OperatorError> {
        let policy = self.existing(room)?;
        if !policy.rules.deny.contains(pattern) {
            return Err(OperatorError::NotBanned(pattern.as_str().to_owned()));
        }
        self.rule(now, room, &Ruling::Unban(pattern.clone()))
    }

    /// Adds to the number of messages sent in a room.
    pub(super) fn count_messages(&mut self, room: &RoomUri, count: u64) {
        let configured = self.rooms.configured.contains_key(room);
        let made = self.rooms.kept.made(room).is_some();
        match self.rooms.conference_unmarked(room) {
            Some(adhoc) if !adhoc.policy.kept && !configured => adhoc.messages += count,
            // Messages of a room that has ended are not counted.
            None if !configured && !made => {}
            _ => *self.rooms.messages.entry(room.clone()).or_default() += count,
        }
    }

    /// Raises the event for a message of a participant.
    pub(super) fn said(&mut self, mut said: Said) {
        let conference = self.rooms.conference(&said.room);
        // The switch recognises participants who want privacy by their anonymous URI alone.
        let hidden = conference.into_iter().flat_map(|it| it.participants.iter());
        let user = hidden
            .filter(|(_, it)| it.anonymous.is_some())
            .find(|(_, it)| {
                it.anonymous
                    .is_some_and(|number| anonymous_uri(number) == said.user)
            });
        if let Some((user, _)) = user.filter(|_| said.user.as_str().ends_with(".invalid")) {
            said.user = user.clone();
        }
        self.out.event(Event::Message(said));
    }

    fn existing(&self, room: &RoomUri) -> Result<Arc<Policy>, OperatorError> {
        let policy = self.policy(room, Some(false));
        policy
            .filter(|_| !self.rooms.factories.contains_key(room))
            .ok_or_else(|| OperatorError::NoRoom(room.clone()))
    }

    /// Keeps a decision about a room as long as the room exists; for a permanent room over
    /// restarts. For a room of the configuration it is kept apart from the entry, so that edits of
    /// the rest of the entry take effect.
    fn rule(&mut self, now: Moment, room: &RoomUri, ruling: &Ruling) -> Result<(), OperatorError> {
        let policy = self.existing(room)?;
        if let Some(mut entry) = self.rooms.kept.made(room).cloned() {
            ruling.change(&mut entry.rules);
            self.keep_room(now, entry);
        } else if self.rooms.configured.contains_key(room) {
            let decided = self.rooms.kept.decisions(room).cloned();
            let mut decisions = decided.unwrap_or_else(|| Decisions::new(room.clone()));
            decisions.decide(ruling);
            self.keep_decisions(now, decisions);
        } else if let Some(conference) = self.rooms.conference_mut(room) {
            conference.policy = policy.with(|rules| ruling.change(rules));
        }
        Ok(())
    }

    /// Sends a room's changed rules to the switch.
    fn amend_all(&mut self, room: &RoomUri) {
        let theirs = self.rooms.endpoints().iter();
        let theirs = theirs.filter(|(_, endpoint)| endpoint.room == *room);
        let ids: Vec<_> = theirs.map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(admission) = self.admission(id) {
                self.out.order(Order::Amend(Box::new(admission)));
            }
        }
    }
}

/// The elements that a sorted list would have in these places. Sorting a hundred thousand rooms for
/// a page of a hundred would delay calls.
fn page_of<T: Ord>(all: &mut [T], offset: usize, limit: usize) -> &[T] {
    if offset >= all.len() {
        return &[];
    }
    if offset > 0 {
        all.select_nth_unstable(offset);
    }
    let rest = &mut all[offset..];
    let length = limit.min(rest.len());
    if length < rest.len() {
        rest.select_nth_unstable(length);
    }
    rest[..length].sort_unstable();
    &rest[..length]
}

fn device(endpoint: &Endpoint) -> EndpointDetail {
    let status = match endpoint.is_lost() {
        true => "lost",
        false => endpoint.presence().0.as_str(),
    };
    EndpointDetail {
        dialog: endpoint.dialog.key.call_id().to_owned(),
        status,
        msrp: endpoint.media.peer_uri().map(str::to_owned),
        joined: endpoint.joined,
    }
}

fn called(invitation: &Invitation) -> EndpointDetail {
    EndpointDetail {
        dialog: invitation.dialog.key.call_id().to_owned(),
        status: invitation.status.as_str(),
        msrp: None,
        joined: None,
    }
}

#[cfg(test)]
mod tests {
    use super::page_of;

    #[test]
    fn a_page_is_what_sorting_everything_would_give() {
        let sorted: Vec<u32> = (0..100).collect();
        let mut shuffled: Vec<u32> = (0..100).map(|n| n * 37 % 100).collect();
        for (offset, limit) in [
            (0, 10),
            (0, 100),
            (5, 1),
            (95, 10),
            (99, 1),
            (100, 1),
            (7, 200),
        ] {
            let end = (offset + limit).min(100);
            assert_eq!(
                page_of(&mut shuffled, offset, limit),
                sorted.get(offset..end).unwrap_or_default()
            );
        }
    }
}
