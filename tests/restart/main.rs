//! Conferences over restarts and crashes of real proxies (docs/restart.md).

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../../benches/shared/arrival.rs"]
mod arrival;
#[path = "../../benches/restart/crowd.rs"]
mod crowd;
mod damaged;
mod hanging;
mod history;
mod kill;
mod orderly;

use std::path::PathBuf;

use harness::host::Host;
use harness::plan::Plan;
use tempfile::TempDir;

/// A folder that outlives its proxies, and is deleted with the test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("state.sqlite")
    }
}

/// The example of a proxy with a database, with short timers.
fn plan(host: &Host, folder: &Folder) -> Plan {
    Plan::new(host)
        .example("persistent")
        .state_in(folder.0.path())
        .parameter("notify_interval_ms", 100)
        .parameter("rejoin_grace", 3)
}

/// `make bench` does it with ten times as many, and prints the duration.
#[test]
fn flow4_a_crowd_is_restored_and_reconciled_and_nobody_hears_of_it() {
    let folder = Folder::new();
    let size = crowd::Size {
        rooms: 100,
        members: 10,
    };
    let times = crowd::restart(&folder.database(), size);
    let (restored, reconciled) = (times.restored, times.reconciled);
    println!("1,000 in 100 rooms: restored in {restored:?}, reconciled in {reconciled:?}");
}
