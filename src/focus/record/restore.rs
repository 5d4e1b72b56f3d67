//! From records back to the focus, after a restart.
//!
//! Restoring sends nothing: dialogs, timers and rosters are as before, every subscriber is due a
//! full document, and the switch reports the state of the sessions on request. Records that
//! contradict each other are dropped, and the rest is restored.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::keep::Counters;
use super::{
    Change, ConferenceRecord, DepartedRecord, EndpointRecord, HeldNicknameRecord, Kept, Key,
    ParticipantRecord, PublicationRecord, Record, SubscriptionRecord,
};
use crate::control::{RoomUri, UserUri};
use crate::focus::ids::{EndpointId, PublicationId, SubscriptionId};
use crate::focus::room::conference::Conference;
use crate::focus::room::endpoint::Link;
use crate::focus::room::permission::Ask;
use crate::focus::room::policy::Policy;
use crate::focus::sip::dialog::{Dialog, address_of_record};
use crate::focus::sip::dialogs::Usage;
use crate::focus::sip::session_timer::Schedule;
use crate::focus::timers::Timer;
use crate::focus::watch::subscription::{Due, Termination};
use crate::focus::{Focus, Lifetime, Output, Role, Socket};
use crate::log::Level;
use crate::time::Moment;

/// Finds the host's present handle of a socket of an earlier run; 0 when the socket has gone, and
/// the host shall choose.
pub type FindSocket<'a> = dyn FnMut(&Socket) -> u64 + 'a;

impl Focus {
    /// Restores the state of an earlier run. Call it before any input, and poll the outputs
    /// afterwards: they store the counters anew before any use.
    pub fn restore(&mut self, now: Moment, records: Vec<Record>, find: &mut FindSocket<'_>) {
        let mut sorted = Sorted::default();
        records.into_iter().for_each(|record| sorted.take(record));
        self.learn_rooms(sorted.rooms, &sorted.conferences);
        self.rooms.last_anonymous = sorted.last_anonymous;
        self.rooms.kept_anonymous = sorted.last_anonymous;
        self.restore_held_nicknames(now, sorted.held_nicknames);
        let mut earlier = Earlier::default();
        for conference in sorted.conferences {
            self.restore_conference(conference, &mut earlier);
        }
        for departed in sorted.departed {
            self.restore_departed(departed, &mut earlier);
        }
        for participant in sorted.participants {
            self.restore_participant(participant, &mut earlier);
        }
        // A user's devices are in the order of their joining.
        sorted.endpoints.sort_by_key(|endpoint| endpoint.id);
        let mut sockets = HashMap::new();
        let mut find = |socket: &Socket| match sockets.get(socket) {
            Some(handle) => *handle,
            None => {
                let handle = find(socket);
                sockets.insert(socket.clone(), handle);
                handle
            }
        };
        for endpoint in sorted.endpoints {
            let key = Key::Endpoint(endpoint.id);
            if !self.restore_endpoint(now, endpoint, &mut find, &mut earlier) {
                earlier.passed_over.push(key);
            }
        }
        self.drop_the_absent();
        for publication in sorted.publications {
            let key = Key::Publication(publication.room.clone(), publication.id);
            if !self.restore_publication(now, publication) {
                earlier.passed_over.push(key);
            }
        }
        for subscription in sorted.subscriptions {
            self.restore_subscription(now, subscription, &mut find);
        }
        let rooms: Vec<RoomUri> = self.rooms.conferences().keys().cloned().collect();
        let limit = self.config.roster_limit;
        for room in rooms {
            if let Some(conference) = self.rooms.conference_unmarked(&room) {
                conference.count_crowd(limit);
            }
            self.end_if_empty(now, &room);
        }
        if !self.rooms.conferences().is_empty() {
            self.timers.arm(now, Timer::Restored);
        }
        self.tell_changes(0);
        self.pass_over(earlier.passed_over);
        self.log_restored();
    }

    /// Deletes records that contradict the others.
    fn pass_over(&mut self, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        let line = format!(
            "{} records without their conference are deleted",
            keys.len()
        );
        self.out.log(Level::Warning, line);
        let changes = keys.into_iter().map(Change::Delete).collect();
        self.out.push(Output::Store(changes));
    }

