//! The C border to Kamailio: structures from `include/kamailio.h`, function types, numbers.
//! Names with the prefix `kamailio_` lie in the host's memory.

//! Every function type here has a row in `openser-module/abi_check.c`, which compares it with
//! the host's own prototype; `tests/abi.rs` compares the two.

// Only the files beside this one see it.
#![allow(unreachable_pub)]

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};

pub use declarations::*;

/// What bindgen writes: C's names, fields that nobody here reads, zeros for defaults.
#[allow(non_camel_case_types, dead_code, clippy::undocumented_unsafe_blocks)]
mod declarations {
    include!(concat!(env!("OUT_DIR"), "/kamailio.rs"));
}

pub type Message = c_void;
pub type Transaction = c_void;

/// Needs: the modules are loaded.
pub type FindModule = unsafe extern "C" fn(*const c_char) -> *mut kamailio_module_prefix;
/// Needs: nothing beyond the main thread.
pub type FindSocket = unsafe extern "C" fn(*mut kamailio_text, u16, u16) -> *mut c_void;
/// Id, the peer's address and port, our address and port, protocol (newer releases).
/// Needs: the host has a socket of that protocol, or the table does not exist.
pub type FindConnection = unsafe extern "C" fn(
    c_int,
    *mut kamailio_address,
    c_int,
    *mut kamailio_address,
    c_int,
    c_int,
) -> c_int;
/// Needs: an address of `sockaddr_storage`'s size.
pub type DefaultSocket =
    unsafe extern "C" fn(*mut c_void, *mut c_void, c_int, *mut c_int) -> *mut c_void;
/// Needs: nothing.
pub type LoadedModules = unsafe extern "C" fn() -> *mut kamailio_module_prefix;
/// Needs: `init`, after all modules are loaded (pv among them); the text lives for ever.
pub type ParseFormat = unsafe extern "C" fn(*mut kamailio_text, *mut *mut c_void) -> c_int;
/// Needs: the message a script works on; it parses headers by itself.
pub type PrintFormat =
    unsafe extern "C" fn(*mut Message, *mut c_void, *mut c_char, *mut c_int) -> c_int;
/// Needs: the host's own argument, while it reads its script.
pub type FixArgument = unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int;
/// Needs: what `FixArgument` made, and the message a script works on.
pub type Argument = unsafe extern "C" fn(*mut kamailio_text, *mut Message, *mut c_void) -> c_int;
/// Needs: `init`.
pub type RegisterBasicTimers = unsafe extern "C" fn(c_int) -> c_int;
pub type TimerFunction = unsafe extern "C" fn(c_uint, *mut c_void);
/// Needs: `init_child` of the main process; the name lives for ever.
pub type ForkBasicTimer =
    unsafe extern "C" fn(c_int, *const c_char, c_int, TimerFunction, *mut c_void, c_int) -> c_int;
/// Needs: `init`; the table lives for ever.
pub type RegisterCounters = unsafe extern "C" fn(*const c_char, *mut kamailio_counter) -> c_int;
pub type RpcMethod = unsafe extern "C" fn(*const kamailio_rpc, *mut c_void);
/// Needs: a command that runs in this process, with nothing answered yet; text is an argument
/// of `%s`.
pub type RpcFault = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, ...);
/// Needs: as for `RpcFault`; arguments as the letters of the format say.
pub type RpcVariadic = unsafe extern "C" fn(*mut c_void, *const c_char, ...) -> c_int;
/// Needs: the script was read.
pub type LookUpRoute = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
/// Needs: a record of the run, zeroed; `route_type` set; the environment reset afterwards, or
/// what a route sets stays for the next.
pub type RunRoute = unsafe extern "C" fn(*mut c_void, *mut Message, *mut c_void) -> c_int;
/// Needs: nothing beyond the main thread; the next call gives it back.
pub type EmptyMessage = unsafe extern "C" fn() -> *mut Message;
/// Needs: the message of the script that is about to run, or has run.
pub type ScriptCallbacks = unsafe extern "C" fn(*mut Message, c_int) -> c_int;
/// Needs: no script that runs in this process.
pub type ResetEnvironment = unsafe extern "C" fn();
/// Needs: nothing.
pub type ScriptLanguage = unsafe extern "C" fn() -> *mut c_void;
/// Needs: as for `RunRoute`; the language was loaded.
pub type RunFunction = unsafe extern "C" fn(
    *mut c_void,
    *mut c_void,
    *mut Message,
    c_int,
    *mut kamailio_text,
    *mut kamailio_text,
) -> c_int;
/// Needs: before the script is read; the table lives for ever.
pub type AddKemi = unsafe extern "C" fn(*mut kamailio_kemi) -> c_int;
/// Needs: a variable's getter that the host has called.
pub type NoValue = unsafe extern "C" fn(*mut Message, *mut c_void, *mut c_void) -> c_int;
/// Needs: as for `NoValue`; the text lives until the getter is called again.
pub type TextValue =
    unsafe extern "C" fn(*mut Message, *mut c_void, *mut c_void, *mut kamailio_text) -> c_int;
