//! The C interface for other modules of the same host, bound in the manner of tm's:
//! `find_export("load_msrp_conference", …)`. cbindgen writes `include/msrp_conference.h` from
//! this file; names are C's.

#![allow(non_camel_case_types)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{CString, c_char, c_int, c_void};
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use super::guard::{c_string, guard};
use super::{management, text};
use crate::bridge::Bridge;
use crate::focus::{Detail, Event, EventKind};
use crate::management::{Action, Answer, Argument, Call, Command, Value};

/// What is known of a room.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct msrp_conference_room {
    /// Users who are in.
    pub participants: u64,
    /// Subscriptions to the conference event package.
    pub subscribers: u64,
    /// Messages its participants have sent.
    pub messages: u64,
    /// 1: only moderators come in.
    pub locked: c_int,
    /// 1: it outlives its participants.
    pub lasting: c_int,
}

/// Something that happened in a room. Texts are good until the callback returns; what an event
/// has not is NULL or 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msrp_conference_event {
    /// The name of the event, as in docs/events.md.
    pub name: *const c_char,
    /// The room's URI.
    pub room: *const c_char,
    /// The user's address of record.
    pub user: *const c_char,
    /// join: the name to show.
    pub display: *const c_char,
    /// join: "participant", "moderator" or "observer".
    pub role: *const c_char,
    /// leave: "departed", "booted", "failed" or "busy".
    pub method: *const c_char,
    /// message: the wrapped content type.
    pub content_type: *const c_char,
    /// message: its octets, CPIM headers included.
    pub size: u64,
    /// message: 1 when it was for one participant.
    pub is_private: c_int,
}

/// Called in the conference process, on its main thread, for every event. It must not wait.
pub type msrp_conference_told =
    Option<unsafe extern "C" fn(event: *const msrp_conference_event, argument: *mut c_void)>;

/// The functions. Each returns 0, or a code like SIP's: 400 what was given is not understood,
/// 404 there is no such room or user, 409 it exists already (`listen`: it is too late), 503 the
/// conference process is busy, 504 it did not answer within two seconds, 500 anything else.
///
/// A worker that calls one waits for the answer. In the conference process (a callback) nothing
/// waits: what was ordered is carried out right after the callback, and 0 only says that it
/// was understood; `look_up` gives 503 there.
#[repr(C)]
pub struct msrp_conference_api {
    /// In: how large the caller's structure is, `sizeof(struct msrp_conference_api)`.
    pub size: usize,
    /// What is known of a room. Any process, after the fork.
    pub look_up: Option<
        unsafe extern "C" fn(room: *const c_char, found: *mut msrp_conference_room) -> c_int,
    >,
    /// Makes a room that lasts; `room` may bear the options of modparam `room`.
    pub create: Option<unsafe extern "C" fn(room: *const c_char) -> c_int>,
    /// Tells everybody in a room something, in its name.
    pub say: Option<unsafe extern "C" fn(room: *const c_char, text: *const c_char) -> c_int>,
    /// Takes a user out of a room.
    pub expel: Option<unsafe extern "C" fn(room: *const c_char, user: *const c_char) -> c_int>,
    /// Registers a callback; of messages it is told only if `messages` is not 0. In `mod_init`:
    /// after the fork the conference process would never know of it, which gives 409.
    pub listen: Option<
        unsafe extern "C" fn(
            told: msrp_conference_told,
            argument: *mut c_void,
            messages: c_int,
        ) -> c_int,
    >,
}

/// What `find_export("load_msrp_conference", …)` gives: fills the functions in. Returns 0, or -1
/// when the caller's structure is of another release.
pub type load_msrp_conference_f =
    Option<unsafe extern "C" fn(api: *mut msrp_conference_api) -> c_int>;

