//! A command as it came, and the reading of its arguments.

use serde::{Deserialize, Serialize};

use super::answer::{Fault, shortened};
use super::table::{Command, DEFAULT_LIMIT, MAX_LIMIT, MAX_SAID};
use crate::control::{RoomUri, UserUri};
use crate::focus::{Pattern, PatternError, Role, RoomEntry};
use crate::parameters::{self, ParameterError};
use crate::wire::sip::Uri;

/// One argument.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// Its name; `None` for an argument by position.
    pub name: Option<String>,
    /// A string, or a number as digits; `None` for anything else.
    pub value: Option<String>,
}

impl Argument {
    /// An argument by position.
    pub fn positional(value: impl Into<String>) -> Self {
        Self {
            name: None,
            value: Some(value.into()),
        }
    }

    /// An argument by name.
    pub fn named(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            value: Some(value.into()),
        }
    }
}

/// A command as a host's interface took it, not validated yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The command.
    pub command: Command,
    /// Its arguments, in the order given.
    pub arguments: Vec<Argument>,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The most entries to return.
    pub limit: usize,
    /// Number of entries to skip.
    pub offset: usize,
}

/// The arguments by their places in the table.
pub(super) struct Given<'a> {
    command: Command,
    values: Vec<Option<&'a str>>,
}

impl<'a> Given<'a> {
    pub(super) fn sort(call: &'a Call) -> Result<Self, Fault> {
        let info = call.command.info();
        let bad = |text: String| Fault::new(400, format_args!("{text} (usage: {})", info.usage()));
        let mut values = vec![None; info.parameters.len()];
        for (position, argument) in call.arguments.iter().enumerate() {
            let place = match &argument.name {
                None => position,
                Some(name) => info
                    .parameters
                    .iter()
                    .position(|parameter| parameter.name == name)
                    .ok_or_else(|| bad(format!("there is no parameter {}", quoted(name))))?,
            };
            let slot = values
                .get_mut(place)
                .ok_or_else(|| bad("too many parameters".to_owned()))?;
            let name = info.parameters[place].name;
            let value = argument.value.as_deref();
            let value = value.ok_or_else(|| bad(format!("{name} is neither string nor number")))?;
            if slot.replace(value).is_some() {
                return Err(bad(format!("{name} is given twice")));
            }
        }
        for (parameter, value) in info.parameters.iter().zip(&values) {
            if !parameter.optional && value.is_none_or(|value| value.trim().is_empty()) {
                return Err(bad(format!("{} is missing", parameter.name)));
            }
        }
        let command = call.command;
        Ok(Self { command, values })
    }

    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        let parameters = self.command.info().parameters;
        let place = parameters.iter().position(|it| it.name == name)?;
        self.values.get(place).copied().flatten()
    }

    pub(super) fn text(&self, name: &str) -> &'a str {
        self.optional(name).unwrap_or_default()
    }

    pub(super) fn uri(&self, name: &str) -> Result<Uri, Fault> {
        let text = self.text(name).trim();
        let uri: Option<Uri> = with_scheme(text).parse().ok();
        uri.filter(|uri| matches!(uri.scheme.as_str(), "sip" | "sips") && uri.user.is_some())
            .ok_or_else(|| {
                Fault::new(
                    400,
                    format_args!("{name} {} is no SIP URI (sip:USER@HOST)", quoted(text)),
                )
            })
    }

    pub(super) fn room(&self) -> Result<RoomUri, Fault> {
        Ok(RoomUri::new(self.uri("room")?.address_of_record()))
    }

    pub(super) fn user(&self) -> Result<UserUri, Fault> {
        let text = self.text("user").trim();
        if let Ok(uri) = text.parse::<Uri>()
            && uri.scheme == "tel"
        {
            return Ok(UserUri::new(uri.address_of_record()));
        }
        Ok(UserUri::new(self.uri("user")?.address_of_record()))
    }

    /// A room with its options, in the form of modparam `room`.
    pub(super) fn room_entry(&self) -> Result<RoomEntry, Fault> {
        let mut text = self.text("room").to_owned();
        if let Some(options) = self.optional("options") {
            text.push(';');
            text.push_str(options.trim().trim_start_matches(';'));
        }
        parameters::room(&with_scheme(&text)).map_err(not_a_room)
    }

    /// An address, with `*` for any characters.
    pub(super) fn pattern(&self) -> Result<Pattern, Fault> {
        let text = self.text("user").trim();
        let wrong = |error| Fault::new(400, format_args!("user {}: {error}", quoted(text)));
        if text.contains([' ', ',', ';', '<', '>', '"']) && text.contains('*') {
            return Err(wrong(PatternError::Malformed));
        }
        let address = match text.contains('*') {
            true => text.to_owned(),
            false => self.user()?.to_string(),
        };
        address.parse().map_err(wrong)
    }

    pub(super) fn role(&self) -> Result<Role, Fault> {
        let text = self.text("role").trim();
        Role::from_name(text).ok_or_else(|| {
            let allowed = "participant, moderator or observer";
            Fault::new(400, format_args!("role {} is not {allowed}", quoted(text)))
        })
    }

    pub(super) fn said(&self) -> Result<String, Fault> {
        let text = self.text("text");
        if text.len() > MAX_SAID {
            return Err(Fault::new(
                400,
                format_args!("text is longer than {MAX_SAID} octets"),
            ));
        }
        Ok(text.to_owned())
    }

    pub(super) fn page(&self) -> Result<Page, Fault> {
        Ok(Page {
            limit: self.number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?,
            offset: self.number("offset", 0, 0, usize::MAX)?,
        })
    }

    fn number(
        &self,
        name: &str,
        default: usize,
        least: usize,
        most: usize,
    ) -> Result<usize, Fault> {
        let Some(text) = self.optional(name) else {
            return Ok(default);
        };
        let number = text.trim().parse().ok();
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| {
                let allowed = match most {
                    usize::MAX => format!("a number from {least}"),
                    most => format!("a number from {least} to {most}"),
                };
                Fault::new(
                    400,
                    format_args!("{name} {} is not {allowed}", quoted(text)),
                )
            })
    }
}

/// The fault for an invalid room or room option.
fn not_a_room(error: ParameterError) -> Fault {
    let allowed = error.allowed;
    // The sender of the command knows which room it is.
    let wrong = error.value.rsplit(';').next().unwrap_or_default();
    Fault::new(
        400,
        format_args!("{} is not allowed ({allowed})", quoted(wrong)),
    )
}

/// An argument as an error shows it.
fn quoted(text: &str) -> String {
    /// Leaves room for the rest of the error, however the text is escaped.
    const MOST: usize = 40;
    shortened(&format!("{text:?}"), MOST)
}

fn with_scheme(text: &str) -> String {
    let text = text.trim();
    let before_options = text.split([';', '@']).next().unwrap_or_default();
    match before_options.contains(':') {
        true => text.to_owned(),
        false => format!("sip:{text}"),
    }
}
