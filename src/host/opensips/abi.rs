//! The C border to OpenSIPS: structures from `include/opensips.h`, function types, numbers.
//! Names with the prefix `opensips_` lie in the host's memory.

//! Every function type here has a row in `openser-module/abi_check.c`, which compares it with
//! the host's own prototype; `tests/abi.rs` compares the two.

// Only the files beside this one see it.
#![allow(unreachable_pub)]

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

pub use declarations::*;

/// What bindgen writes: C's names, fields that nobody here reads, zeros for defaults.
#[allow(non_camel_case_types, dead_code, clippy::undocumented_unsafe_blocks)]
mod declarations {
    include!(concat!(env!("OUT_DIR"), "/opensips.rs"));
}

pub type Message = c_void;
pub type Transaction = c_void;

/// Needs: the modules are loaded.
pub type FindExport = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
/// Needs: nothing beyond the main thread; `sockets_mgm` may close what was found.
pub type FindSocket = unsafe extern "C" fn(*const opensips_text, u16, u16, c_int) -> *mut c_void;
/// Needs: `init`, after all modules are loaded; the text lives for ever.
pub type ParseFormat = unsafe extern "C" fn(*const opensips_text, *mut *mut c_void) -> c_int;
/// Needs: the message a script works on; it parses headers by itself.
pub type PrintFormat =
    unsafe extern "C" fn(*mut Message, *mut c_void, *mut c_char, *mut c_int) -> c_int;
/// Needs: this process' own pipe, readable. While the host ends it does not return.
pub type HandleJob = unsafe extern "C" fn(c_int);
pub type Job = unsafe extern "C" fn(c_int, *mut c_void);
/// Needs: a process number of the host; may wait for a full pipe.
pub type SendJob = unsafe extern "C" fn(c_int, Job, *mut c_void) -> c_int;
/// Needs: nothing beyond the main thread.
pub type MakeMessage = unsafe extern "C" fn() -> *mut Message;
/// Needs: a message that `MakeMessage` gave.
pub type ReleaseMessage = unsafe extern "C" fn(*mut Message);
/// Needs: a message that `MakeMessage` gave, or the one a script works on.
pub type SetRequestUri = unsafe extern "C" fn(*mut Message, *const opensips_text) -> c_int;
/// Needs: a format of the host's own, and its message.
pub type NumberValue =
    unsafe extern "C" fn(*mut Message, *mut c_void, *mut opensips_variable_value, c_uint) -> c_int;
/// Needs: nothing beyond the main thread; every success is followed by one `PopContext`.
pub type PushContext = unsafe extern "C" fn() -> c_int;
/// Needs: a context that was pushed, still on top.
pub type PopContext = unsafe extern "C" fn() -> c_int;
/// Needs: nothing.
pub type CoreStatus = unsafe extern "C" fn() -> c_int;

/// Needs: tm is loaded; a table with room for the newest tm's.
pub type LoadTm = unsafe extern "C" fn(*mut opensips_tm) -> c_int;
/// The second argument: whether the request is copied whole at once.
/// Needs: a request that a script works on, in the request route, and no transaction of it yet.
/// It parses and checks the headers.
pub type NewTransaction = unsafe extern "C" fn(*mut Message, c_int) -> c_int;
/// Needs: the current transaction's copy, which no other process reads or changes yet.
pub type CompleteCopy = unsafe extern "C" fn(*mut Message, *mut Message) -> c_int;
/// Needs: the message's current transaction; no lock on its replies (a failure route has it); a
/// context.
pub type Reply =
    unsafe extern "C" fn(*mut Transaction, *mut Message, c_uint, *const opensips_text) -> c_int;
