//! Transaction ids and Message-IDs (RFC 4975 §9, `ident`).

use super::MAX_FRAMED_IDENTIFIER;
use crate::entropy::Entropy;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A transaction id, inline and `Copy`.
#[derive(Clone, Copy)]
pub struct TransactionId {
    octets: [u8; MAX_FRAMED_IDENTIFIER],
    length: u8,
}

impl TransactionId {
    /// Takes a token of visible ASCII up to [`MAX_FRAMED_IDENTIFIER`] octets.
    pub fn new(_text: &str) -> Option<Self> {
        todo!()
    }
    /// A fresh one of more than 64 random bits (§7.1).
    pub fn random(_entropy: &mut (impl Entropy + ?Sized)) -> Self {
        todo!()
    }
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        todo!()
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        todo!()
    }
    /// Whether it obeys the grammar: 4 to 32 octets, the first alphanumeric.
    pub fn is_ident(&self) -> bool {
        todo!()
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

/// Ids from a random base of 65 bits and a counter, so that a response finds its request by
/// number instead of by a table of strings. One for each connection; fit for Message-IDs too.
#[derive(Clone, Debug)]
pub struct TransactionIds {
    next: u64,
}

impl TransactionIds {
    /// A new base.
    pub fn new(_entropy: &mut (impl Entropy + ?Sized)) -> Self {
        todo!()
    }
    /// The next id and its number; numbers count from 0.
    pub fn next_id(&mut self) -> (u64, TransactionId) {
        todo!()
    }
    /// The id of a number.
    pub fn id(&self, _number: u64) -> TransactionId {
        todo!()
    }
    /// The number of an id made here; `None` for anybody else's. It may not have been given yet.
    pub fn number(&self, _id: &TransactionId) -> Option<u64> {
        todo!()
    }
}
