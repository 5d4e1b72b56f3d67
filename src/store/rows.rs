//! Records as rows: which table, which columns, in which order.

use std::time::Duration;

use rusqlite::types::{Type, Value};

use super::cell::{Cells, Taken};
use crate::control::{RoomUri, SessionId, SwitchRun, UserUri};
use crate::focus::record::{
    ConferenceRecord, Decisions, DepartedRecord, DialogRecord, EndpointRecord, HeldNicknameRecord,
    Key, MediaRecord, Origin, ParticipantRecord, PublicationRecord, Record, SessionTimerRecord,
    SubscriptionRecord,
};
use crate::focus::{About, Lifetime, Role, RoomEntry};

/// A kind of record and its table.
pub(super) trait Stored: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Every column, in the order of the table.
    fn cells(&self) -> Cells;
    /// The same way back.
    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self>;
}

/// The table of a record, and its row.
pub(super) fn row(record: &Record) -> (&'static str, Vec<Value>) {
    fn of<T: Stored>(one: &T) -> (&'static str, Vec<Value>) {
        (T::TABLE, one.cells().values())
    }
    match record {
        Record::Room(one) => of(one.as_ref()),
        Record::Decisions(one) => of(one.as_ref()),
        Record::Conference(one) => of(one.as_ref()),
        Record::Participant(one) => of(one),
        Record::Publication(one) => of(one),
        Record::Endpoint(one) => of(one.as_ref()),
        Record::Subscription(one) => of(one.as_ref()),
        Record::HeldNickname(one) => of(one),
        Record::Departed(one) => of(one),
        Record::LastAnonymous(number) => of(&LastAnonymous(*number)),
    }
}

/// Tables and key columns of the rows that go with a key.
pub(super) fn rows_of(key: &Key) -> Vec<(&'static str, &'static [&'static str], Vec<Value>)> {
    let text = |text: &RoomUri| Value::Text(text.to_string());
    let number = |id: &u64| vec![Value::Integer(i64::try_from(*id).unwrap_or(i64::MAX))];
    match key {
        Key::Room(room) => vec![("rooms", &["uri"], vec![text(room)])],
        Key::Decisions(room) => vec![("decisions", &["uri"], vec![text(room)])],
        Key::Conference(room) => ["conferences", "participants", "publications", "left_by_bye"]
            .map(|table| (table, &["room"][..], vec![text(room)]))
            .to_vec(),
        Key::Participant(room, user) => vec![(
            "participants",
            &["room", "user"],
            vec![text(room), Value::Text(user.to_string())],
        )],
        Key::HeldNickname(room, user) => vec![(
            "held_nicknames",
            &["room", "user"],
            vec![text(room), Value::Text(user.to_string())],
        )],
        Key::Departed(room, user) => vec![(
            "left_by_bye",
            &["room", "user"],
            vec![text(room), Value::Text(user.to_string())],
        )],
        Key::LastAnonymous => vec![(
            "counters",
            &["name"],
            vec![Value::Text(ANONYMOUS.to_owned())],
        )],
        Key::History(room) => vec![("history", &["room"], vec![text(room)])],
        Key::Publication(id) => vec![("publications", &["id"], number(id))],
        Key::Endpoint(id) => vec![("endpoints", &["id"], number(id))],
        Key::Subscription(id) => vec![("subscriptions", &["id"], number(id))],
    }
}

fn user(text: String) -> UserUri {
    UserUri::new(text)
}

fn room(row: &mut Taken<'_>) -> rusqlite::Result<RoomUri> {
    Ok(RoomUri::new(row.take::<String>()?))
}

/// A room's rules but for its history, which a later schema put behind everything else.
fn rules(cells: Cells, entry: &RoomEntry) -> Cells {
    cells
        .text(entry.uri.as_str())
        .maybe_number(entry.max_participants.map(|most| most as u64))
        .number(entry.nicknames)
        .number(entry.private_messages)
        .number(entry.subscribe_participants_only)
        .json(&entry.moderators)
        .json(&entry.observers)
        .json(&entry.roles)
        .json(&entry.allow)
        .json(&entry.deny)
        .number(entry.locked)
        .number(entry.one_device)
        .number(entry.only_moderators_invite)
        .text(entry.lifetime.as_str())
        .number(entry.only_tls)
        .number(entry.plain_text)
        .maybe_text(entry.about.name.clone())
        .maybe_text(entry.about.subject.clone())
        .json(&entry.about.services)
        .maybe_number(entry.made.map(|made| made.as_secs()))
}

fn taken_rules(row: &mut Taken<'_>) -> rusqlite::Result<RoomEntry> {
    Ok(RoomEntry {
        uri: room(row)?,
        max_participants: row.take::<Option<u64>>()?.map(|most| most as usize),
        nicknames: row.take()?,
        private_messages: row.take()?,
        subscribe_participants_only: row.take()?,
        moderators: row.json()?,
        observers: row.json()?,
        roles: row.json()?,
        allow: row.json()?,
        deny: row.json()?,
        locked: row.take()?,
        one_device: row.take()?,
        only_moderators_invite: row.take()?,
        lifetime: row.named(Lifetime::from_name)?,
        only_tls: row.take()?,
        plain_text: row.take()?,
        history: 0,
        about: About {
            name: row.take()?,
            subject: row.take()?,
            services: row.json()?,
        },
        made: row.take::<Option<u64>>()?.map(Duration::from_secs),
    })
}

impl Stored for RoomEntry {
    const TABLE: &'static str = "rooms";

    fn cells(&self) -> Cells {
        rules(Cells::default(), self).number(self.history)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        let rules = taken_rules(row)?;
        let history = row.take()?;
        Ok(Self { history, ..rules })
    }
}

impl Stored for Decisions {
    const TABLE: &'static str = "decisions";

    fn cells(&self) -> Cells {
        Cells::default()
            .text(self.uri.as_str())
            .json(&self.roles)
            .json(&self.denied)
            .json(&self.undenied)
            .maybe_number(self.locked)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            uri: room(row)?,
            roles: row.json()?,
            denied: row.json()?,
            undenied: row.json()?,
            locked: row.take()?,
        })
    }
}

