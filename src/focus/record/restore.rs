//! From records back to the focus, after a restart.
//!
//! Nothing is told to anybody here: dialogs, timers and rosters stand as they stood, every
//! subscriber is due a full document, and how the sessions are, the switch will say when it
//! is asked. Records that contradict each other are passed over, and the rest is restored.

use crate::focus::ids::{EndpointId, PublicationId, SubscriptionId};
use crate::focus::room::endpoint::{Endpoint, Link};
use crate::focus::room::participant::Participant;
use crate::focus::sip::dialogs::Usage;
use crate::focus::sip::media::Media;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::keep::{Counters, conference_record, endpoint_record, subscription_record};
use super::{
    ConferenceRecord, DialogRecord, EndpointRecord, HeldNicknameRecord, ParticipantRecord,
    PublicationRecord, Record, SessionTimerRecord, SubscriptionRecord,
};
use crate::control::RoomUri;
use crate::focus::room::conference::{Conference, Identity};
use crate::focus::room::policy::Policy;
use crate::focus::sip::dialog::{Dialog, DialogKey, address_of_record};
use crate::focus::sip::session_timer::{Agreement, Refresher, Schedule};
use crate::focus::timers::Timer;
use crate::focus::watch::event_rate::EventRates;
use crate::focus::watch::subscription::{Due, Merging, Subscription, Termination};
use crate::focus::{Focus, Socket};
use crate::log::Level;
use crate::time::Moment;
use crate::wire::sip::Params;

/// Finds the host's own name of a socket of an earlier run; 0 when it is there no more, and
/// the host shall choose.
pub type FindSocket<'a> = dyn FnMut(&Socket) -> u64 + 'a;

impl Focus {
    /// Takes up what an earlier run has left. To be called before any input, with the
    /// outputs to be polled afterwards: counters are kept anew before they are used.
    pub fn restore(&mut self, now: Moment, records: Vec<Record>, find: &mut FindSocket<'_>) {
        let mut sorted = Sorted::default();
        records.into_iter().for_each(|record| sorted.take(record));
        self.restore_held_nicknames(now, sorted.held_nicknames);
        for conference in sorted.conferences {
            self.restore_conference(conference);
        }
        for participant in sorted.participants {
            self.restore_participant(participant);
        }
        // The order of a user's devices is that of their joining.
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
            self.restore_endpoint(now, endpoint, &mut find);
        }
        self.drop_the_absent();
        for publication in sorted.publications {
            self.restore_publication(publication);
        }
        for subscription in sorted.subscriptions {
            self.restore_subscription(now, subscription, &mut find);
        }
        let rooms: Vec<RoomUri> = self.rooms.conferences.keys().cloned().collect();
        let limit = self.config.roster_limit;
        for room in rooms {
            if let Some(conference) = self.rooms.conferences.get_unmarked(&room) {
                conference.count_crowd(limit);
            }
            self.end_if_empty(now, &room);
        }
        self.log_restored();
        self.tell_changes(0);
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

    fn restore_conference(&mut self, record: ConferenceRecord) {
        let room = record.rules.uri.clone();
        // What the operator or management has decided meanwhile counts.
        let policy = self.ruled(&room).unwrap_or_else(|| {
            let most = self.config.max_participants;
            Policy::of_made(&record.rules, most)
        });
        let ConferenceRecord {
            rules: _,
            locked,
            subject,
            contribution,
            conversation,
            creator,
            left,
        } = record;
        let conference = Conference {
            locked,
            identity: Identity {
                subject,
                contribution,
                conversation,
            },
            maker: creator.clone().filter(|_| policy.made),
            creator,
            left: left.into_iter().collect(),
            ..Conference::new(room.clone(), Arc::clone(&policy))
        };
        let kept = Record::Conference(Box::new(conference_record(&conference)));
        self.rooms.begin(conference);
        self.rooms.conferences.kept_as(room, &kept);
    }

