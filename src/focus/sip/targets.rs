//! Addresses tried for an invited party, one after the other (RFC 3261 §8.1.3.4).

use crate::control::RoomUri;
use crate::wire::sip::{NameAddr, Response, Uri};

/// Most addresses per party, including the first: redirections may form a loop.
const MAX_TARGETS: usize = 8;

/// The addresses of a party, in the order of the attempts.
#[derive(Debug)]
pub(in crate::focus) struct Targets {
    known: Vec<String>,
    tried: usize,
}

impl Targets {
    /// Starts with this address, which is being tried.
    pub(in crate::focus) fn new(first: &str) -> Self {
        Self {
            known: vec![first.to_owned()],
            tried: 1,
        }
    }

    /// Adds the addresses of a redirection in front of the remaining ones, by preference and
    /// without duplicates. The room itself is left out: it would join itself.
    pub(in crate::focus) fn redirected(&mut self, response: &Response, room: &RoomUri) {
        let contacts = response.headers.elements("Contact").into_iter();
        let contacts = contacts.filter_map(|contact| contact.parse::<NameAddr>().ok());
        let mut named: Vec<(u16, String)> = contacts
            .filter_map(|contact| Some((thousandths(&contact), leads_to(&contact.uri, room)?)))
            .collect();
        named.sort_by_key(|(preference, _)| std::cmp::Reverse(*preference));
        let mut at = self.tried;
        for (_, target) in named.into_iter().take(MAX_TARGETS) {
            if !self.known.contains(&target) {
                self.known.insert(at, target);
                at += 1;
            }
        }
        self.known.truncate(MAX_TARGETS);
    }

    /// The next one to try.
    pub(in crate::focus) fn advance(&mut self) -> Option<String> {
        let next = self.known.get(self.tried)?.clone();
        self.tried += 1;
        Some(next)
    }
}

/// The Request-URI of a Contact, unless it is unusable or leads back to the room.
fn leads_to(contact: &str, room: &RoomUri) -> Option<String> {
    let uri: Uri = contact.parse().ok()?;
    let leads_on = uri.scheme != "tel" && uri.address_of_record() != room.as_str();
    leads_on.then(|| uri.for_request().to_string())
}

/// The preference (RFC 3261 §20.10) from 0 to 1000; 1000 if there is none.
fn thousandths(contact: &NameAddr) -> u16 {
    let q = contact.params.value("q").and_then(|q| q.parse().ok());
    let q: f32 = q.unwrap_or(1.0);
    (q.clamp(0.0, 1.0) * 1000.0) as u16
}
