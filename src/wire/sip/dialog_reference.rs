//! Headers that name a dialog: Replaces (RFC 3891 §6.1), Join (RFC 3911 §7.1) and Target-Dialog
//! (RFC 4538 §7). The caller decides what the request may do to that dialog.

use super::grammar::{is_token, one_line};
use super::{Headers, ParseError};
use std::fmt;
use std::str::FromStr;

/// The identifiers of a dialog, as seen by the receiver of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogReference {
    /// Call-ID.
    pub call_id: String,
    /// The receiver's own tag: `to-tag` or `local-tag`.
    pub local_tag: String,
    /// The tag of the receiver's peer: `from-tag` or `remote-tag`.
    pub remote_tag: String,
}

impl DialogReference {
    /// Whether this is the dialog with these identifiers; an absent tag is empty. A zero
    /// stands for an absent tag too (RFC 3891 §6.1).
    pub fn names(&self, call_id: &str, local_tag: &str, remote_tag: &str) -> bool {
        let same = |named: &str, tag: &str| named == tag || (named == "0" && tag.is_empty());
        self.call_id == call_id
            && same(&self.local_tag, local_tag)
            && same(&self.remote_tag, remote_tag)
    }

    /// Reads `call-id;local=…;remote=…`; returns the names of the other parameters.
    fn parse<'a>(
        text: &'a str,
        local: &str,
        remote: &str,
    ) -> Result<(Self, Vec<&'a str>), ParseError> {
        // A Call-ID may contain quotes and brackets (RFC 3261 §25.1), so they do not protect
        // separators.
        let mut fields = text.split(';').map(str::trim);
        let call_id = fields.next().filter(|id| is_call_id(id));
        let call_id = call_id.ok_or(ParseError::Header)?;
        let (mut local_tag, mut remote_tag, mut others) = (None, None, Vec::new());
        for field in fields {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (name, value) = (name.trim(), value.trim());
            let tag = match name {
                name if name.eq_ignore_ascii_case(local) => &mut local_tag,
                name if name.eq_ignore_ascii_case(remote) => &mut remote_tag,
                other => {
                    others.push(other);
                    continue;
                }
            };
            // Exactly one of each.
            if !is_token(value) || tag.replace(value.to_owned()).is_some() {
                return Err(ParseError::Header);
            }
        }
        let (Some(local_tag), Some(remote_tag)) = (local_tag, remote_tag) else {
            return Err(ParseError::Header);
        };
        let dialog = DialogReference {
            call_id: call_id.to_owned(),
            local_tag,
            remote_tag,
        };
        Ok((dialog, others))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, local: &str, remote: &str) -> fmt::Result {
        let call_id = one_line(&self.call_id);
        let (local_tag, remote_tag) = (one_line(&self.local_tag), one_line(&self.remote_tag));
        write!(f, "{call_id};{local}={local_tag};{remote}={remote_tag}")
    }
}

fn is_call_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_graphic() && c != ',';
    !text.is_empty() && text.chars().all(allowed)
}

/// `Replaces`: the INVITE takes the place of a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// The dialog to replace.
    pub dialog: DialogReference,
    /// Replace the dialog only while it is not yet confirmed.
    pub early_only: bool,
}

impl FromStr for Replaces {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (dialog, others) = DialogReference::parse(text, "to-tag", "from-tag")?;
        let early = |name: &&str| name.eq_ignore_ascii_case("early-only");
        Ok(Replaces {
            dialog,
            early_only: others.iter().any(early),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dialog.write(f, "to-tag", "from-tag")?;
        match self.early_only {
            true => f.write_str(";early-only"),
            false => Ok(()),
        }
    }
}

/// `Join`: the INVITE turns a dialog into a conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The dialog to join.
    pub dialog: DialogReference,
}

impl FromStr for Join {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (dialog, _) = DialogReference::parse(text, "to-tag", "from-tag")?;
        Ok(Join { dialog })
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dialog.write(f, "to-tag", "from-tag")
    }
}

/// `Target-Dialog`: the sender knows a dialog of the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetDialog {
    /// The dialog.
    pub dialog: DialogReference,
}

impl FromStr for TargetDialog {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (dialog, _) = DialogReference::parse(text, "local-tag", "remote-tag")?;
        Ok(TargetDialog { dialog })
    }
}

impl fmt::Display for TargetDialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dialog.write(f, "local-tag", "remote-tag")
    }
}