/// Needs: a referenced transaction; no lock on its replies; a context.
pub type ReplyWithBody = unsafe extern "C" fn(
    *mut Transaction,
    c_uint,
    *const opensips_text,
    *const opensips_text,
    *const opensips_text,
    *const opensips_text,
) -> c_int;
/// Needs: nothing beyond the main thread; a found transaction is referenced for us.
pub type LookUpIds = unsafe extern "C" fn(*mut *mut Transaction, c_uint, c_uint) -> c_int;
/// Needs: a context; script routes in this process (`PROCESS_NEEDS_SCRIPT`); a next hop that is
/// an address, or it asks name servers; no wait for a connection, so a worker where there may
/// be one.
pub type RequestWithin = unsafe extern "C" fn(
    *const opensips_text,
    *const opensips_text,
    *const opensips_text,
    *mut opensips_dialog,
    Callback,
    *mut c_void,
    *mut c_void,
) -> c_int;
/// Needs: nothing; what it gives is this process' own until the script ends.
pub type CurrentTransaction = unsafe extern "C" fn() -> *mut opensips_transaction_prefix;
/// Needs: a reference that is ours.
pub type ReleaseReference = unsafe extern "C" fn(*mut Transaction);
/// Needs: Via, Call-ID and CSeq that tm has parsed and checked (`NewTransaction`): it reads
/// them without a look.
pub type LookUpCancelled = unsafe extern "C" fn(*mut Message) -> *mut opensips_transaction_prefix;
/// Needs: a referenced transaction of ours; a context.
pub type CancelTransaction = unsafe extern "C" fn(*mut Transaction, *const opensips_text) -> c_int;
/// Needs: a referenced transaction, and no other that a caller of ours works with.
pub type SetCurrentTransaction = unsafe extern "C" fn(*mut Transaction);
/// Needs: the transaction it is for is the current one.
pub type SetVariable =
    unsafe extern "C" fn(*mut Message, *mut c_void, c_int, *mut opensips_variable_value) -> c_int;
/// Needs: a current transaction, before the script ends.
pub type SetKeptReason = unsafe extern "C" fn(c_int);
/// Needs: a transaction that no other process answers yet: its list has no lock.
pub type RegisterCallback = unsafe extern "C" fn(
    *mut Message,
    *mut Transaction,
    c_int,
    Callback,
    *mut c_void,
    *mut c_void,
) -> c_int;
pub type Callback = unsafe extern "C" fn(*mut Transaction, c_int, *mut opensips_event);
/// From, To, Request-URI, Call-ID, a socket, and the place for the result.
/// Needs: `init`, after tm's.
pub type MakeDialog = unsafe extern "C" fn(
    *const opensips_text,
    *const opensips_text,
    *const opensips_text,
    *const opensips_text,
    *const c_void,
    *mut *mut opensips_dialog,
) -> c_int;
/// Needs: a dialog that `MakeDialog` gave.
pub type ReleaseDialog = unsafe extern "C" fn(*mut opensips_dialog);

// What the host calls.
pub type Init = unsafe extern "C" fn() -> c_int;
pub type Destroy = unsafe extern "C" fn();
pub type ScriptFunction = unsafe extern "C" fn(*mut Message, *const opensips_text) -> c_int;
pub type SetParameter = unsafe extern "C" fn(c_uint, *mut c_void) -> c_int;
pub type BeforeFork = unsafe extern "C" fn() -> c_int;
pub type RunProcess = unsafe extern "C" fn(c_int);
pub type ReadStatistic = unsafe extern "C" fn(*mut c_void) -> c_ulong;
pub type ParseVariable =
    unsafe extern "C" fn(*mut opensips_variable_use_prefix, *const opensips_text) -> c_int;
pub type GetVariable = unsafe extern "C" fn(
    *mut Message,
    *const opensips_variable_parameter_prefix,
    *mut opensips_variable_value,
) -> c_int;

/// Needs: room in the core's pipe, or it waits; the function is at the same place in every
/// process.
pub type DispatchJob = unsafe extern "C" fn(Job, *mut c_void) -> c_int;
/// Id, address, port, protocol, no more about it, the connection; then, up to 3.6, room for a
/// file; then a socket. 4.0 has no file and takes our null for one as the socket.
/// Needs: the host has a socket of that protocol, or the table does not exist; no place for a
/// file, or it waits for the TCP process.
pub type FindConnection = unsafe extern "C" fn(
    c_uint,
    *mut opensips_address,
    c_int,
    c_int,
    *mut c_void,
    *mut *mut c_void,
    *mut c_int,
    *const c_void,
) -> c_int;
/// Needs: a connection that `FindConnection` gave.
pub type ReleaseConnection = unsafe extern "C" fn(*mut c_void, c_int);
/// Needs: an address of `sockaddr_storage`'s size; null for the message.
pub type DefaultSocket = unsafe extern "C" fn(*mut Message, *const c_void, c_int) -> *const c_void;

pub type ManagementCommand =
    unsafe extern "C" fn(*const opensips_arguments, *mut c_void) -> *mut c_void;
/// Needs: a command that runs in this process.
pub type BeginAnswer = unsafe extern "C" fn(*mut *mut c_void) -> *mut c_void;
/// Needs: as for `BeginAnswer`.
pub type AnswerText = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
/// Needs: as for `BeginAnswer`.
pub type AnswerError =
    unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, c_int) -> *mut c_void;
