//! `$msrp_conference(…)`: the pseudo-variables of both hosts.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;

use crate::focus::{DETAILS, Detail, Event};
use crate::statistics::{self, ALL};

/// Buffers used in turn: a script may compare several variables with each other.
const BUFFERS: usize = 8;
/// Longest text given, octets; longer ones are cut.
const TEXT: usize = 1024;

/// Flags of a value: one meaning in every series of both hosts.
const NOTHING: c_int = 1;
const TEXTUAL: c_int = 4;
const NUMERIC: c_int = 8;
const COUNTS_AS_NUMBER: c_int = 16;

/// The name in the parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// Number of rooms.
    Rooms,
    /// A statistic, by its number.
    Statistic(usize),
    /// The name of the event whose route runs.
    Event,
    /// A detail of it, by its number.
    Detail(usize),
}

/// Its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No value.
    Nothing,
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

/// A value in the parts of which each host's record of one is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Address and length of the text, which stays until some more values have been given.
    pub(super) text: (*mut u8, usize),
    /// The number; 0 if there is none.
    pub(super) number: u64,
    /// Which of the two exist.
    pub(super) flags: c_int,
}

thread_local! {
    /// The event whose route runs in this process.
    static CURRENT: RefCell<Option<Event>> = const { RefCell::new(None) };
    static GIVEN: RefCell<[[u8; TEXT]; BUFFERS]> = const { RefCell::new([[0; TEXT]; BUFFERS]) };
    static NEXT: Cell<usize> = const { Cell::new(0) };
}

impl Variable {
    /// The variable of this name; those of events only where events run routes.
    pub(super) fn named(name: &str, events: bool) -> Option<Self> {
        if let Some(number) = ALL.iter().position(|which| which.name() == name) {
            return Some(Self::Statistic(number));
        }
        if name == "rooms" {
            return Some(Self::Rooms);
        }
        if !events {
            return None;
        }
        if name == "event" {
            return Some(Self::Event);
        }
        let detail = name.strip_prefix("event_")?;
        let number = DETAILS.iter().position(|(known, _)| *known == detail)?;
        Some(Self::Detail(number))
    }

    /// As a number that fits into a pointer.
    pub(super) fn number(self) -> usize {
        match self {
            Self::Rooms => 0,
            Self::Event => 1,
            Self::Detail(number) => 2 + number,
            Self::Statistic(number) => 2 + DETAILS.len() + number,
        }
    }

    fn numbered(number: usize) -> Self {
        match number {
            0 => Self::Rooms,
            1 => Self::Event,
            number if number < 2 + DETAILS.len() => Self::Detail(number - 2),
            number => Self::Statistic(number - 2 - DETAILS.len()),
        }
    }

    /// The value of the variable with this number.
    pub(super) fn value(number: usize) -> Found {
        match Self::numbered(number) {
            Self::Rooms => Found::Number(statistics::global().rooms()),
            Self::Statistic(number) => match ALL.get(number) {
                Some(which) => Found::Number(statistics::global().value(*which)),
                None => Found::Nothing,
            },
            Self::Event => CURRENT.with_borrow(|event| match event {
                Some(event) => Found::Text(event.kind().info().name.to_owned()),
                None => Found::Nothing,
            }),
            Self::Detail(number) => CURRENT.with_borrow(|event| detail(event.as_ref(), number)),
        }
    }
}

impl Found {
    /// The value in the host's form. A number is also given as text.
    pub(super) fn given(self) -> Given {
        let (text, number, flags) = match self {
            Self::Nothing => (String::new(), 0, NOTHING),
            Self::Text(text) => (text, 0, TEXTUAL),
            Self::Number(number) => {
                let flags = TEXTUAL | NUMERIC | COUNTS_AS_NUMBER;
                (number.to_string(), number, flags)
            }
        };
        Given {
            text: lend(&text),
            number,
            flags,
        }
    }
}

fn detail(event: Option<&Event>, number: usize) -> Found {
    let (Some(event), Some((wanted, _))) = (event, DETAILS.get(number)) else {
        return Found::Nothing;
    };
    let details = event.details();
    match details.into_iter().find(|(name, _)| name == wanted) {
        Some((_, Detail::Text(text))) => Found::Text(text.to_owned()),
        Some((_, Detail::Number(number))) => Found::Number(number),
        None => Found::Nothing,
    }
}

/// Runs a function while scripts may read this event.
pub(super) fn during<R>(event: &Event, run: impl FnOnce() -> R) -> R {
    CURRENT.replace(Some(event.clone()));
    let result = run();
    CURRENT.replace(None);
    result
}

/// Keeps a text in place until some more have been given: address and length.
fn lend(text: &str) -> (*mut u8, usize) {
    let slot = NEXT.get();
    NEXT.set((slot + 1) % BUFFERS);
    GIVEN.with_borrow_mut(|buffers| {
        let buffer = &mut buffers[slot];
        let mut length = text.len().min(TEXT);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        buffer[..length].copy_from_slice(&text.as_bytes()[..length]);
        (buffer.as_mut_ptr(), length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{RoomUri, UserUri};
    use crate::focus::Role;

    #[test]
    fn names_become_numbers_and_numbers_values() {
        for name in [
            "rooms",
            "participants",
            "messages_in",
            "event",
            "event_room",
            "event_private",
        ] {
            let variable = Variable::named(name, true).expect(name);
            assert_eq!(Variable::numbered(variable.number()), variable, "{name}");
        }
        assert_eq!(Variable::named("event_room", false), None);
        assert_eq!(Variable::named("event_colour", true), None);
        assert_eq!(Variable::named("", true), None);
        assert_eq!(Variable::value(usize::MAX), Found::Nothing);
    }

    #[test]
    fn an_event_is_there_while_its_route_runs() {
        let event = Event::Join {
            room: RoomUri::new("sip:lobby@h"),
            user: UserUri::new("sip:alice@h"),
            display: "Alice".into(),
            role: Role::Moderator,
        };
        let asked = |name| Variable::value(Variable::named(name, true).expect(name).number());
        assert_eq!(asked("event_user"), Found::Nothing);
        during(&event, || {
            assert_eq!(asked("event"), Found::Text("join".into()));
            assert_eq!(asked("event_user"), Found::Text("sip:alice@h".into()));
            assert_eq!(asked("event_role"), Found::Text("moderator".into()));
            assert_eq!(asked("event_size"), Found::Nothing);
        });
        assert_eq!(asked("event"), Found::Nothing);
    }

    #[test]
    fn values_are_given_as_text_and_number() {
        let given = Found::Number(12).given();
        assert_eq!((given.text.1, given.number, given.flags), (2, 12, 28));
        let given = Found::Text("abc".to_owned()).given();
        assert_eq!((given.text.1, given.number, given.flags), (3, 0, 4));
        assert_eq!(Found::Nothing.given().flags, 1);
    }

    #[test]
    fn lent_texts_do_not_disturb_each_other() {
        let (first, length) = lend("12");
        let (second, _) = lend("345");
        assert_ne!(first, second);
        assert_eq!(length, 2);
        let long = "ä".repeat(TEXT);
        assert_eq!(lend(&long).1, TEXT);
    }
}
