//! The loader's view of the module: the table `exports`, filled by the module's constructor, and
//! the functions in it.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::abi::{
    self, opensips_build, opensips_command, opensips_command_parameter, opensips_dependencies,
    opensips_dependency, opensips_exports, opensips_process, opensips_text,
};
use super::series::{FLAGS, SERIES, Series};
use super::{
    Core, Format, MODULE, Module, events, layout, logging, management, parameters, process, send,
    start_checks, statistics, tm, variables, worker,
};
use crate::host::guard::{c_string, guard};
use crate::host::logging as log;
use crate::host::release::{self, Build, Version};
use crate::host::user::FurtherGroups;
use crate::host::{PROCESS_NAME, api, memory, start, symbols, text};

/// Whether the process is OpenSIPS: its built-in transports are modules of this format.
pub(in crate::host) fn is_host() -> bool {
    !own_build().is_null() && !symbols::of_core(c"core_scm_ver").is_null()
}

/// Fills the table at `exports`, which has room for it. In the constructor.
pub(in crate::host) fn fill(exports: *mut u64) {
    start::prepare(logging::write);
    // SAFETY: is_host() found a table of the running core's own; its build record is const.
    let build = unsafe { (*own_build()).build };
    let table = opensips_exports {
        name: c"msrp_conference".as_ptr(),
        kind: abi::ORDINARY_MODULE,
        build,
        loaded: loaded as abi::Init as *mut c_void,
        dependencies: dependencies(),
        commands: commands(),
        parameters: parameters::table(),
        statistics: statistics::table(),
        management: known_series().map_or(ptr::null_mut(), management::table),
        variables: variables::table(),
        processes: processes(),
        init: init as abi::Init as *mut c_void,
        destroy: destroy as abi::Destroy as *mut c_void,
        ..opensips_exports::default()
    };
    // SAFETY: the caller's room is as large and as aligned as any host's table.
    unsafe { exports.cast::<opensips_exports>().write(table) };
}

/// The table of the core's built-in UDP transport, which contains the core's build strings.
fn own_build() -> *const opensips_exports {
    symbols::of_core(c"proto_udp_exports").cast_const().cast()
}

fn running_build() -> opensips_build {
    let own = own_build();
    if own.is_null() {
        return opensips_build::default();
    }
    // SAFETY: a table of the core's own, const.
    unsafe { (*own).build }
}

fn dependencies() -> *mut c_void {
    let mut table = opensips_dependencies::default();
    table.modules[0] = opensips_dependency {
        kind: abi::ORDINARY_MODULE,
        name: c"tm".as_ptr(),
        action: abi::REQUIRED,
    };
    forever(table)
}

fn commands() -> *mut c_void {
    let mut command = opensips_command {
        name: c"msrp_conference_handle".as_ptr(),
        function: worker::handle as abi::ScriptFunction as *mut c_void,
        routes: abi::REQUEST_ROUTE,
        ..opensips_command::default()
    };
    command.parameters[0] = opensips_command_parameter {
        flags: abi::OPTIONAL_TEXT,
        ..opensips_command_parameter::default()
    };
    let interface = opensips_command {
        name: c"load_msrp_conference".as_ptr(),
        function: api::load as *mut c_void,
        ..opensips_command::default()
    };
    forever([command, interface, opensips_command::default()])
}

fn processes() -> *mut c_void {
    let process = opensips_process {
        name: c_string(PROCESS_NAME).into_raw(),
        before_fork: process::before_fork as abi::BeforeFork as *mut c_void,
        run: process::run as abi::RunProcess as *mut c_void,
        count: 1,
        flags: abi::PROCESS_IS_PREPARED | abi::PROCESS_HAS_PIPE | abi::PROCESS_NEEDS_SCRIPT,
        ..opensips_process::default()
    };
    forever([process, opensips_process::default()])
}

fn forever<T>(table: T) -> *mut c_void {
    ptr::from_mut(Box::leak(Box::new(table))).cast()
}

/// The series of the running host, if it is known.
fn known_series() -> Option<&'static Series> {
    let version = Version::find(&logging::build_text(&running_build()))?;
    release::look_up(SERIES, &version)
}

/// The series of the running host; `None` has logged the reason.
fn series() -> Option<&'static Series> {
    let build = running_build();
    // SAFETY: literals of the host's own.
    let (flags, revision) =
        unsafe { (text::of_c(build.compile_flags), text::of_c(build.revision)) };
    let said = Build {
        host: "OpenSIPS",
        version: logging::build_text(&build),
        flags,
        revision,
    };
    release::accept(&said, SERIES, &FLAGS)
}

/// Called right after the module was loaded: refuses an unknown host.
unsafe extern "C" fn loaded() -> c_int {
    guard(-1, || if series().is_some() { 0 } else { -1 })
}

/// Called after all modules are loaded and all parameters set, before any fork.
unsafe extern "C" fn init() -> c_int {
    guard(-1, || match prepare() {
        Some(module) => {
            log::notice(format_args!(
                "{} {} in {}",
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
                logging::build_text(&running_build())
            ));
            if MODULE.set(module).is_err() {
                return -1;
            }
            if let Some(module) = MODULE.get() {
                api::use_bridge(&module.bridge);
            }
            0
        }
        None => -1,
    })
}

unsafe extern "C" fn destroy() {
    // Nothing to release: the conference process ends by itself.
}

fn prepare() -> Option<Module> {
    let series = known_series()?;
    memory::may_peek().map_err(log::error).ok()?;
    // SAFETY: the types in Core are those of every supported series.
    let core = unsafe { Core::load(symbols::of_core) }
        .map_err(log::error)
        .ok()?;
    // SAFETY: the same holds for these.
    let sending = unsafe { send::Sending::load(symbols::of_core) }
        .map_err(log::error)
        .ok()?;
    let (settings, bridge) = start::settings_and_bridge(FurtherGroups::Kept)?;
    // SAFETY: init runs on the main thread after tm was loaded.
    let tm = unsafe { tm::Tm::of_host(core.find_export) }
        .map_err(log::error)
        .ok()?;
    start_checks::check(series, &tm).map_err(log::error).ok()?;
    let answers = management::Answers::of_core().map_err(log::error).ok()?;
    let events = events::Events::publish()?;
    let Some(identity) = parse_format(&core, &settings.identity) else {
        log::error(format_args!(
            "parameter identity: the host does not understand {:?}",
            settings.identity
        ));
        return None;
    };
    let Some(reception) = parse_format(&core, layout::RECEPTION) else {
        log::error("the host does not say where a request came from");
        return None;
    };
    Some(Module {
        series,
        core,
        tm,
        sending,
        settings,
        bridge,
        answers,
        events,
        identity,
        reception,
    })
}

fn parse_format(core: &Core, text: &str) -> Option<Format> {
    // The host keeps pointers into the text.
    let owned = c_string(text).into_raw();
    let counted = opensips_text {
        s: owned,
        len: text.len() as c_int,
    };
    let mut format = ptr::null_mut();
    // SAFETY: the text lives for ever and holds that many octets, if no NUL was left out.
    let parsed = unsafe { (core.parse_format)(&counted, &mut format) };
    (parsed >= 0 && !format.is_null()).then_some(Format(format))
}
