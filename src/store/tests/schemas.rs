//! Databases of earlier schemas, made as SQL text.

use super::*;

#[test]
fn every_older_schema_is_brought_up_to_date() {
    for version in 0..=STEPS.len() {
        let folder = Folder::new();
        old_file(&folder, version, "");
        let (mut now, _) = opened(folder.config());
        now.store.write(put(&everything()));
        now.store.stop();
        let (again, _) = opened(folder.config());
        assert_eq!(again.records, everything(), "from version {version}");
    }
}

/// [`everything`] and a room, as the last release with a column per field wrote them.
const COLUMNS: &str = r#"
INSERT INTO rooms VALUES ('sip:lobby@example.com', 7, 0, 1, 0, '["sip:alice@example.com","*@b"]',
    '[]', '[["sip:bob@b","Observer"]]', '[]', '["sip:mallory@*"]', 1, 0, 0, 'creator', 0, 1,
    'The "lobby"', NULL, '[["web-page","http://a/"]]', 1000, 50);
INSERT INTO conferences VALUES ('sip:lobby@example.com', 7, 0, 1, 0, '[]', '[]', '[]', '[]', '[]',
    1, 0, 0, 'empty', 0, 0, NULL, NULL, '[]', NULL, 0, 's', NULL, NULL, 'sip:alice@example.com',
    50);
INSERT INTO participants VALUES ('sip:lobby@example.com', 'sip:alice@example.com', '', 'Al',
    'participant', NULL);
INSERT INTO publications VALUES (4, 'sip:lobby@example.com', 't', 'sip:bob@example.com', 1,
    x'3cc3a92f3e', 9);
INSERT INTO endpoints VALUES (1, 'sip:lobby@example.com', 'sip:alice@example.com', 'Alice 😀',
    'sip:alice@192.0.2.7', 'moderator', 3, 1700000000123, 1, NULL, 1, 1, 'abc',
    x'fffffffffffffffffffffffffffffffa', 1800, 1, 0, 1, 5, 6,
    '{"host":"h","port":2855,"own_uri":"msrp://h:2855/abc;tcp","secure":false,"fingerprint":null,
      "max_size":10,"nicknames":true,"private_messages":true,"plain_text":true,"observer":false}',
    1, 9, 2, 'v=0' || char(13, 10),
    '{"index":0,"peer":{"path":["msrp://192.0.2.7:2855/a;tcp"],"accept_types":["message/cpim"],
      "accept_wrapped_types":[],"max_size":1099511627776,"chatroom":true,"private_messages":false,
      "plain_text":true,"one_send":false,"sends":true,"receives":false,"fingerprints":[],
      "dial":null},"setup":"Passive","secure":false,"cema":true}',
    'call-1', 'l', '', 'sip:lobby@example.com', 'sip:alice@example.com', 'sip:alice@192.0.2.7',
    '["<sip:p1;lr>","<sip:p2;lr>"]', 'sip:192.0.2.7:5060', 4294967295, 3, 'udp', '[2001:db8::1]',
    65535, 'sip:lobby@example.com', '["tel:+1201"]');
INSERT INTO endpoints VALUES (2, 'sip:lobby@example.com', 'sip:alice@example.com', '', 'e',
    'observer', NULL, 0, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    '{"host":"h","port":2855,"own_uri":"msrps://h:2855/def;tcp","secure":true,"fingerprint":null,
      "max_size":10,"nicknames":true,"private_messages":true,"plain_text":true,"observer":true}',
    0, 10, 1, 'v=0' || char(13, 10), NULL,
    'call-3', 'l', 'r', 'sip:lobby@example.com', 'sip:alice@example.com', 'sip:alice@192.0.2.7',
    '[]', NULL, 64, 0, 'tcp', 'h', 5060, 'sip:lobby@example.com', '[]');
INSERT INTO subscriptions VALUES (12, 'sip:lobby@example.com', 'sip:bob@example.com', 'observer',
    NULL, 1800000000000, ';max-rate=0.1', 1, 128, 'call-2', 'l', 'r', 'sip:lobby@example.com',
    'sip:bob@example.com', 'sip:bob@192.0.2.8', '[]', NULL, 128, 1, 'udp', '192.0.2.1', 5060,
    'sip:lobby@example.com');
INSERT INTO held_nicknames VALUES ('sip:lobby@example.com', 'sip:dave@example.com', 'Dave 😀',
    1700000600123);
INSERT INTO left_by_bye VALUES ('sip:lobby@example.com', 'sip:carol@example.com');
INSERT INTO counters VALUES ('anonymous', 64);
INSERT INTO history VALUES ('sip:lobby@example.com', 1, x'00ff');
"#;

/// The schema with a column per field.
const WITH_COLUMNS: usize = 7;

#[test]
fn a_database_with_a_column_a_field_is_taken_over_whole() {
    let folder = Folder::new();
    old_file(&folder, WITH_COLUMNS, COLUMNS);
    let (mut now, lines) = opened(folder.config());
    assert_eq!(lines.try_recv().ok(), None);
    let mut all = vec![Record::Room(Box::new(entry()))];
    all.extend(everything());
    assert_eq!(now.records, all);
    assert_eq!(kept(&mut now, &room()), made(entry()));
    let Ok(Content::Room { remembers, .. }) = look(&mut now, Query::Room(room())) else {
        panic!("no room");
    };
    assert!(remembers, "histories stay as they are");
}

