//! Duration of a restart: a crowd that is restored and reconciled, and idle rooms that must cost
//! nothing. `make bench`.

#[path = "../shared/arrival.rs"]
mod arrival;
mod crowd;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use msrp_conference::control::RoomUri;
use msrp_conference::focus::RoomEntry;
use msrp_conference::focus::record::{Change, Content, Kept, Query, Record};
use msrp_conference::store::{self, Durability, OnError, Opened};

const CROWD: crowd::Size = crowd::Size {
    rooms: 1_000,
    members: 10,
};
const IDLE_ROOMS: usize = 100_000;

fn main() {
    // `cargo test --all-targets` runs this without the argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return println!("run by `cargo bench --bench restart`");
    }
    let rounds = std::env::var("ROUNDS").ok();
    let rounds = rounds.and_then(|text| text.parse().ok()).unwrap_or(3);
    println!("milliseconds of a restart, median of {rounds}");
    let folder = tempfile::tempdir().expect("a folder");
    let all = (0..rounds).map(|round| {
        let file = folder.path().join(format!("crowd{round}.sqlite"));
        let times = crowd::restart(&file, CROWD);
        (times.restored, times.reconciled)
    });
    let (restored, reconciled): (Vec<_>, Vec<_>) = all.unzip();
    let (rooms, people) = (CROWD.rooms, CROWD.rooms * CROWD.members);
    println!("{people} participants in {rooms} rooms");
    print("  restored", restored);
    print("  restored and reconciled", reconciled);
    let file = folder.path().join("idle.sqlite");
    fill(&file);
    println!("{IDLE_ROOMS} idle rooms");
    let starts = (0..rounds).map(|_| start(&file));
    print("  opened, one of them found", starts.collect());
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    println!(
        "{what:<28} {:>8.1}",
        times[times.len() / 2].as_secs_f64() * 1e3
    );
}

fn idle(number: usize) -> RoomEntry {
    RoomEntry::new(RoomUri::new(format!("sip:r{number:06}@example.com")))
}

fn open(file: &Path) -> Opened {
    let (log, _lines) = unbounded();
    let config = store::Config {
        path: PathBuf::from(file),
        durability: Durability::Normal,
        on_error: OnError::Refuse,
        busy: store::BUSY,
    };
    store::open(config, log, Arc::new(|| {})).expect("a database")
}

fn fill(file: &Path) {
    let mut opened = open(file);
    let rooms = (0..IDLE_ROOMS).map(|n| Change::Put(Record::Room(Box::new(idle(n)))));
    opened.store.write(rooms.collect());
    opened.store.stop();
}

fn start(file: &Path) -> Duration {
    let started = Instant::now();
    let mut opened = open(file);
    let one = idle(IDLE_ROOMS / 2);
    opened.store.ask(Query::Room(one.uri.clone()));
    let found = std::iter::repeat_with(|| opened.store.found())
        .flatten()
        .next();
    let kept = Some(Kept::Made(Box::new(one)));
    let remembers = false;
    let answer = found.expect("an answer").answer;
    assert_eq!(answer, Ok(Content::Room { kept, remembers }));
    let took = started.elapsed();
    assert!(opened.records.is_empty(), "they are not read");
    opened.store.stop();
    took
}
