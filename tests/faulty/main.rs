//! Requests and responses with faults, by the thousand: whatever of them is missing, empty or
//! unparsable, the proxy lives, answers what can be answered, and the rooms go on.
//!
//! Nothing waits for a packet: they go out in batches, and a ping behind each says that the proxy
//! has taken it. Who dies of a batch gets it once more, packet by packet, so that the one that
//! kills can be named.

#[path = "../harness/mod.rs"]
mod harness;

mod faults;
mod pipe;
mod requests;
mod responses;

use harness::host::{Family, Host};
use harness::plan::Plan;
use harness::proxy::Proxy;

/// tm gives up soon on what gets no answer, and no ACK, because of its faults.
fn plan(host: &Host) -> Plan {
    Plan::new(host).lines(match host.family {
        Family::Kamailio => "modparam(\"tm\", \"fr_timer\", 2000)",
        Family::OpenSips => "modparam(\"tm\", \"fr_timeout\", 2)",
    })
}

/// A command under the name it has in this proxy.
fn management(proxy: &Proxy, command: &str) -> String {
    match proxy.host.family {
        Family::Kamailio => format!("msrp_conference.{command}"),
        Family::OpenSips => format!("msrp_conference:{command}"),
    }
}