impl Stored for ConferenceRecord {
    const TABLE: &'static str = "conferences";

    fn cells(&self) -> Cells {
        rules(Cells::default(), &self.rules)
            .number(self.locked)
            .maybe_text(self.subject.clone())
            .maybe_text(self.contribution.clone())
            .maybe_text(self.conversation.clone())
            .maybe_text(self.creator.as_ref().map(UserUri::as_str))
            .number(self.rules.history)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        let mut record = Self {
            rules: taken_rules(row)?,
            locked: row.take()?,
            subject: row.take()?,
            contribution: row.take()?,
            conversation: row.take()?,
            creator: row.take::<Option<String>>()?.map(user),
        };
        record.rules.history = row.take()?;
        Ok(record)
    }
}

impl Stored for ParticipantRecord {
    const TABLE: &'static str = "participants";

    fn cells(&self) -> Cells {
        Cells::default()
            .text(self.room.as_str())
            .text(self.user.as_str())
            .text(self.display.as_str())
            .maybe_text(self.nickname.clone())
            .text(self.role.as_str())
            .maybe_number(self.anonymous)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            room: room(row)?,
            user: user(row.take()?),
            display: row.take()?,
            nickname: row.take()?,
            role: row.named(Role::from_name)?,
            anonymous: row.take()?,
        })
    }
}

impl Stored for HeldNicknameRecord {
    const TABLE: &'static str = "held_nicknames";

    fn cells(&self) -> Cells {
        Cells::default()
            .text(self.room.as_str())
            .text(self.user.as_str())
            .text(self.nickname.as_str())
            .moment(self.until)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            room: room(row)?,
            user: user(row.take()?),
            nickname: row.take()?,
            until: row.moment()?,
        })
    }
}

impl Stored for DepartedRecord {
    const TABLE: &'static str = "left_by_bye";

    fn cells(&self) -> Cells {
        Cells::default()
            .text(self.room.as_str())
            .text(self.user.as_str())
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            room: room(row)?,
            user: user(row.take()?),
        })
    }
}

/// The number of the last anonymous participant, among the counters.
pub(super) struct LastAnonymous(pub(super) u32);
const ANONYMOUS: &str = "anonymous";

impl Stored for LastAnonymous {
    const TABLE: &'static str = "counters";

    fn cells(&self) -> Cells {
        Cells::default().text(ANONYMOUS).number(self.0)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        row.named(|name| (name == ANONYMOUS).then_some(()))?;
        Ok(Self(row.take()?))
    }
}

impl Stored for PublicationRecord {
    const TABLE: &'static str = "publications";

    fn cells(&self) -> Cells {
        Cells::default()
            .number(self.id)
            .text(self.room.as_str())
            .text(self.tag.as_str())
            .text(self.publisher.as_str())
            .number(self.unlimited)
            .octets(Some(self.document.clone()))
            .moment(self.expires)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.take()?,
            room: room(row)?,
            tag: row.take()?,
            publisher: user(row.take()?),
            unlimited: row.take()?,
            document: row.take()?,
            expires: row.moment()?,
        })
    }
}

fn timer(cells: Cells, timer: Option<&SessionTimerRecord>) -> Cells {
    cells
        .maybe_number(timer.map(|it| it.interval))
        .maybe_number(timer.map(|it| it.we_refresh))
        .maybe_number(timer.map(|it| it.peer_supports))
        .maybe_number(timer.map(|it| it.by_update))
        .maybe_number(timer.and_then(|it| it.refresh).map(|it| it.millis()))
        .maybe_number(timer.map(|it| it.expires.millis()))
}

fn taken_timer(row: &mut Taken<'_>) -> rusqlite::Result<Option<SessionTimerRecord>> {
    let interval: Option<u64> = row.take()?;
    let we_refresh: Option<bool> = row.take()?;
    let peer_supports: Option<bool> = row.take()?;
    let by_update: Option<bool> = row.take()?;
    let refresh = row.maybe_moment()?;
    let expires = row.maybe_moment()?;
    let (Some(interval), Some(expires)) = (interval, expires) else {
        return Ok(None);
    };
    Ok(Some(SessionTimerRecord {
        interval,
        we_refresh: we_refresh.unwrap_or_default(),
        peer_supports: peer_supports.unwrap_or_default(),
        by_update: by_update.unwrap_or_default(),
        refresh,
        expires,
    }))
}

