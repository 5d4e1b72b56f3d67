//! Real files in a temporary folder.

mod histories;
mod kept;
mod schemas;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rusqlite::Connection;
use tempfile::TempDir;

use super::file::File;
use super::lock::Lock;
use super::schema::STEPS;
use super::*;
use crate::control::{RoomUri, UserUri};
use crate::focus::record::{Content, Decisions, Kept, Key, Query, Unreadable};
use crate::focus::{Pattern, Role, RoomEntry};
use kept::{endpoint, entry, everything};

/// A folder for one test, deleted with it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn config(&self) -> Config {
        Config {
            path: self.0.path().join("state.sqlite"),
            durability: Durability::Normal,
            on_error: OnError::Refuse,
            busy: Duration::from_millis(50),
        }
    }
}

fn opened(config: Config) -> (Opened, Receiver<Line>) {
    let (log, lines) = unbounded();
    let opened = open(config, log, Arc::new(|| {})).expect("it opens");
    (opened, lines)
}

fn refusal(config: &Config) -> String {
    let (log, _lines) = unbounded();
    match open(config.clone(), log, Arc::new(|| {})) {
        Ok(_) => panic!("it opens"),
        Err(error) => error.to_string(),
    }
}

fn wait(what: &str, until: impl Fn() -> bool) {
    let started = Instant::now();
    while !until() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

fn settle(store: &Store, ticket: Ticket) {
    wait("a commit", || store.settled() >= ticket);
}

/// Checks that the file can be used again: this state is written anew, and found in the next run.
fn written_anew(mut failed: Opened, folder: &Folder, all: &[Record]) -> Opened {
    wait("it works again", || failed.store.wants_everything());
    failed.store.rewrite(put(all));
    assert!(!failed.store.wants_everything(), "once");
    wait("it is safe again", || failed.store.is_safe());
    failed.store.stop();
    let (again, _) = opened(folder.config());
    assert_eq!(again.records, all);
    again
}

fn room() -> RoomUri {
    RoomUri::new("sip:lobby@example.com")
}

fn put(records: &[Record]) -> Vec<Change> {
    records.iter().cloned().map(Change::Put).collect()
}

#[test]
fn what_is_written_is_found_again() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    assert_eq!(first.records, []);
    let ticket = first.store.write(put(&everything()));
    settle(&first.store, ticket);
    assert!(first.store.is_safe());
    first.store.stop();
    let (mut second, lines) = opened(folder.config());
    assert_eq!(second.records, everything());
    assert!(lines.is_empty());
    let gone = [
        Key::Conference(room()),
        Key::Endpoint(1),
        Key::Endpoint(2),
        Key::Subscription(12),
        Key::HeldNickname(room(), UserUri::new("sip:dave@example.com")),
        Key::LastAnonymous,
    ];
    second
        .store
        .write(gone.into_iter().map(Change::Delete).collect());
    second.store.stop();
    let (third, _) = opened(folder.config());
    assert_eq!(
        third.records,
        [],
        "participants and publications went with it"
    );
}

#[test]
fn a_later_record_takes_the_place_of_the_earlier() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    first.store.write(put(&everything()));
    let mut changed = endpoint(1);
    if let Record::Endpoint(one) = &mut changed {
        one.display = "changed".to_owned();
    }
    first.store.write(vec![Change::Put(changed.clone())]);
    first.store.stop();
    let (second, _) = opened(folder.config());
    assert_eq!(second.records.len(), everything().len());
    assert!(second.records.contains(&changed));
}

/// A file with the schema after this many steps, and these rows.
fn old_file(folder: &Folder, version: usize, rows: &str) {
    let old = Connection::open(folder.config().path).expect("a file");
    for step in &STEPS[..version] {
        old.execute_batch(step).expect("a step");
    }
    old.execute_batch(rows)
        .and_then(|()| old.pragma_update(None, "application_id", schema::APPLICATION_ID))
        .and_then(|()| old.pragma_update(None, "user_version", version))
        .expect("rows of its time");
}