/// All registered callbacks, from before the fork.
static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());
static BRIDGE: OnceLock<&'static Bridge> = OnceLock::new();
/// The host's main process before it forks: the conference process inherits callbacks registered
/// there.
static MAIN_PROCESS: OnceLock<u32> = OnceLock::new();
/// The conference process is forked, or about to be.
static FORKED: AtomicBool = AtomicBool::new(false);
/// This is the conference process.
static INSIDE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Actions that callbacks ordered.
    static ORDERED: RefCell<VecDeque<Action>> = const { RefCell::new(VecDeque::new()) };
}

/// Orders that may wait: further ones of a callback in the same turn get 503.
const MAX_ORDERED: usize = 1_000;

#[derive(Clone, Copy)]
struct Listener {
    told: unsafe extern "C" fn(*const msrp_conference_event, *mut c_void),
    argument: *mut c_void,
    messages: bool,
}

// SAFETY: the argument is the other module's business; it is handed over on the main thread
// of a process alone.
unsafe impl Send for Listener {}

/// The way to the conference process, once there is one. In the host's main process.
pub(super) fn use_bridge(bridge: &'static Bridge) {
    let _ = BRIDGE.set(bridge);
    MAIN_PROCESS.get_or_init(process::id);
}

/// In the host's main process, right before it forks the conference process.
pub(super) fn before_fork() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Whether the conference process would miss a callback registered in this process now.
fn too_late() -> bool {
    // The flag misses processes that were forked before ours, the process id misses the main
    // process after the fork.
    FORKED.load(Ordering::Relaxed) || *MAIN_PROCESS.get_or_init(process::id) != process::id()
}

/// This is the conference process from now on.
pub(super) fn enter() {
    INSIDE.store(true, Ordering::Relaxed);
}

/// Actions that callbacks ordered since the last call.
pub(super) fn ordered() -> Vec<Action> {
    ORDERED.with_borrow_mut(|ordered| ordered.drain(..).collect())
}

/// Whether a callback subscribes to messages.
pub(super) fn want_messages() -> bool {
    LISTENERS
        .lock()
        .is_ok_and(|all| all.iter().any(|listener| listener.messages))
}

/// Calls every callback. On the main thread of the conference process.
pub(super) fn raise(event: &Event) {
    let listeners = LISTENERS.lock().map_or(Vec::new(), |all| all.clone());
    if listeners.is_empty() {
        return;
    }
    let texts = Texts::of(event);
    let told = texts.event(event);
    let is_message = event.kind() == EventKind::Message;
    for listener in listeners.iter().filter(|it| it.messages || !is_message) {
        // SAFETY: the other module registered this function for this argument; the event and
        // its texts live through the call.
        unsafe { (listener.told)(&told, listener.argument) };
    }
}

