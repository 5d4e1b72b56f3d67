//! Merges several lists into one that contains each recipient once.

use super::read::{MAX_ENTRIES, ReadError, read};
use super::{CopyControl, Entry};
use crate::wire::sip::Uri;
use std::collections::HashMap;

/// A person to invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The canonical address of the URI, by which rooms and users are compared
    /// ([`Uri::address_of_record`]).
    pub address: String,
    /// The URI, as first written.
    pub uri: String,
    /// A display name, the first in the lists.
    pub display_name: Option<String>,
    /// The visibility: the most open of all entries (RFC 5364 §4, row L06).
    pub copy_control: CopyControl,
    /// Whether any entry asks to hide the address.
    pub anonymize: bool,
}

/// Reads all the lists of an INVITE as one (RFC 5363 §4.1, row L05), in order of first mention.
/// URIs that are neither `sip:`, `sips:` nor `tel:` cannot be invited and are left out; so are
/// those without a user, such as `sip::password@host`. The result may contain the inviter and the
/// room (row L11 leaves that to the caller).
pub fn recipients<'a>(
    lists: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Recipient>, ReadError> {
    let mut merged = Merged::default();
    for list in lists {
        for entry in read(list)? {
            merged.entries += 1;
            if merged.entries > MAX_ENTRIES {
                return Err(ReadError::TooLarge);
            }
            merged.take(entry);
        }
    }
    Ok(merged.recipients)
}

#[derive(Default)]
struct Merged {
    entries: usize,
    recipients: Vec<Recipient>,
    places: HashMap<String, usize>,
}

impl Merged {
    fn take(&mut self, entry: Entry) {
        let Ok(uri) = entry.uri.parse::<Uri>() else {
            return;
        };
        let address = uri.address_of_record();
        let place = self.places.get(&address);
        match place.and_then(|&place| self.recipients.get_mut(place)) {
            Some(known) => known.merge(entry),
            None => {
                self.places.insert(address.clone(), self.recipients.len());
                self.recipients.push(Recipient {
                    address,
                    uri: entry.uri,
                    display_name: entry.display_name,
                    copy_control: entry.copy_control,
                    anonymize: entry.anonymize,
                });
            }
        }
    }
}

impl Recipient {
    fn merge(&mut self, entry: Entry) {
        self.copy_control = self.copy_control.max(entry.copy_control);
        self.anonymize |= entry.anonymize;
        if self.display_name.is_none() {
            self.display_name = entry.display_name;
        }
    }
}
