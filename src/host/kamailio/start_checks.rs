//! The checks of `init`: tm makes a dialog, the core fills a value and adds a lump to a message,
//! and tm has tables like ours.

use std::ffi::{c_int, c_long};
use std::mem::offset_of;
use std::ptr;

use super::abi::{
    self, kamailio_command, kamailio_dialog, kamailio_exports, kamailio_message_prefix,
    kamailio_module_prefix, kamailio_parameter, kamailio_reply_lump, kamailio_rpc_method,
    kamailio_text,
};
use super::tm::Tm;
use crate::host::layout::{LayoutError, row, same, see, see_c_text, see_text};
use crate::host::symbols::{self, host_symbols};

host_symbols! {
    /// Core functions that build the objects the checks look at.
    struct Maker {
        add_lump: abi::AddLump = c"add_lump_rpl2",
        release_lumps: abi::ReleaseLumps = c"del_nonshm_lump_rpl",
    }
}

/// Text for a call: the host copies it.
fn borrowed(text: &str) -> kamailio_text {
    kamailio_text {
        s: text.as_ptr().cast_mut().cast(),
        len: text.len() as c_int,
    }
}

/// Checks that a text in the host's memory is this one.
fn same_text(what: &'static str, found: kamailio_text, wanted: &str) -> Result<(), LayoutError> {
    same(what, see_text(what, found.s, found.len)?.as_str(), wanted)
}

/// All checks possible before the first fork. In `init`, after tm's; `module` is tm.
pub(super) fn check(module: *const kamailio_module_prefix, tm: &Tm) -> Result<(), LayoutError> {
    // SAFETY: the types in Maker are those of every supported series.
    let maker = unsafe { Maker::load(symbols::of_core)? };
    // SAFETY: on the main thread, after tm's own `init`.
    unsafe {
        reply_lump(&maker)?;
        dialog(tm)?;
        tables(module)
    }
}

/// Whether numbers of pseudo-variables have 64 bits here: in 5.6 they have 32.
pub(super) fn numbers_are_long(give: abi::NumberValue) -> Result<bool, LayoutError> {
    const WHAT: &str = "the value of a pseudo-variable";
    const WIDE: c_long = 0x12_3456_789a;
    let mut room = [0u64; 8];
    let mut text = borrowed("4711");
    let place = room.as_mut_ptr();
    // SAFETY: the host fills a value, and looks at neither message nor name; the room is larger
    // than a value, and any octets are what is looked at.
    unsafe {
        give(
            ptr::null_mut(),
            ptr::null_mut(),
            place.cast(),
            WIDE,
            &mut text,
        );
        same_text(WHAT, see(WHAT, place as usize)?, "4711")?;
        let number: u64 = see(WHAT, place as usize + size_of::<kamailio_text>())?;
        same(WHAT, number as u32, WIDE as u32)?;
        Ok(number == WIDE as u64)
    }
}

/// Checks that a lump goes into the list where our replies put theirs.
///
/// # Safety
/// As for [`check`].
unsafe fn reply_lump(maker: &Maker) -> Result<(), LayoutError> {
    /// Larger than a message of any series.
    #[repr(C, align(16))]
    struct Room([u8; 8192]);
    let mut room = Box::new(Room([0; 8192]));
    let message = room.0.as_mut_ptr().cast::<kamailio_message_prefix>();
    let text = borrowed(LUMP);
    // SAFETY: zeros are an empty message to the host, which looks at its list of lumps alone,
    // copies the text, and takes its lump back out of the list it returned.
    unsafe {
        let list = (maker.add_lump)(message.cast(), text.s, text.len, abi::HEADER_LUMP);
        if list.is_null() {
            return Err(LayoutError::new(LUMPS, "the host adds none"));
        }
        let checked = added_lump(*list as usize);
        (maker.release_lumps)(list);
        checked?;
        same(LUMPS, list, &raw mut (*message).reply_lumps)
    }
}

const LUMPS: &str = "the reply lumps of a message";
const LUMP: &str = "X-Layout: 1\r\n";

