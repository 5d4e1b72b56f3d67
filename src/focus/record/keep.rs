//! From the focus to records: what has changed is told at the end of every input. Moments are
//! kept to the millisecond.

use super::{
    Change, ConferenceRecord, DepartedRecord, DialogRecord, EndpointRecord, Key, MediaRecord,
    ParticipantRecord, PublicationRecord, Record, SessionTimerRecord, SubscriptionRecord,
};
use crate::control::RoomUri;
use crate::focus::dirty_map::News;
use crate::focus::ids::{EndpointId, SubscriptionId};
use crate::focus::room::conference::Conference;
use crate::focus::room::endpoint::{Endpoint, Offer};
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::session_timer::{Refresher, SessionTimer};
use crate::focus::watch::subscription::{Due, Merging, Subscription};
use crate::focus::{Focus, Output};

/// Counters that grow with every NOTIFY are kept rounded up to a multiple of this, so that
/// one write covers as many; after a crash they go on behind it.
const LEASE: u32 = 64;

/// How counters are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Counters {
    /// Ahead of what was used.
    Leased,
    /// As they are: an orderly stop goes on where it was.
    Exact,
}

impl Counters {
    fn kept(self, used: u32) -> u32 {
        match self {
            Self::Leased => (used / LEASE).saturating_add(1).saturating_mul(LEASE),
            Self::Exact => used,
        }
    }
}

impl Focus {
    /// Tells what has changed, in front of the outputs after `position`: nobody may hear of
    /// it before it is kept.
    pub(in crate::focus) fn tell_changes(&mut self, position: usize) {
        let changes = self.changes();
        if !changes.is_empty() {
            self.out.insert(position, Output::Store(changes));
        }
    }

    /// Tells what was changed by another way than an input, in front of everything that has
    /// not been polled yet.
    pub fn tell_what_changed(&mut self) {
        self.tell_changes(0);
    }

    /// Everything there is, for whoever has lost what was told before. Rooms that management
    /// made are not among it.
    pub fn snapshot(&mut self) -> Vec<Change> {
        for (_, conference) in self.rooms.conferences.iter_mut_unmarked() {
            conference.participants.forget_kept();
            conference.publications.all.forget_kept();
            conference.left.forget_kept();
        }
        self.rooms.kept_anonymous = 0;
        self.rooms.conferences.forget_kept();
        self.rooms.endpoints.forget_kept();
        self.watch.subscriptions.forget_kept();
        self.rooms.held_nicknames.forget_kept();
        self.changes()
    }

    /// Marks everything that has counters, after `counters` has changed.
    pub(in crate::focus) fn touch_counters(&mut self) {
        self.rooms.endpoints.touch_all();
        self.watch.subscriptions.touch_all();
    }

    fn changes(&mut self) -> Vec<Change> {
        let mut changes = self.conference_changes();
        let counters = self.counters;
        changes.extend(told(
            self.rooms.endpoints.news(|id, endpoint| {
                endpoint_record(*id, endpoint, counters).map(|it| Record::Endpoint(Box::new(it)))
            }),
            |id| Key::Endpoint(id.0),
        ));
        let conferences = &self.rooms.conferences;
        changes.extend(told(
            self.watch.subscriptions.news(|id, subscription| {
                // Without a conference only the last NOTIFY is left to send.
                let goes_on = conferences.contains_key(&subscription.room)
                    && !matches!(subscription.due, Due::Last(_));
                goes_on.then(|| {
                    let record = subscription_record(*id, subscription, counters);
                    Record::Subscription(Box::new(record))
                })
            }),
            |id| Key::Subscription(id.0),
        ));
        changes.extend(told(self.rooms.held_nicknames.news(), |(room, user)| {
            Key::HeldNickname(room, user)
        }));
        if self.rooms.last_anonymous > self.rooms.kept_anonymous {
            self.rooms.kept_anonymous = Counters::Leased.kept(self.rooms.last_anonymous);
            changes.push(Change::Put(Record::LastAnonymous(
                self.rooms.kept_anonymous,
            )));
        }
        let ended = self.rooms.ended_histories.drain(..);
        changes.extend(ended.map(|room| Change::Delete(Key::History(room))));
        changes
    }

