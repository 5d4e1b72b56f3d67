//! Whether OpenSIPS' memory is laid out as our declarations and the row of its series say.
//!
//! Most is known in `init`: the host makes a message, a dialog, a value, and its own tables
//! stand in tm. The rest shows with the first request, in the conference process, and with each
//! response.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::{
    self, opensips_command, opensips_dialog, opensips_event, opensips_exports,
    opensips_management_prefix, opensips_message_prefix, opensips_parameter, opensips_reception,
    opensips_statistic, opensips_text, opensips_transaction_prefix, opensips_variable,
    opensips_variable_value,
};
use super::series::Series;
use super::tm::Tm;
use super::{Core, worker};
use crate::host::layout::{LayoutError, row, same, see, see_c_text, see_text};
use crate::host::symbols::{self, host_symbols};
use crate::host::{fds, text};

host_symbols! {
    /// What the core makes for the checks.
    struct Maker {
        message: abi::MakeMessage = c"get_dummy_sip_msg",
        release_message: abi::ReleaseMessage = c"release_dummy_sip_msg",
        set_request_uri: abi::SetRequestUri = c"set_ruri",
        number: abi::NumberValue = c"pv_get_uintval",
    }
}

/// Text for a call: the host copies it.
fn borrowed(text: &str) -> opensips_text {
    opensips_text {
        s: text.as_ptr().cast_mut().cast(),
        len: text.len() as c_int,
    }
}

/// A text in the host's memory must be this one.
fn same_text(what: &'static str, found: opensips_text, wanted: &str) -> Result<(), LayoutError> {
    same(what, see_text(what, found.s, found.len)?.as_str(), wanted)
}

/// Everything that can be known before the first fork. In `init`, after tm's.
pub(super) fn check(series: &Series, tm: &Tm) -> Result<(), LayoutError> {
    // SAFETY: the types in Maker are those of every supported series.
    let maker = unsafe { Maker::load(symbols::of_core)? };
    // SAFETY: on the main thread, after tm's own `init`.
    unsafe {
        value(&maker)?;
        message(&maker, series)?;
        dialog(tm)?;
        tables(tm, series)
    }
}

/// # Safety
/// As for [`check`].
unsafe fn value(maker: &Maker) -> Result<(), LayoutError> {
    const WHAT: &str = "the value of a pseudo-variable";
    let mut value = opensips_variable_value::default();
    // SAFETY: the host fills a value, and looks at neither message nor name.
    unsafe { (maker.number)(ptr::null_mut(), ptr::null_mut(), &mut value, 4711) };
    same(WHAT, (value.integer, value.flags), (4711, 4 | 8 | 16))?;
    same_text(WHAT, value.text, "4711")
}

/// # Safety
/// As for [`check`].
unsafe fn message(maker: &Maker, series: &Series) -> Result<(), LayoutError> {
    // SAFETY: the host lends a message it made, and takes it back.
    unsafe {
        let message = (maker.message)();
        if message.is_null() {
            return Err(LayoutError::new("a message", "the host makes none"));
        }
        let checked = made_message(maker, series, message);
        (maker.release_message)(message);
        checked
    }
}

/// # Safety
/// As for [`check`]; the host made the message.
unsafe fn made_message(
    maker: &Maker,
    series: &Series,
    message: *mut abi::Message,
) -> Result<(), LayoutError> {
    const PREFIX: &str = "the start of a message";
    const BUFFER: &str = "the buffer of a message";
    const LENGTH: &str = "the length of a message";
    const RECEPTION: &str = "the reception of a message";
    const URI: &str = "the Request-URI of a message, as the script changed it";
    let base = message as usize;
    // SAFETY: any octets are what is looked at here; the host copies the URI.
    unsafe {
        let prefix: opensips_message_prefix = see(PREFIX, base)?;
        same(PREFIX, prefix.kind, abi::REQUEST)?;
        let buffer: *mut c_char = see(BUFFER, base + series.message_buffer)?;
        same(BUFFER, buffer, prefix.method.s)?;
        let length: u32 = see(LENGTH, base + series.message_length)?;
        same(LENGTH, length as usize, see_c_text(BUFFER, buffer)?.len())?;
        let reception: opensips_reception = see(RECEPTION, base + series.message_reception)?;
        let families = [reception.source.family, reception.destination.family];
        same(RECEPTION, families, [libc::AF_INET as u32; 2])?;
        (maker.set_request_uri)(message, &borrowed("sip:layout@invalid"));
        let uri = see(URI, base + series.message_new_uri)?;
        same_text(URI, uri, "sip:layout@invalid")
    }
}

