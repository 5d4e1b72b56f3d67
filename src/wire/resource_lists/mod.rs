//! `application/resource-lists+xml` (RFC 4826) with copy control (RFC 5364): the list in an
//! INVITE (RFC 5366 §4), and the history of it that the invited see.
//!
//! Whether somebody may invite so many is decided elsewhere. Nothing in a list is ever
//! fetched: `entry-ref` and `external` are passed over (row L10).

mod history;
mod read;
mod recipients;
#[cfg(test)]
mod tests;

pub use history::{HISTORY_DISPOSITION, history};
pub use read::{MAX_DEPTH, MAX_ENTRIES, MAX_OCTETS, ReadError, read};
pub use recipients::{Recipient, recipients};

/// The media type (RFC 4826 §3.4.2).
pub const MEDIA_TYPE: &str = "application/resource-lists+xml";
/// The namespace of the lists (RFC 4826 §3.4.4).
const NAMESPACE: &str = "urn:ietf:params:xml:ns:resource-lists";
/// The namespace of the copy control attributes (RFC 5364 §5).
const COPY_NAMESPACE: &str = "urn:ietf:params:xml:ns:copycontrol";

/// How openly somebody is invited, the least first (RFC 5364 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyControl {
    /// Unseen by the others; what nothing said means (row L06).
    #[default]
    Bcc,
    /// For information.
    Cc,
    /// Openly.
    To,
}

impl CopyControl {
    /// As in the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            CopyControl::Bcc => "bcc",
            CopyControl::Cc => "cc",
            CopyControl::To => "to",
        }
    }

    /// What an attribute says; what it does not know is the most discreet.
    fn parse(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "to" => CopyControl::To,
            "cc" => CopyControl::Cc,
            _ => CopyControl::Bcc,
        }
    }
}

/// One `entry` as it stands in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The URI, as written.
    pub uri: String,
    /// A name for people.
    pub display_name: Option<String>,
    /// How openly.
    pub copy_control: CopyControl,
    /// Whether others may see that there is somebody, but not who.
    pub anonymize: bool,
}
