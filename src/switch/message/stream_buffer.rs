//! The octets of a large message that have arrived and that some receiver still needs.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem;

use crate::wire::msrp::TransactionId;

/// Smaller pieces are merged, so that tiny chunks take no more memory than their octets.
const MERGE_BELOW: usize = 4096;
/// Octets kept before the last receiver's position: an end-line may begin in octets already
/// written.
const CONTEXT: u64 = 64;
/// Limit of separate pieces after a gap: no real client sends its chunks that far out of order.
const MAX_AHEAD_PIECES: usize = 64;
const HYPHENS: &[u8] = b"-------";

/// Octets of a message from the last receiver's position to the first gap.
#[derive(Debug, Default)]
pub(in crate::switch) struct StreamBuffer {
    /// The pieces with the offset of their first octet, without gaps.
    pieces: VecDeque<(u64, Bytes)>,
    end: u64,
    /// Octets in `pieces`.
    octets: usize,
    /// Octets after a gap, in order of arrival.
    ahead: Vec<(u64, Bytes)>,
    ahead_octets: usize,
    /// The content contains seven hyphens, so it may contain an end-line.
    hyphens: bool,
    /// Number of hyphens at the end of the octets seen.
    run: usize,
}

impl StreamBuffer {
    /// A buffer of these parts, which are in order and do not overlap.
    pub(in crate::switch) fn of(parts: impl Iterator<Item = (u64, Bytes)>) -> Self {
        let mut buffer = Self::default();
        for (at, octets) in parts {
            if at > 0 {
                buffer.ahead_octets += octets.len();
                buffer.ahead.push((at, octets));
            } else {
                buffer.look_for_hyphens(&octets);
                buffer.end = octets.len() as u64;
                buffer.octets = octets.len();
                buffer.pieces.push_back((at, octets));
            }
        }
        buffer
    }

    /// The offset of the first gap.
    pub(in crate::switch) fn end(&self) -> u64 {
        self.end
    }

    /// Octets held.
    pub(in crate::switch) fn octets(&self) -> usize {
        self.octets + self.ahead_octets
    }

    /// Takes octets of the message from offset `at`. Octets that have already arrived are ignored,
    /// because they may be written already (RFC 4975 §7.3.1). `false`: too many octets after a gap.
    pub(in crate::switch) fn write(&mut self, at: u64, octets: &[u8], ahead_limit: usize) -> bool {
        if at > self.end {
            if octets.is_empty() {
                return true;
            }
            self.ahead.push((at, Bytes::copy_from_slice(octets)));
            self.ahead_octets += octets.len();
            return self.ahead.len() <= MAX_AHEAD_PIECES && self.ahead_octets <= ahead_limit;
        }
        self.append_from(at, octets);
        // Where octets overlap, the later ones win (C28).
        while let Some(next) = self
            .ahead
            .iter()
            .rposition(|(start, piece)| (*start..start + piece.len() as u64).contains(&self.end))
        {
            let (start, piece) = self.ahead.remove(next);
            self.ahead_octets -= piece.len();
            self.append_from(start, &piece);
        }
        let (end, mut gone) = (self.end, 0);
        self.ahead.retain(|(start, piece)| {
            let stays = start + piece.len() as u64 > end;
            gone += if stays { 0 } else { piece.len() };
            stays
        });
        self.ahead_octets -= gone;
        true
    }

    /// Takes the octets that follow.
    pub(in crate::switch) fn append(&mut self, octets: Bytes) {
        if octets.len() < MERGE_BELOW {
            return self.append_from(self.end, &octets);
        }
        self.look_for_hyphens(&octets);
        let start = self.end;
        self.end += octets.len() as u64;
        self.octets += octets.len();
        self.pieces.push_back((start, octets));
    }

    fn append_from(&mut self, at: u64, octets: &[u8]) {
        let known = usize::try_from(self.end - at).unwrap_or(usize::MAX);
        let Some(octets) = octets.get(known..).filter(|rest| !rest.is_empty()) else {
            return;
        };
        self.look_for_hyphens(octets);
        let start = self.end;
        self.end += octets.len() as u64;
        self.octets += octets.len();
        if let Some((_, last)) = self.pieces.back_mut()
            && last.len() + octets.len() < MERGE_BELOW
        {
            *last = [&last[..], octets].concat().into();
            return;
        }
        self.pieces
            .push_back((start, Bytes::copy_from_slice(octets)));
    }

    fn look_for_hyphens(&mut self, octets: &[u8]) {
        if self.hyphens {
            return;
        }
        let leading = octets.iter().take_while(|octet| **octet == b'-').count();
        let trailing = octets.iter().rev().take_while(|octet| **octet == b'-');
        self.hyphens =
            self.run + leading >= HYPHENS.len() || memmem::find(octets, HYPHENS).is_some();
        self.run = match trailing.count() {
            all if all == octets.len() => self.run + all,
            some => some,
        };
    }

