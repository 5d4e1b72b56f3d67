//! Events run routes of the operator's script, in the conference process:
//! `event_route[msrp-conference:…]`, or the function of another script language that
//! `event_callback` names.

use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;

use super::abi::{self, kamailio_routes_prefix, kamailio_text};
use crate::focus::{EVENTS, Event, EventKind};
use crate::host::guard::c_string;
use crate::host::logging as log;
use crate::host::symbols::{self, MissingSymbol, host_symbols};
use crate::host::variables;

host_symbols! {
    /// Symbols needed to run a route.
    struct Functions {
        look_up: abi::LookUpRoute = c"route_lookup",
        routes: *mut kamailio_routes_prefix = c"event_rt",
        run: abi::RunRoute = c"run_top_route",
        empty_message: abi::EmptyMessage = c"faked_msg_get_next",
        kind: *mut c_int = c"route_type",
        before: abi::ScriptCallbacks = c"exec_pre_script_cb",
        after: abi::ScriptCallbacks = c"exec_post_script_cb",
        reset: abi::ResetEnvironment = c"ksr_msg_env_reset",
        language: abi::ScriptLanguage = c"sr_kemi_eng_get",
        run_function: abi::RunFunction = c"sr_kemi_ctx_route",
    }
}

/// The route of an event.
#[derive(Clone, Copy)]
struct Route {
    /// `msrp-conference:join` and so on.
    name: &'static CStr,
    /// Its number in the host's list, if the script has it.
    number: Option<usize>,
}

/// Room for the host's record of a run, which is smaller than this.
#[repr(C, align(16))]
struct Run(MaybeUninit<[u8; 512]>);

/// The routes of the script, or its function, that events run.
#[derive(Clone, Copy)]
pub(super) struct Listeners {
    functions: Functions,
    /// In the order of [`EVENTS`].
    routes: [Route; EVENTS.len()],
    /// The function to call instead of all routes.
    callback: Option<&'static CStr>,
}

impl Listeners {
    /// Looks the routes up. After the script was read, before any fork.
    pub(super) fn look(callback: &str) -> Result<Self, MissingSymbol> {
        // SAFETY: the types in Functions are those of every supported series.
        let functions = unsafe { Functions::load(symbols::of_core)? };
        let leak = |text: String| &*Box::leak(c_string(text).into_boxed_c_str());
        let routes = std::array::from_fn(|number| {
            // The host's grammar allows no underscore before the colon.
            let name = leak(format!("msrp-conference:{}", EVENTS[number].name));
            // SAFETY: the host looks a C string up in its own list.
            let found = unsafe { (functions.look_up)(functions.routes.cast(), name.as_ptr()) };
            let number = usize::try_from(found).ok();
            Route { name, number }
        });
        let callback = (!callback.is_empty()).then(|| leak(callback.to_owned()));
        Ok(Self {
            functions,
            routes,
            callback,
        })
    }

    /// Whether the script subscribes to messages.
    pub(super) fn wants_messages(&self) -> bool {
        self.callback.is_some() || self.routes[EventKind::Message as usize].number.is_some()
    }

    /// Runs the route of the event, or the function.
    ///
    /// # Safety
    /// On the main thread of the conference process, outside any other host call.
    pub(super) unsafe fn raise(&self, event: &Event) {
        let route = self.routes[event.kind() as usize];
        // SAFETY: the caller's promise.
        variables::during(event, || unsafe {
            match (self.callback, route.number) {
                (Some(function), _) => self.call(function, route.name),
                (None, Some(number)) => self.run(number),
                (None, None) => {}
            }
        });
    }

    /// # Safety
    /// As for [`Self::raise`].
    unsafe fn run(&self, route: usize) {
        let mut run = Run(MaybeUninit::zeroed());
        // SAFETY: the host gave the number for this list; an empty route is null. The message
        // is the host's own, made for such runs; the record of the run is larger here.
        unsafe {
            let actions = (*self.functions.routes).actions.add(route).read();
            let message = (self.functions.empty_message)();
            if actions.is_null() || message.is_null() {
                return;
            }
            self.as_event(message, || {
                (self.functions.run)(actions, message, run.0.as_mut_ptr().cast());
            });
        }
    }

    /// # Safety
    /// As for [`Self::raise`].
    unsafe fn call(&self, function: &'static CStr, name: &'static CStr) {
        let mut run = Run(MaybeUninit::zeroed());
        let counted = |text: &'static CStr| kamailio_text {
            s: text.as_ptr().cast_mut(),
            len: text.count_bytes() as c_int,
        };
        let (mut function, mut name) = (counted(function), counted(name));
        // SAFETY: the engine is the host's own, or null when the script is not in another
        // language; texts and record live through the call.
        unsafe {
            let language = (self.functions.language)();
            let message = (self.functions.empty_message)();
            if language.is_null() || message.is_null() {
                log::warning_in_a_flood("event_callback: no script language is loaded");
                return;
            }
            self.as_event(message, || {
                let run: *mut c_void = run.0.as_mut_ptr().cast();
                let kind = abi::EVENT_ROUTE;
                let run_function = self.functions.run_function;
                let done = run_function(language, run, message, kind, &mut function, &mut name);
                if done < 0 {
                    log::warning_in_a_flood("event_callback failed");
                }
            });
        }
    }

    /// Runs a script as a worker does for a message: with the callbacks of other modules before and
    /// after it, and with a cleanup for the next run (AVPs and their like lie in shared memory, and
    /// nothing else in this process frees them).
    ///
    /// # Safety
    /// As for [`Self::raise`].
    unsafe fn as_event(&self, message: *mut abi::Message, run: impl FnOnce()) {
        let functions = &self.functions;
        // SAFETY: as the caller promises; the kind is a variable of this process.
        unsafe {
            let kind = *functions.kind;
            if (functions.before)(message, abi::REQUEST_CALLBACKS) > 0 {
                functions.kind.write(abi::EVENT_ROUTE);
                run();
                (functions.after)(message, abi::REQUEST_CALLBACKS);
            }
            functions.kind.write(kind);
            (functions.reset)();
        }
    }
}
