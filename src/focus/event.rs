//! What has happened, for whoever listens in the host: its event interface or script.

use crate::control::{RoomUri, Said, UserUri};
use crate::focus::Role;
use crate::wire::conference_info::DisconnectionMethod;

/// Something that happened in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its conference starts: the first participant is in.
    Start(RoomUri),
    /// Its conference is over: nobody is in any more.
    End(RoomUri),
    /// A user is in, with the first of her devices.
    Join {
        /// The room.
        room: RoomUri,
        /// Who.
        user: UserUri,
        /// The name to show; may be empty.
        display: String,
        /// As what.
        role: Role,
    },
    /// A user is out, with the last of her devices.
    Leave {
        /// The room.
        room: RoomUri,
        /// Who.
        user: UserUri,
        /// How.
        method: DisconnectionMethod,
    },
    /// A participant has sent a message. What it says is not told.
    Message(Said),
}

/// A value of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(u64),
}

impl Event {
    /// Every name an event may have, in lower case.
    pub const NAMES: [&'static str; 5] = ["start", "end", "join", "leave", "message"];

    /// Its place in [`Event::NAMES`].
    pub fn number(&self) -> usize {
        match self {
            Self::Start(_) => 0,
            Self::End(_) => 1,
            Self::Join { .. } => 2,
            Self::Leave { .. } => 3,
            Self::Message(_) => 4,
        }
    }

    /// The room.
    pub fn room(&self) -> &RoomUri {
        match self {
            Self::Start(room) | Self::End(room) => room,
            Self::Join { room, .. } | Self::Leave { room, .. } => room,
            Self::Message(said) => &said.room,
        }
    }

    /// What is told of it, the room first.
    pub fn details(&self) -> Vec<(&'static str, Detail<'_>)> {
        let mut details = vec![("room", Detail::Text(self.room().as_str()))];
        match self {
            Self::Start(_) | Self::End(_) => {}
            Self::Join {
                user,
                display,
                role,
                ..
            } => details.extend([
                ("user", Detail::Text(user.as_str())),
                ("display", Detail::Text(display)),
                ("role", Detail::Text(role.as_str())),
            ]),
            Self::Leave { user, method, .. } => details.extend([
                ("user", Detail::Text(user.as_str())),
                ("method", Detail::Text(method.as_str())),
            ]),
            Self::Message(said) => details.extend([
                ("user", Detail::Text(said.user.as_str())),
                ("size", Detail::Number(said.size)),
                ("content_type", Detail::Text(&said.content_type)),
                ("private", Detail::Number(said.private.into())),
            ]),
        }
        details
    }
}