/// What a dialog is made with.
const FROM: &str = "sip:from@invalid";
const TO: &str = "sip:to@invalid";
const TARGET: &str = "sip:target@invalid";

/// # Safety
/// As for [`check`].
unsafe fn dialog(tm: &Tm) -> Result<(), LayoutError> {
    // Not looked at, only kept.
    let socket: *const c_void = ptr::from_ref(tm).cast();
    let mut made = ptr::null_mut();
    // SAFETY: tm copies the texts and keeps the pointer in a dialog that it frees again.
    unsafe {
        (tm.make_dialog)(
            &borrowed(FROM),
            &borrowed(TO),
            &borrowed(TARGET),
            &borrowed("call"),
            socket,
            &mut made,
        );
        if made.is_null() {
            return Err(LayoutError::new("a dialog of tm's", "tm makes none"));
        }
        let checked = made_dialog(made, socket);
        (tm.release_dialog)(made);
        checked
    }
}

/// # Safety
/// tm made the dialog for this socket.
unsafe fn made_dialog(
    made: *const opensips_dialog,
    socket: *const c_void,
) -> Result<(), LayoutError> {
    let mut dialog = opensips_dialog::default();
    // SAFETY: any octets are what is looked at here. The tail of ours is not there in tm's.
    unsafe {
        let octets: [u8; offset_of!(opensips_dialog, unused)] =
            see("a dialog of tm's", made as usize)?;
        ptr::copy_nonoverlapping(octets.as_ptr(), (&raw mut dialog).cast(), octets.len());
    }
    same_text("the Call-ID of a dialog", dialog.call_id, "call")?;
    same_text("the remote tag of a dialog", dialog.remote_tag, "")?;
    let has_tag = !dialog.local_tag.s.is_null();
    same("the local tag of a dialog", has_tag, true)?;
    let sequence = dialog.local_sequence.is_set;
    same("the local sequence of a dialog", sequence, 1)?;
    same_text("the local URI of a dialog", dialog.local_uri, FROM)?;
    same_text("the remote URI of a dialog", dialog.remote_uri, TO)?;
    same_text("the outbound proxy of a dialog", dialog.outbound_proxy, "")?;
    same_text(
        "the remote target of a dialog",
        dialog.remote_target,
        TARGET,
    )?;
    let flags = (dialog.transaction_flags, dialog.state);
    same("flags and state of a dialog", flags, (0, 0))?;
    let sent_by = dialog.send_socket.cast_const();
    same("the socket of a dialog", sent_by, socket)?;
    let behind = [dialog.preferred_socket, dialog.context, dialog.created];
    let nothing = [ptr::null_mut(); 3];
    same("what follows the socket of a dialog", behind, nothing)
}

/// Our tables are like tm's, which the host's own compiler made.
///
/// # Safety
/// As for [`check`].
unsafe fn tables(tm: &Tm, series: &Series) -> Result<(), LayoutError> {
    const NAME: &str = "the table of a module";
    // SAFETY: any octets are such a row; tm stays loaded.
    unsafe {
        let mut exports = symbols::beside(tm.new_transaction as *const c_void, c"exports");
        if exports.is_null() {
            // Built into the host.
            exports = symbols::of_core(c"tm_exports");
        }
        let tm: opensips_exports = see(NAME, exports as usize)?;
        same(NAME, see_c_text(NAME, tm.name)?.as_str(), "tm")?;
        let named = |row: &opensips_command| row.name;
        row("script functions", tm.commands, named, "load_tm")?;
        let named = |row: &opensips_parameter| row.name;
        row("parameters", tm.parameters, named, "fr_timeout")?;
        let named = |row: &opensips_variable| row.name.s.cast_const();
        row("pseudo-variables", tm.variables, named, "T_ruri")?;
        if !tm.statistics.is_null() {
            let named = |row: &opensips_statistic| row.name;
            row("statistics", tm.statistics, named, "received_replies")?;
        }
        management(tm.management as usize, series)
    }
}

