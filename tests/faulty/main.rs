//! Thousands of faulty requests and responses: if any header is missing, empty or unparsable, the
//! proxy survives, answers where an answer is possible, and the rooms go on.
//!
//! Packets are sent in batches without waiting, and a ping behind each batch shows that the proxy
//! has processed it. A batch that kills a proxy is sent once more, packet by packet, to name the
//! one that kills it.

#[path = "../harness/mod.rs"]
mod harness;

mod faults;
mod pipe;
mod requests;
mod responses;

use harness::host::{Family, Host};
use harness::plan::Plan;
use harness::proxy::Proxy;

/// tm gives up early on transactions that get no answer, or no ACK, because of a fault.
fn plan(host: &Host) -> Plan {
    Plan::new(host).lines(match host.family {
        Family::Kamailio => "modparam(\"tm\", \"fr_timer\", 2000)",
        Family::OpenSips => "modparam(\"tm\", \"fr_timeout\", 2)",
    })
}

/// The name of a command in this proxy.
fn management(proxy: &Proxy, command: &str) -> String {
    match proxy.host.family {
        Family::Kamailio => format!("msrp_conference.{command}"),
        Family::OpenSips => format!("msrp_conference:{command}"),
    }
}