/// Sends a query, and waits for the answer.
fn look(opened: &mut Opened, query: Query) -> Result<Content, Unreadable> {
    opened.store.ask(query.clone());
    let started = Instant::now();
    loop {
        if let Some(found) = opened.store.found() {
            assert_eq!(found.query, query);
            return found.answer;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "an answer");
        std::thread::yield_now();
    }
}

/// The stored state of a room.
fn kept(opened: &mut Opened, room: &RoomUri) -> Option<Kept> {
    match look(opened, Query::Room(room.clone())) {
        Ok(Content::Room { kept, .. }) => kept,
        other => panic!("{other:?}"),
    }
}

fn made(entry: RoomEntry) -> Option<Kept> {
    Some(Kept::Made(Box::new(entry)))
}

fn page(opened: &mut Opened, offset: usize, limit: usize) -> Vec<RoomEntry> {
    match look(opened, Query::Page { offset, limit }) {
        Ok(Content::Page(entries)) => entries,
        other => panic!("{other:?}"),
    }
}

fn put_room(entry: &RoomEntry) -> Vec<Change> {
    vec![Change::Put(Record::Room(Box::new(entry.clone())))]
}

#[test]
fn rooms_are_looked_up_in_the_file_and_before_they_are_in_it() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    let other = RoomEntry::new(RoomUri::new("sip:other@example.com"));
    for one in [&entry(), &other] {
        first.store.write(put_room(one));
        assert_eq!(kept(&mut first, &one.uri), made(one.clone()));
    }
    first.store.stop();
    let (mut second, _) = opened(folder.config());
    assert_eq!(second.records, [], "they cost nothing until asked for");
    assert_eq!(second.rooms, 2);
    assert_eq!(kept(&mut second, &room()), made(entry()));
    assert_eq!(page(&mut second, 0, 10), [entry(), other.clone()]);
    assert_eq!(page(&mut second, 1, 10), std::slice::from_ref(&other));
    second.store.write(vec![Change::Delete(Key::Room(room()))]);
    assert_eq!(kept(&mut second, &room()), None);
    assert_eq!(page(&mut second, 0, 10), [other]);
}

#[test]
fn a_room_that_runs_comes_with_its_conference() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    first.store.write(put(&everything()));
    first.store.write(put_room(&entry()));
    first.store.write(put_room(&numbered(7)));
    first.store.stop();
    let (second, _) = opened(folder.config());
    let rooms = second.records.iter().filter_map(|record| match record {
        Record::Room(entry) => Some(entry.uri.clone()),
        _ => None,
    });
    assert_eq!(rooms.collect::<Vec<_>>(), [room()]);
}

fn numbered(n: u32) -> RoomEntry {
    RoomEntry::new(RoomUri::new(format!("sip:r{n:06}@example.com")))
}

#[test]
fn a_hundred_thousand_idle_rooms_are_not_read() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    let rooms = (0..100_000).map(|n| Change::Put(Record::Room(Box::new(numbered(n)))));
    let ticket = first.store.write(rooms.collect());
    settle(&first.store, ticket);
    first.store.stop();
    let (mut second, _) = opened(folder.config());
    assert_eq!(second.records, [], "nothing of them is read");
    let found = kept(&mut second, &numbered(77_777).uri);
    assert_eq!(found, made(numbered(77_777)));
    assert_eq!(second.rooms, 100_000);
}

/// An unreadable file is not an empty one.
#[test]
fn a_file_that_cannot_be_read_is_no_file_without_rooms() {
    let lookup = |config: Config| {
        let (mut opened, _lines) = opened(Config {
            on_error: OnError::Memory,
            ..config
        });
        look(&mut opened, Query::Room(room()))
    };
    let nothing = Ok(Content::Room {
        kept: None,
        remembers: false,
    });
    let folder = Folder::new();
    fs::write(folder.config().path, vec![b'x'; 10_000]).expect("garbage");
    assert_eq!(lookup(folder.config()), Err(Unreadable), "damaged");
    let folder = Folder::new();
    full(&folder.config().path);
    let later = Connection::open(folder.config().path).expect("a file");
    later
        .pragma_update(None, "user_version", STEPS.len() + 1)
        .expect("a version");
    assert_eq!(
        lookup(folder.config()),
        Err(Unreadable),
        "of a later release"
    );
    // A foreign or missing file contains no rooms of ours.
    let folder = Folder::new();
    let other = Connection::open(folder.config().path).expect("a file");
    other.execute_batch("CREATE TABLE t (x)").expect("a table");
    assert_eq!(lookup(folder.config()), nothing, "of something else");
    let folder = Folder::new();
    let missing = Config {
        path: folder.0.path().join("not/there/state.sqlite"),
        ..folder.config()
    };
    assert_eq!(lookup(missing), nothing, "never made");
    // An unreadable row is still the row of a room.
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    first.store.write(put_room(&entry()));
    first.store.stop();
    let shell = Connection::open(folder.config().path).expect("a shell");
    shell
        .execute(
            "UPDATE rooms SET record = json_set(record, '$.rules.lifetime', 'x')",
            [],
        )
        .expect("a change");
    drop(shell);
    assert_eq!(lookup(folder.config()), Err(Unreadable), "no such lifetime");
}

