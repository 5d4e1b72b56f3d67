//! Memory of first certificates (RFC 6714 §7.7, U14). A user whose fingerprint has changed is let
//! in, and the operator gets a notice. Kept in memory only.

use std::collections::HashMap;

use crate::control::UserUri;
use crate::wire::fingerprint::Fingerprint;

/// Most users remembered: some megabytes. Users beyond the limit are not checked.
const MAX_USERS: usize = 50_000;

/// The fingerprints in each user's first description.
#[derive(Debug, Default)]
pub(in crate::focus) struct FingerprintMemory {
    fingerprints: HashMap<UserUri, Vec<Fingerprint>>,
}

impl FingerprintMemory {
    /// Remembers a user's first fingerprints. Returns whether these include none of the first ones.
    pub(in crate::focus) fn changed(&mut self, user: &UserUri, announced: &[Fingerprint]) -> bool {
        if announced.is_empty() {
            return false;
        }
        if let Some(known) = self.fingerprints.get(user) {
            return !announced.iter().any(|one| known.contains(one));
        }
        if self.fingerprints.len() < MAX_USERS {
            self.fingerprints.insert(user.clone(), announced.to_vec());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fingerprint::HashFunction;

    #[test]
    fn u14_another_fingerprint_than_the_first_is_noticed() {
        let one = |octet| Fingerprint::new(HashFunction::Sha256, &[octet; 32]).unwrap();
        let (alice, bob) = (UserUri::new("sip:alice@a"), UserUri::new("sip:bob@a"));
        let mut seen = FingerprintMemory::default();
        assert!(!seen.changed(&alice, &[]));
        assert!(!seen.changed(&alice, &[one(1), one(2)]));
        assert!(!seen.changed(&bob, &[one(3)]), "somebody else");
        assert!(!seen.changed(&alice, &[one(2)]));
        assert!(!seen.changed(&alice, &[]), "not over TLS this time");
        assert!(seen.changed(&alice, &[one(3)]));
        assert!(seen.changed(&alice, &[one(3)]), "the first ones count");
    }
}
