//! Events of a room, for scripts, modules and the host's event interface.
//!
//! A new kind of event is a row of `events!` and a variant of [`Event`]; the compiler then names
//! the matches below that lack it. Hosts and documentation follow from the table.

use crate::control::{RoomUri, Said, UserUri};
use crate::focus::Role;
use crate::wire::conference_info::DisconnectionMethod;

/// An event in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its conference starts: the first participant has joined.
    Start(RoomUri),
    /// Its conference is over: the last participant has left.
    End(RoomUri),
    /// A user has joined, with their first device.
    Join {
        /// The room.
        room: RoomUri,
        /// The user.
        user: UserUri,
        /// Display name; may be empty.
        display: String,
        /// Their role.
        role: Role,
    },
    /// A user has left, with their last device.
    Leave {
        /// The room.
        room: RoomUri,
        /// The user.
        user: UserUri,
        /// The disconnection method.
        method: DisconnectionMethod,
    },
    /// A participant has sent a message; its text is not part of the event.
    Message(Said),
}

/// A kind of event.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    /// The name, in lower case.
    pub name: &'static str,
    /// The occasion on which it is raised.
    pub when: &'static str,
    /// The names of its details besides `room`.
    pub details: &'static [&'static str],
}

macro_rules! events {
    ($( $kind:ident $name:literal $when:literal [$($detail:literal)*] )*) => {
        /// The kinds of events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind {
            $( #[doc = $when] $kind, )*
        }

        /// Every kind of event, in the order of [`EventKind`].
        pub const EVENTS: &[EventInfo] = &[
            $( EventInfo { name: $name, when: $when, details: &[$($detail),*] } ),*
        ];
    };
}

events! {
    Start "start" "the first participant of a conference has joined" []
    Join "join" "a user has joined, with the first device" ["user" "display" "role"]
    Leave "leave" "a user has left, with the last device" ["user" "method"]
    End "end" "the last participant has left" []
    Message "message" "a participant has sent a message"
        ["user" "size" "content_type" "private"]
}

/// Meaning of each detail, in the order of the documentation.
pub const DETAILS: &[(&str, &str)] = &[
    ("room", "the room's URI"),
    (
        "user",
        "the user's address of record, also of participants who are anonymous to others",
    ),
    ("display", "the name to show; may be empty"),
    ("role", "`participant`, `moderator` or `observer`"),
    ("method", "`departed`, `booted`, `failed` or `busy`"),
    (
        "size",
        "octets, CPIM headers included; of a message above `forward_whole_below` what was \
         announced, or 0",
    ),
    ("content_type", "the wrapped content type"),
    ("private", "1: for one participant"),
];

/// A value of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(u64),
}

impl EventKind {
    /// Its row of the table.
    pub fn info(self) -> &'static EventInfo {
        &EVENTS[self as usize]
    }
}

impl Event {
    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Start(_) => EventKind::Start,
            Self::End(_) => EventKind::End,
            Self::Join { .. } => EventKind::Join,
            Self::Leave { .. } => EventKind::Leave,
            Self::Message(_) => EventKind::Message,
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

    /// Its details, the room first.
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
        debug_assert!(
            (details.iter().skip(1).map(|(name, _)| name)).eq(self.kind().info().details),
            "the table names other details of {}",
            self.kind().info().name
        );
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables in `docs/events.md`, between their marks.
    fn tables() -> String {
        let mut tables = "| event | when | details |\n| --- | --- | --- |\n".to_owned();
        for EventInfo {
            name,
            when,
            details,
        } in EVENTS
        {
            let more: String = details.iter().map(|it| format!(", `{it}`")).collect();
            tables += &format!("| `{name}` | {when} | `room`{more} |\n");
        }
        tables += "\n| detail | |\n| --- | --- |\n";
        for (name, meaning) in DETAILS {
            tables += &format!("| `{name}` | {meaning} |\n");
        }
        tables
    }

    #[test]
    fn the_documentation_holds_the_tables() {
        const FROM: &str = "<!-- written by UPDATE_DOCS=1 cargo test event -->\n";
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md");
        let page = std::fs::read_to_string(file).unwrap();
        let (head, rest) = page.split_once(FROM).expect("the first mark");
        let (_, tail) = rest.split_once("<!-- end -->").expect("the second mark");
        let fresh = format!("{head}{FROM}{}<!-- end -->{tail}", tables());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &fresh).unwrap();
        } else {
            assert!(page == fresh, "run UPDATE_DOCS=1 cargo test event");
        }
    }

    #[test]
    fn every_detail_of_an_event_is_documented() {
        for detail in EVENTS.iter().flat_map(|it| it.details) {
            let is_known = DETAILS.iter().any(|(name, _)| name == detail);
            assert!(is_known, "{detail} has no row in DETAILS");
        }
    }
}