/// An error in a row costs only that row.
#[test]
fn of_a_database_with_a_column_a_field_rows_that_cannot_be_read_are_passed_over() {
    for (table, spoil) in [
        ("rooms", "UPDATE rooms SET moderators = '['"),
        ("conferences", "UPDATE conferences SET lifetime = 'x'"),
        ("participants", "UPDATE participants SET role = 'king'"),
        ("publications", "UPDATE publications SET document = x'ff'"),
        (
            "endpoints",
            "UPDATE endpoints SET sdp_local = 'x' WHERE id = 2",
        ),
        (
            "endpoints",
            "UPDATE endpoints SET other_uris = '{}' WHERE id = 2",
        ),
        ("subscriptions", "UPDATE subscriptions SET version = -1"),
        ("held_nicknames", "UPDATE held_nicknames SET until = -1"),
        ("counters", "UPDATE counters SET value = -1"),
    ] {
        let folder = Folder::new();
        old_file(&folder, WITH_COLUMNS, &format!("{COLUMNS}{spoil};"));
        let (now, lines) = opened(folder.config());
        assert_eq!(now.records.len(), everything().len(), "{spoil}");
        let line = lines.try_recv().expect("a line").text;
        assert!(line.contains(&format!("1 rows of {table}")), "{line}");
        assert!(lines.is_empty());
    }
}

/// Unknown fields are skipped; missing ones get defaults.
#[test]
fn rows_of_another_release_are_read_as_far_as_they_are_known() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    first.store.write(put(&everything()));
    first.store.write(put_room(&entry()));
    first.store.stop();
    let shell = Connection::open(folder.config().path).expect("a shell");
    let change = "UPDATE rooms SET record = json_remove(json_set(record, '$.new', 1, \
         '$.rules.new', json('{}')), '$.rules.history', '$.made', '$.rules.about.services')";
    shell.execute(change, []).expect("a change");
    let new = "UPDATE endpoints SET record = json_set(record, '$.new', 1, '$.dialog.new', 2)";
    shell.execute(new, []).expect("a change");
    drop(shell);
    let (mut again, lines) = opened(folder.config());
    assert!(lines.is_empty());
    assert_eq!(again.records[1..], everything());
    let mut expected = entry();
    (expected.made, expected.rules.history) = (None, 0);
    expected.rules.about.services.clear();
    assert_eq!(kept(&mut again, &room()), made(expected));
}

/// An operator can read the records with the database's own tools (docs/restart.md).
#[test]
fn records_can_be_read_with_sqlite() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    first.store.write(put(&everything()));
    first.store.stop();
    let shell = Connection::open(folder.config().path).expect("a shell");
    let said: (String, u16, u64) = shell
        .query_row(
            "SELECT dialog ->> '$.key.call_id', media ->> '$.local.port', \
             timer ->> '$.agreement.interval.secs' FROM endpoints WHERE id = 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("a row");
    assert_eq!(said, ("call-1".to_owned(), 2855, 1800));
}

/// Decisions about configured rooms, which an older schema kept as copies.
#[test]
fn decisions_are_found_again_and_copies_of_an_older_schema_become_decisions() {
    let folder = Folder::new();
    let rows = "INSERT INTO rooms VALUES ('sip:hall@h', 5, 1, 1, 0, '[\"sip:a@h\"]', '[]', \
         '[[\"sip:b@h\",\"Moderator\"]]', '[]', '[\"sip:m@h\"]', 1, 0, 0, 'never', 0, 0, \
         'n', NULL, '[]', NULL, 0); \
         INSERT INTO rooms VALUES ('sip:team@h', NULL, 1, 1, 0, '[]', '[]', '[]', '[]', '[]', 0, \
         0, 0, 'never', 0, 0, NULL, NULL, '[]', 5, 0);";
    old_file(&folder, 5, rows);
    let hall = Decisions {
        uri: RoomUri::new("sip:hall@h"),
        roles: vec![(UserUri::new("sip:b@h"), Role::Moderator)],
        denied: vec![Pattern::new("m@h")],
        undenied: Vec::new(),
        locked: Some(true),
    };
    let (mut now, _) = opened(folder.config());
    assert_eq!(now.rooms, 1, "the other one was made");
    assert_eq!(now.records, [Record::Decisions(Box::new(hall.clone()))]);
    let changed = Decisions {
        undenied: vec![Pattern::new("*@h")],
        locked: Some(false),
        ..hall
    };
    let record = Record::Decisions(Box::new(changed.clone()));
    now.store.write(vec![Change::Put(record.clone())]);
    let decided = Some(Kept::Decided(Box::new(changed.clone())));
    assert_eq!(kept(&mut now, &changed.uri), decided);
    now.store.stop();
    let (mut again, _) = opened(folder.config());
    assert_eq!(again.records, [record]);
    again
        .store
        .write(vec![Change::Delete(Key::Decisions(changed.uri.clone()))]);
    assert_eq!(kept(&mut again, &changed.uri), None);
    again.store.stop();
    let (last, _) = opened(folder.config());
    assert_eq!(last.records, []);
}

#[test]
fn who_left_under_an_older_schema_is_still_known() {
    let folder = Folder::new();
    let row = "INSERT INTO conferences VALUES ('sip:a@h', NULL, 1, 1, 0, '[]', '[]', '[]', '[]', \
         '[]', 0, 0, 0, 'empty', 0, 0, NULL, NULL, '[]', NULL, 0, NULL, 'c', NULL, NULL, \
         '[\"sip:b@h\",\"sip:c@h\"]', 7)";
    old_file(&folder, 4, row);
    let (now, _) = opened(folder.config());
    let departed = now.records.iter().filter_map(|record| match record {
        Record::Departed(one) => Some(one.user.as_str()),
        _ => None,
    });
    assert_eq!(departed.collect::<Vec<_>>(), ["sip:b@h", "sip:c@h"]);
    assert!(
        now.records
            .iter()
            .any(|record| matches!(record, Record::Conference(one) if one.rules.history == 7))
    );
}
