//! The loader's view of the module: the table `exports`, filled by the module's constructor, and
//! the functions in it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::abi::{self, kamailio_command, kamailio_exports, kamailio_kemi, kamailio_text};
use super::series::{FLAGS, SERIES, Series};
use super::{
    Core, Format, MODULE, Module, events, logging, management, parameters, process, send,
    start_checks, statistics, tm, variables, worker,
};
use crate::host::guard::{c_string, guard};
use crate::host::logging as log;
use crate::host::release::{self, Build, Version};
use crate::host::user::FurtherGroups;
use crate::host::{api, memory, module_flags, module_version, start, symbols, text};

/// Set once, right after the module was loaded: the functions the host's fixups need before
/// `init`.
static CORE: OnceLock<Core> = OnceLock::new();

/// Whether the process is Kamailio.
pub(in crate::host) fn is_host() -> bool {
    logging::core_text(c"ver_name") == "kamailio"
        && !symbols::of_core(c"sr_kemi_modules_add").is_null()
}

/// Fills the table at `exports`, which has room for it, and the version the loader compares.
/// In the constructor.
pub(in crate::host) fn fill(exports: *mut u64) {
    start::prepare(logging::write);
    let (version, flags) = own_build();
    module_version.store(version, Ordering::Relaxed);
    module_flags.store(flags, Ordering::Relaxed);
    let table = kamailio_exports {
        name: c"msrp_conference".as_ptr(),
        commands: commands(),
        parameters: parameters::table(),
        rpc_methods: management::table(),
        variables: variables::table(),
        init: init as abi::Init as *mut c_void,
        init_child: init_child as abi::InitChild as *mut c_void,
        destroy: destroy as abi::Destroy as *mut c_void,
        ..kamailio_exports::default()
    };
    // SAFETY: the caller's room is as large and as aligned as any host's table.
    unsafe { exports.cast::<kamailio_exports>().write(table) };
}

/// The version strings that every module of this host has: copied from one that is already loaded,
/// because 6.1's own `ver_flags` differs from the one its loader compares.
fn own_build() -> (*mut c_char, *mut c_char) {
    from_loaded_module().unwrap_or_else(|| {
        let text = |name| logging::core_text(name);
        let version = format!(
            "{} {} ({}/{})",
            text(c"ver_name"),
            text(c"ver_version"),
            text(c"ver_arch"),
            text(c"ver_os")
        );
        let flags = text(c"ver_flags")
            .replace(", DBG_QM_MALLOC", "")
            .replace(", DBG_F_MALLOC", "")
            .replace(", DBG_TLSF_MALLOC", "");
        (c_string(version).into_raw(), c_string(flags).into_raw())
    })
}

fn from_loaded_module() -> Option<(*mut c_char, *mut c_char)> {
    let list = symbols::of_core(c"get_loaded_modules");
    if list.is_null() {
        return None;
    }
    // SAFETY: the core's function has this type; a record's handle was given by dlopen and
    // the two symbols are variables of type `char *`.
    unsafe {
        let list = std::mem::transmute::<*mut c_void, abi::LoadedModules>(list);
        let first = list().as_ref()?;
        let text = |name: &CStr| {
            let variable = symbols::of_module(first.handle, name).cast::<*mut c_char>();
            variable.as_ref().copied().filter(|text| !text.is_null())
        };
        Some((text(c"module_version")?, text(c"module_flags")?))
    }
}

fn commands() -> *mut c_void {
    let command = kamailio_command {
        name: c"msrp_conference_handle".as_ptr(),
        function: worker::handle as abi::ScriptFunction as *mut c_void,
        routes: abi::REQUEST_ROUTE,
        ..kamailio_command::default()
    };
    let with_options = kamailio_command {
        parameter_count: 1,
        fixup: fix_argument as abi::FixArgument as *mut c_void,
        ..command
    };
    let interface = kamailio_command {
        name: c"load_msrp_conference".as_ptr(),
        function: api::load as *mut c_void,
        parameter_count: abi::NOT_IN_SCRIPTS,
        ..kamailio_command::default()
    };
    let table = [
        command,
        with_options,
        interface,
        kamailio_command::default(),
    ];
    ptr::from_mut(Box::leak(Box::new(table))).cast()
}

/// `KSR.msrp_conference.handle()` and `KSR.msrp_conference.handle_options("…")`.
fn kemi() -> *mut kamailio_kemi {
    let row = |name: &'static CStr, function: *mut c_void, argument| {
        let mut row = kamailio_kemi {
            module: literal(c"msrp_conference"),
            name: literal(name),
            result: abi::KEMI_INTEGER,
            function,
            ..kamailio_kemi::default()
        };
        row.parameters[0] = argument;
        row
    };
    let table = [
        row(
            c"handle",
            worker::handle_kemi as *mut c_void,
            abi::KEMI_NONE,
        ),
        row(
            c"handle_options",
            worker::handle_kemi_options as *mut c_void,
            abi::KEMI_TEXT,
        ),
        kamailio_kemi::default(),
    ];
    Box::leak(Box::new(table)).as_mut_ptr()
}

