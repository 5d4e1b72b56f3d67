//! `msrp_conference`: a conference focus, the conference event package and an MSRP switch
//! in one shared object that OpenSIPS and Kamailio load.
//!
//! Dependencies point down only: `host` and `bridge` reach the proxy, `service` wires the
//! parts, `resolve` finds where requests go, `net` moves octets, `focus` and `switch` are pure state machines, `wire` knows
//! formats. `ARCHITECTURE.md` has the map.

mod access;
pub mod bridge;
pub mod control;
pub mod counters;
pub mod entropy;
pub mod focus;
pub mod host;
pub mod log;
pub mod management;
pub mod net;
pub mod parameters;
pub mod remote;
pub mod resolve;
mod retry;
pub mod service;
pub mod statistics;
pub mod store;
pub mod switch;
pub mod time;
pub mod wire;