#[test]
fn a_store_that_hangs_answers_no_question_and_says_so_at_once() {
    let folder = Folder::new();
    let (mut store, _lines, shell) = hanging(&folder, OnError::Memory);
    store.store.write(vec![Change::Delete(Key::Endpoint(1))]);
    while store.store.is_safe() {
        store.store.give_up();
    }
    if !store.store.wants_everything() {
        assert_eq!(look(&mut store, Query::Room(room())), Err(Unreadable));
    }
    shell.execute_batch("COMMIT").expect("it lets go");
    wait("it works again", || store.store.wants_everything());
    assert_eq!(kept(&mut store, &room()), None);
}

#[test]
fn one_file_serves_one_proxy() {
    let folder = Folder::new();
    let (mut first, _) = opened(folder.config());
    let said = refusal(&folder.config());
    assert!(
        said.contains("another process uses this database"),
        "{said}"
    );
    assert!(check(&folder.config()).is_err());
    let kept = first.store.write(put(&everything()));
    settle(&first.store, kept);
    // The second store works in memory and must not touch the file, not even later.
    let memory = Config {
        on_error: OnError::Memory,
        ..folder.config()
    };
    let (mut second, lines) = opened(memory);
    let line = lines.recv().expect("a line").text;
    assert!(line.contains("as long as this proxy runs"), "{line}");
    let ticket = second.store.write(vec![Change::Delete(Key::Endpoint(1))]);
    settle(&second.store, ticket);
    assert!(!second.store.is_safe());
    first.store.stop();
    // The second store has had its retry once a store that started later has had two.
    let elsewhere = Folder::new();
    fs::create_dir(elsewhere.config().path).expect("a folder in the file's place");
    let (_trying, lines) = opened(Config {
        on_error: OnError::Memory,
        ..elsewhere.config()
    });
    for _ in ["the start", "a retry", "another"] {
        assert!(lines.recv().expect("a line").text.contains("not writable"));
    }
    assert!(!second.store.wants_everything());
    second.store.stop();
    let (third, _) = opened(folder.config());
    assert_eq!(third.records, everything());
}

/// Every way a file may be unusable, and its log line.
#[test]
fn unusable_files_are_named_and_left_alone() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 6] = [
        ("damaged", |path| {
            fs::write(path, vec![b'x'; 10_000]).expect("garbage");
        }),
        ("damaged", |path| {
            full(path);
            let octets = fs::read(path).expect("a file");
            fs::write(path, &octets[..octets.len() / 2 + 100]).expect("a part");
        }),
        ("damaged", |path| {
            full(path);
            let mut octets = fs::read(path).expect("a file");
            octets[4096..12_288].fill(0xA5);
            fs::write(path, &octets).expect("other pages");
        }),
        ("not of msrp_conference", |path| {
            let other = Connection::open(path).expect("a file");
            other.execute_batch("CREATE TABLE t (x)").expect("a table");
        }),
        ("written by a later release", |path| {
            full(path);
            let later = Connection::open(path).expect("a file");
            later
                .pragma_update(None, "user_version", STEPS.len() + 1)
                .expect("a version");
        }),
        ("not writable", |path| {
            fs::create_dir(path).expect("a folder in its place");
        }),
    ];
    for (said, spoil) in cases {
        let folder = Folder::new();
        spoil(&folder.config().path);
        let before = fs::read(folder.config().path).ok();
        let refused = refusal(&folder.config());
        assert!(refused.contains(said), "{refused} should say {said}");
        let memory = Config {
            on_error: OnError::Memory,
            ..folder.config()
        };
        let (mut store, lines) = opened(memory);
        let line = lines.recv().expect("a line").text;
        assert!(line.contains(said) && line.contains("in memory"), "{line}");
        let ticket = store.store.write(put(&everything()));
        settle(&store.store, ticket);
        assert!(!store.store.is_safe());
        let after = fs::read(folder.config().path).ok();
        assert_eq!(before, after, "{said}: the file is left alone");
        // The file is moved away: a new one gets everything.
        let path = folder.config().path;
        fs::rename(&path, folder.0.path().join("moved")).expect("moved");
        for beside in ["-wal", "-shm"] {
            let mut name = path.clone().into_os_string();
            name.push(beside);
            let _ = fs::remove_file(name);
        }
        written_anew(store, &folder, &everything());
    }
}