/// The number is an int in 5.6: it takes the lower half of what we pass.
/// Needs: as for `TextValue`.
pub type NumberValue = unsafe extern "C" fn(
    *mut Message,
    *mut c_void,
    *mut c_void,
    c_long,
    *mut kamailio_text,
) -> c_int;
/// Needs: `init`: a message of our own.
pub type AddLump =
    unsafe extern "C" fn(*mut Message, *mut c_char, c_int, c_int) -> *mut *mut c_void;
/// Needs: lumps that `AddLump` gave.
pub type ReleaseLumps = unsafe extern "C" fn(*mut *mut c_void);

// What the host calls.
pub type Init = unsafe extern "C" fn() -> c_int;
pub type InitChild = unsafe extern "C" fn(c_int) -> c_int;
pub type Destroy = unsafe extern "C" fn();
pub type ScriptFunction = unsafe extern "C" fn(*mut Message, *mut c_void, *mut c_void) -> c_int;
pub type SetParameter = unsafe extern "C" fn(c_uint, *mut c_void) -> c_int;
/// Its first argument is a structure of two octets, by value.
pub type ReadCounter = unsafe extern "C" fn(u16, *mut c_void) -> c_long;
pub type ParseVariable =
    unsafe extern "C" fn(*mut kamailio_variable_use_prefix, *const kamailio_text) -> c_int;
pub type GetVariable = unsafe extern "C" fn(
    *mut Message,
    *const kamailio_variable_parameter_prefix,
    *mut c_void,
) -> c_int;

/// Needs: a request that a script works on, and no transaction of it yet. It parses and checks
/// the headers.
pub type NewTransaction = unsafe extern "C" fn(*mut Message) -> c_int;
/// Needs: nothing; what it gives is this process' own until the script ends.
pub type CurrentTransaction = unsafe extern "C" fn() -> *mut kamailio_transaction_prefix;
/// Needs: a referenced transaction, or none.
pub type SetCurrentTransaction = unsafe extern "C" fn(*mut Transaction, c_int);
/// Needs: a current transaction that has no final answer.
pub type AddBlindBranch = unsafe extern "C" fn() -> c_int;
/// Needs: a referenced transaction and a message of this process alone: headers and body hang
/// from it meanwhile.
pub type Reply =
    unsafe extern "C" fn(*mut Transaction, *mut Message, c_uint, *const c_char) -> c_int;
