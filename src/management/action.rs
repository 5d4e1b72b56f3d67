//! The actions of the commands: reading of arguments, the store query needed before, and the effect
//! on the focus. The matches are exhaustive, so that the compiler points out the missing parts of a
//! new command.

use super::answer::{Answer, Fault, Value};
use super::arguments::{Call, Given, Page};
use super::render::{detail, summary};
use super::table::Command;
use crate::control::{RoomUri, UserUri};
use crate::focus::record::Query as StoreQuery;
use crate::focus::{Focus, OperatorError, Pattern, Role, RoomEntry};
use crate::statistics::{ALL, Statistics};
use crate::time::Moment;

/// A command with valid arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The rooms, by name.
    List(Page),
    /// One room and its participants.
    Show(RoomUri, Page),
    /// Make a lasting room.
    Create(Box<RoomEntry>),
    /// End a room's conference.
    End(RoomUri),
    /// Invite a user into a room.
    Invite(RoomUri, String),
    /// Remove a user from a room.
    Expel(RoomUri, UserUri),
    /// Give a user a role.
    Role(RoomUri, UserUri, Role),
    /// Send everybody in a room a message.
    Say(RoomUri, String),
    /// Admit only moderators, or everybody again.
    Lock(RoomUri, bool),
    /// Ban an address, or lift the ban; `*` stands for any characters.
    Ban(RoomUri, Pattern, bool),
    /// Read the certificate files again.
    Reload,
    /// The statistics.
    Stats,
}

impl Call {
    /// Reads the arguments.
    ///
    /// # Errors
    /// 400, with the error.
    pub fn read(&self) -> Result<Action, Fault> {
        let given = Given::sort(self)?;
        Ok(match self.command {
            Command::List => Action::List(given.page()?),
            Command::Show => Action::Show(given.room()?, given.page()?),
            Command::Create => Action::Create(Box::new(given.room_entry()?)),
            Command::End => Action::End(given.room()?),
            Command::Invite => Action::Invite(given.room()?, given.uri("uri")?.to_string()),
            Command::Expel => Action::Expel(given.room()?, given.user()?),
            Command::Role => Action::Role(given.room()?, given.user()?, given.role()?),
            Command::Say => Action::Say(given.room()?, given.said()?),
            Command::Lock => Action::Lock(given.room()?, true),
            Command::Unlock => Action::Lock(given.room()?, false),
            Command::Ban => Action::Ban(given.room()?, given.pattern()?, true),
            Command::Unban => Action::Ban(given.room()?, given.pattern()?, false),
            Command::Reload => Action::Reload,
            Command::Stats => Action::Stats,
        })
    }
}

impl From<OperatorError> for Fault {
    fn from(error: OperatorError) -> Self {
        Fault::new(error.code(), error)
    }
}

/// Carries an action out. `Reload` and `Stats` do not belong to the focus.
///
/// # Errors
/// The object does not exist, or the action is not allowed.
pub fn run(focus: &mut Focus, now: Moment, action: &Action) -> Answer {
    focus.begin(now);
    match action {
        Action::List(Page { limit, offset }) => {
            let rooms = focus.rooms_page(*offset, *limit);
            Ok(Value::List(rooms.iter().map(summary).collect()))
        }
        Action::Show(room, Page { limit, offset }) => {
            Ok(detail(focus.room_detail(room, *offset, *limit)?))
        }
        Action::Create(entry) => {
            let uri = entry.uri.to_string();
            focus.create_room(now, (**entry).clone())?;
            Ok(Value::record([("uri", uri.into())]))
        }
        Action::End(room) => done(focus.end_room(now, room)),
        Action::Invite(room, target) => done(focus.invite_into(now, room, target)),
        Action::Expel(room, user) => done(focus.expel(now, room, user)),
        Action::Role(room, user, role) => done(focus.give_role(now, room, user, *role)),
        Action::Say(room, text) => done(focus.say(room, text)),
        Action::Lock(room, locked) => done(focus.lock(now, room, *locked)),
        Action::Ban(room, who, true) => done(focus.ban(now, room, who)),
        Action::Ban(room, who, false) => done(focus.unban(now, room, who)),
        Action::Reload | Action::Stats => Err(Fault::new(500, "not for the focus")),
    }
}

/// The store query that an action needs before it can be carried out.
pub fn needs(focus: &Focus, action: &Action) -> Option<StoreQuery> {
    match action {
        Action::List(Page { limit, offset }) => focus.page_needed(*offset, *limit),
        Action::Create(entry) => focus.room_needed(&entry.uri, false),
        Action::End(room) => focus.room_needed(room, true),
        Action::Show(room, _)
        | Action::Invite(room, _)
        | Action::Expel(room, _)
        | Action::Role(room, ..)
        | Action::Say(room, _)
        | Action::Lock(room, _)
        | Action::Ban(room, ..) => focus.room_needed(room, false),
        Action::Reload | Action::Stats => None,
    }
}

/// The answer of `stats`.
pub fn statistics(statistics: &Statistics, rooms: usize) -> Value {
    let all = ALL.iter();
    let named = all.map(|which| (which.name().into(), statistics.value(*which).into()));
    let rooms = ("rooms".into(), rooms.into());
    Value::Record(named.chain([rooms]).collect())
}

fn done(result: Result<(), OperatorError>) -> Answer {
    result?;
    Ok("ok".into())
}