/// A file with data on many pages.
fn full(path: &Path) {
    let config = Config {
        path: path.to_owned(),
        durability: Durability::Normal,
        on_error: OnError::Refuse,
        busy: BUSY,
    };
    let (mut store, _) = opened(config);
    let many = (1..400).map(|id| Change::Put(endpoint(id)));
    store.store.write(many.collect());
    store.store.stop();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    let config = Config {
        path: folder.0.path().join("not/there/state.sqlite"),
        ..folder.config()
    };
    assert!(refusal(&config).contains("no such folder"));
    let one = Config {
        path: folder.0.path().join("made/state.sqlite"),
        ..folder.config()
    };
    let (store, _) = opened(one);
    assert!(store.store.is_safe());
}

#[test]
fn a_full_disk_is_called_that_and_leaves_what_was_there() {
    let folder = Folder::new();
    let config = folder.config();
    let mut file = File::open(&config).expect("it opens");
    file.commit(put(&everything()).iter()).expect("a commit");
    file.limit_pages(40);
    let many: Vec<_> = (3..2000).map(|id| Change::Put(endpoint(id))).collect();
    let error = file.commit(many.iter()).expect_err("no room").to_string();
    assert!(error.contains("the disk is full; make room"), "{error}");
    assert_eq!(file.load().expect("readable").records, everything());
}

/// Somebody holds the file for writing: conferences go on, and their state gets into it afterwards.
#[test]
fn a_file_that_fails_and_works_again_gets_everything_at_once() {
    let folder = Folder::new();
    let (mut store, lines) = opened(folder.config());
    let ticket = store.store.write(put(&everything()));
    settle(&store.store, ticket);
    let shell = Connection::open(folder.config().path).expect("a shell");
    shell.execute_batch("BEGIN IMMEDIATE").expect("it locks");
    let ticket = store.store.write(vec![Change::Delete(Key::Endpoint(2))]);
    settle(&store.store, ticket);
    assert!(!store.store.is_safe(), "nobody waits for it");
    let line = lines.recv().expect("a line").text;
    assert!(line.contains("Conferences are kept in memory"), "{line}");
    let lost = store.store.write(put_room(&numbered(1)));
    settle(&store.store, lost);
    assert_eq!(kept(&mut store, &numbered(1).uri), made(numbered(1)));
    shell.execute_batch("COMMIT").expect("it lets go");
    let all: Vec<_> = everything().into_iter().take(3).collect();
    let mut again = written_anew(store, &folder, &all);
    assert_eq!(
        kept(&mut again, &numbered(1).uri),
        made(numbered(1)),
        "rooms too"
    );
}

#[test]
fn rows_that_cannot_be_read_are_passed_over_and_said() {
    let folder = Folder::new();
    full(&folder.config().path);
    let shell = Connection::open(folder.config().path).expect("a shell");
    shell
        .execute(
            "UPDATE endpoints SET record = json_set(record, '$.role', 'king') WHERE id = 5",
            [],
        )
        .expect("a change");
    drop(shell);
    let (store, lines) = opened(folder.config());
    assert_eq!(store.records.len(), 398);
    assert!(
        lines
            .recv()
            .expect("a line")
            .text
            .contains("1 rows of endpoints")
    );
}

