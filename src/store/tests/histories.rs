//! The histories of rooms: added to, trimmed, forgotten, and left alone by everything else.

use bytes::Bytes;

use super::*;
use crate::control::{HISTORY_OCTETS, PastMessage};
use crate::focus::record::HistoryChange;

fn message(number: u64) -> PastMessage {
    PastMessage {
        number,
        octets: Bytes::from(format!("message {number} \u{1f600}\0")),
    }
}

fn messages(numbers: impl IntoIterator<Item = u64>) -> Vec<PastMessage> {
    numbers.into_iter().map(message).collect()
}

fn change(numbers: impl IntoIterator<Item = u64>, gone: u64) -> Change {
    Change::Remember(HistoryChange {
        room: room(),
        messages: messages(numbers),
        gone,
    })
}

/// The history of a room.
fn history(opened: &mut Opened, room: &RoomUri, most: u16) -> Vec<PastMessage> {
    match look(opened, Query::History(room.clone(), most)) {
        Ok(Content::History(messages)) => messages,
        other => panic!("{other:?}"),
    }
}

fn other() -> RoomUri {
    RoomUri::new("sip:other@example.com")
}

#[test]
fn a_history_is_added_to_and_trimmed_and_found_again() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    first.store.write(vec![Change::Remember(HistoryChange {
        room: other(),
        messages: messages([1]),
        gone: 0,
    })]);
    first.store.write(vec![change(10..15, 0)]);
    first.store.write(vec![change([15], 11)]);
    // Sent a second time, by a switch that does not know whether the first report arrived.
    first.store.write(vec![change([14, 15], 11)]);
    first.store.stop();
    let (mut second, _) = opened(folder.config());
    assert_eq!(second.records, [], "it costs nothing until asked for");
    assert_eq!(history(&mut second, &room(), 500), messages(12..=15));
    assert_eq!(history(&mut second, &room(), 2), messages([14, 15]));
    assert_eq!(history(&mut second, &other(), 500), messages([1]));
    let none = RoomUri::new("sip:lobb%@example.com");
    assert_eq!(history(&mut second, &none, 500), []);
}

#[test]
fn a_history_is_read_up_to_what_one_order_may_hold() {
    let folder = Folder::new();
    let (mut store, _) = opened(folder.config());
    let large = |number| PastMessage {
        number,
        octets: Bytes::from(vec![b'x'; HISTORY_OCTETS / 4]),
    };
    let ticket = store.store.write(vec![Change::Remember(HistoryChange {
        room: room(),
        messages: (1..=6).map(large).collect(),
        gone: 0,
    })]);
    settle(&store.store, ticket);
    let found = history(&mut store, &room(), 500);
    let numbers: Vec<_> = found.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [3, 4, 5, 6]);
}

#[test]
fn a_forgotten_history_is_gone_at_once_and_for_good() {
    let folder = Folder::new();
    let (mut store, _) = opened(folder.config());
    let ticket = store.store.write(vec![change(1..5, 0)]);
    settle(&store.store, ticket);
    let deleted = vec![Change::Delete(Key::History(room()))];
    store.store.write(deleted);
    assert_eq!(history(&mut store, &room(), 500), []);
    let ticket = store.store.write(vec![change([9], 0)]);
    settle(&store.store, ticket);
    assert_eq!(history(&mut store, &room(), 500), messages([9]));
}

/// Rewriting the running state leaves the histories alone.
#[test]
fn what_a_failing_file_misses_is_lost_and_no_more_but_what_was_forgotten() {
    let folder = Folder::new();
    let (mut store, _) = opened(folder.config());
    store.store.write(vec![change(1..4, 0)]);
    let ticket = store.store.write(vec![Change::Remember(HistoryChange {
        room: other(),
        messages: messages([7]),
        gone: 0,
    })]);
    settle(&store.store, ticket);
    let shell = Connection::open(folder.config().path).expect("a shell");
    shell.execute_batch("BEGIN IMMEDIATE").expect("it locks");
    let ticket = store.store.write(vec![change([4], 0)]);
    settle(&store.store, ticket);
    assert!(!store.store.is_safe());
    let lost = vec![Change::Delete(Key::History(other()))];
    let ticket = store.store.write(lost);
    settle(&store.store, ticket);
    assert_eq!(history(&mut store, &other(), 500), []);
    shell.execute_batch("COMMIT").expect("it lets go");
    let mut again = written_anew(store, &folder, &everything());
    assert_eq!(history(&mut again, &room(), 500), messages(1..4));
    assert_eq!(history(&mut again, &other(), 500), []);
}

#[test]
fn rooms_of_a_schema_without_histories_have_none() {
    let folder = Folder::new();
    let rows = "INSERT INTO rooms VALUES ('sip:lobby@example.com', NULL, 1, 1, 0, '[]', '[]', \
         '[]', '[]', '[]', 0, 0, 0, 'never', 0, 0, 'n', NULL, '[]', 5); \
         INSERT INTO conferences VALUES ('sip:lobby@example.com', NULL, 1, 1, 0, '[]', '[]', \
         '[]', '[]', '[]', 0, 0, 0, 'never', 0, 0, NULL, NULL, '[]', NULL, 1, 's', NULL, NULL, \
         NULL, '[]');";
    old_file(&folder, 2, rows);
    let (store, lines) = opened(folder.config());
    assert!(lines.is_empty());
    let [Record::Room(found), Record::Conference(conference)] = &store.records[..] else {
        panic!("{:?}", store.records);
    };
    assert_eq!(
        (found.rules.history, found.rules.about.name.as_deref()),
        (0, Some("n"))
    );
    assert_eq!(conference.rules.history, 0);
    assert!(conference.locked);
}