    fn restore_participant(&mut self, record: ParticipantRecord) {
        let last = &mut self.rooms.last_anonymous;
        *last = (*last).max(record.anonymous.unwrap_or_default());
        let Some(conference) = self.rooms.conference_mut(&record.room) else {
            return;
        };
        let user = record.user.clone();
        let kept = Record::Participant(record.clone());
        let participant = Participant {
            nickname: record.nickname,
            anonymous: record.anonymous,
            ..Participant::new(record.display, record.role, 0)
        };
        conference.participants.insert(user.clone(), participant);
        conference.participants.kept_as(user, &kept);
    }

    fn restore_endpoint(&mut self, now: Moment, record: EndpointRecord, find: &mut FindSocket<'_>) {
        let id = EndpointId(record.id);
        self.out.reserve_id(record.id);
        self.out.reserve_id(record.media.origin.session);
        let participant = self
            .rooms
            .conference_mut(&record.room)
            .and_then(|conference| conference.participants.get_mut(&record.user));
        let Some(participant) = participant else {
            return;
        };
        participant.endpoints.push(id);
        let timer = record.timer;
        let link = match record.session.clone() {
            Some(session) => Link::Up(session),
            None => {
                let at = now + self.config.rejoin_grace;
                let until = self.timers.arm(at, Timer::Rejoin(id));
                Link::Lost { until }
            }
        };
        let endpoint = endpoint(record, link, find);
        self.dialogs
            .open(endpoint.dialog.key.clone(), Usage::Endpoint(id));
        if endpoint.dialog.socket.handle != 0 {
            self.may_send_from(&endpoint.dialog.socket);
        }
        let kept = endpoint_record(id, &endpoint, Counters::Exact)
            .map(|it| Record::Endpoint(Box::new(it)));
        self.rooms.enter(id, endpoint);
        if let Some(kept) = kept {
            self.rooms.endpoints.kept_as(id, &kept);
        }
        self.begun(id);
        self.restore_session_timer(now, id, timer);
    }

