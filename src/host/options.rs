//! The argument of the script function, pseudo-variables already expanded by the host:
//! `create=yes|no;role=participant|moderator|observer;identity=<uri>`.

use crate::focus::{Role, ScriptOptions};

/// Options that the script set for one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The options for the focus.
    pub(crate) script: ScriptOptions,
    /// The caller's identity, instead of modparam `identity`.
    pub(crate) identity: Option<String>,
}

/// Why the argument is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionError {
    /// A part is not `name=value`.
    #[error("{0:?} is not name=value (known: create, role, identity)")]
    Form(String),
    /// The name is not known.
    #[error("unknown option {0:?} (known: create, role, identity)")]
    Name(String),
    /// The value is not allowed.
    #[error("{name}={value:?} is not allowed (allowed: {allowed})")]
    Value {
        /// The option.
        name: &'static str,
        /// The rejected value.
        value: String,
        /// The allowed values.
        allowed: &'static str,
    },
}

/// Reads the argument; an empty one sets nothing. `identity` takes the rest of the text, since a
/// URI may contain semicolons, so it must come last.
pub(crate) fn parse(text: &str) -> Result<Options, OptionError> {
    let mut options = Options::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| OptionError::Form(rest.to_owned()))?;
        let name = name.trim();
        if name == "identity" {
            options.identity = Some(after.trim().to_owned());
            break;
        }
        let (value, next) = after.split_once(';').unwrap_or((after, ""));
        apply(&mut options.script, name, value.trim())?;
        rest = next.trim_start();
    }
    Ok(options)
}

fn apply(script: &mut ScriptOptions, name: &str, value: &str) -> Result<(), OptionError> {
    let refuse = |name, allowed| {
        Err(OptionError::Value {
            name,
            value: value.to_owned(),
            allowed,
        })
    };
    match name {
        "create" => match value {
            "yes" => script.create = Some(true),
            "no" => script.create = Some(false),
            _ => return refuse("create", "yes, no"),
        },
        "role" => match Role::from_name(value) {
            Some(role) => script.role = Some(role),
            None => return refuse("role", "participant, moderator, observer"),
        },
        _ => return Err(OptionError::Name(name.to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read() {
        let options =
            parse("create=no; role=moderator;identity=sip:a@b;transport=tcp").expect("valid");
        assert_eq!(options.script.create, Some(false));
        assert_eq!(options.script.role, Some(Role::Moderator));
        assert_eq!(options.identity.as_deref(), Some("sip:a@b;transport=tcp"));
        assert_eq!(parse(" "), Ok(Options::default()));
        assert_eq!(
            parse("create=yes;").map(|o| o.script.create),
            Ok(Some(true))
        );
    }

    #[test]
    fn mistakes_name_what_is_allowed() {
        assert_eq!(
            parse("create=maybe").map_err(|e| e.to_string()),
            Err("create=\"maybe\" is not allowed (allowed: yes, no)".to_owned())
        );
        assert!(matches!(parse("colour=red"), Err(OptionError::Name(_))));
        assert!(matches!(parse("yes"), Err(OptionError::Form(_))));
    }
}
