//! A message put together from its chunks (RFC 4975 §7.3.1).

use std::collections::BTreeMap;

/// Limit of separate pieces of one message: no real client sends its chunks that far out of order.
const MAX_PIECES: usize = 64;

/// An incomplete message: only received octets are held, wherever they belong.
#[derive(Debug, Default)]
pub struct Pieces {
    /// The pieces by the offset of their first octet; they neither touch nor overlap.
    parts: BTreeMap<usize, Vec<u8>>,
    octets: usize,
    total: Option<usize>,
}

impl Pieces {
    /// Puts octets in their place; `false` when there are too many separate pieces. The caller
    /// limits the offset.
    pub fn write(&mut self, start: usize, octets: &[u8]) -> bool {
        if octets.is_empty() {
            return true;
        }
        // C09: count the octets rather than trust the header's end.
        let end = start + octets.len();
        self.cut(start, end);
        let before = self.parts.range_mut(..start).next_back();
        let before = before.filter(|(from, part)| *from + part.len() == start);
        let (from, part) = match before {
            Some((from, part)) => (*from, part),
            None => (start, self.parts.entry(start).or_default()),
        };
        part.extend_from_slice(octets);
        self.octets += octets.len();
        if let Some(after) = self.parts.remove(&end)
            && let Some(part) = self.parts.get_mut(&from)
        {
            part.extend_from_slice(&after);
        }
        self.parts.len() <= MAX_PIECES
    }

    /// C28: where octets overlap, the later ones win.
    fn cut(&mut self, start: usize, end: usize) {
        let overlaps = |(from, part): (&usize, &Vec<u8>)| {
            let meets = *from < end && from + part.len() > start;
            meets.then_some(*from)
        };
        let old: Vec<usize> = self.parts.iter().filter_map(overlaps).collect();
        for from in old {
            let Some(mut part) = self.parts.remove(&from) else {
                continue;
            };
            self.octets -= part.len();
            let behind = part.split_off(part.len().min(end.saturating_sub(from)));
            part.truncate(start.saturating_sub(from));
            for (at, rest) in [(from, part), (end, behind)] {
                if !rest.is_empty() {
                    self.octets += rest.len();
                    self.parts.insert(at, rest);
                }
            }
        }
    }

    /// The chunk that ends the message has arrived; it sets the length (C27).
    pub fn ends_at(&mut self, total: u64) {
        self.total = usize::try_from(total).ok();
    }

    /// The offset after the last octet received.
    pub fn end(&self) -> u64 {
        let last = self.parts.last_key_value();
        last.map_or(0, |(from, part)| (from + part.len()) as u64)
    }

    /// Whether the message is complete.
    pub fn is_whole(&self) -> bool {
        let front = self.front().len();
        self.total.is_some_and(|total| front >= total)
    }

    /// The whole message.
    pub fn into_message(mut self) -> Vec<u8> {
        let mut front = self.parts.remove(&0).unwrap_or_default();
        front.truncate(self.total.unwrap_or(usize::MAX));
        front
    }

    /// Number of octets received.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// The octets before the first gap.
    pub fn front(&self) -> &[u8] {
        self.parts.get(&0).map_or(&[], Vec::as_slice)
    }

    /// Number of octets after the first gap.
    pub fn ahead(&self) -> usize {
        self.octets - self.front().len()
    }

    /// The pieces in order, each with its offset, and the length of the message, if known.
    pub fn into_parts(self) -> (impl Iterator<Item = (u64, Vec<u8>)>, Option<u64>) {
        let parts = self.parts.into_iter();
        let parts = parts.map(|(from, part)| (from as u64, part));
        (parts, self.total.map(|total| total as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_pieces_anywhere_are_what_the_last_of_them_said(
            writes in prop::collection::vec((0usize..200, 1usize..40, any::<u8>()), 1..30),
        ) {
            let mut pieces = Pieces::default();
            let mut model = vec![None; 240];
            for (start, length, octet) in writes {
                pieces.write(start, &vec![octet; length]);
                model[start..start + length].fill(Some(octet));
                let come = model.iter().flatten().count();
                prop_assert_eq!(pieces.octets, come, "only what has come is held");
                let end = model.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
                prop_assert_eq!(pieces.end(), end as u64);
                for (&from, part) in &pieces.parts {
                    let there: Vec<_> = part.iter().copied().map(Some).collect();
                    prop_assert_eq!(&model[from..from + part.len()], &there[..]);
                }
            }
            let front = model.iter().take_while(|it| it.is_some()).count();
            pieces.ends_at(front as u64);
            prop_assert!(pieces.is_whole());
            let whole: Vec<u8> = model.into_iter().map_while(|it| it).collect();
            prop_assert_eq!(pieces.into_message(), whole);
        }
    }
}
