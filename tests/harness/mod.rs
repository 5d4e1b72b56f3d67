//! Shared by the tests and the demo: real proxies started from the example configurations, and a
//! small SIP and MSRP user agent that controls every octet it sends.
//!
//! Nothing here reaches into the server: it sees what a client on the network and an operator
//! at the management interface see. SIP and conference-info are read with `msrp_conference::wire`;
//! MSRP frames are read by a reader of its own, so that a fault of the decoder under test
//! cannot hide itself (but those too large to be kept: `large`).

// Each test program and the demo use a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod admission;
pub mod agent;
pub mod bystanders;
pub mod dns;
pub mod draft;
pub mod host;
pub mod invited;
pub mod large;
pub mod mailbox;
pub mod msrp;
pub mod package;
pub mod page;
pub mod participant;
pub mod plan;
pub mod proxy;
pub mod roster;
#[path = "../schema/mod.rs"]
pub mod schema;
pub mod sipp;
pub mod stored;
pub mod torrent;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long anything that must come may take before a test calls it missing: far above what
/// a busy two-core machine needs, below SIP's own 32 s.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long to listen for something that must *not* come, where no later event marks the end.
pub const SILENCE: Duration = Duration::from_millis(700);

/// Runs one scenario on every proxy found; all get their turn even if one fails.
pub fn on_every_host(scenario: impl Fn(&host::Host)) {
    let mut failure = None;
    let hosts = host::found();
    assert!(!hosts.is_empty(), "no proxy to test on");
    for host in hosts {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(&host))) {
            eprintln!("^ failed on {}", host.name);
            failure = Some(panic);
        }
    }
    if let Some(panic) = failure {
        resume_unwind(panic);
    }
}

/// The same for scenarios that measure the machine: one at a time in a test program.
pub fn alone(scenario: impl Fn(&host::Host)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_every_host(scenario);
}