#[test]
fn a_lock_is_free_when_its_holder_is_gone() {
    let folder = Folder::new();
    let path = folder.config().path;
    let held = Lock::take(&path).expect("free");
    assert!(Lock::take(&path).is_err());
    drop(held);
    assert!(Lock::take(&path).is_ok());
}

/// A commit that does not return, as on a disk that hangs: somebody holds the file, and the busy
/// timeout is an hour.
fn hanging(folder: &Folder, on_error: OnError) -> (Opened, Receiver<Line>, Connection) {
    let (mut store, lines) = opened(Config {
        on_error,
        busy: Duration::from_secs(3600),
        ..folder.config()
    });
    let first = store.store.write(put(&everything()));
    settle(&store.store, first);
    let shell = Connection::open(folder.config().path).expect("a shell");
    shell.execute_batch("BEGIN IMMEDIATE").expect("it locks");
    (store, lines, shell)
}

#[test]
fn a_store_that_hangs_is_waited_for_by_nobody_and_gets_one_snapshot_when_it_is_back() {
    for on_error in [OnError::Memory, OnError::Refuse] {
        let folder = Folder::new();
        let (mut store, lines, shell) = hanging(&folder, on_error);
        let ticket = store.store.write(vec![Change::Delete(Key::Endpoint(1))]);
        assert!(store.store.settled() < ticket, "it is waited for");
        assert!(!store.store.refuses());
        store.store.give_up();
        assert!(store.store.settled() >= ticket && !store.store.is_safe());
        assert_eq!(store.store.refuses(), on_error == OnError::Refuse);
        // It is logged once, and later changes are not queued.
        for _ in 0..1_000 {
            let ticket = store.store.write(vec![Change::Delete(Key::Endpoint(2))]);
            assert!(store.store.settled() >= ticket);
            store.store.give_up();
        }
        let line = lines.recv().expect("a line").text;
        assert!(line.contains("does not return from a commit"), "{line}");
        assert!(lines.is_empty());
        shell.execute_batch("COMMIT").expect("it lets go");
        let all: Vec<_> = everything().into_iter().take(3).collect();
        written_anew(store, &folder, &all);
    }
}

#[test]
fn a_store_that_cannot_keep_up_counts_as_one_that_hangs() {
    let folder = Folder::new();
    let (mut store, lines, shell) = hanging(&folder, OnError::Memory);
    let mut given = 0;
    while store.store.is_safe() {
        given = store.store.write(vec![Change::Delete(Key::Endpoint(1))]);
        assert!(given < 10_000, "nothing queues without bound");
    }
    assert!(store.store.settled() >= given);
    let line = lines.recv().expect("a line").text;
    assert!(line.contains("cannot keep up"), "{line}");
    shell.execute_batch("COMMIT").expect("it lets go");
    written_anew(store, &folder, &everything());
}

#[test]
fn while_everything_is_written_anew_it_is_not_wanted_again_and_nobody_waits() {
    let folder = Folder::new();
    let (mut store, _lines, shell) = hanging(&folder, OnError::Memory);
    store.store.write(vec![Change::Delete(Key::Endpoint(1))]);
    store.store.give_up();
    shell.execute_batch("COMMIT").expect("it lets go");
    wait("it works again", || store.store.wants_everything());
    shell.execute_batch("BEGIN IMMEDIATE").expect("it locks");
    store.store.rewrite(put(&everything()));
    let later = vec![Change::Delete(Key::Endpoint(1))];
    let ticket = store.store.write(later);
    assert!(!store.store.wants_everything() && !store.store.is_safe());
    assert!(store.store.settled() >= ticket);
    shell.execute_batch("COMMIT").expect("it lets go");
    wait("it is safe again", || store.store.is_safe());
    store.store.stop();
    let (again, _) = opened(folder.config());
    let left = |record: &Record| record.key() != Key::Endpoint(1);
    let expected: Vec<_> = everything().into_iter().filter(left).collect();
    assert_eq!(again.records, expected, "what came behind it is kept too");
}
