//! Putting messages together from their chunks (RFC 4975 §7.3.1).

use msrp_conference::wire::msrp::{ByteRange, Flag};

/// The largest message that is shown; a room allows 10 MiB by default (`max_message_size`).
pub(super) const MAX_MESSAGE: usize = 10 * 1024 * 1024;
/// Messages that may be under way at once; the oldest goes when there are more.
const MAX_UNDER_WAY: usize = 16;

/// All messages under way.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    id: String,
    octets: Vec<u8>,
    /// How many octets have come, repetitions counted twice.
    received: usize,
    /// Known once the last chunk has come.
    total: Option<usize>,
}

/// A chunk that cannot be taken: 413.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Assembly {
    /// Adds a whole chunk; gives the message when it is complete.
    pub(super) fn add(
        &mut self,
        id: &str,
        range: ByteRange,
        body: &[u8],
        flag: Flag,
    ) -> Result<Option<Vec<u8>>, TooLarge> {
        let known = self.parts.iter().position(|part| part.id == id);
        let start = usize::try_from(range.start.max(1) - 1).map_err(|_| TooLarge)?;
        let end = start
            .checked_add(body.len())
            .filter(|&end| end <= MAX_MESSAGE);
        let Some(end) = end.filter(|_| flag != Flag::Abort) else {
            if let Some(place) = known {
                self.parts.swap_remove(place);
            }
            return if flag == Flag::Abort {
                Ok(None)
            } else {
                Err(TooLarge)
            };
        };
        if known.is_none() && start == 0 && flag == Flag::Last {
            return Ok(Some(body.to_vec()));
        }
        let place = known.unwrap_or_else(|| self.begin(id));
        let part = &mut self.parts[place];
        if part.octets.len() < end {
            part.octets.resize(end, 0);
        }
        // Chunks may come in any order, and the last to come wins (C27, C28).
        part.octets[start..end].copy_from_slice(body);
        part.received += body.len();
        if flag == Flag::Last {
            part.total = Some(end);
        }
        match part.total {
            Some(total) if part.received >= total => {
                let mut part = self.parts.swap_remove(place);
                part.octets.truncate(total);
                Ok(Some(part.octets))
            }
            _ => Ok(None),
        }
    }

    fn begin(&mut self, id: &str) -> usize {
        if self.parts.len() == MAX_UNDER_WAY {
            self.parts.remove(0);
        }
        self.parts.push(Part {
            id: id.to_owned(),
            octets: Vec::new(),
            received: 0,
            total: None,
        });
        self.parts.len() - 1
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
