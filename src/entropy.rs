//! Randomness as an argument, for session ids, tags and transaction ids.

/// A source of random octets. The service passes the operating system's, tests a seeded one.
pub trait Entropy {
    /// Fills the whole buffer.
    fn fill(&mut self, buffer: &mut [u8]);
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Entropy for System {
    /// If the operating system cannot provide random octets: no id would be safe.
    fn fill(&mut self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives random octets");
    }
}

/// A seeded, reproducible source for tests (SplitMix64). Never for identifiers on the wire.
#[derive(Clone, Debug)]
pub struct Seeded(pub u64);

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            word ^= word >> 31;
            part.copy_from_slice(&word.to_le_bytes()[..part.len()]);
        }
    }
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A random token of `length` characters, five random bits each, letters and digits only.
pub fn token(entropy: &mut (impl Entropy + ?Sized), length: usize) -> String {
    let mut octets = vec![0u8; length];
    entropy.fill(&mut octets);
    octets
        .iter()
        .map(|octet| char::from(ALPHABET[usize::from(octet & 31)]))
        .collect()
}

/// Whether `text` could be a token of this length.
pub fn is_token(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|octet| ALPHABET.contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_length_and_differ() {
        let mut entropy = Seeded(1);
        let first = token(&mut entropy, 26);
        let second = token(&mut entropy, 26);
        assert_eq!(first.len(), 26);
        assert!(first.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(first, second);
        assert!(is_token(&first, 26) && !is_token(&first, 25));
        assert!(!is_token("support-for-everybody-1", 23));
    }
}
