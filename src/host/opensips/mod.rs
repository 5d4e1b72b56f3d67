//! OpenSIPS 3.4.2+, 3.5, 3.6, 4.0.

mod abi;
mod context;
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

pub(super) use exports::{fill, is_host};

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
    answers: management::Answers,
    events: events::Events,
    identity: Format,
    /// Pseudo-variables with the source of a request, for the check of the layout.
    reception: Format,
}

static MODULE: OnceLock<Module> = OnceLock::new();

host_symbols! {
    /// Functions and variables of the core.
    struct Core {
        find_export: abi::FindExport = c"find_export",
        find_socket: abi::FindSocket = c"grep_sock_info_ext",
        parse_format: abi::ParseFormat = c"pv_parse_format",
        print_format: abi::PrintFormat = c"pv_printf",
        handle_job: abi::HandleJob = c"ipc_handle_job",
        send_job: abi::SendJob = c"ipc_send_rpc",
        push_context: abi::PushContext = c"push_new_global_context",
        pop_context: abi::PopContext = c"pop_pushed_global_context",
        route_kind: *mut i32 = c"route_type",
        core_status: abi::CoreStatus = c"sr_get_core_status",
        processes: *mut *mut u8 = c"pt",
        process_number: *mut i32 = c"process_no",
    }
}
