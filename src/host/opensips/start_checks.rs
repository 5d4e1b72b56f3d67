//! The checks of `init`: the host makes a message, a dialog and a value, and tm has tables like
//! ours.

use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

use super::abi::{
    self, opensips_command, opensips_dialog, opensips_exports, opensips_management_prefix,
    opensips_message_prefix, opensips_parameter, opensips_reception, opensips_statistic,
    opensips_text, opensips_variable, opensips_variable_value,
};
use super::series::Series;
use super::tm::Tm;
use crate::host::layout::{LayoutError, row, same, see, see_c_text, see_text};
use crate::host::symbols::{self, host_symbols};

host_symbols! {
    /// Core functions that build the objects the checks look at.
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

/// Checks that a text in the host's memory is this one.
fn same_text(what: &'static str, found: opensips_text, wanted: &str) -> Result<(), LayoutError> {
    same(what, see_text(what, found.s, found.len)?.as_str(), wanted)
}

/// All checks possible before the first fork. In `init`, after tm's.
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

/// Parameters of the test dialog.
const FROM: &str = "sip:from@invalid";
const TO: &str = "sip:to@invalid";
const TARGET: &str = "sip:target@invalid";

/// # Safety
/// As for [`check`].
unsafe fn dialog(tm: &Tm) -> Result<(), LayoutError> {
    // Never read, only kept.
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

/// Checks our tables against tm's, which the host's own compiler made.
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
