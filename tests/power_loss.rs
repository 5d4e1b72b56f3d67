//! Loss of power (`db_sync`): SQLite writes through files that record what has reached the disk. A
//! simulated loss keeps that, and any part of later writes, torn anywhere.
//!
//! The files are SQLite's own; only their functions for writing, truncating and syncing are
//! replaced by ones that also record the change.

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, Once};

use crossbeam_channel::unbounded;
use msrp_conference::control::{RoomUri, UserUri};
use msrp_conference::focus::Role;
use msrp_conference::focus::record::{Change, ParticipantRecord, Record};
use msrp_conference::store::{self, Config, Durability, OnError};
use rusqlite::ffi;

/// The disk's unit of atomic writes, in octets.
const SECTOR: usize = 512;

/// A change to a file since its last sync.
#[derive(Clone)]
enum Deed {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// A file as it is on the disk, and the changes that may have reached it.
#[derive(Clone, Default)]
struct Disk {
    safe: Vec<u8>,
    floating: Vec<Deed>,
}

impl Disk {
    fn sync(&mut self) {
        for deed in std::mem::take(&mut self.floating) {
            apply(&mut self.safe, &deed, 1.0, &mut 0);
        }
    }

    /// The file after a loss of power.
    fn after_loss(&self, random: &mut u64) -> Vec<u8> {
        let mut octets = self.safe.clone();
        for deed in &self.floating {
            let kept = match dice(random, 3) {
                0 => 0.0,
                1 => 1.0,
                _ => 0.5,
            };
            apply(&mut octets, deed, kept, random);
        }
        octets
    }
}

/// Applies a change, or each of its sectors with this chance.
fn apply(octets: &mut Vec<u8>, deed: &Deed, chance: f64, random: &mut u64) {
    match deed {
        Deed::Truncate(length) if chance > 0.0 => octets.resize(*length, 0),
        Deed::Truncate(_) => {}
        Deed::Write(at, data) => {
            for (number, sector) in data.chunks(SECTOR).enumerate() {
                if chance < 1.0 && (dice(random, 1000) as f64) >= chance * 1000.0 {
                    continue;
                }
                let at = at + number * SECTOR;
                if octets.len() < at + sector.len() {
                    octets.resize(at + sector.len(), 0);
                }
                octets[at..at + sector.len()].copy_from_slice(sector);
            }
        }
    }
}

fn dice(random: &mut u64, sides: u64) -> u64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    (*random >> 33) % sides
}

/// Every disk file, by path, and the open ones by address.
#[derive(Default)]
struct World {
    disks: HashMap<PathBuf, Disk>,
    open: HashMap<usize, (PathBuf, usize)>,
}

static WORLD: Mutex<Option<World>> = Mutex::new(None);

fn world() -> MutexGuard<'static, Option<World>> {
    WORLD
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Records a change; returns the file's original functions.
fn note(
    file: *mut ffi::sqlite3_file,
    deed: impl FnOnce(&mut Disk),
) -> &'static ffi::sqlite3_io_methods {
    let mut world = world();
    let world = world.get_or_insert_default();
    let (path, methods) = world
        .open
        .get(&(file as usize))
        .expect("an open file")
        .clone();
    deed(world.disks.entry(path).or_default());
    // SAFETY: the address of SQLite's own table, which is static.
    unsafe { &*(methods as *const ffi::sqlite3_io_methods) }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let (count, place) = (
        usize::try_from(length).unwrap(),
        usize::try_from(at).unwrap(),
    );
    // SAFETY: SQLite gives a buffer of that length.
    let octets = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), count) };
    let deed = Deed::Write(place, octets.to_vec());
    let methods = note(file, |disk| disk.floating.push(deed));
    // SAFETY: SQLite's own function with SQLite's own arguments.
    unsafe { methods.xWrite.expect("it writes")(file, data, length, at) }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: ffi::sqlite3_int64) -> c_int {
    let deed = Deed::Truncate(usize::try_from(length).unwrap());
    let methods = note(file, |disk| disk.floating.push(deed));
    // SAFETY: as above.
    unsafe { methods.xTruncate.expect("it truncates")(file, length) }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // Safe from the moment on when SQLite learns of it.
    let methods = note(file, |_| {});
    // SAFETY: as above.
    let done = unsafe { methods.xSync.expect("it syncs")(file, flags) };
    note(file, Disk::sync);
    done
}

unsafe extern "C" fn open(
    _own: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let real = *REAL.lock().unwrap() as *mut ffi::sqlite3_vfs;
    // SAFETY: SQLite's own file system with SQLite's own arguments; when it succeeds the
    // file has its table of functions, of which a copy with ours takes the place.
    unsafe {
        let done = (*real).xOpen.expect("it opens")(real, name, file, flags, out);
        if done != ffi::SQLITE_OK || name.is_null() || (*file).pMethods.is_null() {
            return done;
        }
        let path = PathBuf::from(CStr::from_ptr(name).to_str().expect("UTF-8"));
        let methods = (*file).pMethods;
        let own = ffi::sqlite3_io_methods {
            xWrite: Some(write),
            xTruncate: Some(truncate),
            xSync: Some(sync),
            ..ptr::read(methods)
        };
        (*file).pMethods = Box::leak(Box::new(own));
        let mut world = world();
        let world = world.get_or_insert_default();
        let safe = fs::read(&path).unwrap_or_default();
        let disk = || Disk {
            safe,
            floating: Vec::new(),
        };
        world.disks.entry(path.clone()).or_insert_with(disk);
        world.open.insert(file as usize, (path, methods as usize));
        done
    }
}