    fn conference_changes(&mut self) -> Vec<Change> {
        let rooms: Vec<RoomUri> = self.rooms.conferences.touched().cloned().collect();
        for room in &rooms {
            let conference = self.rooms.conferences.get_unmarked(room);
            self.rooms
                .present
                .count(room, conference.map_or(0, |it| it.present()));
        }
        let news = self.rooms.conferences.news(|_, conference| {
            let record = conference_record(conference);
            Some(Record::Conference(Box::new(record)))
        });
        let mut changes: Vec<_> = told(news, Key::Conference).collect();
        for room in rooms {
            // Those of a conference that is gone went with it.
            let Some(conference) = self.rooms.conferences.get_unmarked(&room) else {
                continue;
            };
            let participants = conference.participants.news(|user, participant| {
                (!participant.endpoints.is_empty()).then(|| {
                    Record::Participant(ParticipantRecord {
                        room: room.clone(),
                        user: user.clone(),
                        display: participant.display.to_string(),
                        nickname: participant.nickname.as_deref().map(str::to_owned),
                        role: participant.role,
                        anonymous: participant.anonymous,
                    })
                })
            });
            changes.extend(told(participants, |user| {
                Key::Participant(room.clone(), user)
            }));
            let left = conference.left.news(|user, ()| {
                Some(Record::Departed(DepartedRecord {
                    room: room.clone(),
                    user: user.clone(),
                }))
            });
            changes.extend(told(left, |user| Key::Departed(room.clone(), user)));
            let publications = conference.publications.all.news(|id, publication| {
                Some(Record::Publication(PublicationRecord {
                    id: id.0,
                    room: room.clone(),
                    tag: publication.tag.clone(),
                    publisher: publication.publisher.clone(),
                    unlimited: publication.unlimited,
                    document: publication.document.to_vec(),
                    expires: publication.expiry.at().in_millis(),
                }))
            });
            changes.extend(told(publications, |id| Key::Publication(id.0)));
        }
        changes
    }
}

fn told<K>(news: Vec<News<K, Record>>, key: impl Fn(K) -> Key) -> impl Iterator<Item = Change> {
    news.into_iter().map(move |one| match one {
        News::Put(record) => Change::Put(record),
        News::Gone(gone) => Change::Delete(key(gone)),
    })
}

pub(super) fn conference_record(conference: &Conference) -> ConferenceRecord {
    ConferenceRecord {
        rules: conference.policy.entry(conference.room.clone()),
        locked: conference.locked,
        subject: conference.identity.subject.clone(),
        contribution: conference.identity.contribution.clone(),
        conversation: conference.identity.conversation.clone(),
        creator: conference.creator.clone(),
    }
}

/// `None` for one that has not joined yet: its INVITE has no 2xx.
pub(super) fn endpoint_record(
    id: EndpointId,
    endpoint: &Endpoint,
    counters: Counters,
) -> Option<EndpointRecord> {
    let media = &endpoint.media;
    Some(EndpointRecord {
        id: id.0,
        room: endpoint.room.clone(),
        user: endpoint.user.clone(),
        other_uris: endpoint.rare().other_uris.to_vec(),
        display: endpoint.display.to_string(),
        entity: endpoint.entity.to_string(),
        role: endpoint.role,
        anonymous: endpoint.anonymous,
        joined: endpoint.joined?.in_millis(),
        dialed_out: endpoint.dialed_out,
        referred_by: endpoint.rare().referred_by.clone(),
        peer_updates: endpoint.peer_updates,
        has_referred: endpoint.has_referred,
        session: endpoint.link.session().cloned(),
        run: endpoint.run,
        timer: endpoint.session_timer.as_ref().and_then(timer_record),
        dialog: dialog_record(&endpoint.dialog, counters),
        media: MediaRecord {
            local: media.local(),
            origin: media.origin(),
            one_send: media.one_send(),
            ours: media.ours(),
            theirs: media.theirs().filter(|_| endpoint.offer != Offer::Answer),
        },
    })
}

fn timer_record(timer: &SessionTimer) -> Option<SessionTimerRecord> {
    Some(SessionTimerRecord {
        interval: timer.agreement.interval.as_secs(),
        we_refresh: timer.agreement.refresher == Refresher::Us,
        peer_supports: timer.agreement.peer_supports,
        by_update: timer.by_update,
        refresh: timer.refresh_timer.map(|key| key.at().in_millis()),
        expires: timer.expiry_timer?.at().in_millis(),
    })
}

pub(super) fn subscription_record(
    id: SubscriptionId,
    subscription: &Subscription,
    counters: Counters,
) -> SubscriptionRecord {
    SubscriptionRecord {
        id: id.0,
        room: subscription.room.clone(),
        user: subscription.user.clone(),
        role: subscription.role,
        event_id: subscription.event_id.as_deref().map(str::to_owned),
        expires: subscription.expires.in_millis(),
        rates: subscription.rates.params(),
        full_only: subscription.merging == Merging::Never,
        version: counters.kept(subscription.version),
        dialog: dialog_record(&subscription.dialog, counters),
    }
}

fn dialog_record(dialog: &Dialog, counters: Counters) -> DialogRecord {
    DialogRecord {
        call_id: dialog.key.call_id().to_owned(),
        local_tag: dialog.key.local_tag().to_owned(),
        remote_tag: dialog.key.remote_tag().to_owned(),
        local_uri: dialog.local_uri.to_string(),
        remote_uri: dialog.remote_uri.to_string(),
        remote_target: dialog.remote_target.to_string(),
        route_set: dialog.route_set.to_vec(),
        flow: dialog.flow.as_deref().map(str::to_owned),
        local_cseq: counters.kept(dialog.local_cseq),
        remote_cseq: dialog.remote_cseq.unwrap_or_default(),
        transport: dialog.socket.transport.clone(),
        host: dialog.socket.host.clone(),
        port: dialog.socket.port,
        contact: dialog.contact.to_string(),
    }
}
