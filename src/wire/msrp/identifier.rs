//! Transaction ids and Message-IDs (RFC 4975 §9, `ident`).

use super::{MAX_FRAMED_IDENTIFIER, MAX_IDENTIFIER};
use crate::entropy::{Entropy, token};
use std::fmt;
use std::hash::{Hash, Hasher};

/// Characters of five random bits each: 65 bits, one more than RFC 4975 §7.1 requires (C06).
const RANDOM_CHARACTERS: usize = 13;

/// A transaction id, inline and `Copy`.
#[derive(Clone, Copy)]
pub struct TransactionId {
    octets: [u8; MAX_FRAMED_IDENTIFIER],
    length: u8,
}

impl TransactionId {
    /// Takes a token of visible ASCII up to [`MAX_FRAMED_IDENTIFIER`] octets.
    pub fn new(text: &str) -> Option<Self> {
        Self::from_octets(text.as_bytes())
    }

    pub(super) fn from_octets(text: &[u8]) -> Option<Self> {
        let mut octets = [0; MAX_FRAMED_IDENTIFIER];
        let place = octets.get_mut(..text.len())?;
        if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        place.copy_from_slice(text);
        Some(Self {
            octets,
            length: text.len() as u8,
        })
    }

    /// A fresh id of more than 64 random bits (§7.1).
    pub fn random(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        TransactionIds::new(entropy).id(0)
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether it obeys the grammar: 4 to 32 octets, the first alphanumeric (C01).
    pub fn is_ident(&self) -> bool {
        let octets = self.as_bytes();
        (4..=MAX_IDENTIFIER).contains(&octets.len())
            && octets[0].is_ascii_alphanumeric()
            && octets
                .iter()
                .all(|octet| octet.is_ascii_alphanumeric() || b".-+%=".contains(octet))
    }
}

impl PartialEq for TransactionId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for TransactionId {}

impl Hash for TransactionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Ids made of a random base of 65 bits and a hexadecimal counter, so that a response finds its
/// request by number rather than through a table of strings. There is one for each connection; the
/// ids also serve as Message-IDs.
#[derive(Clone, Debug)]
pub struct TransactionIds {
    base: [u8; RANDOM_CHARACTERS],
    next: u64,
}

impl TransactionIds {
    /// A new base.
    pub fn new(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        let mut base = [b'a'; RANDOM_CHARACTERS];
        base.copy_from_slice(token(entropy, RANDOM_CHARACTERS).as_bytes());
        Self { base, next: 0 }
    }

    /// The next id and its number; numbers count from 0.
    pub fn next_id(&mut self) -> (u64, TransactionId) {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        (number, self.id(number))
    }

    /// The id of a number.
    pub fn id(&self, number: u64) -> TransactionId {
        let mut octets = [0; MAX_FRAMED_IDENTIFIER];
        octets[..RANDOM_CHARACTERS].copy_from_slice(&self.base);
        let digits = (16 - number.leading_zeros() as usize / 4).max(1);
        for (place, digit) in octets[RANDOM_CHARACTERS..][..digits]
            .iter_mut()
            .zip((0..digits).rev())
        {
            *place = b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15];
        }
        TransactionId {
            octets,
            length: (RANDOM_CHARACTERS + digits) as u8,
        }
    }

    /// The number of an id made here; `None` for any other id. The id may not have been issued yet.
    pub fn number(&self, id: &TransactionId) -> Option<u64> {
        let digits = id.as_bytes().strip_prefix(&self.base)?;
        if digits.is_empty() || digits.len() > 16 || (digits[0] == b'0' && digits.len() > 1) {
            return None;
        }
        digits.iter().try_fold(0, |number: u64, digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(number << 4 | u64::from(value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Seeded;
    use proptest::prelude::*;

    #[test]
    fn c01_ident_grammar() {
        let ident = |text: &str| TransactionId::new(text).is_some_and(|id| id.is_ident());
        assert!(ident("a786"));
        assert!(ident("9a.-+%="));
        assert!(ident(&"a".repeat(32)));
        assert!(!ident("abc"));
        assert!(!ident("-abcd"));
        assert!(!ident("ab_cd"));
        assert!(!ident(&"a".repeat(33)));
        assert!(TransactionId::new(&"a".repeat(64)).is_some());
        assert!(TransactionId::new(&"a".repeat(65)).is_none());
        assert!(TransactionId::new("").is_none());
        assert!(TransactionId::new("a b").is_none());
    }

    #[test]
    fn c06_fresh_ids_are_idents_and_differ() {
        let mut entropy = Seeded(7);
        let first = TransactionId::random(&mut entropy);
        assert!(first.is_ident());
        assert_ne!(first, TransactionId::random(&mut entropy));
    }

    #[test]
    fn somebody_elses_id_has_no_number() {
        let mut entropy = Seeded(3);
        let (ours, theirs) = (
            TransactionIds::new(&mut entropy),
            TransactionIds::new(&mut entropy),
        );
        assert_eq!(ours.number(&theirs.id(4)), None);
        let zeros = format!("{}00", &ours.id(0).as_str()[..RANDOM_CHARACTERS]);
        assert_eq!(ours.number(&TransactionId::new(&zeros).unwrap()), None);
    }

    proptest! {
        #[test]
        fn number_inverts_id(seed: u64, number: u64) {
            let ids = TransactionIds::new(&mut Seeded(seed));
            let id = ids.id(number);
            prop_assert!(id.is_ident());
            prop_assert_eq!(ids.number(&id), Some(number));
        }
    }
}