fn media(cells: Cells, media: &MediaRecord) -> Cells {
    let theirs = media.theirs.as_ref();
    let theirs = theirs.and_then(|theirs| serde_json::to_string(theirs).ok());
    cells
        .json(&media.local)
        .number(media.one_send)
        .number(media.origin.session)
        .number(media.origin.version)
        .text(media.ours.as_str())
        .maybe_text(theirs)
}

fn taken_media(row: &mut Taken<'_>) -> rusqlite::Result<MediaRecord> {
    let local = row.json()?;
    let one_send = row.take()?;
    let origin = Origin {
        session: row.take()?,
        version: row.take()?,
    };
    let ours = row.take()?;
    let theirs: Option<String> = row.take()?;
    let theirs = theirs.map(|text| serde_json::from_str(&text));
    let theirs = theirs.transpose().map_err(|_| row.unfit(Type::Text))?;
    Ok(MediaRecord {
        local,
        origin,
        ours,
        theirs,
        one_send,
    })
}

fn dialog(cells: Cells, dialog: &DialogRecord) -> Cells {
    cells
        .text(dialog.call_id.as_str())
        .text(dialog.local_tag.as_str())
        .text(dialog.remote_tag.as_str())
        .text(dialog.local_uri.as_str())
        .text(dialog.remote_uri.as_str())
        .text(dialog.remote_target.as_str())
        .json(&dialog.route_set)
        .maybe_text(dialog.flow.clone())
        .number(dialog.local_cseq)
        .number(dialog.remote_cseq)
        .text(dialog.transport.as_str())
        .text(dialog.host.as_str())
        .number(dialog.port)
        .text(dialog.contact.as_str())
}

fn taken_dialog(row: &mut Taken<'_>) -> rusqlite::Result<DialogRecord> {
    Ok(DialogRecord {
        call_id: row.take()?,
        local_tag: row.take()?,
        remote_tag: row.take()?,
        local_uri: row.take()?,
        remote_uri: row.take()?,
        remote_target: row.take()?,
        route_set: row.json()?,
        flow: row.take()?,
        local_cseq: row.take()?,
        remote_cseq: row.take()?,
        transport: row.take()?,
        host: row.take()?,
        port: row.take()?,
        contact: row.take()?,
    })
}

impl Stored for EndpointRecord {
    const TABLE: &'static str = "endpoints";

    fn cells(&self) -> Cells {
        let cells = Cells::default()
            .number(self.id)
            .text(self.room.as_str())
            .text(self.user.as_str())
            .text(self.display.as_str())
            .text(self.entity.as_str())
            .text(self.role.as_str())
            .maybe_number(self.anonymous)
            .moment(self.joined)
            .number(self.dialed_out)
            .maybe_text(self.referred_by.clone())
            .number(self.peer_updates)
            .number(self.has_referred)
            .maybe_text(self.session.as_ref().map(SessionId::as_str))
            .octets(self.run.map(|run| run.0.to_be_bytes().to_vec()));
        let cells = timer(cells, self.timer.as_ref());
        dialog(media(cells, &self.media), &self.dialog).json(&self.other_uris)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.take()?,
            room: room(row)?,
            user: user(row.take()?),
            display: row.take()?,
            entity: row.take()?,
            role: row.named(Role::from_name)?,
            anonymous: row.take()?,
            joined: row.moment()?,
            dialed_out: row.take()?,
            referred_by: row.take()?,
            peer_updates: row.take()?,
            has_referred: row.take()?,
            session: row.take::<Option<String>>()?.map(SessionId::new),
            run: row
                .take::<Option<[u8; 16]>>()?
                .map(|run| SwitchRun(u128::from_be_bytes(run))),
            timer: taken_timer(row)?,
            media: taken_media(row)?,
            dialog: taken_dialog(row)?,
            other_uris: row.json()?,
        })
    }
}

impl Stored for SubscriptionRecord {
    const TABLE: &'static str = "subscriptions";

    fn cells(&self) -> Cells {
        let cells = Cells::default()
            .number(self.id)
            .text(self.room.as_str())
            .text(self.user.as_str())
            .maybe_text(self.role.map(Role::as_str))
            .maybe_text(self.event_id.clone())
            .moment(self.expires)
            .text(self.rates.as_str())
            .number(self.full_only)
            .number(self.version);
        dialog(cells, &self.dialog)
    }

    fn taken(row: &mut Taken<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.take()?,
            room: room(row)?,
            user: user(row.take()?),
            role: row
                .take::<Option<String>>()?
                .and_then(|name| Role::from_name(&name)),
            event_id: row.take()?,
            expires: row.moment()?,
            rates: row.take()?,
            full_only: row.take()?,
            version: row.take()?,
            dialog: taken_dialog(row)?,
        })
    }
}