/// tm's first two commands are `t_uac_dlg`, with eight recipes, and `t_uac_cancel`; since 4.0 these
/// are aliases.
///
/// # Safety
/// `table` is tm's.
unsafe fn management(table: usize, series: &Series) -> Result<(), LayoutError> {
    const COMMANDS: &str = "management commands";
    const RECIPES: &str = "the recipes of management commands";
    const ALIASES: &str = "the aliases of management commands";
    let whole = |name: &str| match series.management_aliases {
        0 => format!("t_{name}"),
        _ => name.to_owned(),
    };
    for (number, name) in ["uac_dlg", "uac_cancel"].iter().enumerate() {
        let record = table.wrapping_add(number * series.management_size);
        // SAFETY: any octets are what is looked at here.
        let prefix: opensips_management_prefix = unsafe { see(COMMANDS, record)? };
        same(COMMANDS, see_c_text(COMMANDS, prefix.name)?, whole(name))?;
        if series.management_aliases != 0 {
            // SAFETY: as above.
            let alias: *const c_char = unsafe { see(ALIASES, record + series.management_aliases)? };
            same(ALIASES, see_c_text(ALIASES, alias)?, format!("t_{name}"))?;
        }
    }
    for number in 0..2 {
        let recipe = series.management_recipes + number * series.management_recipe_size;
        // A function, then names.
        // SAFETY: as above.
        let [function, first, second]: [usize; 3] = unsafe { see(RECIPES, table + recipe)? };
        same(RECIPES, function == 0, false)?;
        for (name, wanted) in [(first, "method"), (second, "ruri")] {
            let name = see_c_text(RECIPES, name as *const c_char)?;
            same(RECIPES, name.as_str(), wanted)?;
        }
    }
    Ok(())
}

/// tm's table, of which one slot is used: those around it hold the functions of these names.
pub(super) fn tm_slots(table: &abi::opensips_tm, tm: &Tm) -> Result<(), LayoutError> {
    const WHAT: &str = "tm's table of functions";
    let slots = [
        table.register_callback,
        table.release_reference,
        table.look_up_cancelled,
        table.set_kept_reason,
    ];
    let functions = [
        tm.register_callback as *mut c_void,
        tm.release_reference as *mut c_void,
        tm.look_up_cancelled as *mut c_void,
        tm.set_kept_reason as *mut c_void,
    ];
    same(WHAT, slots, functions)?;
    let [used, other] =
        [table.cancel_transaction, table.register_callback].map(|slot| symbols::module_of(slot));
    same(WHAT, used, other)
}

/// Sockets that are remembered; a proxy has a handful.
const SOCKETS_SEEN: usize = 64;

/// Where a request came from and by which socket, as the host's parser says it: what
/// [`Module::reception`] is.
pub(super) const RECEPTION: &str = "$si $sp $socket_in(proto) $socket_in(ip) $socket_in(port) \
     $socket_in(advertised_ip) $socket_in(advertised_port)";

/// Whether a request's reception says what the host says, and its socket is what the series
/// has. Looked at with the first request by each socket in each process: what a socket does not
/// advertise is nowhere. `said` is what the host makes of [`RECEPTION`].
pub(super) fn reception(
    series: &Series,
    reception: &opensips_reception,
    said: impl FnOnce() -> String,
) -> Result<(), LayoutError> {
    thread_local! {
        static SEEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }
    let socket = reception.socket as usize;
    if SEEN.with_borrow(|seen| seen.contains(&socket)) {
        return Ok(());
    }
    let found = reception_words(series, reception)?;
    same(
        "the reception of a message, or its socket",
        found,
        words(&said()),
    )?;
    SEEN.with_borrow_mut(|seen| {
        // Where there are more, some are looked at each time.
        if seen.len() < SOCKETS_SEEN {
            seen.push(socket);
        }
    });
    Ok(())
}

/// What the host says, in the form of [`reception_words`].
fn words(said: &str) -> Vec<String> {
    let mut words: Vec<String> = said.split(' ').map(str::to_owned).collect();
    if let Some(transport) = words.get_mut(2) {
        // Those that SIP has no name for count as UDP here.
        *transport = text::transport(text::protocol(transport).into()).to_owned();
    }
    if let Some(address) = words.first_mut()
        && let Ok(parsed) = address.trim_matches(['[', ']']).parse::<IpAddr>()
    {
        *address = parsed.to_string();
    }
    words
}

fn reception_words(
    series: &Series,
    reception: &opensips_reception,
) -> Result<Vec<String>, LayoutError> {
    let family = reception.source.family as c_int;
    let known = family == libc::AF_INET || family == libc::AF_INET6;
    same("the address family of a message", known, true)?;
    let address = text::address(reception.source.family, reception.source.octets);
    let mut words = vec![
        address.to_string(),
        reception.source_port.to_string(),
        text::transport(reception.protocol).to_owned(),
    ];
    words.extend(socket_words(series, reception.socket as usize)?);
    Ok(words)
}

