//! Records as rows: the columns of the key, and the record as JSON in a column of its own.

use rusqlite::Row;
use rusqlite::types::{Type, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::focus::record::{Key, Record};

/// The place of a record: a table, its key columns and their values.
pub(super) type Place = (&'static str, &'static [&'static str], Vec<Value>);

/// The table of a record, and its row.
pub(super) fn row(record: &Record) -> (&'static str, Vec<Value>) {
    let (table, _, mut cells) = place(&record.key());
    cells.push(Value::Text(match record {
        Record::Room(one) => json(one),
        Record::Decisions(one) => json(one),
        Record::Conference(one) => json(one),
        Record::Participant(one) => json(one),
        Record::Publication(one) => json(one),
        Record::Endpoint(one) => json(one),
        Record::Subscription(one) => json(one),
        Record::HeldNickname(one) => json(one),
        Record::Departed(one) => json(one),
        Record::LastAnonymous(number) => json(number),
    }));
    (table, cells)
}

/// The record as JSON; it cannot fail, as no record has a map with keys that are not text.
fn json(record: &impl Serialize) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

/// The record in the first column of a row.
pub(super) fn taken<T: DeserializeOwned>(row: &Row<'_>) -> rusqlite::Result<T> {
    let text = row.get_ref(0)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

/// The place of the record with this key.
pub(super) fn place(key: &Key) -> Place {
    let text = |text: &dyn ToString| Value::Text(text.to_string());
    let number = |id: &u64| Value::Integer(i64::try_from(*id).unwrap_or(i64::MAX));
    match key {
        Key::Room(room) => ("rooms", &["uri"], vec![text(room)]),
        Key::Decisions(room) => ("decisions", &["uri"], vec![text(room)]),
        Key::Conference(room) => ("conferences", &["room"], vec![text(room)]),
        Key::Participant(room, user) => (
            "participants",
            &["room", "user"],
            vec![text(room), text(user)],
        ),
        Key::HeldNickname(room, user) => (
            "held_nicknames",
            &["room", "user"],
            vec![text(room), text(user)],
        ),
        Key::Departed(room, user) => (
            "left_by_bye",
            &["room", "user"],
            vec![text(room), text(user)],
        ),
        Key::LastAnonymous => ("counters", &["name"], vec![text(&"anonymous")]),
        Key::History(room) => ("history", &["room"], vec![text(room)]),
        Key::Publication(room, id) => (
            "publications",
            &["room", "id"],
            vec![text(room), number(id)],
        ),
        Key::Endpoint(id) => ("endpoints", &["id"], vec![number(id)]),
        Key::Subscription(id) => ("subscriptions", &["id"], vec![number(id)]),
    }
}

/// The rows to delete with a key.
pub(super) fn places(key: &Key) -> Vec<Place> {
    let of_conference = ["participants", "publications", "left_by_bye"];
    let (_, columns, cells) = place(key);
    let mut places = vec![place(key)];
    if let Key::Conference(_) = key {
        places.extend(of_conference.map(|table| (table, columns, cells.clone())));
    }
    places
}
