//! `application/resource-lists+xml` (RFC 4826) with copy control (RFC 5364): the list in an INVITE
//! (RFC 5366 §4), and its history for the invited participants.
//!
//! The caller decides whether the number of invitations is allowed. Nothing in a list is ever
//! fetched: `entry-ref` and `external` are ignored (row L10).

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

/// The visibility of a recipient to the others, least first (RFC 5364 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyControl {
    /// Hidden from the others; the default without an attribute (row L06).
    #[default]
    Bcc,
    /// For information.
    Cc,
    /// Openly.
    To,
}

impl CopyControl {
    /// The attribute's value.
    pub fn as_str(self) -> &'static str {
        match self {
            CopyControl::Bcc => "bcc",
            CopyControl::Cc => "cc",
            CopyControl::To => "to",
        }
    }

    /// Reads an attribute; an unknown value counts as the most discreet.
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
    /// A display name.
    pub display_name: Option<String>,
    /// The visibility of the recipient.
    pub copy_control: CopyControl,
    /// Whether the others may see that there is a recipient, without the address.
    pub anonymize: bool,
}