static REAL: Mutex<usize> = Mutex::new(0);

fn take_note_of_everything() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the default file system is static, and so is the copy of it that becomes
        // the default; nothing is open yet.
        unsafe {
            ffi::sqlite3_initialize();
            let real = ffi::sqlite3_vfs_find(ptr::null());
            *REAL.lock().unwrap() = real as usize;
            let own = ffi::sqlite3_vfs {
                pNext: ptr::null_mut(),
                zName: c"noting".as_ptr(),
                xOpen: Some(open),
                ..ptr::read(real)
            };
            let own = Box::leak(Box::new(own));
            assert_eq!(ffi::sqlite3_vfs_register(own, 1), ffi::SQLITE_OK);
        }
    });
}

fn config(folder: &Path, durability: Durability) -> Config {
    Config {
        path: folder.join("state.sqlite"),
        durability,
        on_error: OnError::Refuse,
        busy: store::BUSY,
    }
}

/// Records in a batch, which belong together.
const TOGETHER: usize = 8;

fn batch(number: usize) -> Vec<Change> {
    let record = |part: usize| {
        Change::Put(Record::Participant(ParticipantRecord {
            room: RoomUri::new(format!("sip:{number}@example.com")),
            user: UserUri::new(format!("sip:{part}@example.com")),
            display: "x".repeat(200),
            nickname: None,
            role: Role::Participant,
            anonymous: None,
        }))
    };
    (0..TOGETHER).map(record).collect()
}

/// The number of records of each batch in the file.
fn found(folder: &Path) -> HashMap<String, usize> {
    let (log, _lines) = unbounded();
    let opened = store::open(config(folder, Durability::Normal), log, Arc::new(|| {}))
        .unwrap_or_else(|error| panic!("after a loss of power: {error}"));
    let mut batches = HashMap::new();
    for record in opened.records {
        if let Record::Participant(one) = record {
            *batches.entry(one.room.to_string()).or_default() += 1;
        }
    }
    opened.store.stop();
    batches
}

/// Loses power after every few commits; returns the largest number of promised batches missing.
fn lose_power(durability: Durability) -> usize {
    take_note_of_everything();
    let folder = tempfile::tempdir().expect("a folder");
    let (working, lost) = (folder.path().join("working"), folder.path().join("lost"));
    for folder in [&working, &lost] {
        fs::create_dir(folder).expect("a folder");
    }
    let (log, _lines) = unbounded();
    let mut opened =
        store::open(config(&working, durability), log, Arc::new(|| {})).expect("it opens");
    let (mut random, mut worst) = (7, 0);
    for number in 0..400 {
        let ticket = opened.store.write(batch(number));
        // Every third loss is in the middle of the next commit.
        let promised = match number % 3 {
            0 => number,
            _ => {
                while opened.store.settled() < ticket {
                    std::thread::yield_now();
                }
                assert!(opened.store.is_safe());
                number + 1
            }
        };
        if number % 7 == 0 || number % 3 == 0 {
            let image = image(&working, &mut random);
            restore(&lost, &image);
            let batches = found(&lost);
            assert!(batches.values().all(|count| *count == TOGETHER), "halves");
            let count = batches.len();
            for kept in 0..count {
                let room = format!("sip:{kept}@example.com");
                assert!(batches.contains_key(&room), "a hole at {kept} of {count}");
            }
            worst = worst.max(promised.saturating_sub(count));
        }
    }
    opened.store.stop();
    worst
}

/// Database and log after a loss of power.
fn image(folder: &Path, random: &mut u64) -> Vec<(String, Vec<u8>)> {
    let mut world = world();
    let world = world.get_or_insert_default();
    let names = ["state.sqlite", "state.sqlite-wal"];
    let disk = |name: &&str| {
        let disk = world.disks.get(&folder.join(name))?;
        Some(((*name).to_owned(), disk.after_loss(random)))
    };
    names.iter().filter_map(disk).collect()
}

fn restore(folder: &Path, image: &[(String, Vec<u8>)]) {
    fs::remove_dir_all(folder).expect("the folder of before");
    fs::create_dir_all(folder).expect("a folder");
    let mut world = world();
    world
        .get_or_insert_default()
        .disks
        .retain(|path, _| !path.starts_with(folder));
    for (name, octets) in image {
        fs::write(folder.join(name), octets).expect("a file");
    }
}

#[test]
fn db_sync_full_keeps_every_promise_when_power_is_lost() {
    assert_eq!(lose_power(Durability::Full), 0);
}

/// `normal` may lose the last commits, but only whole ones. That it does lose some shows that this
/// test would notice.
#[test]
fn db_sync_normal_may_lose_the_last_commits_and_never_the_file() {
    assert!(lose_power(Durability::Normal) > 0);
}
