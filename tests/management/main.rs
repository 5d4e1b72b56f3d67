//! Management of a running proxy, over the interfaces that operators use: MI, RPC,
//! pseudo-variables, events, exporters, and the C interface of other modules.

#[path = "../harness/mod.rs"]
mod harness;

mod c_interface;
mod commands;
mod events;
mod interfaces;

use serde_json::{Value, json};

use harness::host::Family;
use harness::proxy::Proxy;

/// The name of a command in this proxy.
fn name(proxy: &Proxy, command: &str) -> String {
    match proxy.host.family {
        Family::Kamailio => format!("msrp_conference.{command}"),
        Family::OpenSips => format!("msrp_conference:{command}"),
    }
}

/// Carries a command out, with arguments by position.
fn order(proxy: &Proxy, command: &str, arguments: &[&str]) -> Value {
    proxy.call(&name(proxy, command), json!(arguments))
}

/// The same for a command that must fail: the error's code and text.
fn refused(proxy: &Proxy, command: &str, arguments: Value) -> (i64, String) {
    let error = proxy
        .try_call(&name(proxy, command), arguments)
        .expect_err("it must be refused");
    let code = error["code"].as_i64().expect("a code");
    (
        code,
        error["message"].as_str().unwrap_or_default().to_owned(),
    )
}