macro_rules! of_headers {
    ($header:ident, $name:literal) => {
        impl $header {
            /// The header of a request; several, or a malformed one, are an error: 400.
            pub fn of(headers: &Headers) -> Result<Option<Self>, ParseError> {
                let mut values = headers.all($name);
                match (values.next(), values.next()) {
                    (None, _) => Ok(None),
                    (Some(value), None) => value.parse().map(Some),
                    (Some(_), Some(_)) => Err(ParseError::Header),
                }
            }
        }
    };
}

of_headers!(Replaces, "Replaces");
of_headers!(Join, "Join");
of_headers!(TargetDialog, "Target-Dialog");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f08_the_examples_of_rfc_3891() {
        let read: Replaces = "98732@sip.example.com ;from-tag=r33th4x0r ;To-Tag = ff87ff"
            .parse()
            .unwrap();
        assert!(
            read.dialog
                .names("98732@sip.example.com", "ff87ff", "r33th4x0r")
        );
        assert!(!read.early_only);
        let text = "12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only";
        let read: Replaces = text.parse().unwrap();
        assert!(read.early_only);
        assert_eq!(read.to_string(), text);
        let old: Replaces = "87134@171.161.34.23;to-tag=24796;from-tag=0"
            .parse()
            .unwrap();
        assert!(old.dialog.names("87134@171.161.34.23", "24796", ""));
        assert!(old.dialog.names("87134@171.161.34.23", "24796", "0"));
        assert!(!old.dialog.names("87134@171.161.34.23", "24796", "1"));
        assert!(!old.dialog.names("87134@171.161.34.23", "", "0"));
    }

    #[test]
    fn f08_f13_join_and_target_dialog() {
        let join: Join = r#"<"odd">[1]@h;from-tag=a;to-tag=b;x=y"#.parse().unwrap();
        assert!(join.dialog.names(r#"<"odd">[1]@h"#, "b", "a"));
        let text = "fa77as7dad8-sd98ajzz@host.example.com;local-tag=kkaz-;remote-tag=6544";
        let target: TargetDialog = text.parse().unwrap();
        assert!(
            target
                .dialog
                .names("fa77as7dad8-sd98ajzz@host.example.com", "kkaz-", "6544")
        );
        assert_eq!(target.to_string(), text);
        assert!("1;to-tag=a;from-tag=b".parse::<TargetDialog>().is_err());
    }

    #[test]
    fn f08_exactly_one_of_everything() {
        for text in [
            "",
            "1",
            "1;to-tag=a",
            "1;from-tag=a",
            "1;to-tag=a;from-tag",
            "1;to-tag=a;from-tag=",
            "1;to-tag=a;to-tag=a;from-tag=b",
            "1;to-tag=\"a\";from-tag=b",
            ";to-tag=a;from-tag=b",
            "1 2;to-tag=a;from-tag=b",
            "1;to-tag=a;from-tag=b, 2;to-tag=a;from-tag=b",
        ] {
            assert!(text.parse::<Replaces>().is_err(), "{text:?}");
        }
        let one = Headers::new().with("Replaces", "1;to-tag=a;from-tag=b");
        assert!(Replaces::of(&one).unwrap().is_some());
        assert_eq!(Join::of(&one), Ok(None));
        let two = one.with("Replaces", "1;to-tag=a;from-tag=b");
        assert_eq!(Replaces::of(&two), Err(ParseError::Header));
    }

    proptest! {
        #[test]
        fn references_survive(
            call_id in "[a-zA-Z0-9%\"<>\\[\\]{}?/:.!~*()@-]{1,20}", local in "[a-zA-Z0-9.!%*_+`'~-]{1,9}",
            remote in "[a-z0-9]{1,9}", early_only: bool,
        ) {
            let dialog = DialogReference { call_id, local_tag: local, remote_tag: remote };
            let written = Replaces { dialog: dialog.clone(), early_only };
            prop_assert_eq!(written.to_string().parse(), Ok(written));
            let written = TargetDialog { dialog };
            prop_assert_eq!(written.to_string().parse(), Ok(written));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(to-tag|from-tag|;|=|,|[ -~é]){0,12}") {
            let _ = text.parse::<Replaces>().map(|read| read.to_string());
            let _ = text.parse::<Join>();
            let _ = text.parse::<TargetDialog>();
        }
    }
}
