//! Where an invited party is looked for: one address after the other (RFC 3261 §8.1.3.4).

use crate::control::RoomUri;
use crate::wire::sip::{NameAddr, Response, Uri};

/// Addresses tried for one party, the first included: redirections may lead in circles.
const MAX_TARGETS: usize = 8;

/// The addresses of a party, in the order in which they are tried.
#[derive(Debug)]
pub(in crate::focus) struct Targets {
    known: Vec<String>,
    tried: usize,
}

impl Targets {
    /// The first is being tried.
    pub(in crate::focus) fn new(first: &str) -> Self {
        Self {
            known: vec![first.to_owned()],
            tried: 1,
        }
    }

    /// Takes what a redirection names, to be tried before what is left of earlier ones: by
    /// preference, and nothing twice. Never the room itself, which would join itself.
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

/// The Request-URI that a Contact stands for, unless it leads nowhere or back.
fn leads_to(contact: &str, room: &RoomUri) -> Option<String> {
    let uri: Uri = contact.parse().ok()?;
    let leads_on = uri.scheme != "tel" && uri.address_of_record() != room.as_str();
    leads_on.then(|| uri.for_request().to_string())
}

/// The preference (RFC 3261 §20.10), from 0 to 1000, which it is where none is given.
fn thousandths(contact: &NameAddr) -> u16 {
    let q = contact.params.value("q").and_then(|q| q.parse().ok());
    let q: f32 = q.unwrap_or(1.0);
    (q.clamp(0.0, 1.0) * 1000.0) as u16
}