    /// Octets from offset `at`, at most `most`; `None` if none have arrived.
    pub(in crate::switch) fn slice(&self, at: u64, most: usize) -> Option<Bytes> {
        let after = self.pieces.partition_point(|(start, _)| *start <= at);
        let (start, piece) = self.pieces.get(after.checked_sub(1)?)?;
        let from = usize::try_from(at - start).ok()?;
        let length = piece.len().checked_sub(from)?.min(most);
        (length > 0).then(|| piece.slice(from..from + length))
    }

    /// Frees the octets before offset `to`.
    pub(in crate::switch) fn trim(&mut self, to: u64) {
        let keep_from = to.saturating_sub(CONTEXT);
        while let Some((start, piece)) = self.pieces.front()
            && start + piece.len() as u64 <= keep_from
        {
            self.octets -= piece.len();
            self.pieces.pop_front();
        }
    }

    /// How many of `octets`, which stand at `at`, may follow in a body that began at `from`
    /// before its own end-line would stand in it (RFC 4975 §7.1, C04).
    pub(in crate::switch) fn free_of_end_line(
        &self,
        from: u64,
        at: u64,
        octets: &[u8],
        transaction: &TransactionId,
    ) -> usize {
        if !self.hyphens {
            return octets.len();
        }
        let needle = [HYPHENS, transaction.as_bytes()].concat();
        let overlap = needle.len() - 1;
        let mut seam = self.before(from.max(at.saturating_sub(overlap as u64)), at);
        let context = seam.len();
        seam.extend_from_slice(octets.get(..overlap).unwrap_or(octets));
        let place = memmem::find(&seam, &needle)
            .map(|place| place + overlap - context)
            .or_else(|| memmem::find(octets, &needle).map(|place| place + overlap));
        place.unwrap_or(octets.len())
    }

    fn before(&self, mut from: u64, to: u64) -> Vec<u8> {
        let mut octets = Vec::new();
        while from < to {
            let most = usize::try_from(to - from).unwrap_or(usize::MAX);
            let Some(part) = self.slice(from, most) else {
                break;
            };
            octets.extend_from_slice(&part);
            from += part.len() as u64;
        }
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(buffer: &StreamBuffer) -> Vec<u8> {
        buffer.before(0, buffer.end())
    }

    proptest! {
        #[test]
        fn any_order_of_any_pieces_is_the_message(
            cuts in prop::collection::btree_set(1usize..9000, 1..20), seed in any::<u64>(),
        ) {
            let message: Vec<u8> = (0..9000u32).map(|octet| (octet % 251) as u8).collect();
            let cuts: Vec<usize> = [0].into_iter().chain(cuts).chain([9000]).collect();
            let mut parts: Vec<(usize, usize)> =
                cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
            parts.sort_by_key(|(from, _)| (*from as u64 + 1).wrapping_mul(seed | 1) >> 7);
            let mut buffer = StreamBuffer::default();
            for (from, to) in parts {
                prop_assert!(buffer.write(from as u64, &message[from..to], 1 << 20));
            }
            prop_assert_eq!(buffer.end(), 9000);
            prop_assert_eq!(buffer.ahead_octets, 0);
            prop_assert_eq!(all(&buffer), message);
            buffer.trim(9000);
            prop_assert!(buffer.octets() <= 9000);
        }

        #[test]
        fn c04_no_body_holds_its_end_line(
            before in 0usize..80, hidden in 0usize..4, cuts in prop::collection::vec(1usize..60, 1..9),
        ) {
            let id = TransactionId::new("abcdefghijklm0").unwrap();
            let mut message = vec![b'x'; before];
            for _ in 0..hidden {
                message.extend_from_slice(b"-------abcdefghijklm0$");
            }
            message.extend_from_slice(b"yyyy");
            let (mut buffer, mut at) = (StreamBuffer::default(), 0);
            for cut in cuts.iter().cycle() {
                let to = (at + cut).min(message.len());
                buffer.write(at as u64, &message[at..to], 100);
                at = to;
                if at == message.len() { break; }
            }
            let (mut from, mut at, mut bodies) = (0u64, 0u64, 0);
            while at < buffer.end() {
                let part = buffer.slice(at, 1 << 20).unwrap();
                let free = buffer.free_of_end_line(from, at, &part, &id);
                at += free as u64;
                if free < part.len() {
                    let body = buffer.before(from, at);
                    prop_assert!(!crate::wire::msrp::contains_end_line(&body, &id));
                    from = at;
                    bodies += 1;
                }
            }
            prop_assert_eq!(bodies, hidden);
        }
    }

    #[test]
    fn c27_what_lies_too_far_ahead_is_refused() {
        let mut buffer = StreamBuffer::default();
        assert!(buffer.write(10, &[0; 100], 100));
        assert!(!buffer.write(200, &[0; 1], 100));
        let mut buffer = StreamBuffer::default();
        for piece in 1..=64 {
            assert!(buffer.write(piece * 10, &[0], 1 << 20));
        }
        assert!(!buffer.write(1000, &[0], 1 << 20));
    }
}
