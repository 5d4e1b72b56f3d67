//! Putting messages together from their chunks (RFC 4975 §7.3.1).

use msrp_conference::wire::msrp::{ByteRange, Flag, Pieces};

/// The largest message to show, in octets; a room allows 10 MiB by default (`max_message_size`).
pub(super) const MAX_MESSAGE: usize = 10 * 1024 * 1024;
/// Incomplete messages at a time; a further one replaces the one that has waited longest.
const MAX_UNDER_WAY: usize = 16;

/// All messages under way.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    id: String,
    pieces: Pieces,
}

/// The answer to a chunk that is too large: 413.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Assembly {
    /// Adds a whole chunk; returns the message when it is complete.
    pub(super) fn add(
        &mut self,
        id: &str,
        range: ByteRange,
        body: &[u8],
        flag: Flag,
    ) -> Result<Option<Vec<u8>>, TooLarge> {
        let known = self.parts.iter().position(|part| part.id == id);
        let begun = known.map(|place| self.parts.remove(place));
        if flag == Flag::Abort {
            return Ok(None);
        }
        let start = usize::try_from(range.start.max(1) - 1).map_err(|_| TooLarge)?;
        let end = start.checked_add(body.len()).ok_or(TooLarge)?;
        let mut pieces = begun.map_or_else(Pieces::default, |part| part.pieces);
        if end > MAX_MESSAGE || !pieces.write(start, body) {
            return Err(TooLarge);
        }
        if flag == Flag::Last {
            pieces.ends_at(end as u64);
        }
        if pieces.is_whole() {
            return Ok(Some(pieces.into_message()));
        }
        if self.parts.len() == MAX_UNDER_WAY {
            self.parts.remove(0);
        }
        let id = id.to_owned();
        self.parts.push(Part { id, pieces });
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(start: u64) -> ByteRange {
        ByteRange {
            start,
            end: None,
            total: None,
        }
    }

    #[test]
    fn c27_chunks_in_any_order() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add("m", from(4), b"def", Flag::Last), Ok(None));
        assert_eq!(
            assembly.add("n", from(1), b"x", Flag::Last),
            Ok(Some(b"x".to_vec()))
        );
        let whole = assembly.add("m", from(1), b"abc", Flag::More);
        assert_eq!(whole, Ok(Some(b"abcdef".to_vec())));
        assert!(assembly.parts.is_empty());
    }

    #[test]
    fn a_chunk_that_comes_twice_fills_no_gap() {
        let mut assembly = Assembly::default();
        for _ in 0..3 {
            assert_eq!(assembly.add("m", from(4), b"def", Flag::Last), Ok(None));
        }
        let whole = assembly.add("m", from(1), b"abc", Flag::More);
        assert_eq!(whole, Ok(Some(b"abcdef".to_vec())));
    }

    #[test]
    fn c30_an_aborted_message_is_forgotten() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add("m", from(1), b"abc", Flag::More), Ok(None));
        assert_eq!(assembly.add("m", from(4), b"", Flag::Abort), Ok(None));
        assert!(assembly.parts.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut assembly = Assembly::default();
        let far = from(MAX_MESSAGE as u64 + 1);
        assert_eq!(assembly.add("m", far, b"a", Flag::More), Err(TooLarge));
        assert_eq!(
            assembly.add("m", from(u64::MAX), b"a", Flag::More),
            Err(TooLarge)
        );
        for number in 0..100 {
            assert_eq!(
                assembly.add(&number.to_string(), from(1), b"a", Flag::More),
                Ok(None)
            );
        }
        assert_eq!(assembly.parts.len(), MAX_UNDER_WAY);
    }
}