/// Needs: an item of the answer that is being made.
pub type AddText =
    unsafe extern "C" fn(*mut c_void, *mut c_char, c_int, *const c_char, c_int) -> c_int;
/// Needs: as for `AddText`.
pub type AddNumber = unsafe extern "C" fn(*mut c_void, *mut c_char, c_int, f64) -> c_int;
/// Needs: as for `AddText`.
pub type AddFlag = unsafe extern "C" fn(*mut c_void, *mut c_char, c_int, c_int) -> c_int;
/// Needs: as for `AddText`.
pub type AddNull = unsafe extern "C" fn(*mut c_void, *mut c_char, c_int) -> c_int;
/// Needs: as for `AddText`.
pub type AddItem = unsafe extern "C" fn(*mut c_void, *mut c_char, c_int) -> *mut c_void;
/// Needs: `init`; the name lives for ever.
pub type PublishEvent = unsafe extern "C" fn(opensips_text) -> c_int;
/// Needs: a published event.
pub type ProbeEvent = unsafe extern "C" fn(c_int) -> c_int;
/// Needs: no list that is being filled: the host has one.
pub type NewDetails = unsafe extern "C" fn() -> *mut c_void;
/// Needs: the list of `NewDetails`; name and value live until it is raised.
pub type AddDetail =
    unsafe extern "C" fn(*mut c_void, *const opensips_text, *const c_void, c_int) -> c_int;
/// Needs: the list of `NewDetails`, which goes back to the host; a context.
pub type RaiseEvent = unsafe extern "C" fn(c_int, *mut c_void) -> c_int;

/// `opensips_json.kind`, without the bits of how it is stored.
pub const JSON_KINDS: c_int = 0xff;
pub const JSON_NUMBER: c_int = 8;
pub const JSON_TEXT: c_int = 16;
/// What the value of an event's detail is.
pub const EVENT_NUMBER: c_int = 1;
pub const EVENT_TEXT: c_int = 2;
/// `opensips_variable_value.flags`: its number counts.
pub const NUMBER: c_int = 8;
/// No current transaction.
pub const NO_TRANSACTION: *mut Transaction = usize::MAX as *mut Transaction;
/// `opensips_variable.kind`; the host adds to it what it takes for itself.
pub const OWN_VARIABLE: c_int = 1000;
/// `opensips_exports.kind`: an ordinary module.
pub const ORDINARY_MODULE: c_int = 1;
/// `opensips_dependency.action`: the start fails without it.
pub const REQUIRED: c_uint = 4;
/// `opensips_command_parameter.flags`: text, pseudo-variables expanded; may be left out.
pub const OPTIONAL_TEXT: c_int = 2 | 16;
/// `opensips_command.routes`: the request route.
pub const REQUEST_ROUTE: c_int = 1;
/// `opensips_parameter.kind`.
pub const TEXT: c_uint = 1;
pub const INTEGER: c_uint = 2;
pub const BY_FUNCTION: c_uint = 1 << 31;
/// `opensips_statistic.flags`: `value` is a function; no reset.
pub const STATISTIC_FUNCTION: u16 = 8 | 1;
/// `opensips_process.flags`: its pipe is served; it may run script (tm does, for us).
pub const PROCESS_HAS_PIPE: c_uint = 2;
pub const PROCESS_NEEDS_SCRIPT: c_uint = 4;
/// The modules prepare it, as they do a worker: event transports open their sockets then.
pub const PROCESS_IS_PREPARED: c_uint = 1;
/// `opensips_message_prefix.kind`: a request.
pub const REQUEST: c_int = 1;
/// The same for a response.
pub const RESPONSE: c_int = 2;
/// tm's number for "out of memory".
pub const OUT_OF_MEMORY: c_int = -2;
/// The core's status while it shuts down.
pub const TERMINATING: c_int = -2;
/// `opensips_dialog.state`: confirmed.
pub const CONFIRMED: c_int = 2;
/// Why tm keeps a transaction after the script: as if it had been forwarded.
pub const FORWARDED: c_int = 1;
/// `opensips_dialog.transaction_flags`: provisional responses are reported too.
pub const PASS_PROVISIONAL: c_uint = 64;
/// Event: a request of ours got a response, provisional or not, or ended without.
pub const LOCAL_COMPLETED: c_int = 1 << 8;
/// Event: a CANCEL for the transaction came.
pub const CANCELLED: c_int = 1 << 11;
/// In place of a response: tm made the code up.
pub const FAKED_RESPONSE: usize = usize::MAX;