/// Address and port of a socket of the host's, and what it advertises in their place.
pub(super) fn socket_words(series: &Series, socket: usize) -> Result<[String; 4], LayoutError> {
    const SOCKET: &str = "a socket of the host's";
    let at = |offset| -> Result<String, LayoutError> {
        // SAFETY: any octets are a counted text to look at.
        let counted: opensips_text = unsafe { see(SOCKET, socket + offset)? };
        match counted.s.is_null() {
            true => Ok("<null>".to_owned()),
            false => see_text(SOCKET, counted.s, counted.len),
        }
    };
    // SAFETY: any octets are a number.
    let port: u16 = unsafe { see(SOCKET, socket + series.socket_port)? };
    Ok([
        at(series.socket_address)?,
        port.to_string(),
        at(series.socket_advertised_name)?,
        at(series.socket_advertised_port)?,
    ])
}

/// Whether a transaction holds this request where we take it from. The two have one number; a
/// message that tm made again of its copy, to resume a script with it, has the copy's own buffer.
///
/// # Safety
/// In a worker, with the message its script works on and a transaction of tm's.
pub(super) unsafe fn kept_request(
    series: &Series,
    message: *mut abi::Message,
    transaction: *const opensips_transaction_prefix,
) -> Result<(), LayoutError> {
    const WHAT: &str = "the request of a transaction";
    // SAFETY: any octets are what is looked at here; the message is the caller's promise.
    unsafe {
        let transaction: opensips_transaction_prefix = see(WHAT, transaction as usize)?;
        let copy = transaction.request as usize;
        let kept: opensips_message_prefix = see(WHAT, copy)?;
        let start: *const u8 = see(WHAT, copy + series.message_buffer)?;
        let own = &*message.cast::<opensips_message_prefix>();
        let is_its = kept.id == own.id || start == worker::buffer(series, message).0;
        same(WHAT, (is_its, kept.kind), (true, own.kind))
    }
}

/// Whether tm's record of an event is what we take it for.
///
/// # Safety
/// `event` is what tm passed to a callback of a request of ours, which still runs.
pub(super) unsafe fn event(event: &opensips_event) -> Result<(), LayoutError> {
    const WHAT: &str = "tm's record of a response";
    same(WHAT, (100..700).contains(&event.code), true)?;
    let response = event.response as usize;
    if response == 0 || response == abi::FAKED_RESPONSE {
        return Ok(());
    }
    // SAFETY: any octets are what is looked at here.
    let prefix: opensips_message_prefix = unsafe { see(WHAT, response)? };
    same(WHAT, prefix.kind, abi::RESPONSE)
}

/// The reading end of this process' pipe, once a job of ours came through it. In the conference
/// process, on its main thread, before any other thread starts.
pub(super) fn own_pipe(core: &Core, series: &Series) -> Result<RawFd, LayoutError> {
    const WHAT: &str = "the table of processes";
    // SAFETY: the core's own variables; any octets are what is looked at.
    let (pid, [reading, writing]) = unsafe {
        let number = usize::try_from(*core.process_number).unwrap_or(0);
        let record = *core.processes as usize + number * series.process_size;
        let pid: libc::pid_t = see(WHAT, record)?;
        (pid, see::<[RawFd; 2]>(WHAT, record + series.process_pipe)?)
    };
    // SAFETY: getpid has no precondition.
    same(WHAT, pid, unsafe { libc::getpid() })?;
    same(
        "the pipe of a process",
        fds::are_one_pipe(reading, writing),
        true,
    )?;
    // SAFETY: the job is a function of this process.
    let came = unsafe { job_comes(core, reading) };
    same("the pipe of a process", came, true)?;
    Ok(reading)
}

/// Whether a job this process sends itself comes out of `pipe`.
///
/// # Safety
/// In the conference process, on its main thread; `pipe` is the reading end of a pipe.
unsafe fn job_comes(core: &Core, pipe: RawFd) -> bool {
    static CAME: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" fn come(_sender: c_int, _argument: *mut c_void) {
        CAME.store(true, Ordering::Relaxed);
    }
    // SAFETY: the host writes a job into a pipe that it made not to block, and reads one that
    // is there.
    unsafe {
        if (core.send_job)(*core.process_number, come, ptr::null_mut()) < 0 {
            return false;
        }
        while !CAME.load(Ordering::Relaxed)
            && fds::wait_readable([pipe], std::time::Duration::ZERO)[0]
        {
            (core.handle_job)(pipe);
        }
    }
    CAME.load(Ordering::Relaxed)
}
