//! Shared by the tests and the demo: real proxies started from the example configurations, and a
//! small SIP and MSRP user agent that controls every octet it sends.
//!
//! The harness never reaches into the server: it sees only what a client on the network and an
//! operator at the management interface see. It reads SIP and conference-info with
//! `msrp_conference::wire`, but MSRP frames with a reader of its own, so that a fault of the
//! decoder under test cannot hide itself (except frames too large to keep: `large`).

// Each test program and the demo use only a part of it.
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

/// Longest wait for anything that must come: far above the needs of a busy two-core machine, below
/// SIP's own 32 s.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long to listen for something that must *not* come, when no later event marks the end.
pub const SILENCE: Duration = Duration::from_millis(700);

/// Runs one scenario on every proxy found, on all of them even if one fails.
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