    /// Removes participants and subscribers whom the rules of this run do not admit.
    pub(in crate::focus) fn enforce_rules(&mut self, now: Moment) {
        let mut unwelcome = Vec::new();
        for (room, conference) in self.rooms.conferences().iter() {
            let users = conference.participants.keys();
            let users = users.filter(|user| conference.policy.admits(user).is_err());
            unwelcome.extend(users.map(|user| (room.clone(), user.clone())));
        }
        for (room, user) in unwelcome {
            self.out.log(
                Level::Notice,
                format_args!("{user} may not be in {room} any more"),
            );
            self.remove(now, &room, &user);
        }
        let watching = self.watch.subscriptions().values();
        let watching: BTreeSet<_> = watching
            .map(|it| (it.room.clone(), it.user.clone()))
            .collect();
        for (room, user) in watching {
            let goes_on = self.rooms.conferences().contains_key(&room);
            let may = || self.check_subscriber(&room, &user, Ask::KeepWatching);
            if goes_on && may().is_err() {
                self.reject_subscriber(now, &room, &user);
            }
        }
    }

    /// Restores what management keeps of rooms with restored conferences, and all its decisions
    /// about rooms of the configuration.
    fn learn_rooms(&mut self, rooms: Vec<(RoomUri, Kept)>, running: &[ConferenceRecord]) {
        let mut decided = Vec::new();
        for (room, kept) in rooms {
            if matches!(kept, Kept::Decided(_)) && self.rooms.configured.contains_key(&room) {
                decided.push(room.to_string());
            }
            self.rooms.kept.learn(room, Some(kept));
        }
        for conference in running {
            if !self.is_known(&conference.room) {
                self.rooms.kept.learn(conference.room.clone(), None);
            }
        }
        if !decided.is_empty() {
            let (count, names) = (decided.len(), decided.iter().take(NAMED).cloned());
            let names = names.collect::<Vec<_>>().join(", ");
            let line = format!(
                "roles, bans or locks given by management stand on top of the configuration of \
                 {count} rooms ({names}); 'end' takes them back"
            );
            self.out.log(Level::Notice, line);
        }
    }

    fn log_restored(&mut self) {
        let counts = self.counts();
        if counts.conferences > 0 {
            let line = format!(
                "restored: {} conferences, {} participants, {} subscriptions",
                counts.conferences, counts.participants, counts.subscriptions
            );
            self.out.log(Level::Notice, line);
        }
    }

    fn restore_conference(&mut self, record: ConferenceRecord, earlier: &mut Earlier) {
        let room = record.room.clone();
        let most = self.config.max_participants;
        // Later decisions of the operator or management count.
        let policy = self.ruled(&room).unwrap_or_else(|| {
            // The room has left the configuration: its conference ends like that of an ad hoc room.
            let mut rules = record.rules.clone();
            if rules.lifetime == Lifetime::Forever {
                rules.lifetime = Lifetime::WhileOccupied;
            }
            Arc::new(Policy::made(rules, most))
        });
        let before = Policy::configured(record.rules.clone(), most);
        earlier.policies.insert(room.clone(), before);
        let kept = Record::Conference(Box::new(record.clone()));
        self.rooms.begin(record.restored(policy));
        self.rooms.kept_conferences().kept_as(room, &kept);
    }

    fn restore_departed(&mut self, record: DepartedRecord, earlier: &mut Earlier) {
        let kept = Record::Departed(record.clone());
        let Some(conference) = self.rooms.conference_mut(&record.room) else {
            earlier.passed_over.push(kept.key());
            return;
        };
        conference.left.insert(record.user.clone(), ());
        conference.left.kept_as(record.user, &kept);
    }

    fn restore_participant(&mut self, record: ParticipantRecord, earlier: &mut Earlier) {
        let Some(conference) = self.rooms.conference_mut(&record.room) else {
            earlier
                .passed_over
                .push(Key::Participant(record.room, record.user));
            return;
        };
        let role = earlier.role(conference, &record.user, record.role);
        let user = record.user.clone();
        let kept = Record::Participant(record.clone());
        let participant = record.restored(role);
        conference.participants.insert(user.clone(), participant);
        conference.participants.kept_as(user, &kept);
    }