/// # Safety
/// `lump` is one the host made of [`LUMP`].
unsafe fn added_lump(lump: usize) -> Result<(), LayoutError> {
    // SAFETY: any octets are what is looked at.
    let lump: kamailio_reply_lump = unsafe { see(LUMPS, lump)? };
    same(
        LUMPS,
        (lump.flags, lump.next.is_null()),
        (abi::HEADER_LUMP, true),
    )?;
    same_text(LUMPS, lump.text, LUMP)
}

/// Parameters of the test dialog.
const FROM: &str = "sip:from@invalid";
const TO: &str = "sip:to@invalid";
const TARGET: &str = "sip:target@invalid";
const HOP: &str = "sip:hop@invalid";

/// # Safety
/// As for [`check`].
unsafe fn dialog(tm: &Tm) -> Result<(), LayoutError> {
    const WHAT: &str = "a dialog of tm's";
    let mut made = ptr::null_mut();
    let [mut call, mut tag, mut from, mut to] = ["call", "tag", FROM, TO].map(borrowed);
    let [mut target, mut hop] = [TARGET, HOP].map(borrowed);
    // SAFETY: tm copies the texts into a dialog that it frees again.
    unsafe {
        (tm.make_dialog)(&mut call, &mut tag, 4711, &mut from, &mut to, &mut made);
        if made.is_null() {
            return Err(LayoutError::new(WHAT, "tm makes none"));
        }
        let aimed = (tm.set_dialog_target)(made, &mut target, &mut hop);
        let checked = same(WHAT, aimed, 0).and_then(|()| made_dialog(made));
        (tm.release_dialog)(made);
        checked
    }
}

/// # Safety
/// tm made the dialog.
unsafe fn made_dialog(made: *const kamailio_dialog) -> Result<(), LayoutError> {
    let mut dialog = kamailio_dialog::default();
    // SAFETY: any octets are what is looked at here. The tail of ours is not there in tm's.
    unsafe {
        let octets: [u8; offset_of!(kamailio_dialog, unused)] =
            see("a dialog of tm's", made as usize)?;
        ptr::copy_nonoverlapping(octets.as_ptr(), (&raw mut dialog).cast(), octets.len());
    }
    same_text("the Call-ID of a dialog", dialog.call_id, "call")?;
    same_text("the local tag of a dialog", dialog.local_tag, "tag")?;
    same_text("the remote tag of a dialog", dialog.remote_tag, "")?;
    let sequence = (dialog.local_sequence.value, dialog.local_sequence.is_set);
    same("the local sequence of a dialog", sequence, (4711, 1))?;
    same_text("the local URI of a dialog", dialog.local_uri, FROM)?;
    same_text("the remote URI of a dialog", dialog.remote_uri, TO)?;
    same_text(
        "the remote target of a dialog",
        dialog.remote_target,
        TARGET,
    )?;
    same_text("the destination of a dialog", dialog.destination_uri, HOP)?;
    same("the state of a dialog", dialog.state, 0)?;
    let behind = [dialog.route_set, dialog.send_socket];
    let nothing = [ptr::null_mut(); 2];
    same("the route set and the socket of a dialog", behind, nothing)
}

/// Checks our tables against tm's, which the host's own compiler made.
///
/// # Safety
/// As for [`check`].
unsafe fn tables(module: *const kamailio_module_prefix) -> Result<(), LayoutError> {
    const NAME: &str = "the table of a module";
    // SAFETY: any octets are such a row; tm stays loaded.
    unsafe {
        let module: kamailio_module_prefix = see(NAME, module as usize)?;
        let exports = symbols::of_module(module.handle, c"exports");
        let exports: kamailio_exports = see(NAME, exports as usize)?;
        same(NAME, see_c_text(NAME, exports.name)?.as_str(), "tm")?;
        let named = |row: &kamailio_command| row.name;
        row("script functions", exports.commands, named, "load_tm")?;
        let named = |row: &kamailio_parameter| row.name;
        row("parameters", exports.parameters, named, "fr_timer")?;
        let named = |row: &kamailio_rpc_method| row.name;
        row("RPC methods", exports.rpc_methods, named, "tm.stats")?;
    }
    Ok(())
}