/// The texts of an event as C strings.
struct Texts(Vec<(&'static str, CString)>);

impl Texts {
    fn of(event: &Event) -> Self {
        let name = ("name", c_string(event.kind().info().name));
        let details = event.details().into_iter();
        let texts = details.filter_map(|(name, value)| match value {
            Detail::Text(text) => Some((name, c_string(text))),
            Detail::Number(_) => None,
        });
        Self([name].into_iter().chain(texts).collect())
    }

    fn event(&self, event: &Event) -> msrp_conference_event {
        let text = |wanted: &str| {
            let found = self.0.iter().find(|(name, _)| *name == wanted);
            found.map_or(ptr::null(), |(_, text)| text.as_ptr())
        };
        let number = |wanted: &str| {
            let details = event.details().into_iter();
            let mut numbers = details.filter_map(|(name, value)| match value {
                Detail::Number(number) if name == wanted => Some(number),
                _ => None,
            });
            numbers.next().unwrap_or_default()
        };
        msrp_conference_event {
            name: text("name"),
            room: text("room"),
            user: text("user"),
            display: text("display"),
            role: text("role"),
            method: text("method"),
            content_type: text("content_type"),
            size: number("size"),
            is_private: c_int::from(number("private") != 0),
        }
    }
}

/// Both hosts export it as `load_msrp_conference`.
pub(super) unsafe extern "C" fn load(api: *mut msrp_conference_api) -> c_int {
    guard(-1, || {
        // SAFETY: the other module passes its structure, or null.
        let Some(api) = (unsafe { api.as_mut() }) else {
            return -1;
        };
        let size = size_of::<msrp_conference_api>();
        if api.size < size {
            return -1;
        }
        *api = msrp_conference_api {
            size,
            look_up: Some(look_up),
            create: Some(create),
            say: Some(say),
            expel: Some(expel),
            listen: Some(listen),
        };
        0
    })
}

unsafe extern "C" fn look_up(room: *const c_char, found: *mut msrp_conference_room) -> c_int {
    guard(500, || {
        // SAFETY: the other module passes a C string, and room for the answer or null.
        let (room, found) = unsafe { (text::of_c(room), found.as_mut()) };
        if INSIDE.load(Ordering::Relaxed) {
            return 503;
        }
        match ask(Command::Show, &[&room, "1"]) {
            Ok(shown) => {
                if let Some(found) = found {
                    *found = read(&shown);
                }
                0
            }
            Err(fault) => c_int::from(fault.code),
        }
    })
}

unsafe extern "C" fn create(room: *const c_char) -> c_int {
    guard(500, || {
        // SAFETY: the other module passes a C string.
        let room = unsafe { text::of_c(room) };
        order(Command::Create, &[&room])
    })
}

unsafe extern "C" fn say(room: *const c_char, words: *const c_char) -> c_int {
    guard(500, || {
        // SAFETY: the other module passes C strings.
        let (room, words) = unsafe { (text::of_c(room), text::of_c(words)) };
        order(Command::Say, &[&room, &words])
    })
}

unsafe extern "C" fn expel(room: *const c_char, user: *const c_char) -> c_int {
    guard(500, || {
        // SAFETY: the other module passes C strings.
        let (room, user) = unsafe { (text::of_c(room), text::of_c(user)) };
        order(Command::Expel, &[&room, &user])
    })
}

unsafe extern "C" fn listen(
    told: msrp_conference_told,
    argument: *mut c_void,
    messages: c_int,
) -> c_int {
    guard(500, || {
        let (Some(told), Ok(mut all)) = (told, LISTENERS.lock()) else {
            return 400;
        };
        if too_late() {
            return 409;
        }
        all.push(Listener {
            told,
            argument,
            messages: messages != 0,
        });
        0
    })
}

fn call(command: Command, arguments: &[&str]) -> Call {
    let arguments = arguments.iter().copied().map(Argument::positional);
    Call {
        command,
        arguments: arguments.collect(),
    }
}

fn ask(command: Command, arguments: &[&str]) -> Answer {
    match BRIDGE.get() {
        Some(bridge) => management::ask(bridge, command, call(command, arguments).arguments),
        None => Err(crate::management::Fault::new(503, "before the fork")),
    }
}

fn order(command: Command, arguments: &[&str]) -> c_int {
    let outcome = if INSIDE.load(Ordering::Relaxed) {
        call(command, arguments).read().map(put_off)
    } else {
        ask(command, arguments).map(|_| 0)
    };
    outcome.unwrap_or_else(|fault| c_int::from(fault.code))
}

/// A callback runs in the middle of the focus' work, so its order waits until that is done.
fn put_off(action: Action) -> c_int {
    ORDERED.with_borrow_mut(|ordered| {
        if ordered.len() >= MAX_ORDERED {
            return 503;
        }
        ordered.push_back(action);
        0
    })
}

fn read(shown: &Value) -> msrp_conference_room {
    let number = |name| match shown.field(name) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    };
    let flag = |name| c_int::from(shown.field(name) == Some(&Value::Flag(true)));
    msrp_conference_room {
        participants: number("participants"),
        subscribers: number("subscribers"),
        messages: number("messages"),
        locked: flag("locked"),
        lasting: flag("lasting"),
    }
}