/// Needs: nothing beyond the main thread; a found transaction is referenced for us and becomes
/// the current one, which must not stay so.
pub type LookUpIds = unsafe extern "C" fn(*mut *mut Transaction, c_uint, c_uint) -> c_int;
/// Needs: a reference that is ours.
pub type ReleaseReference = unsafe extern "C" fn(*mut Transaction);
/// Needs: a CANCEL; it checks the headers by itself.
pub type CancelledIds = unsafe extern "C" fn(*mut Message, *mut c_uint, *mut c_uint) -> c_int;
/// Needs: headers that tm has parsed.
pub type ReplyToTag = unsafe extern "C" fn(*mut Message, *mut kamailio_text) -> c_int;
/// Needs: a next hop that is an address, or it asks name servers; the current transaction may
/// change.
pub type SendRequest = unsafe extern "C" fn(*mut kamailio_request) -> c_int;
/// Needs: the transaction it is for is the current one.
pub type SetTimeouts = unsafe extern "C" fn(*mut Message, c_uint, c_uint) -> c_int;
/// Needs: a referenced transaction of ours, which is the current one.
pub type CancelBranches = unsafe extern "C" fn(*mut Transaction, c_int) -> c_int;
/// Needs: a transaction that no other process answers yet: its list has no lock.
pub type RegisterCallback = unsafe extern "C" fn(
    *mut Message,
    *mut Transaction,
    c_int,
    Callback,
    *mut c_void,
    *mut c_void,
) -> c_int;
pub type Callback = unsafe extern "C" fn(*mut Transaction, c_int, *mut kamailio_event);
/// Call-ID, local tag, CSeq, From, To, and the place for the result.
/// Needs: `init`, after tm's.
pub type MakeDialog = unsafe extern "C" fn(
    *mut kamailio_text,
    *mut kamailio_text,
    c_uint,
    *mut kamailio_text,
    *mut kamailio_text,
    *mut *mut kamailio_dialog,
) -> c_int;
/// Needs: a dialog that `MakeDialog` gave; texts that live through the call.
pub type SetDialogTarget =
    unsafe extern "C" fn(*mut kamailio_dialog, *mut kamailio_text, *mut kamailio_text) -> c_int;
/// Needs: a dialog that `MakeDialog` gave.
pub type ReleaseDialog = unsafe extern "C" fn(*mut kamailio_dialog);

/// `kamailio_parameter.kind`.
pub const TEXT: c_uint = 1;
pub const INTEGER: c_uint = 2;
pub const BY_FUNCTION: c_uint = 1 << 31;
/// `kamailio_command.parameter_count`: for other modules only.
pub const NOT_IN_SCRIPTS: c_int = -1;
/// `kamailio_command.routes`: the request route.
pub const REQUEST_ROUTE: c_uint = 1;
/// `kamailio_kemi`: nothing, an integer, counted text.
pub const KEMI_NONE: c_int = 0;
pub const KEMI_INTEGER: c_int = 1;
pub const KEMI_TEXT: c_int = 2;
/// `kamailio_rpc_method.flags`: the answer is a list, however long.
pub const RETURNS_ARRAY: c_uint = 1;
/// `kamailio_variable.kind`: none that the host itself knows.
pub const OWN_VARIABLE: c_int = 1000;
/// Kinds of routes: the request route and what it calls; a failure route, as which a suspended
/// script is resumed.
pub const PLAIN_ROUTE: c_int = 1;
pub const FAILURE_ROUTE: c_int = 2;
/// Callbacks around a script: those of requests.
pub const REQUEST_CALLBACKS: c_int = 1;
/// The kind of route that events run.
pub const EVENT_ROUTE: c_int = 513;
/// Ranks of processes.
pub const RANK_MAIN: c_int = 0;
pub const RANK_RPC: c_int = -2;
/// `kamailio_message_prefix.kind`: a request.
pub const REQUEST: i16 = 1;
/// The same for a response.
pub const RESPONSE: i16 = 2;
/// `kamailio_dialog.state`: confirmed.
pub const CONFIRMED: c_int = 2;
/// A connection of any transport.
pub const ANY_PROTOCOL: c_int = 0;
/// No transaction, no branch.
pub const NO_TRANSACTION: *mut Transaction = usize::MAX as *mut Transaction;
pub const UNDEFINED_BRANCH: c_int = -1;
/// `kamailio_reply_lump.flags`: header lines, body.
pub const HEADER_LUMP: c_int = 2;
pub const BODY_LUMP: c_int = 4;
/// Event: a request of ours ended; it got a response, provisional or not.
pub const LOCAL_COMPLETED: c_int = 1 << 10;
pub const LOCAL_RESPONSE: c_int = 1 << 14;
/// Event: a CANCEL for the transaction came.
pub const CANCELLED: c_int = 1 << 18;
/// In place of a response: tm made the code up.
pub const FAKED_RESPONSE: usize = usize::MAX;