    /// Its conference goes on, and began when the first who is still in came.
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
        record: Option<SessionTimerRecord>,
    ) {
        let Some(record) = record else {
            return;
        };
        let agreement = Agreement {
            interval: Duration::from_secs(record.interval),
            refresher: match record.we_refresh {
                true => Refresher::Us,
                false => Refresher::Peer,
            },
            peer_supports: record.peer_supports,
        };
        let schedule = Schedule {
            agreement,
            by_update: record.by_update,
            refresh: record.refresh.filter(|_| record.expires > now),
            expiry: Some(record.expires),
        };
        self.resume_session_timer(id, Some(schedule));
    }

    /// Participants none of whose devices could be restored.
    fn drop_the_absent(&mut self) {
        for (_, conference) in self.rooms.conferences.iter_mut_unmarked() {
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

    fn restore_publication(&mut self, record: PublicationRecord) {
        let id = PublicationId(record.id);
        self.out.reserve_id(record.id);
        let expiry = self.timers.arm(record.expires, Timer::Publication(id));
        let room = record.room.clone();
        let restored = self
            .rooms
            .conference_mut(&room)
            .is_some_and(|conference| conference.restore_publication(id, record, expiry));
        if restored {
            self.rooms.publications.insert(id, room);
        } else {
            self.timers.disarm(Some(expiry));
        }
    }

    fn restore_subscription(
        &mut self,
        now: Moment,
        record: SubscriptionRecord,
        find: &mut FindSocket<'_>,
    ) {
        let id = SubscriptionId(record.id);
        self.out.reserve_id(record.id);
        let timer = self.timers.arm(record.expires, Timer::Expiry(id));
        let left = record.expires.saturating_since(now);
        let dialog = dialog(record.dialog, find);
        let subscription = Subscription {
            role: record.role,
            event_id: record.event_id,
            expires: record.expires,
            rates: EventRates::agree(
                &Params::parse(record.rates.trim_start_matches(';')),
                self.config.notify_interval,
                left,
            ),
            merging: match record.full_only {
                true => Merging::Never,
                false => Merging::Unknown,
            },
            version: record.version,
            expiry_timer: Some(timer),
            ..Subscription::untold(now, record.room, record.user, dialog)
        };
        let kept = subscription_record(id, &subscription, Counters::Exact);
        self.dialogs
            .open(subscription.dialog.key.clone(), Usage::Subscription(id));
        let due = match self.watched(&subscription.room) {
            Some(conference) => {
                conference.subscribers.add(id, &subscription.user);
                Due::Full
            }
            // Its conference ended, and the last NOTIFY did not go out any more.
            None => Due::Last(Termination::NoResource),
        };
        self.watch.subscriptions.insert(id, subscription);
        self.watch
            .subscriptions
            .kept_as(id, &Record::Subscription(Box::new(kept)));
        self.make_due(now, id, due);
    }
}

/// Records by kind, in the order in which they are restored.
#[derive(Default)]
struct Sorted {
    conferences: Vec<ConferenceRecord>,
    participants: Vec<ParticipantRecord>,
    publications: Vec<PublicationRecord>,
    endpoints: Vec<EndpointRecord>,
    subscriptions: Vec<SubscriptionRecord>,
    held_nicknames: Vec<HeldNicknameRecord>,
}

impl Sorted {
    fn take(&mut self, record: Record) {
        match record {
            // They are looked up when they are needed.
            Record::Room(_) => {}
            Record::Conference(one) => self.conferences.push(*one),
            Record::Participant(one) => self.participants.push(one),
            Record::Publication(one) => self.publications.push(one),
            Record::Endpoint(one) => self.endpoints.push(*one),
            Record::Subscription(one) => self.subscriptions.push(*one),
            Record::HeldNickname(one) => self.held_nicknames.push(one),
        }
    }
}

fn dialog(record: DialogRecord, find: &mut FindSocket<'_>) -> Dialog {
    let mut socket = Socket {
        handle: 0,
        transport: record.transport,
        host: record.host,
        port: record.port,
    };
    socket.handle = find(&socket);
    let principal = address_of_record(&record.remote_uri);
    Dialog {
        key: DialogKey {
            call_id: record.call_id,
            local_tag: record.local_tag,
            remote_tag: record.remote_tag,
        },
        local_uri: record.local_uri,
        remote_uri: record.remote_uri,
        remote_target: record.remote_target,
        route_set: record.route_set,
        // Connections ended with the proxy that held them; a way through a NAT may stand.
        flow: record.flow.filter(|_| socket.transport == "udp"),
        principal,
        local_cseq: record.local_cseq,
        // None is kept as 0, which a peer has hardly sent.
        remote_cseq: (record.remote_cseq > 0).then_some(record.remote_cseq),
        socket,
        contact: record.contact,
    }
}

fn endpoint(record: EndpointRecord, link: Link, find: &mut FindSocket<'_>) -> Endpoint {
    let dialog = dialog(record.dialog, find);
    let media = Media {
        local: record.media.local,
        origin: record.media.origin,
        ours: record.media.ours.into(),
        theirs: record.media.theirs,
        one_send: record.media.one_send,
    };
    let mut endpoint = Endpoint {
        other_uris: record.other_uris.into(),
        display: record.display,
        entity: record.entity,
        run: record.run,
        anonymous: record.anonymous,
        dialed_out: record.dialed_out,
        joined: Some(record.joined),
        referred_by: record.referred_by,
        // An ACK that came while nobody was here does not come again.
        peer_updates: record.peer_updates,
        has_referred: record.has_referred,
        ..Endpoint::new(record.room, record.user, record.role, dialog, media, link)
    };
    endpoint.shown = endpoint.presence();
    endpoint
}
