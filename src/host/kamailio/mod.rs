//! Kamailio, in the series that `series` lists.

mod abi;
mod events;
mod exports;
mod layout;
mod logging;
mod management;
mod parameters;
mod process;
mod proxy;
mod repeat;
mod send;
mod series;
mod start_checks;
mod statistics;
mod tm;
mod variables;
mod worker;

pub(super) use exports::{fill, is_host, register};

use std::sync::OnceLock;

use crate::bridge::Bridge;
use crate::host::Format;
use crate::host::symbols::host_symbols;
use crate::parameters::Settings;

/// Everything the module knows after its initialisation; every process inherits it.
struct Module {
    series: &'static series::Series,
    core: Core,
    tm: tm::Tm,
    sending: send::Sending,
    settings: Settings,
    bridge: Bridge,
    identity: Format,
    listeners: events::Listeners,
    values: variables::Values,
    /// Format of a socket's advertised address and port, if the module pv offers it.
    advertised: Option<Format>,
}

static MODULE: OnceLock<Module> = OnceLock::new();

host_symbols! {
    /// Functions and variables of the core.
    struct Core {
        find_module: abi::FindModule = c"find_module_by_name",
        find_socket: abi::FindSocket = c"grep_sock_info",
        parse_format: abi::ParseFormat = c"pv_parse_format",
        print_format: abi::PrintFormat = c"pv_printf",
        fix_argument: abi::FixArgument = c"fixup_spve_null",
        argument: abi::Argument = c"get_str_fparam",
        register_basic_timers: abi::RegisterBasicTimers = c"register_basic_timers",
        fork_basic_timer: abi::ForkBasicTimer = c"fork_basic_utimer",
        register_counters: abi::RegisterCounters = c"counter_register_array",
        add_kemi: abi::AddKemi = c"sr_kemi_modules_add",
        route_kind: *mut i32 = c"route_type",
    }
}