    /// Restores an endpoint; `false` when it cannot go on.
    fn restore_endpoint(
        &mut self,
        now: Moment,
        mut record: EndpointRecord,
        find: &mut FindSocket<'_>,
        earlier: &mut Earlier,
    ) -> bool {
        let id = EndpointId(record.id);
        self.out.reserve_id(record.id);
        self.out.reserve_id(record.media.origin().session);
        let Some(conference) = self.rooms.conference_mut(&record.room) else {
            return false;
        };
        let role = earlier.role(conference, &record.user, record.role);
        let Some(participant) = conference.participants.get_mut(&record.user) else {
            return false;
        };
        let timer = record.timer;
        let link = match record.session.clone() {
            Some(session) => Link::Up(session),
            None => {
                let at = now + self.config.rejoin_grace;
                let until = self.timers.arm(at, Timer::Rejoin(id));
                Link::Lost { until }
            }
        };
        resume(&mut record.dialog, find);
        let endpoint = record.restored(link);
        participant.endpoints.push(id);
        self.dialogs
            .open(endpoint.dialog.key.clone(), Usage::Endpoint(id));
        if endpoint.dialog.socket.handle != 0 {
            self.may_send_from(&endpoint.dialog.socket);
        }
        let kept = EndpointRecord::of(id, &endpoint, Counters::Exact);
        let kept = kept.map(|it| Record::Endpoint(Box::new(it)));
        self.rooms.enter(id, endpoint, &mut self.dialogs.shared);
        if let Some(kept) = kept {
            self.rooms.kept_endpoints().kept_as(id, &kept);
        }
        self.recast(id, role);
        self.begun(id);
        self.restore_session_timer(now, id, timer, earlier);
        true
    }

    /// Changes the role of an endpoint, because the rules have changed. The switch admits it anew,
    /// or learns the role after its answer about the sessions.
    fn recast(&mut self, id: EndpointId, role: Role) {
        if self.rooms.endpoint(id).is_some_and(|it| it.role != role)
            && let Some(endpoint) = self.rooms.endpoint_mut(id)
        {
            endpoint.set_role(role);
            endpoint.recast = true;
        }
    }

    /// Sets the start of its conference: the time when the first of the present endpoints joined.
    fn begun(&mut self, id: EndpointId) {
        if let Some((endpoint, conference)) = self.rooms.with_conference(id) {
            let joined = endpoint.joined;
            conference.begun = conference.begun.min(joined).or(joined);
        }
    }

    fn restore_session_timer(
        &mut self,
        now: Moment,
        id: EndpointId,
        kept: Option<Schedule>,
        earlier: &mut Earlier,
    ) {
        let Some(mut schedule) = kept else {
            return;
        };
        let interval = schedule.agreement.interval;
        // The clock may have been set back: limit the time to a full interval.
        let expiry = schedule.expiry.unwrap_or(now).min(now + interval);
        let due = schedule.refresh.filter(|_| expiry > now);
        schedule.refresh = due.map(|at| match at.min(now + interval / 2) {
            overdue if overdue <= now => earlier
                .next_turn(now)
                .min(now + expiry.saturating_since(now) / 2),
            at => at,
        });
        schedule.expiry = Some(expiry);
        self.resume_session_timer(id, Some(schedule));
    }

    /// Drops participants without a restored endpoint.
    fn drop_the_absent(&mut self) {
        // Mark every conference: their rows must go, too.
        for (_, conference) in self.rooms.conferences_unmarked() {
            let absent: Vec<_> = conference
                .participants
                .iter()
                .filter(|(_, participant)| participant.endpoints.is_empty())
                .map(|(user, _)| user.clone())
                .collect();
            for user in absent {
                conference.participants.remove(&user);
            }
        }
    }

    /// Restores a publication; `false` if it no longer has any content.
    fn restore_publication(&mut self, now: Moment, record: PublicationRecord) -> bool {
        let id = PublicationId(record.id);
        self.out.reserve_id(record.id);
        let expires = self.at_most(now, record.expires);
        let expiry = self.timers.arm(expires, Timer::Publication(id));
        let restored = self.rooms.restore_publication(id, record, expiry);
        if !restored {
            self.timers.disarm(Some(expiry));
        }
        restored
    }

