//! What an operator may ask and order at run time: one table of commands that both hosts'
//! management interfaces and `docs/management.md` are made of.
//!
//! The face of a host hands the arguments over as they came ([`Call`]); here they are read
//! ([`Call::read`]), carried out on the focus ([`run`]) and answered by a [`Value`], which the
//! face turns into what its interface speaks. Nothing here touches a socket or a clock.
//! Management may do everything: who may reach it is the host's business.

mod arguments;
mod run;
mod table;
mod value;

use serde::{Deserialize, Serialize};

use crate::control::{RoomUri, UserUri};
use crate::focus::{Pattern, Role, RoomEntry};

pub use arguments::Argument;
pub use run::{run, statistics};
pub use table::{COMMANDS, Command, Entry, Parameter, markdown};
pub use value::Value;

/// Rooms or users in one answer unless the caller says otherwise: what a datagram of 32 KiB
/// holds (OpenSIPS' mi_datagram), with long names.
pub const DEFAULT_LIMIT: usize = 100;
/// Most that one answer may hold.
pub const MAX_LIMIT: usize = 1_000;
/// Longest text that `say` takes, in octets.
pub const MAX_SAID: usize = 4_096;
/// Longest text of an error, in octets. Kamailio's binrpc drops the whole answer when it is
/// longer, so that kamcmd prints nothing; its JSON-RPC cuts it at 127.
pub const MAX_FAULT: usize = 119;

/// A command as a host's interface took it, not yet looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which.
    pub command: Command,
    /// Its arguments, in the order given.
    pub arguments: Vec<Argument>,
}

/// A command that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The rooms, by name.
    List(Page),
    /// One room and who is in it.
    Show(RoomUri, Page),
    /// Make a room that lasts.
    Create(Box<RoomEntry>),
    /// End a room's conference.
    End(RoomUri),
    /// Invite a party.
    Invite(RoomUri, String),
    /// Take a user out.
    Expel(RoomUri, UserUri),
    /// Give a user a role.
    Role(RoomUri, UserUri, Role),
    /// Tell everybody in a room something.
    Say(RoomUri, String),
    /// Let only moderators in, or everybody again.
    Lock(RoomUri, bool),
    /// Keep somebody out, or let him in again: an address, `*` for any characters.
    Ban(RoomUri, Pattern, bool),
    /// Read again what can be read again.
    Reload,
    /// The statistics.
    Stats,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub limit: usize,
    /// How many to leave out first.
    pub offset: usize,
}

/// Why a command was not carried out: a code as SIP and HTTP have them, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code} {text}")]
pub struct Fault {
    /// 400, 404, 409, 500, 503, 504.
    pub code: u16,
    /// What is wrong.
    pub text: String,
}

impl Fault {
    /// A fault; its text is cut at [`MAX_FAULT`] octets.
    pub fn new(code: u16, text: impl std::fmt::Display) -> Self {
        Self {
            code,
            text: shortened(&text.to_string(), MAX_FAULT),
        }
    }
}

/// A text of at most `most` octets; a longer one ends with an ellipsis.
fn shortened(text: &str, most: usize) -> String {
    const MORE: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let mut ends = (0..=most.saturating_sub(MORE.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    format!("{}{MORE}", &text[..end.unwrap_or_default()])
}

/// What comes of a command.
pub type Answer = Result<Value, Fault>;

#[cfg(test)]
mod tests;
