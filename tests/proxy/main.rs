//! The module inside real proxies: every scenario runs on every proxy found on this machine.
//!
//! Scenarios are grouped by subject; each starts a proxy of its own on free ports, so all of them
//! can run at the same time. Load tests are in `tests/load/`, which runs after these.

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../tls/certificates.rs"]
mod certificates;

mod answers;
mod codes;
mod connections;
mod dialling;
mod dialogs;
mod dissected;
mod farewell;
mod identity;
mod join;
mod layout;
mod malformed;
mod msrp;
mod names;
mod parameters;
mod plain_text;
mod refer;
mod refusals;
mod registration;
mod resilience;
mod starting;
mod subscribe;
mod tls;
mod unacknowledged;

use std::io::Write;

use harness::host::Family;

#[test]
fn a_proxy_is_found_and_a_missing_one_said() {
    assert!(
        !Family::Kamailio.installed().is_empty(),
        "no kamailio on PATH: run `make deps`"
    );
    if Family::OpenSips.installed().is_empty() {
        // Bypasses the capture of test output, so that it is visible.
        let line =
            b"no OpenSIPS here (on PATH or in $OPENSIPS_HOME): the tests run on Kamailio alone\n";
        std::io::stderr().write_all(line).unwrap();
    }
}
