//! From the focus to records: every input ends with an output of the resulting changes. Moments are
//! stored to the millisecond.

use std::sync::Arc;

use super::{
    Change, ConferenceRecord, DepartedRecord, EndpointRecord, Key, ParticipantRecord,
    PublicationRecord, Record, SubscriptionRecord,
};
use crate::control::RoomUri;
use crate::focus::dirty_map::News;
use crate::focus::ids::PublicationId;
use crate::focus::sip::dialog::Dialog;
use crate::focus::watch::subscription::Due;
use crate::focus::{Focus, Output};

/// Stored counters that grow with every NOTIFY are rounded up to a multiple of this, so that one
/// write covers as many NOTIFYs; after a crash they go on above the stored value.
const LEASE: u32 = 64;

/// How counters are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Counters {
    /// Ahead of the values in use.
    Leased,
    /// Exact: after an orderly stop they go on where they were.
    Exact,
}

impl Counters {
    pub(super) fn kept(self, used: u32) -> u32 {
        match self {
            Self::Leased => (used / LEASE).saturating_add(1).saturating_mul(LEASE),
            Self::Exact => used,
        }
    }

    /// A dialog in its stored form.
    pub(super) fn dialog(self, dialog: &Dialog) -> Dialog {
        let mut dialog = dialog.clone();
        dialog.local_cseq = self.kept(dialog.local_cseq);
        Arc::make_mut(&mut dialog.socket).handle = 0;
        dialog
    }
}

impl Focus {
    /// Outputs the changes of an input, in front of its other outputs, which start at `position`:
    /// the store comes before any message that depends on it.
    pub(in crate::focus) fn tell_changes(&mut self, position: usize) {
        let changes = self.changes();
        if !changes.is_empty() {
            self.out.insert(position, Output::Store(changes));
        }
    }

    /// Outputs changes made other than by an input, in front of all outputs not polled yet.
    pub fn tell_what_changed(&mut self) {
        self.tell_changes(0);
    }

    /// The full stored state, for a store that has lost the earlier changes. It does not include
    /// the rooms made by management.
    pub fn snapshot(&mut self) -> Vec<Change> {
        for (_, conference) in self.rooms.conferences_unmarked() {
            conference.participants.forget_kept();
            conference.publications.all.forget_kept();
            conference.left.forget_kept();
        }
        self.rooms.kept_anonymous = 0;
        self.rooms.kept_conferences().forget_kept();
        self.rooms.kept_endpoints().forget_kept();
        self.watch.kept_subscriptions().forget_kept();
        self.rooms.held_nicknames.forget_kept();
        self.changes()
    }

    /// Marks everything that has counters, after a change of `counters`.
    pub(in crate::focus) fn touch_counters(&mut self) {
        self.rooms.kept_endpoints().touch_all();
        self.watch.kept_subscriptions().touch_all();
    }

    fn changes(&mut self) -> Vec<Change> {
        let mut changes = self.conference_changes();
        let counters = self.counters;
        changes.extend(told(
            self.rooms.kept_endpoints().news(|id, endpoint| {
                let record = EndpointRecord::of(*id, endpoint, counters);
                record.map(|it| Record::Endpoint(Box::new(it)))
            }),
            |id| Key::Endpoint(id.0),
        ));
        let conferences = self.rooms.conferences();
        changes.extend(told(
            self.watch.kept_subscriptions().news(|id, subscription| {
                // Without a conference it only waits for its last NOTIFY.
                let goes_on = conferences.contains_key(&subscription.room)
                    && !matches!(subscription.due, Due::Last(_));
                goes_on.then(|| {
                    let record = SubscriptionRecord::of(*id, subscription, counters);
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
        let rooms: Vec<RoomUri> = self.rooms.conferences().touched().cloned().collect();
        for room in &rooms {
            let present = self.rooms.conference(room).map_or(0, |it| it.present());
            self.rooms.present.count(room, present);
        }
        let news = self.rooms.kept_conferences().news(|_, conference| {
            let record = ConferenceRecord::of(conference);
            Some(Record::Conference(Box::new(record)))
        });
        let mut changes: Vec<_> = told(news, Key::Conference).collect();
        for room in rooms {
            // Those of a conference that has gone went with it.
            let Some(conference) = self.rooms.conference_unmarked(&room) else {
                continue;
            };
            let participants = conference.participants.news(|user, participant| {
                ParticipantRecord::of(&room, user, participant).map(Record::Participant)
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
                let record = PublicationRecord::of(&room, *id, publication);
                Some(Record::Publication(record))
            });
            let key = |id: PublicationId| Key::Publication(room.clone(), id.0);
            changes.extend(told(publications, key));
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