    /// Limits an expiry to the longest that could be granted now: the clock may have been set back.
    fn at_most(&self, now: Moment, expires: Moment) -> Moment {
        expires.min(now + self.config.subscription_expires)
    }

    fn restore_subscription(
        &mut self,
        now: Moment,
        mut record: SubscriptionRecord,
        find: &mut FindSocket<'_>,
    ) {
        let id = SubscriptionId(record.id);
        self.out.reserve_id(record.id);
        let expires = self.at_most(now, record.expires);
        resume(&mut record.dialog, find);
        let mut subscription = record.restored(now, expires, self.config.notify_interval);
        subscription.expiry_timer = Some(self.timers.arm(expires, Timer::Expiry(id)));
        subscription.share(&mut self.dialogs.shared);
        let kept = SubscriptionRecord::of(id, &subscription, Counters::Exact);
        self.dialogs
            .open(subscription.dialog.key.clone(), Usage::Subscription(id));
        let due = match self.watched(&subscription.room) {
            Some(_) => {
                self.watch.begin(id, subscription);
                Due::Full
            }
            // Its conference ended before the last NOTIFY was sent.
            None => {
                self.watch.begin_without_room(id, subscription);
                Due::Last(Termination::NoResource)
            }
        };
        self.watch
            .kept_subscriptions()
            .kept_as(id, &Record::Subscription(Box::new(kept)));
        self.make_due(now, id, due);
    }
}

/// Most rooms named in one log line.
const NAMED: usize = 20;

/// Pause between refreshes that became due while no focus was running: 100 a second.
const OVERDUE_APART: Duration = Duration::from_millis(10);

/// State of the restoration.
#[derive(Default)]
struct Earlier {
    /// The rules of the earlier run.
    policies: HashMap<RoomUri, Policy>,
    /// Records that could not be restored.
    passed_over: Vec<Key>,
    overdue: u32,
}

impl Earlier {
    /// A user's present role: that of the present rules, if the earlier role came from the rules. A
    /// role from the script, or as creator of the conference, stays.
    fn role(&self, conference: &Conference, user: &UserUri, was: Role) -> Role {
        let before = self.policies.get(&conference.room);
        match before.map(|before| before.role(user)) {
            Some(before) if before == was => conference.policy.role(user),
            _ => was,
        }
    }

    fn next_turn(&mut self, now: Moment) -> Moment {
        self.overdue += 1;
        now + OVERDUE_APART * self.overdue
    }
}

/// Records by kind, in the order in which they are restored.
#[derive(Default)]
struct Sorted {
    rooms: Vec<(RoomUri, Kept)>,
    conferences: Vec<ConferenceRecord>,
    participants: Vec<ParticipantRecord>,
    publications: Vec<PublicationRecord>,
    endpoints: Vec<EndpointRecord>,
    subscriptions: Vec<SubscriptionRecord>,
    held_nicknames: Vec<HeldNicknameRecord>,
    departed: Vec<DepartedRecord>,
    last_anonymous: u32,
}

impl Sorted {
    fn take(&mut self, record: Record) {
        match record {
            Record::Room(one) => self.rooms.push((one.uri.clone(), Kept::Made(one))),
            Record::Decisions(one) => self.rooms.push((one.uri.clone(), Kept::Decided(one))),
            Record::Conference(one) => self.conferences.push(*one),
            Record::Participant(one) => self.participants.push(one),
            Record::Publication(one) => self.publications.push(one),
            Record::Endpoint(one) => self.endpoints.push(*one),
            Record::Subscription(one) => self.subscriptions.push(*one),
            Record::HeldNickname(one) => self.held_nicknames.push(one),
            Record::Departed(one) => self.departed.push(one),
            Record::LastAnonymous(number) => self.last_anonymous = number,
        }
    }
}

/// Moves a restored dialog to a socket of this run.
fn resume(dialog: &mut Dialog, find: &mut FindSocket<'_>) {
    let handle = find(&dialog.socket);
    Arc::make_mut(&mut dialog.socket).handle = handle;
    dialog.principal = address_of_record(&dialog.remote_uri).into();
    // Connections ended with the proxy that held them; a NAT binding may still exist.
    dialog.flow.take_if(|_| dialog.socket.transport != "udp");
}