fn literal(text: &'static CStr) -> kamailio_text {
    kamailio_text {
        s: text.as_ptr().cast_mut(),
        len: text.count_bytes() as c_int,
    }
}

/// The series of the running host, if it is known.
fn known_series() -> Option<&'static Series> {
    let version = Version::find(&logging::core_text(c"ver_version"))?;
    release::look_up(SERIES, &version)
}

/// The series of the running host; `None` has logged the reason.
fn series() -> Option<&'static Series> {
    let own = |text: &AtomicPtr<c_char>| {
        // SAFETY: the constructor stored a C string that lives for ever, or null.
        unsafe { text::of_c(text.load(Ordering::Relaxed)) }
    };
    let build = Build {
        host: "Kamailio",
        version: own(&module_version),
        flags: own(&module_flags),
        revision: logging::core_text(c"ver_id").trim().to_owned(),
    };
    release::accept(&build, SERIES, &FLAGS)
}

/// Called right after the module was loaded: refuses an unknown host.
pub(in crate::host) fn register() -> bool {
    if series().is_none() {
        return false;
    }
    // SAFETY: the types in Core are those of every supported series.
    let core = match unsafe { Core::load(symbols::of_core) } {
        Ok(core) => *CORE.get_or_init(|| core),
        Err(error) => {
            log::error(error);
            return false;
        }
    };
    // SAFETY: the table lives for ever and ends with an empty row.
    unsafe { (core.add_kemi)(kemi()) >= 0 }
}

/// Called after all modules are loaded and all parameters set, before any fork.
unsafe extern "C" fn init() -> c_int {
    guard(-1, || match prepare() {
        Some(module) => {
            log::notice(format_args!(
                "{} {} in Kamailio {}",
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
                logging::core_text(c"ver_version")
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

/// Called in every process after its fork; the main process forks ours.
unsafe extern "C" fn init_child(rank: c_int) -> c_int {
    guard(-1, || match MODULE.get() {
        Some(module) if rank == abi::RANK_MAIN => process::fork(module),
        Some(_) => 0,
        None => -1,
    })
}

unsafe extern "C" fn destroy() {
    // Nothing to release: the conference process ends by itself.
}

fn prepare() -> Option<Module> {
    let series = known_series()?;
    let core = *CORE.get()?;
    memory::may_peek().map_err(log::error).ok()?;
    // SAFETY: the types in Sending are those of every supported series.
    let sending = unsafe { send::Sending::load(symbols::of_core) }
        .map_err(log::error)
        .ok()?;
    let (settings, bridge) = start::settings_and_bridge(FurtherGroups::OfTheUser)?;
    // SAFETY: init runs on the main thread after tm was loaded.
    let tm = unsafe { tm::Tm::of_host(core.find_module) }
        .map_err(log::error)
        .ok()?;
    // SAFETY: the host compares a C string.
    let tm_module = unsafe { (core.find_module)(c"tm".as_ptr()) };
    start_checks::check(tm_module, &tm)
        .map_err(log::error)
        .ok()?;
    let values = variables::Values::of_core().map_err(log::error).ok()?;
    let listeners = events::Listeners::look(&settings.event_callback)
        .map_err(log::error)
        .ok()?;
    let Some(identity) = parse_format(&core, &settings.identity) else {
        log::error(format_args!(
            "parameter identity: the host does not understand {:?} (is the module pv loaded?)",
            settings.identity
        ));
        return None;
    };
    // SAFETY: the host compares a C string; the table lives for ever.
    let (has_pv, registered) = unsafe {
        (
            !(core.find_module)(c"pv".as_ptr()).is_null(),
            (core.register_counters)(c"msrp_conference".as_ptr(), statistics::table()),
        )
    };
    if registered < 0 {
        log::error("the host does not take our statistics");
        return None;
    }
    // One process more, with its share of the configuration framework.
    // SAFETY: in mod_init, as the host wants it.
    unsafe { (core.register_basic_timers)(1) };
    Some(Module {
        series,
        core,
        tm,
        sending,
        settings,
        bridge,
        identity,
        listeners,
        values,
        advertised: has_pv.then(|| parse_format(&core, "$RAi $RAp")).flatten(),
    })
}

fn parse_format(core: &Core, text: &str) -> Option<Format> {
    // The host keeps pointers into the text.
    let owned = c_string(text).into_raw();
    let mut counted = kamailio_text {
        s: owned,
        len: text.len() as c_int,
    };
    let mut format = ptr::null_mut();
    // SAFETY: the text lives for ever and holds that many octets, if no NUL was left out.
    let parsed = unsafe { (core.parse_format)(&mut counted, &mut format) };
    (parsed >= 0 && !format.is_null()).then_some(Format(format))
}

/// Parses the script's argument, with pseudo-variables.
unsafe extern "C" fn fix_argument(argument: *mut *mut c_void, number: c_int) -> c_int {
    guard(-1, || match CORE.get() {
        // SAFETY: the host's own fixup, on what the host gave us.
        Some(core) => unsafe { (core.fix_argument)(argument, number) },
        None => -1,
    })
}
